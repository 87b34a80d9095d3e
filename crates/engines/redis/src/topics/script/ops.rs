//! What the script is asked, and what it answers, as data.

use bytes::Bytes;
use compact_str::CompactString;
use std::time::Duration;
use trunkline_model::{
    Durability, JmsPriority, MessageId, MessageState, PeekCursor, PeekFrom, Priority, StartFrom,
    SubscriptionName, SubscriptionSettings, Timestamp, TopicName, TopicOptions, When,
};

/// Steps for one topic, which run in their order and with nothing in between.
///
/// One process asks one request of a topic at a time, with numbers that grow. The script keeps the
/// last number of every process with its answer for ten minutes: the same request again is not run
/// again but answered as before, so that it may be repeated after a lost connection.
#[derive(Clone, Debug)]
pub(crate) struct Request<'a> {
    /// The topic.
    pub(crate) topic: &'a TopicName,
    /// Who asks: a name that no other process has, nor an earlier run of this one.
    pub(crate) process: &'a str,
    /// Greater than that of the request before; there may be gaps. 0 for one that only looks
    /// ([`Step::Inspect`], [`Step::Peek`]): nothing is remembered of it, and `process` may be empty.
    pub(crate) number: u64,
    /// Whether the process believes that it has consumers in the topic: it is told if it has not.
    pub(crate) attached: bool,
    /// How long the process may be silent before its consumers are ended: counts from now on.
    pub(crate) lease: Duration,
    /// What is to be done. Only what is due happens if there is none.
    pub(crate) steps: &'a [Step],
}

/// One thing to do.
#[derive(Clone, Debug)]
pub(crate) enum Step {
    /// A client's batch, as far as it is about this topic: all of it, or nothing.
    Batch {
        /// A delivery that is no longer held fails all of it.
        strict: bool,
        /// In order.
        commands: Vec<Change>,
    },
    /// A consumer takes what it has room for.
    Take {
        /// Number of the consumer in its process.
        consumer: u64,
        /// One that it is attached to.
        subscription: SubscriptionName,
        /// At most so many.
        count: u32,
        /// At most so much, by [`Delivery::weight`](trunkline_model::Delivery::weight).
        bytes: u64,
        /// The first one may be larger than `bytes`.
        at_least_one: bool,
        /// They are settled at once.
        auto_ack: bool,
    },
    /// A consumer begins to take from a subscription; nothing new if it did already.
    Attach {
        /// Number of the consumer in its process.
        consumer: u64,
        /// Its name.
        subscription: SubscriptionName,
        /// Whether it is made if it isn't there.
        create: bool,
        /// Where it begins if it is made.
        from: Option<StartFrom>,
    },
    /// A consumer ends: what it holds returns.
    Detach {
        /// Number of the consumer in its process.
        consumer: u64,
    },
    /// The process goes: all its consumers end.
    Leave,
    /// Makes the topic unless it is there. The first step of a request on a topic that isn't.
    Define {
        /// Its number, which no topic had before; 0 only to look whether it is there.
        number: u32,
        /// Its options.
        options: TopicOptions,
    },
    /// Changes the topic's options, if nobody else did meanwhile. If the answer says `more`, nothing has
    /// changed so far, and it is to be asked again with its `after`.
    Alter {
        /// Of the definition that the change is made of.
        version: u64,
        /// All of them.
        options: TopicOptions,
        /// None at first.
        after: Option<u64>,
    },
    /// Changes what a subscription overrides, if nobody else changed a definition meanwhile. As
    /// [`Step::Alter`] if there is `more`.
    AlterSubscription {
        /// Of the definition that the change is made of.
        version: u64,
        /// Its name.
        subscription: SubscriptionName,
        /// All of them.
        settings: SubscriptionSettings,
        /// None at first.
        after: Option<u64>,
    },
    /// Removes the topic with everything in it. The last step of a request.
    Delete,
    /// Makes a subscription unless it is there. As [`Step::Alter`] if there is `more`.
    Subscribe {
        /// Its name.
        subscription: SubscriptionName,
        /// Where it begins if it is made.
        from: Option<StartFrom>,
        /// What it overrides if it is made.
        settings: SubscriptionSettings,
        /// None at first.
        after: Option<u64>,
    },
    /// Removes a subscription. If the answer says `more`, to be asked again with its `below`.
    Unsubscribe {
        /// Its name.
        subscription: SubscriptionName,
        /// None at first.
        below: Option<u64>,
    },
    /// Removes what waits in a subscription, or in all of them. As [`Step::Unsubscribe`] if there
    /// is `more`.
    Purge {
        /// `None` for all, and for what is kept.
        subscription: Option<SubscriptionName>,
        /// None at first.
        below: Option<u64>,
    },
    /// Everything that can be seen of the topic.
    Inspect,
    /// Shows messages.
    Peek(Peek),
    /// Takes dead letters out of the outbox, for a few seconds.
    TakeOutbox {
        /// At most so many.
        limit: u32,
    },
    /// Dead letters have got where they go, or nowhere.
    SettleOutbox {
        /// Those from [`Step::TakeOutbox`]. What isn't there any more is passed over.
        entries: Vec<Settled>,
    },
    /// Stores a dead letter of another topic: never refused, and once.
    Inter {
        /// The letter; its priority is lowered to what the topic has.
        message: Incoming,
        /// Names it among all that are published here. It is not shown with the message.
        publish_id: CompactString,
    },
    /// Stores a message that is driven back in one subscription, once.
    Restore {
        /// Its name.
        subscription: SubscriptionName,
        /// The message; its priority is lowered to what the topic has.
        message: Incoming,
        /// As of [`Step::Inter`].
        publish_id: CompactString,
    },
    /// Removes messages that nobody holds from all subscriptions: they were driven back.
    Remove {
        /// The topic's number: nothing is removed from another one of that name.
        number: u32,
        /// Which.
        sequences: Vec<u64>,
    },
}

