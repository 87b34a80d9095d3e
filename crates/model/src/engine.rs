use crate::{
    Caller, Capabilities, ChannelMessage, Completion, ConsumeSpec, ConsumerHandle, ConsumerId,
    DeliverySink, DeliveryTag, ListenHandle, ListenPolicy, ListenerSink, Message, MessageId,
    StartFrom, SubscriptionName, SubscriptionSettings, TopicName, TopicSettings,
};
use smallvec::SmallVec;
use std::{sync::Arc, time::Duration};
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
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PeekFrom {
    /// With what would be delivered first.
    Front,
    /// With the first message whose sequence is at least this one's.
    Id(MessageId),
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
    /// Changes options of a topic.
    Alter {
        /// Its name.
        topic: TopicName,
        /// What changes.
        settings: TopicSettings,
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
        /// What this subscription would be sent, in that order; `None` for everything
        /// stored, by sequence.
        subscription: Option<SubscriptionName>,
        /// At most so many.
        limit: usize,
        /// Where to begin.
        from: PeekFrom,
    },
}

/// Whether an engine can serve.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Health {
    /// It can.
    Ready,
    /// Not yet; what it is doing.
    Starting(String),
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
