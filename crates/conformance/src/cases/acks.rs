//! Settling, returning and losing deliveries.

use super::case;
use crate::{
    lab::{Lab, ack, nack, spec},
    run::Case,
    taker::{tags, text, texts},
};
use smallvec::SmallVec;
use std::time::{Duration, Instant};
use trunkline_model::{Batch, Command, Delivery, DeliveryTag, TopicSettings};

pub(super) const CASES: &[Case] = &[
    case!("an acknowledged message is gone", [], gone),
    case!("an ack that is late is skipped and counted", [], late),
    case!(
        "a nack returns the message to the front",
        [FRONT, ATTEMPTS],
        returned
    ),
    case!("a nack with a delay waits", [NACK_DELAY], delayed),
    case!("a nack without requeue gives the message up", [], given_up),
    case!(
        "a consumer that ends returns what it held",
        [FRONT, ATTEMPTS],
        ended
    ),
    case!("dropping the handle ends the consumer", [], dropped),
    case!("auto_ack settles at hand-over", [], auto_ack),
    case!(
        "an ack names the delivery of its own consumer",
        [],
        own_tags
    ),
];

async fn gone(lab: Lab) {
    let topic = lab.define("t", TopicSettings::default()).await;
    let taker = lab.consume(spec(&[(&topic, "s")])).await;
    lab.publish(&topic, &["1", "2", "3"]).await;
    let deliveries = taker.take(3).await;
    let receipt = lab.done(ack(taker.id(), &tags(&deliveries[..2]))).await;
    assert_eq!((receipt.acked, receipt.skipped), (2, 0));
    let info = lab.inspect(&topic).await;
    assert_eq!((info.messages, info.subscriptions[0].acked), (1, 2));
    drop(taker);
    let taker = lab.consume(spec(&[(&topic, "s")])).await;
    lab.publish(&topic, &["4"]).await;
    assert_eq!(taker.texts(2).await, ["3", "4"]);
}

async fn late(lab: Lab) {
    let topic = lab.define("t", TopicSettings::default()).await;
    let taker = lab.consume(spec(&[(&topic, "s")])).await;
    lab.publish(&topic, &["1"]).await;
    let tags = tags(&taker.take(1).await);
    assert_eq!(lab.done(ack(taker.id(), &tags)).await.acked, 1);
    let again = lab.done(ack(taker.id(), &tags)).await;
    assert_eq!((again.acked, again.skipped), (0, 1));
    let nacked = lab.done(nack(taker.id(), &tags, true)).await;
    assert_eq!((nacked.nacked, nacked.skipped), (0, 1));
    let never = tags[0].0 + 1;
    let receipt = lab.done(ack(taker.id(), &[DeliveryTag(never)])).await;
    assert_eq!(receipt.skipped, 1, "it was never given");
    assert_eq!(lab.inspect(&topic).await.subscriptions[0].late, 2);
}

async fn returned(lab: Lab) {
    let topic = lab.define("t", TopicSettings::default()).await;
    let mut one = spec(&[(&topic, "s")]);
    one.credit = 1;
    let taker = lab.consume(one).await;
    lab.publish(&topic, &["1", "2"]).await;
    let first = taker.next().await;
    let receipt = lab.done(nack(taker.id(), &[first.tag], true)).await;
    assert_eq!(receipt.nacked, 1);
    let again = taker.next().await;
    assert_eq!(
        (text(&again).as_str(), again.attempt, again.id),
        ("1", 2, first.id)
    );
    assert!(again.tag > first.tag, "a delivery has a tag of its own");
}

async fn delayed(lab: Lab) {
    let topic = lab.define("t", TopicSettings::default()).await;
    let taker = lab.consume(spec(&[(&topic, "s")])).await;
    lab.publish(&topic, &["1", "2"]).await;
    let mut deliveries = taker.take(2).await;
    // Longer each time, until the machine does what is between in less.
    let mut delay = Duration::from_millis(300);
    loop {
        let begun = Instant::now();
        let command = Command::Nack {
            consumer: taker.id(),
            tags: SmallVec::from_slice(&tags(&deliveries[..1])),
            requeue: true,
            delay,
        };
        lab.done(command).await;
        lab.publish(&topic, &["3"]).await;
        let next = taker.take(1).await;
        let delayed = lab.inspect(&topic).await.subscriptions[0].delayed;
        if begun.elapsed() < delay {
            assert_eq!((texts(&next), delayed), (vec!["3".to_owned()], 1));
            break;
        }
        let other = taker.take(1).await;
        let is_again = |delivery: &Delivery| text(delivery) == "1";
        deliveries = next.into_iter().chain(other).filter(is_again).collect();
        delay *= 2;
    }
    let attempt = deliveries[0].attempt + 1;
    lab.pass(delay * 2).await;
    let again = taker.next().await;
    assert_eq!((text(&again).as_str(), again.attempt), ("1", attempt));
}

