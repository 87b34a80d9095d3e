//! Whether an engine can do what topics of the configuration ask for.

use super::StartError;
use crate::TopicsSection;
use trunkline_model::{Capabilities, Dedupe, TopicSettings};

/// Checks the settings of all topics that the configuration names.
pub(super) fn check(engine: &Capabilities, topics: &TopicsSection) -> Result<(), StartError> {
    let refuse = |place: String, option: &'static str| StartError::Unsupported {
        place,
        engine: engine.engine,
        option,
    };
    if let Some(option) = missing(engine, &topics.defaults) {
        return Err(refuse("topics.defaults".to_owned(), option));
    }
    for (topic, settings) in &topics.declare {
        if let Some(option) = missing(engine, settings) {
            return Err(refuse(format!("topics.declare.{}", topic.as_str()), option));
        }
    }
    Ok(())
}

/// The first option that the engine can't honour.
fn missing(engine: &Capabilities, asked: &TopicSettings) -> Option<&'static str> {
    let durable = |wanted| engine.durability.contains(&wanted);
    let checks = [
        (
            "priorities",
            asked.priorities.is_none_or(|n| n <= engine.priorities),
        ),
        ("durability", asked.durability.is_none_or(durable)),
        ("ttl", asked.ttl.is_none() || engine.ttl),
        (
            "dedupe",
            match asked.dedupe {
                Some(Dedupe::Latest) => engine.dedupe_latest,
                Some(Dedupe::First) => engine.dedupe_first,
                _ => true,
            },
        ),
        (
            "ack_timeout",
            asked.ack_timeout.is_none() || engine.ack_timeout,
        ),
        ("retry", asked.retry.is_none() || engine.retry),
        (
            "max_attempts",
            asked.max_attempts.is_none() || engine.dead_letter,
        ),
        (
            "dead_letter",
            asked.dead_letter.is_none() || engine.dead_letter,
        ),
        (
            "max_messages",
            asked.max_messages.is_none() || engine.limits,
        ),
        ("max_bytes", asked.max_bytes.is_none() || engine.limits),
        (
            "publish_id_window",
            asked.publish_id_window.is_none() || engine.publish_id,
        ),
    ];
    checks
        .into_iter()
        .find(|(_, can)| !can)
        .map(|(option, _)| option)
}
