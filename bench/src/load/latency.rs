//! Latencies of one run, in a histogram that never grows.

use std::time::Duration;

use hdrhistogram::Histogram;

/// Longest latency told apart from longer ones.
const HIGHEST: Duration = Duration::from_secs(60);

/// Three significant digits: 0.1 % is far below what a shared machine repeats.
const DIGITS: u8 = 3;

/// A histogram of latencies with nanosecond counts inside and microseconds outside.
pub(crate) struct Latency(Histogram<u64>);

impl Latency {
    pub(crate) fn new() -> Latency {
        let histogram = Histogram::new_with_bounds(1, HIGHEST.as_nanos() as u64, DIGITS)
            .expect("the bounds are constants that hdrhistogram accepts");
        Latency(histogram)
    }

    /// Allocates nothing; longer than [`HIGHEST`] counts as that.
    pub(crate) fn record(&mut self, latency: Duration) {
        self.0.saturating_record(latency.as_nanos() as u64);
    }

    pub(crate) fn merge(&mut self, other: &Latency) {
        self.0
            .add(&other.0)
            .expect("both histograms have the same bounds");
    }

    pub(crate) fn count(&self) -> u64 {
        self.0.len()
    }

    /// The latency that `quantile` (0 to 1) of all stay at or below, in microseconds.
    pub(crate) fn quantile_us(&self, quantile: f64) -> f64 {
        self.0.value_at_quantile(quantile) as f64 / 1_000.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_of_one_to_a_thousand_microseconds() {
        let mut all = Latency::new();
        let mut upper = Latency::new();
        for us in 1..=500 {
            all.record(Duration::from_micros(us));
            upper.record(Duration::from_micros(us + 500));
        }
        all.merge(&upper);
        assert_eq!(all.count(), 1_000);
        for (quantile, us) in [(0.5, 500.0), (0.99, 990.0), (1.0, 1_000.0)] {
            let measured = all.quantile_us(quantile);
            assert!(
                (measured / us - 1.0).abs() < 0.002,
                "{quantile}: {measured}"
            );
        }
    }

    #[test]
    fn what_is_too_long_still_counts() {
        let mut latency = Latency::new();
        latency.record(HIGHEST * 2);
        assert_eq!(latency.count(), 1);
    }
}