async fn given_up(lab: Lab) {
    let topic = lab.define("t", TopicSettings::default()).await;
    let taker = lab.consume(spec(&[(&topic, "s")])).await;
    lab.publish(&topic, &["1", "2"]).await;
    let deliveries = taker.take(2).await;
    let receipt = lab
        .done(nack(taker.id(), &tags(&deliveries[..1]), false))
        .await;
    assert_eq!(receipt.nacked, 1);
    let info = lab.inspect(&topic).await;
    assert_eq!((info.messages, info.dropped), (1, 1));
}

async fn ended(lab: Lab) {
    let topic = lab.define("t", TopicSettings::default()).await;
    let taker = lab.consume(spec(&[(&topic, "s")])).await;
    lab.publish(&topic, &["1", "2", "3"]).await;
    let deliveries = taker.take(3).await;
    lab.done(ack(taker.id(), &tags(&deliveries[..1]))).await;
    assert_eq!(taker.handle.cancel(), 2);
    assert_eq!(taker.handle.cancel(), 0, "it ends once");
    let other = lab.consume(spec(&[(&topic, "s")])).await;
    let again = other.take(2).await;
    assert_eq!(texts(&again), ["2", "3"]);
    assert!(again.iter().all(|delivery| delivery.attempt == 2));
    lab.publish(&topic, &["4"]).await;
    assert_eq!(other.texts(1).await, ["4"]);
    assert!(taker.rest().is_empty());
}

async fn dropped(lab: Lab) {
    let topic = lab.define("t", TopicSettings::default()).await;
    let taker = lab.consume(spec(&[(&topic, "s")])).await;
    lab.publish(&topic, &["1"]).await;
    taker.next().await;
    drop(taker);
    let info = lab.inspect(&topic).await;
    assert_eq!(
        (
            info.subscriptions[0].consumers,
            info.subscriptions[0].in_flight
        ),
        (0, 0)
    );
    let other = lab.consume(spec(&[(&topic, "s")])).await;
    assert_eq!(other.texts(1).await, ["1"]);
}

async fn auto_ack(lab: Lab) {
    let topic = lab.define("t", TopicSettings::default()).await;
    let mut auto = spec(&[(&topic, "s")]);
    auto.auto_ack = true;
    auto.credit = 1;
    let taker = lab.consume(auto).await;
    lab.publish(&topic, &["1", "2", "3"]).await;
    assert_eq!(taker.texts(3).await, ["1", "2", "3"], "no credit is used");
    assert_eq!(taker.handle.cancel(), 0);
    assert_eq!(lab.inspect(&topic).await.messages, 0);
}

async fn own_tags(lab: Lab) {
    let topic = lab.define("t", TopicSettings::default()).await;
    let (a, b) = (
        lab.consume(spec(&[(&topic, "a")])).await,
        lab.consume(spec(&[(&topic, "b")])).await,
    );
    lab.publish(&topic, &["1"]).await;
    let (of_a, of_b) = (a.next().await, b.next().await);
    let receipt = lab.done(ack(a.id(), &[of_a.tag])).await;
    assert_eq!(receipt.acked, 1);
    let info = lab.inspect(&topic).await;
    let in_flight: Vec<u64> = info.subscriptions.iter().map(|s| s.in_flight).collect();
    assert_eq!((info.messages, in_flight), (1, vec![0, 1]));
    let batch = Batch::of(ack(b.id(), &[of_b.tag]));
    assert_eq!(lab.submit(batch).await.map(|receipt| receipt.acked), Ok(1));
    assert_eq!(lab.inspect(&topic).await.messages, 0);
}
