use super::{error, frame::Frame};
use bytes::Bytes;
use serde::{
    Deserialize, Deserializer,
    de::{SeqAccess, Visitor},
};
use serde_json::value::RawValue;
use smallvec::SmallVec;
use std::fmt;
use trunkline_jsonrpc::{Scanner, parse_params};
use trunkline_model::{ConsumerId, DeliveryTag, Error, limits};

/// Tags that room is made for before they are read.
const TAGS_AT_ONCE: usize = 1_000;

/// The params of a request, and the frame that they are in.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Params<'a> {
    pub(crate) raw: Option<&'a RawValue>,
    pub(crate) frame: Frame<'a>,
}

impl<'a> Params<'a> {
    /// The params as a type.
    pub(crate) fn read<T: Deserialize<'a>>(self) -> Result<T, Error> {
        parse_params(self.raw).map_err(error::params)
    }

    /// The params read by `scan`, if they have the form that it knows: several times faster than
    /// [`Params::read`], which must take the same and refuses the rest.
    pub(crate) fn scan<T>(self, scan: impl FnOnce(&mut Scanner<'a>) -> Option<T>) -> Option<T> {
        let mut scanner = Scanner::new(self.raw?.get());
        let read = scan(&mut scanner)?;
        scanner.end()?;
        Some(read)
    }

    /// The params as their text, to pass on unchanged.
    pub(crate) fn text(self) -> Option<Bytes> {
        self.raw.map(|raw| self.keep(raw.get().as_bytes()))
    }

    /// A part of the frame to keep.
    pub(crate) fn keep(self, part: &[u8]) -> Bytes {
        self.frame.keep(part)
    }
}

/// The tags of an ack, nack or extend.
#[derive(Debug)]
pub(crate) struct Tags(pub(crate) SmallVec<[DeliveryTag; 4]>);

impl Tags {
    /// Reads an array of digits.
    pub(crate) fn scan(scanner: &mut Scanner<'_>) -> Option<Self> {
        // Room for tags of three digits is enough for most, and never much.
        let mut tags = SmallVec::with_capacity((scanner.rest().len() / 4).min(TAGS_AT_ONCE));
        scanner.array(|scanner| {
            tags.push(DeliveryTag(scanner.unsigned()?));
            Some(())
        })?;
        Some(Self(tags))
    }
}

impl<'de> Deserialize<'de> for Tags {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct TagsVisitor;
        impl<'de> Visitor<'de> for TagsVisitor {
            type Value = Tags;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an array of tags")
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Tags, A::Error> {
                let mut tags = SmallVec::new();
                while let Some(tag) = seq.next_element()? {
                    tags.push(DeliveryTag(tag));
                }
                Ok(Tags(tags))
            }
        }
        from.deserialize_seq(TagsVisitor)
    }
}

/// Reads a consumer's name as [`ConsumerId`] prints it.
pub(crate) fn consumer_id(name: &str) -> Option<ConsumerId> {
    name.strip_prefix('c')?.parse().ok().map(ConsumerId)
}

/// Checks a credit.
pub(crate) fn credit(credit: u64) -> Result<u32, Error> {
    u32::try_from(credit)
        .ok()
        .filter(|credit| *credit <= limits::CREDIT_MAX)
        .ok_or_else(|| {
            let text = format!("is {credit}; it must be at most {}", limits::CREDIT_MAX);
            error::param("/credit", text).with("limit", limits::CREDIT_MAX)
        })
}
