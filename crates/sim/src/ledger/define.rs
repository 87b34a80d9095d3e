//! Topics and subscriptions are made and removed. One such command is under way at a time.

use super::{
    Ledger,
    facts::{Defining, KEPT, Moment, Owed, Place, Standing, Sub, Topic, Why},
};
use std::collections::BTreeMap;
use trunkline_model::{Durability, Timestamp, TopicOptions};

impl Ledger {
    /// A command that defines, removes or empties something was sent.
    pub(crate) fn begins(&mut self, defining: Defining) {
        self.defining = Some((self.moment, defining));
    }

    /// It was confirmed, or refused.
    pub(crate) fn ends(&mut self, is_done: bool) {
        let Some((moment, defining)) = self.defining.take().filter(|_| is_done) else {
            return;
        };
        let is_logged = match &defining {
            // Of a topic without subscriptions there may be nothing to say.
            Defining::Purge(topic, _) => self
                .topics
                .get(topic)
                .is_some_and(|topic| !topic.is_memory() && topic.has_subscriptions()),
            _ => true,
        };
        self.carry_out(&defining, moment);
        if is_logged {
            self.is_durable(moment, Durability::Commit);
        }
    }

    pub(super) fn carry_out(&mut self, defining: &Defining, moment: Moment) {
        match defining {
            Defining::Grave(grave) => self.make_grave(*grave),
            Defining::Topic(name, options) => self.make_topic(*name, options),
            Defining::Alter(name, options) => {
                if let Some(topic) = self.topics.get_mut(name) {
                    // Without one, anything may be stored already.
                    let before = topic.options.max_messages.unwrap_or(u64::MAX);
                    let highest = topic.bound.unwrap_or(before).max(before);
                    topic.bound = Some(highest).max(options.max_messages);
                    topic.options = (**options).clone();
                }
            }
            Defining::Delete(name) => {
                self.acquit_all(*name, None);
                self.topics.remove(name);
            }
            Defining::Subscribe(topic, sub, from) => self.make_sub(*topic, *sub, *from, moment),
            Defining::Unsubscribe(topic, sub) => {
                self.acquit_all(*topic, Some(*sub));
                if let Some(topic) = self.topics.get_mut(topic) {
                    topic.subs.remove(sub);
                }
            }
            Defining::Purge(topic, sub) => {
                self.purge(*topic, *sub, moment);
                self.acquit_all(*topic, *sub);
            }
        }
    }

    fn make_topic(&mut self, name: u8, options: &TopicOptions) {
        if self.topics.contains_key(&name) {
            return;
        }
        self.lives += 1;
        let topic = Topic {
            life: self.lives,
            options: options.clone(),
            bound: options.max_messages,
            number: None,
            subs: BTreeMap::new(),
        };
        self.topics.insert(name, topic);
    }

    fn make_sub(&mut self, name: u8, number: u8, from: Option<bool>, moment: Moment) {
        let Some(topic) = self.topics.get_mut(&name) else {
            return;
        };
        if topic.subs.contains_key(&number) {
            return;
        }
        let is_first = !topic.has_subscriptions();
        let kept = topic.subs.remove(&KEPT);
        for letter in self
            .letters
            .iter_mut()
            .filter(|((message, place), _)| *place == KEPT && self.messages[*message].topic == name)
        {
            letter.1.acquit();
        }
        let standings = match (from.unwrap_or(is_first), kept) {
            (true, Some(kept)) => kept.standings,
            (true, None) => {
                let stored = |message: usize, owed: Owed, delay: Option<Timestamp>| {
                    let position = (self.messages[message].priority, message as u64);
                    let mut standing = Standing::waiting(moment, Some(position));
                    // Until its time it is held back wherever it is.
                    standing.delay = delay;
                    if delay.is_some() {
                        standing.place = Place::Unsure;
                    }
                    if owed != Owed::Certainly || self.messages[message].is_over(self.now) {
                        (standing.owed, standing.place) = (Owed::Perhaps, Place::Unsure);
                    }
                    standing
                };
                let mut standings: BTreeMap<usize, Standing> = BTreeMap::new();
                let all = topic.subs.values().flat_map(|sub| &sub.standings);
                for (message, found) in all.filter(|(_, standing)| !standing.is_gone()) {
                    let standing = stored(*message, found.owed, found.delay);
                    let known = standings.entry(*message).or_insert(standing);
                    if standing.owed == Owed::Certainly {
                        known.owed = Owed::Certainly;
                    }
                    known.delay = known.delay.max(standing.delay);
                    if known.delay.is_some() {
                        known.place = Place::Unsure;
                    }
                }
                standings
            }
            (false, _) => BTreeMap::new(),
        };
        let sub = Sub {
            standings,
            is_auto: false,
        };
        topic.subs.insert(number, sub);
        self.begin_again(name, number);
    }

    /// What waited is gone; what is with a consumer, or on its way to one, stays.
    fn purge(&mut self, name: u8, which: Option<u8>, moment: Moment) {
        let was_calm = self.is_calm;
        let Some(topic) = self.topics.get_mut(&name) else {
            return;
        };
        for (number, sub) in &mut topic.subs {
            if which.is_some_and(|which| which != *number) {
                continue;
            }
            for standing in sub.standings.values_mut() {
                match standing.place {
                    Place::Held { .. } => {}
                    Place::Waiting { .. } | Place::Delayed { .. } if was_calm => {
                        standing.leave(moment, Why::Settled);
                    }
                    _ if standing.is_gone() => {}
                    _ => standing.doubt(),
                }
            }
        }
    }
}
