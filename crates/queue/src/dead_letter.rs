//! Dead letters: what a subscription gave up is stored in another topic, and settled here, in
//! one unit.

use crate::{
    BodyRef, Core, Cost, Effects,
    check::{FRAME_BYTES, SETTLE_BYTES, SETTLE_BYTES_MORE},
    leaving::Leaving,
    moves::{Move, Moves},
    record::{Parts, Reason, kind, stored_bytes_max},
    subscription::Subscription,
    topic::Topic,
    work::Work,
};
use trunkline_model::{
    Durability, Error, MessageId, StoredMessage, SubscriptionOptions, Timestamp, TopicName,
    TopicOptions, dead_letter, refusal,
};

/// A message that a subscription gave up and whose body is needed for its dead letter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Departure {
    /// Which message.
    pub id: MessageId,
    /// Where its body is.
    pub body: BodyRef,
    /// Bytes of its payload.
    pub bytes: u32,
    subscription: u32,
    stamp: u64,
}

/// The topic that takes a dead letter.
enum Grave {
    There(u32),
    Made(TopicName, Box<TopicOptions>),
}

impl Core {
    /// The next message whose dead letter is to be stored: the engine reads its body and calls
    /// [`Core::bury`], [`Core::put_off`] or [`Core::park`]. In the order in which messages were
    /// given up.
    pub fn next_departure(&mut self) -> Option<Departure> {
        let (stamp, leaver) = self.traffic.leaving.pop_first()?;
        let topic = &self.topics[leaver.topic];
        let stored = topic.messages.at(leaver.sequence);
        debug_assert_ne!(stored.body, BodyRef::UNSET, "bodies are set before");
        Some(Departure {
            id: topic.id(leaver.sequence),
            body: stored.body,
            bytes: stored.bytes,
            subscription: leaver.subscription,
            stamp,
        })
    }

    /// Whether [`Core::next_departure`] has one.
    pub fn has_departures(&self) -> bool {
        !self.traffic.leaving.is_empty()
    }

    /// There is no space for a dead letter now: its message will be asked for again.
    pub fn put_off(&mut self, departure: &Departure) {
        if let Some((topic, leaving)) = self.departing(departure) {
            let leaver = crate::leaving::Leaver {
                topic,
                subscription: departure.subscription,
                sequence: departure.id.sequence,
            };
            self.traffic.leaving.insert(leaving.stamp, leaver);
        }
    }

    /// A dead letter can't be made, since the message can't be read or became too large: it
    /// stays where it is, until a purge, or until the next start tries again.
    pub fn park(&mut self, departure: &Departure) {
        if let Some((topic, _)) = self.departing(departure) {
            let subscription = self.topics[topic].subscription_mut(departure.subscription);
            if let Some(leaving) = subscription.leaving.get_mut(&departure.id.sequence) {
                leaving.is_parked = true;
            }
        }
    }

    /// What [`Core::bury`] may cost.
    pub fn check_burial(
        &self,
        now: Timestamp,
        departure: &Departure,
        message: &StoredMessage,
    ) -> Cost {
        let mut cost = Cost::default();
        let Some((index, leaving)) = self.departing(departure) else {
            return cost;
        };
        let topic = &self.topics[index];
        if topic.logs() {
            cost.settle_bytes = SETTLE_BYTES + FRAME_BYTES;
            cost.durability = topic.options.durability;
            cost.logs = true;
        }
        let grave = self.grave(topic, departure.subscription, message);
        let (grave, options) = match &grave {
            None => return cost,
            Some(Grave::There(grave)) => {
                let grave = &self.topics[*grave];
                (Some(grave), &grave.options)
            }
            Some(Grave::Made(name, options)) => {
                self.cost_of_definition(name.len(), options, &mut cost);
                (None, &**options)
            }
        };
        if options.durability != Durability::Memory && !options.transient {
            let number = departure.subscription;
            let letter = letter(now, topic, number, &leaving, options, message.clone());
            let subscriptions = grave.map_or(1, |grave| grave.subscriptions.len().max(1));
            let victims = grave.map_or(0, |grave| grave.victims(departure.bytes).len());
            cost.growth_bytes += stored_bytes_max(&letter, subscriptions) + FRAME_BYTES;
            // What it takes the place of: by its key, and to make room.
            let over = grave.map_or(0, Topic::expiry_bytes_max);
            cost.growth_bytes += over + SETTLE_BYTES + FRAME_BYTES + victims * SETTLE_BYTES_MORE;
            cost.durability = cost.durability.max(options.durability);
            cost.logs = true;
        }
        if grave.is_some_and(|grave| grave.needs_advance(1)) {
            cost.growth_bytes += SETTLE_BYTES + FRAME_BYTES;
            cost.logs = true;
        }
        cost
    }