/// A part of a client's batch.
#[derive(Clone, Debug)]
pub(crate) enum Change {
    /// Adds a message.
    Publish {
        /// Nothing happens, and the answer has 0 for an identity, if nobody subscribes.
        if_subscribed: bool,
        /// The message.
        message: Incoming,
    },
    /// Settles deliveries.
    Ack {
        /// Number of the consumer in its process.
        consumer: u64,
        /// Which.
        holds: Vec<Hold>,
    },
    /// Returns deliveries, or gives them up.
    Nack {
        /// Number of the consumer in its process.
        consumer: u64,
        /// Which.
        holds: Vec<Hold>,
        /// False: they are given up.
        requeue: bool,
        /// Zero for what the subscription's `retry` says.
        delay: Duration,
    },
    /// Starts the ack time-outs of deliveries anew.
    Extend {
        /// Number of the consumer in its process.
        consumer: u64,
        /// Which.
        holds: Vec<Hold>,
        /// From now on.
        by: Duration,
    },
    /// Deliveries were named that the process doesn't know any more: they are only counted.
    Late {
        /// Number of the subscription that they were of.
        subscription: u32,
        /// How many.
        count: u64,
    },
}

/// Names one delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Hold {
    /// Number of the subscription.
    pub(crate) subscription: u32,
    /// The message.
    pub(crate) sequence: u64,
    /// Which of its deliveries: no other in the topic has it.
    pub(crate) ticket: u64,
}

/// A message to store.
#[derive(Clone, Debug)]
pub(crate) struct Incoming {
    /// Client-chosen id.
    pub(crate) publish_id: Option<CompactString>,
    /// Identity for deduplication.
    pub(crate) key: Option<CompactString>,
    /// Ordering group.
    pub(crate) group: Option<CompactString>,
    /// Urgency.
    pub(crate) priority: Option<Priority>,
    /// Urgency if there is no other.
    pub(crate) jms_priority: Option<JmsPriority>,
    /// Its end.
    pub(crate) expires: Option<When>,
    /// Its begin.
    pub(crate) deliver: Option<When>,
    /// Bytes of its payload.
    pub(crate) payload_bytes: u32,
    /// Payload, content type, headers and trace context: the script doesn't look inside.
    pub(crate) body: Bytes,
}

