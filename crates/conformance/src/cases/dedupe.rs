//! Latest wins, first wins, and publish ids.

use super::case;
use crate::{
    lab::{Lab, ack, message, publish, spec},
    run::Case,
    taker::text,
};
use std::time::Duration;
use trunkline_model::{Dedupe, Message, Span, TopicName, TopicSettings};

pub(super) const CASES: &[Case] = &[
    case!(
        "a newer message with the key takes the place of a waiting one",
        [DEDUPE_LATEST],
        waiting
    ),
    case!(
        "a newer message makes the delivery of the older one void",
        [DEDUPE_LATEST],
        delivered
    ),
    case!("without a key nothing is replaced", [DEDUPE_LATEST], no_key),
    case!("a publish id is taken once", [PUBLISH_ID], publish_id),
    case!(
        "a publish id is taken once in a batch",
        [PUBLISH_ID],
        publish_id_in_batch
    ),
    case!(
        "a publish id is forgotten after its window",
        [PUBLISH_ID],
        publish_id_window
    ),
    case!(
        "the first of a key is stored and stands for the rest",
        [DEDUPE_FIRST],
        first
    ),
    case!(
        "publish ids and first keys survive a restart",
        [DEDUPE_FIRST, PUBLISH_ID, RESTART],
        restart
    ),
];

fn keyed(text: &str, key: &str) -> Message {
    Message {
        key: Some(key.into()),
        ..message(text)
    }
}

fn identified(text: &str, id: &str) -> Message {
    Message {
        publish_id: Some(id.into()),
        ..message(text)
    }
}

async fn latest(lab: &Lab) -> TopicName {
    let settings = TopicSettings {
        dedupe: Some(Dedupe::Latest),
        ..TopicSettings::default()
    };
    lab.define("t", settings).await
}

async fn waiting(lab: Lab) {
    let topic = latest(&lab).await;
    lab.subscribe(&topic, "s", None, Default::default()).await;
    let messages = vec![
        keyed("a1", "a"),
        keyed("b1", "b"),
        keyed("a2", "a"),
        keyed("c1", "c"),
    ];
    lab.done(publish(&topic, messages)).await;
    let taker = lab.consume(spec(&[(&topic, "s")])).await;
    assert_eq!(taker.texts(3).await, ["a2", "b1", "c1"]);
    let info = lab.inspect(&topic).await;
    assert_eq!((info.replaced, info.messages), (1, 3));
}

async fn delivered(lab: Lab) {
    let topic = latest(&lab).await;
    let mut two = spec(&[(&topic, "s")]);
    two.credit = 2;
    let taker = lab.consume(two).await;
    lab.done(publish(
        &topic,
        vec![keyed("a1", "a"), keyed("b1", "b"), keyed("c1", "c")],
    ))
    .await;
    let first = taker.next().await;
    assert_eq!(taker.texts(1).await, ["b1"]);
    lab.done(publish(&topic, vec![keyed("a2", "a")])).await;
    assert_eq!(
        taker.texts(1).await,
        ["c1"],
        "the void delivery's credit is free"
    );
    let late = lab.done(ack(taker.id(), &[first.tag])).await;
    assert_eq!((late.acked, late.skipped), (0, 1));
    taker.handle.credit(3);
    let second = taker.next().await;
    assert_eq!((text(&second).as_str(), second.attempt), ("a2", 1));
    assert_eq!(lab.done(ack(taker.id(), &[second.tag])).await.acked, 1);
}

async fn no_key(lab: Lab) {
    let topic = latest(&lab).await;
    lab.publish(&topic, &["1", "2"]).await;
    let taker = lab.consume(spec(&[(&topic, "s")])).await;
    assert_eq!(taker.texts(2).await, ["1", "2"]);
}

async fn publish_id(lab: Lab) {
    let topic = lab.define("t", TopicSettings::default()).await;
    let taker = lab.consume(spec(&[(&topic, "s")])).await;
    let first = lab.done(publish(&topic, vec![identified("1", "p")])).await;
    let delivery = taker.next().await;
    lab.done(ack(taker.id(), &[delivery.tag])).await;
    let again = lab
        .done(publish(&topic, vec![identified("again", "p")]))
        .await;
    assert_eq!(again.ids, first.ids);
    lab.publish(&topic, &["2"]).await;
    assert_eq!(taker.texts(1).await, ["2"]);
}

async fn publish_id_in_batch(lab: Lab) {
    let topic = lab.define("t", TopicSettings::default()).await;
    let taker = lab.consume(spec(&[(&topic, "s")])).await;
    let messages = vec![identified("1", "p"), identified("again", "p"), message("2")];
    let ids = lab.done(publish(&topic, messages)).await.ids;
    assert_eq!((ids.len(), ids[0]), (3, ids[1]));
    assert_eq!(taker.texts(2).await, ["1", "2"]);
}

async fn publish_id_window(lab: Lab) {
    let window = Duration::from_millis(250);
    let settings = TopicSettings {
        publish_id_window: Some(Span(window)),
        ..TopicSettings::default()
    };
    let topic = lab.define("t", settings).await;
    let first = lab.done(publish(&topic, vec![identified("1", "p")])).await;
    lab.pass(window * 2).await;
    let second = lab.done(publish(&topic, vec![identified("2", "p")])).await;
    assert_ne!(first.ids, second.ids);
    let taker = lab.consume(spec(&[(&topic, "s")])).await;
    assert_eq!(taker.texts(2).await, ["1", "2"]);
}

/// Long for what comes within it, short for an engine whose clock can't be moved.
const WINDOW: Duration = Duration::from_secs(4);

async fn first_wins(lab: &Lab) -> TopicName {
    let settings = TopicSettings {
        dedupe: Some(Dedupe::First),
        dedupe_window: Some(Span(WINDOW)),
        ..TopicSettings::default()
    };
    lab.define("t", settings).await
}

async fn first(lab: Lab) {
    let topic = first_wins(&lab).await;
    let taker = lab.consume(spec(&[(&topic, "s")])).await;
    let both = vec![keyed("1", "k"), keyed("2", "k"), keyed("3", "l")];
    let ids = lab.done(publish(&topic, both)).await.ids;
    assert_eq!(ids[0], ids[1]);
    assert_eq!(taker.texts(2).await, ["1", "3"]);
    let again = lab.done(publish(&topic, vec![keyed("4", "k")])).await.ids;
    assert_eq!(again[0], ids[0], "also when it was delivered");
    assert_eq!(lab.inspect(&topic).await.duplicates, 2);
    lab.pass(WINDOW + WINDOW / 10).await;
    let later = lab.done(publish(&topic, vec![keyed("5", "k")])).await.ids;
    assert_ne!(later[0], ids[0]);
    assert_eq!(taker.texts(1).await, ["5"]);
}

async fn restart(mut lab: Lab) {
    let topic = first_wins(&lab).await;
    let taker = lab.consume(spec(&[(&topic, "s")])).await;
    let messages = vec![keyed("1", "k"), identified("2", "p")];
    let ids = lab.done(publish(&topic, messages.clone())).await.ids;
    let taken = taker.take(2).await;
    let tags = taken
        .iter()
        .map(|delivery| delivery.tag)
        .collect::<Vec<_>>();
    lab.done(ack(taker.id(), &tags)).await;
    for _ in 0..2 {
        lab.restart().await;
        assert_eq!(lab.done(publish(&topic, messages.clone())).await.ids, ids);
    }
    assert_eq!(lab.inspect(&topic).await.messages, 0);
}
