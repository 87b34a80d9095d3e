//! Dead letters go back: each is in its topic or where it went, never both and never neither.

use super::{
    Draft, Ledger,
    facts::{KEPT, Owed, Place, Standing, Stored, number_in, payload},
};
use crate::rule::{Checked, hold};
use std::collections::BTreeMap;
use trunkline_model::{Dedupe, Durability, MessageId, PeekedMessage};

/// The topic that takes dead letters as they are.
pub(crate) const PIT: u8 = 1;

/// A dead letter that is to go back as a new message.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Return {
    /// In the topic for dead letters.
    pub(crate) letter: MessageId,
    /// Its message there, and the subscription that gave it up.
    from: (usize, u8),
    /// The number of the new message.
    pub(crate) message: usize,
    /// Where that goes; to all subscriptions, or to the one.
    pub(crate) to: (u8, Option<u8>),
}

/// What is known of dead letters that left their topic.
#[derive(Clone, Debug, Default)]
pub(super) struct Redriven {
    /// Nobody knows whether this one did.
    under_way: Option<Return>,
    /// Any of these may go to the pit.
    leaving: Vec<MessageId>,
    /// How often the pit has a message.
    pit: BTreeMap<usize, u64>,
    /// All that left. They never come back.
    pub(super) gone: BTreeMap<MessageId, usize>,
}

impl Ledger {
    /// The dead letters that were seen and are there, by identity.
    pub(crate) fn letters_there(&self) -> Vec<MessageId> {
        let seen = self.letters.values().flat_map(|letter| &letter.seen);
        let mut seen: Vec<MessageId> = seen.copied().collect();
        seen.sort_unstable();
        seen
    }

    /// Plans to drive a dead letter back, into a topic or to where it came from. `None` if there is no
    /// such place, or what became of it there can't be told.
    pub(crate) fn plan_return(&self, letter: MessageId, into: Option<u8>) -> Option<Return> {
        let mut all = self.letters.iter();
        let (from, _) = all.find(|(_, found)| found.seen.contains(&letter))?;
        let sent = &self.messages[from.0];
        let to = match into {
            Some(topic) => (topic, None),
            None if self.has_sub(sent.topic, from.1) => (sent.topic, Some(from.1)),
            None => return None,
        };
        let dedupe = self.topics.get(&to.0)?.options.dedupe;
        let is_plain = sent.key.is_none() || dedupe == Dedupe::Off;
        let is_told = is_plain || (dedupe == Dedupe::Latest && to.1.is_some());
        is_told.then_some(Return {
            letter,
            from: *from,
            message: self.messages.len(),
            to,
        })
    }

    /// The payload of the new message.
    pub(crate) fn payload_of(&self, plan: &Return) -> Vec<u8> {
        payload(plan.message, self.messages[plan.from.0].bytes)
    }

    /// A dead letter is about to go back.
    pub(crate) fn returns(&mut self, plan: Return) {
        let (topic, only) = plan.to;
        let old = &self.messages[plan.from.0];
        let least = self.priorities(topic) - 1;
        let draft = Draft {
            bytes: old.bytes,
            priority: u16::from(old.priority).min(least) as u8,
            key: old.key,
            group: old.group,
            ttl: None,
            delay: None,
            publish_id: None,
        };
        let moment = self.moment;
        match only {
            None => self.publish_one(0, topic, &draft),
            Some(sub) => {
                let sent = self.sent(0, topic, &draft);
                let position = Some((sent.priority, plan.message as u64));
                self.messages.push(sent);
                let found = self.topics.get_mut(&topic);
                if let Some(sub) = found.and_then(|topic| topic.subs.get_mut(&sub)) {
                    let standing = Standing::waiting(moment, position);
                    sub.standings.insert(plan.message, standing);
                }
                self.make_room(topic, true);
            }
        }
        self.redriven.under_way = Some(plan);
    }

