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
    // In memory every class is what memory gives, which a test's server is not refused for.
    let durable = |wanted| !engine.shared || engine.durability.contains(&wanted);
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

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, from_value, json};
    use trunkline_engine_embedded::{Drive, Embedded, EmbeddedConfig};
    use trunkline_model::{Durability, Engine};

    fn told(engine: &Capabilities, topics: Value) -> Option<String> {
        let topics: TopicsSection = from_value(topics).unwrap();
        check(engine, &topics).err().map(|error| error.to_string())
    }

    #[test]
    fn an_option_that_the_engine_lacks_is_told_with_its_topic() {
        let mut config = EmbeddedConfig::memory();
        config.drive = Drive::ByHand;
        let embedded = Embedded::open(config).unwrap();
        let all = embedded.capabilities().borrow().clone();
        let fine = json!({
            "defaults": {"ttl": "1h", "durability": "interval"},
            "declare": {"a": {"priorities": 256, "dedupe": "latest", "max_attempts": 3}},
        });
        assert_eq!(told(&all, fine.clone()), None);
        let less = Capabilities {
            engine: "redis",
            shared: true,
            priorities: 10,
            dedupe_latest: false,
            dead_letter: false,
            durability: &[Durability::Commit],
            ..all
        };
        assert_eq!(
            told(&less, fine).unwrap(),
            "topics.defaults: the redis engine can't do `durability`; take it away or use another engine"
        );
        for (option, topics) in [
            ("priorities", json!({"priorities": 11})),
            ("dedupe", json!({"dedupe": "latest"})),
            ("max_attempts", json!({"max_attempts": 3})),
            ("dead_letter", json!({"dead_letter": "graves"})),
        ] {
            let error = told(&less, json!({"declare": {"a": topics}})).unwrap();
            let place = format!("topics.declare.a: the redis engine can't do `{option}`;");
            assert!(error.starts_with(&place), "{error}");
        }
        assert_eq!(
            told(&less, json!({"declare": {"a": {"priorities": 10}}})),
            None
        );
    }
}
