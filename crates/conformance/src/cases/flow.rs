//! Credit, windows and batches: how much a consumer is sent.

use super::case;
use crate::{
    lab::{Lab, ack, message, publish, spec},
    run::Case,
    taker::{Recorder, Taker, tags, texts},
};
use std::sync::{Arc, Mutex};
use trunkline_model::{
    Batch, Caller, Command, Completion, Consuming, Delivery, DeliveryMode, DeliverySink, Engine,
    Error, TopicName, TopicSettings,
};

pub(super) const CASES: &[Case] = &[
    case!("credit bounds unsettled deliveries", [], credit),
    case!("credit 0 pauses", [], pause),
    case!("the window bounds bytes that the sink holds", [], window),
    case!("several sources share one credit", [], sources),
    case!(
        "a batch consumer gets the next batch after the whole one",
        [],
        batch_delivery
    ),
    case!("a sink may submit from inside", [], reentrant),
    case!("order holds while many publish and consume", [], concurrent),
];

async fn credit(lab: Lab) {
    let topic = lab.define("t", TopicSettings::default()).await;
    let mut two = spec(&[(&topic, "s")]);
    two.credit = 2;
    let taker = lab.consume(two).await;
    lab.publish(&topic, &["1", "2", "3", "4", "5"]).await;
    let deliveries = taker.take(2).await;
    lab.settle().await;
    assert!(taker.rest().is_empty());
    lab.done(ack(taker.id(), &tags(&deliveries[..1]))).await;
    assert_eq!(taker.texts(1).await, ["3"]);
    taker.handle.credit(3);
    assert_eq!(taker.texts(1).await, ["4"], "credit is absolute");
    lab.settle().await;
    assert!(taker.rest().is_empty());
}

async fn pause(lab: Lab) {
    let topic = lab.define("t", TopicSettings::default()).await;
    let mut none = spec(&[(&topic, "s")]);
    none.credit = 0;
    let taker = lab.consume(none).await;
    lab.publish(&topic, &["1"]).await;
    lab.settle().await;
    assert!(taker.rest().is_empty());
    taker.handle.credit(1);
    assert_eq!(taker.texts(1).await, ["1"]);
}

async fn window(lab: Lab) {
    let topic = lab.define("t", TopicSettings::default()).await;
    let mut narrow = spec(&[(&topic, "s")]);
    narrow.window_bytes = 2 * Delivery::weight_of(5);
    let taker = lab.consume(narrow).await;
    let wide = "w".repeat(600);
    lab.publish(&topic, &["12345", "67890", "abc", &wide, "x"])
        .await;
    let first = [taker.next_held().await, taker.next_held().await];
    assert_eq!(texts(&first), ["12345", "67890"]);
    lab.settle().await;
    assert!(taker.rest().is_empty(), "the window is full");
    lab.done(ack(taker.id(), &tags(&first))).await;
    lab.settle().await;
    assert!(taker.rest().is_empty(), "an ack does not empty the sink");
    taker.handle.taken(2 * Delivery::weight_of(5));
    assert_eq!(texts(&[taker.next_held().await]), ["abc"]);
    taker.handle.taken(Delivery::weight_of(3));
    let long = taker.next_held().await;
    assert_eq!(texts(&[long]), [wide], "one is always allowed");
    taker.handle.taken(Delivery::weight_of(600));
    assert_eq!(taker.texts(1).await, ["x"]);
}

async fn sources(lab: Lab) {
    let (a, b) = (
        lab.define("a", TopicSettings::default()).await,
        lab.define("b", TopicSettings::default()).await,
    );
    lab.publish(&a, &["a1", "a2", "a3", "a4"]).await;
    lab.publish(&b, &["b1", "b2", "b3", "b4"]).await;
    let mut four = spec(&[(&a, "s"), (&b, "s")]);
    four.credit = 4;
    let taker = lab.consume(four).await;
    let deliveries = taker.take(4).await;
    lab.settle().await;
    assert!(taker.rest().is_empty());
    let mut first = texts(&deliveries);
    first.sort();
    assert_eq!(first, ["a1", "a2", "b1", "b2"], "sources take turns");
    lab.done(ack(taker.id(), &tags(&deliveries))).await;
    let mut rest = taker.texts(4).await;
    rest.sort();
    assert_eq!(rest, ["a3", "a4", "b3", "b4"]);
}

