use crate::{
    ConsumerId, DeliveryTag, Error, MessageId, StartFrom, StoredMessage, SubscriptionName,
    TopicName, limits,
};

/// A subscription to consume from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// Its topic.
    pub topic: TopicName,
    /// Its name; made if it isn't there.
    pub subscription: SubscriptionName,
    /// Where it starts if it is made: `All` for a topic's first one, else `New`.
    pub from: Option<StartFrom>,
}

/// What a consumer wants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConsumeSpec {
    /// Where from; several sources share the credit and take turns.
    pub sources: Vec<Source>,
    /// Most unsettled deliveries, 0 ..= [`limits::CREDIT_MAX`](crate::limits::CREDIT_MAX).
    pub credit: u32,
    /// Most bytes, by [`Delivery::weight`], handed to the sink and not yet reported by
    /// [`ConsumerHandle::taken`]; one delivery is always allowed.
    pub window_bytes: u64,
    /// Settle at hand-over: at most once, and no credit is used.
    pub auto_ack: bool,
}

/// How a consumer began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Consuming {
    /// Subscriptions that were made for it.
    pub created: u32,
    /// Kept messages that a first subscription did not want.
    pub released: u64,
}

/// A message handed to a consumer.
#[derive(Clone, Debug, PartialEq)]
pub struct Delivery {
    /// Names this delivery in acks: increasing within the consumer, from 1.
    pub tag: DeliveryTag,
    /// Identity of the message.
    pub id: MessageId,
    /// Its topic.
    pub topic: TopicName,
    /// Which delivery of the message to this subscription this is, from 1.
    pub attempt: u32,
    /// The message.
    pub message: StoredMessage,
}

impl Delivery {
    /// Bytes that count against [`ConsumeSpec::window_bytes`].
    pub fn weight(&self) -> u64 {
        Self::weight_of(self.message.payload.len() as u64)
    }

    /// [`Delivery::weight`] of a payload of so many bytes. Also an empty message takes room on
    /// its way, so that a window bounds the number of deliveries too.
    pub const fn weight_of(payload_bytes: u64) -> u64 {
        payload_bytes + limits::DELIVERY_BYTES_MIN
    }
}

/// Receives a consumer's deliveries: in order, from one thread at a time. It must not
/// block; credit and window bound what it is given.
pub trait DeliverySink: Send + Sync {
    /// The definitions that consuming made are durable (or consuming failed: then nothing
    /// follows). Comes before the first delivery.
    fn started(&self, result: Result<Consuming, Error>);

    /// Takes deliveries that are as durable as their topic promises.
    fn deliver(&self, deliveries: Vec<Delivery>);

    /// The engine ended the consumer (its subscription was deleted, the engine closes):
    /// nothing follows.
    fn ended(&self, reason: Error);
}

/// Controls a consumer. Dropping it cancels: what is unsettled returns to its place.
pub trait ConsumerHandle: Send + Sync {
    /// Names the consumer in acks.
    fn id(&self) -> ConsumerId;

    /// Sets the maximum of unsettled deliveries (absolute).
    fn credit(&self, credit: u32);

    /// Says that so many bytes have left the sink (see [`ConsumeSpec::window_bytes`]).
    fn taken(&self, bytes: u64);

    /// Ends the consumer; returns how many unsettled deliveries went back. Nothing is
    /// delivered after this returns, except what the sink was already given.
    fn cancel(&self) -> u64;
}
