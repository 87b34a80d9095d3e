use crate::slab::Slab;
use compact_str::CompactString;
use hashbrown::HashTable;
use std::hash::{BuildHasher, RandomState};

/// Texts that clients gave messages, each with a number and something noted with it: keys, on
/// topics with `dedupe: latest`, with the sequence of the stored message that has it.
///
/// Clients choose keys, hence SipHash.
#[derive(Clone, Debug, Default)]
pub(crate) struct Keys {
    texts: Slab<(CompactString, u64)>,
    table: HashTable<u32>,
    hasher: RandomState,
}

impl Keys {
    /// The sequence of the message with this key.
    pub(crate) fn find(&self, key: &str) -> Option<u64> {
        let found = self.id_of(key)?;
        Some(self.texts[found].1)
    }

    /// The number under which a text is known.
    pub(crate) fn id_of(&self, key: &str) -> Option<u32> {
        let hash = self.hasher.hash_one(key);
        self.table
            .find(hash, |id| self.texts[*id].0 == key)
            .copied()
    }

    /// What was noted with a text that is there, by its number.
    pub(crate) fn value_mut(&mut self, id: u32) -> &mut u64 {
        &mut self.texts[id].1
    }

    /// The text with a number, if it is there.
    pub(crate) fn text(&self, id: u32) -> Option<&str> {
        self.texts.get(id).map(|(text, _)| text.as_str())
    }

    pub(crate) fn len(&self) -> usize {
        self.texts.len()
    }

    /// Notes the sequence of a key that is not there; returns what [`Keys::remove`] wants.
    pub(crate) fn insert(&mut self, key: CompactString, sequence: u64) -> u32 {
        debug_assert!(self.find(&key).is_none());
        let hash = self.hasher.hash_one(key.as_str());
        let id = self.texts.insert((key, sequence));
        let (texts, hasher) = (&self.texts, &self.hasher);
        self.table
            .insert_unique(hash, id, |id| hasher.hash_one(texts[*id].0.as_str()));
        id
    }

    /// All of them with the sequences of their messages.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, u64)> {
        let texts = self.texts.iter();
        texts.map(|(_, (key, sequence))| (key.as_str(), *sequence))
    }

    pub(crate) fn remove(&mut self, id: u32) {
        let Some((key, _)) = self.texts.remove(id) else {
            return;
        };
        let hash = self.hasher.hash_one(key.as_str());
        if let Ok(entry) = self.table.find_entry(hash, |other| *other == id) {
            entry.remove();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_what_is_there() {
        let mut keys = Keys::default();
        let a = keys.insert("a".into(), 1);
        keys.insert("b".into(), 2);
        keys.remove(a);
        keys.remove(a);
        assert_eq!((keys.find("a"), keys.find("b")), (None, Some(2)));
    }
}