async fn batch_delivery(lab: Lab) {
    let settings = TopicSettings {
        delivery: Some(DeliveryMode::Batch),
        ..TopicSettings::default()
    };
    let topic = lab.define("t", settings).await;
    lab.publish(&topic, &["1", "2", "3", "4"]).await;
    let mut two = spec(&[(&topic, "s")]);
    two.credit = 2;
    let taker = lab.consume(two).await;
    let batch = taker.take(2).await;
    lab.done(ack(taker.id(), &tags(&batch[..1]))).await;
    lab.settle().await;
    assert!(taker.rest().is_empty(), "half a batch is settled");
    lab.done(ack(taker.id(), &tags(&batch[1..]))).await;
    assert_eq!(taker.texts(2).await, ["3", "4"]);
}

/// Answers every delivery with a publish to another topic and an ack, from inside.
struct Relay {
    engine: Arc<dyn Engine>,
    to: TopicName,
    own: Mutex<Option<trunkline_model::ConsumerId>>,
}

impl DeliverySink for Relay {
    fn started(&self, result: Result<Consuming, Error>) {
        assert!(result.is_ok());
    }

    fn deliver(&self, deliveries: Vec<Delivery>) {
        let own = *self
            .own
            .lock()
            .expect("no code panics while it holds the id");
        for delivery in deliveries {
            let body = String::from_utf8_lossy(&delivery.message.payload).into_owned();
            let mut batch = Batch::of(publish(&self.to, vec![message(&body)]));
            if let Some(own) = own {
                batch.commands.push(ack(own, &[delivery.tag]));
            }
            self.engine
                .submit(&Caller::system(), batch, Completion::ignored());
        }
    }

    fn ended(&self, _: Error) {}
}

async fn reentrant(lab: Lab) {
    let (from, to) = (
        lab.define("from", TopicSettings::default()).await,
        lab.define("to", TopicSettings::default()).await,
    );
    let relay = Arc::new(Relay {
        engine: lab.engine(),
        to: to.clone(),
        own: Mutex::default(),
    });
    let mut paused = spec(&[(&from, "s")]);
    paused.credit = 0;
    let handle = lab.engine().consume(lab.caller(), paused, relay.clone());
    *relay.own.lock().expect("nobody holds it") = Some(handle.id());
    handle.credit(2);
    let taker = lab.consume(spec(&[(&to, "s")])).await;
    let texts: Vec<String> = (0..50).map(|n| n.to_string()).collect();
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    lab.publish(&from, &texts).await;
    handle.taken(1 << 20);
    assert_eq!(taker.texts(50).await, texts);
}

async fn concurrent(lab: Lab) {
    const EACH: usize = 100;
    let topic = lab.define("t", TopicSettings::default()).await;
    let mut few = spec(&[(&topic, "s")]);
    few.credit = 7;
    let recorder = Arc::new(Recorder::default());
    let handle = lab.engine().consume(lab.caller(), few, recorder.clone());
    let taker = Taker::new(recorder, handle);
    let publishers = (0..4).map(|publisher| {
        let (engine, topic) = (lab.engine(), topic.clone());
        tokio::task::spawn_blocking(move || {
            for n in 0..EACH {
                let command: Command = publish(&topic, vec![message(&format!("{publisher} {n}"))]);
                engine.submit(&Caller::system(), Batch::of(command), Completion::ignored());
            }
        })
    });
    let publishers: Vec<_> = publishers.collect();
    let mut seen = [0; 4];
    for _ in 0..4 * EACH {
        let delivery = taker.next().await;
        let text = crate::taker::text(&delivery);
        let (publisher, n) = text.split_once(' ').expect("as published");
        let publisher: usize = publisher.parse().expect("as published");
        assert_eq!(n, seen[publisher].to_string(), "the order of one publisher");
        seen[publisher] += 1;
        lab.engine().submit(
            lab.caller(),
            Batch::of(ack(taker.id(), &[delivery.tag])),
            Completion::ignored(),
        );
    }
    for publisher in publishers {
        publisher.await.expect("a publisher does not panic");
    }
    assert_eq!(seen, [EACH; 4]);
}
