//! Recovery: records make the state again.
//!
//! A record may name what is not there: its message's segment was freed before its own. It
//! may also name a topic or subscription whose definition comes only later: the segment
//! with the first definition was freed after another copy had been written.

use crate::{
    BodyRef, Core, Effects, ReplayError,
    lane::Placed,
    leaving::Wait,
    moves::Endings,
    record::{
        Attempt, Define, Delivered, Left, Put, Reason, Record, RememberedId, Returned, Subscribe,
    },
    subscription::Flight,
    topic::Topic,
    work::{NewMessage, Work},
};
use std::time::Duration;
use trunkline_model::{Dedupe, Span, Timestamp, TopicOptions};

impl Core {
    /// Repeats what a record says; `body` is where a put's body is. Records come in the
    /// order in which they were logged, before anything else is asked of the core.
    ///
    /// # Errors
    /// [`ReplayError`] if the record contradicts earlier ones.
    pub fn replay(&mut self, record: Record<'_>, body: BodyRef) -> Result<(), ReplayError> {
        let mut out = std::mem::take(&mut self.scratch);
        let replayed = self.replay_into(record, body, &mut out);
        out.clear();
        self.scratch = out;
        replayed
    }

    fn replay_into(
        &mut self,
        record: Record<'_>,
        body: BodyRef,
        out: &mut Effects,
    ) -> Result<(), ReplayError> {
        match record {
            Record::Define(define) => return self.replay_define(*define),
            Record::Undefine { topic } => {
                if let Some(index) = self.by_number.get(&topic).copied() {
                    self.remove_topic(index, out);
                }
            }
            Record::Subscribe(subscribe) => return self.replay_subscribe(*subscribe, out),
            Record::Unsubscribe {
                topic,
                subscription,
            } => {
                self.replayed(topic, out).close_subscription(subscription);
            }
            Record::Advance {
                topic,
                next_sequence,
            } => {
                let topic = self.replayed(topic, out).topic;
                topic.next_sequence = topic.next_sequence.max(next_sequence);
                topic.reserved = topic.reserved.max(next_sequence);
            }
            Record::Count { next_topic } => self.next_number = self.next_number.max(next_topic),
            Record::Remember(remember) => {
                let topic = self.replayed(remember.topic, out).topic;
                for RememberedId { id, at, sequence } in remember.ids.iter() {
                    topic.note_publish_id(id, at, sequence);
                }
            }
            Record::RememberKeys(remember) => {
                let topic = self.replayed(remember.topic, out).topic;
                for RememberedId { id, at, sequence } in remember.ids.iter() {
                    topic.note_key(id, at, sequence);
                }
            }
            Record::Put(put) => self.replayed(put.topic, out).replay_put(&put, body),
            Record::Deliver(delivered) => {
                self.replayed(delivered.topic, out)
                    .replay_deliver(delivered);
            }
            Record::Return(returned) => {
                self.replayed(returned.topic, out).replay_return(returned);
            }
            Record::Ack(settled) => {
                let mut work = self.replayed(settled.topic, out);
                for sequence in settled.messages.iter() {
                    if work.replay_settle(sequence, settled.subscription) {
                        let number = settled.subscription;
                        work.topic.subscription_mut(number).counts.acked += 1;
                    }
                }
            }
            Record::Settle(settled, _) => {
                let mut work = self.replayed(settled.topic, out);
                for sequence in settled.messages.iter() {
                    let was_there = work.replay_settle(sequence, settled.subscription);
                    work.topic.counts.dropped += u64::from(was_there);
                }
            }
            Record::Drop(dropped) => {
                let mut work = self.replayed(dropped.topic, out);
                for sequence in dropped.messages.iter() {
                    if work.topic.messages.contains(sequence) {
                        work.discard(sequence);
                        let counts = &mut work.topic.counts;
                        match dropped.reason {
                            Reason::Expired => counts.expired += 1,
                            Reason::Redriven => {}
                            Reason::Rejected | Reason::Exhausted | Reason::Overflow => {
                                counts.dropped += 1;
                            }
                        }
                    }
                }
            }
            Record::Purge(purged) => {
                let mut except: Vec<u64> = purged.except.iter().collect();
                except.sort_unstable();
                let stays = |sequence| except.binary_search(&sequence).is_ok();
                let mut work = self.replayed(purged.topic, out);
                if work.topic.subscriptions.contains_key(&purged.subscription) {
                    work.purge(purged.subscription, stays);
                }
            }
            Record::Leave(left) => {
                let mut work = self.replayed(left.topic, out);
                for Attempt { sequence, attempt } in left.messages.iter() {
                    work.replay_leave(&left, sequence, attempt);
                }
            }
            Record::Bury(settled) => {
                let mut work = self.replayed(settled.topic, out);
                for sequence in settled.messages.iter() {
                    if work.replay_settle(sequence, settled.subscription) {
                        work.count_dead(settled.subscription);
                    }
                }
            }
        }
        Ok(())
    }

