use crate::{
    BodyRef, Effects, PutHandle,
    lane::Placed,
    messages::{NO_GROUP, NO_KEY, Stored},
    subscription::{Delayed, Flight, Whereabouts},
    topic::{BACKLOG, Topic},
    traffic::{Due, Traffic},
};
use compact_str::CompactString;
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
    pub(crate) sequence: u64,
    pub(crate) body: BodyRef,
    pub(crate) published_at: Timestamp,
    pub(crate) expires_at: Option<Timestamp>,
    pub(crate) bytes: u32,
    pub(crate) key: Option<CompactString>,
    pub(crate) group: Option<CompactString>,
    pub(crate) priority: Priority,
    /// Subscriptions that it will [stand](Work::stand) in.
    pub(crate) unsettled: u32,
}

impl Work<'_> {
    /// Stores a message that is in no subscription yet.
    pub(crate) fn store(&mut self, message: NewMessage) {
        let sequence = message.sequence;
        let expires_at = message.expires_at.unwrap_or(Timestamp::MAX);
        let key = match message.key {
            Some(key) => self.topic.keys.insert(key, sequence),
            None => NO_KEY,
        };
        let group = match &message.group {
            Some(group) => self.topic.groups.join(group),
            None => NO_GROUP,
        };
        self.topic.messages.insert(Stored {
            sequence,
            body: message.body,
            published_at: message.published_at,
            expires_at,
            bytes: message.bytes,
            unsettled: message.unsettled,
            key,
            group,
            priority: message.priority,
        });
        if expires_at != Timestamp::MAX {
            let topic = self.index;
            self.traffic
                .timers
                .insert(expires_at, Due::Expiry { topic, sequence });
        }
        self.topic.bytes += u64::from(message.bytes);
        self.topic.restock(sequence);
    }

    /// Lets a stored message wait in a subscription, from `until` on.
    pub(crate) fn place(
        &mut self,
        number: u32,
        lane: u8,
        placed: Placed,
        until: Option<Timestamp>,
    ) {
        let sequence = placed.sequence;
        let counted = self.topic.messages.change(sequence, |m| m.unsettled += 1);
        debug_assert!(counted.is_some(), "only stored messages wait");
        self.stand(number, lane, placed, until);
    }

    /// The same for a message that was stored with this subscription counted.
    pub(crate) fn stand(
        &mut self,
        number: u32,
        lane: u8,
        placed: Placed,
        until: Option<Timestamp>,
    ) {
        self.traffic.units += u64::from(self.topic.logs());
        self.queue(number, lane, placed, until);
    }

    /// Lets a message that is counted in a subscription wait there, from `until` on.
    fn queue(&mut self, number: u32, lane: u8, placed: Placed, until: Option<Timestamp>) {
        let Topic {
            subscriptions,
            messages,
            ..
        } = &mut *self.topic;
        let subscription = subscriptions.get_mut(&number);
        let subscription = subscription.expect("the caller holds the number of a live one");
        if let Some(stock) = &mut subscription.stock {
            let bytes = messages.at(placed.sequence).bytes;
            stock.insert(lane, placed.sequence, bytes);
        }
        let Some(until) = until else {
            subscription.waiting.insert(lane, placed);
            self.traffic.wake(subscription.desk);
            return;
        };
        let usual = self.topic.messages.usual_place(placed.sequence);
        let group = self.topic.group_of(placed.sequence);
        let delayed = Delayed {
            until,
            lane,
            placed,
        };
        let subscription = self.topic.subscription_mut(number);
        let before = subscription.delayed.first();
        debug_assert!(usual.is_some(), "only stored messages wait");
        subscription
            .delayed
            .insert(delayed, usual.unwrap_or_default());
        self.traffic.retime(self.index, subscription, before);
        let at = Whereabouts::Delayed(delayed);
        self.traffic.join_line(subscription, group, &at);
    }

    /// Takes a message out of one subscription; frees it if that was the last. False if it
    /// was not there.
    pub(crate) fn settle(&mut self, sequence: u64, number: u32) -> bool {
        let Some(usual) = self.topic.messages.usual_place(sequence) else {
            return false;
        };
        if !self.end_leaving(sequence, number) {
            let group = self.topic.group_of(sequence);
            let subscription = self.topic.subscription_mut(number);
            subscription.failed.remove(&sequence);
            let taken = self
                .traffic
                .withdraw(self.index, subscription, sequence, usual, group);
            if taken.is_none() {
                return false;
            }
        }
        self.unref(sequence, 1);
        self.topic.restock(sequence);
        true
    }

    /// Takes a message out of all subscriptions in which it doesn't leave, and frees it if that
    /// are all; returns how many they were.
    pub(crate) fn discard(&mut self, sequence: u64) -> u32 {
        let stored = self.topic.messages.at(sequence);
        let (usual, group) = (stored.usual_place(), stored.group);
        let mut left = 0;
        for subscription in self.topic.subscriptions.values_mut() {
            let was = self
                .traffic
                .withdraw(self.index, subscription, sequence, usual, group);
            if was.is_some() {
                subscription.failed.remove(&sequence);
                left += 1;
            }
        }
        self.unref(sequence, left);
        self.topic.restock(sequence);
        left
    }

    /// Takes a message out of all subscriptions, also those in which it leaves.
    pub(crate) fn forget(&mut self, sequence: u64) {
        let numbers: Vec<u32> = self.topic.subscriptions.keys().copied().collect();
        for number in numbers {
            self.settle(sequence, number);
        }
        debug_assert!(!self.topic.messages.contains(sequence));
    }

    fn unref(&mut self, sequence: u64, count: u32) {
        self.traffic.units -= u64::from(count) * u64::from(self.topic.logs());
        match self.topic.messages.settle(sequence, count) {
            Some(0) => self.free(sequence),
            Some(_) => self.strip_if_left(sequence),
            None => {}
        }
    }

    /// Forgets a message that no subscription needs.
    fn free(&mut self, sequence: u64) {
        let Some(stored) = self.topic.messages.remove(sequence) else {
            return;
        };
        debug_assert_eq!(stored.unsettled, 0);
        self.topic.bytes -= u64::from(stored.bytes);
        if let Some(stock) = &mut self.topic.stock {
            stock.remove(stored.priority.0, sequence);
        }
        if stored.key != NO_KEY {
            self.topic.keys.remove(stored.key);
        }
        if stored.group != NO_GROUP {
            self.topic.groups.leave(stored.group);
        }
        if stored.expires_at != Timestamp::MAX {
            let topic = self.index;
            self.traffic
                .timers
                .remove(stored.expires_at, Due::Expiry { topic, sequence });
        }
        if stored.body != BodyRef::UNSET {
            self.out.freed.push((stored.body, stored.bytes));
        } else {
            self.unlist_put(sequence);
        }
    }

    /// A message is freed by the same command that put it: nobody will ask for its body.
    fn unlist_put(&mut self, sequence: u64) {
        let topic = self.index;
        let handle = PutHandle { topic, sequence };
        if let Some(found) = self.out.puts.iter().rposition(|(put, _)| *put == handle) {
            self.out.puts.swap_remove(found);
        }
        let memory_puts = &mut self.out.memory_puts;
        if let Some(found) = memory_puts.iter().rposition(|(put, _)| *put == handle) {
            memory_puts.swap_remove(found);
        }
    }

    /// A waiting message is on its way; `attempt` counts this delivery.
    pub(crate) fn depart(&mut self, number: u32, sequence: u64, flight: Flight) {
        let group = self.topic.group_of(sequence);
        let subscription = self.topic.subscription_mut(number);
        subscription.unstock(flight.lane, sequence);
        let earlier = subscription.flights.insert(sequence, flight);
        debug_assert!(earlier.is_none());
        self.traffic
            .set_deadline(self.index, number, sequence, flight.deadline);
        let at = Whereabouts::Flight(flight);
        self.traffic.join_line(subscription, group, &at);
        self.topic.restock(sequence);
    }

    /// A delivery ends without acknowledgement: the message is available again at its
    /// position, at once or after a time. False if it is not in flight.
    pub(crate) fn put_back(
        &mut self,
        sequence: u64,
        number: u32,
        until: Option<Timestamp>,
    ) -> bool {
        let group = self.topic.group_of(sequence);
        let subscription = self.topic.subscription_mut(number);
        let Some(flight) = subscription.flights.get(&sequence).copied() else {
            return false;
        };
        // Of a delivery no place is asked.
        let nowhere = (0, sequence);
        self.traffic
            .withdraw(self.index, subscription, sequence, nowhere, group);
        self.queue(number, flight.lane, flight.placed, until);
        self.topic.restock(sequence);
        self.traffic.wake(self.topic.subscription(number).desk);
        true
    }

    /// The timer of the first delayed message of a subscription has gone off.
    pub(crate) fn end_delay(&mut self, number: u32) {
        let subscription = self.topic.subscription_mut(number);
        let Some((_, sequence)) = subscription.delayed.first() else {
            return;
        };
        let Some(usual) = self.topic.messages.usual_place(sequence) else {
            return;
        };
        let group = self.topic.group_of(sequence);
        let subscription = self.topic.subscription_mut(number);
        if let Some(delayed) = subscription.delayed.remove(sequence, usual) {
            subscription.waiting.insert(delayed.lane, delayed.placed);
            self.traffic.retime(self.index, subscription, None);
            self.traffic.wake(subscription.desk);
            let was = Whereabouts::Delayed(delayed);
            self.traffic.leave_line(subscription, group, &was);
        }
    }

    /// Takes everything that waits out of a subscription, but for what `stays`; returns how
    /// many messages that were.
    pub(crate) fn purge(&mut self, number: u32, stays: impl Fn(u64) -> bool) -> u64 {
        let sequences = self.topic.subscription(number).sequences();
        let mut purged = 0;
        for sequence in sequences {
            if !stays(sequence) {
                purged += u64::from(self.settle(sequence, number));
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
        let sequences = subscription.sequences();
        for sequence in &sequences {
            self.settle(*sequence, number);
        }
        if let Some(closed) = self.topic.subscriptions.remove(&number) {
            self.traffic.close_desk(closed.desk);
            if let Some(name) = closed.name {
                self.topic.names.remove(&name);
            }
        }
        sequences.len() as u64
    }

    /// Removes all subscriptions, and with them all messages.
    pub(crate) fn close_all(&mut self) {
        while let Some(number) = self.topic.subscriptions.keys().next_back().copied() {
            self.close_subscription(number);
        }
        debug_assert_eq!(self.topic.messages.len(), 0);
    }

    pub(crate) fn has_backlog(&self) -> bool {
        self.topic.subscriptions.contains_key(&BACKLOG)
    }
}
