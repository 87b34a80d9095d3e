//! The lines of an export: for each topic a head, its messages in order, and an end.

use crate::failure::Failure;
use serde::{Deserialize, Serialize, Serializer, ser::SerializeMap};
use serde_json::value::{RawValue, to_raw_value};
use std::{borrow::Cow, collections::BTreeMap};
use trunkline_jsonrpc::{JSON, present, write_base64};

/// The version of this form.
const VERSION: u32 = 1;
/// Headers that a publish can't have: those of dead letters.
const RESERVED: &str = "trunkline-";

/// A topic begins.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Head {
    pub(super) trunkline: &'static str,
    pub(super) version: u32,
    pub(super) topic: String,
    pub(super) exported_at: String,
    /// How many messages there were when it began.
    pub(super) messages: u64,
    pub(super) options: serde_json::Value,
    pub(super) subscriptions: Vec<SubscriptionHead>,
}

/// A subscription of a topic.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SubscriptionHead {
    pub(super) subscription: String,
    /// Those that differ from the topic's.
    #[serde(default)]
    pub(super) options: serde_json::Value,
}

/// A topic is complete.
#[derive(Debug, Serialize)]
struct End<'a> {
    trunkline: &'static str,
    topic: &'a str,
    messages: u64,
}

impl Head {
    pub(super) fn new(
        topic: String,
        exported_at: String,
        messages: u64,
        options: serde_json::Value,
        subscriptions: Vec<SubscriptionHead>,
    ) -> Self {
        Self {
            trunkline: "topic",
            version: VERSION,
            topic,
            exported_at,
            messages,
            options,
            subscriptions,
        }
    }
}

/// The line that ends a topic.
pub(super) fn end(topic: &str, messages: u64) -> String {
    let end = End {
        trunkline: "end",
        topic,
        messages,
    };
    serde_json::to_string(&end).expect("a text and a number are JSON")
}

/// A message as the server shows it, as one line. JSON with line breaks goes as bytes, so that
/// it comes back as it was.
pub(super) fn message(shown: &RawValue) -> Result<Cow<'_, str>, Failure> {
    if !shown.get().contains(['\n', '\r']) {
        return Ok(Cow::Borrowed(shown.get()));
    }
    let unreadable = |error| Failure::failed(format!("the server's answer can't be read: {error}"));
    let mut members: BTreeMap<String, Box<RawValue>> =
        serde_json::from_str(shown.get()).map_err(unreadable)?;
    if let Some(payload) = members.remove("payload") {
        let mut base64 = Vec::new();
        write_base64(&mut base64, payload.get().as_bytes());
        let base64 = String::from_utf8_lossy(&base64);
        let base64 = to_raw_value(&base64).map_err(unreadable)?;
        members.insert("payload_base64".to_owned(), base64);
        let json = to_raw_value(JSON).map_err(unreadable)?;
        members.entry("content_type".to_owned()).or_insert(json);
    }
    serde_json::to_string(&members)
        .map(Cow::Owned)
        .map_err(unreadable)
}

/// A line that was read.
pub(super) enum Line<'a> {
    Head(Head),
    Message(Box<Exported<'a>>),
    End { topic: String, messages: u64 },
}

/// All members of all lines.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Members<'a> {
    trunkline: Option<String>,
    version: Option<u32>,
    topic: Option<String>,
    exported_at: Option<String>,
    messages: Option<u64>,
    options: Option<serde_json::Value>,
    #[serde(default)]
    subscriptions: Vec<SubscriptionHead>,
    id: Option<String>,
    published_at: Option<String>,
    #[serde(default, borrow, deserialize_with = "present")]
    payload: Option<&'a RawValue>,
    #[serde(borrow)]
    payload_text: Option<&'a RawValue>,
    #[serde(borrow)]
    payload_base64: Option<&'a RawValue>,
    #[serde(borrow)]
    content_type: Option<&'a RawValue>,
    #[serde(borrow)]
    key: Option<&'a RawValue>,
    #[serde(borrow)]
    group: Option<&'a RawValue>,
    #[serde(default)]
    headers: BTreeMap<String, String>,
    #[serde(borrow)]
    priority: Option<&'a RawValue>,
    #[serde(borrow)]
    expires_at: Option<&'a RawValue>,
    #[serde(borrow)]
    deliver_at: Option<&'a RawValue>,
    #[serde(borrow)]
    traceparent: Option<&'a RawValue>,
    /// Of the export; an import makes its own.
    #[serde(rename = "publish_id")]
    _publish_id: Option<String>,
}

/// A message that was exported; serializes as one to be published.
pub(super) struct Exported<'a> {
    members: Members<'a>,
    /// Headers that can't be published.
    pub(super) reserved: u64,
}

