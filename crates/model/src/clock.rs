use crate::Timestamp;
use std::{
    sync::Mutex,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

/// Where the shells get `now` from; cores take it as an argument.
pub trait Clock: Send + Sync + 'static {
    /// The current time; never earlier than an earlier answer.
    fn now(&self) -> Timestamp;
}

/// How `now` follows the wall clock without ever going back: wall time at the start plus
/// monotonic time; once a minute a forward difference is adopted, a backward one is
/// ignored and counted. Pure: readings come in as arguments.
#[derive(Clone, Debug)]
pub struct ClockRules {
    base: Timestamp,
    base_monotonic: Duration,
    next_check: Duration,
    behind: Duration,
}

impl ClockRules {
    /// How often the wall clock is consulted.
    pub const CHECK_EVERY: Duration = Duration::from_secs(60);

    /// Starts at the later of the wall clock and `not_before` (the last recorded time of
    /// a recovered store).
    pub fn start(wall: Timestamp, monotonic: Duration, not_before: Timestamp) -> Self {
        Self {
            base: wall.max(not_before),
            base_monotonic: monotonic,
            next_check: monotonic + Self::CHECK_EVERY,
            behind: not_before.since(wall),
        }
    }

    /// `now` for a monotonic reading.
    pub fn now(&self, monotonic: Duration) -> Timestamp {
        self.base
            .after(monotonic.saturating_sub(self.base_monotonic))
    }

    /// Whether the wall clock should be read and [`ClockRules::adjust`] called.
    pub fn check_due(&self, monotonic: Duration) -> bool {
        monotonic >= self.next_check
    }

    /// Adopts a forward difference to the wall clock, ignores a backward one.
    pub fn adjust(&mut self, wall: Timestamp, monotonic: Duration) {
        let now = self.now(monotonic);
        self.behind = now.since(wall);
        self.base = now.max(wall);
        self.base_monotonic = monotonic;
        self.next_check = monotonic + Self::CHECK_EVERY;
    }

    /// How far the wall clock was behind `now` at the last check: a clock that was set back.
    pub fn wall_behind(&self) -> Duration {
        self.behind
    }
}

/// The machine's clocks under [`ClockRules`].
#[derive(Debug)]
pub struct SystemClock {
    started: Instant,
    rules: Mutex<ClockRules>,
}

impl SystemClock {
    /// A clock that starts now, but not before `not_before`.
    #[allow(
        clippy::disallowed_methods,
        reason = "the one place that reads the clocks"
    )]
    pub fn new(not_before: Timestamp) -> Self {
        Self {
            started: Instant::now(),
            rules: Mutex::new(ClockRules::start(wall(), Duration::ZERO, not_before)),
        }
    }

    /// See [`ClockRules::wall_behind`].
    pub fn wall_behind(&self) -> Duration {
        self.rules
            .lock()
            .expect("no code panics while it holds the clock")
            .wall_behind()
    }
}

impl Clock for SystemClock {
    #[allow(
        clippy::disallowed_methods,
        reason = "the one place that reads the clocks"
    )]
    fn now(&self) -> Timestamp {
        let mut rules = self
            .rules
            .lock()
            .expect("no code panics while it holds the clock");
        // Read under the lock: two readers in a race must not see time go back.
        let monotonic = self.started.elapsed();
        if rules.check_due(monotonic) {
            rules.adjust(wall(), monotonic);
        }
        rules.now(monotonic)
    }
}

#[allow(
    clippy::disallowed_methods,
    reason = "the one place that reads the clocks"
)]
fn wall() -> Timestamp {
    let since_epoch = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    Timestamp::ZERO.after(since_epoch)
}

/// A clock that stands still until told to move: for tests and simulations.
#[derive(Debug)]
pub struct ManualClock(Mutex<Timestamp>);

impl ManualClock {
    /// A clock that stands at `now`.
    pub fn new(now: Timestamp) -> Self {
        Self(Mutex::new(now))
    }

    /// Moves forward by `span`.
    pub fn advance(&self, span: Duration) {
        let mut now = self
            .0
            .lock()
            .expect("no code panics while it holds the clock");
        *now = now.after(span);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        *self
            .0
            .lock()
            .expect("no code panics while it holds the clock")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(secs: u64) -> Timestamp {
        Timestamp::from_millis(secs * 1_000)
    }

    const fn secs(secs: u64) -> Duration {
        Duration::from_secs(secs)
    }

    #[test]
    fn adopts_forward_and_ignores_backward_steps() {
        let mut rules = ClockRules::start(at(1_000), secs(5), Timestamp::ZERO);
        assert_eq!(rules.now(secs(15)), at(1_010));
        assert!(!rules.check_due(secs(64)));
        assert!(rules.check_due(secs(65)));
        rules.adjust(at(2_000), secs(65));
        assert_eq!(
            (rules.now(secs(65)), rules.wall_behind()),
            (at(2_000), secs(0))
        );
        rules.adjust(at(1_900), secs(125));
        assert_eq!(
            (rules.now(secs(125)), rules.wall_behind()),
            (at(2_060), secs(160))
        );
    }

    #[test]
    fn recovery_starts_at_the_later_of_wall_and_recorded() {
        let rules = ClockRules::start(at(100), secs(0), at(500));
        assert_eq!(
            (rules.now(secs(1)), rules.wall_behind()),
            (at(501), secs(400))
        );
    }
}
