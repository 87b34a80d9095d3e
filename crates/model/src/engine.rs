use crate::{
    Caller, Capabilities, ChannelMessage, Completion, ConsumeSpec, ConsumerHandle, ConsumerId,
    DeliverySink, DeliveryTag, ListenHandle, ListenPolicy, ListenerSink, Message, MessageId,
    MessageState, Priority, StartFrom, StoredMessage, SubscriptionName, SubscriptionSettings,
    Timestamp, TopicName, TopicSettings,
};
use bytes::Bytes;
use compact_str::CompactString;
use smallvec::SmallVec;
use std::{fmt, str::FromStr, sync::Arc, time::Duration};
use tokio::sync::watch;

/// One step of a batch.
#[derive(Clone, Debug)]
pub enum Command {
    /// Adds messages to a topic, in order.
    Publish {
        /// The topic; made with default options on first use, if the engine is told so.
        topic: TopicName,
        /// The messages.
        messages: SmallVec<[Message; 1]>,
    },
    /// The same, if the topic is there and has a subscription; else nothing, which is no error
    /// and adds nothing to the receipt.
    PublishIfSubscribed {
        /// The topic; never made.
        topic: TopicName,
        /// The messages.
        messages: SmallVec<[Message; 1]>,
    },
    /// Settles deliveries.
    Ack {
        /// Whose.
        consumer: ConsumerId,
        /// Which.
        tags: SmallVec<[DeliveryTag; 4]>,
    },
    /// Returns deliveries to their place, or gives them up.
    Nack {
        /// Whose.
        consumer: ConsumerId,
        /// Which.
        tags: SmallVec<[DeliveryTag; 4]>,
        /// True: available again; false: dead letter, or dropped without a topic for them.
        requeue: bool,
        /// Available again only after this time.
        delay: Duration,
    },
    /// Starts the ack time-out of deliveries anew.
    Extend {
        /// Whose.
        consumer: ConsumerId,
        /// Which.
        tags: SmallVec<[DeliveryTag; 4]>,
        /// The new time-out, from now.
        by: Duration,
    },
}

/// Commands that take effect in order and, as far as the engine's
/// [`Atomicity`](crate::Atomicity) goes, all or not at all.
#[derive(Clone, Debug, Default)]
pub struct Batch {
    /// The commands.
    pub commands: SmallVec<[Command; 1]>,
    /// A delivery that is no longer held fails the batch with
    /// [`ErrorCode::Conflict`](crate::ErrorCode::Conflict) instead of being skipped.
    pub strict: bool,
}

impl Batch {
    /// A batch of one command, not strict.
    pub fn of(command: Command) -> Self {
        Self {
            commands: SmallVec::from_iter([command]),
            strict: false,
        }
    }
}

/// Where looking at messages begins.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PeekFrom {
    /// With what would be delivered first.
    #[default]
    Front,
    /// With the first message whose sequence is at least this one's.
    Id(MessageId),
    /// Behind what an earlier look has seen.
    After(PeekCursor),
}

/// Where a look ended, so that the next one can go on: a position in a subscription, or in the
/// whole topic. It stays right whatever happens to the messages meanwhile.
///
/// A subscription is looked at in three parts: what waits, by priority and position; what is
/// delayed, and what is in flight, both by sequence. The text forms are `@PRIORITY-POSITION`,
/// `@delayed-SEQUENCE` and `@in-flight-SEQUENCE`, all decimal; for people they mean nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct PeekCursor {
    /// Which part; `Waiting` where a whole topic is looked at, by sequence.
    pub state: MessageState,
    /// The priority; 0 where messages are looked at by sequence.
    pub priority: u8,
    /// The position in it, or the sequence.
    pub position: u64,
}

impl PeekCursor {
    /// A position among what waits.
    pub const fn waiting(priority: u8, position: u64) -> Self {
        Self {
            state: MessageState::Waiting,
            priority,
            position,
        }
    }

    /// A message of a whole topic, or of another part of a subscription.
    pub const fn sequence(state: MessageState, sequence: u64) -> Self {
        Self {
            state,
            priority: 0,
            position: sequence,
        }
    }
}

