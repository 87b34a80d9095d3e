//! A MESSAGE as the command line shows it.

use serde::{Serialize, Serializer, ser::SerializeMap};
use trunkline::Payload;
use trunkline_stomp::Message;

/// Headers that are members of their own, or mean something to the connection only.
const NOT_OF_USERS: [&str; 11] = [
    "ack",
    "content-length",
    "content-type",
    "delivery-count",
    "destination",
    "group",
    "key",
    "message-id",
    "redelivered",
    "subscription",
    "trunkline-message-id",
];

/// How the server calls a message on every connection, as far as it has such a name.
pub(super) fn id(message: &Message) -> &str {
    let own = message.header("trunkline-message-id");
    own.or_else(|| message.header("message-id"))
        .unwrap_or_default()
}

/// Which delivery of it this is, from 1.
pub(super) fn attempt(message: &Message) -> u32 {
    let counted = message
        .header("delivery-count")
        .and_then(|count| count.parse().ok());
    counted.unwrap_or(match message.header("redelivered") {
        Some("true") => 2,
        _ => 1,
    })
}

/// Serializes to an object as `consume` prints it over WebSockets, as far as STOMP tells.
pub(super) struct Shown<'a>(pub(super) &'a Message);

impl Serialize for Shown<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let message = self.0;
        let mut members = to.serialize_map(None)?;
        members.serialize_entry("id", id(message))?;
        members.serialize_entry("destination", message.destination())?;
        for name in ["key", "group"] {
            if let Some(value) = message.header(name) {
                members.serialize_entry(name, value)?;
            }
        }
        payload(message).put(&mut members)?;
        if let Some(content_type) = message.header("content-type") {
            members.serialize_entry("content_type", content_type)?;
        }
        members.serialize_entry("headers", &UserHeaders(message))?;
        members.serialize_entry("attempt", &attempt(message))?;
        members.serialize_entry("redelivered", &(attempt(message) > 1))?;
        members.end()
    }
}

fn payload(message: &Message) -> Payload<'_> {
    let body = message.body();
    let is_json = message
        .header("content-type")
        .is_some_and(|name| name.split(';').next() == Some("application/json"));
    match Payload::json(body) {
        Ok(json) if is_json => json,
        _ => Payload::of(body),
    }
}

struct UserHeaders<'a>(&'a Message);

impl Serialize for UserHeaders<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let mut members = to.serialize_map(None)?;
        let headers = self.0.headers();
        for (position, (name, value)) in headers.iter().enumerate() {
            // Of repeated ones the first counts.
            let repeated = headers
                .iter()
                .take(position)
                .any(|(other, _)| other == name);
            if !NOT_OF_USERS.contains(&name) && !repeated {
                members.serialize_entry(name, value)?;
            }
        }
        members.end()
    }
}
