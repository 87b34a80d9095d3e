//! Defining, removing and emptying topics and subscriptions.

use crate::{
    Core, Cost, Effects,
    check::{FRAME_BYTES, SETTLE_BYTES, SETTLE_BYTES_MORE},
    record::{Parts, encode_pair, kind},
};
use trunkline_model::{
    Admin, Durability, Error, Outcome, PeekedPage, SubscriptionName, Timestamp, TopicName,
    TopicSettings, refusal,
};

impl Core {
    /// Whether [`Core::manage`] can run a command, and what that may cost. For commands
    /// that only look, it always can.
    ///
    /// # Errors
    /// `NotFound`, `InvalidParams`, `Unsupported`; `Conflict` if something is declared
    /// differently or can't change now.
    pub fn check_admin(&self, now: Timestamp, command: &Admin) -> Result<Cost, Error> {
        let _ = now;
        let mut cost = Cost::default();
        match command {
            Admin::Define { topic, settings } => match self.find(topic) {
                Some(index) => {
                    let conflicts = settings.conflicts(&self.topics[index].options);
                    if !conflicts.is_empty() {
                        return Err(refusal::conflict(&format!("topic {topic}"), &conflicts)
                            .with("topic", topic.as_str()));
                    }
                }
                None => {
                    let options = refusal::resolve(settings)?;
                    self.check_letters(topic, &options, options.dead_letter.as_ref())?;
                    self.check_grave(topic, &options)?;
                    self.cost_of_definition(topic.len(), &options, &mut cost);
                }
            },
            Admin::Alter {
                topic,
                settings,
                clear,
            } => {
                let options = self.altered(topic, settings, clear)?;
                self.cost_of_definition(topic.len(), &options, &mut cost);
            }
            Admin::AlterSubscription {
                topic,
                subscription,
                settings,
                clear,
            } => {
                let (index, ..) =
                    self.altered_subscription(topic, subscription, settings, clear)?;
                let options = &self.topics[index].options;
                self.cost_of_definition(subscription.len(), options, &mut cost);
            }
            Admin::Delete { topic } => {
                let index = self.require(topic)?;
                self.cost_of_removal(index, 0, &mut cost);
                for subscription in self.topics[index].subscriptions.values() {
                    self.cost_of_ending(subscription.desk, &mut cost);
                }
            }
            Admin::Subscribe {
                topic,
                subscription,
                settings,
                ..
            } => {
                let options = self.options_of(topic)?;
                let effective = refusal::resolve_subscription(settings, options)?;
                self.check_letters(topic, options, effective.dead_letter.as_ref())?;
                let index = self.find(topic);
                if let Some(current) = index.and_then(|index| {
                    let topic = &self.topics[index];
                    Some(topic.subscription(*topic.names.get(subscription)?))
                }) {
                    let differ = refusal::subscription_conflicts(settings, &current.options);
                    if !differ.is_empty() {
                        let what = format!("subscription {subscription} of topic {topic}");
                        return Err(refusal::conflict(&what, &differ));
                    }
                    return Ok(cost);
                }
                if index.is_none() {
                    self.cost_of_definition(topic.len(), options, &mut cost);
                }
                self.cost_of_definition(subscription.len(), options, &mut cost);
            }
            Admin::Unsubscribe {
                topic,
                subscription,
            } => {
                let index = self.require(topic)?;
                let number = self.require_subscription(index, subscription)?;
                self.cost_of_removal(index, 0, &mut cost);
                let desk = self.topics[index].subscription(number).desk;
                self.cost_of_ending(desk, &mut cost);
            }
            Admin::Purge {
                topic,
                subscription,
            } => {
                let index = self.require(topic)?;
                if let Some(name) = subscription {
                    self.require_subscription(index, name)?;
                }
                let subscriptions = self.topics[index].subscriptions.values();
                let in_flight = subscriptions
                    .map(|s| s.flights.len() + s.leaving.len())
                    .sum();
                self.cost_of_removal(index, in_flight, &mut cost);
            }
            Admin::Redrive {
                topic, to, edit, ..
            } => self.check_redrive_command(topic, to, edit)?,
            Admin::Backup => return Err(refusal::not_offered("backup", "backup")),
            Admin::Inspect { .. } | Admin::List { .. } | Admin::Peek { .. } => {}
        }
        Ok(cost)
    }

    /// The consumers at a desk end, and what they hold goes back, wherever it is from.
    fn cost_of_ending(&self, desk: u32, cost: &mut Cost) {
        for index in &self.traffic.desks[desk].attached {
            let consumer = &self.traffic.consumers[*index];
            let held = consumer.unsettled as usize;
            if held > 0 {
                // Some go back, some are given up and leave, some are dropped.
                let records = 3 * consumer.sources.len();
                cost.settle_bytes += records * (FRAME_BYTES + SETTLE_BYTES);
                cost.settle_bytes += held * SETTLE_BYTES_MORE;
                cost.logs = true;
            }
        }
    }

    fn cost_of_removal(&self, index: u32, listed: usize, cost: &mut Cost) {
        let topic = &self.topics[index];
        if topic.is_durable() {
            let records = topic.subscriptions.len() + 1;
            cost.settle_bytes += records * (FRAME_BYTES + 24) + listed * 10;
            cost.durability = Durability::Commit;
            cost.logs = true;
        }
    }