impl fmt::Display for PeekCursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.state {
            MessageState::Waiting => write!(f, "@{}-{}", self.priority, self.position),
            state => write!(f, "@{}-{}", state.name(), self.position),
        }
    }
}

/// The text is neither a message id nor a cursor.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is neither a message id, as in 3-1542, nor the `next` of an earlier answer")]
pub struct ParsePeekFromError(String);

impl FromStr for PeekFrom {
    type Err = ParsePeekFromError;

    fn from_str(text: &str) -> Result<Self, ParsePeekFromError> {
        let cursor = |rest: &str| {
            let (part, position) = rest.rsplit_once('-')?;
            let position = position.parse().ok()?;
            let state = [MessageState::Delayed, MessageState::InFlight]
                .into_iter()
                .find(|state| state.name() == part);
            Some(Self::After(match state {
                Some(state) => PeekCursor::sequence(state, position),
                None => PeekCursor::waiting(part.parse().ok()?, position),
            }))
        };
        let from = match text.strip_prefix('@') {
            Some(rest) => cursor(rest),
            None => text.parse().ok().map(Self::Id),
        };
        from.ok_or_else(|| ParsePeekFromError(text.into()))
    }
}

/// Which messages are looked at, or driven back: those that all members agree on. An empty
/// filter takes all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MessageFilter {
    /// With this key.
    pub key: Option<CompactString>,
    /// Of this group.
    pub group: Option<CompactString>,
    /// With this header and, if given, this value under it.
    pub header: Option<(CompactString, Option<CompactString>)>,
    /// Published at this time or later.
    pub since: Option<Timestamp>,
    /// Published before this time.
    pub until: Option<Timestamp>,
    /// With this identity.
    pub id: Option<MessageId>,
    /// In this state; only for looking at a subscription, which otherwise shows all three, one
    /// after the other.
    pub state: Option<MessageState>,
}

impl MessageFilter {
    /// Whether it takes everything.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Whether the content of a message must be read to know whether it takes it.
    pub fn needs_content(&self) -> bool {
        self.key.is_some() || self.group.is_some() || self.header.is_some()
    }

    /// Whether it takes a message, whatever its state.
    pub fn matches(&self, id: MessageId, message: &StoredMessage) -> bool {
        let same = |asked: &Option<CompactString>, is: &Option<CompactString>| {
            asked.is_none() || asked == is
        };
        let header = self.header.as_ref().is_none_or(|(name, value)| {
            let mut found = message.headers.iter().filter(|(n, _)| n == name);
            found.any(|(_, is)| value.as_ref().is_none_or(|value| value == is))
        });
        header
            && same(&self.key, &message.key)
            && same(&self.group, &message.group)
            && self.since.is_none_or(|since| message.published_at >= since)
            && self.until.is_none_or(|until| message.published_at < until)
            && self.id.is_none_or(|asked| asked == id)
    }
}

/// Where driven back messages go.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum RedriveTo {
    /// To the topic that each came from, and there only to the subscription that gave it up.
    /// One whose topic or subscription is gone stays.
    #[default]
    Source,
    /// To this topic, as new messages for all its subscriptions.
    Topic(TopicName),
}

/// What changes of a message that is driven back. Its dead-letter headers go in any case.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RedriveEdit {
    /// Another body, with its media type.
    pub payload: Option<(Bytes, CompactString)>,
    /// Another urgency.
    pub priority: Option<Priority>,
    /// Headers to set, in place of those with the same names; `None` removes them.
    pub headers: Vec<(CompactString, Option<CompactString>)>,
}