/// Reads a line.
///
/// # Errors
/// A sentence that says what is wrong with it.
pub(super) fn read(line: &str) -> Result<Line<'_>, String> {
    let mut members: Members<'_> = serde_json::from_str(line).map_err(|e| e.to_string())?;
    let missing = |what: &str| format!("member \"{what}\" is missing");
    match members.trunkline.as_deref() {
        None => {
            if members.id.is_none() || members.published_at.is_none() {
                return Err(missing("id\" or \"published_at"));
            }
            let before = members.headers.len();
            members
                .headers
                .retain(|name, _| !name.starts_with(RESERVED));
            let reserved = (before - members.headers.len()) as u64;
            Ok(Line::Message(Box::new(Exported { members, reserved })))
        }
        Some("topic") => match members.version {
            Some(VERSION) => Ok(Line::Head(Head::new(
                members.topic.ok_or_else(|| missing("topic"))?,
                members.exported_at.unwrap_or_default(),
                members.messages.unwrap_or_default(),
                members.options.unwrap_or_default(),
                members.subscriptions,
            ))),
            version => Err(format!(
                "an export of version {}; this program reads version {VERSION}",
                version.map_or("none".to_owned(), |version| version.to_string())
            )),
        },
        Some("end") => Ok(Line::End {
            topic: members.topic.ok_or_else(|| missing("topic"))?,
            messages: members.messages.ok_or_else(|| missing("messages"))?,
        }),
        Some(other) => Err(format!("unknown kind of line {other:?}")),
    }
}

impl Exported<'_> {
    /// The same for the same message of the same store, however often it is imported: an id
    /// may be there in two stores, but not with the same time.
    fn publish_id(&self) -> String {
        let text = |text: &Option<String>| text.clone().unwrap_or_default();
        let (id, at) = (text(&self.members.id), text(&self.members.published_at));
        format!("import:{id}@{at}")
    }
}

impl Serialize for Exported<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let members = &self.members;
        let mut map = to.serialize_map(None)?;
        map.serialize_entry("publish_id", &self.publish_id())?;
        for (name, value) in [
            ("payload", members.payload),
            ("payload_text", members.payload_text),
            ("payload_base64", members.payload_base64),
            ("content_type", members.content_type),
            ("key", members.key),
            ("group", members.group),
            ("priority", members.priority),
            ("expires_at", members.expires_at),
            ("deliver_at", members.deliver_at),
            ("traceparent", members.traceparent),
        ] {
            if let Some(value) = value {
                map.serialize_entry(name, value)?;
            }
        }
        if !members.headers.is_empty() {
            map.serialize_entry("headers", &members.headers)?;
        }
        map.end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn raw(text: &str) -> Box<RawValue> {
        RawValue::from_string(text.to_owned()).unwrap()
    }

    fn published(line: &str) -> String {
        match read(line).unwrap() {
            Line::Message(message) => serde_json::to_string(&message).unwrap(),
            _ => panic!("{line} is no message"),
        }
    }

    #[test]
    fn a_message_is_published_as_it_was_shown() {
        let shown = raw(
            r#"{"id":"3-7","key":"k","payload":{ "a" : 1.0 },"headers":{"a":"b","trunkline-dead-topic":"t"},"priority":1,"published_at":"2026-11-20T17:33:56.000Z","publish_id":"p"}"#,
        );
        let line = message(&shown).unwrap();
        assert_eq!(
            published(&line),
            concat!(
                r#"{"publish_id":"import:3-7@2026-11-20T17:33:56.000Z","payload":{ "a" : 1.0 },"#,
                r#""key":"k","priority":1,"headers":{"a":"b"}}"#
            )
        );
        let Line::Message(read) = read(&line).unwrap() else {
            panic!("a message")
        };
        assert_eq!(read.reserved, 1);
    }

    #[test]
    fn json_with_line_breaks_goes_as_bytes() {
        let shown = raw("{\"id\":\"3-7\",\"payload\":[1,\n2],\"published_at\":\"x\"}");
        let line = message(&shown).unwrap();
        assert!(!line.contains('\n'));
        assert_eq!(
            published(&line),
            r#"{"publish_id":"import:3-7@x","payload_base64":"WzEsCjJd","content_type":"application/json"}"#
        );
    }

    #[test]
    fn what_is_no_export_is_said_to_be_none() {
        for (line, says) in [
            ("{", "EOF"),
            ("[]", "invalid length 0"),
            (r#"{"payload":1}"#, "\"id\" or \"published_at\" is missing"),
            (r#"{"trunkline":"topic","topic":"t"}"#, "version none"),
            (
                r#"{"trunkline":"topic","topic":"t","version":2}"#,
                "reads version 1",
            ),
            (
                r#"{"trunkline":"end","topic":"t"}"#,
                "\"messages\" is missing",
            ),
            (r#"{"trunkline":"start"}"#, "unknown kind of line"),
            (
                r#"{"id":"1-1","published_at":"x","pay":1}"#,
                "unknown field `pay`",
            ),
        ] {
            let error = read(line).err().unwrap();
            assert!(error.contains(says), "{line}: {error}");
        }
    }
}
