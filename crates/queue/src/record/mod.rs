//! What is remembered of a topic: facts, in the order in which they became true. The kinds
//! and their fields are part of the journal's format; see `wire` for the encoding.

mod definition;
mod describe;
mod error;
pub(crate) mod kind;
mod list;
mod progress;
mod put;
mod wire;

pub(crate) use definition::encode_remember;
pub use definition::{Backlog, Define, Remember, Subscribe, SubscriptionCounts, TopicCounts};
pub use error::{RecordError, ReplayError};
pub(crate) use list::RUN_MAX;
pub use list::{Attempt, Item, List, Placement, RememberedId, Run};
pub(crate) use progress::Parts;
pub use progress::{Delivered, Dropped, Left, Purged, Reason, Returned, Settled};
pub use put::{Put, decode_message};
pub(crate) use put::{
    PutPlace, encode as encode_put, encode_copy, encoded_bytes_max, stored_bytes_max,
};

use progress::Found;
use wire::{Fields, Tag};
pub(crate) use wire::{Reader, text, varint};

/// A fact in the journal.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Record<'a> {
    /// A topic is there, or has other options.
    Define(Box<Define>),
    /// A topic is gone with all that it held.
    Undefine {
        /// Its number.
        topic: u32,
    },
    /// A subscription is there.
    Subscribe(Box<Subscribe>),
    /// A subscription is gone.
    Unsubscribe {
        /// Number of the topic.
        topic: u32,
        /// Number of the subscription.
        subscription: u32,
    },
    /// Sequences below this are taken though no put says so.
    Advance {
        /// Number of the topic.
        topic: u32,
        /// The next one that may be given to a message.
        next_sequence: u64,
    },
    /// Topic numbers below this are taken.
    Count {
        /// The next one that may be given to a topic.
        next_topic: u32,
    },
    /// Publish ids that are still within their window.
    Remember(Remember<'a>),
    /// Keys of `dedupe: first` that are still within their window.
    RememberKeys(Remember<'a>),
    /// A message is stored.
    Put(Put<'a>),
    /// Messages were handed to a consumer. Not needed for correctness: without it attempts
    /// count from an earlier number.
    Deliver(Delivered<'a>),
    /// Messages were acknowledged.
    Ack(Settled<'a>),
    /// Deliveries ended without acknowledgement. Not needed for correctness: recovery
    /// returns all deliveries.
    Return(Returned<'a>),
    /// A subscription gave messages up.
    Settle(Settled<'a>, Reason),
    /// Messages left all subscriptions.
    Drop(Dropped<'a>),
    /// A subscription was emptied.
    Purge(Purged<'a>),
    /// A subscription gave messages up, and their dead letters are still to be stored.
    Leave(Left<'a>),
    /// A subscription is done with messages, since their dead letters are stored.
    Bury(Settled<'a>),
}

const NUMBER: Tag = Tag::required(1);
const SECOND: Tag = Tag::required(2);

/// Writes one of the records that are just two numbers.
pub(crate) fn encode_pair(out: &mut Vec<u8>, first: u64, second: Option<u64>) {
    NUMBER.int(out, first);
    SECOND.int_if(out, second);
}

/// A number and, where `named` says what it is, a second one.
fn decode_pair<A: TryFrom<u64>, B: TryFrom<u64> + Default>(
    record: &'static str,
    bytes: &[u8],
    named: Option<&'static str>,
) -> Result<(A, B), RecordError> {
    let mut fields = Fields::new(record, bytes);
    let (mut first, mut second) = (None, None);
    while let Some((tag, value)) = fields.next(&[NUMBER, SECOND])? {
        match tag {
            NUMBER => first = value.int(),
            _ => second = value.int(),
        }
    }
    let second = match named {
        Some(name) => second.ok_or(fields.invalid(name))?,
        None => B::default(),
    };
    Ok((first.ok_or(fields.invalid("number"))?, second))
}

impl<'a> Record<'a> {
    /// Reads a record.
    ///
    /// # Errors
    /// [`RecordError`] says what doesn't fit; nothing panics whatever the bytes are.
    pub fn decode(kind: u8, bytes: &'a [u8]) -> Result<Record<'a>, RecordError> {
        let found = |name| Found::decode(name, bytes);
        Ok(match kind {
            kind::DEFINE => Self::Define(Box::new(Define::decode(bytes)?)),
            kind::UNDEFINE => {
                let (topic, _): (u32, u8) = decode_pair("undefine", bytes, None)?;
                Self::Undefine { topic }
            }
            kind::SUBSCRIBE => Self::Subscribe(Box::new(Subscribe::decode(bytes)?)),
            kind::UNSUBSCRIBE => {
                let (topic, subscription) =
                    decode_pair("unsubscribe", bytes, Some("subscription"))?;
                Self::Unsubscribe {
                    topic,
                    subscription,
                }
            }
            kind::ADVANCE => {
                let (topic, next_sequence) = decode_pair("advance", bytes, Some("sequence"))?;
                Self::Advance {
                    topic,
                    next_sequence,
                }
            }
            kind::COUNT => {
                let (next_topic, _): (u32, u8) = decode_pair("count", bytes, None)?;
                Self::Count { next_topic }
            }
            kind::REMEMBER => Self::Remember(Remember::decode(bytes)?),
            kind::REMEMBER_KEYS => Self::RememberKeys(Remember::decode(bytes)?),
            kind::PUT => Self::Put(put::decode(bytes)?),
            kind::DELIVER => Self::Deliver(found("deliver")?.delivered()?),
            kind::ACK => Self::Ack(found("ack")?.settled()?),
            kind::RETURN => Self::Return(found("return")?.returned()?),
            kind::SETTLE => {
                let found = found("settle")?;
                Self::Settle(found.settled()?, found.reason()?)
            }
            kind::DROP => Self::Drop(found("drop")?.dropped()?),
            kind::PURGE => Self::Purge(found("purge")?.purged()?),
            kind::LEAVE => Self::Leave(found("leave")?.left()?),
            kind::BURY => Self::Bury(found("bury")?.settled()?),
            _ => return Err(RecordError::UnknownKind(kind)),
        })
    }
}
