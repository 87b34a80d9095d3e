//! The independent ledger: what the clients of a store know, and what they may demand.
//!
//! It shares nothing with the state machine but the identities in confirmations. Where a client
//! can't know (an answer that never came, a delivery on its way), it says so and demands less.

mod answers;
mod audit;
mod batch;
mod define;
mod deliver;
mod facts;
mod letters;
mod publish;
mod redrive;
mod restart;
mod room;
mod settle;

pub(crate) use audit::Found;
pub(crate) use facts::{Defining, KEPT, payload};
pub(crate) use publish::Draft;
pub(crate) use redrive::PIT;
pub(crate) use restart::End;
pub(crate) use settle::Verdict;

use crate::{
    op::Publish,
    rule::{Checked, Violation, hold},
};
use batch::Pair;
use facts::{Consumer, Moment, Owed, Place, Promise, Sent, Standing, Topic};
use letters::Letters;
use redrive::Redriven;
use std::{collections::BTreeMap, time::Duration};
use trunkline_model::{MessageId, Timestamp, TopicOptions, TopicSettings};

/// A delivery since the store was calm.
#[derive(Clone, Copy, Debug)]
struct Given {
    topic: u8,
    sub: u8,
    slot: u8,
    message: usize,
    since: Option<Moment>,
    position: Option<(u8, u64)>,
}

/// What clients know.
#[derive(Clone, Debug, Default)]
pub struct Ledger {
    moment: Moment,
    now: Timestamp,
    /// The last time at which nothing was on its way, and the moment.
    calm: (Moment, Timestamp),
    is_calm: bool,
    /// Something that nobody saw may have gone back since.
    is_blurred: bool,
    given: Vec<Given>,
    /// Everything up to these moments is durable, or written.
    synced: Moment,
    written: Moment,
    /// The disk is full: deliveries may not be recorded.
    is_short: bool,
    /// It was full once.
    was_short: bool,
    lives: u64,
    messages: Vec<Sent>,
    topics: BTreeMap<u8, Topic>,
    ids: BTreeMap<MessageId, usize>,
    promises: BTreeMap<u64, Promise>,
    consumers: BTreeMap<u8, Consumer>,
    defining: Option<(Moment, Defining)>,
    letters: Letters,
    /// Topics for dead letters, and their numbers.
    graves: BTreeMap<u8, Option<u32>>,
    redriven: Redriven,
    /// Batches of several commands since the engine started.
    pairs: Vec<Pair>,
    /// A planted mistake: acknowledgements are forgotten, so that the checks must fail.
    forgets_acks: bool,
}

impl Ledger {
    /// A ledger that forgets acknowledgements: for the proof that a check can fail.
    #[must_use]
    pub fn forgetful() -> Self {
        Self {
            forgets_acks: true,
            ..Self::default()
        }
    }

    /// Something happens at `now`.
    pub(crate) fn happens(&mut self, now: Timestamp) {
        self.moment += 1;
        self.now = now;
        self.expire();
    }

    pub(crate) fn set_short(&mut self, is_short: bool) {
        self.is_short = is_short;
        self.was_short |= is_short;
    }

    /// The log is read without its checkpoint: deliveries that a full disk had no room for are
    /// not in it.
    pub(crate) fn forget_unrecorded(&mut self) {
        if !self.was_short {
            return;
        }
        for sub in self.topics.values_mut().flat_map(|t| t.subs.values_mut()) {
            for standing in sub.standings.values_mut() {
                (standing.attempt, standing.floor, standing.is_exact) = (0, 0, false);
            }
        }
    }

    /// The number of the next message.
    pub(crate) fn next_message(&self) -> usize {
        self.messages.len()
    }

    pub(crate) fn has_topic(&self, topic: u8) -> bool {
        self.topics.contains_key(&topic)
    }

    pub(crate) fn has_sub(&self, topic: u8, sub: u8) -> bool {
        let found = self.topics.get(&topic);
        sub != KEPT && found.is_some_and(|topic| topic.subs.contains_key(&sub))
    }

    pub(crate) fn priorities(&self, topic: u8) -> u16 {
        self.topics.get(&topic).map_or(1, |t| t.options.priorities)
    }

    /// The options of a topic after an alteration, if that is one that can be had at any time.
    pub(crate) fn altered(&self, topic: u8, asked: &TopicSettings) -> Option<TopicOptions> {
        let topic = self.topics.get(&topic)?;
        let mut options = topic.options.clone();
        options.ttl = asked.ttl.or(options.ttl);
        options.ack_timeout = asked.ack_timeout.unwrap_or(options.ack_timeout);
        options.retry = asked.retry.or(options.retry);
        options.max_messages = asked.max_messages.or(options.max_messages);
        options.overflow = asked.overflow.unwrap_or(options.overflow);
        let named = TopicSettings {
            ttl: asked.ttl,
            ack_timeout: asked.ack_timeout,
            retry: asked.retry,
            max_messages: asked.max_messages,
            overflow: asked.overflow,
            ..TopicSettings::default()
        };
        (named == *asked).then_some(options)
    }

