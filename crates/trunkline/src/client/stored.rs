use super::RequestError;
use bytes::Bytes;
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::value::RawValue;
use std::{borrow::Cow, collections::BTreeMap};
use trunkline_jsonrpc::{Payload, PayloadMembers, Text, present};
use trunkline_model::{MessageId, MessageState, Timestamp};

/// A message as the server keeps it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct StoredMessage {
    /// Its identity; never reused.
    pub id: MessageId,
    /// Its body. JSON is the text that was published.
    pub payload: Bytes,
    /// Media type of the body.
    pub content_type: String,
    /// Identity for deduplication.
    pub key: Option<String>,
    /// Ordering group.
    pub group: Option<String>,
    /// User headers.
    pub headers: BTreeMap<String, String>,
    /// Urgency: 0 is most urgent.
    pub priority: u8,
    /// When the server took it.
    pub published_at: Timestamp,
    /// Never delivered after this time; only shown where messages are looked at.
    pub expires_at: Option<Timestamp>,
    /// Not delivered before this time; only shown where messages are looked at.
    pub deliver_at: Option<Timestamp>,
    /// W3C trace context.
    pub traceparent: Option<String>,
    /// The id that its publisher chose; only shown where messages are looked at.
    pub publish_id: Option<String>,
}

impl StoredMessage {
    /// Reads a JSON payload.
    ///
    /// # Errors
    /// It is no JSON, or doesn't fit `T`.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, serde_json::Error> {
        serde_json::from_slice(&self.payload)
    }

    /// The payload as text.
    ///
    /// # Errors
    /// It is not UTF-8.
    pub fn text(&self) -> Result<&str, std::str::Utf8Error> {
        str::from_utf8(&self.payload)
    }
}

/// A message, or a delivery of one, as the wire writes it.
#[derive(Debug, Deserialize)]
pub(super) struct Wire<'a> {
    #[serde(default)]
    pub(super) tag: u64,
    #[serde(default = "first")]
    pub(super) attempt: u32,
    #[serde(borrow)]
    id: Text<'a>,
    #[serde(default, borrow, deserialize_with = "present")]
    payload: Option<&'a RawValue>,
    #[serde(default, borrow)]
    payload_text: Option<Text<'a>>,
    #[serde(default, borrow)]
    payload_base64: Option<Text<'a>>,
    #[serde(default, borrow)]
    content_type: Option<Text<'a>>,
    #[serde(default)]
    key: Option<String>,
    #[serde(default)]
    group: Option<String>,
    #[serde(default)]
    headers: BTreeMap<String, String>,
    #[serde(default)]
    priority: u8,
    #[serde(borrow)]
    published_at: Text<'a>,
    #[serde(default, borrow)]
    expires_at: Option<Text<'a>>,
    #[serde(default, borrow)]
    deliver_at: Option<Text<'a>>,
    #[serde(default)]
    traceparent: Option<String>,
    #[serde(default)]
    publish_id: Option<String>,
    #[serde(default)]
    pub(super) state: Option<MessageState>,
    #[serde(default)]
    pub(super) attempts: u32,
}

fn first() -> u32 {
    1
}

impl Wire<'_> {
    pub(super) fn read(self) -> Result<StoredMessage, RequestError> {
        let members = PayloadMembers {
            payload: self.payload,
            payload_text: self.payload_text,
            payload_base64: self.payload_base64,
            content_type: self.content_type,
        };
        let (payload, content_type) = read_payload(members)?;
        Ok(StoredMessage {
            id: self.id.parse().map_err(RequestError::unreadable)?,
            payload,
            content_type,
            key: self.key,
            group: self.group,
            headers: self.headers,
            priority: self.priority,
            published_at: time(&self.published_at)?,
            expires_at: self.expires_at.as_deref().map(time).transpose()?,
            deliver_at: self.deliver_at.as_deref().map(time).transpose()?,
            traceparent: self.traceparent,
            publish_id: self.publish_id,
        })
    }
}

/// A payload and its media type.
pub(super) fn read_payload(members: PayloadMembers<'_>) -> Result<(Bytes, String), RequestError> {
    let Payload {
        bytes,
        content_type,
    } = members.read().map_err(RequestError::unreadable)?;
    let bytes = match bytes {
        // Not a part of the frame: a small message must not keep a large frame in memory.
        Cow::Borrowed(bytes) => Bytes::copy_from_slice(bytes),
        Cow::Owned(bytes) => Bytes::from(bytes),
    };
    Ok((bytes, content_type.into_owned()))
}

pub(super) fn time(text: &str) -> Result<Timestamp, RequestError> {
    text.parse().map_err(RequestError::unreadable)
}
