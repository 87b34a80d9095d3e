use crate::Timestamp;
use std::collections::BTreeSet;

/// Keys ordered by deadline. A key may be present with one deadline at a time as far as
/// the caller keeps track of it: removal names both.
#[derive(Clone, Debug)]
pub struct DeadlineQueue<K> {
    entries: BTreeSet<(Timestamp, K)>,
}

impl<K: Ord + Clone> DeadlineQueue<K> {
    /// An empty queue.
    pub const fn new() -> Self {
        Self {
            entries: BTreeSet::new(),
        }
    }

    /// Adds a key; false if it was there already with this deadline.
    pub fn insert(&mut self, deadline: Timestamp, key: K) -> bool {
        self.entries.insert((deadline, key))
    }

    /// Removes a key; false if it was not there.
    pub fn remove(&mut self, deadline: Timestamp, key: K) -> bool {
        self.entries.remove(&(deadline, key))
    }

    /// The earliest deadline.
    pub fn next(&self) -> Option<Timestamp> {
        self.entries.first().map(|(deadline, _)| *deadline)
    }

    /// Takes the earliest key whose deadline lies strictly before `now`.
    pub fn pop_due(&mut self, now: Timestamp) -> Option<(Timestamp, K)> {
        if self.next()? < now {
            self.entries.pop_first()
        } else {
            None
        }
    }

    /// Number of keys.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is no key.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }
}

impl<K: Ord + Clone> Default for DeadlineQueue<K> {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pops_in_order_and_only_strictly_past_deadlines() {
        let at = Timestamp::from_micros;
        let mut queue = DeadlineQueue::new();
        for (deadline, key) in [(30, 'c'), (10, 'a'), (20, 'b'), (20, 'x')] {
            assert!(queue.insert(at(deadline), key));
        }
        assert!(queue.remove(at(20), 'x') && !queue.remove(at(20), 'x'));
        assert_eq!(queue.next(), Some(at(10)));
        assert_eq!(queue.pop_due(at(10)), None);
        assert_eq!(queue.pop_due(at(21)), Some((at(10), 'a')));
        assert_eq!(queue.pop_due(at(21)), Some((at(20), 'b')));
        assert_eq!(queue.pop_due(at(21)), None);
        assert_eq!(queue.len(), 1);
    }
}
