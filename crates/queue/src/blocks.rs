use std::collections::VecDeque;

/// Sequences that one block covers.
pub(crate) const SPAN: u64 = 64;

/// Capacity that is kept though nothing is there.
const CAPACITY_KEPT: usize = 64;

/// What may be said of [`SPAN`] neighbouring sequences.
pub(crate) trait Block: Default {
    /// Whether it says nothing, and need not be there.
    fn is_blank(&self) -> bool;
}

/// Which of the block's sequences are members.
impl Block for u64 {
    fn is_blank(&self) -> bool {
        *self == 0
    }
}

/// Blocks by number, ascending. New ones come at the end, most of them next to each other,
/// and leave at the front.
///
/// What becomes blank in the middle stays until such blocks outnumber the rest. The first
/// and the last are never blank.
#[derive(Clone, Debug)]
pub(crate) struct Blocks<T> {
    entries: VecDeque<(u64, T)>,
    blank: usize,
}

impl<T> Default for Blocks<T> {
    fn default() -> Self {
        Self {
            entries: VecDeque::new(),
            blank: 0,
        }
    }
}

/// The block that covers a sequence, and the bit that stands for it there.
pub(crate) fn split(sequence: u64) -> (u64, u64) {
    (sequence / SPAN, 1 << (sequence % SPAN))
}

/// The sequences in a block that `bits` has.
pub(crate) fn members(number: u64, mut bits: u64) -> impl Iterator<Item = u64> {
    std::iter::from_fn(move || {
        let lowest = (bits != 0).then(|| u64::from(bits.trailing_zeros()))?;
        bits &= bits - 1;
        Some(number * SPAN + lowest)
    })
}

impl<T: Block> Blocks<T> {
    pub(crate) fn get(&self, number: u64) -> Option<&T> {
        let index = self.find(number).ok()?;
        Some(&self.entries[index].1)
    }

    pub(crate) fn get_mut(&mut self, number: u64) -> Option<&mut T> {
        let index = self.find(number).ok()?;
        Some(&mut self.entries[index].1)
    }

    /// Changes a block, made if it is not there.
    pub(crate) fn fill<R>(&mut self, number: u64, change: impl FnOnce(&mut T) -> R) -> R {
        let index = match self.entries.back() {
            Some((last, _)) if *last == number => self.entries.len() - 1,
            Some((last, _)) if *last > number => match self.find(number) {
                Ok(index) => index,
                Err(index) => self.make(index, number),
            },
            _ => self.make(self.entries.len(), number),
        };
        let block = &mut self.entries[index].1;
        let was_blank = block.is_blank();
        let result = change(block);
        self.blank -= usize::from(was_blank);
        debug_assert!(!self.entries[index].1.is_blank());
        result
    }

    fn make(&mut self, index: usize, number: u64) -> usize {
        self.entries.insert(index, (number, T::default()));
        self.blank += 1;
        index
    }

    /// Takes something out of a block that is there and not blank; it may become so.
    pub(crate) fn drain<R>(&mut self, number: u64, change: impl FnOnce(&mut T) -> R) -> Option<R> {
        let index = self.find(number).ok()?;
        let block = &mut self.entries[index].1;
        if block.is_blank() {
            return None;
        }
        let result = change(block);
        if block.is_blank() {
            self.blank += 1;
            self.tidy();
        }
        Some(result)
    }

    /// Adds a block after all others; false if its number is not greater or it says nothing.
    pub(crate) fn append(&mut self, number: u64, block: T) -> bool {
        let follows = self.entries.back().is_none_or(|(last, _)| *last < number);
        let fits = follows && !block.is_blank();
        if fits {
            self.entries.push_back((number, block));
        }
        fits
    }

    /// Makes room for so many more blocks.
    pub(crate) fn reserve(&mut self, blocks: usize) {
        self.entries.reserve(blocks);
    }

