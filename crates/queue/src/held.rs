use std::collections::VecDeque;

/// What a delivery tag stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Held {
    /// Which source of the consumer.
    pub(crate) source: u32,
    /// Which message of the source's topic.
    pub(crate) sequence: u64,
}

const GONE: u64 = u64::MAX;

/// The deliveries that a consumer holds, by tag. Tags only grow, so the newest stand at
/// the end; settled ones leave holes, which never outnumber the rest.
#[derive(Clone, Debug, Default)]
pub(crate) struct HeldTags {
    entries: VecDeque<(u64, Held)>,
    holes: usize,
}

impl HeldTags {
    /// Adds a tag greater than all before.
    pub(crate) fn push(&mut self, tag: u64, held: Held) {
        debug_assert!(self.entries.back().is_none_or(|(last, _)| *last < tag));
        self.entries.push_back((tag, held));
    }

    pub(crate) fn get(&self, tag: u64) -> Option<Held> {
        self.find(tag).map(|index| self.entries[index].1)
    }

    pub(crate) fn remove(&mut self, tag: u64) -> Option<Held> {
        let index = self.find(tag)?;
        let held = self.entries[index].1;
        self.entries[index].1.sequence = GONE;
        self.holes += 1;
        self.tidy();
        Some(held)
    }

    fn find(&self, tag: u64) -> Option<usize> {
        let first = self.entries.front()?.0;
        let guess = usize::try_from(tag.checked_sub(first)?).ok()?;
        let index = match self.entries.get(guess) {
            Some((found, _)) if *found == tag => guess,
            _ => self.entries.binary_search_by_key(&tag, |e| e.0).ok()?,
        };
        (self.entries[index].1.sequence != GONE).then_some(index)
    }

    fn tidy(&mut self) {
        while self.entries.front().is_some_and(|e| e.1.sequence == GONE) {
            self.entries.pop_front();
            self.holes -= 1;
        }
        if self.holes > self.entries.len() - self.holes {
            self.entries.retain(|e| e.1.sequence != GONE);
            self.holes = 0;
        }
    }

    /// All that are held, by tag.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (u64, Held)> {
        let held = self.entries.iter().filter(|e| e.1.sequence != GONE);
        held.copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forgets_in_any_order_and_stays_small() {
        let mut tags = HeldTags::default();
        let held = |tag: u64| Held {
            source: 0,
            sequence: tag,
        };
        for tag in 1..=1_000 {
            tags.push(tag, held(tag));
        }
        for tag in (2..=999).rev() {
            assert_eq!(tags.remove(tag), Some(held(tag)));
            assert_eq!((tags.remove(tag), tags.get(tag)), (None, None));
        }
        assert!(tags.entries.len() <= 5);
        assert_eq!(tags.iter().map(|e| e.0).collect::<Vec<_>>(), [1, 1_000]);
        assert_eq!(tags.get(1_000), Some(held(1_000)));
        assert_eq!((tags.get(0), tags.get(1_001)), (None, None));
    }
}
