use super::{Payload, RequestError};
use serde::{Serialize, Serializer, ser::SerializeMap};
use serde_json::value::{RawValue, to_raw_value};
use std::time::Duration;
use trunkline_model::Timestamp;

/// A message to be published, to a topic or a channel.
///
/// ```
/// use std::time::Duration;
/// use trunkline::Message;
///
/// # fn main() -> Result<(), trunkline::RequestError> {
/// let order = Message::json(&("book", 3))?
///     .key("order-17")
///     .priority(0)
///     .ttl(Duration::from_secs(60))
///     .header("origin", "shop");
/// let note = Message::text("closed on Sundays");
/// let picture = Message::bytes([0xff, 0xd8]).content_type("image/jpeg");
/// # let _ = (order, note, picture);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
#[must_use = "a message does nothing until it is published"]
pub struct Message {
    body: Body,
    content_type: Option<String>,
    key: Option<String>,
    group: Option<String>,
    publish_id: Option<String>,
    priority: Option<u8>,
    expires: Option<When>,
    deliver: Option<When>,
    headers: Vec<(String, String)>,
    traceparent: Option<String>,
}

#[derive(Clone, Debug)]
enum Body {
    Json(Box<RawValue>),
    Text(String),
    Bytes(Vec<u8>),
}

#[derive(Clone, Copy, Debug)]
enum When {
    At(Timestamp),
    After(Duration),
}

impl Message {
    /// A message whose payload is JSON (`application/json`).
    ///
    /// # Errors
    /// [`RequestError::Unsendable`] if it can't be written as JSON.
    pub fn json(value: &(impl Serialize + ?Sized)) -> Result<Self, RequestError> {
        let json = to_raw_value(value).map_err(RequestError::unsendable)?;
        Ok(Self::of(Body::Json(json)))
    }

    /// A message whose payload is text (`text/plain;charset=utf-8`).
    pub fn text(text: impl Into<String>) -> Self {
        Self::of(Body::Text(text.into()))
    }

    /// A message whose payload is any bytes (`application/octet-stream`). They travel as base64;
    /// text is smaller as [`Message::text`].
    pub fn bytes(bytes: impl Into<Vec<u8>>) -> Self {
        Self::of(Body::Bytes(bytes.into()))
    }

    fn of(body: Body) -> Self {
        Self {
            body,
            content_type: None,
            key: None,
            group: None,
            publish_id: None,
            priority: None,
            expires: None,
            deliver: None,
            headers: Vec::new(),
            traceparent: None,
        }
    }

    /// Media type, where it is another one than the payload's usual.
    pub fn content_type(mut self, media_type: impl Into<String>) -> Self {
        self.content_type = Some(media_type.into());
        self
    }

    /// Identity for deduplication, at most 1 KiB.
    pub fn key(mut self, key: impl Into<String>) -> Self {
        self.key = Some(key.into());
        self
    }

    /// Messages of one group are delivered one consumer at a time, in order.
    pub fn group(mut self, group: impl Into<String>) -> Self {
        self.group = Some(group.into());
        self
    }

    /// An id that makes repeating the publish safe: the topic stores one id once, within its
    /// `publish_id_window` (2 minutes by default). Without it the client makes one, unique to
    /// this publish; your own also covers a restart of your program.
    pub fn publish_id(mut self, id: impl Into<String>) -> Self {
        self.publish_id = Some(id.into());
        self
    }

    /// Urgency: 0 is most urgent. The topic's default if absent.
    pub fn priority(mut self, priority: u8) -> Self {
        self.priority = Some(priority);
        self
    }

    /// Not delivered later than this after it was published. The topic's `ttl` if absent.
    pub fn ttl(mut self, span: Duration) -> Self {
        self.expires = Some(When::After(span));
        self
    }

    /// Not delivered after this time.
    pub fn expires_at(mut self, time: Timestamp) -> Self {
        self.expires = Some(When::At(time));
        self
    }

    /// Not delivered earlier than this after it was published.
    pub fn delay(mut self, span: Duration) -> Self {
        self.deliver = Some(When::After(span));
        self
    }

    /// Not delivered before this time.
    pub fn deliver_at(mut self, time: Timestamp) -> Self {
        self.deliver = Some(When::At(time));
        self
    }

    /// Adds a header, at most 128 of them; of a name that repeats, the first counts.
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// W3C trace context.
    pub fn traceparent(mut self, traceparent: impl Into<String>) -> Self {
        self.traceparent = Some(traceparent.into());
        self
    }

