//! What engines refuse, in words that say what to do. One place, so that publishes, definitions
//! and consumers are refused alike, whatever engine does it.

use crate::{
    Durability, Error, ErrorCode, OptionConflict, SubscriptionOptions, SubscriptionSettings,
    Timestamp, TopicOptions, TopicSettings,
};

/// There is no such topic.
pub fn no_topic(name: &str) -> Error {
    Error::not_found("topic", name)
}

/// There is no such topic, and it may not be made on first use.
pub fn no_topic_made(name: &str) -> Error {
    Error::new(
        ErrorCode::NotFound,
        format!("no topic {name}; declare it first, topics are not made on first use here"),
    )
    .with("topic", name)
}

/// There is no such subscription.
pub fn no_subscription(topic: &str, name: &str) -> Error {
    Error::new(
        ErrorCode::NotFound,
        format!("no subscription {name} of topic {topic}"),
    )
    .with("topic", topic)
    .with("subscription", name)
}

/// A topic with `unsubscribed: reject` has no subscription.
pub fn nobody_subscribes(topic: &str) -> Error {
    Error::new(
        ErrorCode::NotFound,
        format!("topic {topic} takes no messages while it has no subscription; make one first"),
    )
    .with("topic", topic)
}

/// A topic with `overflow: reject` has reached its bound, `limit`, which is `max`.
pub fn full(topic: &str, limit: &'static str, max: u64) -> Error {
    Error::new(
        ErrorCode::Overloaded,
        format!("topic {topic} is full: its {limit} is {max}; consume or purge, or raise it"),
    )
    .with("topic", topic)
    .with("limit", limit)
    .with("max", max)
}

/// A topic with `overflow: drop-oldest` has too little that it may drop.
pub fn nothing_to_drop(topic: &str, limit: &'static str, max: u64) -> Error {
    Error::new(
        ErrorCode::Overloaded,
        format!(
            "topic {topic} has no room: its {limit} is {max}, and beside what is in flight these \
             messages are too many; acknowledge some, send fewer, or raise it"
        ),
    )
    .with("topic", topic)
    .with("limit", limit)
    .with("max", max)
}

/// A subscription has reached a bound of its own, `limit`, which is `max`.
pub fn subscription_full(topic: &str, subscription: &str, limit: &'static str, max: u64) -> Error {
    Error::new(
        ErrorCode::Overloaded,
        format!(
            "subscription {subscription} of topic {topic} is full: its {limit} is {max}; consume \
             or purge, or raise it"
        ),
    )
    .with("topic", topic)
    .with("subscription", subscription)
    .with("limit", limit)
    .with("max", max)
}

/// The stored messages of a topic are of too many groups.
pub fn too_many_groups(topic: &str, max: usize) -> Error {
    Error::new(
        ErrorCode::Overloaded,
        format!("topic {topic} holds messages of too many groups, at most {max}; consume some"),
    )
    .with("topic", topic)
    .with("limit", "groups")
    .with("max", max)
}

/// A strict batch names a delivery that is not held, or names it twice.
pub fn not_held(tag: u64, consumer: impl std::fmt::Display) -> Error {
    Error::new(
        ErrorCode::Conflict,
        format!("delivery {tag} of consumer {consumer} is no longer held; nothing was applied"),
    )
    .with("tag", tag)
}

/// A message has a priority that its topic doesn't have; `priorities` is at least 1.
pub fn bad_priority(topic: &str, priority: u8, priorities: u16) -> Error {
    let max = priorities.saturating_sub(1);
    Error::invalid_params(format!(
        "priority {priority} of a message for topic {topic}; it must be at most {max}"
    ))
    .with("topic", topic)
    .with("max", max)
}

/// A message would be delivered only after it has expired.
pub fn delayed_beyond(topic: &str, deliver_at: Timestamp, expires_at: Timestamp) -> Error {
    Error::invalid_params(format!(
        "a message for topic {topic} would be delivered from {deliver_at} on and expire at \
         {expires_at}; deliver_at must be before expires_at"
    ))
    .with("topic", topic)
    .with("deliver_at", deliver_at.to_string())
    .with("expires_at", expires_at.to_string())
}

