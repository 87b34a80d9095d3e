//! Health, closing, and what a restart keeps.

use super::case;
use crate::{
    lab::{Lab, ack, message, publish, spec},
    run::Case,
    taker::{tags, text, texts},
};
use std::time::Duration;
use trunkline_model::{
    Admin, Batch, Durability, ErrorCode, Health, ListenPolicy, Message, Priority, StartFrom,
    SubscriptionSettings, TopicSettings,
};

pub(super) const CASES: &[Case] = &[
    case!("an engine that serves is ready", [], ready),
    case!(
        "every durability class that is claimed works",
        [],
        durability
    ),
    case!("a closed engine refuses and says so", [], closed),
    case!("closing ends consumers", [], closing_ends_consumers),
    case!("a restart keeps what was confirmed", [RESTART], restart),
    case!(
        "a restart returns deliveries with their attempts",
        [RESTART, ATTEMPTS],
        attempts
    ),
    case!(
        "a restart keeps publish ids",
        [RESTART, PUBLISH_ID],
        publish_ids
    ),
    case!(
        "a restart forgets a memory topic's messages, not the topic",
        [RESTART, OWN_STORE],
        memory
    ),
];

async fn ready(lab: Lab) {
    lab.health(|health| *health == Health::Ready).await;
    assert!(!lab.capabilities().engine.is_empty());
}

async fn durability(lab: Lab) {
    for (n, class) in lab.capabilities().durability.iter().enumerate() {
        let settings = TopicSettings {
            durability: Some(*class),
            ..TopicSettings::default()
        };
        let topic = lab.define(&n.to_string(), settings).await;
        let taker = lab.consume(spec(&[(&topic, "s")])).await;
        lab.publish(&topic, &["1", "2"]).await;
        let deliveries = taker.take(2).await;
        assert_eq!(texts(&deliveries), ["1", "2"], "{class:?}");
        lab.done(ack(taker.id(), &tags(&deliveries))).await;
    }
}

async fn closed(lab: Lab) {
    let topic = lab.define("t", TopicSettings::default()).await;
    let listener = lab.listen(ListenPolicy::default());
    lab.engine().close(Duration::from_secs(5));
    lab.health(|health| *health == Health::Closed).await;
    let refused = lab
        .submit(Batch::of(publish(&topic, vec![message("1")])))
        .await;
    assert_eq!(refused.map_err(|e| e.code()), Err(ErrorCode::ShuttingDown));
    let refused = lab
        .admin(Admin::Inspect {
            topic: topic.clone(),
        })
        .await;
    assert_eq!(
        refused.map_err(|e| e.code()).map(|_| ()),
        Err(ErrorCode::ShuttingDown)
    );
    let taker = lab.try_consume(spec(&[(&topic, "s")]));
    let refused = taker.started().await.map_err(|e| e.code());
    assert_eq!(refused.map(|_| ()), Err(ErrorCode::ShuttingDown));
    drop(listener);
    lab.engine().close(Duration::ZERO);
}

async fn closing_ends_consumers(lab: Lab) {
    let topic = lab.define("t", TopicSettings::default()).await;
    let taker = lab.consume(spec(&[(&topic, "s")])).await;
    lab.engine().close(Duration::from_secs(5));
    assert_eq!(taker.ended().await.code(), ErrorCode::ShuttingDown);
}

async fn restart(mut lab: Lab) {
    let settings = TopicSettings {
        priorities: Some(3),
        ..TopicSettings::default()
    };
    let topic = lab.define("t", settings).await;
    lab.subscribe(
        &topic,
        "late",
        Some(StartFrom::All),
        SubscriptionSettings::default(),
    )
    .await;
    let taker = lab.consume(spec(&[(&topic, "s")])).await;
    let mut ids = lab.publish(&topic, &["1", "2", "3"]).await;
    let urgent = Message {
        priority: Some(Priority(0)),
        ..message("0")
    };
    ids.extend(lab.done(publish(&topic, vec![urgent])).await.ids);
    let mut deliveries = taker.take(4).await;
    deliveries.sort_by_key(|delivery| delivery.id);
    lab.done(ack(taker.id(), &tags(&deliveries[..2]))).await;
    drop(taker);
    lab.restart().await;
    let info = lab.inspect(&topic).await;
    assert_eq!((info.options.priorities, info.messages), (3, 4));
    let taker = lab.consume(spec(&[(&topic, "s")])).await;
    assert_eq!(taker.texts(2).await, ["0", "3"]);
    let late = lab.consume(spec(&[(&topic, "late")])).await;
    assert_eq!(late.texts(4).await, ["0", "1", "2", "3"]);
    let new = lab.publish(&topic, &["4"]).await;
    assert!(ids.iter().all(|id| *id < new[0]), "identities go on");
    assert_eq!(taker.texts(1).await, ["4"]);
}

async fn attempts(mut lab: Lab) {
    let topic = lab.define("t", TopicSettings::default()).await;
    let taker = lab.consume(spec(&[(&topic, "s")])).await;
    lab.publish(&topic, &["1"]).await;
    assert_eq!(taker.next().await.attempt, 1);
    lab.restart().await;
    drop(taker);
    let taker = lab.consume(spec(&[(&topic, "s")])).await;
    let again = taker.next().await;
    assert_eq!((text(&again).as_str(), again.attempt), ("1", 2));
}

async fn publish_ids(mut lab: Lab) {
    let topic = lab.define("t", TopicSettings::default()).await;
    let once = Message {
        publish_id: Some("p".into()),
        ..message("1")
    };
    let first = lab.done(publish(&topic, vec![once.clone()])).await;
    lab.restart().await;
    let again = lab.done(publish(&topic, vec![once])).await;
    assert_eq!(first.ids, again.ids);
}

async fn memory(mut lab: Lab) {
    let settings = TopicSettings {
        durability: Some(Durability::Memory),
        ..TopicSettings::default()
    };
    let topic = lab.define("t", settings).await;
    lab.subscribe(&topic, "s", None, SubscriptionSettings::default())
        .await;
    let before = lab.publish(&topic, &["1"]).await;
    lab.restart().await;
    let info = lab.inspect(&topic).await;
    assert_eq!((info.messages, info.subscriptions.len()), (0, 1));
    let taker = lab.consume(spec(&[(&topic, "s")])).await;
    let after = lab.publish(&topic, &["2"]).await;
    assert_eq!(taker.texts(1).await, ["2"]);
    let _ = (before, after);
}
