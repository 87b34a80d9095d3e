//! Messages come out.

use super::{
    Given, Ledger,
    facts::{Held, Owed, Place, Stored, Why, number_in, payload},
    settle::deadline,
};
use crate::rule::{Checked, hold};
use trunkline_model::{Delivery, StoredMessage};

impl Ledger {
    /// A consumer was given a message.
    pub(crate) fn delivered(&mut self, slot: u8, topic: u8, delivery: &Delivery) -> Checked {
        let number = self.recognise(topic, &delivery.message)?;
        self.identify(number, delivery.id)?;
        let Some(consumer) = self.consumers.get(&slot) else {
            return Ok(());
        };
        hold!(
            delivery.tag.0 > consumer.last_tag,
            Held,
            "c{slot} was given tag {} after {}",
            delivery.tag.0,
            consumer.last_tag
        );
        let source = consumer.sources.iter().find(|source| source.0 == topic);
        let Some((_, sub)) = source.copied() else {
            return Err(crate::rule::Violation::new(
                crate::rule::Rule::Invented,
                format!("c{slot} was given m{number} of t{topic}, which it doesn't take from"),
            ));
        };
        let is_auto = consumer.is_auto;
        let what = format!("m{number} of t{topic}/s{sub} for c{slot}");
        hold!(
            !self.messages[number].is_over(self.now),
            Expired,
            "{what} was over before {}",
            self.now
        );
        self.check_standing(topic, sub, number, &what)?;
        self.check_holders(slot, topic, sub, number, &what)?;
        self.check_attempt(topic, sub, number, delivery.attempt, &what)?;
        match self.messages[number].group {
            None => self.check_session(slot, topic, sub, number, &what)?,
            // Settled at hand-over: others may have been given the next before this one was seen.
            Some(_) if is_auto => {}
            Some(group) => self.check_group(slot, (topic, sub), (number, group), &what)?,
        }
        self.note_given(slot, topic, sub, number);
        self.acquit(number, sub);
        let moment = self.moment;
        let (synced, is_short) = (self.synced, self.is_short);
        let timeout = self
            .topics
            .get(&topic)
            .map(|topic| topic.options.ack_timeout.0)
            .unwrap_or_default();
        let held = Held {
            tag: delivery.tag.0,
            attempt: delivery.attempt,
            message: number,
            topic,
            sub,
            deadline: deadline(timeout, self.calm.1, self.now),
            is_forgotten: false,
            is_doubtful: false,
        };
        if let Some(standing) = self.standing_mut(topic, sub, number) {
            let at = if is_short { super::Moment::MAX } else { moment };
            standing.attempted(delivery.attempt, at, synced);
            standing.owed = Owed::Certainly;
            standing.place = Place::Held { slot };
            if is_auto {
                standing.leave(moment, Why::Settled);
            }
        }
        if self.messages[number].stored == Stored::Unknown {
            self.messages[number].stored = Stored::Yes;
        }
        if let Some(consumer) = self.consumers.get_mut(&slot) {
            consumer.last_tag = delivery.tag.0;
            if !is_auto {
                consumer.held.push(held);
            }
        }
        self.check_credit(slot, &what)
    }

    /// The number of a message that has the content of one that was published.
    pub(crate) fn recognise(&self, topic: u8, message: &StoredMessage) -> Checked<usize> {
        let number = number_in(&message.payload);
        let sent = number.and_then(|number| self.messages.get(number));
        let (Some(number), Some(sent)) = (number, sent) else {
            let start = &message.payload[..message.payload.len().min(20)];
            return Err(crate::rule::Violation::new(
                crate::rule::Rule::Invented,
                format!("t{topic} has {:?}", String::from_utf8_lossy(start)),
            ));
        };
        let key = sent.key.map(|key| key.to_string());
        let group = sent.group.map(|group| group.to_string());
        let id = sent.publish_id.map(|id| id.to_string());
        let is_same = sent.topic == topic
            && payload(number, sent.bytes) == message.payload
            && key.as_deref() == message.key.as_deref()
            && group.as_deref() == message.group.as_deref()
            && id.as_deref() == message.publish_id.as_deref()
            && sent.priority == message.priority.0
            && sent.expires_at == message.expires_at
            && sent.deliver_at == message.deliver_at;
        hold!(
            is_same,
            Invented,
            "m{number} of t{topic} is not what was published: {message:?} instead of {sent:?}"
        );
        if let Stored::Repeats(first) = sent.stored {
            hold!(
                false,
                PublishId,
                "m{number} is stored, though m{first} had its publish id"
            );
        }
        hold!(
            sent.stored != Stored::No,
            Invented,
            "m{number} was refused, or lost, and is there"
        );
        Ok(number)
    }

