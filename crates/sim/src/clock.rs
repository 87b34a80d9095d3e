use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use trunkline_model::{Clock, ClockRules, Timestamp};

/// When every history begins.
pub(crate) const START: Timestamp = Timestamp::from_millis(1_800_000_000_000);

/// A machine's two clocks, made up, under the rules of the real one: monotonic time that only
/// passes, and wall time that somebody may set.
#[derive(Debug)]
pub(crate) struct SimClock(Mutex<Machine>);

#[derive(Clone, Debug)]
struct Machine {
    monotonic: Duration,
    wall: Timestamp,
    rules: ClockRules,
}

impl Default for SimClock {
    fn default() -> Self {
        let monotonic = Duration::ZERO;
        Self(Mutex::new(Machine {
            monotonic,
            wall: START,
            rules: ClockRules::start(START, monotonic, Timestamp::ZERO),
        }))
    }
}

impl SimClock {
    fn machine(&self) -> MutexGuard<'_, Machine> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Time passes.
    pub(crate) fn advance(&self, span: Duration) {
        let mut machine = self.machine();
        machine.monotonic += span;
        machine.wall = machine.wall.after(span);
    }

    /// Somebody sets the wall clock.
    pub(crate) fn jump(&self, ms: i64) {
        let mut machine = self.machine();
        let micros = machine.wall.as_micros();
        let by = ms.unsigned_abs() * 1_000;
        machine.wall = Timestamp::from_micros(match ms < 0 {
            true => micros.saturating_sub(by),
            false => micros + by,
        });
    }

    /// Another machine, whose clocks show the same.
    pub(crate) fn fork(&self) -> Self {
        Self(Mutex::new(self.machine().clone()))
    }

    /// A process starts, not before a time that the last one recorded.
    pub(crate) fn restart(&self, not_before: Timestamp) {
        let mut machine = self.machine();
        machine.rules = ClockRules::start(machine.wall, machine.monotonic, not_before);
    }
}

impl Clock for SimClock {
    fn now(&self) -> Timestamp {
        let mut machine = self.machine();
        let (monotonic, wall) = (machine.monotonic, machine.wall);
        if machine.rules.check_due(monotonic) {
            machine.rules.adjust(wall, monotonic);
        }
        machine.rules.now(monotonic)
    }
}
