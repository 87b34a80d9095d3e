//! Ordering groups.

use super::case;
use crate::{
    lab::{Lab, ack, message, nack, publish, spec},
    run::Case,
    taker::{Taker, tags, texts},
};
use trunkline_model::{Command, Message, TopicName, TopicSettings};

pub(super) const CASES: &[Case] = &[
    case!(
        "one consumer at a time holds a group, and others go on",
        [ORDERING_GROUPS],
        one_holder
    ),
    case!(
        "a returned message blocks its group until it is settled",
        [ORDERING_GROUPS],
        returned
    ),
    case!(
        "a consumer that goes leaves its groups to others",
        [ORDERING_GROUPS],
        leaving
    ),
    case!(
        "groups survive a restart",
        [ORDERING_GROUPS, RESTART],
        restart
    ),
];

/// The first letter of a text is its group.
fn grouped(topic: &TopicName, payloads: &[&str]) -> Command {
    let one = |payload: &&str| Message {
        group: Some(payload[..1].into()),
        ..message(payload)
    };
    publish(topic, payloads.iter().map(one).collect())
}

async fn two(lab: &Lab, credit: u32) -> (TopicName, [Taker; 2]) {
    let topic = lab.define("t", TopicSettings::default()).await;
    let mut wanted = spec(&[(&topic, "s")]);
    wanted.credit = credit;
    let one = lab.consume(wanted.clone()).await;
    let two = lab.consume(wanted).await;
    (topic, [one, two])
}

async fn one_holder(lab: Lab) {
    let (topic, [one, two]) = two(&lab, 2).await;
    lab.done(grouped(&topic, &["a1", "a2", "b1", "a3", "b2"]))
        .await;
    lab.settle().await;
    let (first, second) = (one.take(2).await, two.take(2).await);
    let mut whose = [texts(&first), texts(&second)];
    whose.sort();
    assert_eq!(whose, [["a1", "a2"], ["b1", "b2"]]);
    let (holder, held, other) = match texts(&first)[0].as_str() {
        "a1" => (&one, first, &two),
        _ => (&two, second, &one),
    };
    other.handle.credit(9);
    lab.settle().await;
    assert_eq!(other.rest(), [""; 0], "not while another one holds some");
    lab.done(ack(holder.id(), &tags(&held[..1]))).await;
    assert_eq!(holder.texts(1).await, ["a3"]);
}

async fn returned(lab: Lab) {
    let topic = lab.define("t", TopicSettings::default()).await;
    let taker = lab.consume(spec(&[(&topic, "s")])).await;
    lab.done(grouped(&topic, &["a1", "a2"])).await;
    let taken = taker.take(2).await;
    lab.done(nack(taker.id(), &tags(&taken[..1]), true)).await;
    let again = taker.next().await;
    assert_eq!(texts(std::slice::from_ref(&again)), ["a1"]);
    lab.done(grouped(&topic, &["a3", "b1"])).await;
    assert_eq!(taker.texts(1).await, ["b1"]);
    lab.settle().await;
    assert_eq!(taker.rest(), [""; 0], "a3 waits for a1");
    lab.done(ack(taker.id(), &[again.tag])).await;
    assert_eq!(taker.texts(1).await, ["a3"]);
}

async fn leaving(lab: Lab) {
    let (topic, [one, two]) = two(&lab, 9).await;
    lab.done(grouped(&topic, &["a1"])).await;
    lab.settle().await;
    let (mut first, mut second) = (one.rest(), two.rest());
    first.append(&mut second);
    assert_eq!(first, ["a1"]);
    lab.done(grouped(&topic, &["a2"])).await;
    one.handle.cancel();
    two.handle.cancel();
    let three = lab.consume(spec(&[(&topic, "s")])).await;
    let again = three.next().await;
    assert_eq!(texts(std::slice::from_ref(&again)), ["a1"]);
    lab.done(ack(three.id(), &[again.tag])).await;
    assert_eq!(three.texts(1).await, ["a2"]);
}

async fn restart(mut lab: Lab) {
    let topic = lab.define("t", TopicSettings::default()).await;
    lab.done(grouped(&topic, &["a1", "a2", "b1"])).await;
    for _ in 0..2 {
        lab.restart().await;
    }
    let mut single = spec(&[(&topic, "s")]);
    single.credit = 1;
    let one = lab.consume(single.clone()).await;
    assert_eq!(one.texts(1).await, ["a1"]);
    let two = lab.consume(single).await;
    let other = two.next().await;
    assert_eq!(texts(std::slice::from_ref(&other)), ["b1"]);
    assert_eq!(other.message.group.as_deref(), Some("b"));
}
