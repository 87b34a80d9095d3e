use crate::lane::{Lane, Placed};
use hashbrown::HashMap;

mod saved;

/// What waits in a subscription, by priority and position.
#[derive(Clone, Debug, Default)]
pub(crate) struct Waiting {
    /// One a priority, made when first used.
    lanes: Vec<Lane>,
    /// Which lanes are not empty, so that 256 of them need not be searched.
    occupied: [u64; 4],
    len: u64,
    /// Where those stand whose place does not follow from the message: with `dedupe: latest`
    /// it takes over the place of the one that it replaces.
    places: HashMap<u64, (u8, u64)>,
}

impl Waiting {
    pub(crate) fn insert(&mut self, lane: u8, placed: Placed) {
        let index = usize::from(lane);
        if self.lanes.len() <= index {
            self.lanes.resize_with(index + 1, Lane::default);
        }
        self.lanes[index].insert(placed);
        self.occupied[index / 64] |= 1 << (index % 64);
        self.len += 1;
        if placed.position != placed.sequence {
            self.places.insert(placed.sequence, (lane, placed.position));
        }
    }

    /// What would be delivered first.
    pub(crate) fn front(&self) -> Option<(u8, Placed)> {
        let word = self.occupied.iter().position(|word| *word != 0)?;
        let lane = word * 64 + self.occupied[word].trailing_zeros() as usize;
        let placed = self.lanes[lane].front();
        debug_assert!(placed.is_some(), "an occupied lane has a front");
        Some((lane as u8, placed?))
    }

    /// Where a message stands if it waits here; `usual` is where it does unless it took over
    /// another one's place.
    pub(crate) fn place_of(&self, sequence: u64, usual: (u8, u64)) -> (u8, u64) {
        self.places.get(&sequence).copied().unwrap_or(usual)
    }

    /// Whether it is this message that stands there.
    pub(crate) fn holds(&self, (lane, position): (u8, u64), sequence: u64) -> bool {
        let lane = self.lanes.get(usize::from(lane));
        lane.is_some_and(|lane| lane.sequence_at(position) == Some(sequence))
    }

    pub(crate) fn get(&self, (lane, position): (u8, u64)) -> Option<Placed> {
        self.lanes.get(usize::from(lane))?.get(position)
    }

    pub(crate) fn remove(&mut self, lane: u8, position: u64) -> Option<Placed> {
        let index = usize::from(lane);
        let placed = self.lanes.get_mut(index)?.remove(position)?;
        if self.lanes[index].is_empty() {
            self.occupied[index / 64] &= !(1 << (index % 64));
        }
        self.len -= 1;
        if placed.position != placed.sequence {
            self.places.remove(&placed.sequence);
        }
        Some(placed)
    }

    pub(crate) fn len(&self) -> u64 {
        self.len
    }

    /// Everything in the order of delivery.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (u8, Placed)> {
        self.iter_from(0, 0)
    }

    /// The same from a place on.
    pub(crate) fn iter_from(&self, lane: u8, position: u64) -> impl Iterator<Item = (u8, Placed)> {
        let lanes = (0u8..=255).zip(&self.lanes).skip(lane.into());
        lanes.flat_map(move |(number, entries)| {
            let from = if number == lane { position } else { 0 };
            entries.iter_from(from).map(move |placed| (number, placed))
        })
    }

    /// The first of every lane: the oldest waiting message is among them, as far as every one
    /// stands at its own sequence.
    pub(crate) fn fronts(&self) -> impl Iterator<Item = Placed> {
        self.lanes.iter().filter_map(Lane::front)
    }

    /// How many wait, by priority, up to the last that has any.
    pub(crate) fn by_priority(&self) -> Vec<u64> {
        let mut counts: Vec<u64> = self.lanes.iter().map(Lane::len).collect();
        let used = counts.iter().rposition(|count| *count > 0);
        counts.truncate(used.map_or(0, |last| last + 1));
        counts
    }
}