    /// Runs a command that [`Core::check_admin`] has just allowed. Of commands that only
    /// look, answers `Inspect` and `List`; `Peek` needs bodies, see [`Core::peek`].
    pub fn manage(&mut self, now: Timestamp, command: Admin, out: &mut Effects) -> Outcome {
        match command {
            Admin::Define { topic, settings } => self.define(topic, &settings, out),
            Admin::Alter {
                topic,
                settings,
                clear,
            } => self.alter(&topic, &settings, &clear, out),
            Admin::AlterSubscription {
                topic,
                subscription,
                settings,
                clear,
            } => self.alter_subscription(&topic, &subscription, &settings, &clear, out),
            Admin::Delete { topic } => self.delete(now, &topic, out),
            Admin::Subscribe {
                topic,
                subscription,
                from,
                settings,
            } => {
                let index = self.topic_or_make(topic, out);
                let mut work = self.work(index, out);
                let (_, created, released) = work.subscribe(subscription, from, settings);
                Outcome::Subscribed { created, released }
            }
            Admin::Unsubscribe {
                topic,
                subscription,
            } => self.unsubscribe(now, &topic, &subscription, out),
            Admin::Purge {
                topic,
                subscription,
            } => self.purge(&topic, subscription.as_ref(), out),
            Admin::Inspect { topic } => match self.info(&topic) {
                Ok(info) => Outcome::Topic(Box::new(info)),
                Err(_) => Outcome::Topics(Vec::new()),
            },
            Admin::List { after, limit } => Outcome::Topics(self.list(after.as_ref(), limit)),
            Admin::Peek { .. } => Outcome::Peeked(PeekedPage::default()),
            Admin::Redrive { .. } | Admin::Backup => Outcome::Removed { messages: 0 },
        }
    }

    pub(crate) fn require(&self, topic: &str) -> Result<u32, Error> {
        self.find(topic).ok_or_else(|| refusal::no_topic(topic))
    }

    pub(crate) fn require_subscription(&self, index: u32, name: &str) -> Result<u32, Error> {
        let topic = &self.topics[index];
        let number = topic.names.get(name).copied();
        number.ok_or_else(|| refusal::no_subscription(topic.label(), name))
    }

    fn define(&mut self, name: TopicName, settings: &TopicSettings, out: &mut Effects) -> Outcome {
        let created = self.find(&name).is_none();
        if created && let Ok(options) = refusal::resolve(settings) {
            self.make_topic(name, options, out);
        }
        Outcome::Defined { created }
    }

    fn delete(&mut self, now: Timestamp, name: &str, out: &mut Effects) -> Outcome {
        let Some(index) = self.find(name) else {
            return Outcome::Removed { messages: 0 };
        };
        let topic = &self.topics[index];
        let desks: Vec<_> = topic.subscriptions.values().map(|s| s.desk).collect();
        let (number, is_durable) = (topic.number, topic.is_durable());
        for desk in desks {
            let gone = refusal::no_topic(name);
            self.end_consumers(now, desk, &gone, out);
        }
        if is_durable {
            out.log.push(kind::UNDEFINE, |bytes| {
                encode_pair(bytes, number.into(), None)
            });
        }
        let messages = self.remove_topic(index, out);
        Outcome::Removed { messages }
    }

    fn unsubscribe(
        &mut self,
        now: Timestamp,
        topic: &str,
        name: &SubscriptionName,
        out: &mut Effects,
    ) -> Outcome {
        let Some((index, number)) = self.find(topic).and_then(|index| {
            let number = self.topics[index].names.get(name)?;
            Some((index, *number))
        }) else {
            return Outcome::Removed { messages: 0 };
        };
        let desk = self.topics[index].subscription(number).desk;
        self.end_consumers(now, desk, &refusal::no_subscription(topic, name), out);
        let mut work = self.work(index, out);
        work.log_unsubscribe(number);
        let messages = work.close_subscription(number);
        Outcome::Removed { messages }
    }

    fn purge(
        &mut self,
        topic: &str,
        subscription: Option<&SubscriptionName>,
        out: &mut Effects,
    ) -> Outcome {
        let Some(index) = self.find(topic) else {
            return Outcome::Removed { messages: 0 };
        };
        let stored = self.topics[index].messages.len();
        let numbers: Vec<u32> = match subscription {
            Some(name) => self.topics[index]
                .names
                .get(name)
                .copied()
                .into_iter()
                .collect(),
            None => self.topics[index].subscriptions.keys().copied().collect(),
        };
        let mut left = 0;
        for number in numbers {
            left += self.purge_subscription(index, number, out);
        }
        // Of a whole topic, messages count once however many subscriptions they left.
        if subscription.is_none() {
            left = (stored - self.topics[index].messages.len()) as u64;
        }
        Outcome::Removed { messages: left }
    }

    fn purge_subscription(&mut self, index: u32, number: u32, out: &mut Effects) -> u64 {
        let topic = &self.topics[index];
        let subscription = topic.subscription(number);
        let flights = subscription.flights.keys().copied();
        // Dead letters are on their way; those that can't be stored have no other end.
        let leaving = subscription.leaving.iter();
        let leaving = leaving.filter(|(_, l)| !l.is_parked).map(|(s, _)| *s);
        let mut in_flight: Vec<u64> = flights.chain(leaving).collect();
        in_flight.sort_unstable();
        if topic.logs() {
            let parts = Parts::of(topic.number, number);
            let except = in_flight.iter().copied();
            out.log
                .push(kind::PURGE, |bytes| parts.encode(bytes, except));
        }
        let stays = |sequence| in_flight.binary_search(&sequence).is_ok();
        self.work(index, out).purge(number, stays)
    }
}
