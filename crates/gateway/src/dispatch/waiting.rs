use hashbrown::{DefaultHashBuilder, HashMap};
use smallvec::SmallVec;
use std::hash::BuildHasher;
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
        /// Absent if the call ended as it began, or was cancelled.
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
    /// Made when a call is looked for by its id, which most clients never do.
    by_id: Option<ById>,
}

/// Where calls stand, by the hash of their ids. What has ended stays in it until it is looked
/// for, or until the whole is thrown away: so no step costs more than a few others did.
#[derive(Debug, Default)]
struct ById {
    hasher: DefaultHashBuilder,
    slots: HashMap<u64, SmallVec<[u32; 1]>>,
    noted: usize,
}

impl ById {
    fn note(&mut self, slot: usize, entry: &Entry) {
        if let Awaited::Call { .. } = entry.awaited {
            let hash = self.hasher.hash_one(entry.reply.id.as_id());
            let slot = u32::try_from(slot).expect("bounded by max_in_flight");
            self.slots.entry(hash).or_default().push(slot);
            self.noted += 1;
        }
    }
}

impl Waiting {
    pub(crate) fn len(&self) -> usize {
        self.slots.len() - self.free.len()
    }

    /// The token under which the request is kept.
    pub(crate) fn insert(&mut self, entry: Entry) -> u64 {
        let slot = match self.free.pop() {
            Some(slot) => slot as usize,
            None => {
                self.slots.push(None);
                self.slots.len() - 1
            }
        };
        let count = self.slots.len();
        self.by_id.take_if(|by_id| by_id.noted > 2 * count + 64);
        if let Some(by_id) = &mut self.by_id {
            by_id.note(slot, &entry);
        }
        self.slots[slot] = Some(entry);
        slot as u64
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
            self.by_id = None;
            self.slots.shrink_to(64);
            self.free.shrink_to(64);
        }
        Some(entry)
    }

    /// The calls with that id that nobody cancelled before: they are to be cancelled now.
    pub(crate) fn cancelled(&mut self, id: Id<'_>) -> Vec<CallId> {
        let Self { slots, by_id, .. } = self;
        let by_id = by_id.get_or_insert_with(|| {
            let mut by_id = ById::default();
            for (slot, entry) in slots.iter().enumerate() {
                if let Some(entry) = entry {
                    by_id.note(slot, entry);
                }
            }
            by_id
        });
        let hash = by_id.hasher.hash_one(id);
        let found = by_id.slots.remove(&hash).unwrap_or_default();
        by_id.noted -= found.len();
        let call = |slot: u32| {
            let entry = slots.get_mut(slot as usize)?.as_mut()?;
            match &mut entry.awaited {
                Awaited::Call { call, .. } if entry.reply.id.as_id() == id => call.take(),
                _ => None,
            }
        };
        found.into_iter().filter_map(call).collect()
    }

    /// The calls of this connection that wait and were not cancelled, and whether they have an
    /// idempotency key.
    pub(crate) fn calls(&self) -> impl Iterator<Item = (CallId, bool)> {
        self.slots
            .iter()
            .flatten()
            .filter_map(|entry| match entry.awaited {
                Awaited::Call {
                    call: Some(call),
                    keyed,
                } => Some((call, keyed)),
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
    fn calls_are_found_by_their_ids_whenever_they_come_and_end() {
        let id = OwnedId::from(7);
        let found = |waiting: &mut Waiting, number| {
            let calls = waiting.cancelled(OwnedId::from(number).as_id());
            calls.into_iter().map(|call| call.0).collect::<Vec<_>>()
        };
        let mut waiting = Waiting::default();
        waiting.insert(entry(7));
        waiting.insert(entry(8));
        assert_eq!(found(&mut waiting, 9), [] as [u64; 0]);
        assert_eq!(found(&mut waiting, 7), [7]);
        assert_eq!(found(&mut waiting, 7), [] as [u64; 0], "cancelled before");
        assert_eq!(waiting.calls().count(), 1);

        // Slots that are used again, by the same id and by others.
        waiting.remove(0);
        waiting.insert(entry(7));
        waiting.remove(0);
        waiting.insert(entry(9));
        waiting.insert(Entry {
            awaited: Awaited::Publish,
            ..entry(7)
        });
        waiting.insert(entry(7));
        waiting.insert(entry(7));
        assert_eq!(found(&mut waiting, 7), [7, 7]);
        assert_eq!(found(&mut waiting, 9), [9]);

        // However many come and go, what is noted stays bounded.
        for _ in 0..10_000 {
            let token = waiting.insert(entry(7));
            waiting.remove(token);
        }
        assert!(waiting.by_id.as_ref().is_none_or(|by_id| by_id.noted < 100));
        waiting.insert(entry(7));
        assert_eq!(found(&mut waiting, 7), [7]);
        assert_eq!(found(&mut waiting, 8), [8]);
        assert_eq!(waiting.cancelled(id.as_id()), []);
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
