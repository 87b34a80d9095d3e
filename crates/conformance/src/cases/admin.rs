//! Listing topics and managing them.

use super::case;
use crate::{
    lab::{Lab, ack, name, spec},
    run::Case,
    taker::tags,
};
use trunkline_model::{Admin, ErrorCode, Outcome, SubscriptionSettings, TopicName, TopicSettings};

pub(super) const CASES: &[Case] = &[
    case!("the same definition again is fine", [], define_again),
    case!(
        "another definition is a conflict that names the option",
        [],
        define_conflict
    ),
    case!("what isn't there is not found", [], not_found),
    case!("inspect counts what is there", [], inspect),
    case!("list pages by name and hides Trunkline's own", [LIST], list),
    case!(
        "purge takes what waits and leaves what is in flight",
        [PURGE],
        purge
    ),
    case!("deleting a topic ends its consumers", [], delete),
];

async fn define_again(lab: Lab) {
    let settings = TopicSettings {
        priorities: Some(3),
        ..TopicSettings::default()
    };
    let topic = lab.define("t", settings.clone()).await;
    assert_eq!(lab.try_define(&topic, settings).await, Ok(false));
    assert_eq!(
        lab.try_define(&topic, TopicSettings::default()).await,
        Ok(false)
    );
    assert_eq!(lab.inspect(&topic).await.options.priorities, 3);
}

async fn define_conflict(lab: Lab) {
    let topic = lab.define("t", TopicSettings::default()).await;
    let settings = TopicSettings {
        priorities: Some(3),
        ..TopicSettings::default()
    };
    let error = lab.try_define(&topic, settings).await.expect_err("differs");
    assert_eq!(error.code(), ErrorCode::Conflict);
    assert!(error.message().contains("priorities"), "{error}");
    let settings = TopicSettings {
        priorities: Some(0),
        ..TopicSettings::default()
    };
    let error = lab.try_define(&lab.topic("bad"), settings).await;
    assert_eq!(
        error.expect_err("out of bounds").code(),
        ErrorCode::InvalidParams
    );
}

async fn not_found(lab: Lab) {
    let topic = lab.topic("missing");
    let (subscription, there) = (name("s"), lab.define("t", TopicSettings::default()).await);
    let commands = [
        Admin::Inspect {
            topic: topic.clone(),
        },
        Admin::Delete {
            topic: topic.clone(),
        },
        Admin::Purge {
            topic: topic.clone(),
            subscription: None,
        },
        Admin::Purge {
            topic: there.clone(),
            subscription: Some(subscription.clone()),
        },
        Admin::Unsubscribe {
            topic: there,
            subscription,
        },
    ];
    for command in commands {
        let error = lab.admin(command.clone()).await.expect_err("not there");
        assert_eq!(error.code(), ErrorCode::NotFound, "{command:?}");
    }
}

async fn inspect(lab: Lab) {
    let topic = lab.define("t", TopicSettings::default()).await;
    lab.subscribe(&topic, "b", None, SubscriptionSettings::default())
        .await;
    let mut one = spec(&[(&topic, "a")]);
    one.credit = 1;
    let taker = lab.consume(one).await;
    lab.publish(&topic, &["123", "4567"]).await;
    taker.next().await;
    let info = lab.inspect(&topic).await;
    assert_eq!((info.name, info.messages, info.bytes), (topic, 2, 7));
    assert_eq!(info.published, 2);
    assert!(info.oldest_at.is_some());
    let [a, b] = &info.subscriptions[..] else {
        panic!("two subscriptions, by name")
    };
    assert_eq!(
        (&*a.name, a.waiting, a.in_flight, a.consumers),
        ("a", 1, 1, 1)
    );
    assert_eq!(
        (&*b.name, b.waiting, b.in_flight, b.consumers),
        ("b", 2, 0, 0)
    );
}

async fn names(lab: &Lab, after: Option<TopicName>, limit: usize) -> Vec<TopicName> {
    match lab.admin(Admin::List { after, limit }).await {
        Ok(Outcome::Topics(topics)) => topics.into_iter().map(|topic| topic.name).collect(),
        other => panic!("listing ended with {other:?}"),
    }
}

async fn list(lab: Lab) {
    let mut topics = Vec::new();
    for label in ["c", "a", "b"] {
        topics.push(lab.define(label, TopicSettings::default()).await);
    }
    let own: TopicName = "_conformance.own".parse().expect("a valid name");
    lab.try_define(&own, TopicSettings::default())
        .await
        .expect("defined");
    topics.sort();
    let before: TopicName = lab.topic("Z");
    assert_eq!(names(&lab, Some(before), 2).await, topics[..2]);
    assert_eq!(names(&lab, Some(topics[1].clone()), 1).await, topics[2..]);
    assert!(!names(&lab, None, 1_000).await.contains(&own));
}

async fn purge(lab: Lab) {
    let topic = lab.define("t", TopicSettings::default()).await;
    let mut one = spec(&[(&topic, "s")]);
    one.credit = 1;
    let taker = lab.consume(one).await;
    lab.publish(&topic, &["1", "2", "3"]).await;
    let tags = tags(&taker.take(1).await);
    let command = Admin::Purge {
        topic: topic.clone(),
        subscription: None,
    };
    match lab.admin(command).await {
        Ok(Outcome::Removed { messages }) => assert_eq!(messages, 2),
        other => panic!("purging ended with {other:?}"),
    }
    assert_eq!(lab.done(ack(taker.id(), &tags)).await.acked, 1);
    lab.publish(&topic, &["4"]).await;
    assert_eq!(taker.texts(1).await, ["4"]);
}

async fn delete(lab: Lab) {
    let topic = lab.define("t", TopicSettings::default()).await;
    let taker = lab.consume(spec(&[(&topic, "s")])).await;
    let first = lab.publish(&topic, &["1"]).await;
    taker.next().await;
    let deleted = lab
        .admin(Admin::Delete {
            topic: topic.clone(),
        })
        .await;
    assert!(deleted.is_ok(), "{deleted:?}");
    assert_eq!(taker.ended().await.code(), ErrorCode::NotFound);
    let gone = lab
        .admin(Admin::Inspect {
            topic: topic.clone(),
        })
        .await;
    assert!(gone.is_err());
    let again = lab.define("t", TopicSettings::default()).await;
    let second = lab.publish(&again, &["2"]).await;
    assert_ne!(first, second, "an identity is never used again");
    let taker = lab.consume(spec(&[(&again, "s")])).await;
    assert_eq!(taker.texts(1).await, ["2"]);
}
