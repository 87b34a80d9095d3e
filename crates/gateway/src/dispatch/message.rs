//! A message as clients write it (PROTOCOL.md §1, `rpc.topic.publish`).

use super::{error, params::Params};
use bytes::Bytes;
use compact_str::CompactString;
use serde::{
    Deserialize, Deserializer,
    de::{Error as _, MapAccess, Visitor},
};
use serde_json::value::RawValue;
use std::{borrow::Cow, fmt, time::Duration};
use trunkline_jsonrpc::{JSON, Payload, PayloadMembers, Scanner, TEXT, Text, present};
use trunkline_model::{Error, Headers, Message, Priority, Timestamp, When};

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct MessageParams<'a> {
    #[serde(default, borrow, deserialize_with = "present")]
    payload: Option<&'a RawValue>,
    #[serde(default, borrow)]
    payload_text: Option<Text<'a>>,
    #[serde(default, borrow)]
    payload_base64: Option<Text<'a>>,
    #[serde(default, borrow)]
    content_type: Option<Text<'a>>,
    key: Option<CompactString>,
    group: Option<CompactString>,
    publish_id: Option<CompactString>,
    priority: Option<Priority>,
    ttl_ms: Option<u64>,
    expires_at: Option<Time>,
    delay_ms: Option<u64>,
    deliver_at: Option<Time>,
    #[serde(default)]
    headers: HeaderParams,
    traceparent: Option<CompactString>,
}

impl<'a> MessageParams<'a> {
    /// The message; `path` is where in the params it stands.
    pub(crate) fn read(
        self,
        params: Params<'_>,
        path: &dyn Fn() -> String,
    ) -> Result<Message, Error> {
        let members = PayloadMembers {
            payload: self.payload,
            payload_text: self.payload_text,
            payload_base64: self.payload_base64,
            content_type: self.content_type,
        };
        let payload = members
            .read()
            .map_err(|problem| error::params(problem.at(&path())))?;
        let one = |first, second| {
            let text = format!("\"{first}\" and \"{second}\" exclude each other");
            error::param(&path(), text)
        };
        let expires =
            when(self.expires_at, self.ttl_ms).ok_or_else(|| one("expires_at", "ttl_ms"))?;
        let deliver =
            when(self.deliver_at, self.delay_ms).ok_or_else(|| one("deliver_at", "delay_ms"))?;
        Ok(Message {
            content_type: CompactString::new(&payload.content_type),
            payload: kept(payload, params),
            key: self.key,
            group: self.group,
            publish_id: self.publish_id,
            priority: self.priority,
            jms_priority: None,
            expires,
            deliver,
            headers: self.headers.0,
            traceparent: self.traceparent,
        })
    }
}

/// Reads a message of the common form: a payload that needs no decoding, and plain members.
/// `None` for every other one, which has to be read as [`MessageParams`].
pub(crate) fn scan(scanner: &mut Scanner<'_>, params: Params<'_>) -> Option<Message> {
    let mut message = Message {
        payload: Bytes::new(),
        content_type: CompactString::const_new(""),
        key: None,
        group: None,
        publish_id: None,
        priority: None,
        jms_priority: None,
        expires: None,
        deliver: None,
        headers: Headers::new(),
        traceparent: None,
    };
    let mut payload: Option<(Bytes, &'static str)> = None;
    scanner.object(|scanner, name| {
        let is_second = match name {
            "payload_text" => {
                let bytes = match scanner.text()? {
                    Cow::Borrowed(text) => params.keep(text.as_bytes()),
                    Cow::Owned(text) => Bytes::from(text),
                };
                payload.replace((bytes, TEXT)).is_some()
            }
            "payload" => {
                let bytes = params.keep(scanner.value(usize::MAX)?.as_bytes());
                payload.replace((bytes, JSON)).is_some()
            }
            "key" => message.key.replace(scanner.string()?.into()).is_some(),
            "group" => message.group.replace(scanner.string()?.into()).is_some(),
            "publish_id" => message
                .publish_id
                .replace(scanner.string()?.into())
                .is_some(),
            "traceparent" => message
                .traceparent
                .replace(scanner.string()?.into())
                .is_some(),
            "priority" => {
                let priority = Priority(u8::try_from(scanner.unsigned()?).ok()?);
                message.priority.replace(priority).is_some()
            }
            "ttl_ms" => message
                .expires
                .replace(after(scanner.unsigned()?))
                .is_some(),
            "delay_ms" => message
                .deliver
                .replace(after(scanner.unsigned()?))
                .is_some(),
            _ => return None,
        };
        (!is_second).then_some(())
    })?;
    let (bytes, content_type) = payload?;
    message.payload = bytes;
    message.content_type = CompactString::const_new(content_type);
    Some(message)
}

fn after(millis: u64) -> When {
    When::After(Duration::from_millis(millis))
}

/// The payload's bytes, shared with the frame where that is worth it.
pub(crate) fn kept(payload: Payload<'_>, params: Params<'_>) -> Bytes {
    match payload.bytes {
        Cow::Borrowed(bytes) => params.keep(bytes),
        Cow::Owned(bytes) => Bytes::from(bytes),
    }
}

/// `None` if both are given.
fn when(at: Option<Time>, after_ms: Option<u64>) -> Option<Option<When>> {
    match (at, after_ms) {
        (None, None) => Some(None),
        (Some(Time(at)), None) => Some(Some(When::At(at))),
        (None, Some(ms)) => Some(Some(after(ms))),
        (Some(_), Some(_)) => None,
    }
}

/// A point in time: RFC 3339, or milliseconds since the epoch.
#[derive(Debug)]
pub(crate) struct Time(pub(crate) Timestamp);

impl<'de> Deserialize<'de> for Time {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct TimeVisitor;
        impl Visitor<'_> for TimeVisitor {
            type Value = Time;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an RFC 3339 time or milliseconds since 1970")
            }
            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Time, E> {
                text.parse().map(Time).map_err(E::custom)
            }
            fn visit_u64<E: serde::de::Error>(self, millis: u64) -> Result<Time, E> {
                Ok(Time(Timestamp::from_millis(millis)))
            }
        }
        from.deserialize_any(TimeVisitor)
    }
}

/// User headers, in the order in which they are written.
#[derive(Debug, Default)]
struct HeaderParams(Headers);

impl<'de> Deserialize<'de> for HeaderParams {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct HeaderVisitor;
        impl<'de> Visitor<'de> for HeaderVisitor {
            type Value = HeaderParams;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object of strings")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<HeaderParams, A::Error> {
                let mut headers = Headers::new();
                while let Some((name, value)) = map.next_entry::<CompactString, CompactString>()? {
                    if is_reserved(&name) {
                        return Err(A::Error::custom(format!(
                            "header \"{name}\" is reserved; use the member of the message"
                        )));
                    }
                    headers.push(name, value);
                }
                Ok(HeaderParams(headers))
            }
        }
        from.deserialize_map(HeaderVisitor)
    }
}

/// Whether Trunkline keeps the name of a header for itself.
pub(crate) fn is_reserved(name: &str) -> bool {
    matches!(name, "content-type" | "traceparent") || name.starts_with("trunkline-")
}
