//! Calls that were given up while they waited, and whose messages may still be in their
//! queues: an engine can't take a single message out. Pure.

use hashbrown::HashMap;
use trunkline_model::{DeadlineQueue, Timestamp};

/// What the queues hold in vain for this process. A worker that passes over such a call
/// says so, and the deadline removes it in any case. Bounded, so that a client that calls
/// and gives up again and again can't fill the memory while no worker is free.
#[derive(Debug, Default)]
pub(crate) struct Abandoned {
    calls: HashMap<u64, (Timestamp, u64)>,
    deadlines: DeadlineQueue<u64>,
    bytes: u64,
}

impl Abandoned {
    /// Most calls; beyond, new ones are refused.
    pub(crate) const CALLS_MAX: usize = 100_000;
    /// Most bytes of their params; beyond, new ones are refused.
    pub(crate) const BYTES_MAX: u64 = 256 << 20;

    /// A call was given up while it waited; its message goes at `deadline` at the latest.
    pub(crate) fn insert(&mut self, call: u64, deadline: Timestamp, bytes: u64) {
        if self.calls.insert(call, (deadline, bytes)).is_none() {
            self.deadlines.insert(deadline, call);
            self.bytes += bytes;
        }
    }

    /// A worker has passed over it.
    pub(crate) fn remove(&mut self, call: u64) {
        if let Some((deadline, bytes)) = self.calls.remove(&call) {
            self.deadlines.remove(deadline, call);
            self.bytes -= bytes;
        }
    }

    /// Whether no more can be taken on, unless time has helped.
    pub(crate) fn is_full(&self) -> bool {
        self.calls.len() >= Self::CALLS_MAX || self.bytes >= Self::BYTES_MAX
    }

    /// Forgets those whose messages have expired.
    pub(crate) fn forget_old(&mut self, now: Timestamp) {
        while let Some((_, call)) = self.deadlines.pop_due(now) {
            if let Some((_, bytes)) = self.calls.remove(&call) {
                self.bytes -= bytes;
            }
        }
    }

    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.calls.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_full_until_workers_pass_over_them_or_time_does() {
        let at = Timestamp::from_millis;
        let mut abandoned = Abandoned::default();
        abandoned.insert(1, at(10), Abandoned::BYTES_MAX / 2);
        assert!(!abandoned.is_full());
        abandoned.insert(2, at(20), Abandoned::BYTES_MAX / 2);
        abandoned.insert(2, at(20), Abandoned::BYTES_MAX / 2);
        abandoned.forget_old(at(10));
        assert!(abandoned.is_full());
        abandoned.forget_old(at(11));
        assert!(!abandoned.is_full());
        abandoned.insert(3, at(30), Abandoned::BYTES_MAX);
        assert!(abandoned.is_full());
        abandoned.remove(3);
        abandoned.remove(3);
        assert!(!abandoned.is_full());
        assert_eq!(abandoned.len(), 1);
    }
}
