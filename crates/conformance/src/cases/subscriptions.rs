//! Who gets what: several subscriptions, competing consumers, backlogs.

use super::case;
use crate::{
    lab::{Lab, ack, message, publish, spec},
    run::Case,
    taker::tags,
};
use smallvec::SmallVec;
use trunkline_model::{
    Admin, Batch, Command, ErrorCode, Receipt, StartFrom, SubscriptionSettings, TopicName,
    TopicSettings, Unsubscribed,
};

pub(super) const CASES: &[Case] = &[
    case!(
        "every subscription gets every message",
        [],
        every_subscription
    ),
    case!("consumers of one subscription compete", [], competing),
    case!("a kept backlog goes to the first subscription", [], backlog),
    case!(
        "a second subscription starts with what comes",
        [],
        second_is_new
    ),
    case!(
        "a subscription can start with all that is held",
        [FROM_ALL],
        from_all
    ),
    case!(
        "a first subscription that wants only the new releases the backlog",
        [],
        explicit_new
    ),
    case!(
        "without a subscription messages can be dropped",
        [],
        unsubscribed_drop
    ),
    case!(
        "without a subscription publishing can be refused",
        [],
        unsubscribed_reject
    ),
    case!(
        "a message for subscribers alone makes no topic and is not kept",
        [],
        if_subscribed
    ),
    case!("subscribing twice changes nothing", [], twice),
    case!(
        "deleting a subscription ends its consumers and frees its messages",
        [],
        unsubscribe
    ),
];

async fn every_subscription(lab: Lab) {
    let topic = lab.define("t", TopicSettings::default()).await;
    let (a, b) = (
        lab.consume(spec(&[(&topic, "a")])).await,
        lab.consume(spec(&[(&topic, "b")])).await,
    );
    lab.publish(&topic, &["1", "2"]).await;
    let of_a = a.take(2).await;
    lab.done(ack(a.id(), &tags(&of_a))).await;
    assert_eq!(b.texts(2).await, ["1", "2"]);
    assert_eq!(
        lab.inspect(&topic).await.messages,
        2,
        "b has not settled them"
    );
}

async fn competing(lab: Lab) {
    let topic = lab.define("t", TopicSettings::default()).await;
    let mut two = spec(&[(&topic, "s")]);
    two.credit = 2;
    let (a, b) = (lab.consume(two.clone()).await, lab.consume(two).await);
    lab.publish(&topic, &["1", "2", "3", "4"]).await;
    let mut all = a.texts(2).await;
    all.extend(b.texts(2).await);
    all.sort();
    assert_eq!(all, ["1", "2", "3", "4"]);
    assert_eq!(lab.inspect(&topic).await.subscriptions[0].consumers, 2);
}

async fn backlog(lab: Lab) {
    let topic = lab.define("t", TopicSettings::default()).await;
    lab.publish(&topic, &["1", "2"]).await;
    let first = lab.consume(spec(&[(&topic, "first")])).await;
    assert_eq!(first.texts(2).await, ["1", "2"]);
}

async fn second_is_new(lab: Lab) {
    let topic = lab.define("t", TopicSettings::default()).await;
    lab.publish(&topic, &["1"]).await;
    lab.subscribe(&topic, "first", None, SubscriptionSettings::default())
        .await;
    let second = lab.consume(spec(&[(&topic, "second")])).await;
    lab.publish(&topic, &["2"]).await;
    assert_eq!(second.texts(1).await, ["2"]);
}

async fn from_all(lab: Lab) {
    let topic = lab.define("t", TopicSettings::default()).await;
    let first = lab.consume(spec(&[(&topic, "first")])).await;
    lab.publish(&topic, &["1", "2"]).await;
    let deliveries = first.take(2).await;
    lab.done(ack(first.id(), &tags(&deliveries[..1]))).await;
    let mut all = spec(&[(&topic, "all")]);
    all.sources[0].from = Some(StartFrom::All);
    let taker = lab.consume(all).await;
    lab.publish(&topic, &["3"]).await;
    assert_eq!(taker.texts(2).await, ["2", "3"], "1 is no longer held");
}

