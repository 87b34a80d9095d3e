//! SEND.

use super::{
    commit::Afterward,
    connection::{Step, StompConnection},
    failure,
    jobs::Job,
};
use bytes::Bytes;
use smallvec::SmallVec;
use std::borrow::Cow;
use trunkline_auth::{Action, Resource};
use trunkline_model::{
    Admin, Batch, ChannelMessage, ChannelName, Command, Headers, Message, SubscriptionName,
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
    /// What goes elsewhere.
    pub(super) afterward: Option<Afterward>,
    /// Whether the sender wants it to outlive a crash.
    persistent: bool,
}

impl StompConnection {
    pub(super) fn send(&mut self, token: Token, send: SendRequest) -> Result<Step, Failure> {
        let sending = self.read_send(send)?;
        self.go_on(sending.afterward);
        let Some(command) = sending.command else {
            return Ok(Step::Done);
        };
        let (completion, step) = match sending.persistent {
            true => (self.completion(token), Step::Later),
            // Its RECEIPT says that it was accepted, and no more.
            false => (self.unless_failed(), Step::Done),
        };
        self.gather(Batch::of(command), completion);
        Ok(step)
    }

    /// Reads a SEND, and makes the queue that it goes to.
    pub(super) fn read_send(&mut self, send: SendRequest) -> Result<Sending, Failure> {
        let destination: Destination = send.destination.parse().map_err(failure::invalid)?;
        self.take_no_new_work()
            .map_err(|error| failure::of(&error))?;
        let options = SendOptions::parse(&send.headers).map_err(failure::invalid)?;
        let persistent = options.persistent.unwrap_or(true);
        if let Destination::Rpc(method) = destination {
            let calling = self.read_call(method, &send.body, options)?;
            return Ok(Sending {
                command: None,
                afterward: Some(Afterward::Call(Box::new(calling))),
                persistent,
            });
        }
        let message = self.message(send, options)?;
        let (command, channel) = self.to(destination, message)?;
        Ok(Sending {
            command,
            afterward: channel.map(|message| Afterward::Channel(Box::new(message))),
            persistent,
        })
    }

    /// The answer to a call, on its way to its `reply-to`. It is nobody's frame: a failure ends the
    /// session.
    pub(super) fn send_answer(&mut self, destination: Destination, answer: Message) {
        match self.to(destination, answer) {
            Ok((command, channel)) => {
                if let Some(message) = channel {
                    self.publish_channel(message);
                }
                if let Some(command) = command {
                    let completion = self.unless_failed();
                    self.gather(Batch::of(command), completion);
                }
            }
            Err(failure) => self.session.fail(self.now(), failure),
        }
    }

    /// What a message to a destination comes to: something for a topic, something for whoever
    /// listens, or both.
    fn to(
        &mut self,
        destination: Destination,
        message: Message,
    ) -> Result<(Option<Command>, Option<ChannelMessage>), Failure> {
        match destination {
            Destination::Queue(topic) => {
                self.allow(Action::Publish, Resource::Topic(&topic))?;
                self.make_queue(&topic);
                let messages = SmallVec::from_buf([message]);
                Ok((Some(Command::Publish { topic, messages }), None))
            }
            Destination::Topic(channel) => {
                let (command, heard) = self.to_topic(channel, message)?;
                Ok((command, Some(heard)))
            }
            Destination::TempQueue(name) => {
                let topic = self.temp_topic(&name)?;
                let messages = SmallVec::from_buf([message]);
                // Its connection may be gone, and then nobody waits for this.
                Ok((Some(Command::PublishIfSubscribed { topic, messages }), None))
            }
            Destination::Subscription { topic, .. } => {
                let topic = Destination::Queue(topic);
                Err(failure::unsupported(&format!(
                    "a subscription can't be sent to alone; send to {topic}, which all subscriptions of the topic get"
                )))
            }
            Destination::Rpc(_) => Err(failure::unsupported("a call is not a message")),
        }
    }

    /// The message that a SEND asks for.
    fn message(&mut self, send: SendRequest, options: SendOptions) -> Result<Message, Failure> {
        let mut headers = SendOptions::passed_on(&send.headers);
        if let Some(reply_to) = &options.reply_to
            && let Cow::Owned(name) = self.reply_name(reply_to)?
        {
            headers = with_reply_to(&headers, &name);
        }
        Ok(Message {
            payload: kept(send.body),
            content_type: options.content_type.unwrap_or_default(),
            key: options.key,
            group: options.group,
            publish_id: options.publish_id,
            priority: None,
            jms_priority: options.priority,
            expires: options.expires,
            deliver: options.deliver,
            headers,
            traceparent: options.traceparent,
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
        let payload = message.payload.clone();
        let heard = ChannelMessage::new(channel, payload, message.content_type.clone())
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

/// The same headers with another `reply-to`.
fn with_reply_to(headers: &Headers, name: &str) -> Headers {
    let mut changed = Headers::new();
    for (header, value) in headers.iter() {
        match header {
            "reply-to" => changed.push(header, name),
            _ => changed.push(header, value),
        }
    }
    changed
}

fn kept(body: Bytes) -> Bytes {
    match body.len() {
        length if length < SHARED_BYTES_MIN => Bytes::copy_from_slice(&body),
        _ => body,
    }
}
