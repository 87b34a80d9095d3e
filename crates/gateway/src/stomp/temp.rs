//! `/temp-queue/NAME`: queues of one connection, for answers.
//!
//! `reply-to:/temp-queue/NAME` becomes a name that everybody can send to,
//! `/temp-queue/SESSION%2FNAME`. As in RabbitMQ that is all a client needs to do: what is sent there
//! comes with `subscription:/temp-queue/NAME`. As in ActiveMQ it may subscribe to it, before or after.

use super::{connection::StompConnection, failure, send::queue};
use compact_str::CompactString;
use hashbrown::HashMap;
use std::borrow::Cow;
use trunkline_auth::{Action, Resource};
use trunkline_model::{
    Admin, ByteSize, Completion, Durability, Headers, Overflow, SubscriptionName, TopicName,
    TopicSettings,
};
use trunkline_stomp::{AckMode, Destination, Failure, SubscribeRequest, SubscriptionNumber};

/// What their topics are called, before the session and the name.
const TOPIC: &str = "_temp.";
/// Most of one connection.
const QUEUES_MAX: usize = 1_000;
/// Answers that wait in one; beyond, the oldest is dropped.
const MESSAGES_MAX: u64 = 10_000;
/// The same in bytes.
const BYTES_MAX: ByteSize = ByteSize(16 << 20);

/// The temporary queues of one connection, by name.
#[derive(Default)]
pub(super) struct TempQueues(HashMap<CompactString, TempQueue>);

struct TempQueue {
    topic: TopicName,
    /// The subscription that the client didn't ask for.
    implied: Option<SubscriptionNumber>,
    /// Those that it did ask for.
    subscribers: Vec<SubscriptionNumber>,
}

impl StompConnection {
    /// The topic behind a temporary queue: of this connection, or of that which is named.
    pub(super) fn temp_topic(&self, name: &str) -> Result<TopicName, Failure> {
        let (session, name) = name.split_once('/').unwrap_or((&self.name, name));
        self.allow(Action::Publish, Resource::TempQueue(name))?;
        topic(session, name)
    }

    /// What others are told of a `reply-to`. A temporary queue of this connection is made with
    /// that, and its messages come without a SUBSCRIBE, unless there was one.
    pub(super) fn reply_name<'a>(&mut self, reply_to: &'a str) -> Result<Cow<'a, str>, Failure> {
        match reply_to.parse() {
            Ok(Destination::TempQueue(name)) if !name.contains('/') => {
                self.imply(&name)?;
                let full = compact_str::format_compact!("{}/{name}", self.name);
                Ok(Destination::TempQueue(full).to_string().into())
            }
            // Between others it may mean anything.
            _ => Ok(reply_to.into()),
        }
    }

    /// Takes up a temporary queue by SUBSCRIBE: what it consumes from.
    pub(super) fn subscribe_temp(
        &mut self,
        name: &CompactString,
        number: SubscriptionNumber,
    ) -> Result<(TopicName, SubscriptionName), Failure> {
        if name.contains('/') {
            return Err(failure::unsupported(
                "a temporary queue of another connection can only be sent to; SUBSCRIBE to one of your own, /temp-queue/NAME",
            ));
        }
        let topic = self.make_temp(name)?;
        if let Some(queue) = self.temp.0.get_mut(name) {
            queue.subscribers.push(number);
            if let Some(implied) = queue.implied.take() {
                self.session.close_subscription(implied);
                self.consumers.remove(implied);
            }
        }
        Ok((topic, queue()))
    }

    /// Nobody subscribes by this number any more: a queue without subscribers ends.
    pub(super) fn leave_temp(&mut self, number: SubscriptionNumber) {
        let ended = self.temp.0.iter_mut().find_map(|(name, queue)| {
            let count = queue.subscribers.len() + usize::from(queue.implied.is_some());
            queue.subscribers.retain(|subscriber| *subscriber != number);
            queue.implied.take_if(|implied| *implied == number);
            let left = queue.subscribers.len() + usize::from(queue.implied.is_some());
            (count > 0 && left == 0).then(|| name.clone())
        });
        if let Some(queue) = ended.and_then(|name| self.temp.0.remove(&name)) {
            self.delete_temp(queue.topic);
        }
    }

    /// All of them end with the connection.
    pub(super) fn delete_temps(&mut self) {
        for (_, queue) in std::mem::take(&mut self.temp).0 {
            self.delete_temp(queue.topic);
        }
    }

    fn delete_temp(&self, topic: TopicName) {
        let command = Admin::Delete { topic };
        let engine = &self.shared.services.engine;
        engine.admin(&self.caller, command, Completion::ignored());
    }

    /// Makes a queue that is consumed from without a SUBSCRIBE.
    fn imply(&mut self, name: &CompactString) -> Result<(), Failure> {
        if self.temp.0.contains_key(name) {
            return Ok(());
        }
        let topic = self.make_temp(name)?;
        let destination = compact_str::format_compact!("/temp-queue/{name}");
        let Some(number) = self.session.open_subscription(&destination) else {
            return Err(failure::invalid(format_args!(
                "no subscription can be made for the answers to {destination}: there is one of that id, or there are too many; SUBSCRIBE to it before"
            )));
        };
        if let Some(queue) = self.temp.0.get_mut(name) {
            queue.implied = Some(number);
        }
        let request = SubscribeRequest {
            subscription: number,
            id: Some(destination.clone()),
            destination,
            ack: AckMode::Auto,
            headers: Headers::new(),
        };
        self.begin_consuming(None, &request, &Default::default(), (topic, queue()));
        self.start(self.now(), number);
        Ok(())
    }

    fn make_temp(&mut self, name: &CompactString) -> Result<TopicName, Failure> {
        self.allow(Action::Consume, Resource::TempQueue(name))?;
        if let Some(queue) = self.temp.0.get(name) {
            return Ok(queue.topic.clone());
        }
        if self.temp.0.len() >= QUEUES_MAX {
            return Err(failure::invalid(format_args!(
                "more than {QUEUES_MAX} temporary queues on a connection; UNSUBSCRIBE from those that are done, or use one for all"
            )));
        }
        let topic = topic(&self.name, name)?;
        let settings = TopicSettings {
            durability: Some(Durability::Memory),
            max_messages: Some(MESSAGES_MAX),
            max_bytes: Some(BYTES_MAX),
            overflow: Some(Overflow::DropOldest),
            transient: true,
            ..TopicSettings::default()
        };
        let command = Admin::Define {
            topic: topic.clone(),
            settings,
        };
        let completion = self.unless_failed();
        let engine = &self.shared.services.engine;
        engine.admin(&self.caller, command, completion);
        let queue = TempQueue {
            topic: topic.clone(),
            implied: None,
            subscribers: Vec::new(),
        };
        self.temp.0.insert(name.clone(), queue);
        Ok(topic)
    }
}

fn topic(session: &str, name: &str) -> Result<TopicName, Failure> {
    TopicName::new(compact_str::format_compact!("{TOPIC}{session}.{name}"))
        .map_err(|error| failure::invalid(format_args!("/temp-queue/{name}: {error}")))
}