    /// The topic with a number, made without a name if its definition is still to come.
    fn replayed<'a>(&'a mut self, number: u32, out: &'a mut Effects) -> Work<'a> {
        let index = self.replayed_index(number);
        self.work(index, out)
    }

    fn replayed_index(&mut self, number: u32) -> u32 {
        if let Some(index) = self.by_number.get(&number) {
            return *index;
        }
        // Options that lose nothing whatever the definition will say.
        let options = TopicOptions {
            dedupe: Dedupe::Latest,
            publish_id_window: Span(Duration::from_secs(u32::MAX.into())),
            ..TopicOptions::default()
        };
        self.insert_topic(Topic::new(number, None, options))
    }

    fn replay_define(&mut self, define: Define) -> Result<(), ReplayError> {
        let number = define.topic;
        self.next_number = self.next_number.max(number.saturating_add(1));
        let index = self.replayed_index(number);
        if let Some(other) = self.find(&define.name).filter(|other| *other != index) {
            return Err(ReplayError::NameTaken {
                number,
                name: define.name.to_string(),
                other: self.topics[other].number,
            });
        }
        self.by_name.insert(define.name.clone(), index);
        self.in_order.insert(define.name.clone(), index);
        let topic = &mut self.topics[index];
        topic.name = Some(define.name);
        // Decoding has seen that the settings resolve.
        topic.set_options(define.settings.resolve().unwrap_or_default());
        topic.next_sequence = topic.next_sequence.max(define.next_sequence);
        topic.reserved = topic.next_sequence;
        topic.next_subscription = topic.next_subscription.max(define.next_subscription);
        topic.counts = define.counts;
        Ok(())
    }

    fn replay_subscribe(
        &mut self,
        subscribe: Subscribe,
        out: &mut Effects,
    ) -> Result<(), ReplayError> {
        let mut work = self.replayed(subscribe.topic, out);
        let number = subscribe.subscription;
        let holder = work.topic.names.get(&subscribe.name);
        if holder.is_some_and(|other| *other != number) {
            return Err(ReplayError::SubscriptionNameTaken {
                topic: subscribe.topic,
                number,
                name: subscribe.name.to_string(),
            });
        }
        work.open_subscription(subscribe);
        Ok(())
    }

    /// Stored messages whose topic or subscription was never defined: the log lacks
    /// something. To be asked before [`Core::recovered`], which gives them up.
    pub fn orphans(&self) -> u64 {
        let orphaned = |topic: &Topic| -> u64 {
            if topic.name.is_none() {
                return topic.messages.len() as u64;
            }
            let nameless = topic.subscriptions.values().filter(|s| s.is_orphan());
            nameless.map(|s| s.sequences().len() as u64).sum()
        };
        self.topics.iter().map(|(_, topic)| orphaned(topic)).sum()
    }