async fn explicit_new(lab: Lab) {
    let topic = lab.define("t", TopicSettings::default()).await;
    lab.publish(&topic, &["1", "2"]).await;
    let mut new = spec(&[(&topic, "s")]);
    new.sources[0].from = Some(StartFrom::New);
    let taker = lab.consume(new).await;
    let began = taker.started().await.expect("it began");
    assert_eq!((began.created, began.released), (1, 2));
    lab.publish(&topic, &["3"]).await;
    assert_eq!(taker.texts(1).await, ["3"]);
    assert_eq!(lab.inspect(&topic).await.messages, 1);
}

fn unsubscribed(what: Unsubscribed) -> TopicSettings {
    TopicSettings {
        unsubscribed: Some(what),
        ..TopicSettings::default()
    }
}

async fn unsubscribed_drop(lab: Lab) {
    let topic = lab.define("t", unsubscribed(Unsubscribed::Drop)).await;
    assert_eq!(lab.publish(&topic, &["1"]).await.len(), 1);
    let info = lab.inspect(&topic).await;
    assert_eq!((info.messages, info.dropped), (0, 1));
    let taker = lab.consume(spec(&[(&topic, "s")])).await;
    lab.publish(&topic, &["2"]).await;
    assert_eq!(taker.texts(1).await, ["2"]);
}

async fn unsubscribed_reject(lab: Lab) {
    let topic = lab.define("t", unsubscribed(Unsubscribed::Reject)).await;
    let refused = lab
        .submit(Batch::of(publish(&topic, vec![message("1")])))
        .await;
    assert!(refused.is_err());
    let taker = lab.consume(spec(&[(&topic, "s")])).await;
    lab.publish(&topic, &["2"]).await;
    assert_eq!(taker.texts(1).await, ["2"]);
}

async fn if_subscribed(lab: Lab) {
    let (there, gone) = (
        lab.define("t", TopicSettings::default()).await,
        lab.topic("none"),
    );
    let offer = |text: &str| {
        let offer = |topic: &TopicName| Command::PublishIfSubscribed {
            topic: topic.clone(),
            messages: SmallVec::from_iter([message(text)]),
        };
        Batch {
            commands: [&there, &gone].map(offer).into_iter().collect(),
            strict: false,
        }
    };
    let receipt = lab.submit(offer("1")).await;
    assert_eq!(receipt, Ok(Receipt::default()));
    lab.subscribe(&there, "s", None, SubscriptionSettings::default())
        .await;
    let receipt = lab.submit(offer("2")).await;
    assert_eq!(receipt.map(|receipt| receipt.ids.len()), Ok(1));
    let taker = lab.consume(spec(&[(&there, "s")])).await;
    assert_eq!(taker.texts(1).await, ["2"]);
    let looked = lab.admin(Admin::Inspect { topic: gone }).await;
    let code = looked.err().map(|error| error.code());
    assert_eq!(code, Some(ErrorCode::NotFound));
}

async fn twice(lab: Lab) {
    let topic = lab.define("t", TopicSettings::default()).await;
    let settings = SubscriptionSettings::default();
    assert_eq!(
        lab.subscribe(&topic, "s", None, settings.clone()).await,
        (true, 0)
    );
    lab.publish(&topic, &["1"]).await;
    assert_eq!(lab.subscribe(&topic, "s", None, settings).await, (false, 0));
    let taker = lab.consume(spec(&[(&topic, "s")])).await;
    assert_eq!(taker.started().await.map(|began| began.created), Ok(0));
    assert_eq!(taker.texts(1).await, ["1"]);
}

async fn unsubscribe(lab: Lab) {
    let topic = lab.define("t", TopicSettings::default()).await;
    let taker = lab.consume(spec(&[(&topic, "s")])).await;
    lab.publish(&topic, &["1", "2"]).await;
    taker.take(2).await;
    let command = Admin::Unsubscribe {
        topic: topic.clone(),
        subscription: crate::lab::name("s"),
    };
    let removed = lab.admin(command.clone()).await;
    assert!(removed.is_ok(), "{removed:?}");
    assert_eq!(taker.ended().await.code(), ErrorCode::NotFound);
    let info = lab.inspect(&topic).await;
    assert_eq!((info.messages, info.subscriptions.len()), (0, 0));
    let again = lab.admin(command).await.map(|_| ());
    assert_eq!(
        again.map_err(|error| error.code()),
        Err(ErrorCode::NotFound)
    );
}
