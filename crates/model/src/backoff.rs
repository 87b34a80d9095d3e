use std::time::Duration;

/// Exponential backoff with full jitter: attempt *r* waits uniformly between zero and
/// `min·2^r`, capped at `max`. Randomness comes in as an argument.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backoff {
    /// Upper bound of the first wait.
    pub min: Duration,
    /// Upper bound of every wait.
    pub max: Duration,
}

impl Backoff {
    /// 8 ms to 512 ms: reconnection inside one machine or rack.
    pub const RECONNECT: Self = Self {
        min: Duration::from_millis(8),
        max: Duration::from_millis(512),
    };

    /// The exclusive upper bound of the wait before attempt `attempt` (from 0).
    pub fn bound(&self, attempt: u32) -> Duration {
        let factor = 1u32.checked_shl(attempt).unwrap_or(u32::MAX);
        self.min
            .checked_mul(factor)
            .map_or(self.max, |bound| bound.min(self.max))
    }

    /// The wait before attempt `attempt`; `random` is any uniformly distributed number.
    pub fn delay(&self, attempt: u32, random: u64) -> Duration {
        let nanos = self.bound(attempt).as_nanos();
        // The high half of the product is uniform in 0..nanos without a division.
        let scaled = (nanos * u128::from(random)) >> 64;
        Duration::from_nanos(u64::try_from(scaled).unwrap_or(u64::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn doubles_up_to_the_cap() {
        let bounds: Vec<_> = [0, 1, 2, 5, 6, 7, 31, 32, 500]
            .map(|r| Backoff::RECONNECT.bound(r).as_millis())
            .into();
        assert_eq!(bounds, [8, 16, 32, 256, 512, 512, 512, 512, 512]);
    }

    #[test]
    fn is_uniform_below_the_bound() {
        let backoff = Backoff::RECONNECT;
        assert_eq!(backoff.delay(0, 0), Duration::ZERO);
        assert_eq!(backoff.delay(0, 1 << 63), Duration::from_millis(4));
        assert!(backoff.delay(9, u64::MAX) < Duration::from_millis(512));
    }
}
