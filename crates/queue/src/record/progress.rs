//! Records about what happened to messages: all of one form, so that one encoder and one
//! decoder serve them.

use super::{
    RecordError,
    list::{Attempt, Item, List, write_list},
    wire::{Fields, Tag},
};
use trunkline_model::Timestamp;

const TOPIC: Tag = Tag::required(1);
const SUBSCRIPTION: Tag = Tag::required(2);
const MESSAGES: Tag = Tag::required(3);
const AT: Tag = Tag::required(4);
const REASON: Tag = Tag::required(5);
const FAILED_AT: Tag = Tag::optional(6);

/// Messages were handed to a consumer of a subscription.
#[derive(Clone, Copy, Debug)]
pub struct Delivered<'a> {
    /// Number of the topic.
    pub topic: u32,
    /// Number of the subscription.
    pub subscription: u32,
    /// When; ack time-outs count from here.
    pub at: Timestamp,
    /// Which, in the order of delivery.
    pub messages: List<'a, Attempt>,
}

/// A subscription is done with messages.
#[derive(Clone, Copy, Debug)]
pub struct Settled<'a> {
    /// Number of the topic.
    pub topic: u32,
    /// Number of the subscription.
    pub subscription: u32,
    /// Which.
    pub messages: List<'a, u64>,
}

/// Deliveries ended without an acknowledgement: the messages are back at their position.
#[derive(Clone, Copy, Debug)]
pub struct Returned<'a> {
    /// Number of the topic.
    pub topic: u32,
    /// Number of the subscription.
    pub subscription: u32,
    /// Which.
    pub messages: List<'a, u64>,
    /// Not delivered again before this is past.
    pub until: Option<Timestamp>,
    /// When the deliveries failed, where dead letters will tell.
    pub failed_at: Option<Timestamp>,
}

/// A subscription gave messages up: they wait to be moved to its dead-letter topic.
#[derive(Clone, Copy, Debug)]
pub struct Left<'a> {
    /// Number of the topic.
    pub topic: u32,
    /// Number of the subscription; 0 is the backlog of a topic without subscriptions.
    pub subscription: u32,
    /// When.
    pub at: Timestamp,
    /// Why.
    pub reason: Reason,
    /// Which, each with its deliveries so far.
    pub messages: List<'a, Attempt>,
}

/// Why messages left unconsumed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Reason {
    /// Their time was over.
    Expired,
    /// A consumer gave them up.
    Rejected,
    /// They were delivered as often as they may be.
    Exhausted,
    /// They are in another topic again: of dead letters.
    Redriven,
    /// They made room for another one.
    Overflow,
}

impl Reason {
    pub(crate) const fn of(number: u8) -> Option<Self> {
        match number {
            0 => Some(Self::Expired),
            1 => Some(Self::Rejected),
            2 => Some(Self::Exhausted),
            3 => Some(Self::Redriven),
            4 => Some(Self::Overflow),
            _ => None,
        }
    }
}

/// Messages left all subscriptions.
#[derive(Clone, Copy, Debug)]
pub struct Dropped<'a> {
    /// Number of the topic.
    pub topic: u32,
    /// Which.
    pub messages: List<'a, u64>,
    /// Why.
    pub reason: Reason,
}

/// Everything that waited in a subscription is gone from it.
#[derive(Clone, Copy, Debug)]
pub struct Purged<'a> {
    /// Number of the topic.
    pub topic: u32,
    /// Number of the subscription; 0 is the backlog of a topic without subscriptions.
    pub subscription: u32,
    /// What stayed because it was in flight. Needed because deliveries may not have been
    /// logged.
    pub except: List<'a, u64>,
}

/// What all of these records are made of.
pub(crate) struct Parts {
    pub(crate) topic: u32,
    pub(crate) subscription: Option<u32>,
    pub(crate) at: Option<Timestamp>,
    pub(crate) reason: Option<Reason>,
    pub(crate) failed_at: Option<Timestamp>,
}

impl Parts {
    pub(crate) const fn of(topic: u32, subscription: u32) -> Self {
        Self {
            topic,
            subscription: Some(subscription),
            at: None,
            reason: None,
            failed_at: None,
        }
    }

    pub(crate) const fn at(self, at: Option<Timestamp>) -> Self {
        Self { at, ..self }
    }

    pub(crate) const fn failed(self, failed_at: Option<Timestamp>) -> Self {
        Self { failed_at, ..self }
    }

