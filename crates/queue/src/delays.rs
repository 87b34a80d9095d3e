use crate::{
    blocks::{Block, Blocks, members, split},
    lane::Placed,
    messages::Messages,
    subscription::Delayed,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    ops::{Bound, RangeBounds},
};
use trunkline_model::Timestamp;

/// The messages of a subscription that are held back, by sequence and by time.
///
/// Most were published with a delay and never delivered: of those only the time is kept, since
/// their place is that of any message. Where the others stand is kept beside. One timer a
/// subscription is enough, for the first of them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Delays {
    until: Blocks<Times>,
    len: usize,
    order: BTreeSet<(Timestamp, u64)>,
    /// Those that stand elsewhere than at their own place, or were delivered before.
    moved: BTreeMap<u64, (u8, Placed)>,
}

/// Times of some of the sequences of a block, in their order.
#[derive(Clone, Debug, Default)]
struct Times {
    present: u64,
    times: Vec<Timestamp>,
}

impl Block for Times {
    fn is_blank(&self) -> bool {
        self.present == 0
    }
}

impl Times {
    /// How many come before a sequence, by its bit.
    fn rank(&self, bit: u64) -> usize {
        (self.present & (bit - 1)).count_ones() as usize
    }

    fn get(&self, bit: u64) -> Option<Timestamp> {
        (self.present & bit != 0).then(|| self.times[self.rank(bit)])
    }

    /// Says a time; false if there is one.
    fn insert(&mut self, bit: u64, time: Timestamp) -> bool {
        let is_new = self.present & bit == 0;
        if is_new {
            self.times.insert(self.rank(bit), time);
            self.present |= bit;
        }
        is_new
    }

    fn remove(&mut self, bit: u64) {
        if self.present & bit != 0 {
            self.times.remove(self.rank(bit));
            self.present &= !bit;
        }
    }
}

impl Delays {
    fn until(&self, sequence: u64) -> Option<Timestamp> {
        let (number, bit) = split(sequence);
        self.until.get(number)?.get(bit)
    }

    /// Holds a message back; `usual` is its
    /// [`usual_place`](crate::messages::Stored::usual_place).
    pub(crate) fn insert(&mut self, delayed: Delayed, usual: (u8, u64)) {
        let Delayed {
            until,
            lane,
            placed,
        } = delayed;
        let sequence = placed.sequence;
        let (number, bit) = split(sequence);
        let is_new = self.until.fill(number, |times| times.insert(bit, until));
        debug_assert!(is_new, "a message is delayed once");
        self.len += 1;
        self.order.insert((until, sequence));
        if (lane, placed.position, placed.attempts) != (usual.0, usual.1, 0) {
            self.moved.insert(sequence, (lane, placed));
        }
    }

    /// What is held back under a sequence.
    pub(crate) fn get(&self, sequence: u64, usual: (u8, u64)) -> Option<Delayed> {
        let until = self.until(sequence)?;
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
        let (number, bit) = split(sequence);
        self.until.drain(number, |times| times.remove(bit));
        self.len -= 1;
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
        let until = self.until(sequence)?;
        let moved = self.moved.get(&sequence);
        moved
            .is_none_or(|(_, placed)| placed.attempts == 0)
            .then_some(until)
    }

    /// Deliveries so far of a message that is held back.
    pub(crate) fn attempts_of(&self, sequence: u64) -> Option<u32> {
        let moved = self.moved.get(&sequence);
        let attempts = moved.map_or(0, |(_, placed)| placed.attempts);
        self.until(sequence).map(|_| attempts)
    }

    /// Their sequences in a range, ascending, each with its deliveries so far.
    pub(crate) fn range(
        &self,
        sequences: (Bound<u64>, Bound<u64>),
    ) -> impl Iterator<Item = (u64, u32)> {
        let moved = |sequence: &u64| self.moved.get(sequence);
        let first = match sequences.0 {
            Bound::Included(first) | Bound::Excluded(first) => first,
            Bound::Unbounded => 0,
        };
        let blocks = self.until.iter_from(split(first).0);
        let from = blocks.flat_map(|(number, times)| members(number, times.present));
        let range =
            from.skip_while(move |sequence| !(sequences.0, Bound::Unbounded).contains(sequence));
        let range = range.take_while(move |sequence| sequences.contains(sequence));
        range.map(move |sequence| {
            let attempts = moved(&sequence).map_or(0, |(_, placed)| placed.attempts);
            (sequence, attempts)
        })
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Their sequences, ascending.
    pub(crate) fn sequences(&self) -> impl Iterator<Item = u64> {
        let blocks = self.until.iter();
        blocks.flat_map(|(number, times)| members(number, times.present))
    }

    /// All of them by sequence.
    pub(crate) fn iter(&self, messages: &Messages) -> impl Iterator<Item = Delayed> {
        self.sequences().filter_map(|sequence| {
            let usual = messages.usual_place(sequence)?;
            self.get(sequence, usual)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::ops::Bound::{Excluded, Unbounded};

    fn delayed(sequence: u64, until: u64, attempts: u32) -> Delayed {
        Delayed {
            until: Timestamp::from_micros(until),
            lane: 0,
            placed: Placed {
                position: sequence,
                sequence,
                attempts,
            },
        }
    }

    proptest! {
        /// Whatever is held back and let go in whatever order, it is what a map would hold.
        #[test]
        fn is_a_map(steps in prop::collection::vec((0u64..300, 0u64..50, 0u32..2), 0..300)) {
            let (mut delays, mut map) = (Delays::default(), BTreeMap::new());
            for (sequence, until, attempts) in steps {
                let usual = (0, sequence);
                let was = delays.remove(sequence, usual);
                prop_assert_eq!(was.map(|d| (d.until, d.placed.attempts)), map.remove(&sequence));
                if until > 20 {
                    let new = delayed(sequence, until, attempts);
                    delays.insert(new, usual);
                    map.insert(sequence, (new.until, attempts));
                }
                prop_assert_eq!(delays.len(), map.len());
                prop_assert!(delays.sequences().eq(map.keys().copied()));
                let behind = (Excluded(sequence), Unbounded);
                let expected = map.range(behind).map(|(sequence, (_, n))| (*sequence, *n));
                prop_assert!(delays.range(behind).eq(expected));
                let first = map.iter().map(|(sequence, (until, _))| (*until, *sequence)).min();
                prop_assert_eq!(delays.first(), first);
            }
        }
    }
}
