//! Records about topics and subscriptions.

use super::{
    RecordError,
    list::{List, RememberedId, write_list},
    wire::{Fields, Tag},
};
use trunkline_model::{SubscriptionName, SubscriptionSettings, TopicName, TopicSettings};

/// What a topic counts. Kept across restarts as far as definitions are written again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TopicCounts {
    /// Messages ever published.
    pub published: u64,
    /// Messages that left because they expired.
    pub expired: u64,
    /// Messages that left unconsumed for another reason.
    pub dropped: u64,
    /// Messages replaced by a newer one with the same key.
    pub replaced: u64,
    /// Messages moved to a dead-letter topic, once for each subscription.
    pub dead: u64,
    /// Publishes that stored nothing, since their key or publish id was seen before.
    pub duplicates: u64,
}

/// What a subscription counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SubscriptionCounts {
    /// Deliveries acknowledged.
    pub acked: u64,
    /// Deliveries that were not the message's first.
    pub redelivered: u64,
    /// Acks, nacks and extends that named a delivery no longer held.
    pub late: u64,
    /// Messages moved to a dead-letter topic.
    pub dead: u64,
}

/// A topic is there, with these options from now on.
#[derive(Clone, Debug, PartialEq)]
pub struct Define {
    /// Its number: in message ids, never reused.
    pub topic: u32,
    /// Its name.
    pub name: TopicName,
    /// All its options.
    pub settings: TopicSettings,
    /// No smaller sequence is given to a new message.
    pub next_sequence: u64,
    /// No smaller number is given to a new subscription.
    pub next_subscription: u32,
    /// What was counted so far.
    pub counts: TopicCounts,
}

const TOPIC: Tag = Tag::required(1);
const NAME: Tag = Tag::required(2);
const SETTINGS: Tag = Tag::required(3);
const NEXT_SEQUENCE: Tag = Tag::required(4);
const NEXT_SUBSCRIPTION: Tag = Tag::required(5);
const PUBLISHED: Tag = Tag::optional(6);
const EXPIRED: Tag = Tag::optional(7);
const DROPPED: Tag = Tag::optional(8);
const REPLACED: Tag = Tag::optional(9);
const DEAD: Tag = Tag::optional(10);
const DUPLICATES: Tag = Tag::optional(11);

impl Define {
    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        TOPIC.int(out, self.topic.into());
        NAME.bytes(out, self.name.as_bytes());
        SETTINGS.bytes(out, &json(&self.settings));
        NEXT_SEQUENCE.int(out, self.next_sequence);
        NEXT_SUBSCRIPTION.int(out, self.next_subscription.into());
        PUBLISHED.int(out, self.counts.published);
        EXPIRED.int(out, self.counts.expired);
        DROPPED.int(out, self.counts.dropped);
        REPLACED.int(out, self.counts.replaced);
        DEAD.int_if(out, counted(self.counts.dead));
        DUPLICATES.int(out, self.counts.duplicates);
    }

    pub(super) fn decode(bytes: &[u8]) -> Result<Self, RecordError> {
        let known = [
            TOPIC,
            NAME,
            SETTINGS,
            NEXT_SEQUENCE,
            NEXT_SUBSCRIPTION,
            PUBLISHED,
            EXPIRED,
            DROPPED,
            REPLACED,
            DEAD,
            DUPLICATES,
        ];
        let mut fields = Fields::new("define", bytes);
        let (mut topic, mut name, mut settings) = (None, None, None);
        let (mut next_sequence, mut next_subscription) = (None, None);
        let mut counts = TopicCounts::default();
        while let Some((tag, value)) = fields.next(&known)? {
            let count = value.int().unwrap_or_default();
            match tag {
                TOPIC => topic = value.int(),
                NAME => name = value.text().and_then(|text| text.parse().ok()),
                SETTINGS => settings = value.bytes().and_then(from_json),
                NEXT_SEQUENCE => next_sequence = value.int(),
                NEXT_SUBSCRIPTION => next_subscription = value.int(),
                PUBLISHED => counts.published = count,
                EXPIRED => counts.expired = count,
                DROPPED => counts.dropped = count,
                REPLACED => counts.replaced = count,
                DEAD => counts.dead = count,
                _ => counts.duplicates = count,
            }
        }
        Ok(Self {
            topic: topic.ok_or(fields.invalid("topic"))?,
            name: name.ok_or(fields.invalid("name"))?,
            settings: settings
                .filter(|settings: &TopicSettings| settings.resolve().is_ok())
                .ok_or(fields.invalid("settings"))?,
            next_sequence: next_sequence.ok_or(fields.invalid("next sequence"))?,
            next_subscription: next_subscription.ok_or(fields.invalid("next subscription"))?,
            counts,
        })
    }
}

/// What becomes of the messages that a topic holds when a subscription is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Backlog {
    /// Nothing.
    Untouched,
    /// They wait in the new subscription too; kept ones go over to it.
    Taken,
    /// Kept ones are released.
    Released,
}