/// A look at messages. What the script can't judge of a filter is for the caller.
#[derive(Clone, Debug)]
pub(crate) struct Peek {
    /// `None` for everything stored, by sequence.
    pub(crate) subscription: Option<SubscriptionName>,
    /// Where to begin.
    pub(crate) from: PeekFrom,
    /// Only this one.
    pub(crate) id: Option<MessageId>,
    /// Only those published at this time or later.
    pub(crate) since: Option<Timestamp>,
    /// Only those published before this time.
    pub(crate) until: Option<Timestamp>,
    /// Only those in this state; only with a subscription.
    pub(crate) state: Option<MessageState>,
    /// At most so many.
    pub(crate) limit: u32,
    /// Pass over at most so many; 10,000 are never exceeded.
    pub(crate) passed_max: u32,
    /// Bodies of at most so many bytes, but for a first one that has more.
    pub(crate) bytes_max: u64,
}

/// What became of a dead letter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Settled {
    /// From [`Letter::entry`].
    pub(crate) entry: u64,
    /// True: it is stored in another topic. False: it is dropped, since it was a dead letter
    /// already, or there is no topic for it.
    pub(crate) buried: bool,
}

/// What came of a request.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Answer {
    /// It was run, now or before.
    Reply(Reply),
    /// The topic isn't there; nothing was done.
    Missing,
    /// A later request of this process was run before; nothing was done.
    Stale,
    /// The topic's keys are of another version of Trunkline, in this format; nothing was done.
    Format(u64),
}

/// What a request did.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Reply {
    /// The topic's time.
    pub(crate) now: Timestamp,
    /// Number of the topic: 0 if the request removed it.
    pub(crate) number: u32,
    /// When something happens by itself, or earlier: somebody has to ask then.
    pub(crate) next_due: Option<Timestamp>,
    /// The process has no consumers here any more: it was silent for too long, or the topic is
    /// another one. What it held has returned.
    pub(crate) lease_lost: bool,
    /// Dead letters wait in the outbox.
    pub(crate) outbox: bool,
    /// Deliveries that the process doesn't hold any more, though it did nothing for it.
    pub(crate) forgotten: Vec<Forgotten>,
    /// Consumers of the process that are attached no longer, since the subscription was removed.
    pub(crate) ended: Vec<Ended>,
    /// What came of every step.
    pub(crate) steps: Vec<Result<Done, Refusal>>,
}

/// A delivery that isn't one any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Forgotten {
    /// Number of the consumer in its process.
    pub(crate) consumer: u64,
    /// Which.
    pub(crate) hold: Hold,
}

/// A consumer whose subscription is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ended {
    /// Number of the consumer in its process.
    pub(crate) consumer: u64,
    /// Number of the subscription.
    pub(crate) subscription: u32,
}

/// What a step did.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Done {
    /// [`Step::Batch`].
    Batch(Batched),
    /// [`Step::Take`].
    Taken {
        /// In order.
        deliveries: Vec<Taken>,
        /// Something is left that this consumer could take if it had more room.
        more: bool,
    },
    /// [`Step::Attach`].
    Attached {
        /// Number of the subscription.
        subscription: u32,
        /// Whether it was made.
        created: bool,
        /// Kept messages that it didn't want.
        released: u64,
    },
    /// [`Step::Detach`], [`Step::Leave`].
    Detached {
        /// Deliveries that ended.
        returned: u64,
    },
    /// [`Step::Define`].
    Defined {
        /// Whether it was made.
        created: bool,
        /// Of the definition.
        version: u64,
        /// In effect.
        options: TopicOptions,
    },
    /// [`Step::Alter`], [`Step::AlterSubscription`].
    Altered {
        /// Stored messages, or those that wait in the subscription.
        messages: u64,
        /// Their payload bytes.
        bytes: u64,
        /// The step must be asked again, with this.
        more: Option<u64>,
    },
    /// [`Step::Subscribe`].
    Subscribed {
        /// Number of the subscription.
        subscription: u32,
        /// Whether it was made.
        created: bool,
        /// Kept messages that it didn't want.
        released: u64,
        /// What it overrides.
        settings: SubscriptionSettings,
        /// The topic's.
        options: TopicOptions,
        /// The step must be asked again, with this.
        more: Option<u64>,
    },
    /// [`Step::Delete`], [`Step::Unsubscribe`], [`Step::Purge`].
    Removed {
        /// Messages that this step freed or took out.
        messages: u64,
        /// The step must be asked again, with this.
        more: Option<u64>,
    },
    /// [`Step::Inspect`].
    Inspected(Box<Inspected>),
    /// [`Step::Peek`].
    Peeked {
        /// In the order that was asked for.
        messages: Vec<Seen>,
        /// Where to go on.
        next: Option<PeekCursor>,
    },
    /// [`Step::TakeOutbox`].
    Letters(Vec<Letter>),
    /// [`Step::SettleOutbox`], [`Step::Remove`]: how many were there.
    Settled(u64),
    /// [`Step::Inter`], [`Step::Restore`].
    Stored {
        /// Its sequence; that of the first, if it was stored before.
        sequence: u64,
        /// Whether it was stored now.
        is_new: bool,
    },
}

