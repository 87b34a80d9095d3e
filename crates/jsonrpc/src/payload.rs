//! The payload rule of PROTOCOL §1, inwards: three ways to write a payload, one way to keep it.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::text::{Text, present};
use crate::{Base64Error, ParamsError, decode_base64};

/// The content type of `payload`.
pub const JSON: &str = "application/json";
/// The content type of `payload_text`.
pub const TEXT: &str = "text/plain;charset=utf-8";
/// The content type of `payload_base64` unless it names another.
pub const OCTETS: &str = "application/octet-stream";

/// Longest content type, in bytes.
const LONGEST_CONTENT_TYPE: usize = 255;

/// A payload as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Payload<'a> {
    /// Borrowed from the frame unless it was written in base64 or with escapes.
    pub bytes: Cow<'a, [u8]>,
    /// The sender's, or that of the member used.
    pub content_type: Cow<'a, str>,
}

/// The members that carry a payload. A struct of params repeats these four fields (serde can't
/// flatten raw values) and hands them over to [`PayloadMembers::read`].
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PayloadMembers<'a> {
    /// Any JSON value, `null` included; kept as its text.
    #[serde(default, borrow, deserialize_with = "present")]
    pub payload: Option<&'a RawValue>,
    /// Text; kept as UTF-8.
    #[serde(default, borrow)]
    pub payload_text: Option<Text<'a>>,
    /// Any bytes, in padded standard base64.
    #[serde(default, borrow)]
    pub payload_base64: Option<Text<'a>>,
    /// What the bytes are, where that is not the default of the member used.
    #[serde(default, borrow)]
    pub content_type: Option<Text<'a>>,
}

/// Members that don't make a payload (-32602).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PayloadError {
    /// None of the three members, or more than one.
    #[error("exactly one of \"payload\", \"payload_text\" and \"payload_base64\" must be there")]
    NotExactlyOne,
    /// `payload_base64` isn't base64.
    #[error("\"payload_base64\": {0}")]
    Base64(#[from] Base64Error),
    /// `content_type` is empty, longer than 255 bytes, or has a control character.
    #[error("\"content_type\" must be 1 to 255 bytes without control characters")]
    ContentType,
}

impl PayloadError {
    /// The error in the params of a method, for the payload in the object at `path`.
    #[must_use]
    pub fn at(&self, path: &str) -> ParamsError {
        ParamsError::new(path, self.to_string())
    }
}

impl<'a> PayloadMembers<'a> {
    /// The payload that the members carry.
    ///
    /// # Errors
    /// Not exactly one payload member, bad base64, or a bad content type.
    pub fn read(self) -> Result<Payload<'a>, PayloadError> {
        let (bytes, default) = match (self.payload, self.payload_text, self.payload_base64) {
            (Some(json), None, None) => (Cow::Borrowed(json.get().as_bytes()), JSON),
            (None, Some(Text(text)), None) => (text_bytes(text), TEXT),
            (None, None, Some(base64)) => (Cow::Owned(decode_base64(&base64)?), OCTETS),
            _ => return Err(PayloadError::NotExactlyOne),
        };
        let content_type = match self.content_type {
            Some(Text(content_type)) if is_sound(&content_type) => content_type,
            Some(_) => return Err(PayloadError::ContentType),
            None => Cow::Borrowed(default),
        };
        Ok(Payload {
            bytes,
            content_type,
        })
    }
}

fn text_bytes(text: Cow<'_, str>) -> Cow<'_, [u8]> {
    match text {
        Cow::Borrowed(text) => Cow::Borrowed(text.as_bytes()),
        Cow::Owned(text) => Cow::Owned(text.into_bytes()),
    }
}

fn is_sound(content_type: &str) -> bool {
    (1..=LONGEST_CONTENT_TYPE).contains(&content_type.len())
        && !content_type.chars().any(char::is_control)
}