    /// It was driven back, or it stayed: `may_stay` if the disk gives a reason for that.
    pub(crate) fn returned(&mut self, moved: bool, may_stay: bool) -> Checked {
        let Some(plan) = self.redriven.under_way.take() else {
            return Ok(());
        };
        let moment = self.messages[plan.message].moment;
        if moved {
            self.is_durable(moment, Durability::Commit);
            self.letter_left(plan.letter);
            if self.messages[plan.message].stored == Stored::Taken {
                self.messages[plan.message].stored = Stored::Yes;
            }
            return Ok(());
        }
        self.stays(&plan);
        let (name, only) = plan.to;
        let options = self.topics.get(&name).map(|topic| &topic.options);
        let is_bounded = options.is_some_and(|options| options.max_messages.is_some());
        let is_keyed = only.is_some() && self.messages[plan.message].key.is_some();
        hold!(
            may_stay || is_bounded || is_keyed || (only.is_none() && self.rejects(name)),
            Answers,
            "the dead letter {} was not driven back to t{name}",
            plan.letter
        );
        Ok(())
    }

    /// A dead letter stays: there is no new message.
    fn stays(&mut self, plan: &Return) {
        self.messages[plan.message].stored = Stored::No;
        if let Some(topic) = self.topics.get_mut(&plan.to.0) {
            for sub in topic.subs.values_mut() {
                sub.standings.remove(&plan.message);
            }
        }
    }

    fn letter_left(&mut self, id: MessageId) {
        for ((message, _), letter) in &mut self.letters {
            if letter.seen.remove(&id) {
                self.redriven.gone.insert(id, *message);
            }
        }
    }

    /// The engine is gone: was the new message stored?
    pub(super) fn return_crashed(&mut self) {
        let Some(plan) = self.redriven.under_way else {
            return;
        };
        if let Some(topic) = self.topics.get_mut(&plan.to.0) {
            for sub in topic.subs.values_mut() {
                if let Some(standing) = sub.standings.get_mut(&plan.message) {
                    standing.doubt();
                }
            }
        }
    }

    /// A look at the topic for dead letters settles what left it.
    pub(super) fn settle_returns(&mut self, is_there: impl Fn(&MessageId) -> bool) {
        if let Some(plan) = self.redriven.under_way.take() {
            if is_there(&plan.letter) {
                self.stays(&plan);
            } else {
                self.letter_left(plan.letter);
                self.is_stored(&plan);
            }
        }
        for id in std::mem::take(&mut self.redriven.leaving) {
            if !is_there(&id) {
                self.letter_left(id);
                if let Some(message) = self.redriven.gone.get(&id) {
                    *self.redriven.pit.entry(*message).or_default() += 1;
                }
            }
        }
    }

    /// A dead letter is not there any more, so its new message is.
    fn is_stored(&mut self, plan: &Return) {
        let sent = &mut self.messages[plan.message];
        if sent.is_memory || sent.stored == Stored::Dropped {
            return;
        }
        sent.stored = Stored::Yes;
        let (name, only) = plan.to;
        if let Some(topic) = self.topics.get_mut(&name) {
            for (place, sub) in &mut topic.subs {
                let is_meant = only.is_none_or(|only| only == *place);
                let found = sub.standings.get_mut(&plan.message);
                if let Some(standing) = found.filter(|_| is_meant || *place == KEPT) {
                    (standing.owed, standing.place) = (Owed::Certainly, Place::Unsure);
                }
            }
        }
    }

    /// Some of the dead letters are about to go to the pit.
    pub(crate) fn goes_to_pit(&mut self) {
        self.redriven.leaving = self.letters_there();
    }

    /// How many dead letters left their topic so far.
    pub(crate) fn letters_gone(&self) -> u64 {
        self.redriven.gone.len() as u64
    }

    /// Compares what the pit has with what went there.
    pub(crate) fn pit_looked(&self, shown: &[PeekedMessage]) -> Checked {
        let mut found: BTreeMap<usize, u64> = BTreeMap::new();
        for peeked in shown {
            let number = number_in(&peeked.message.payload);
            let sent = number.and_then(|number| self.messages.get(number));
            let (Some(number), Some(sent)) = (number, sent) else {
                hold!(false, Invented, "the pit has {}", peeked.id);
                return Ok(());
            };
            hold!(
                payload(number, sent.bytes) == peeked.message.payload
                    && peeked.message.headers.is_empty(),
                Invented,
                "{} in the pit is not m{number}: {:?}",
                peeked.id,
                peeked.message.headers
            );
            *found.entry(number).or_default() += 1;
        }
        hold!(
            found == self.redriven.pit,
            Letters,
            "the pit has {found:?}, and what went there is {:?}",
            self.redriven.pit
        );
        Ok(())
    }
}
