//! The asking side's table: which call waits for which answer. Pure.

use crate::native::{abandoned::Abandoned, envelope::Taker};
use hashbrown::HashMap;
use trunkline_model::{Completion, Reporter, Stage, Timestamp};

/// Calls that have been sent and are not answered.
#[derive(Debug, Default)]
pub(crate) struct Pending {
    calls: HashMap<u64, Waiting>,
    /// Those that nobody waits for, but whose messages may still wait.
    pub(crate) abandoned: Abandoned,
}

/// A call that waits.
#[derive(Debug)]
struct Waiting {
    completion: Completion,
    taker: Option<Taker>,
    deadline: Timestamp,
    bytes: u64,
}

/// A call that was given up.
#[derive(Debug)]
pub(crate) struct Removed {
    /// To be used or dropped by whoever holds no lock.
    pub completion: Completion,
    /// Who runs it; `None` while it is queued.
    pub taker: Option<Taker>,
}

impl From<Waiting> for Removed {
    fn from(waiting: Waiting) -> Self {
        Self {
            completion: waiting.completion,
            taker: waiting.taker,
        }
    }
}

impl Removed {
    /// How far it had come.
    pub(crate) fn stage(&self) -> Stage {
        match self.taker {
            Some(_) => Stage::Running,
            None => Stage::Queued,
        }
    }
}

impl Pending {
    /// A call is about to be sent: its deadline and the bytes of its params.
    pub(crate) fn insert(
        &mut self,
        call: u64,
        completion: Completion,
        deadline: Timestamp,
        bytes: u64,
    ) {
        let waiting = Waiting {
            completion,
            taker: None,
            deadline,
            bytes,
        };
        self.calls.insert(call, waiting);
    }

    /// A worker has it now. `None` if nobody waits for it: then the taker should know.
    pub(crate) fn taken(&mut self, call: u64, taker: Taker) -> Option<Reporter> {
        let waiting = self.calls.get_mut(&call)?;
        waiting.taker = Some(taker);
        Some(waiting.completion.reporter())
    }

    /// Its worker was lost, and it waits again.
    pub(crate) fn returned(&mut self, call: u64) {
        if let Some(waiting) = self.calls.get_mut(&call) {
            waiting.taker = None;
        }
    }

    /// Where its progress goes; `None` if nobody waits.
    pub(crate) fn reporter(&self, call: u64) -> Option<Reporter> {
        Some(self.calls.get(&call)?.completion.reporter())
    }

    /// It has ended; `None` if nobody waits any more.
    pub(crate) fn remove(&mut self, call: u64) -> Option<Removed> {
        let waiting = self.calls.remove(&call)?;
        Some(waiting.into())
    }

    /// Nobody waits for it any more; `None` if it has ended.
    pub(crate) fn give_up(&mut self, call: u64) -> Option<Removed> {
        let waiting = self.calls.remove(&call)?;
        if waiting.taker.is_none() {
            self.abandoned.insert(call, waiting.deadline, waiting.bytes);
        }
        Some(waiting.into())
    }

    /// Everything that waits, at the end.
    pub(crate) fn take_all(&mut self) -> Vec<Completion> {
        self.calls
            .drain()
            .map(|(_, call)| call.completion)
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taker(dispatch: u64) -> Taker {
        Taker {
            process: "p".into(),
            dispatch,
        }
    }

    #[test]
    fn a_call_is_queued_then_running_then_gone() {
        let mut pending = Pending::default();
        for call in 1..=3 {
            pending.insert(call, Completion::ignored(), Timestamp::MAX, 10);
        }
        assert!(pending.taken(2, taker(20)).is_some());
        assert!(pending.taken(3, taker(30)).is_some());
        pending.returned(3);

        assert_eq!(pending.remove(1).unwrap().stage(), Stage::Queued);
        let running = pending.remove(2).unwrap();
        assert_eq!(running.stage(), Stage::Running);
        assert_eq!(running.taker, Some(taker(20)));
        assert_eq!(pending.remove(3).unwrap().stage(), Stage::Queued);
        assert!(pending.remove(2).is_none());
        assert!(pending.taken(2, taker(21)).is_none());
        assert!(pending.reporter(2).is_none());
    }

    #[test]
    fn only_a_queued_call_leaves_something_behind() {
        let mut pending = Pending::default();
        for call in 1..=3 {
            pending.insert(call, Completion::ignored(), Timestamp::MAX, 10);
        }
        pending.taken(2, taker(20));
        assert!(pending.give_up(1).is_some() && pending.give_up(2).is_some());
        pending.remove(3);
        assert_eq!(pending.abandoned.len(), 1);
        assert!(pending.give_up(1).is_none());
    }
}
