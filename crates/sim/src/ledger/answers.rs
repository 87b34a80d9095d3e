//! What commands were answered.

use super::{
    Ledger,
    facts::{KEPT, Moment, Owed, Promise, Sent, Standing, Stored},
};
use crate::rule::{Checked, hold};
use trunkline_model::{Durability, MessageId, Receipt, Unsubscribed};

impl Ledger {
    /// A batch is confirmed.
    pub(crate) fn confirmed(&mut self, token: u64, receipt: &Receipt) -> Checked {
        match self.promises.remove(&token) {
            Some(Promise::Publish { messages, acked }) => {
                hold!(
                    receipt.acked == acked,
                    Answers,
                    "{} deliveries were acknowledged, not {acked}",
                    receipt.acked
                );
                self.publish_confirmed(&messages, &receipt.ids)
            }
            Some(Promise::Settle {
                moment,
                durability,
                held: (least, most),
            }) => {
                let done = receipt.acked + receipt.nacked + receipt.extended;
                hold!(
                    (least..=most).contains(&done),
                    Answers,
                    "{done} deliveries were settled, returned or extended, not {least} to {most}"
                );
                if let (true, Some(durability)) = (receipt.extended == 0 && done > 0, durability) {
                    self.is_durable(moment, durability);
                }
                Ok(())
            }
            None => Ok(()),
        }
    }

    /// A batch that was taken will never be confirmed: the journal failed, the engine closes.
    pub(crate) fn given_up(&mut self, token: u64) {
        self.promises.remove(&token);
    }

    /// Something that was logged at a moment is confirmed, and with it all that was logged before.
    pub(crate) fn is_durable(&mut self, moment: Moment, durability: Durability) {
        match durability {
            Durability::Memory => {}
            Durability::Interval => self.written = self.written.max(moment),
            Durability::Commit => self.synced = self.synced.max(moment),
        }
    }

    fn publish_confirmed(&mut self, messages: &[usize], ids: &[MessageId]) -> Checked {
        hold!(
            ids.len() == messages.len(),
            Answers,
            "{} messages were published and {} identities confirmed",
            messages.len(),
            ids.len()
        );
        for (number, id) in messages.iter().copied().zip(ids.iter().copied()) {
            self.message_confirmed(number, id)?;
        }
        match messages.first() {
            Some(first) => self.check_bound(self.messages[*first].topic),
            None => Ok(()),
        }
    }

    fn message_confirmed(&mut self, number: usize, id: MessageId) -> Checked {
        let (name, life) = (self.messages[number].topic, self.messages[number].life);
        self.messages[number].is_confirmed = true;
        let topic = self.topics.get(&name).filter(|topic| topic.life == life);
        let durability = topic.map_or(Durability::Memory, |topic| topic.options.durability);
        match self.messages[number].stored {
            Stored::Repeats(first) => {
                self.identify_first(number, first, id)?;
                self.is_durable(self.messages[first].moment, durability);
                return Ok(());
            }
            Stored::Unknown | Stored::Dropped => match self.ids.get(&id).copied() {
                Some(first) if first != number => {
                    let (one, other) = (&self.messages[first], &self.messages[number]);
                    let same_id = other.publish_id.is_some();
                    let same_key = one.key.is_some() && one.key == other.key;
                    hold!(
                        same_id || same_key,
                        Identity,
                        "{id} was m{first} and is m{number} now"
                    );
                    self.never_was(number);
                    self.messages[number].stored = Stored::Repeats(first);
                    return Ok(());
                }
                // With a publish id or a key it may be an earlier one's.
                _ if self.messages[number].stored == Stored::Dropped => {
                    let sent = &self.messages[number];
                    return match sent.publish_id.is_none() && sent.key.is_none() {
                        true => self.identify(number, id),
                        false => Ok(()),
                    };
                }
                _ => return Ok(()),
            },
            Stored::Taken | Stored::Yes => {}
            Stored::No => return Ok(()),
        }
        self.messages[number].stored = Stored::Yes;
        self.identify(number, id)?;
        self.is_durable(self.messages[number].moment, durability);
        Ok(())
    }

    fn identify_first(&mut self, number: usize, first: usize, id: MessageId) -> Checked {
        let known = self.messages[first].id;
        hold!(
            known.is_none_or(|known| known == id),
            PublishId,
            "m{number} repeats m{first}, which is {known:?}, but was confirmed as {id}"
        );
        let other = self.ids.get(&id).copied();
        hold!(
            other.is_none_or(|other| other == first),
            PublishId,
            "m{number} repeats m{first}, but was confirmed as {id}, which is m{other:?}"
        );
        self.identify(first, id)
    }

    /// A message that may have been stored wasn't.
    fn never_was(&mut self, number: usize) {
        let name = self.messages[number].topic;
        if let Some(topic) = self.topics.get_mut(&name) {
            for sub in topic.subs.values_mut() {
                sub.standings.remove(&number);
            }
        }
    }

    /// A topic never holds more than its bound.
    fn check_bound(&self, name: u8) -> Checked {
        let Some(topic) = self.topics.get(&name) else {
            return Ok(());
        };
        let (Some(_), Some(max)) = (topic.options.max_messages, topic.bound) else {
            return Ok(());
        };
        let is_certain = |message: &Sent, standing: &Standing| {
            standing.owed == Owed::Certainly && !message.is_over(self.now)
        };
        let certain = self.stored(name, is_certain);
        hold!(
            certain <= max,
            Bound,
            "t{name} takes at most {max} messages and holds {certain}"
        );
        Ok(())
    }

    /// Whether a topic without subscriptions refuses.
    pub(crate) fn rejects(&self, name: u8) -> bool {
        self.topics.get(&name).is_some_and(|topic| {
            !topic.has_subscriptions() && topic.options.unsubscribed == Unsubscribed::Reject
        })
    }

    /// A publish of `count` messages was refused because its topic is full.
    pub(crate) fn refused_as_full(&self, name: u8, count: u64) -> Checked {
        let max = self
            .topics
            .get(&name)
            .and_then(|topic| topic.options.max_messages);
        // What is over counts until somebody notices.
        let drops = self.drops_oldest(name);
        let stays = |_: &Sent, standing: &Standing| match drops {
            true => self.may_be_in_flight(standing),
            false => !standing.is_gone(),
        };
        let possible = self.stored(name, stays) + self.unseen_letters(name);
        hold!(
            max.is_some_and(|max| possible + count > max),
            Bound,
            "t{name} takes at most {max:?} messages, holds at most {possible}, and refused {count}"
        );
        Ok(())
    }

    /// Messages of a topic that at least one standing of theirs makes count.
    fn stored(&self, name: u8, counts: impl Fn(&Sent, &Standing) -> bool) -> u64 {
        let Some(topic) = self.topics.get(&name) else {
            return 0;
        };
        let mut numbers: Vec<usize> = Vec::new();
        for (sub, found) in &topic.subs {
            if *sub == KEPT && topic.has_subscriptions() {
                continue;
            }
            let counted = found
                .standings
                .iter()
                .filter(|(number, standing)| counts(&self.messages[**number], standing));
            numbers.extend(counted.map(|(number, _)| *number));
        }
        numbers.sort_unstable();
        numbers.dedup();
        numbers.len() as u64
    }
}
