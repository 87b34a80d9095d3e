use compact_str::CompactString;
use hashbrown::HashTable;
use std::{
    collections::VecDeque,
    hash::{BuildHasher, RandomState},
    time::Duration,
};
use trunkline_model::Timestamp;

/// Most publish ids that a topic remembers, and most keys; the oldest go first.
pub(crate) const PUBLISH_IDS_MAX: usize = 1_000_000;

/// A publish id, or a key, and the message that it stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) id: CompactString,
    pub(crate) at: Timestamp,
    pub(crate) sequence: u64,
}

/// The publish ids, or the keys, that a topic saw within a window. Clients choose them, hence SipHash.
#[derive(Clone, Debug)]
pub(crate) struct PublishIds {
    max: usize,
    ring: VecDeque<Seen>,
    /// Ordinal of the ring's first; the table holds ordinals.
    first: u64,
    table: HashTable<u64>,
    hasher: RandomState,
}

impl Default for PublishIds {
    fn default() -> Self {
        Self {
            max: PUBLISH_IDS_MAX,
            ring: VecDeque::new(),
            first: 0,
            table: HashTable::new(),
            hasher: RandomState::new(),
        }
    }
}

impl PublishIds {
    /// The sequence of the message that was first published under `id`, if that was no
    /// longer than `window` ago.
    pub(crate) fn find(&self, id: &str, now: Timestamp, window: Duration) -> Option<u64> {
        let seen = &self.ring[self.index_of(id)?];
        (seen.at.after(window) >= now).then_some(seen.sequence)
    }

    /// Remembers a publish; what is older than `window` is forgotten on the way.
    pub(crate) fn remember(&mut self, seen: Seen, window: Duration) {
        let too_old = |first: &Seen| first.at.after(window) < seen.at;
        while self.ring.len() >= self.max || self.ring.front().is_some_and(too_old) {
            self.forget_first();
        }
        if let Some(index) = self.index_of(&seen.id) {
            // Either a copy in the log of what is known, or a later use of an id that is out
            // of the window but not yet at the front.
            if self.ring[index].sequence < seen.sequence {
                self.ring[index] = seen;
            }
            return;
        }
        let hash = self.hasher.hash_one(seen.id.as_str());
        let ordinal = self.first + self.ring.len() as u64;
        self.ring.push_back(seen);
        let (ring, first, hasher) = (&self.ring, self.first, &self.hasher);
        self.table.insert_unique(hash, ordinal, |ordinal| {
            hasher.hash_one(ring[(*ordinal - first) as usize].id.as_str())
        });
    }

    /// Brings them into the order in which they were seen: what is left of a log may tell the
    /// older ones after the newer.
    pub(crate) fn sort(&mut self) {
        let order = |seen: &Seen| (seen.at, seen.sequence);
        if self.ring.iter().is_sorted_by_key(order) {
            return;
        }
        let mut ring: Vec<Seen> = std::mem::take(&mut self.ring).into();
        ring.sort_by_key(order);
        *self = Self {
            max: self.max,
            ..Self::default()
        };
        for seen in ring {
            self.remember(seen, Duration::MAX);
        }
    }

    fn index_of(&self, id: &str) -> Option<usize> {
        let hash = self.hasher.hash_one(id);
        let index = |ordinal: &u64| (*ordinal - self.first) as usize;
        let same = |ordinal: &u64| self.ring[index(ordinal)].id == id;
        self.table.find(hash, same).map(index)
    }

    fn forget_first(&mut self) {
        let Some(seen) = self.ring.front() else {
            return;
        };
        let hash = self.hasher.hash_one(seen.id.as_str());
        let first = self.first;
        if let Ok(entry) = self.table.find_entry(hash, |ordinal| *ordinal == first) {
            entry.remove();
        }
        self.ring.pop_front();
        self.first += 1;
    }

    /// With their ordinals, which stay the same, from `ordinal` on; oldest first.
    pub(crate) fn iter_from(&self, ordinal: u64) -> impl Iterator<Item = (u64, &Seen)> {
        let skipped = ordinal
            .saturating_sub(self.first)
            .min(self.ring.len() as u64);
        let from = self.first + skipped;
        (from..).zip(self.ring.range(skipped as usize..))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WINDOW: Duration = Duration::from_micros(10);

    fn seen(id: &str, at: u64, sequence: u64) -> Seen {
        Seen {
            id: id.into(),
            at: Timestamp::from_micros(at),
            sequence,
        }
    }

    #[test]
    fn remembers_for_the_window_and_no_longer() {
        let mut ids = PublishIds::default();
        ids.remember(seen("a", 0, 1), WINDOW);
        ids.remember(seen("b", 5, 2), WINDOW);
        let find = |ids: &PublishIds, id, now| ids.find(id, Timestamp::from_micros(now), WINDOW);
        assert_eq!(find(&ids, "a", 10), Some(1));
        assert_eq!(find(&ids, "a", 11), None);
        assert_eq!(find(&ids, "b", 11), Some(2));
        ids.remember(seen("a", 11, 3), WINDOW);
        assert_eq!(find(&ids, "a", 12), Some(3));
        assert_eq!(ids.iter_from(0).count(), 2);
    }

    #[test]
    fn what_was_told_late_is_older_all_the_same() {
        let mut ids = PublishIds::default();
        for (id, at, sequence) in [("b", 5, 2), ("c", 5, 3), ("a", 0, 1)] {
            ids.remember(seen(id, at, sequence), WINDOW);
        }
        ids.sort();
        let order: Vec<_> = ids.iter_from(0).map(|(_, seen)| seen.sequence).collect();
        assert_eq!(order, [1, 2, 3]);
        assert_eq!(ids.find("c", Timestamp::ZERO, WINDOW), Some(3));
        ids.remember(seen("d", 11, 4), WINDOW);
        assert_eq!(
            ids.find("a", Timestamp::ZERO, WINDOW),
            None,
            "it goes first"
        );
    }

    #[test]
    fn the_oldest_make_room() {
        let mut ids = PublishIds {
            max: 100,
            ..PublishIds::default()
        };
        for n in 0..102 {
            ids.remember(seen(&n.to_string(), 0, n + 1), WINDOW);
        }
        assert_eq!(ids.iter_from(0).count(), 100);
        assert_eq!(ids.find("1", Timestamp::ZERO, WINDOW), None);
        assert_eq!(ids.find("2", Timestamp::ZERO, WINDOW), Some(3));
    }
}
