//! What a dead letter tells of itself: the headers that it has besides the message's own; how it
//! is made, and what it is published as when it goes back.

use crate::{
    Dedupe, Durability, Headers, Message, MessageId, Priority, RedriveEdit, StoredMessage,
    Timestamp, TopicOptions, Unsubscribed,
};
use compact_str::ToCompactString;

/// Name of the topic that it comes from.
pub const TOPIC: &str = "trunkline-dead-topic";
/// Name of the subscription that gave it up; absent for what nobody subscribed to.
pub const SUBSCRIPTION: &str = "trunkline-dead-subscription";
/// Why: `max-attempts`, `rejected` or `expired`.
pub const REASON: &str = "trunkline-dead-reason";
/// How often it was delivered there.
pub const ATTEMPTS: &str = "trunkline-dead-attempts";
/// When a delivery first failed, as far as that is known, in RFC 3339.
pub const FIRST_AT: &str = "trunkline-dead-first-at";
/// When it was given up, in RFC 3339.
pub const LAST_AT: &str = "trunkline-dead-last-at";
/// Its identity in the topic that it comes from.
pub const ID: &str = "trunkline-dead-id";
/// Its priority there, if the dead-letter topic doesn't have that one.
pub const PRIORITY: &str = "trunkline-dead-priority";

/// What the names of all of them begin with.
pub const PREFIX: &str = "trunkline-dead-";

/// Where a dead letter comes from, and why it is one.
#[derive(Clone, Copy, Debug)]
pub struct Origin<'a> {
    /// The topic.
    pub topic: &'a str,
    /// The subscription that gave it up; `None` for what nobody subscribed to.
    pub subscription: Option<&'a str>,
    /// Why, as [`REASON`] says it.
    pub reason: &'static str,
    /// Deliveries there.
    pub attempts: u32,
    /// When a delivery first failed, as far as that is known.
    pub first_at: Timestamp,
    /// When it was given up.
    pub last_at: Timestamp,
    /// Its identity there.
    pub id: MessageId,
}

impl Origin<'_> {
    /// The dead letter of a message, as it is stored at `now` in a topic with the options `into`.
    pub fn letter(
        &self,
        now: Timestamp,
        message: StoredMessage,
        into: &TopicOptions,
    ) -> StoredMessage {
        let priority = least_urgent(message.priority, into);
        let mut headers = Headers::new();
        for (name, value) in message.headers.iter() {
            if !name.starts_with(PREFIX) {
                headers.push(name, value);
            }
        }
        headers.push(TOPIC, self.topic);
        if let Some(name) = self.subscription {
            headers.push(SUBSCRIPTION, name);
        }
        headers.push(REASON, self.reason);
        headers.push(ATTEMPTS, self.attempts.to_compact_string());
        headers.push(FIRST_AT, self.first_at.to_compact_string());
        headers.push(LAST_AT, self.last_at.to_compact_string());
        headers.push(ID, self.id.to_compact_string());
        if priority != message.priority {
            headers.push(PRIORITY, message.priority.0.to_compact_string());
        }
        StoredMessage {
            publish_id: None,
            priority,
            published_at: now,
            expires_at: into.default_expiry(now),
            deliver_at: None,
            headers,
            ..message
        }
    }
}

/// The options of a topic that is made for the dead letters of one with the options `of`, where
/// topics are made with `defaults`.
pub fn options(defaults: &TopicOptions, of: &TopicOptions) -> TopicOptions {
    let durability = match of.transient {
        true => Durability::Memory,
        false => of.durability,
    };
    TopicOptions {
        durability: defaults.durability.max(durability),
        // Whatever else topics are like, this one keeps what it is given.
        unsubscribed: Unsubscribed::Keep,
        dedupe: Dedupe::Off,
        dead_letter: None,
        dead_letter_expired: false,
        max_attempts: 0,
        ..defaults.clone()
    }
}

/// What a dead letter is published as when it is driven back into a topic with the options `into`.
pub fn driven_back(letter: StoredMessage, edit: &RedriveEdit, into: &TopicOptions) -> Message {
    let original = letter.headers.get(PRIORITY);
    let original = original.and_then(|text| text.parse().ok()).map(Priority);
    let priority = edit.priority.or(original).unwrap_or(letter.priority);
    let mut headers = Headers::new();
    let is_edited = |name: &str| edit.headers.iter().any(|(edited, _)| edited == name);
    for (name, value) in letter.headers.iter() {
        if !name.starts_with(PREFIX) && !is_edited(name) {
            headers.push(name, value);
        }
    }
    for (name, value) in &edit.headers {
        if let Some(value) = value {
            headers.push(name.clone(), value.clone());
        }
    }
    let (payload, content_type) = match &edit.payload {
        Some((payload, content_type)) => (payload.clone(), content_type.clone()),
        None => (letter.payload, letter.content_type),
    };
    Message {
        payload,
        content_type,
        key: letter.key,
        group: letter.group,
        publish_id: None,
        priority: Some(least_urgent(priority, into)),
        jms_priority: None,
        expires: None,
        deliver: None,
        headers,
        traceparent: letter.traceparent,
    }
}

/// The priority, or the last that a topic with these options has.
fn least_urgent(priority: Priority, options: &TopicOptions) -> Priority {
    let least = u8::try_from(options.priorities - 1).unwrap_or(u8::MAX);
    priority.min(Priority(least))
}
