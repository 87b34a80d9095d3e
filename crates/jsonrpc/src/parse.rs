//! A frame's bytes to requests and answers.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, SeqAccess, Visitor};
use serde_json::value::RawValue;

use crate::classify::classify;
use crate::envelope::Envelope;
use crate::{Id, Incoming, InvalidReason, Item, Limits, ParseError, depth};

/// Reads one frame.
///
/// A single request is read in one pass that allocates nothing, unless its method is written
/// with escapes.
///
/// # Errors
/// The frame isn't UTF-8, isn't JSON, or is nested too deeply. Everything smaller is an
/// [`Item::Invalid`] or an [`Outcome::Malformed`](crate::Outcome::Malformed).
pub fn parse<'a>(frame: &'a [u8], limits: &Limits) -> Result<Incoming<'a>, ParseError> {
    let text = str::from_utf8(frame).map_err(|_| ParseError::NotUtf8)?;
    parse_text(text, limits)
}

/// [`parse`] for a frame that the transport has already checked to be UTF-8.
///
/// # Errors
/// As [`parse`].
pub fn parse_text<'a>(text: &'a str, limits: &Limits) -> Result<Incoming<'a>, ParseError> {
    if let Some(envelope) = Envelope::scan(text, limits) {
        return Ok(Incoming::Single(classify(&envelope, limits)));
    }
    parse_odd(text, limits)
}

/// What is not one sound object in common form: batches, what is refused, and odd spellings.
#[cold]
fn parse_odd<'a>(text: &'a str, limits: &Limits) -> Result<Incoming<'a>, ParseError> {
    if depth::exceeds(text.as_bytes(), limits.max_depth) {
        return Err(ParseError::TooDeep {
            max: limits.max_depth,
        });
    }
    let start = text
        .bytes()
        .find(|b| !matches!(b, b' ' | b'\t' | b'\n' | b'\r'));
    match start {
        Some(b'{') => {
            let envelope: Envelope<'a> = serde_json::from_str(text).map_err(not_json)?;
            Ok(Incoming::Single(classify(&envelope, limits)))
        }
        Some(b'[') => parse_batch(text, limits).map_err(not_json),
        _ => {
            serde_json::from_str::<IgnoredAny>(text).map_err(not_json)?;
            Ok(refused(InvalidReason::NotAnObject))
        }
    }
}

fn not_json(error: serde_json::Error) -> ParseError {
    ParseError::NotJson(error.to_string())
}

fn refused<'a>(reason: InvalidReason) -> Incoming<'a> {
    Incoming::Single(Item::Invalid {
        id: Id::NULL,
        reason,
    })
}

fn parse_batch<'a>(text: &'a str, limits: &Limits) -> Result<Incoming<'a>, serde_json::Error> {
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let entries = Entries {
        max: limits.max_batch,
    }
    .deserialize(&mut deserializer)?;
    deserializer.end()?;
    Ok(match entries {
        None => refused(InvalidReason::BatchTooLarge {
            max: limits.max_batch,
        }),
        Some(entries) if entries.is_empty() => refused(InvalidReason::EmptyBatch),
        Some(entries) => Incoming::Batch(
            entries
                .into_iter()
                .map(|entry| parse_entry(entry, limits))
                .collect(),
        ),
    })
}

fn parse_entry<'a>(entry: &'a RawValue, limits: &Limits) -> Item<'a> {
    let reason = if entry.get().starts_with('{') {
        match serde_json::from_str::<Envelope<'a>>(entry.get()) {
            Ok(envelope) => return classify(&envelope, limits),
            Err(_) => InvalidReason::Unreadable,
        }
    } else {
        InvalidReason::NotAnObject
    };
    Item::Invalid {
        id: Id::NULL,
        reason,
    }
}

/// Reads an array's entries as text; `None` if there are more than `max`. The rest is then only
/// checked to be JSON, never kept.
struct Entries {
    max: usize,
}

impl<'de> DeserializeSeed<'de> for Entries {
    type Value = Option<Vec<&'de RawValue>>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for Entries {
    type Value = Option<Vec<&'de RawValue>>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        let mut entries = Vec::new();
        while let Some(entry) = seq.next_element::<&RawValue>()? {
            if entries.len() == self.max {
                while seq.next_element::<IgnoredAny>()?.is_some() {}
                return Ok(None);
            }
            entries.push(entry);
        }
        Ok(Some(entries))
    }
}