    /// Ends recovery: deliveries of consumers of the last run are available again, with
    /// their attempts counted, and what expired meanwhile is gone. What this frees is not
    /// among [`Core::bodies`] afterwards.
    ///
    /// A topic that may forget messages (all but `durability: commit`) reserves its next
    /// sequences here, with a record of kind [`KIND_ADVANCE`](crate::KIND_ADVANCE): nothing may
    /// be published before that is durable, or the next run would give the same sequences
    /// again.
    pub fn recovered(&mut self, now: Timestamp, out: &mut Effects) {
        let topics: Vec<u32> = self.topics.iter().map(|(index, _)| index).collect();
        let mut ends = Endings::default();
        for index in topics {
            if self.topics[index].name.is_none() {
                self.remove_topic(index, out);
            } else {
                self.work(index, out).recover(now, &mut ends);
            }
        }
        let names: Vec<u32> = self.by_number.values().copied().collect();
        for index in names {
            let mut work = self.work(index, out);
            work.serve_in_order();
            work.topic.publish_ids.sort();
            work.topic.first_keys.sort();
            if work.topic.may_forget() {
                work.log_advance();
            }
        }
        ends.log(now, out);
        while self.next_deadline().is_some_and(|due| due <= now) {
            self.tick(now, out);
        }
    }

    /// Every body that is stored, with its payload bytes: after recovery, for the engine's
    /// count of live puts a segment.
    pub fn bodies(&self, visit: &mut dyn FnMut(BodyRef, u32)) {
        for (_, topic) in self.topics.iter() {
            for stored in topic.messages.iter() {
                visit(stored.body, stored.bytes);
            }
        }
    }

    /// The same, told by the upper halves of the [`BodyRef`]s: each with how many bodies have
    /// it and their payload bytes, in several parts. Much faster where neighbours have the
    /// same.
    pub fn upper_halves(&self, visit: &mut dyn FnMut(u32, u64, u64)) {
        for (_, topic) in self.topics.iter() {
            topic.messages.upper_halves(visit);
        }
    }
}