    pub(crate) const fn because(self, reason: Reason) -> Self {
        Self {
            reason: Some(reason),
            ..self
        }
    }

    pub(crate) const fn dropped(topic: u32, reason: Reason) -> Self {
        Self {
            topic,
            subscription: None,
            at: None,
            reason: Some(reason),
            failed_at: None,
        }
    }

    pub(crate) fn encode<'a, I: Item<'a>>(
        &self,
        out: &mut Vec<u8>,
        messages: impl Iterator<Item = I>,
    ) {
        TOPIC.int(out, self.topic.into());
        SUBSCRIPTION.int_if(out, self.subscription.map(u64::from));
        AT.int_if(out, self.at.map(Timestamp::as_micros));
        REASON.int_if(out, self.reason.map(|reason| reason as u64));
        FAILED_AT.int_if(out, self.failed_at.map(Timestamp::as_micros));
        write_list(MESSAGES, out, messages);
    }
}

/// The parts as they are found; each kind of record demands its own.
pub(super) struct Found<'a> {
    record: &'static str,
    topic: Option<u32>,
    subscription: Option<u32>,
    at: Option<Timestamp>,
    reason: Option<Reason>,
    failed_at: Option<Timestamp>,
    messages: &'a [u8],
}

impl<'a> Found<'a> {
    pub(super) fn decode(record: &'static str, bytes: &'a [u8]) -> Result<Self, RecordError> {
        let known = [TOPIC, SUBSCRIPTION, MESSAGES, AT, REASON, FAILED_AT];
        let mut fields = Fields::new(record, bytes);
        let mut found = Self {
            record,
            topic: None,
            subscription: None,
            at: None,
            reason: None,
            failed_at: None,
            messages: &[],
        };
        while let Some((tag, value)) = fields.next(&known)? {
            match tag {
                TOPIC => found.topic = value.int(),
                SUBSCRIPTION => found.subscription = value.int(),
                AT => found.at = value.int().map(Timestamp::from_micros),
                REASON => {
                    found.reason = value.int().and_then(Reason::of);
                }
                FAILED_AT => found.failed_at = value.int().map(Timestamp::from_micros),
                _ => found.messages = value.bytes().ok_or(fields.invalid("messages"))?,
            }
        }
        Ok(found)
    }

    pub(super) fn topic(&self) -> Result<u32, RecordError> {
        self.topic.ok_or(self.invalid("topic"))
    }

    pub(super) fn subscription(&self) -> Result<u32, RecordError> {
        self.subscription.ok_or(self.invalid("subscription"))
    }

    fn messages<I: Item<'a>>(&self) -> Result<List<'a, I>, RecordError> {
        List::decode(self.messages).ok_or(self.invalid("messages"))
    }

    fn invalid(&self, field: &'static str) -> RecordError {
        RecordError::Invalid {
            record: self.record,
            field,
        }
    }

    pub(super) fn delivered(&self) -> Result<Delivered<'a>, RecordError> {
        Ok(Delivered {
            topic: self.topic()?,
            subscription: self.subscription()?,
            at: self.at.ok_or(self.invalid("time"))?,
            messages: self.messages()?,
        })
    }

    pub(super) fn settled(&self) -> Result<Settled<'a>, RecordError> {
        Ok(Settled {
            topic: self.topic()?,
            subscription: self.subscription()?,
            messages: self.messages()?,
        })
    }

    pub(super) fn returned(&self) -> Result<Returned<'a>, RecordError> {
        Ok(Returned {
            topic: self.topic()?,
            subscription: self.subscription()?,
            messages: self.messages()?,
            until: self.at,
            failed_at: self.failed_at,
        })
    }

    pub(super) fn left(&self) -> Result<Left<'a>, RecordError> {
        Ok(Left {
            topic: self.topic()?,
            subscription: self.subscription()?,
            at: self.at.ok_or(self.invalid("time"))?,
            reason: self.reason()?,
            messages: self.messages()?,
        })
    }

    pub(super) fn reason(&self) -> Result<Reason, RecordError> {
        self.reason.ok_or(self.invalid("reason"))
    }

    pub(super) fn dropped(&self) -> Result<Dropped<'a>, RecordError> {
        Ok(Dropped {
            topic: self.topic()?,
            messages: self.messages()?,
            reason: self.reason()?,
        })
    }

    pub(super) fn purged(&self) -> Result<Purged<'a>, RecordError> {
        Ok(Purged {
            topic: self.topic()?,
            subscription: self.subscription()?,
            except: self.messages()?,
        })
    }
}
