//! The library's clients under load, while the server is killed and started again: all of them
//! go on by themselves, and an independent ledger agrees.

use crate::setup::{Server, Store, store};
use futures_util::{StreamExt, stream::FuturesUnordered};
use rustix::process::Signal;
use std::{collections::BTreeSet, time::Duration};
use tokio::sync::watch;
use trunkline::{Backoff, Client, Consumer, Listener, ListenerEvent, MessageId, SettleError};

const MESSAGES: u64 = 6_000;
/// Publishes in flight: what a kill can hit.
const WINDOW: usize = 200;
/// Messages that the audit takes at once.
const AUDIT: u32 = 500;
/// Confirmed messages at which the server ends, and how.
const ENDS: [(u64, Signal); 3] = [
    (1_000, Signal::KILL),
    (2_500, Signal::TERM),
    (4_000, Signal::KILL),
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everybody_goes_on_after_kill_9_and_nothing_is_lost_or_stored_twice() {
    let store = store();
    let server = store.serve();
    let (url, address) = (server.url.clone(), server.address().to_owned());
    let client = connect(&url).await;
    for subscription in ["audit", "work"] {
        client
            .topic("numbers")
            .subscribe(subscription)
            .await
            .unwrap();
    }
    let worker = client.worker("math").concurrency(4).idempotent_method(
        "double",
        |(number,): (u64,), _| async move { Ok(number * 2) },
    );
    let worker = worker.start().await.unwrap();
    let consumer = client.consume("numbers", "work").credit(64).await.unwrap();
    let mut listener = client.listen().pattern("ticks.*").await.unwrap();

    let (confirmed, mut progress) = watch::channel(0);
    let publisher = tokio::spawn(publish(connect(&url).await, confirmed));
    let consumer = tokio::spawn(consume(consumer));
    let (stop, stopped) = watch::channel(false);
    let caller = tokio::spawn(call(connect(&url).await, stopped));

    let mut server = server;
    for (point, signal) in ENDS {
        let reached = progress.wait_for(|confirmed| *confirmed >= point);
        drop(reached.await.unwrap());
        server = tokio::task::block_in_place(|| restart(server, signal, &store, &address));
        hear(&client, &mut listener).await;
    }

    let ids = publisher.await.unwrap();
    let seen = consumer.await.unwrap();
    stop.send_replace(true);
    let calls = caller.await.unwrap();
    assert!(calls > 0);

    // Every publish was confirmed, with an id of its own, in order.
    assert_eq!(ids.len() as u64, MESSAGES);
    assert!(ids.is_sorted_by(|a, b| a < b));
    // The ledger of the store: each once, in order, with the id that was confirmed.
    let mut audit = client
        .consume("numbers", "audit")
        .credit(AUDIT)
        .await
        .unwrap();
    let mut unacked = Vec::new();
    for (number, id) in ids.iter().enumerate() {
        let delivery = audit.try_next().await.unwrap().unwrap();
        assert_eq!(delivery.text().unwrap(), number.to_string());
        assert_eq!(delivery.id, *id);
        unacked.push(delivery);
        if unacked.len() == AUDIT as usize || number + 1 == ids.len() {
            let acked = unacked.len() as u64;
            assert_eq!(audit.ack_all(unacked.drain(..)).await.unwrap(), acked);
        }
    }
    let info = client.topic("numbers").inspect().await.unwrap();
    assert_eq!(info.messages, 0, "{info:?}");
    // The ledger of the consumer: every one, none after its ack was confirmed.
    let all: BTreeSet<u64> = (0..MESSAGES).collect();
    assert_eq!(seen, all);
    worker.drain().await.unwrap();
    client.close().await.unwrap();
}

async fn connect(url: &str) -> Client {
    let backoff = Backoff {
        min: Duration::from_millis(2),
        max: Duration::from_millis(50),
    };
    let client = Client::builder(url).backoff(backoff).in_flight(WINDOW);
    client.connect().await.unwrap()
}

/// Publishes the numbers, many in flight; their ids.
async fn publish(client: Client, confirmed: watch::Sender<u64>) -> Vec<MessageId> {
    let (sent, mut sending) = tokio::sync::mpsc::channel(WINDOW);
    let sender = client.clone();
    tokio::spawn(async move {
        for number in 0..MESSAGES {
            let confirmation = sender.send("numbers", number.to_string()).await.unwrap();
            sent.send(confirmation).await.unwrap();
        }
    });
    let mut ids = Vec::new();
    while let Some(confirmation) = sending.recv().await {
        ids.push(confirmation.await.unwrap());
        assert!(client.in_flight() <= WINDOW);
        confirmed.send_replace(ids.len() as u64);
    }
    ids
}

/// Takes and acks until nothing is left; the numbers. A number whose ack was confirmed never comes
/// back; one whose ack was on its way when the connection broke may.
async fn consume(mut consumer: Consumer) -> BTreeSet<u64> {
    let (mut acked, mut unknown) = (BTreeSet::new(), BTreeSet::new());
    let mut acking = FuturesUnordered::new();
    loop {
        tokio::select! {
            delivery = consumer.try_next() => {
                let delivery = delivery.unwrap().unwrap();
                let number: u64 = delivery.text().unwrap().parse().unwrap();
                assert!(!acked.contains(&number), "{number} came back after its ack");
                unknown.remove(&number);
                acking.push(async move { (number, delivery.ack().await) });
            }
            Some((number, settled)) = acking.next() => {
                match settled {
                    Ok(()) => acked.insert(number),
                    Err(SettleError::Lost(_) | SettleError::NotHeld) => unknown.insert(number),
                    Err(error) => panic!("{number}: {error}"),
                };
                let all = (acked.len() + unknown.len()) as u64 == MESSAGES;
                if all && acking.is_empty() && left(consumer.client()).await == 0 {
                    return acked.union(&unknown).copied().collect();
                }
            }
        }
    }
}

/// Messages that the subscription still has.
async fn left(client: &Client) -> u64 {
    let topic = client.topic("numbers").inspect().await.unwrap();
    let work = topic.subscriptions.iter().find(|one| one.name == "work");
    work.map_or(0, |work| work.waiting + work.in_flight)
}

/// Calls the worker all the time, each call with a key; how often.
async fn call(client: Client, stopped: watch::Receiver<bool>) -> u64 {
    let mut number = 0;
    while !*stopped.borrow() {
        let call = client.call::<u64>("double", &(number,));
        let call = call.idempotency_key(format!("call-{number}"));
        assert_eq!(call.await.unwrap(), number * 2);
        number += 1;
    }
    number
}

/// Ends the server one way or another and starts it again at the same place.
fn restart(server: Server, signal: Signal, store: &Store, address: &str) -> Server {
    match signal {
        Signal::KILL => server.kill(),
        _ => assert!(server.stop().success()),
    }
    store.serve_at(address)
}

/// What happens on a channel after a restart: a loss, its end, and messages again.
async fn hear(client: &Client, listener: &mut Listener) {
    let event = listener.try_next().await.unwrap().unwrap();
    assert_eq!(event, ListenerEvent::Lost);
    let event = listener.try_next().await.unwrap().unwrap();
    assert!(matches!(event, ListenerEvent::Active { .. }), "{event:?}");
    client.publish_channel("ticks.a", "tick").await.unwrap();
    match listener.try_next().await.unwrap().unwrap() {
        ListenerEvent::Message(message) => assert_eq!(message.text().unwrap(), "tick"),
        other => panic!("{other:?}"),
    }
}
