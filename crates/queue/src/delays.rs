use crate::{lane::Placed, messages::Messages, subscription::Delayed};
use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Bound,
};
use trunkline_model::Timestamp;

/// The messages of a subscription that are held back, by sequence and by time.
///
/// Most were published with a delay and never delivered: of those only the time is kept, since
/// their place is that of any message. Where the others stand is kept beside. One timer a
/// subscription is enough, for the first of them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Delays {
    until: BTreeMap<u64, Timestamp>,
    order: BTreeSet<(Timestamp, u64)>,
    /// Those that stand elsewhere than at their own place, or were delivered before.
    moved: BTreeMap<u64, (u8, Placed)>,
}

impl Delays {
    /// Holds a message back; `usual` is its
    /// [`usual_place`](crate::messages::Stored::usual_place).
    pub(crate) fn insert(&mut self, delayed: Delayed, usual: (u8, u64)) {
        let Delayed {
            until,
            lane,
            placed,
        } = delayed;
        let sequence = placed.sequence;
        let earlier = self.until.insert(sequence, until);
        debug_assert!(earlier.is_none(), "a message is delayed once");
        self.order.insert((until, sequence));
        if (lane, placed.position, placed.attempts) != (usual.0, usual.1, 0) {
            self.moved.insert(sequence, (lane, placed));
        }
    }

    /// What is held back under a sequence.
    pub(crate) fn get(&self, sequence: u64, usual: (u8, u64)) -> Option<Delayed> {
        let until = *self.until.get(&sequence)?;
        let (lane, placed) = self.moved.get(&sequence).copied().unwrap_or((
            usual.0,
            Placed {
                position: usual.1,
                sequence,
                attempts: 0,
            },
        ));
        Some(Delayed {
            until,
            lane,
            placed,
        })
    }

    pub(crate) fn remove(&mut self, sequence: u64, usual: (u8, u64)) -> Option<Delayed> {
        let delayed = self.get(sequence, usual)?;
        self.until.remove(&sequence);
        self.order.remove(&(delayed.until, sequence));
        self.moved.remove(&sequence);
        Some(delayed)
    }

    /// When the next one is available, and which.
    pub(crate) fn first(&self) -> Option<(Timestamp, u64)> {
        self.order.first().copied()
    }

    /// Until when a message is held back that was never delivered here.
    pub(crate) fn fresh(&self, sequence: u64) -> Option<Timestamp> {
        let until = *self.until.get(&sequence)?;
        let moved = self.moved.get(&sequence);
        moved
            .is_none_or(|(_, placed)| placed.attempts == 0)
            .then_some(until)
    }

    /// Deliveries so far of a message that is held back.
    pub(crate) fn attempts_of(&self, sequence: u64) -> Option<u32> {
        let moved = self.moved.get(&sequence);
        let attempts = moved.map_or(0, |(_, placed)| placed.attempts);
        self.until.contains_key(&sequence).then_some(attempts)
    }

    /// Their sequences in a range, ascending, each with its deliveries so far.
    pub(crate) fn range(
        &self,
        sequences: (Bound<u64>, Bound<u64>),
    ) -> impl Iterator<Item = (u64, u32)> {
        let moved = |sequence: &u64| self.moved.get(sequence);
        let range = self.until.range(sequences);
        range.map(move |(sequence, _)| {
            let attempts = moved(sequence).map_or(0, |(_, placed)| placed.attempts);
            (*sequence, attempts)
        })
    }

    pub(crate) fn len(&self) -> usize {
        self.until.len()
    }

    /// Their sequences, ascending.
    pub(crate) fn sequences(&self) -> impl Iterator<Item = u64> {
        self.until.keys().copied()
    }

    /// All of them by sequence.
    pub(crate) fn iter(&self, messages: &Messages) -> impl Iterator<Item = Delayed> {
        self.until.keys().filter_map(|sequence| {
            let usual = messages.usual_place(*sequence)?;
            self.get(*sequence, usual)
        })
    }
}
