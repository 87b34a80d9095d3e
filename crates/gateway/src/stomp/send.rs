//! SEND.

use super::{
    connection::{Step, StompConnection},
    failure,
    jobs::Job,
};
use bytes::Bytes;
use smallvec::SmallVec;
use trunkline_auth::{Action, Resource};
use trunkline_model::{
    Admin, Batch, ChannelMessage, ChannelName, Command, Message, SubscriptionName,
    SubscriptionSettings, TopicName,
};
use trunkline_stomp::{Destination, Failure, SendOptions, SendRequest, Token};

/// The subscription behind `/queue/NAME`.
const QUEUE: &str = "queue";
/// What the topic behind `/topic/NAME` is called, before the name.
const TOPIC: &str = "topic.";
/// Queues that a connection remembers to be there.
const QUEUES_MAX: usize = 1_000;
/// Smaller bodies are copied, so that a few bytes don't keep all that was read with them.
const SHARED_BYTES_MIN: usize = 16 << 10;

/// A SEND, read and allowed: what it comes to.
pub(super) struct Sending {
    /// What goes to a topic.
    pub(super) command: Option<Command>,
    /// What goes to whoever listens.
    pub(super) channel: Option<ChannelMessage>,
    /// Whether the sender wants it to outlive a crash.
    pub(super) persistent: bool,
}

impl StompConnection {
    pub(super) fn send(&mut self, token: Token, send: SendRequest) -> Result<Step, Failure> {
        let sending = self.read_send(send)?;
        let is_late = !sending.persistent;
        if let Some(message) = sending.channel {
            self.publish_channel(message);
        }
        let Some(command) = sending.command else {
            return Ok(Step::Done);
        };
        if is_late {
            let completion = self.unless_failed();
            self.gather(Batch::of(command), completion);
            return Ok(Step::Done);
        }
        let completion = self.completion(token);
        self.gather(Batch::of(command), completion);
        Ok(Step::Later)
    }

    /// Reads a SEND, and makes the queue that it goes to.
    pub(super) fn read_send(&mut self, send: SendRequest) -> Result<Sending, Failure> {
        let destination: Destination = send.destination.parse().map_err(failure::invalid)?;
        self.take_no_new_work()
            .map_err(|error| failure::of(&error))?;
        let options = SendOptions::parse(&send.headers).map_err(failure::invalid)?;
        let persistent = options.persistent.unwrap_or(true);
        let message = message(send, options);
        let (command, channel) = match destination {
            Destination::Queue(topic) => {
                self.allow(Action::Publish, Resource::Topic(&topic))?;
                self.make_queue(&topic);
                let messages = SmallVec::from_buf([message]);
                (Some(Command::Publish { topic, messages }), None)
            }
            Destination::Topic(channel) => {
                let (command, channel) = self.to_topic(channel, message)?;
                (command, Some(channel))
            }
            Destination::Subscription { topic, .. } => {
                let topic = Destination::Queue(topic);
                return Err(failure::unsupported(&format!(
                    "a subscription can't be sent to alone; send to {topic}, which all subscriptions of the topic get"
                )));
            }
            Destination::TempQueue(_) | Destination::Rpc(_) => {
                return Err(failure::unsupported("not yet"));
            }
        };
        Ok(Sending {
            command,
            channel,
            persistent,
        })
    }

    /// A message for whoever listens now, and for the durable subscriptions, if there are any.
    fn to_topic(
        &self,
        channel: ChannelName,
        message: Message,
    ) -> Result<(Option<Command>, ChannelMessage), Failure> {
        self.allow(Action::Publish, Resource::Channel(&channel))?;
        if message.deliver.is_some() {
            return Err(failure::unsupported(
                "a message to /topic/NAME can't be delayed, because it is for who listens now; send it to /queue/NAME",
            ));
        }
        let topic = topic_of(&channel);
        let heard = ChannelMessage::new(
            channel,
            message.payload.clone(),
            message.content_type.clone(),
        )
        .with_headers(message.headers.clone());
        let command = match topic {
            Ok(topic) => {
                self.allow(Action::Publish, Resource::Topic(&topic))?;
                let messages = SmallVec::from_buf([message]);
                Some(Command::PublishIfSubscribed { topic, messages })
            }
            // A name that no topic can have: nobody can subscribe durably.
            Err(_) => None,
        };
        Ok((command, heard))
    }

    /// Hands a message to whoever listens. Nobody waits for that, but a failure is told.
    pub(super) fn publish_channel(&mut self, message: ChannelMessage) {
        let completion = self.unless_failed();
        let engine = &self.shared.services.engine;
        engine.publish_channel(&self.caller, message, completion);
    }

    /// Makes the subscription behind `/queue/NAME`, so that what is sent there is for it.
    fn make_queue(&mut self, topic: &TopicName) {
        if self.queues.contains(topic) {
            return;
        }
        if self.queues.len() >= QUEUES_MAX {
            self.queues.clear();
        }
        self.queues.insert(topic.clone());
        let command = Admin::Subscribe {
            topic: topic.clone(),
            subscription: queue(),
            from: None,
            settings: SubscriptionSettings::default(),
        };
        let completion = self.job(Job::Queue(topic.clone()));
        let engine = &self.shared.services.engine;
        engine.admin(&self.caller, command, completion);
    }
}

/// The name of the subscription behind `/queue/NAME`.
pub(super) fn queue() -> SubscriptionName {
    SubscriptionName::new(QUEUE).expect("the word is a name")
}

/// The topic behind `/topic/NAME`.
pub(super) fn topic_of(channel: &ChannelName) -> Result<TopicName, trunkline_model::NameError> {
    TopicName::new(compact_str::format_compact!("{TOPIC}{channel}"))
}

fn message(send: SendRequest, options: SendOptions) -> Message {
    Message {
        payload: kept(send.body),
        content_type: options.content_type.unwrap_or_default(),
        key: options.key,
        group: options.group,
        publish_id: options.publish_id,
        priority: None,
        jms_priority: options.priority,
        expires: options.expires,
        deliver: options.deliver,
        headers: SendOptions::passed_on(&send.headers),
        traceparent: options.traceparent,
    }
}

fn kept(body: Bytes) -> Bytes {
    match body.len() {
        length if length < SHARED_BYTES_MIN => Bytes::copy_from_slice(&body),
        _ => body,
    }
}
