//! Latencies of one run, in a histogram that never grows.

use std::time::Duration;

use hdrhistogram::Histogram;

/// Longest latency told apart from longer ones.
const HIGHEST: Duration = Duration::from_secs(60);

/// Three significant digits: 0.1 % is far below what a shared machine repeats.
const DIGITS: u8 = 3;

/// A histogram of latencies up to a minute, to three digits; longer ones count as a minute.
#[derive(Clone, Debug)]
pub struct Latency(Histogram<u64>);

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

    /// How many there are.
    pub fn count(&self) -> u64 {
        self.0.len()
    }

    /// The mean, in microseconds.
    pub fn mean_us(&self) -> f64 {
        self.0.mean() / 1_000.0
    }

    /// The shortest, in microseconds; 0 if there is none.
    pub fn min_us(&self) -> f64 {
        self.0.min() as f64 / 1_000.0
    }

    /// The longest, in microseconds; 0 if there is none.
    pub fn max_us(&self) -> f64 {
        self.0.max() as f64 / 1_000.0
    }

    /// The latency that `quantile` (0 to 1) of all stay at or below, in microseconds.
    pub fn quantile_us(&self, quantile: f64) -> f64 {
        self.0.value_at_quantile(quantile) as f64 / 1_000.0
    }

    /// How many lie up to each power of two of microseconds and above the one before: from the
    /// first to the last that has any.
    pub fn doublings(&self) -> Vec<(u64, u64)> {
        let mut rows = Vec::new();
        let (mut below, mut limit_us) = (0, 1);
        while below < self.count() {
            let up_to = self.0.count_between(0, limit_us * 1_000);
            if up_to > below || !rows.is_empty() {
                rows.push((limit_us, up_to - below));
            }
            below = up_to;
            limit_us *= 2;
        }
        rows
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
    fn doublings_hold_every_latency_once() {
        let mut latency = Latency::new();
        assert!(latency.doublings().is_empty());
        for us in [3, 100, 120, 700, 70_000_000] {
            latency.record(Duration::from_micros(us));
        }
        let rows = latency.doublings();
        assert_eq!(rows[0], (4, 1));
        assert!(
            rows.contains(&(128, 2)) && rows.contains(&(1_024, 1)),
            "{rows:?}"
        );
        assert_eq!(rows.iter().map(|(_, count)| count).sum::<u64>(), 5);
        assert_eq!(rows.last().map(|(_, count)| *count), Some(1));
    }

    #[test]
    fn what_is_too_long_still_counts() {
        let mut latency = Latency::new();
        latency.record(HIGHEST * 2);
        assert_eq!(latency.count(), 1);
    }
}