/// A subscription is there.
#[derive(Clone, Debug, PartialEq)]
pub struct Subscribe {
    /// Number of its topic.
    pub topic: u32,
    /// Its number: within the topic, never reused, not 0.
    pub subscription: u32,
    /// Its name.
    pub name: SubscriptionName,
    /// What it overrides of the topic.
    pub settings: SubscriptionSettings,
    /// What happens to the messages that are there.
    pub backlog: Backlog,
    /// What was counted so far.
    pub counts: SubscriptionCounts,
}

const SUBSCRIPTION: Tag = Tag::required(2);
const SUBSCRIPTION_NAME: Tag = Tag::required(3);
const SUBSCRIPTION_SETTINGS: Tag = Tag::required(4);
const BACKLOG: Tag = Tag::required(5);
const ACKED: Tag = Tag::optional(6);
const REDELIVERED: Tag = Tag::optional(7);
const LATE: Tag = Tag::optional(8);
const GIVEN_UP: Tag = Tag::optional(9);

impl Subscribe {
    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        TOPIC.int(out, self.topic.into());
        SUBSCRIPTION.int(out, self.subscription.into());
        SUBSCRIPTION_NAME.bytes(out, self.name.as_bytes());
        SUBSCRIPTION_SETTINGS.bytes(out, &json(&self.settings));
        BACKLOG.int(out, self.backlog as u64);
        ACKED.int(out, self.counts.acked);
        REDELIVERED.int(out, self.counts.redelivered);
        LATE.int(out, self.counts.late);
        GIVEN_UP.int_if(out, counted(self.counts.dead));
    }

    pub(super) fn decode(bytes: &[u8]) -> Result<Self, RecordError> {
        let known = [
            TOPIC,
            SUBSCRIPTION,
            SUBSCRIPTION_NAME,
            SUBSCRIPTION_SETTINGS,
            BACKLOG,
            ACKED,
            REDELIVERED,
            LATE,
            GIVEN_UP,
        ];
        let mut fields = Fields::new("subscribe", bytes);
        let (mut topic, mut subscription, mut name) = (None, None, None);
        let (mut settings, mut backlog) = (None, None);
        let mut counts = SubscriptionCounts::default();
        while let Some((tag, value)) = fields.next(&known)? {
            let count = value.int().unwrap_or_default();
            match tag {
                TOPIC => topic = value.int(),
                SUBSCRIPTION => subscription = value.int().filter(|number: &u32| *number > 0),
                SUBSCRIPTION_NAME => name = value.text().and_then(|text| text.parse().ok()),
                SUBSCRIPTION_SETTINGS => settings = value.bytes().and_then(from_json),
                BACKLOG => {
                    backlog = match value.int::<u8>() {
                        Some(0) => Some(Backlog::Untouched),
                        Some(1) => Some(Backlog::Taken),
                        Some(2) => Some(Backlog::Released),
                        _ => None,
                    };
                }
                ACKED => counts.acked = count,
                REDELIVERED => counts.redelivered = count,
                LATE => counts.late = count,
                _ => counts.dead = count,
            }
        }
        Ok(Self {
            topic: topic.ok_or(fields.invalid("topic"))?,
            subscription: subscription.ok_or(fields.invalid("subscription"))?,
            name: name.ok_or(fields.invalid("name"))?,
            settings: settings.ok_or(fields.invalid("settings"))?,
            backlog: backlog.ok_or(fields.invalid("backlog"))?,
            counts,
        })
    }
}

/// Publish ids, or keys, that a topic remembers though their messages may have left the log.
#[derive(Clone, Copy, Debug)]
pub struct Remember<'a> {
    /// Number of the topic.
    pub topic: u32,
    /// The ids.
    pub ids: List<'a, RememberedId<'a>>,
}

const IDS: Tag = Tag::required(2);

pub(crate) fn encode_remember<'a>(
    out: &mut Vec<u8>,
    topic: u32,
    ids: impl Iterator<Item = RememberedId<'a>>,
) {
    TOPIC.int(out, topic.into());
    write_list(IDS, out, ids);
}

impl<'a> Remember<'a> {
    pub(super) fn decode(bytes: &'a [u8]) -> Result<Self, RecordError> {
        let mut fields = Fields::new("remember", bytes);
        let (mut topic, mut ids) = (None, None);
        while let Some((tag, value)) = fields.next(&[TOPIC, IDS])? {
            match tag {
                TOPIC => topic = value.int(),
                _ => ids = value.bytes().and_then(List::decode),
            }
        }
        Ok(Self {
            topic: topic.ok_or(fields.invalid("topic"))?,
            ids: ids.ok_or(fields.invalid("ids"))?,
        })
    }
}

/// Counters that came later are written only once they count.
fn counted(count: u64) -> Option<u64> {
    (count > 0).then_some(count)
}

fn json(value: &impl serde::Serialize) -> Vec<u8> {
    serde_json::to_vec(value).expect("settings are plain data with text keys")
}

fn from_json<T: serde::de::DeserializeOwned>(bytes: &[u8]) -> Option<T> {
    serde_json::from_slice(bytes).ok()
}
