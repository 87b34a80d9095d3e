//! What is refused: too much, and what the engine doesn't claim.

use super::case;
use crate::{
    lab::{Lab, ack, message, publish, spec},
    run::Case,
    taker::tags,
};
use std::time::Duration;
use trunkline_model::{
    Batch, ByteSize, Dedupe, ErrorCode, Message, Overflow, Priority, SubscriptionSettings,
    TopicSettings, When, limits,
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
        "a full topic drops the least urgent, then the oldest, never what is in flight",
        [LIMITS, PRIORITIES],
        drops
    ),
    case!(
        "a full subscription refuses, or drops its own",
        [LIMITS],
        of_subscription
    ),
    case!(
        "what was dropped stays dropped after a restart",
        [LIMITS, RESTART],
        drops_durably
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

fn dropping(max_messages: u64) -> TopicSettings {
    TopicSettings {
        max_messages: Some(max_messages),
        overflow: Some(Overflow::DropOldest),
        priorities: Some(4),
        ..TopicSettings::default()
    }
}

fn urgent(text: &str, priority: u8) -> Message {
    Message {
        priority: Some(Priority(priority)),
        ..message(text)
    }
}

async fn drops(lab: Lab) {
    let topic = lab.define("t", dropping(3)).await;
    let mut one = spec(&[(&topic, "s")]);
    one.credit = 1;
    let taker = lab.consume(one).await;
    lab.done(publish(&topic, vec![urgent("1", 3)])).await;
    let first = taker.take(1).await;
    lab.done(publish(&topic, vec![urgent("2", 2), urgent("3", 0)]))
        .await;
    lab.done(publish(&topic, vec![urgent("4", 2)])).await;
    let inspected = lab.inspect(&topic).await;
    assert_eq!((inspected.messages, inspected.dropped), (3, 1));
    let three = ["5", "6", "7"].map(message).to_vec();
    let code = refused(&lab, Batch::of(publish(&topic, three))).await;
    assert_eq!(code, ErrorCode::Overloaded, "beside what is in flight");
    taker.handle.credit(9);
    assert_eq!(taker.texts(2).await, ["3", "4"]);
    let full = Batch::of(publish(&topic, vec![message("8")]));
    assert_eq!(refused(&lab, full).await, ErrorCode::Overloaded);
    assert_eq!(lab.done(ack(taker.id(), &tags(&first))).await.acked, 1);
    lab.done(publish(&topic, vec![message("8")])).await;
    assert_eq!(taker.texts(1).await, ["8"]);
}

async fn of_subscription(lab: Lab) {
    let topic = lab.define("t", TopicSettings::default()).await;
    let strict = SubscriptionSettings {
        max_messages: Some(2),
        ..SubscriptionSettings::default()
    };
    let latest = SubscriptionSettings {
        max_messages: Some(1),
        overflow: Some(Overflow::DropOldest),
        ..SubscriptionSettings::default()
    };
    lab.subscribe(&topic, "strict", None, strict).await;
    lab.subscribe(&topic, "latest", None, latest).await;
    lab.publish(&topic, &["1"]).await;
    lab.publish(&topic, &["2"]).await;
    let third = lab.submit(Batch::of(publish(&topic, vec![message("3")])));
    let error = third.await.expect_err("strict is full");
    assert_eq!(error.code(), ErrorCode::Overloaded);
    let data = error.data().expect("it tells which");
    assert_eq!(data["subscription"], "strict");
    let taker = lab.consume(spec(&[(&topic, "latest")])).await;
    assert_eq!(taker.texts(1).await, ["2"]);
    let taker = lab.consume(spec(&[(&topic, "strict")])).await;
    assert_eq!(taker.texts(2).await, ["1", "2"]);
    lab.publish(&topic, &["3"]).await;
}

async fn drops_durably(mut lab: Lab) {
    let topic = lab.define("t", dropping(2)).await;
    for text in ["1", "2", "3", "4"] {
        lab.publish(&topic, &[text]).await;
    }
    for _ in 0..2 {
        lab.restart().await;
        let inspected = lab.inspect(&topic).await;
        assert_eq!((inspected.messages, inspected.dropped), (2, 2));
    }
    lab.publish(&topic, &["5"]).await;
    let taker = lab.consume(spec(&[(&topic, "s")])).await;
    assert_eq!(taker.texts(2).await, ["4", "5"]);
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
