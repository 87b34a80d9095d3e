use crate::{
    MessageId, StoredMessage, SubscriptionName, SubscriptionOptions, Timestamp, TopicName,
    TopicOptions,
};

/// What can be seen of a topic without disturbing it.
#[derive(Clone, Debug, PartialEq)]
pub struct TopicInfo {
    /// Its name.
    pub name: TopicName,
    /// Its number in message ids.
    pub number: u32,
    /// Its options.
    pub options: TopicOptions,
    /// Messages stored: waiting or delivered in at least one subscription, or kept.
    pub messages: u64,
    /// Payload bytes of the stored messages.
    pub bytes: u64,
    /// When the oldest stored message was published.
    pub oldest_at: Option<Timestamp>,
    /// Messages ever published.
    pub published: u64,
    /// Messages that left because they expired.
    pub expired: u64,
    /// Messages that left unconsumed for another reason (no subscription, overflow, nack).
    pub dropped: u64,
    /// Messages replaced by a newer one with the same key.
    pub replaced: u64,
    /// Its subscriptions, by name.
    pub subscriptions: Vec<SubscriptionInfo>,
}

/// What can be seen of a subscription.
#[derive(Clone, Debug, PartialEq)]
pub struct SubscriptionInfo {
    /// Its name.
    pub name: SubscriptionName,
    /// The options in effect.
    pub options: SubscriptionOptions,
    /// Messages available or delayed.
    pub waiting: u64,
    /// Of those, held back until their time.
    pub delayed: u64,
    /// Deliveries not yet settled.
    pub in_flight: u64,
    /// Consumers attached.
    pub consumers: u32,
    /// Deliveries acknowledged.
    pub acked: u64,
    /// Deliveries that were not the message's first.
    pub redelivered: u64,
    /// Acks, nacks and extends that named a delivery no longer held.
    pub late: u64,
}

/// A message that was looked at.
#[derive(Clone, Debug, PartialEq)]
pub struct PeekedMessage {
    /// Its identity.
    pub id: MessageId,
    /// Its content.
    pub message: StoredMessage,
}
