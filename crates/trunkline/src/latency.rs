use hdrhistogram::Histogram;
use serde_json::{Value, json};
use std::time::Duration;

/// How long things took: 1 µs to 10 min, three digits.
pub(crate) struct Latency(Histogram<u64>);

impl Latency {
    pub(crate) fn new() -> Self {
        const LONGEST_US: u64 = 600_000_000;
        Self(Histogram::new_with_bounds(1, LONGEST_US, 3).expect("the bounds are in order"))
    }

    pub(crate) fn add(&mut self, took: Duration) {
        self.0.saturating_record(took.as_micros() as u64);
    }

    pub(crate) fn count(&self) -> u64 {
        self.0.len()
    }

    pub(crate) fn min(&self) -> Duration {
        Duration::from_micros(self.0.min())
    }

    pub(crate) fn max(&self) -> Duration {
        Duration::from_micros(self.0.max())
    }

    /// The time within which this part of all (0 to 1) was done.
    pub(crate) fn quantile(&self, part: f64) -> Duration {
        Duration::from_micros(self.0.value_at_quantile(part))
    }

    /// In microseconds.
    pub(crate) fn object(&self) -> Value {
        let at = |part| self.0.value_at_quantile(part);
        json!({
            "min": self.0.min(), "mean": self.0.mean(), "p50": at(0.5), "p95": at(0.95),
            "p99": at(0.99), "max": self.0.max(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_three_digits_and_never_overflows() {
        let mut latency = Latency::new();
        for micros in [0, 1_234, 5_000_000, u64::MAX] {
            latency.add(Duration::from_micros(micros));
        }
        assert_eq!((latency.count(), latency.min()), (4, Duration::ZERO));
        let half = latency.quantile(0.5).as_micros();
        assert!((1_234..=1_235).contains(&half), "{half}");
        assert!(latency.max() >= Duration::from_secs(600));
    }
}