    /// Stores the dead letter of a message and settles the message, in one unit of records; or
    /// drops it, if there is no topic for it any more, or it is a dead letter already. Nothing
    /// if it is gone meanwhile.
    pub fn bury(
        &mut self,
        now: Timestamp,
        departure: &Departure,
        message: StoredMessage,
        out: &mut Effects,
    ) {
        let Some((index, leaving)) = self.departing(departure) else {
            return;
        };
        let (number, sequence) = (departure.subscription, departure.id.sequence);
        let topic = &self.topics[index];
        let grave = match self.grave(topic, number, &message) {
            Some(Grave::There(grave)) => Some(grave),
            Some(Grave::Made(name, options)) => Some(self.make_topic(name, *options, out)),
            None => None,
        };
        if let Some(grave) = grave {
            let options = &self.topics[grave].options;
            let topic = &self.topics[index];
            let letter = letter(now, topic, number, &leaving, options, message);
            self.work(grave, out).inter(now, letter);
        }
        let mut work = self.work(index, out);
        work.settle(sequence, number);
        match grave {
            Some(_) => work.count_dead(number),
            None => work.topic.counts.dropped += 1,
        }
        if work.topic.logs() {
            let parts = Parts::of(work.topic.number, number);
            let (kind, parts) = match grave {
                Some(_) => (kind::BURY, parts),
                None => (kind::SETTLE, parts.because(leaving.reason)),
            };
            let one = std::iter::once(sequence);
            out.log.push(kind, |bytes| parts.encode(bytes, one));
        }
    }

    /// The topic's index and what is known of a message that still leaves.
    fn departing(&self, departure: &Departure) -> Option<(u32, Leaving)> {
        let index = *self.by_number.get(&departure.id.topic)?;
        let subscriptions = &self.topics[index].subscriptions;
        let subscription = subscriptions.get(&departure.subscription)?;
        let leaving = subscription.leaving.get(&departure.id.sequence)?;
        (leaving.stamp == departure.stamp).then_some((index, *leaving))
    }

    /// Where a message goes that a subscription gave up. A dead letter is never dead-lettered
    /// again.
    fn grave(&self, topic: &Topic, number: u32, message: &StoredMessage) -> Option<Grave> {
        let is_letter = message.headers.get(dead_letter::ID).is_some();
        let options = &topic.subscription(number).options;
        let name = options.dead_letter.as_ref()?;
        if is_letter || !topic.buries(number) {
            return None;
        }
        if let Some(grave) = self.find(name) {
            return Some(Grave::There(grave));
        }
        let defaults = self.defaults.as_ref().ok();
        let defaults = defaults.filter(|_| self.auto_create && !name.is_reserved())?;
        let options = dead_letter::options(defaults, &topic.options);
        Some(Grave::Made(name.clone(), Box::new(options)))
    }

    /// Whether the dead letters of a topic, or of a subscription with options of its own, have
    /// where to go.
    ///
    /// # Errors
    /// `InvalidParams` if that is the topic itself; `Conflict` if it is less durable.
    pub(crate) fn check_letters(
        &self,
        name: &str,
        options: &TopicOptions,
        dead_letter: Option<&TopicName>,
    ) -> Result<(), Error> {
        let Some(grave) = dead_letter.filter(|_| !options.transient) else {
            return Ok(());
        };
        if grave.as_str() == name {
            return Err(refusal::buries_itself(name));
        }
        match self.find(grave).map(|index| &self.topics[index].options) {
            Some(other) if other.durability < options.durability => {
                Err(refusal::weak_grave(grave, other.durability, name))
            }
            _ => Ok(()),
        }
    }

