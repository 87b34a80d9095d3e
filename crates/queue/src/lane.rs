use std::collections::{BTreeMap, VecDeque, btree_map};

/// A message at its position in a lane.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Placed {
    pub(crate) position: u64,
    pub(crate) slot: u32,
    /// Deliveries so far.
    pub(crate) attempts: u32,
}

/// An entry of the common case: never delivered, in order of position. Packed, because
/// this is what a waiting message costs in every subscription.
#[derive(Clone, Copy, Debug)]
#[repr(C, packed(4))]
struct Entry {
    position: u64,
    slot: u32,
}

const _: () = assert!(size_of::<Entry>() == 12);

const DEAD: u32 = u32::MAX;
const CAPACITY_KEPT: usize = 1024;

/// The waiting messages of one priority, by position.
///
/// New ones come at the end and leave at the front; what leaves from the middle becomes a
/// dead entry, and dead entries never outnumber live ones. Messages that came back are
/// few and stand in an ordered map beside.
#[derive(Clone, Debug, Default)]
pub(crate) struct Lane {
    fresh: VecDeque<Entry>,
    dead: usize,
    returned: BTreeMap<u64, (u32, u32)>,
}

impl Lane {
    pub(crate) fn insert(&mut self, placed: Placed) {
        let Placed {
            position,
            slot,
            attempts,
        } = placed;
        debug_assert!(slot != DEAD);
        if attempts > 0 || !self.insert_fresh(Entry { position, slot }) {
            let earlier = self.returned.insert(position, (slot, attempts));
            debug_assert!(earlier.is_none(), "position {position} is taken");
        }
    }

    fn insert_fresh(&mut self, entry: Entry) -> bool {
        let position = entry.position;
        match (self.fresh.front(), self.fresh.back()) {
            (_, Some(back)) if { back.position } < position => self.fresh.push_back(entry),
            (Some(front), _) if { front.position } > position => self.fresh.push_front(entry),
            (None, None) => self.fresh.push_back(entry),
            _ => match self.find(position) {
                Ok(index) if self.fresh[index].slot == DEAD => {
                    self.fresh[index] = entry;
                    self.dead -= 1;
                }
                _ => return false,
            },
        }
        true
    }

    pub(crate) fn front(&self) -> Option<Placed> {
        let fresh = self.fresh.front().map(|entry| Placed {
            position: entry.position,
            slot: entry.slot,
            attempts: 0,
        });
        debug_assert!(fresh.is_none_or(|placed| placed.slot != DEAD));
        let returned = self.returned.first_key_value().map(placed_of);
        match (fresh, returned) {
            (Some(a), Some(b)) => Some(if a.position < b.position { a } else { b }),
            (a, b) => a.or(b),
        }
    }

    pub(crate) fn remove(&mut self, position: u64) -> Option<Placed> {
        if let Some((slot, attempts)) = self.returned.remove(&position) {
            return Some(Placed {
                position,
                slot,
                attempts,
            });
        }
        let index = match self.fresh.front() {
            Some(front) if { front.position } == position => 0,
            _ => self.find(position).ok()?,
        };
        let slot = std::mem::replace(&mut self.fresh[index].slot, DEAD);
        if slot == DEAD {
            return None;
        }
        self.dead += 1;
        self.tidy();
        Some(Placed {
            position,
            slot,
            attempts: 0,
        })
    }

    fn find(&self, position: u64) -> Result<usize, usize> {
        self.fresh.binary_search_by_key(&position, |e| e.position)
    }

    fn tidy(&mut self) {
        while self.fresh.front().is_some_and(|e| e.slot == DEAD) {
            self.fresh.pop_front();
            self.dead -= 1;
        }
        if self.dead > self.fresh.len() - self.dead {
            self.fresh.retain(|e| e.slot != DEAD);
            self.dead = 0;
        }
        if self.fresh.is_empty() && self.fresh.capacity() > CAPACITY_KEPT {
            self.fresh = VecDeque::new();
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.fresh.is_empty() && self.returned.is_empty()
    }

    /// All of them by position.
    pub(crate) fn iter(&self) -> Iter<'_> {
        Iter {
            fresh: self.fresh.iter(),
            returned: self.returned.iter(),
            next: (None, None),
        }
    }
}

fn placed_of((position, (slot, attempts)): (&u64, &(u32, u32))) -> Placed {
    Placed {
        position: *position,
        slot: *slot,
        attempts: *attempts,
    }
}

/// Merges the two parts of a lane.
pub(crate) struct Iter<'a> {
    fresh: std::collections::vec_deque::Iter<'a, Entry>,
    returned: btree_map::Iter<'a, u64, (u32, u32)>,
    next: (Option<Placed>, Option<Placed>),
}

impl Iterator for Iter<'_> {
    type Item = Placed;

    fn next(&mut self) -> Option<Placed> {
        let (fresh, returned) = &mut self.next;
        if fresh.is_none() {
            let entry = self.fresh.find(|entry| entry.slot != DEAD);
            *fresh = entry.map(|entry| Placed {
                position: entry.position,
                slot: entry.slot,
                attempts: 0,
            });
        }
        if returned.is_none() {
            *returned = self.returned.next().map(placed_of);
        }
        match (&fresh, &returned) {
            (Some(a), Some(b)) if b.position < a.position => returned.take(),
            (Some(_), _) => fresh.take(),
            _ => returned.take(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn placed(position: u64, attempts: u32) -> Placed {
        Placed {
            position,
            slot: position as u32 + 100,
            attempts,
        }
    }

    proptest! {
        /// Whatever goes in and out in whatever order, a lane is an ordered map.
        #[test]
        fn is_an_ordered_map(steps in prop::collection::vec((0u64..24, 0u32..4), 0..200)) {
            let (mut lane, mut map) = (Lane::default(), BTreeMap::new());
            for (position, what) in steps {
                if map.contains_key(&position) || what == 3 {
                    prop_assert_eq!(lane.remove(position), map.remove(&position));
                } else {
                    lane.insert(placed(position, what));
                    map.insert(position, placed(position, what));
                }
                prop_assert_eq!(lane.front(), map.values().next().copied());
                prop_assert!(lane.iter().eq(map.values().copied()));
                prop_assert_eq!(lane.is_empty(), map.is_empty());
                prop_assert!(lane.dead * 2 <= lane.fresh.len().max(1));
            }
        }
    }
}