/// A topic would take its own dead letters.
pub fn buries_itself(topic: &str) -> Error {
    Error::invalid_params(format!(
        "dead_letter of topic {topic} is the topic itself; name another one"
    ))
    .with("topic", topic)
    .with("option", "dead_letter")
}

/// A topic would take the dead letters of one that is more durable.
pub fn weak_grave(grave: &str, durability: Durability, topic: &str) -> Error {
    let class = serde_json::to_value(durability).unwrap_or_default();
    let text = class.as_str().unwrap_or_default();
    Error::new(
        ErrorCode::Conflict,
        format!(
            "topic {grave} takes the dead letters of topic {topic} and must be at least as durable; \
             its durability is {text}"
        ),
    )
    .with("topic", grave)
    .with("options", vec!["dead_letter", "durability"])
}

/// Something is declared differently; `what` names it.
pub fn conflict(what: &str, conflicts: &[OptionConflict]) -> Error {
    let told: Vec<_> = conflicts
        .iter()
        .map(|c| format!("{} is {}, asked for {}", c.option, c.current, c.asked))
        .collect();
    let names: Vec<_> = conflicts.iter().map(|c| c.option).collect();
    Error::new(
        ErrorCode::Conflict,
        format!("{what} is declared differently: {}", told.join("; ")),
    )
    .with("options", names)
}

/// An option can't change while messages are stored.
pub fn needs_empty(topic: &str, option: &'static str) -> Error {
    Error::new(
        ErrorCode::Conflict,
        format!(
            "{option} of topic {topic} can change only while it holds no messages; purge it first"
        ),
    )
    .with("topic", topic)
    .with("options", vec![option])
}

/// The options that settings ask for.
///
/// # Errors
/// `InvalidParams` if they are out of bounds.
pub fn resolve(settings: &TopicSettings) -> Result<TopicOptions, Error> {
    settings.resolve().map_err(Error::invalid_params)
}

/// The options of a subscription that settings ask for.
///
/// # Errors
/// As of [`resolve`].
pub fn resolve_subscription(
    settings: &SubscriptionSettings,
    topic: &TopicOptions,
) -> Result<SubscriptionOptions, Error> {
    let options = settings.resolve(topic);
    options.check().map_err(Error::invalid_params)?;
    Ok(options)
}

/// The engine lacks what an option or command asks for.
pub fn not_offered(capability: &'static str, option: &'static str) -> Error {
    let message = format!("{option} is not offered by this version; leave it out");
    Error::unsupported(capability, message).with("option", option)
}

/// What of a subscription's settings differs from what is in effect.
pub fn subscription_conflicts(
    asked: &SubscriptionSettings,
    current: &SubscriptionOptions,
) -> Vec<OptionConflict> {
    fn differs<T: PartialEq + serde::Serialize>(
        option: &'static str,
        asked: &Option<T>,
        current: &Option<T>,
    ) -> Option<OptionConflict> {
        let json = |value: &Option<T>| serde_json::to_string(value).unwrap_or_default();
        (asked.is_some() && asked != current).then(|| OptionConflict {
            option,
            current: json(current),
            asked: json(asked),
        })
    }
    [
        differs(
            "ack_timeout",
            &asked.ack_timeout,
            &Some(current.ack_timeout),
        ),
        differs(
            "max_attempts",
            &asked.max_attempts,
            &Some(current.max_attempts),
        ),
        differs("dead_letter", &asked.dead_letter, &current.dead_letter),
        differs("delivery", &asked.delivery, &Some(current.delivery)),
        differs(
            "dead_letter_expired",
            &asked.dead_letter_expired,
            &Some(current.dead_letter_expired),
        ),
        differs("retry", &asked.retry, &current.retry),
        differs("max_messages", &asked.max_messages, &current.max_messages),
        differs("max_bytes", &asked.max_bytes, &current.max_bytes),
        differs("overflow", &asked.overflow, &Some(current.overflow)),
    ]
    .into_iter()
    .flatten()
    .collect()
}
