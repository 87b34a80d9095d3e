use std::collections::VecDeque;
use trunkline_journal::Place;

/// How many bodies of each segment somebody still needs: a waiting or unsettled message,
/// a delivery on its way, a look.
#[derive(Debug, Default)]
pub(crate) struct Live {
    first: u32,
    counts: VecDeque<u64>,
}

impl Live {
    pub(crate) fn add(&mut self, place: Place) {
        self.add_many(place.segment(), 1);
    }

    pub(crate) fn add_many(&mut self, segment: u32, count: u64) {
        if self.counts.is_empty() {
            self.first = segment;
        }
        while segment < self.first {
            self.counts.push_front(0);
            self.first -= 1;
        }
        let index = (segment - self.first) as usize;
        if index >= self.counts.len() {
            self.counts.resize(index + 1, 0);
        }
        self.counts[index] += count;
    }

    pub(crate) fn remove(&mut self, place: Place) {
        let index = place.segment().checked_sub(self.first);
        let count = index.and_then(|index| self.counts.get_mut(index as usize));
        debug_assert!(
            count.as_ref().is_some_and(|count| **count > 0),
            "{place} is live"
        );
        if let Some(count) = count {
            *count = count.saturating_sub(1);
        }
        while self.counts.front() == Some(&0) {
            self.counts.pop_front();
            self.first += 1;
        }
    }

    /// The oldest segment with something in it; `None` if there is none.
    pub(crate) fn oldest(&self) -> Option<u32> {
        (!self.counts.is_empty()).then_some(self.first)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_live_segment_moves_only_when_all_before_it_are_empty() {
        let mut live = Live::default();
        assert_eq!(live.oldest(), None);
        for segment in [3, 3, 5, 2] {
            live.add(Place::new(segment, 64));
        }
        for (segment, oldest) in [(3, Some(2)), (2, Some(3)), (3, Some(5)), (5, None)] {
            live.remove(Place::new(segment, 64));
            assert_eq!(live.oldest(), oldest);
        }
        live.add(Place::new(9, 64));
        assert_eq!(live.oldest(), Some(9));
    }
}
