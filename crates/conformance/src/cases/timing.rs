//! Expiry and ack time-outs.

use super::case;
use crate::{
    lab::{Lab, ack, message, publish, spec},
    run::Case,
    taker::{tags, text},
};
use smallvec::SmallVec;
use std::time::{Duration, Instant};
use trunkline_model::{Command, Message, Span, SubscriptionSettings, TopicSettings, When};

pub(super) const CASES: &[Case] = &[
    case!("an expired message is never delivered", [TTL], expired),
    case!(
        "a message expires by the topic's ttl unless it says otherwise",
        [TTL],
        topic_ttl
    ),
    case!(
        "a delivery that expires is forgotten",
        [TTL],
        expired_delivery
    ),
    case!(
        "a delivery that is not acknowledged in time returns",
        [ACK_TIMEOUT, ATTEMPTS],
        timed_out
    ),
    case!(
        "without a time-out a delivery stays",
        [ACK_TIMEOUT],
        no_timeout
    ),
    case!(
        "a subscription has a time-out of its own",
        [ACK_TIMEOUT, ATTEMPTS],
        own_timeout
    ),
    case!(
        "extend starts the time-out anew",
        [ACK_TIMEOUT, EXTEND],
        extended
    ),
];

const SHORT: Duration = Duration::from_millis(500);

fn expiring(text: &str, after: Duration) -> Message {
    Message {
        expires: Some(When::After(after)),
        ..message(text)
    }
}

async fn expired(lab: Lab) {
    let topic = lab.define("t", TopicSettings::default()).await;
    let messages = vec![
        expiring("1", SHORT),
        message("2"),
        expiring("3", SHORT * 100),
    ];
    lab.done(publish(&topic, messages)).await;
    lab.pass(SHORT * 2).await;
    let taker = lab.consume(spec(&[(&topic, "s")])).await;
    assert_eq!(taker.texts(2).await, ["2", "3"]);
    let info = lab.inspect(&topic).await;
    assert_eq!((info.expired, info.messages), (1, 2));
}

async fn topic_ttl(lab: Lab) {
    let settings = TopicSettings {
        ttl: Some(Span(SHORT)),
        ..TopicSettings::default()
    };
    let topic = lab.define("t", settings).await;
    lab.done(publish(
        &topic,
        vec![message("1"), expiring("2", SHORT * 100)],
    ))
    .await;
    lab.pass(SHORT * 2).await;
    let taker = lab.consume(spec(&[(&topic, "s")])).await;
    assert_eq!(taker.texts(1).await, ["2"]);
}

async fn expired_delivery(lab: Lab) {
    let topic = lab.define("t", TopicSettings::default()).await;
    let mut one = spec(&[(&topic, "s")]);
    one.credit = 1;
    let taker = lab.consume(one).await;
    lab.done(publish(&topic, vec![expiring("1", SHORT), message("2")]))
        .await;
    let first = taker.next().await;
    lab.pass(SHORT * 2).await;
    assert_eq!(text(&taker.next().await), "2", "its credit is free");
    let late = lab.done(ack(taker.id(), &[first.tag])).await;
    assert_eq!((late.acked, late.skipped), (0, 1));
}

fn with_timeout(span: Duration) -> TopicSettings {
    TopicSettings {
        ack_timeout: Some(Span(span)),
        ..TopicSettings::default()
    }
}

async fn timed_out(lab: Lab) {
    // On a machine that is too slow, the second delivery times out as well: then all of it once more.
    for round in 0.. {
        let topic = lab.define(&format!("t{round}"), with_timeout(SHORT)).await;
        let mut one = spec(&[(&topic, "s")]);
        one.credit = 1;
        let taker = lab.consume(one).await;
        lab.publish(&topic, &["1", "2"]).await;
        let first = taker.next().await;
        let begun = Instant::now();
        lab.pass(SHORT + SHORT / 10).await;
        let again = taker.next().await;
        assert_eq!((again.id, again.attempt), (first.id, 2));
        let late = lab.done(ack(taker.id(), &[first.tag])).await;
        assert_eq!((late.acked, late.skipped), (0, 1));
        let acked = lab.done(ack(taker.id(), &[again.tag])).await.acked;
        if begun.elapsed() < SHORT * 2 || acked == 1 {
            assert_eq!((acked, taker.texts(1).await), (1, vec!["2".to_owned()]));
            return;
        }
    }
}

async fn no_timeout(lab: Lab) {
    let topic = lab.define("t", TopicSettings::default()).await;
    let taker = lab.consume(spec(&[(&topic, "s")])).await;
    lab.publish(&topic, &["1"]).await;
    let tags = tags(&taker.take(1).await);
    lab.pass(SHORT * 2).await;
    assert_eq!(lab.done(ack(taker.id(), &tags)).await.acked, 1);
}

async fn own_timeout(lab: Lab) {
    let topic = lab.define("t", TopicSettings::default()).await;
    let settings = SubscriptionSettings {
        ack_timeout: Some(Span(SHORT)),
        ..SubscriptionSettings::default()
    };
    lab.subscribe(&topic, "hasty", None, settings).await;
    let hasty = lab.consume(spec(&[(&topic, "hasty")])).await;
    let calm = lab.consume(spec(&[(&topic, "calm")])).await;
    lab.publish(&topic, &["1"]).await;
    let (_, kept) = (hasty.next().await, calm.next().await);
    lab.pass(SHORT * 2).await;
    assert_eq!(hasty.next().await.attempt, 2);
    assert_eq!(lab.done(ack(calm.id(), &[kept.tag])).await.acked, 1);
}

async fn extended(lab: Lab) {
    let topic = lab.define("t", with_timeout(SHORT * 2)).await;
    let taker = lab.consume(spec(&[(&topic, "s")])).await;
    lab.publish(&topic, &["1"]).await;
    let delivery = taker.next().await;
    let command = Command::Extend {
        consumer: taker.id(),
        tags: SmallVec::from_slice(&[delivery.tag]),
        by: SHORT * 100,
    };
    assert_eq!(lab.done(command).await.extended, 1);
    lab.pass(SHORT * 4).await;
    assert_eq!(lab.done(ack(taker.id(), &[delivery.tag])).await.acked, 1);
}
