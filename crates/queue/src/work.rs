use crate::{
    BodyRef, Effects, PutHandle,
    lane::Placed,
    subscription::{Delayed, Flight, Whereabouts},
    topic::{BACKLOG, NO_KEY, Slot, Topic},
    traffic::{Due, Traffic},
};
use compact_str::CompactString;
use std::num::NonZeroU64;
use trunkline_model::{Priority, Timestamp};

/// One topic with what it shares with others, for the time of a command.
///
/// These are the only ways in which a message changes its state. They log nothing: a
/// command logs what it did, and replaying the log comes here again.
pub(crate) struct Work<'a> {
    pub(crate) index: u32,
    pub(crate) topic: &'a mut Topic,
    pub(crate) traffic: &'a mut Traffic,
    pub(crate) out: &'a mut Effects,
}

/// A message to store.
pub(crate) struct NewMessage {
    pub(crate) sequence: NonZeroU64,
    pub(crate) body: BodyRef,
    pub(crate) published_at: Timestamp,
    pub(crate) expires_at: Option<Timestamp>,
    pub(crate) bytes: u32,
    pub(crate) key: Option<CompactString>,
    pub(crate) priority: Priority,
}

impl Work<'_> {
    /// Stores a message that is in no subscription yet.
    pub(crate) fn store(&mut self, message: NewMessage) -> u32 {
        let expires_at = message.expires_at.unwrap_or(Timestamp::MAX);
        let slot = self.topic.slots.insert(Slot {
            sequence: message.sequence,
            body: message.body,
            published_at: message.published_at,
            expires_at,
            bytes: message.bytes,
            unsettled: 0,
            key: NO_KEY,
            priority: message.priority,
        });
        if let Some(key) = message.key {
            self.topic.slots[slot].key = self.topic.keys.insert(key, slot);
        }
        if expires_at != Timestamp::MAX {
            let topic = self.index;
            self.traffic
                .timers
                .insert(expires_at, Due::Expiry { topic, slot });
        }
        if let Some(index) = &mut self.topic.index {
            index.insert(message.sequence.get(), slot);
        }
        self.topic.bytes += u64::from(message.bytes);
        slot
    }

    /// Lets a stored message wait in a subscription.
    pub(crate) fn place(&mut self, slot: u32, number: u32, lane: u8, position: u64, attempts: u32) {
        self.topic.slots[slot].unsettled += 1;
        self.traffic.units += u64::from(self.topic.logs());
        let placed = Placed {
            position,
            slot,
            attempts,
        };
        let subscription = self.topic.subscription_mut(number);
        subscription.waiting.insert(lane, placed);
        self.traffic.wake(subscription.desk);
    }

    /// Takes a message out of one subscription; frees it if that was the last. False if it
    /// was not there.
    pub(crate) fn settle(&mut self, slot: u32, number: u32) -> bool {
        let Some(stored) = self.topic.slots.get(slot) else {
            return false;
        };
        let usual = stored.usual_place();
        let subscription = self.topic.subscription_mut(number);
        let Some(was) = subscription.withdraw(slot, usual) else {
            return false;
        };
        self.traffic.forget(self.index, number, slot, was);
        self.unref(slot, 1);
        true
    }

    /// Takes a message out of all subscriptions and frees it.
    pub(crate) fn discard(&mut self, slot: u32) {
        let usual = self.topic.slots[slot].usual_place();
        let mut left = 0;
        for (number, subscription) in &mut self.topic.subscriptions {
            if let Some(was) = subscription.withdraw(slot, usual) {
                self.traffic.forget(self.index, *number, slot, was);
                left += 1;
            }
        }
        debug_assert_eq!(left, self.topic.slots[slot].unsettled);
        self.unref(slot, left);
    }

    fn unref(&mut self, slot: u32, count: u32) {
        self.traffic.units -= u64::from(count) * u64::from(self.topic.logs());
        let stored = &mut self.topic.slots[slot];
        stored.unsettled -= count;
        if stored.unsettled == 0 {
            self.free(slot);
        }
    }

    /// Forgets a message that no subscription needs.
    fn free(&mut self, slot: u32) {
        let Some(stored) = self.topic.slots.remove(slot) else {
            return;
        };
        debug_assert_eq!(stored.unsettled, 0);
        self.topic.bytes -= u64::from(stored.bytes);
        if stored.key != NO_KEY {
            self.topic.keys.remove(stored.key);
        }
        if stored.expires_at != Timestamp::MAX {
            let topic = self.index;
            self.traffic
                .timers
                .remove(stored.expires_at, Due::Expiry { topic, slot });
        }
        if let Some(index) = &mut self.topic.index {
            index.remove(&stored.sequence.get());
        }
        if stored.body != BodyRef::UNSET {
            self.out.freed.push((stored.body, stored.bytes));
        } else {
            self.unlist_put(slot, stored.sequence.get());
        }
    }

    /// A message is freed by the same command that put it: nobody will ask for its body.
    fn unlist_put(&mut self, slot: u32, sequence: u64) {
        let topic = self.index;
        let handle = PutHandle {
            topic,
            slot,
            sequence,
        };
        if let Some(found) = self.out.puts.iter().rposition(|(put, _)| *put == handle) {
            self.out.puts.swap_remove(found);
        }
        let memory_puts = &mut self.out.memory_puts;
        if let Some(found) = memory_puts.iter().rposition(|(put, _)| *put == handle) {
            memory_puts.swap_remove(found);
        }
    }

    /// A waiting message is on its way; `attempt` counts this delivery.
    pub(crate) fn depart(&mut self, number: u32, slot: u32, flight: Flight) {
        let subscription = self.topic.subscription_mut(number);
        let earlier = subscription.flights.insert(slot, flight);
        debug_assert!(earlier.is_none());
        self.traffic
            .set_deadline(self.index, number, slot, flight.deadline);
    }

    /// A delivery ends without acknowledgement: the message is available again at its
    /// position, at once or after a time. False if it is not in flight.
    pub(crate) fn put_back(&mut self, slot: u32, number: u32, until: Option<Timestamp>) -> bool {
        let topic = self.index;
        let subscription = self.topic.subscription_mut(number);
        let Some(flight) = subscription.flights.remove(&slot) else {
            return false;
        };
        let Flight { lane, placed, .. } = flight;
        let desk = subscription.desk;
        match until {
            None => subscription.waiting.insert(lane, placed),
            Some(until) => {
                let delayed = Delayed {
                    until,
                    lane,
                    placed,
                };
                subscription.delayed.insert(slot, delayed);
                let due = Due::Delay {
                    topic,
                    subscription: number,
                    slot,
                };
                self.traffic.timers.insert(until, due);
            }
        }
        self.traffic
            .forget(topic, number, slot, Whereabouts::Flight(flight));
        self.traffic.wake(desk);
        true
    }

    /// A delayed message is available.
    pub(crate) fn end_delay(&mut self, slot: u32, number: u32) {
        let subscription = self.topic.subscription_mut(number);
        if let Some(Delayed { lane, placed, .. }) = subscription.delayed.remove(&slot) {
            subscription.waiting.insert(lane, placed);
            self.traffic.wake(subscription.desk);
        }
    }

    /// Takes everything that waits out of a subscription, but for what `stays`; returns how
    /// many messages that were.
    pub(crate) fn purge(&mut self, number: u32, stays: impl Fn(u64) -> bool) -> u64 {
        let slots = self.topic.subscription(number).slots();
        let mut purged = 0;
        for slot in slots {
            if !stays(self.topic.slots[slot].sequence.get()) {
                purged += u64::from(self.settle(slot, number));
            }
        }
        self.topic.counts.dropped += purged;
        purged
    }

    /// Removes a subscription without consumers; returns how many messages it had.
    pub(crate) fn close_subscription(&mut self, number: u32) -> u64 {
        let Some(subscription) = self.topic.subscriptions.get(&number) else {
            return 0;
        };
        let slots = subscription.slots();
        for slot in &slots {
            self.settle(*slot, number);
        }
        if let Some(closed) = self.topic.subscriptions.remove(&number) {
            self.traffic.close_desk(closed.desk);
            if let Some(name) = closed.name {
                self.topic.names.remove(&name);
            }
        }
        slots.len() as u64
    }

    /// Removes all subscriptions, and with them all messages.
    pub(crate) fn close_all(&mut self) {
        while let Some(number) = self.topic.subscriptions.keys().next_back().copied() {
            self.close_subscription(number);
        }
        debug_assert_eq!(self.topic.slots.len(), 0);
    }

    pub(crate) fn has_backlog(&self) -> bool {
        self.topic.subscriptions.contains_key(&BACKLOG)
    }
}