    /// Gives it an id, unless it has one.
    pub(super) fn identify(&mut self, id: impl FnOnce() -> String) {
        self.publish_id.get_or_insert_with(id);
    }

    fn payload(&self) -> Payload<'_> {
        match &self.body {
            Body::Json(json) => Payload::Json(json),
            Body::Text(text) => Payload::Text(text),
            Body::Bytes(bytes) => Payload::Bytes(bytes),
        }
    }

    /// Adds what travels on a channel, too: the payload and its type.
    pub(super) fn put_payload<M: SerializeMap>(&self, members: &mut M) -> Result<(), M::Error> {
        self.payload().put(members)?;
        match &self.content_type {
            Some(media_type) => members.serialize_entry("content_type", media_type),
            None => Ok(()),
        }
    }
}

impl Serialize for Message {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let mut members = to.serialize_map(None)?;
        self.put_payload(&mut members)?;
        for (name, text) in [
            ("key", &self.key),
            ("group", &self.group),
            ("publish_id", &self.publish_id),
            ("traceparent", &self.traceparent),
        ] {
            if let Some(text) = text {
                members.serialize_entry(name, text)?;
            }
        }
        if let Some(priority) = self.priority {
            members.serialize_entry("priority", &priority)?;
        }
        for (at, after, when) in [
            ("expires_at", "ttl_ms", self.expires),
            ("deliver_at", "delay_ms", self.deliver),
        ] {
            match when {
                // As text: milliseconds would round it.
                Some(When::At(time)) => members.serialize_entry(at, &time.to_string())?,
                Some(When::After(span)) => members.serialize_entry(after, &millis(span))?,
                None => {}
            }
        }
        if !self.headers.is_empty() {
            members.serialize_entry("headers", &Headers(&self.headers))?;
        }
        members.end()
    }
}

/// Whole milliseconds, at least one for what is more than nothing.
pub(super) fn millis(span: Duration) -> u64 {
    let millis = span.as_nanos().div_ceil(1_000_000);
    u64::try_from(millis)
        .unwrap_or(u64::MAX)
        .min(trunkline_model::limits::JSON_INTEGER_MAX)
}

struct Headers<'a>(&'a [(String, String)]);

impl Serialize for Headers<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let first = |index: usize, name: &str| !self.0[..index].iter().any(|(n, _)| n == name);
        let headers = self.0.iter().enumerate();
        let headers = headers.filter(|(index, (name, _))| first(*index, name));
        to.collect_map(headers.map(|(_, (name, value))| (name, value)))
    }
}

impl From<&str> for Message {
    fn from(text: &str) -> Self {
        Self::text(text)
    }
}

impl From<String> for Message {
    fn from(text: String) -> Self {
        Self::text(text)
    }
}

impl From<Vec<u8>> for Message {
    fn from(bytes: Vec<u8>) -> Self {
        Self::bytes(bytes)
    }
}

impl From<&[u8]> for Message {
    fn from(bytes: &[u8]) -> Self {
        Self::bytes(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_are_those_of_the_wire() {
        let second = Duration::from_secs(1);
        for (message, expected) in [
            (Message::text("a\"b"), r#"{"payload_text":"a\"b"}"#),
            (Message::bytes([0xff]), r#"{"payload_base64":"/w=="}"#),
            (Message::json(&()).unwrap(), r#"{"payload":null}"#),
            (
                Message::text("a,b").content_type("text/csv"),
                r#"{"payload_text":"a,b","content_type":"text/csv"}"#,
            ),
            (
                Message::json(&[1])
                    .unwrap()
                    .key("k")
                    .group("g")
                    .publish_id("p")
                    .priority(2),
                r#"{"payload":[1],"key":"k","group":"g","publish_id":"p","priority":2}"#,
            ),
            (
                Message::text("")
                    .ttl(Duration::from_micros(1))
                    .delay(second),
                r#"{"payload_text":"","ttl_ms":1,"delay_ms":1000}"#,
            ),
            (
                Message::text("").expires_at(Timestamp::from_micros(1_000_001)),
                r#"{"payload_text":"","expires_at":"1970-01-01T00:00:01.000001Z"}"#,
            ),
            (
                Message::text("")
                    .header("b", "1")
                    .header("a", "2")
                    .header("b", "3"),
                r#"{"payload_text":"","headers":{"b":"1","a":"2"}}"#,
            ),
        ] {
            assert_eq!(serde_json::to_string(&message).unwrap(), expected);
        }
    }
}