impl Work<'_> {
    fn replay_put(&mut self, put: &Put<'_>, body: BodyRef) {
        let sequence = put.sequence;
        // A copy further on in the log wins.
        let is_new = sequence >= self.topic.next_sequence && sequence < u64::MAX;
        let again = (!is_new).then_some(sequence);
        if let Some(older) = put
            .replaces
            .filter(|older| self.topic.messages.contains(*older))
        {
            self.discard(older);
        }
        if let Some(older) = again {
            self.forget(older);
        }
        let topic = &mut *self.topic;
        if topic.next_sequence <= put.sequence {
            topic.next_sequence = put.sequence.saturating_add(1);
            topic.counts.published += u64::from(!put.copy);
            topic.counts.replaced += u64::from(put.replaces.is_some());
        }
        // The id of a copy was in the window when its message was new. If it still is, a record
        // of its own says so.
        if let Some(id) = put.publish_id.filter(|_| !put.copy) {
            topic.note_publish_id(id, put.published_at, put.sequence);
        }
        if let Some(key) = put.key.filter(|_| !put.copy) {
            topic.note_key(key, put.published_at, put.sequence);
        }
        let key = put.key.filter(|_| topic.dedupes());
        // A message that only leaves has lost its key, though no record says so.
        if let Some(holder) = key.and_then(|key| self.topic.keys.find(key))
            && self.topic.only_leaves(holder)
        {
            self.lose_key(holder);
        }
        self.store(NewMessage {
            sequence,
            body,
            published_at: put.published_at,
            expires_at: put.expires_at,
            bytes: put.payload_bytes,
            // On a topic without definition yet, two messages may have the same key.
            key: key
                .filter(|key| self.topic.keys.find(key).is_none())
                .map(Into::into),
            group: put.group.map(Into::into),
            priority: put.priority,
            unsettled: 0,
        });
        let usual = (put.priority.0, put.sequence);
        for number in put.subscriptions.iter().flat_map(|run| run.numbers()) {
            self.open(number);
            let placed = Placed {
                position: usual.1,
                sequence,
                attempts: 0,
            };
            self.place(number, usual.0, placed, put.deliver_at);
        }
        for place in put.placements.iter() {
            self.open(place.subscription);
            let placed = Placed {
                position: place.position,
                sequence,
                attempts: place.attempts,
            };
            self.place(place.subscription, place.lane, placed, put.deliver_at);
        }
    }

    fn replay_deliver(&mut self, delivered: Delivered<'_>) {
        for Attempt { sequence, attempt } in delivered.messages.iter() {
            self.fly(
                sequence,
                delivered.subscription,
                delivered.at,
                Some(attempt),
            );
        }
    }

    /// A message was in flight from `at` on, in a run before this one.
    fn fly(&mut self, sequence: u64, number: u32, at: Timestamp, attempt: Option<u32>) {
        let Some(stored) = self.topic.messages.get(sequence) else {
            return;
        };
        let usual = stored.usual_place();
        let Some(subscription) = self.topic.subscriptions.get_mut(&number) else {
            return;
        };
        let taken = self
            .traffic
            .withdraw(self.index, subscription, sequence, usual, stored.group);
        let Some(was) = taken else {
            return;
        };
        let (lane, mut placed) = was.place();
        if let Some(attempt) = attempt {
            // A copied put knows the attempt that is said with it.
            let is_new = attempt != placed.attempts;
            placed.attempts = attempt;
            subscription.counts.redelivered += u64::from(attempt > 1 && is_new);
        }
        let timeout = subscription.options.ack_timeout.0;
        let flight = Flight {
            lane,
            placed,
            deadline: match timeout.is_zero() {
                true => Timestamp::MAX,
                false => at.after(timeout),
            },
            holder: None,
            order: self.traffic.stamp(),
        };
        self.depart(number, sequence, flight);
    }

    fn replay_return(&mut self, returned: Returned<'_>) {
        let number = returned.subscription;
        for sequence in returned.messages.iter() {
            if returned.until.is_some() {
                // Its delivery may not have been logged; the delay holds all the same.
                self.fly_if_waiting(sequence, number);
            }
            if self.topic.messages.contains(sequence)
                && self.topic.subscriptions.contains_key(&number)
            {
                self.put_back(sequence, number, returned.until);
                self.note_failure(sequence, number, returned.failed_at);
            }
        }
    }

    fn note_failure(&mut self, sequence: u64, number: u32, failed_at: Option<Timestamp>) {
        let usual = self.topic.messages.usual_place(sequence);
        let subscription = self.topic.subscription_mut(number);
        if let (Some(at), Some(usual)) = (failed_at, usual)
            && subscription.has(sequence, usual)
        {
            subscription.failed.entry(sequence).or_insert(at);
        }
    }

    fn replay_leave(&mut self, left: &Left<'_>, sequence: u64, attempts: u32) {
        if self
            .leave(left.at, sequence, left.subscription, left.reason)
            .is_some()
        {
            let subscription = self.topic.subscription_mut(left.subscription);
            if let Some(leaving) = subscription.leaving.get_mut(&sequence) {
                leaving.placed.attempts = attempts;
            }
        }
    }

    fn fly_if_waiting(&mut self, sequence: u64, number: u32) {
        if self.topic.messages.contains(sequence)
            && let Some(subscription) = self.topic.subscriptions.get(&number)
            && !subscription.flights.contains_key(&sequence)
        {
            self.fly(sequence, number, Timestamp::ZERO, None);
        }
    }

    fn replay_settle(&mut self, sequence: u64, number: u32) -> bool {
        self.topic.subscriptions.contains_key(&number) && self.settle(sequence, number)
    }

    /// Whose turn it is first does not depend on where the log starts.
    fn serve_in_order(&mut self) {
        for subscription in self.topic.subscriptions.values() {
            let stamp = self.traffic.stamp();
            let desk = &mut self.traffic.desks[subscription.desk];
            debug_assert!(desk.ready.is_empty(), "consumers come after recovery");
            desk.served = stamp;
        }
    }

    fn recover(&mut self, now: Timestamp, ends: &mut Endings) {
        let numbers: Vec<u32> = self.topic.subscriptions.keys().copied().collect();
        for number in numbers {
            if self.topic.subscription(number).is_orphan() {
                self.close_subscription(number);
                continue;
            }
            let flights = self.topic.subscription(number).flights.keys();
            let sequences: Vec<u64> = flights.copied().collect();
            for sequence in sequences {
                self.end_attempt(now, sequence, number, Wait::Nothing, ends);
            }
        }
        debug_assert!(!self.has_backlog() || self.topic.names.is_empty());
    }
}
