//! What a [`BodyRef`] means here: a place in the journal, or a slot of a slab in memory.

use trunkline_journal::Place;
use trunkline_model::StoredMessage;
use trunkline_queue::BodyRef;

/// Set in references to the slab. Segment numbers, the upper half of a place, stay below
/// 2³¹: at 256 KiB each that is half a petabyte.
const IN_MEMORY: u64 = 1 << 63;

/// Where a body is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BodyAt {
    Journal(Place),
    Memory(usize),
}

impl BodyAt {
    pub(crate) const fn of(body: BodyRef) -> Self {
        let BodyRef(bits) = body;
        if bits & IN_MEMORY == 0 {
            Self::Journal(Place::from_bits(bits))
        } else {
            Self::Memory((bits & !IN_MEMORY) as usize)
        }
    }

    pub(crate) const fn body_ref(self) -> BodyRef {
        match self {
            Self::Journal(place) => BodyRef(place.to_bits()),
            Self::Memory(slot) => BodyRef(slot as u64 | IN_MEMORY),
        }
    }
}

/// Slots whose memory is kept when all of them are free.
const KEPT_SLOTS: usize = 1 << 10;

/// Messages of topics with durability `memory`.
#[derive(Debug, Default)]
pub(crate) struct Slab {
    slots: Vec<Option<StoredMessage>>,
    free: Vec<usize>,
}

impl Slab {
    pub(crate) fn insert(&mut self, message: StoredMessage) -> BodyRef {
        let slot = match self.free.pop() {
            Some(slot) => {
                self.slots[slot] = Some(message);
                slot
            }
            None => {
                self.slots.push(Some(message));
                self.slots.len() - 1
            }
        };
        BodyAt::Memory(slot).body_ref()
    }

    pub(crate) fn get(&self, slot: usize) -> Option<&StoredMessage> {
        self.slots.get(slot)?.as_ref()
    }

    pub(crate) fn remove(&mut self, slot: usize) {
        let freed = self.slots.get_mut(slot).filter(|held| held.is_some());
        debug_assert!(freed.is_some(), "a body is freed once");
        if let Some(held) = freed {
            // Dropped in its place: it is large.
            *held = None;
            self.free.push(slot);
        }
        if self.free.len() == self.slots.len() && self.slots.len() > KEPT_SLOTS {
            // Empty after a burst: let its memory go.
            self.slots = Vec::new();
            self.free = Vec::new();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_keep_their_meaning() {
        for at in [
            BodyAt::Journal(Place::new(1, 4096)),
            BodyAt::Journal(Place::new((1 << 31) - 1, u32::MAX)),
            BodyAt::Memory(0),
            BodyAt::Memory(1 << 40),
        ] {
            assert_eq!(BodyAt::of(at.body_ref()), at);
            assert_ne!(at.body_ref(), BodyRef::UNSET);
        }
    }

    #[test]
    fn slots_are_used_again() {
        let message = |text: &'static str| StoredMessage {
            payload: text.into(),
            content_type: Default::default(),
            key: None,
            group: None,
            publish_id: None,
            priority: Default::default(),
            published_at: Default::default(),
            expires_at: None,
            deliver_at: None,
            headers: Default::default(),
            traceparent: None,
        };
        let mut slab = Slab::default();
        let (a, b) = (slab.insert(message("a")), slab.insert(message("b")));
        assert_eq!(
            (BodyAt::of(a), BodyAt::of(b)),
            (BodyAt::Memory(0), BodyAt::Memory(1))
        );
        slab.remove(0);
        assert_eq!(slab.get(1), Some(&message("b")));
        assert_eq!(slab.insert(message("c")), a);
        slab.remove(0);
        slab.remove(1);
        assert!(slab.get(0).is_none() && slab.get(9).is_none());
    }
}
