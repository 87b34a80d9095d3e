//! How publisher and readers keep step.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// Which rounds have been announced, and which of them each reader has read.
pub(crate) struct Rounds {
    state: Mutex<State>,
    changed: Condvar,
}

struct State {
    announced: u64,
    /// Per reader; `None` once it has failed.
    read: Vec<Option<u64>>,
    finished: bool,
}

impl Rounds {
    pub(crate) fn new(readers: usize) -> Rounds {
        Rounds {
            state: Mutex::new(State {
                announced: 0,
                read: vec![Some(0); readers],
                finished: false,
            }),
            changed: Condvar::new(),
        }
    }

    /// Tells the readers that `round` is about to be published.
    pub(crate) fn announce(&self, round: u64) {
        self.change(|state| state.announced = round + 1);
    }

    /// Tells the readers that no further round comes.
    pub(crate) fn finish(&self) {
        self.change(|state| state.finished = true);
    }

    /// Says that `reader` has all of its messages of `round`, or has failed.
    pub(crate) fn done(&self, reader: usize, round: Option<u64>) {
        self.change(|state| state.read[reader] = round.map(|round| round + 1));
    }

    /// Waits until at most `behind` of the rounds before `round` are not yet read by everybody;
    /// `None` if a reader failed.
    pub(crate) fn wait_until_read(&self, round: u64, behind: u64) -> Option<()> {
        let mut state = self.lock();
        loop {
            // `None` is less than every number.
            let slowest = state.read.iter().min().copied().flatten()?;
            if slowest + behind >= round {
                return Some(());
            }
            state = self.wait(state);
        }
    }

    /// Waits until `round` is announced; false if it never will be.
    pub(crate) fn wait_until_announced(&self, round: u64) -> bool {
        let mut state = self.lock();
        while state.announced <= round {
            if state.finished {
                return false;
            }
            state = self.wait(state);
        }
        true
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.lock());
        self.changed.notify_all();
    }

    // No code that can panic runs under the lock, so a poisoned one is still consistent.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait<'a>(&self, guard: MutexGuard<'a, State>) -> MutexGuard<'a, State> {
        self.changed
            .wait(guard)
            .unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_publisher_stays_within_a_window_of_the_slowest_reader() {
        let rounds = Rounds::new(2);
        assert!(rounds.wait_until_read(0, 1).is_some());
        rounds.announce(0);
        assert!(rounds.wait_until_announced(0));
        assert!(rounds.wait_until_read(1, 1).is_some());
        rounds.announce(1);
        rounds.done(0, Some(1));
        rounds.done(1, Some(0));
        assert!(rounds.wait_until_read(2, 1).is_some());
        rounds.finish();
        assert!(rounds.wait_until_announced(1));
        assert!(!rounds.wait_until_announced(2));
        rounds.done(1, None);
        assert!(rounds.wait_until_read(3, 1).is_none());
    }
}