    /// Whether a message may come from a subscription.
    fn check_standing(&self, topic: u8, sub: u8, number: usize, what: &str) -> Checked {
        let Some(standing) = self.standing(topic, sub, number) else {
            hold!(false, Settled, "{what} was settled, or never stood there");
            return Ok(());
        };
        if let Place::Delayed { until } = standing.place {
            hold!(
                until <= self.now,
                Early,
                "{what} was held back until {until}, and it is {}",
                self.now
            );
        }
        if let Owed::No { why, .. } = standing.owed {
            match why {
                Why::Settled => hold!(false, Settled, "{what} was settled"),
                Why::Dropped => hold!(false, Bound, "{what} was dropped"),
                Why::Replaced(newer) => hold!(false, Latest, "{what} was replaced by m{newer}"),
            }
        }
        Ok(())
    }

    /// Takes a delivery away from whoever had it, if he may have lost it.
    fn check_holders(
        &mut self,
        slot: u8,
        topic: u8,
        sub: u8,
        number: usize,
        what: &str,
    ) -> Checked {
        let now = self.now;
        for (other, consumer) in &mut self.consumers {
            for held in &mut consumer.held {
                let is_it = (held.topic, held.sub, held.message) == (topic, sub, number);
                if !is_it || held.is_forgotten {
                    continue;
                }
                let may_be_over = held.deadline.is_some_and(|(earliest, _)| earliest < now);
                hold!(
                    held.is_doubtful || may_be_over,
                    Held,
                    "{what} is still held by c{other}, as {} (c{slot} was given it too)",
                    held.tag
                );
                held.is_forgotten = true;
            }
        }
        Ok(())
    }

    fn check_attempt(
        &self,
        topic: u8,
        sub: u8,
        number: usize,
        attempt: u32,
        what: &str,
    ) -> Checked {
        let Some(standing) = self.standing(topic, sub, number) else {
            return Ok(());
        };
        let max = self.limits(topic, sub).max_attempts;
        hold!(
            max == 0 || attempt <= max,
            Attempts,
            "{what} says attempt {attempt} of {max}"
        );
        match standing.is_exact {
            true => hold!(
                attempt == standing.attempt + 1,
                Attempts,
                "{what} says attempt {attempt} after {}",
                standing.attempt
            ),
            false => hold!(
                attempt > standing.floor,
                Attempts,
                "{what} says attempt {attempt}, and attempt {} was durable",
                standing.floor
            ),
        }
        Ok(())
    }

    /// What a consumer is given from a subscription was the best of it: compared with what it was
    /// given before.
    fn check_session(&self, slot: u8, topic: u8, sub: u8, number: usize, what: &str) -> Checked {
        let Some(standing) = self.standing(topic, sub, number) else {
            return Ok(());
        };
        let (Place::Waiting { since }, Some(position), Owed::Certainly, false) = (
            standing.place,
            standing.position,
            standing.owed,
            self.is_blurred,
        ) else {
            return Ok(());
        };
        for given in &self.given {
            let is_here = (given.slot, given.topic, given.sub) == (slot, topic, sub);
            let (Some(other), true) = (given.position, is_here) else {
                continue;
            };
            let decided = given.since.unwrap_or_default().max(self.calm.0);
            hold!(
                other <= position || since > decided,
                Order,
                "{what} came after m{}, though it was waiting before it",
                given.message
            );
        }
        Ok(())
    }

    /// A group is with one consumer at a time.
    fn check_group(
        &self,
        slot: u8,
        (topic, sub): (u8, u8),
        (number, group): (usize, u8),
        what: &str,
    ) -> Checked {
        let is_mate =
            |message: usize| message != number && self.messages[message].group == Some(group);
        for (other, consumer) in self.consumers.iter().filter(|(other, _)| **other != slot) {
            let mut held = consumer.held.iter().filter(|held| {
                let may_be_over = held
                    .deadline
                    .is_some_and(|(earliest, _)| earliest < self.now);
                let is_here = (held.topic, held.sub) == (topic, sub) && is_mate(held.message);
                let is_over = self.messages[held.message].is_over(self.now);
                is_here && !(held.is_forgotten || held.is_doubtful || may_be_over || is_over)
            });
            if let Some(held) = held.next() {
                hold!(
                    false,
                    Groups,
                    "{what} is of group {group}, of which c{other} holds m{}",
                    held.message
                );
            }
        }
        Ok(())
    }

    fn note_given(&mut self, slot: u8, topic: u8, sub: u8, message: usize) {
        let Some(standing) = self.standing(topic, sub, message) else {
            return;
        };
        let since = match standing.place {
            Place::Waiting { since } => Some(since),
            _ => None,
        };
        let given = Given {
            topic,
            sub,
            slot,
            message,
            since,
            position: standing.position,
        };
        self.given.push(given);
    }

    fn check_credit(&self, slot: u8, what: &str) -> Checked {
        let Some(consumer) = self.consumers.get(&slot) else {
            return Ok(());
        };
        let certain = consumer.held.iter().filter(|held| {
            let may_be_over = held
                .deadline
                .is_some_and(|(earliest, _)| earliest < self.now);
            let is_over = self.messages[held.message].is_over(self.now);
            !(held.is_forgotten || held.is_doubtful || may_be_over || is_over)
        });
        let count = certain.count();
        hold!(
            count <= consumer.credit as usize,
            Held,
            "{what} is delivery {count} of a credit of {}",
            consumer.credit
        );
        Ok(())
    }
}
