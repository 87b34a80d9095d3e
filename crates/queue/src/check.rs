//! Whether a batch can run, and what it may cost. Changes nothing.

use crate::{
    Core, Cost, groups::GROUPS_MAX, publish::times, record::encoded_bytes_max, topic::Topic,
};
use hashbrown::HashMap;
use trunkline_model::{
    Batch, Command, ConsumerId, DeliveryTag, Durability, Error, Message, Timestamp, TopicOptions,
    Unsubscribed, refusal,
};

/// What a record costs beside its fields: kind, length and checksum in the journal.
pub(crate) const FRAME_BYTES: usize = 16;
/// At most, of an ack or its like for one message, without the frame.
pub(crate) const SETTLE_BYTES: usize = 64;
/// At most, of each further message in it.
pub(crate) const SETTLE_BYTES_MORE: usize = 16;
/// At most, of the definition of a topic without its name.
pub(crate) const DEFINE_BYTES: usize = 1024;

/// How tags of a command are looked at.
#[derive(Clone, Copy)]
struct Tags {
    /// One that is not held fails the batch.
    strict: bool,
    /// One record tells of all in a subscription.
    alike: bool,
}

/// What publishes of the batch add to bounded topics.
pub(crate) type Growth<'a> = HashMap<&'a str, (u64, u64)>;

impl Core {
    /// Whether [`Core::apply`] can run a batch at `now`, and what that may cost.
    ///
    /// Bounds of topics count every message of the batch as stored, even if an ack or a
    /// publish of the same batch makes room for it.
    ///
    /// # Errors
    /// What the client has to hear; then nothing of the batch may be applied. `NotFound`,
    /// `InvalidParams`, `TooLarge`, `Overloaded` and `Unsupported` for publishes; `Conflict`
    /// for a delivery no longer held in a strict batch.
    pub fn check(&self, now: Timestamp, batch: &Batch) -> Result<Cost, Error> {
        let (mut cost, mut growth) = (Cost::default(), Growth::new());
        let mut settled = Vec::new();
        for command in &batch.commands {
            match command {
                Command::Publish { topic, messages } => {
                    self.check_publish(now, topic, messages, &mut growth, &mut cost)?;
                }
                Command::PublishIfSubscribed { topic, messages } => {
                    if self.subscribed(topic).is_some() {
                        self.check_publish(now, topic, messages, &mut growth, &mut cost)?;
                    }
                }
                Command::Ack { consumer, tags }
                | Command::Nack { consumer, tags, .. }
                | Command::Extend { consumer, tags, .. } => {
                    let how = Tags {
                        strict: batch.strict,
                        alike: !matches!(command, Command::Nack { .. }),
                    };
                    self.check_tags(now, *consumer, tags, how, &mut cost)?;
                    let ends = batch.strict && !matches!(command, Command::Extend { .. });
                    settled.extend(tags.iter().filter(|_| ends).map(|tag| (*consumer, *tag)));
                }
            }
        }
        settled.sort_unstable();
        match settled.windows(2).find(|pair| pair[0] == pair[1]) {
            Some(twice) => Err(refusal::not_held(twice[0].1.0, twice[0].0)),
            None => Ok(cost),
        }
    }

    /// The topic, if it is there and has a subscription.
    pub(crate) fn subscribed(&self, name: &str) -> Option<u32> {
        let found = self.find(name);
        found.filter(|index| self.topics[*index].is_subscribed())
    }

    fn check_publish<'a>(
        &self,
        now: Timestamp,
        name: &'a str,
        messages: &[Message],
        growth: &mut Growth<'a>,
        cost: &mut Cost,
    ) -> Result<(), Error> {
        let options = self.options_of(name)?;
        let topic = self.find(name).map(|index| &self.topics[index]);
        let subscriptions = topic.map_or(1, |topic| topic.subscriptions.len().max(1));
        let is_alone = topic.is_none_or(|topic| topic.names.is_empty());
        if is_alone && options.unsubscribed == Unsubscribed::Reject {
            return Err(refusal::nobody_subscribes(name));
        }
        let logs = options.durability != Durability::Memory && !options.transient;
        let advances = topic.is_some_and(|topic| topic.needs_advance(messages.len() as u64));
        let groups = topic.map_or(0, |topic| topic.groups.len());
        if groups + messages.len() > GROUPS_MAX && messages.iter().any(|m| m.group.is_some()) {
            return Err(refusal::too_many_groups(name, GROUPS_MAX));
        }
        for message in messages {
            check_message(now, name, message, options)?;
            if logs {
                cost.growth_bytes += encoded_bytes_max(message, subscriptions) + 2 * FRAME_BYTES;
                // An expired message with the same key is dropped on the way.
                let over = topic.map_or(SETTLE_BYTES, Topic::expiry_bytes_max);
                cost.growth_bytes += usize::from(message.key.is_some()) * over;
            }
        }
        cost.logs |= logs || advances;
        cost.growth_bytes += usize::from(advances) * messages.len() * SETTLE_BYTES;
        if !options.transient {
            cost.durability = cost.durability.max(options.durability);
        }
        if topic.is_none() {
            self.cost_of_definition(name.len(), options, cost);
        }
        if let Some(topic) = topic {
            self.cost_of_room(topic, messages.len(), cost);
        }
        self.check_room(now, name, options, messages, growth)
    }

    /// Definitions are as durable as anything gets, whatever their messages are.
    pub(crate) fn cost_of_definition(
        &self,
        name_bytes: usize,
        options: &TopicOptions,
        cost: &mut Cost,
    ) {
        if !options.transient {
            cost.growth_bytes += DEFINE_BYTES + name_bytes + FRAME_BYTES;
            cost.durability = Durability::Commit;
            cost.logs = true;
        }
    }

    fn check_tags(
        &self,
        now: Timestamp,
        consumer: ConsumerId,
        tags: &[DeliveryTag],
        how: Tags,
        cost: &mut Cost,
    ) -> Result<(), Error> {
        let mut before = None;
        for tag in tags {
            let Some((source, _)) = self.held(now, consumer, *tag) else {
                if how.strict {
                    return Err(refusal::not_held(tag.0, consumer));
                }
                continue;
            };
            let topic = &self.topics[source.topic];
            if !topic.logs() {
                continue;
            }
            cost.logs = true;
            cost.durability = cost.durability.max(topic.options.durability);
            let queue = (source.topic, source.subscription);
            let alike = before.replace(queue) == Some(queue) && how.alike;
            cost.settle_bytes += match alike {
                true => SETTLE_BYTES_MORE,
                false => SETTLE_BYTES + FRAME_BYTES,
            };
        }
        Ok(())
    }
}

fn check_message(
    now: Timestamp,
    topic: &str,
    message: &Message,
    options: &TopicOptions,
) -> Result<(), Error> {
    message.check_bounds()?;
    if let (Some(expires_at), Some(deliver_at)) = times(now, message, options)
        && deliver_at >= expires_at
    {
        return Err(refusal::delayed_beyond(topic, deliver_at, expires_at));
    }
    match message.priority {
        Some(priority) if u16::from(priority.0) >= options.priorities => {
            Err(refusal::bad_priority(topic, priority.0, options.priorities))
        }
        _ => Ok(()),
    }
}
