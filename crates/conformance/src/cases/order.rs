//! Positions: priority first, then the order of publishing.

use super::case;
use crate::{
    lab::{Lab, ack, message, publish, spec},
    run::Case,
    taker::{tags, texts},
};
use trunkline_model::{Headers, JmsPriority, Message, Priority, TopicSettings};

pub(super) const CASES: &[Case] = &[
    case!("one priority is first in, first out", [], fifo),
    case!(
        "a more urgent message goes first",
        [PRIORITIES],
        urgent_first
    ),
    case!(
        "the default priority is the middle one",
        [PRIORITIES],
        default_priority
    ),
    case!(
        "a priority of JMS is mapped onto those of the topic",
        [PRIORITIES],
        priority_of_jms
    ),
    case!(
        "a returned message goes back to its position",
        [FRONT, PRIORITIES],
        returns_to_position
    ),
    case!(
        "content, headers and identity arrive as published",
        [],
        content
    ),
    case!("a first use makes the topic", [], auto_create),
];

fn with_priority(text: &str, priority: u8) -> Message {
    Message {
        priority: Some(Priority(priority)),
        ..message(text)
    }
}

async fn fifo(lab: Lab) {
    let topic = lab.define("t", TopicSettings::default()).await;
    let taker = lab.consume(spec(&[(&topic, "s")])).await;
    let mut ids = lab.publish(&topic, &["1", "2"]).await;
    for text in ["3", "4"] {
        ids.extend(lab.publish(&topic, &[text]).await);
    }
    let deliveries = taker.take(4).await;
    assert_eq!(texts(&deliveries), ["1", "2", "3", "4"]);
    assert!(ids.is_sorted_by(|a, b| a < b), "ids increase: {ids:?}");
    assert!(deliveries.iter().map(|d| d.id).eq(ids));
    assert!(
        deliveries
            .iter()
            .all(|d| d.attempt == 1 && d.topic == topic)
    );
}

async fn urgent_first(lab: Lab) {
    let settings = TopicSettings {
        priorities: Some(4),
        ..TopicSettings::default()
    };
    let topic = lab.define("t", settings).await;
    let messages = [("c", 2), ("a1", 0), ("d", 3), ("a2", 0), ("b", 1)];
    let messages = messages.map(|(text, priority)| with_priority(text, priority));
    lab.done(publish(&topic, messages.to_vec())).await;
    let taker = lab.consume(spec(&[(&topic, "s")])).await;
    assert_eq!(taker.texts(5).await, ["a1", "a2", "b", "c", "d"]);
}

async fn default_priority(lab: Lab) {
    let settings = TopicSettings {
        priorities: Some(4),
        ..TopicSettings::default()
    };
    let topic = lab.define("t", settings).await;
    let messages = vec![
        with_priority("3", 3),
        message("default"),
        with_priority("1", 1),
    ];
    lab.done(publish(&topic, messages).clone()).await;
    let taker = lab.consume(spec(&[(&topic, "s")])).await;
    let deliveries = taker.take(3).await;
    assert_eq!(texts(&deliveries), ["1", "default", "3"]);
    assert_eq!(deliveries[1].message.priority, Priority(2));
}

async fn priority_of_jms(lab: Lab) {
    let settings = TopicSettings {
        priorities: Some(4),
        ..TopicSettings::default()
    };
    let topic = lab.define("t", settings).await;
    let jms = |text, urgency| Message {
        jms_priority: JmsPriority::new(urgency),
        ..message(text)
    };
    let messages = vec![jms("0", 0), jms("4", 4), jms("9", 9), with_priority("1", 1)];
    lab.done(publish(&topic, messages)).await;
    let taker = lab.consume(spec(&[(&topic, "s")])).await;
    let deliveries = taker.take(4).await;
    assert_eq!(texts(&deliveries), ["9", "1", "4", "0"]);
    let stored = deliveries.iter().map(|d| d.message.priority.0);
    assert!(stored.eq([0, 1, 2, 3]));
}

async fn returns_to_position(lab: Lab) {
    let settings = TopicSettings {
        priorities: Some(4),
        ..TopicSettings::default()
    };
    let topic = lab.define("t", settings).await;
    let messages = [("1", 1), ("2", 1), ("3", 1), ("4", 1)];
    let messages = messages.map(|(text, priority)| with_priority(text, priority));
    lab.done(publish(&topic, messages.to_vec())).await;
    let mut first = spec(&[(&topic, "s")]);
    first.credit = 3;
    let taker = lab.consume(first).await;
    let deliveries = taker.take(3).await;
    lab.done(ack(taker.id(), &tags(&deliveries[1..2]))).await;
    assert_eq!(taker.texts(1).await, ["4"]);
    // 3 goes back before 1 does; each returns to where it was.
    taker.handle.credit(0);
    lab.done(crate::lab::nack(taker.id(), &tags(&deliveries[2..3]), true))
        .await;
    assert_eq!(taker.handle.cancel(), 2);
    lab.done(publish(
        &topic,
        vec![with_priority("0", 0), with_priority("5", 1)],
    ))
    .await;
    let taker = lab.consume(spec(&[(&topic, "s")])).await;
    assert_eq!(taker.texts(5).await, ["0", "1", "3", "4", "5"]);
}

async fn content(lab: Lab) {
    let topic = lab.define("t", TopicSettings::default()).await;
    let taker = lab.consume(spec(&[(&topic, "s")])).await;
    let mut headers = Headers::new();
    headers.push("kind", "order");
    headers.push("kind", "second");
    let payload: Vec<u8> = (0..=255).collect();
    let message = Message {
        payload: payload.into(),
        content_type: "application/x-bytes".into(),
        key: Some("k1".into()),
        traceparent: Some("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".into()),
        headers,
        ..Message::default()
    };
    lab.done(publish(&topic, vec![message.clone()])).await;
    lab.done(publish(&topic, vec![Message::default()])).await;
    let got = taker.next().await.message;
    assert_eq!(got.payload, message.payload);
    assert_eq!(got.content_type, message.content_type);
    assert_eq!((got.key, got.headers), (message.key, message.headers));
    assert_eq!(got.traceparent, message.traceparent);
    assert!(
        taker.next().await.message.payload.is_empty(),
        "an empty body is a body"
    );
}

async fn auto_create(lab: Lab) {
    let topic = lab.topic("new");
    lab.publish(&topic, &["1"]).await;
    let taker = lab.consume(spec(&[(&topic, "s")])).await;
    assert_eq!(taker.texts(1).await, ["1"]);
    let other = lab.topic("other");
    let taker = lab.consume(spec(&[(&other, "s")])).await;
    lab.publish(&other, &["2"]).await;
    assert_eq!(taker.texts(1).await, ["2"]);
}