/// Looking at and managing topics.
#[derive(Clone, Debug)]
pub enum Admin {
    /// Makes a topic; the same options again are fine, different ones a conflict naming them.
    Define {
        /// Its name.
        topic: TopicName,
        /// Its options.
        settings: TopicSettings,
    },
    /// Changes options of a topic. What is stored keeps the times that it has: an altered `ttl`
    /// is for messages published later, an altered `ack_timeout` for later deliveries. Ends
    /// with [`Outcome::Altered`](crate::Outcome::Altered).
    Alter {
        /// Its name.
        topic: TopicName,
        /// What changes.
        settings: TopicSettings,
        /// Names of options that are at their defaults again, among
        /// [`TopicSettings::MEMBERS`]; not those that `settings` names.
        clear: Vec<CompactString>,
    },
    /// Changes what a subscription overrides of its topic; as [`Admin::Alter`].
    AlterSubscription {
        /// The topic.
        topic: TopicName,
        /// The subscription's name.
        subscription: SubscriptionName,
        /// What changes.
        settings: SubscriptionSettings,
        /// Names of options that it no longer overrides, among
        /// [`SubscriptionSettings::MEMBERS`].
        clear: Vec<CompactString>,
    },
    /// Removes a topic with its subscriptions and messages.
    Delete {
        /// Its name.
        topic: TopicName,
    },
    /// Makes a durable subscription without a consumer.
    Subscribe {
        /// The topic.
        topic: TopicName,
        /// The subscription's name.
        subscription: SubscriptionName,
        /// Where it starts: `All` for a topic's first one, else `New`.
        from: Option<StartFrom>,
        /// What it overrides of the topic.
        settings: SubscriptionSettings,
    },
    /// Removes a durable subscription and frees its messages.
    Unsubscribe {
        /// The topic.
        topic: TopicName,
        /// The subscription's name.
        subscription: SubscriptionName,
    },
    /// Removes the waiting messages of a subscription, or of all and the kept ones.
    /// Deliveries in flight stay.
    Purge {
        /// The topic.
        topic: TopicName,
        /// The subscription; `None` for the whole topic.
        subscription: Option<SubscriptionName>,
    },
    /// Shows one topic.
    Inspect {
        /// The topic.
        topic: TopicName,
    },
    /// Shows topics by name, without Trunkline's own.
    List {
        /// Those after this name.
        after: Option<TopicName>,
        /// At most so many.
        limit: usize,
    },
    /// Shows messages and disturbs nothing.
    Peek {
        /// The topic.
        topic: TopicName,
        /// What this subscription would be sent, in that order, then what is delayed and what
        /// is in flight there; `None` for everything stored, by sequence.
        subscription: Option<SubscriptionName>,
        /// At most so many. Fewer, with a cursor, if that took much reading.
        limit: usize,
        /// Where to begin.
        from: PeekFrom,
        /// Only those.
        filter: MessageFilter,
    },
    /// Moves dead letters back, in the order of the dead-letter topic: each leaves the one
    /// topic and is stored in the other in one step.
    Redrive {
        /// The dead-letter topic.
        topic: TopicName,
        /// Only those.
        filter: MessageFilter,
        /// Where they go.
        to: RedriveTo,
        /// What changes of them.
        edit: RedriveEdit,
        /// Where to begin.
        from: PeekFrom,
        /// At most so many. Fewer, with a cursor, if that took much reading.
        limit: usize,
    },
    /// Makes a consistent copy of the store as it is now; see [`Snapshot`](crate::Snapshot).
    Backup,
}

/// Whether an engine can serve.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Health {
    /// It can.
    Ready,
    /// Not yet; what it is doing.
    Starting(String),
    /// It can, but something is wrong that somebody should see to; what it is, and what to do.
    Degraded(String),
    /// It can't take publishes for now; why. Acks and deliveries go on.
    ReadOnly(String),
    /// It can't any more; why and what to do.
    Failed(String),
    /// It is closed.
    Closed,
}

