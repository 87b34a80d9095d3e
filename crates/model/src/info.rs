use crate::{
    MessageId, PeekCursor, StoredMessage, SubscriptionName, SubscriptionOptions, Timestamp,
    TopicName, TopicOptions,
};
use serde::{Deserialize, Serialize};

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
    /// Publishes that stored nothing because the topic had seen their key (`dedupe: first`) or
    /// their publish id within its window.
    pub duplicates: u64,
    /// Messages given up and moved to a dead-letter topic, once for each subscription.
    pub dead: u64,
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
    /// Of those available now, how many a priority, the most urgent first; up to the last that
    /// has any.
    pub by_priority: Vec<u64>,
    /// When the oldest message that it has not settled was published. If messages replaced
    /// others and stand in their places, one of them may be told though it is not the oldest.
    pub oldest_at: Option<Timestamp>,
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
    /// Messages given up and moved to a dead-letter topic.
    pub dead: u64,
}

/// Where a message is that was looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum MessageState {
    /// Available to consumers, or behind an earlier one of its group.
    Waiting,
    /// Held back until its time.
    Delayed,
    /// Delivered and not settled.
    InFlight,
}

impl MessageState {
    /// Its name on the wire.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Delayed => "delayed",
            Self::InFlight => "in-flight",
        }
    }
}

/// One option that an alteration changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OptionChange {
    /// Name of the option.
    pub option: &'static str,
    /// What was in effect, as JSON; `null` for no bound or none of the kind.
    pub from: String,
    /// What is in effect now, as JSON.
    pub to: String,
}

/// What an alteration did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Altered {
    /// Every option that is another one now.
    pub changes: Vec<OptionChange>,
    /// Messages above the bound now in effect. Nothing of what is stored goes because of that:
    /// later publishes are refused, or drop the oldest, until so many have left.
    pub messages_above: u64,
    /// The same for payload bytes.
    pub bytes_above: u64,
}

/// Messages that were looked at.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PeekedPage {
    /// The messages, in the order that was asked for.
    pub messages: Vec<PeekedMessage>,
    /// Where to go on; `None` if there was nothing more.
    pub next: Option<PeekCursor>,
}

/// A message that was looked at.
#[derive(Clone, Debug, PartialEq)]
pub struct PeekedMessage {
    /// Its identity.
    pub id: MessageId,
    /// For a look that goes on behind it.
    pub cursor: PeekCursor,
    /// Where it is in the subscription that was looked at; `None` for a whole topic.
    pub state: Option<MessageState>,
    /// Its deliveries so far to that subscription.
    pub attempts: u32,
    /// Its content.
    pub message: StoredMessage,
}