    /// Those that say something, ascending.
    pub(crate) fn filled(&self) -> impl Iterator<Item = (u64, &T)> {
        self.iter().filter(|(_, block)| !block.is_blank())
    }

    fn find(&self, number: u64) -> Result<usize, usize> {
        let first = self.entries.front().map_or(number, |(first, _)| *first);
        let Some(ahead) = number.checked_sub(first) else {
            return Err(0);
        };
        // No entry is further from the first than its number is.
        let last = self.entries.len().saturating_sub(1);
        let guess = usize::try_from(ahead).map_or(last, |ahead| ahead.min(last));
        match self.entries.get(guess) {
            Some((found, _)) if *found == number => Ok(guess),
            _ => self.entries.binary_search_by_key(&number, |entry| entry.0),
        }
    }

    fn tidy(&mut self) {
        while self.entries.front().is_some_and(|e| e.1.is_blank()) {
            self.entries.pop_front();
            self.blank -= 1;
        }
        while self.entries.back().is_some_and(|e| e.1.is_blank()) {
            self.entries.pop_back();
            self.blank -= 1;
        }
        if self.blank > self.entries.len() - self.blank {
            self.entries.retain(|e| !e.1.is_blank());
            self.blank = 0;
        }
        if self.entries.len() < self.entries.capacity() / 4 {
            let kept = (2 * self.entries.len()).max(CAPACITY_KEPT);
            self.entries.shrink_to(kept);
        }
    }

    pub(crate) fn first(&self) -> Option<(u64, &T)> {
        let (number, block) = self.entries.front()?;
        Some((*number, block))
    }

    /// All of them in order; some may be blank.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (u64, &T)> {
        self.iter_from(0)
    }

    /// The same from a number on.
    pub(crate) fn iter_from(&self, number: u64) -> impl Iterator<Item = (u64, &T)> {
        let (Ok(index) | Err(index)) = self.find(number);
        let entries = self.entries.range(index.min(self.entries.len())..);
        entries.map(|(number, block)| (*number, block))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    proptest! {
        /// Whatever comes and goes in whatever order, the members are those of a set, and
        /// what is blank is never more than the rest.
        #[test]
        fn is_a_set(steps in prop::collection::vec((0u64..1_500, any::<bool>()), 0..400)) {
            let (mut blocks, mut set) = (Blocks::<u64>::default(), BTreeSet::new());
            for (sequence, comes) in steps {
                let (number, bit) = split(sequence);
                if comes {
                    blocks.fill(number, |bits| *bits |= bit);
                    set.insert(sequence);
                } else {
                    let had = blocks.get(number).is_some_and(|bits| bits & bit != 0);
                    prop_assert_eq!(had, set.remove(&sequence));
                    blocks.drain(number, |bits| *bits &= !bit);
                }
                let all = blocks.iter().flat_map(|(number, bits)| members(number, *bits));
                prop_assert!(all.eq(set.iter().copied()));
                let rest = blocks.iter_from(number).flat_map(|(n, bits)| members(n, *bits));
                prop_assert!(rest.eq(set.range(number * SPAN..).copied()));
                let blank = blocks.iter().filter(|(_, bits)| bits.is_blank()).count();
                prop_assert_eq!(blank, blocks.blank);
                prop_assert!(2 * blank <= blocks.entries.len());
                let first = blocks.first().map(|(number, bits)| members(number, *bits).next());
                prop_assert_eq!(first.flatten(), set.first().copied());
            }
        }
    }

    #[test]
    fn memory_goes_with_what_was_there() {
        let mut blocks = Blocks::<u64>::default();
        for number in 0..10_000 {
            blocks.fill(number, |bits| *bits = 1);
        }
        for number in 0..10_000 {
            blocks.drain(number, |bits| *bits = 0);
        }
        assert!(blocks.entries.is_empty());
        assert!(blocks.entries.capacity() <= 2 * CAPACITY_KEPT);
    }
}