/// Topics and channels: what lies under calls, gateway and command line.
///
/// Every method returns at once. Order is fixed at submission, completion comes later and
/// may come from any thread, also before the method returns. Nothing is completed, and no
/// delivery leaves, before it is as durable as its topic promises.
pub trait Engine: Send + Sync + 'static {
    /// What it can do; engines that must connect first know it only then.
    fn capabilities(&self) -> watch::Receiver<Capabilities>;

    /// Runs a batch. Ends with [`Outcome::Done`](crate::Outcome::Done).
    fn submit(&self, caller: &Caller, batch: Batch, completion: Completion);

    /// Runs several batches in order, each as [`Engine::submit`] does, and leaves the vector
    /// empty: for who has read several commands at once. Each ends by itself, whatever
    /// becomes of the others.
    fn submit_all(&self, caller: &Caller, batches: &mut Vec<(Batch, Completion)>) {
        for (batch, completion) in batches.drain(..) {
            self.submit(caller, batch, completion);
        }
    }

    /// Looks or manages.
    fn admin(&self, caller: &Caller, command: Admin, completion: Completion);

    /// Starts a consumer; [`DeliverySink::started`] says how that went.
    fn consume(
        &self,
        caller: &Caller,
        spec: ConsumeSpec,
        sink: Arc<dyn DeliverySink>,
    ) -> Box<dyn ConsumerHandle>;

    /// Hands a message to whoever listens now. Ends with
    /// [`Outcome::Reached`](crate::Outcome::Reached).
    fn publish_channel(&self, caller: &Caller, message: ChannelMessage, completion: Completion);

    /// Starts a listener that hears nothing yet. `policy` bounds the engine's own buffer
    /// for it, where it needs one.
    fn listen(
        &self,
        caller: &Caller,
        sink: Arc<dyn ListenerSink>,
        policy: ListenPolicy,
    ) -> Box<dyn ListenHandle>;

    /// Whether it can serve.
    fn health(&self) -> watch::Receiver<Health>;

    /// Stops taking commands, finishes what it has within `deadline`, makes it durable and
    /// lets go of its store. [`Engine::health`] says `Closed` when done.
    fn close(&self, deadline: Duration);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_looks_begin() {
        let id = MessageId {
            topic: 3,
            sequence: 1542,
        };
        assert_eq!("3-1542".parse(), Ok(PeekFrom::Id(id)));
        for cursor in [
            PeekCursor::waiting(255, u64::MAX),
            PeekCursor::sequence(MessageState::Delayed, 7),
            PeekCursor::sequence(MessageState::InFlight, 1),
        ] {
            assert_eq!(cursor.to_string().parse(), Ok(PeekFrom::After(cursor)));
        }
        for bad in [
            "", "@", "3", "@1", "@256-1", "@1-", "@-1", "1-2-3", "@gone-1",
        ] {
            assert!(bad.parse::<PeekFrom>().is_err(), "{bad}");
        }
    }

    #[test]
    fn filters() {
        let id = MessageId {
            topic: 1,
            sequence: 9,
        };
        let mut message = StoredMessage {
            payload: Bytes::new(),
            content_type: CompactString::default(),
            key: Some("k".into()),
            group: None,
            publish_id: None,
            priority: Priority(0),
            published_at: Timestamp::from_micros(50),
            expires_at: None,
            deliver_at: None,
            headers: crate::Headers::new(),
            traceparent: None,
        };
        message.headers.push("kind", "a");
        message.headers.push("kind", "b");
        let all = MessageFilter::default();
        assert!(all.is_empty() && all.matches(id, &message));
        let header = |name: &str, value: Option<&str>| MessageFilter {
            header: Some((name.into(), value.map(Into::into))),
            ..MessageFilter::default()
        };
        assert!(header("kind", None).matches(id, &message));
        assert!(header("kind", Some("b")).matches(id, &message));
        assert!(!header("kind", Some("c")).matches(id, &message));
        assert!(!header("other", None).matches(id, &message));
        let times = |since, until| MessageFilter {
            since: Some(Timestamp::from_micros(since)),
            until: Some(Timestamp::from_micros(until)),
            key: Some("k".into()),
            ..MessageFilter::default()
        };
        assert!(times(50, 51).matches(id, &message));
        assert!(!times(51, 60).matches(id, &message) && !times(1, 50).matches(id, &message));
        let group = MessageFilter {
            group: Some("g".into()),
            ..MessageFilter::default()
        };
        assert!(!group.matches(id, &message));
    }
}
