use crate::blocks::{Blocks, members, split};
use std::collections::BTreeMap;

mod saved;

/// A message at its position in a lane.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Placed {
    pub(crate) position: u64,
    pub(crate) sequence: u64,
    /// Deliveries so far.
    pub(crate) attempts: u32,
}

impl Placed {
    /// Whether it never left the place that it got when it was published.
    fn is_fresh(&self) -> bool {
        self.attempts == 0 && self.position == self.sequence
    }
}

/// The waiting messages of one priority, by position.
///
/// Most were never delivered and stand at their own sequence: of those a bit is kept. The
/// others came back or took over a place; they are few and stand in an ordered map beside.
#[derive(Clone, Debug, Default)]
pub(crate) struct Lane {
    fresh: Blocks<u64>,
    returned: BTreeMap<u64, (u64, u32)>,
    len: u64,
}

fn fresh(sequence: u64) -> Placed {
    Placed {
        position: sequence,
        sequence,
        attempts: 0,
    }
}

impl Lane {
    pub(crate) fn insert(&mut self, placed: Placed) {
        let position = placed.position;
        let is_new = if placed.is_fresh() {
            let (number, bit) = split(position);
            self.fresh.fill(number, |bits| {
                let is_new = *bits & bit == 0;
                *bits |= bit;
                is_new
            })
        } else {
            let returned = (placed.sequence, placed.attempts);
            self.returned.insert(position, returned).is_none()
        };
        debug_assert!(is_new, "position {position} is taken");
        self.len += 1;
    }

    pub(crate) fn front(&self) -> Option<Placed> {
        let block = self.fresh.first();
        let first = block.and_then(|(number, bits)| members(number, *bits).next());
        let returned = self.returned.first_key_value().map(placed_of);
        match (first.map(fresh), returned) {
            (Some(a), Some(b)) => Some(if a.position < b.position { a } else { b }),
            (a, b) => a.or(b),
        }
    }

    pub(crate) fn remove(&mut self, position: u64) -> Option<Placed> {
        if let Some((sequence, attempts)) = self.returned.remove(&position) {
            self.len -= 1;
            return Some(Placed {
                position,
                sequence,
                attempts,
            });
        }
        let (number, bit) = split(position);
        let was_there = self.fresh.drain(number, |bits| {
            let was_there = *bits & bit != 0;
            *bits &= !bit;
            was_there
        });
        was_there.filter(|was_there| *was_there)?;
        self.len -= 1;
        Some(fresh(position))
    }

    pub(crate) fn get(&self, position: u64) -> Option<Placed> {
        let (number, bit) = split(position);
        match self.fresh.get(number) {
            Some(bits) if bits & bit != 0 => Some(fresh(position)),
            _ => self.returned.get_key_value(&position).map(placed_of),
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Those from a position on, in that order.
    pub(crate) fn iter_from(&self, position: u64) -> impl Iterator<Item = Placed> {
        let (first, bit) = split(position);
        let blocks = self.fresh.iter_from(first);
        let fresh_ones = blocks.flat_map(move |(number, bits)| {
            let before = if number == first { bit - 1 } else { 0 };
            members(number, *bits & !before).map(fresh)
        });
        merged(fresh_ones, self.returned.range(position..).map(placed_of))
    }

    pub(crate) fn len(&self) -> u64 {
        self.len
    }
}

/// Two lists by position as one.
pub(crate) fn merged(
    a: impl Iterator<Item = Placed>,
    b: impl Iterator<Item = Placed>,
) -> impl Iterator<Item = Placed> {
    let (mut a, mut b) = (a.peekable(), b.peekable());
    std::iter::from_fn(move || match (a.peek(), b.peek()) {
        (Some(first), Some(other)) if other.position < first.position => b.next(),
        (Some(_), _) => a.next(),
        (None, _) => b.next(),
    })
}

fn placed_of((position, (sequence, attempts)): (&u64, &(u64, u32))) -> Placed {
    Placed {
        position: *position,
        sequence: *sequence,
        attempts: *attempts,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Every kind: fresh, delivered before, in a place taken over.
    fn placed(position: u64, attempts: u32) -> Placed {
        Placed {
            position,
            sequence: position + 100 * u64::from(attempts == 2),
            attempts: attempts % 2,
        }
    }

    proptest! {
        /// Whatever goes in and out in whatever order, a lane is an ordered map.
        #[test]
        fn is_an_ordered_map(steps in prop::collection::vec((0u64..200, 0u32..4), 0..200)) {
            let (mut lane, mut map) = (Lane::default(), BTreeMap::new());
            for (position, what) in steps {
                if map.contains_key(&position) || what == 3 {
                    prop_assert_eq!(lane.remove(position), map.remove(&position));
                } else {
                    lane.insert(placed(position, what));
                    map.insert(position, placed(position, what));
                }
                prop_assert_eq!(lane.get(position), map.get(&position).copied());
                prop_assert_eq!(lane.front(), map.values().next().copied());
                prop_assert!(lane.iter_from(0).eq(map.values().copied()));
                let rest = map.range(position..).map(|(_, placed)| *placed);
                prop_assert!(lane.iter_from(position).eq(rest));
                prop_assert_eq!(lane.len(), map.len() as u64);
            }
        }
    }
}