/// What a batch did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Batched {
    /// Sequence of every published message, in order; 0 for those that nobody wanted.
    pub(crate) ids: Vec<u64>,
    /// The topic's, if anything was published.
    pub(crate) durability: Option<Durability>,
    /// Deliveries settled.
    pub(crate) acked: u64,
    /// Deliveries returned or given up.
    pub(crate) nacked: u64,
    /// Deliveries with a new time-out.
    pub(crate) extended: u64,
    /// Deliveries that weren't held.
    pub(crate) skipped: u64,
}

/// A message as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Stored {
    /// Its sequence.
    pub(crate) sequence: u64,
    /// Urgency.
    pub(crate) priority: Priority,
    /// When it was published.
    pub(crate) published_at: Timestamp,
    /// Its end.
    pub(crate) expires_at: Option<Timestamp>,
    /// Its begin.
    pub(crate) deliver_at: Option<Timestamp>,
    /// Identity for deduplication.
    pub(crate) key: Option<CompactString>,
    /// Ordering group.
    pub(crate) group: Option<CompactString>,
    /// Client-chosen id.
    pub(crate) publish_id: Option<CompactString>,
    /// As in [`Incoming::body`].
    pub(crate) body: Bytes,
}

/// A delivery.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Taken {
    /// Its name.
    pub(crate) hold: Hold,
    /// Which delivery of the message to this subscription.
    pub(crate) attempt: u32,
    /// The message.
    pub(crate) message: Stored,
}

/// A message that was looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Seen {
    /// For a look that goes on behind it.
    pub(crate) cursor: PeekCursor,
    /// Its deliveries so far to the subscription.
    pub(crate) attempts: u32,
    /// Where it is in the subscription; `None` for a whole topic.
    pub(crate) state: Option<MessageState>,
    /// Whether no consumer of any subscription holds it, and nothing of it is in the outbox.
    pub(crate) is_idle: bool,
    /// The message.
    pub(crate) message: Stored,
}

/// A message that a subscription gave up, on its way to another topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Letter {
    /// Names it in the outbox.
    pub(crate) entry: u64,
    /// Number of the subscription; what nobody subscribed to has that of the next one.
    pub(crate) subscription: u32,
    /// Its name; `None` if there is none.
    pub(crate) name: Option<SubscriptionName>,
    /// The topic for dead letters.
    pub(crate) target: TopicName,
    /// Why.
    pub(crate) reason: Reason,
    /// Deliveries so far.
    pub(crate) attempts: u32,
    /// When a delivery first failed, as far as that is known.
    pub(crate) failed_at: Timestamp,
    /// When it was given up.
    pub(crate) at: Timestamp,
    /// The message.
    pub(crate) message: Stored,
}

/// Why a message was given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reason {
    /// Its time was over.
    Expired,
    /// A consumer didn't want it.
    Rejected,
    /// It was delivered too often.
    Exhausted,
}

