use trunkline_jsonrpc::{Id, OwnedId};
use trunkline_model::CallId;

/// Who asked, while the request is at hand; a notification has no id.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ask<'a> {
    pub(crate) id: Option<Id<'a>>,
    /// The batch that the request came in.
    pub(crate) batch: Option<usize>,
}

impl Ask<'_> {
    /// Where the answer goes, to keep; `None` for a notification.
    pub(crate) fn reply_to(self) -> Option<ReplyTo> {
        self.id.map(|id| ReplyTo {
            id: id.to_owned_id(),
            batch: self.batch,
        })
    }
}

/// Where an answer goes.
#[derive(Clone, Debug)]
pub(crate) struct ReplyTo {
    pub(crate) id: OwnedId,
    pub(crate) batch: Option<usize>,
}

/// What a request waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Awaited {
    /// A handler.
    Call {
        /// Absent if the call ended as it began.
        call: Option<CallId>,
        /// Has an idempotency key: goes on when the connection is gone.
        keyed: bool,
    },
    /// Ids of published messages.
    Publish,
    /// Settled deliveries.
    Ack,
    /// Returned deliveries.
    Nack,
    /// Extended deliveries.
    Extend,
    /// Whatever the engine says by itself.
    Engine,
}

/// A request that waits for its answer.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) reply: ReplyTo,
    pub(crate) awaited: Awaited,
}

/// The requests of one connection that wait for an engine or a handler, by completion token.
#[derive(Debug, Default)]
pub(crate) struct Waiting {
    slots: Vec<Option<Entry>>,
    free: Vec<u32>,
}

impl Waiting {
    pub(crate) fn len(&self) -> usize {
        self.slots.len() - self.free.len()
    }

    /// The token under which the request is kept.
    pub(crate) fn insert(&mut self, entry: Entry) -> u64 {
        if let Some(slot) = self.free.pop() {
            self.slots[slot as usize] = Some(entry);
            return u64::from(slot);
        }
        self.slots.push(Some(entry));
        self.slots.len() as u64 - 1
    }

    pub(crate) fn get(&self, token: u64) -> Option<&Entry> {
        self.slots.get(usize::try_from(token).ok()?)?.as_ref()
    }

    pub(crate) fn get_mut(&mut self, token: u64) -> Option<&mut Entry> {
        self.slots.get_mut(usize::try_from(token).ok()?)?.as_mut()
    }

    pub(crate) fn remove(&mut self, token: u64) -> Option<Entry> {
        let slot = usize::try_from(token).ok()?;
        let entry = self.slots.get_mut(slot)?.take()?;
        self.free
            .push(u32::try_from(slot).expect("bounded by max_in_flight"));
        if self.free.len() == self.slots.len() {
            // Nothing waits: a burst must not keep its memory.
            self.slots.clear();
            self.free.clear();
            self.slots.shrink_to(64);
            self.free.shrink_to(64);
        }
        Some(entry)
    }

    /// The calls of this connection that wait, with where their answers go.
    pub(crate) fn calls(&self) -> impl Iterator<Item = (&ReplyTo, CallId, bool)> {
        self.slots
            .iter()
            .flatten()
            .filter_map(|entry| match entry.awaited {
                Awaited::Call {
                    call: Some(call),
                    keyed,
                } => Some((&entry.reply, call, keyed)),
                _ => None,
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(id: u64) -> Entry {
        Entry {
            reply: ReplyTo {
                id: OwnedId::from(id),
                batch: None,
            },
            awaited: Awaited::Call {
                call: Some(CallId(id)),
                keyed: false,
            },
        }
    }

    #[test]
    fn tokens_are_used_again() {
        let mut waiting = Waiting::default();
        let tokens = [1, 2, 3].map(|id| waiting.insert(entry(id)));
        assert_eq!((tokens, waiting.len()), ([0, 1, 2], 3));
        assert!(waiting.remove(1).is_some());
        assert!(waiting.remove(1).is_none());
        assert!(waiting.get(1).is_none());
        assert_eq!(waiting.calls().count(), 2);
        assert_eq!(waiting.insert(entry(4)), 1);
        for token in 0..3 {
            assert!(waiting.remove(token).is_some());
        }
        assert_eq!(waiting.len(), 0);
        assert!(waiting.remove(7).is_none());
    }
}
