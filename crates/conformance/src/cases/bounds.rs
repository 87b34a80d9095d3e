//! What is refused: too much, and what the engine doesn't claim.

use super::case;
use crate::{
    lab::{Lab, ack, message, publish, spec},
    run::Case,
    taker::tags,
};
use std::time::Duration;
use trunkline_model::{
    Batch, ByteSize, Dedupe, ErrorCode, Message, Priority, TopicSettings, When, limits,
};

pub(super) const CASES: &[Case] = &[
    case!("a payload beyond the limit is refused", [], payload),
    case!("a priority that the topic hasn't is refused", [], priority),
    case!(
        "a full topic refuses publishes and nothing else",
        [LIMITS],
        full
    ),
    case!(
        "a topic that is full of bytes refuses",
        [LIMITS],
        full_of_bytes
    ),
    case!(
        "what isn't claimed is refused, never ignored",
        [],
        unclaimed
    ),
];

async fn refused(lab: &Lab, batch: Batch) -> ErrorCode {
    let refused = lab.submit(batch).await;
    refused.expect_err("must be refused").code()
}

async fn payload(lab: Lab) {
    let topic = lab.define("t", TopicSettings::default()).await;
    let large = Message {
        payload: vec![0; limits::PAYLOAD_BYTES_MAX + 1].into(),
        ..Message::default()
    };
    let batch = Batch::of(publish(&topic, vec![large]));
    assert_eq!(refused(&lab, batch).await, ErrorCode::TooLarge);
    lab.publish(&topic, &["small"]).await;
    assert_eq!(lab.inspect(&topic).await.messages, 1);
}

async fn priority(lab: Lab) {
    let topic = lab.define("t", TopicSettings::default()).await;
    let bad = Message {
        priority: Some(Priority(1)),
        ..message("1")
    };
    let batch = Batch::of(publish(&topic, vec![bad]));
    assert_eq!(refused(&lab, batch).await, ErrorCode::InvalidParams);
}

async fn full(lab: Lab) {
    let settings = TopicSettings {
        max_messages: Some(2),
        ..TopicSettings::default()
    };
    let topic = lab.define("t", settings).await;
    let taker = lab.consume(spec(&[(&topic, "s")])).await;
    let three = ["1", "2", "3"].map(message).to_vec();
    let code = refused(&lab, Batch::of(publish(&topic, three))).await;
    assert_eq!(code, ErrorCode::Overloaded);
    lab.publish(&topic, &["1", "2"]).await;
    let one = || Batch::of(publish(&topic, vec![message("3")]));
    assert_eq!(refused(&lab, one()).await, ErrorCode::Overloaded);
    let first = taker.take(1).await;
    lab.done(ack(taker.id(), &tags(&first))).await;
    assert!(lab.submit(one()).await.is_ok(), "there is room again");
    assert_eq!(taker.texts(2).await, ["2", "3"]);
}

async fn full_of_bytes(lab: Lab) {
    let settings = TopicSettings {
        max_bytes: Some(ByteSize(10)),
        ..TopicSettings::default()
    };
    let topic = lab.define("t", settings).await;
    lab.publish(&topic, &["123456"]).await;
    let batch = Batch::of(publish(&topic, vec![message("12345")]));
    assert_eq!(refused(&lab, batch).await, ErrorCode::Overloaded);
    lab.publish(&topic, &["1234"]).await;
}

async fn unclaimed(lab: Lab) {
    let claimed = lab.capabilities();
    let topic = lab.define("t", TopicSettings::default()).await;
    let delayed = Message {
        deliver: Some(When::After(Duration::from_secs(60))),
        ..message("delayed")
    };
    let grouped = Message {
        group: Some("g".into()),
        ..message("grouped")
    };
    for (claimed, message) in [(claimed.delay, delayed), (claimed.groups, grouped)] {
        if !claimed {
            let batch = Batch::of(publish(&topic, vec![message]));
            assert_eq!(refused(&lab, batch).await, ErrorCode::Unsupported);
        }
    }
    let first = TopicSettings {
        dedupe: Some(Dedupe::First),
        ..TopicSettings::default()
    };
    let dead = TopicSettings {
        max_attempts: Some(3),
        dead_letter: Some(lab.topic("dead")),
        ..TopicSettings::default()
    };
    for (claimed, settings) in [(claimed.dedupe_first, first), (claimed.dead_letter, dead)] {
        if !claimed {
            let refused = lab.try_define(&lab.topic("u"), settings).await;
            assert_eq!(refused.map_err(|e| e.code()), Err(ErrorCode::Unsupported));
        }
    }
}