/// What can be seen of a topic.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Inspected {
    /// Of the definition.
    pub(crate) version: u64,
    /// In effect.
    pub(crate) options: TopicOptions,
    /// Messages stored.
    pub(crate) messages: u64,
    /// Their payload bytes.
    pub(crate) bytes: u64,
    /// When the oldest was published.
    pub(crate) oldest_at: Option<Timestamp>,
    /// Messages ever published.
    pub(crate) published: u64,
    /// Messages that expired.
    pub(crate) expired: u64,
    /// Messages that left unconsumed for another reason.
    pub(crate) dropped: u64,
    /// Messages replaced.
    pub(crate) replaced: u64,
    /// Publishes that repeated another.
    pub(crate) duplicates: u64,
    /// Dead letters stored elsewhere.
    pub(crate) dead: u64,
    /// By name.
    pub(crate) subscriptions: Vec<InspectedSubscription>,
}

/// What can be seen of a subscription.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct InspectedSubscription {
    /// Its number.
    pub(crate) number: u32,
    /// Its name.
    pub(crate) name: SubscriptionName,
    /// What it overrides.
    pub(crate) settings: SubscriptionSettings,
    /// Messages available or delayed.
    pub(crate) waiting: u64,
    /// Of those, held back.
    pub(crate) delayed: u64,
    /// Of those available, how many a priority.
    pub(crate) by_priority: Vec<u64>,
    /// When the oldest of its messages was published.
    pub(crate) oldest_at: Option<Timestamp>,
    /// Deliveries not settled, and what is in the outbox.
    pub(crate) in_flight: u64,
    /// Consumers attached.
    pub(crate) consumers: u32,
    /// Deliveries acknowledged.
    pub(crate) acked: u64,
    /// Deliveries that were not the first.
    pub(crate) redelivered: u64,
    /// Holds that weren't held.
    pub(crate) late: u64,
    /// Dead letters stored elsewhere.
    pub(crate) dead: u64,
}

/// Why a step did nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// The topic isn't there: an earlier step of the request removed it.
    NoTopic,
    /// The subscription that the step names isn't there.
    NoSubscription,
    /// The consumer isn't attached to the subscription.
    NoConsumer,
    /// The topic takes no messages while nobody subscribes.
    NobodySubscribes,
    /// The topic has no room.
    Full {
        /// Which bound.
        limit: Limit,
        /// What it is.
        max: u64,
        /// Whether it drops the oldest, and may not drop enough.
        drops: bool,
    },
    /// A subscription has no room.
    SubscriptionFull {
        /// Its name.
        subscription: SubscriptionName,
        /// Which bound.
        limit: Limit,
        /// What it is.
        max: u64,
    },
    /// A strict batch names a delivery that isn't held, or names it twice.
    NotHeld {
        /// Number of the consumer in its process.
        consumer: u64,
        /// Which.
        hold: Hold,
    },
    /// A message has a priority that the topic doesn't have.
    BadPriority {
        /// Its.
        priority: u8,
        /// How many there are.
        priorities: u16,
    },
    /// A message would be delivered after its end.
    DelayedBeyond {
        /// Its begin.
        deliver_at: Timestamp,
        /// Its end.
        expires_at: Timestamp,
    },
    /// A newer message has the key of one that is driven back.
    NewerKey,
    /// The definition has another version.
    Changed {
        /// This one.
        version: u64,
    },
    /// The option changes only while no messages are stored.
    NeedsEmpty {
        /// Which.
        option: &'static str,
    },
    /// The identity is of another topic than this one, which has this number.
    OtherTopic {
        /// The number.
        number: u32,
        /// The identity.
        id: MessageId,
    },
    /// A state was asked for, but no subscription was named.
    StateWithoutSubscription,
    /// Redis has reached `maxmemory`, and the step needs memory.
    OutOfMemory,
}

/// A bound of a topic or subscription.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Limit {
    /// `max_messages`.
    Messages,
    /// `max_bytes`.
    Bytes,
}

impl Limit {
    /// The name of the option.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Messages => "max_messages",
            Self::Bytes => "max_bytes",
        }
    }
}