    /// Whether a publish asks for messages that are over before they are due.
    pub(crate) fn is_absurd(&self, topic: u8, publish: &Publish) -> bool {
        let topic = self.topics.get(&topic);
        let ttl = topic.and_then(|topic| topic.options.ttl);
        let own = publish.ttl.map(Duration::from_millis);
        let delay = publish.delay.map(Duration::from_millis);
        let ttl = own.or(ttl.map(|ttl| ttl.0));
        delay.zip(ttl).is_some_and(|(delay, ttl)| delay >= ttl)
    }

    /// All topics with their subscriptions.
    pub(crate) fn places(&self) -> Vec<(u8, Vec<u8>)> {
        let subs = |topic: &Topic| topic.subs.keys().copied().collect();
        self.topics
            .iter()
            .map(|(name, topic)| (*name, subs(topic)))
            .collect()
    }

    /// Whether nothing was on its way when the operation began.
    pub(crate) fn is_calm(&self) -> bool {
        self.is_calm
    }

    /// Whether nothing that was asked for is unanswered.
    pub(crate) fn is_answered(&self) -> bool {
        self.promises.is_empty()
    }

    /// Tags that a consumer holds, or may hold.
    pub(crate) fn held(&self, slot: u8) -> Vec<u64> {
        let consumer = self.consumers.get(&slot);
        let held = consumer.map_or(&[][..], |consumer| &consumer.held);
        held.iter().map(|held| held.tag).collect()
    }

    /// The tag that a consumer settled last.
    pub(crate) fn settled_last(&self, slot: u8) -> Option<u64> {
        self.consumers.get(&slot)?.settled.last().copied()
    }

    /// After everything that an operation led to: `is_idle` if the engine has nothing on its way.
    pub(crate) fn operation_ends(&mut self, is_idle: bool) -> Checked {
        self.is_calm = is_idle && self.is_answered();
        if self.is_calm {
            let checked = match self.is_blurred {
                true => Ok(()),
                false => self.check_order(),
            };
            self.given.clear();
            self.is_blurred = false;
            self.calm = (self.moment, self.now);
            checked?;
        }
        Ok(())
    }

    /// Nothing that could be given since the last calm is better placed than what was given.
    fn check_order(&self) -> Checked {
        for given in &self.given {
            let (Some(position), Some(topic)) = (given.position, self.topics.get(&given.topic))
            else {
                continue;
            };
            let Some(sub) = topic.subs.get(&given.sub) else {
                continue;
            };
            for (better, standing) in &sub.standings {
                let was_there =
                    matches!(standing.place, Place::Waiting { since } if since <= self.calm.0);
                let is_better = standing.position.is_some_and(|other| other < position);
                // What has a group may have to wait for others of it, but not for those behind it.
                let group = self.messages[*better].group;
                let is_free = group.is_none() || group == self.messages[given.message].group;
                let is_owed = standing.owed == Owed::Certainly && is_free;
                hold!(
                    !(was_there && is_better && is_owed)
                        || self.messages[*better].is_over(self.now),
                    Order,
                    "t{}/s{} gave m{} away while m{better} was waiting before it",
                    given.topic,
                    given.sub,
                    given.message
                );
            }
        }
        Ok(())
    }

    fn standing(&self, topic: u8, sub: u8, message: usize) -> Option<&Standing> {
        self.topics
            .get(&topic)?
            .subs
            .get(&sub)?
            .standings
            .get(&message)
    }

    fn standing_mut(&mut self, topic: u8, sub: u8, message: usize) -> Option<&mut Standing> {
        let sub = self.topics.get_mut(&topic)?.subs.get_mut(&sub)?;
        sub.standings.get_mut(&message)
    }

    /// Learns a message's identity.
    fn identify(&mut self, message: usize, id: MessageId) -> Checked {
        let sent = &self.messages[message];
        hold!(
            sent.id.is_none_or(|known| known == id),
            Identity,
            "m{message} was {} and is {id} now",
            sent.id.map_or_else(String::new, |id| id.to_string())
        );
        if let Some(other) = self.ids.insert(id, message)
            && other != message
        {
            return Err(Violation::new(
                crate::rule::Rule::Identity,
                format!("{id} was m{other} and is m{message} now"),
            ));
        }
        if sent.id.is_some() {
            return Ok(());
        }
        // Within a topic, later messages have greater sequences.
        let (name, life) = (sent.topic, sent.life);
        let same = |other: &&Sent| (other.topic, other.life) == (name, life);
        let earlier = self.messages[..message].iter().rev().filter(same);
        let later = self.messages[message + 1..].iter().filter(same);
        let before = earlier.filter_map(|sent| sent.id).next();
        let after = later.filter_map(|sent| sent.id).next();
        hold!(
            before.is_none_or(|before| before < id) && after.is_none_or(|after| id < after),
            Identity,
            "m{message} is {id}, but its neighbours are {before:?} and {after:?}"
        );
        self.messages[message].id = Some(id);
        if let Some(topic) = self.topics.get_mut(&name)
            && topic.life == life
        {
            let number = *topic.number.get_or_insert(id.topic);
            hold!(
                number == id.topic,
                Identity,
                "t{name} is topic {number}, and m{message} has the identity {id}"
            );
        }
        Ok(())
    }
}