    /// Whether a topic with these options can go on taking the dead letters of others.
    pub(crate) fn check_grave(&self, name: &str, options: &TopicOptions) -> Result<(), Error> {
        if options.durability == Durability::Commit {
            return Ok(());
        }
        let buries = |options: &SubscriptionOptions| {
            let dead_letter = options.dead_letter.as_ref();
            dead_letter.is_some_and(|grave| grave.as_str() == name)
        };
        let stronger = self.topics.iter().map(|(_, topic)| topic).find(|topic| {
            let own = topic.options.dead_letter.as_ref();
            topic.options.durability > options.durability
                && !topic.options.transient
                && (own.is_some_and(|grave| grave.as_str() == name)
                    || topic.subscriptions.values().any(|s| buries(&s.options)))
        });
        match stronger {
            Some(topic) => Err(refusal::weak_grave(name, options.durability, topic.label())),
            None => Ok(()),
        }
    }
}

impl Topic {
    /// The messages that leave so that one of so many bytes fits: the oldest that nobody was
    /// handed. Fewer than are needed if there are no more.
    pub(crate) fn victims(&self, bytes: u32) -> Vec<u64> {
        let max_messages = self.options.max_messages.unwrap_or(u64::MAX);
        let max_bytes = self.options.max_bytes.map_or(u64::MAX, |max| max.0);
        let (mut messages, mut stored) = (self.messages.len() as u64, self.bytes);
        let mut victims = Vec::new();
        let is_over = |messages: u64, stored: u64| {
            messages >= max_messages || stored.saturating_add(bytes.into()) > max_bytes
        };
        if !is_over(messages, stored) {
            return victims;
        }
        for message in self.messages.iter() {
            if !is_over(messages, stored) {
                break;
            }
            if self.is_idle(message.sequence) {
                messages -= 1;
                stored -= u64::from(message.bytes);
                victims.push(message.sequence);
            }
        }
        victims
    }

    /// What is logged at most when one message expires on the way of a command.
    pub(crate) fn expiry_bytes_max(&self) -> usize {
        let buries = |s: &&Subscription| s.options.dead_letter_expired;
        let leave = self.subscriptions.values().filter(buries).count();
        (1 + leave) * (SETTLE_BYTES + FRAME_BYTES)
    }

    /// Whether a stored message is neither in flight nor leaves anywhere.
    pub(crate) fn is_idle(&self, sequence: u64) -> bool {
        let mut subscriptions = self.subscriptions.values();
        !subscriptions
            .any(|s| s.flights.contains_key(&sequence) || s.leaving.contains_key(&sequence))
    }
}

impl Work<'_> {
    /// Stores a dead letter, whatever becomes of others by that.
    fn inter(&mut self, now: Timestamp, letter: StoredMessage) {
        let bytes = u32::try_from(letter.payload.len()).unwrap_or(u32::MAX);
        let mut dropped = Moves::default();
        for victim in self.topic.victims(bytes) {
            if self.topic.logs() {
                dropped.push(Move::of(self.topic.number, crate::topic::BACKLOG, victim));
            }
            self.discard(victim);
            self.topic.counts.dropped += 1;
        }
        dropped.log_drops(Reason::Overflow, self.out);
        let sequence = self.next_identity();
        self.put(now, sequence, letter, None);
    }
}

/// The dead letter of a message.
fn letter(
    now: Timestamp,
    topic: &Topic,
    number: u32,
    leaving: &Leaving,
    into: &TopicOptions,
    message: StoredMessage,
) -> StoredMessage {
    let origin = dead_letter::Origin {
        topic: topic.label(),
        subscription: topic.subscription(number).name.as_deref(),
        reason: reason(leaving.reason),
        attempts: leaving.placed.attempts,
        first_at: leaving.failed_at,
        last_at: leaving.at,
        id: topic.id(leaving.placed.sequence),
    };
    origin.letter(now, message, into)
}

const fn reason(reason: Reason) -> &'static str {
    match reason {
        Reason::Expired => "expired",
        Reason::Rejected => "rejected",
        _ => "max-attempts",
    }
}
