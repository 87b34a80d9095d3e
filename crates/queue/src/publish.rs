//! A message comes in: publish ids, deduplication, its place in every subscription.

use crate::{
    BodyRef, PutHandle,
    core::SEQUENCES_RESERVED,
    lane::Placed,
    moves::Endings,
    record::{Placement, PutPlace, RUN_MAX, Run, encode_pair, encode_put, kind},
    topic::Topic,
    work::{NewMessage, Work},
};
use smallvec::SmallVec;
use trunkline_model::{
    Durability, Message, MessageId, StoredMessage, Timestamp, TopicOptions, Unsubscribed,
};

/// Places that a message takes over, by number of the subscription.
type Places = SmallVec<[Placement; 4]>;

impl Work<'_> {
    /// Puts and logs a message that was checked; returns its identity, or that of the one that
    /// it repeats.
    pub(crate) fn publish(&mut self, now: Timestamp, message: Message) -> MessageId {
        if let Some(first) = self.topic.repeats(now, &message) {
            self.topic.counts.duplicates += 1;
            // Sent again, it is the same one, though the key's window may be over by then.
            if let Some(id) = &message.publish_id {
                self.topic.note_publish_id(id, now, first);
            }
            return self.topic.id(first);
        }
        let sequence = self.next_identity();
        if let Some(id) = &message.publish_id {
            self.topic.note_publish_id(id, now, sequence);
        }
        if let Some(key) = &message.key {
            self.topic.note_key(key, now, sequence);
        }
        if self.topic.drops() {
            self.topic.counts.dropped += 1;
        } else {
            let stored = stored(now, message, &self.topic.options);
            self.put(now, sequence, stored, None);
            self.make_room();
        }
        self.topic.id(sequence)
    }

    /// The sequence of a message that is published now.
    pub(crate) fn next_identity(&mut self) -> u64 {
        let sequence = self.topic.next_sequence;
        self.topic.next_sequence += 1;
        self.topic.counts.published += 1;
        if self.topic.needs_advance(0) {
            self.log_advance();
        }
        sequence
    }

    /// Stores and logs a message, in all subscriptions or in `only` one.
    pub(crate) fn put(
        &mut self,
        now: Timestamp,
        sequence: u64,
        message: StoredMessage,
        only: Option<u32>,
    ) {
        if self.topic.names.is_empty() {
            self.open_backlog();
        }
        let (places, replaces) = match only {
            None => self.take_over(now, &message),
            // Whoever asks for one has seen that nothing is there to be replaced.
            Some(_) => (Places::new(), None),
        };
        let numbers: SmallVec<[u32; 16]> = match only {
            None => self.topic.subscriptions.keys().copied().collect(),
            Some(number) => std::iter::once(number).collect(),
        };
        let key = message.key.clone().filter(|_| self.topic.dedupes());
        self.store(NewMessage {
            sequence,
            body: BodyRef::UNSET,
            published_at: now,
            expires_at: message.expires_at,
            bytes: u32::try_from(message.payload.len()).expect("payloads are bounded far below"),
            key,
            group: message.group.clone(),
            priority: message.priority,
            unsettled: numbers.len() as u32,
        });
        let usual = (message.priority.0, sequence);
        self.stand_in(&numbers, usual, &places, message.deliver_at);
        let put = PutHandle {
            topic: self.index,
            sequence,
        };
        if !self.topic.logs() {
            self.out.memory_puts.push((put, message));
            return;
        }
        let taken_over = |number: &u32| places.iter().any(|place| place.subscription == *number);
        let numbers = numbers.iter().copied();
        let place = PutPlace {
            topic: self.topic.number,
            sequence,
            replaces,
            subscriptions: runs(numbers.filter(|number| !taken_over(number))),
            placements: places.iter().copied(),
        };
        let record = self
            .out
            .log
            .push(kind::PUT, |bytes| encode_put(bytes, place, &message));
        self.out.puts.push((put, record));
    }

    /// Makes room for a message whose key is stored: the older one goes, and where it was
    /// still queued at least as urgently, its place is kept.
    fn take_over(&mut self, now: Timestamp, message: &StoredMessage) -> (Places, Option<u64>) {
        let key = message.key.as_ref().filter(|_| self.topic.dedupes());
        let Some(sequence) = key.and_then(|key| self.topic.keys.find(key)) else {
            return (Places::new(), None);
        };
        let older = self.topic.messages.at(sequence);
        if older.is_expired(now) {
            let mut ends = Endings::default();
            self.expire(now, sequence, &mut ends);
            ends.log(now, self.out);
            return (Places::new(), None);
        }
        let usual = older.usual_place();
        let queued = self.topic.subscriptions.iter().filter_map(|(number, s)| {
            let (lane, position) = s.queued_place(sequence, usual)?;
            (lane <= message.priority.0).then_some(Placement {
                subscription: *number,
                lane,
                position,
                attempts: 0,
            })
        });
        let places = queued.collect();
        self.discard(sequence);
        self.topic.counts.replaced += 1;
        (places, Some(sequence))
    }

    /// A new message waits in subscriptions: where it took over a place, there.
    fn stand_in(
        &mut self,
        numbers: &[u32],
        (lane, sequence): (u8, u64),
        places: &Places,
        until: Option<Timestamp>,
    ) {
        let mut places = places.iter().peekable();
        let fresh = |position| Placed {
            position,
            sequence,
            attempts: 0,
        };
        for number in numbers.iter().copied() {
            match places.next_if(|place| place.subscription == number) {
                Some(kept) => self.stand(number, kept.lane, fresh(kept.position), until),
                None => self.stand(number, lane, fresh(sequence), until),
            }
        }
    }

    /// Reserves more sequences, and says so in the log.
    pub(crate) fn log_advance(&mut self) {
        self.topic.reserved = self.topic.next_sequence.saturating_add(SEQUENCES_RESERVED);
        let (topic, next) = (self.topic.number, self.topic.reserved);
        self.out.log.push(kind::ADVANCE, |bytes| {
            encode_pair(bytes, topic.into(), Some(next));
        });
    }
}

