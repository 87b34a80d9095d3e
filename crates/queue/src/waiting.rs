use crate::lane::{Lane, Placed, merged};
use hashbrown::HashMap;
use std::collections::BTreeSet;

mod saved;

/// Messages by priority and position.
#[derive(Clone, Debug, Default)]
struct Lanes {
    /// One a priority, made when first used.
    lanes: Vec<Lane>,
    /// Which lanes are not empty, so that 256 of them need not be searched.
    occupied: [u64; 4],
}

impl Lanes {
    fn insert(&mut self, lane: u8, placed: Placed) {
        let index = usize::from(lane);
        if self.lanes.len() <= index {
            self.lanes.resize_with(index + 1, Lane::default);
        }
        self.lanes[index].insert(placed);
        self.occupied[index / 64] |= 1 << (index % 64);
    }

    fn front(&self) -> Option<(u8, Placed)> {
        let word = self.occupied.iter().position(|word| *word != 0)?;
        let lane = word * 64 + self.occupied[word].trailing_zeros() as usize;
        let placed = self.lanes[lane].front();
        debug_assert!(placed.is_some(), "an occupied lane has a front");
        Some((lane as u8, placed?))
    }

    fn get(&self, (lane, position): (u8, u64)) -> Option<Placed> {
        self.lanes.get(usize::from(lane))?.get(position)
    }

    fn remove(&mut self, lane: u8, position: u64) -> Option<Placed> {
        let index = usize::from(lane);
        let placed = self.lanes.get_mut(index)?.remove(position)?;
        if self.lanes[index].is_empty() {
            self.occupied[index / 64] &= !(1 << (index % 64));
        }
        Some(placed)
    }

    fn lane(&self, number: u8) -> Option<&Lane> {
        self.lanes.get(usize::from(number))
    }
}

/// What waits in a subscription, by priority and position.
#[derive(Clone, Debug, Default)]
pub(crate) struct Waiting {
    /// What may be available.
    open: Lanes,
    /// Found to be behind something of the same group; the first of each group may be
    /// available nevertheless. Nothing goes back from here.
    behind: Lanes,
    /// The same by group, priority and position.
    order: BTreeSet<(u32, u8, u64)>,
    len: u64,
    /// Where those stand whose place does not follow from the message: with `dedupe: latest`
    /// it takes over the place of the one that it replaces.
    places: HashMap<u64, (u8, u64)>,
}

impl Waiting {
    pub(crate) fn insert(&mut self, lane: u8, placed: Placed) {
        self.open.insert(lane, placed);
        self.len += 1;
        if placed.position != placed.sequence {
            self.places.insert(placed.sequence, (lane, placed.position));
        }
    }

    /// The first that was not found to be behind another one.
    pub(crate) fn front(&self) -> Option<(u8, Placed)> {
        self.open.front()
    }

    /// The front is behind something of its group.
    pub(crate) fn defer(&mut self, group: u32) {
        let front = self.open.front();
        let Some((lane, Placed { position, .. })) = front else {
            return;
        };
        if let Some(placed) = self.open.remove(lane, position) {
            self.behind.insert(lane, placed);
            self.order.insert((group, lane, position));
        }
    }

    /// Where the first of a group stands among those that were deferred.
    pub(crate) fn head(&self, group: u32) -> Option<(u8, u64)> {
        let mut line = self.order.range((group, 0, 0)..=(group, u8::MAX, u64::MAX));
        line.next().map(|(_, lane, position)| (*lane, *position))
    }

    /// Where a message stands if it waits here; `usual` is where it does unless it took over
    /// another one's place.
    pub(crate) fn place_of(&self, sequence: u64, usual: (u8, u64)) -> (u8, u64) {
        self.places.get(&sequence).copied().unwrap_or(usual)
    }

    /// Whether it is this message that stands there.
    pub(crate) fn holds(&self, place: (u8, u64), sequence: u64) -> bool {
        self.get(place)
            .is_some_and(|placed| placed.sequence == sequence)
    }

    /// What stands at a place.
    pub(crate) fn get(&self, place: (u8, u64)) -> Option<Placed> {
        self.open.get(place).or_else(|| self.behind.get(place))
    }

    /// Takes out what stands at a place; `group` is its group.
    pub(crate) fn remove(&mut self, lane: u8, position: u64, group: u32) -> Option<Placed> {
        let placed = match self.open.remove(lane, position) {
            Some(placed) => placed,
            None => {
                let placed = self.behind.remove(lane, position)?;
                self.order.remove(&(group, lane, position));
                placed
            }
        };
        self.len -= 1;
        if placed.position != placed.sequence {
            self.places.remove(&placed.sequence);
        }
        Some(placed)
    }

    pub(crate) fn len(&self) -> u64 {
        self.len
    }

    /// Everything in the order of priorities and positions.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (u8, Placed)> {
        self.iter_from(0, 0)
    }

    /// The same from a place on.
    pub(crate) fn iter_from(&self, lane: u8, position: u64) -> impl Iterator<Item = (u8, Placed)> {
        let count = self.open.lanes.len().max(self.behind.lanes.len());
        let numbers = (0u8..=u8::MAX).take(count).skip(lane.into());
        numbers.flat_map(move |number| {
            let from = if number == lane { position } else { 0 };
            let open = self.open.lane(number).into_iter();
            let behind = self.behind.lane(number).into_iter();
            let open = open.flat_map(move |lane| lane.iter_from(from));
            let behind = behind.flat_map(move |lane| lane.iter_from(from));
            merged(open, behind).map(move |placed| (number, placed))
        })
    }

    /// The first of every lane: the oldest waiting message is among them, as far as every one
    /// stands at its own sequence.
    pub(crate) fn fronts(&self) -> impl Iterator<Item = Placed> {
        let lanes = self.open.lanes.iter().chain(&self.behind.lanes);
        lanes.filter_map(Lane::front)
    }

    /// How many wait, by priority, up to the last that has any.
    pub(crate) fn by_priority(&self) -> Vec<u64> {
        let count = self.open.lanes.len().max(self.behind.lanes.len());
        let len = |lane: Option<&Lane>| lane.map_or(0, Lane::len);
        let numbers = (0u8..=u8::MAX).take(count);
        let counts = numbers.map(|n| len(self.open.lane(n)) + len(self.behind.lane(n)));
        let mut counts: Vec<u64> = counts.collect();
        let used = counts.iter().rposition(|count| *count > 0);
        counts.truncate(used.map_or(0, |last| last + 1));
        counts
    }
}
