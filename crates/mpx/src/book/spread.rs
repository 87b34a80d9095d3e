//! The book where names are heard from several servers, each with a book of its own: it says who wants
//! what, and is told what of it is heard. All of its names are shard channels.

use super::Book;
use crate::Kind;
use bytes::Bytes;
use std::sync::Arc;
use trunkline_model::Timestamp;

impl<L: Clone> Book<L> {
    /// Names are looked for from now on, until [`Book::disconnect`]: each that is wanted is a change.
    pub(crate) fn spread(&mut self) {
        self.connected = true;
        let names: Vec<Bytes> = self.entries[Kind::Shard as usize].keys().cloned().collect();
        for name in names {
            self.note_change(Kind::Shard, name);
        }
    }

    /// The next name about which something has changed, and whether it is wanted.
    pub(crate) fn next_change(&mut self) -> Option<(Bytes, bool)> {
        while let Some((kind, name)) = self.changed.pop_front() {
            let entries = &mut self.entries[kind as usize];
            let Some(entry) = entries.get_mut(&name) else {
                continue;
            };
            entry.noted = false;
            if entry.differs() {
                let wanted = entry.is_wanted();
                entry.hand_over(wanted);
                if entry.is_idle() {
                    entries.remove(&name);
                }
                return Some((name, wanted));
            }
            if entry.is_idle() {
                entries.remove(&name);
            }
        }
        None
    }

    /// A name is heard: who is to know it, and since when it was not heard, if it was before. `None` if it
    /// was heard already, or nobody is to hear it.
    pub(crate) fn hear(&mut self, name: &[u8]) -> Option<(Arc<[L]>, Option<Timestamp>)> {
        let entry = self.entries[Kind::Shard as usize].get_mut(name)?;
        if !entry.hear() {
            return None;
        }
        let since = entry.take_unheard();
        Some((entry.listeners(), since))
    }

    /// A name isn't heard any more: who is to know it, if it was.
    pub(crate) fn silence(&mut self, now: Timestamp, name: &[u8]) -> Option<Arc<[L]>> {
        let entry = self.entries[Kind::Shard as usize].get_mut(name)?;
        entry.silence(now).then(|| entry.listeners())
    }

    /// A name won't be heard by itself: who is to know it. It is a change again when somebody else wants it.
    pub(crate) fn give_up(&mut self, now: Timestamp, name: &[u8]) -> Option<Arc<[L]>> {
        let entry = self.entries[Kind::Shard as usize].get_mut(name)?;
        entry.silence(now);
        entry.refused = true;
        Some(entry.listeners())
    }
}