impl Topic {
    /// Whether somebody subscribes.
    pub(crate) fn is_subscribed(&self) -> bool {
        !self.names.is_empty()
    }

    /// Whether a message published now finds nobody and isn't kept.
    pub(crate) fn drops(&self) -> bool {
        self.names.is_empty() && self.options.unsubscribed == Unsubscribed::Drop
    }

    /// Whether the journal must be told that sequences are taken, if so many more are. It
    /// is told long before, so that nobody has to wait for it.
    pub(crate) fn needs_advance(&self, more: u64) -> bool {
        let tells_itself = self.logs() && !self.drops() && !self.may_forget();
        let wanted = self.next_sequence + more + SEQUENCES_RESERVED / 2;
        self.is_durable() && !tells_itself && wanted > self.reserved
    }

    /// Whether messages may be confirmed and delivered that a power loss takes back: their
    /// sequences must be reserved, so that no other message ever gets them.
    pub(crate) fn may_forget(&self) -> bool {
        self.options.durability != Durability::Commit
    }

    /// Reserves the first sequences of a topic that may forget messages.
    pub(crate) fn reserve_sequences(&mut self) {
        if self.may_forget() {
            self.reserved = self.next_sequence.saturating_add(SEQUENCES_RESERVED);
        }
    }
}

/// When a message of a topic expires, and until when it is held back.
pub(crate) fn times(
    now: Timestamp,
    message: &Message,
    options: &TopicOptions,
) -> (Option<Timestamp>, Option<Timestamp>) {
    let expires_at = message.expires.map(|when| when.resolve(now));
    let deliver_at = message.deliver.map(|when| when.resolve(now));
    (
        expires_at.or_else(|| options.default_expiry(now)),
        // What is over is no delay.
        deliver_at.filter(|at| *at > now),
    )
}

pub(crate) fn stored(now: Timestamp, message: Message, options: &TopicOptions) -> StoredMessage {
    let (expires_at, deliver_at) = times(now, &message, options);
    let priority = message.priority_in(options);
    StoredMessage {
        payload: message.payload,
        content_type: message.content_type,
        key: message.key,
        group: message.group,
        publish_id: message.publish_id,
        priority,
        published_at: now,
        expires_at,
        deliver_at,
        headers: message.headers,
        traceparent: message.traceparent,
    }
}

/// Neighbouring numbers together.
pub(crate) fn runs(numbers: impl Iterator<Item = u32>) -> impl Iterator<Item = Run> {
    let mut numbers = numbers.peekable();
    std::iter::from_fn(move || {
        let first = numbers.next()?;
        let mut count = 1;
        while count < RUN_MAX && numbers.next_if_eq(&(first + count)).is_some() {
            count += 1;
        }
        Some(Run { first, count })
    })
}
