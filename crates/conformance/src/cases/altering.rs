//! Options that change while a topic is used.

use super::case;
use crate::{
    lab::{Lab, message, name, publish, spec},
    run::Case,
};
use std::time::Duration;
use trunkline_model::{
    Admin, Altered, Batch, Error, ErrorCode, Outcome, Span, SubscriptionSettings, TopicName,
    TopicSettings,
};

pub(super) const CASES: &[Case] = &[
    case!(
        "an alteration says what changed and can be taken back",
        [LIMITS],
        alter
    ),
    case!("alterations survive a restart", [RESTART, LIMITS], restart),
    case!(
        "a subscription's options can change",
        [ACK_TIMEOUT],
        alter_subscription
    ),
];

async fn altered(
    lab: &Lab,
    topic: &TopicName,
    settings: TopicSettings,
    clear: &[&str],
) -> Result<Altered, Error> {
    let command = Admin::Alter {
        topic: topic.clone(),
        settings,
        clear: clear.iter().map(|option| (*option).into()).collect(),
    };
    match lab.admin(command).await? {
        Outcome::Altered(altered) => Ok(altered),
        other => panic!("an alteration ended with {other:?}"),
    }
}

fn bound(max_messages: u64) -> TopicSettings {
    TopicSettings {
        max_messages: Some(max_messages),
        ..TopicSettings::default()
    }
}

async fn alter(lab: Lab) {
    let topic = lab.define("t", TopicSettings::default()).await;
    lab.publish(&topic, &["1", "2", "3"]).await;
    let first = altered(&lab, &topic, bound(2), &[]).await;
    let first = first.expect("it can change");
    let change = &first.changes[0];
    assert_eq!(
        (change.option, &change.from[..], &change.to[..]),
        ("max_messages", "null", "2")
    );
    assert_eq!((first.changes.len(), first.messages_above), (1, 1));
    let one = || Batch::of(publish(&topic, vec![message("4")]));
    let refused = lab.submit(one()).await.expect_err("the topic is full");
    assert_eq!(refused.code(), ErrorCode::Overloaded);
    let none = altered(&lab, &topic, TopicSettings::default(), &["max_messages"]).await;
    assert_eq!(none.map(|altered| altered.messages_above), Ok(0));
    assert!(lab.submit(one()).await.is_ok());
    let unknown = altered(&lab, &topic, TopicSettings::default(), &["max_message"]).await;
    let code = unknown.map_err(|error| error.code());
    assert_eq!(code, Err(ErrorCode::InvalidParams));
    let nowhere = altered(&lab, &lab.topic("u"), bound(1), &[]).await;
    assert_eq!(nowhere.map_err(|e| e.code()), Err(ErrorCode::NotFound));
}

async fn restart(mut lab: Lab) {
    let topic = lab.define("t", bound(9)).await;
    let settings = TopicSettings {
        ttl: Some(Span(Duration::from_secs(60))),
        ..TopicSettings::default()
    };
    let done = altered(&lab, &topic, settings, &["max_messages"]).await;
    assert!(done.is_ok(), "{done:?}");
    lab.restart().await;
    let options = lab.inspect(&topic).await.options;
    assert_eq!(options.max_messages, None);
    assert_eq!(options.ttl, Some(Span(Duration::from_secs(60))));
}

async fn alter_subscription(lab: Lab) {
    let topic = lab.define("t", TopicSettings::default()).await;
    let taker = lab.consume(spec(&[(&topic, "s")])).await;
    let seconds = |seconds| Some(Span(Duration::from_secs(seconds)));
    let alter = |settings: SubscriptionSettings, clear: &[&str]| {
        lab.admin(Admin::AlterSubscription {
            topic: topic.clone(),
            subscription: name("s"),
            settings,
            clear: clear.iter().map(|option| (*option).into()).collect(),
        })
    };
    lab.publish(&topic, &["1"]).await;
    taker.next().await;
    let settings = SubscriptionSettings {
        ack_timeout: seconds(2),
        ..SubscriptionSettings::default()
    };
    let done = alter(settings, &[]).await;
    assert!(matches!(&done, Ok(Outcome::Altered(altered)) if altered.changes.len() == 1));
    lab.publish(&topic, &["2"]).await;
    taker.next().await;
    lab.pass(Duration::from_secs(2) + Duration::from_millis(200))
        .await;
    assert_eq!(taker.texts(1).await, ["2"], "what is out keeps its time");
    let done = alter(SubscriptionSettings::default(), &["ack_timeout"]).await;
    assert!(done.is_ok(), "{done:?}");
    let options = &lab.inspect(&topic).await.subscriptions[0].options;
    assert_eq!(options.ack_timeout, Span::default());
}
