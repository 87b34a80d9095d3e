use smallvec::SmallVec;
use std::collections::BTreeMap;
use std::ops::RangeInclusive;

/// Tags of deliveries of one subscription, in ascending ranges that neither meet nor overlap.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tags(SmallVec<[(u64, u64); 1]>);

impl Tags {
    /// One tag.
    #[must_use]
    pub fn one(tag: u64) -> Self {
        Self(SmallVec::from_buf([(tag, tag)]))
    }

    /// These ranges, which have to be ascending, and neither meet nor overlap.
    #[must_use]
    pub fn from_ranges(ranges: impl IntoIterator<Item = RangeInclusive<u64>>) -> Self {
        Self(ranges.into_iter().map(RangeInclusive::into_inner).collect())
    }

    /// The ranges, ascending.
    pub fn ranges(&self) -> impl Iterator<Item = RangeInclusive<u64>> + '_ {
        self.0.iter().map(|(first, last)| *first..=*last)
    }

    /// The tags, ascending.
    pub fn iter(&self) -> impl Iterator<Item = u64> + '_ {
        self.ranges().flatten()
    }

    /// How many they are.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.0.iter().map(|(first, last)| last - first + 1).sum()
    }

    /// At most so many of the highest tags, ascending. What an engine holds for a subscription is bounded,
    /// and is among the latest; a range may be as long as the session.
    pub fn highest(&self, max: u64) -> impl Iterator<Item = u64> + '_ {
        let mut left_out = self.count().saturating_sub(max);
        self.0.iter().flat_map(move |(first, last)| {
            let skipped = left_out.min(last - first + 1);
            left_out -= skipped;
            first + skipped..last + 1
        })
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// The deliveries of a subscription in mode `client` that no ACK or NACK has covered. An ACK
/// covers everything up to it, so this is one range as long as no transaction was aborted.
#[derive(Debug, Default)]
pub(crate) struct Outstanding(BTreeMap<u64, u64>);

impl Outstanding {
    /// Adds a tag that is higher than all others.
    pub(crate) fn push(&mut self, tag: u64) {
        match self.0.last_entry() {
            Some(mut range) if range.get() + 1 == tag => {
                range.insert(tag);
            }
            _ => {
                self.0.insert(tag, tag);
            }
        }
    }

    pub(crate) fn contains(&self, tag: u64) -> bool {
        let below = self.0.range(..=tag).next_back();
        below.is_some_and(|(_, last)| *last >= tag)
    }

    /// Takes out all tags up to one.
    pub(crate) fn take_up_to(&mut self, tag: u64) -> Tags {
        let above = match tag.checked_add(1) {
            Some(next) => self.0.split_off(&next),
            None => BTreeMap::new(),
        };
        let mut taken = std::mem::replace(&mut self.0, above);
        // The last of the ranges taken may go beyond the tag.
        if let Some(mut range) = taken.last_entry() {
            let last = *range.get();
            if last > tag {
                range.insert(tag);
                self.0.insert(tag + 1, last);
            }
        }
        Tags(taken.into_iter().collect())
    }

    /// Puts tags back that were taken out.
    pub(crate) fn put_back(&mut self, tags: &Tags) {
        for (mut first, mut last) in tags.0.iter().copied() {
            if let Some((below, end)) = self.0.range(..first).next_back()
                && first - 1 == *end
            {
                first = *below;
            }
            if let Some(next) = last.checked_add(1)
                && let Some(end) = self.0.remove(&next)
            {
                last = end;
            }
            self.0.insert(first, last);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    #[test]
    fn the_highest_are_taken_from_the_end() {
        let tags = Tags(SmallVec::from_slice(&[(1, 3), (7, 7), (9, 1 << 60)]));
        assert_eq!(tags.count(), (1 << 60) - 4);
        let highest: Vec<u64> = tags.highest(2).collect();
        assert_eq!(highest, [(1 << 60) - 1, 1 << 60]);
        let few = Tags(SmallVec::from_slice(&[(1, 3), (7, 7), (9, 10)]));
        for (max, expected) in [
            (9, &[1, 2, 3, 7, 9, 10][..]),
            (6, &[1, 2, 3, 7, 9, 10]),
            (4, &[3, 7, 9, 10]),
            (3, &[7, 9, 10]),
            (1, &[10]),
            (0, &[]),
        ] {
            assert_eq!(few.highest(max).collect::<Vec<_>>(), expected, "{max}");
        }
    }

    #[derive(Clone, Debug)]
    enum Step {
        Push(u64),
        Take(u64),
        PutBack(usize),
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            3 => (1..3u64).prop_map(Step::Push),
            2 => (0..40u64).prop_map(Step::Take),
            1 => any::<usize>().prop_map(Step::PutBack),
        ]
    }

    proptest! {
        #[test]
        fn ranges_are_a_set(steps in prop::collection::vec(step(), 0..60)) {
            let (mut ranges, mut set) = (Outstanding::default(), BTreeSet::new());
            let (mut last, mut taken) = (0, Vec::new());
            for step in steps {
                match step {
                    Step::Push(gap) => {
                        last += gap;
                        ranges.push(last);
                        set.insert(last);
                    }
                    Step::Take(tag) => {
                        let tags = ranges.take_up_to(tag);
                        let above = set.split_off(&(tag + 1));
                        let expected: Vec<u64> = std::mem::replace(&mut set, above).into_iter().collect();
                        prop_assert_eq!(tags.iter().collect::<Vec<_>>(), expected);
                        taken.push(tags);
                    }
                    Step::PutBack(which) if !taken.is_empty() => {
                        let tags = taken.swap_remove(which % taken.len());
                        ranges.put_back(&tags);
                        set.extend(tags.iter());
                    }
                    Step::PutBack(_) => {}
                }
                for tag in 0..50 {
                    prop_assert_eq!(ranges.contains(tag), set.contains(&tag));
                }
                let ends: Vec<_> = ranges.0.iter().map(|(first, last)| (*first, *last)).collect();
                prop_assert!(ends.windows(2).all(|pair| pair[0].1 + 1 < pair[1].0));
            }
        }
    }
}
