//! Clients that work while nodes die, and keep the ledger.

use super::ledger::Ledger;
use std::collections::VecDeque;
use std::future::Future;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use trunkline_stomp::{
    AckMode, Client, ClientBuilder, Event, Events, Message, NodeEvent, Outcome, Subscription,
};

pub(crate) const QUEUE: &str = "/queue/ledger";
/// SENDs of a producer that are not confirmed.
pub(crate) const WINDOW: usize = 32;
/// Messages of a consumer that it has not acknowledged.
pub(crate) const PREFETCH: usize = 100;
/// ACKs of a consumer that are not confirmed.
pub(crate) const ACKS: usize = 64;
/// What is the last message of a queue.
const LAST: &str = "last";
/// Longer than anything here takes, a start of a broker included.
const PATIENCE: Duration = Duration::from_secs(180);

pub(crate) type Shared = Arc<Mutex<Ledger>>;

/// What comes in time; otherwise the test fails.
pub(crate) async fn soon<T>(what: impl Future<Output = T>) -> T {
    timeout(PATIENCE, what).await.expect("it comes in time")
}

/// Sends as long as all producers together have asked for less than the bound, until that is
/// none and everything is settled. `progress` counts what is confirmed.
pub(crate) fn produce(
    client: Client,
    name: String,
    ledger: Shared,
    progress: Arc<watch::Sender<usize>>,
    mut bound: watch::Receiver<Option<usize>>,
) -> JoinHandle<()> {
    tokio::spawn(async move {
        let mut open: VecDeque<(String, Outcome)> = VecDeque::new();
        let mut number = 0;
        loop {
            let max = *bound.borrow_and_update();
            let may = |max| ledger.lock().unwrap().asked_so_far() < max;
            if open.len() < WINDOW && max.is_some_and(may) {
                number += 1;
                let body = format!("{name}-{number}");
                ledger.lock().unwrap().asked(&body);
                let send = client
                    .send(QUEUE, body.clone())
                    .header("persistent", "true");
                open.push_back((body, send.receipt("auto").start()));
            } else if let Some((body, outcome)) = open.pop_front() {
                let error = soon(outcome).await.err().map(|error| error.to_string());
                let mut ledger = ledger.lock().unwrap();
                ledger.settled(body, error);
                progress.send_replace(ledger.confirmed());
            } else if max.is_none() {
                return;
            } else {
                soon(bound.changed()).await.unwrap();
            }
        }
    })
}

/// Keeps which session is of which node.
pub(crate) fn follow(mut events: Events, ledger: Shared) {
    tokio::spawn(async move {
        let mut last = 0;
        while let Some(event) = events.next().await {
            match event {
                Event::Node {
                    port,
                    event: NodeEvent::Ready,
                    ..
                } => last = port,
                Event::Ready { session, .. } => ledger.lock().unwrap().session(&session, last),
                Event::Missed(_) => panic!("events are missing"),
                _ => {}
            }
        }
    });
}

async fn subscribe(client: &Client) -> Subscription {
    let subscribe = client.subscribe(QUEUE).ack(AckMode::ClientIndividual);
    let subscribe = subscribe.header("prefetch-count", &PREFETCH.to_string());
    soon(subscribe.into_future()).await.unwrap()
}

/// Acknowledges what comes and waits for that, until it may end.
pub(crate) fn consume(
    client: Client,
    ledger: Shared,
    mut ends: watch::Receiver<bool>,
) -> JoinHandle<()> {
    tokio::spawn(async move {
        let mut subscription = subscribe(&client).await;
        let mut acks = VecDeque::new();
        loop {
            let next = tokio::select! {
                next = subscription.next() => next,
                _ = ends.wait_for(|ends| *ends) => break,
            };
            let message = next.expect("it goes on").expect("it survives");
            acknowledge(&client, &message, &ledger, &mut acks);
            if acks.len() >= ACKS {
                settle(&ledger, &mut acks).await;
            }
        }
        while !acks.is_empty() {
            settle(&ledger, &mut acks).await;
        }
        soon(client.disconnect().into_future()).await.unwrap();
    })
}

type Acks = VecDeque<(usize, Outcome)>;

fn acknowledge(client: &Client, message: &Message, ledger: &Shared, acks: &mut Acks) {
    let delivery = ledger.lock().unwrap().delivered(message);
    let ack = client.ack(message).receipt("auto").start();
    acks.push_back((delivery, ack));
}

/// An ACK that fails is one of a lost session: its message comes again.
async fn settle(ledger: &Shared, acks: &mut Acks) {
    if let Some((delivery, outcome)) = acks.pop_front()
        && soon(outcome).await.is_ok()
    {
        ledger.lock().unwrap().acked(delivery);
    }
}

/// Takes what is left at a node.
pub(crate) async fn drain(builder: ClientBuilder, ledger: &Shared) {
    let client = builder.build();
    follow(client.events(), Arc::clone(ledger));
    let last = client.send(QUEUE, LAST).header("persistent", "true");
    soon(last.receipt("auto").into_future()).await.unwrap();
    let mut subscription = subscribe(&client).await;
    let mut acks = VecDeque::new();
    loop {
        let message = soon(subscription.next()).await.unwrap().unwrap();
        if &message.body()[..] == LAST.as_bytes() {
            soon(client.ack(&message).receipt("auto").into_future())
                .await
                .unwrap();
            break;
        }
        acknowledge(&client, &message, ledger, &mut acks);
    }
    while !acks.is_empty() {
        settle(ledger, &mut acks).await;
    }
    soon(client.disconnect().into_future()).await.unwrap();
}

/// What is in a queue; it is taken away.
pub(crate) async fn contents(client: Client, queue: &str) -> Vec<String> {
    let last = client.send(queue, LAST).receipt("auto");
    soon(last.into_future()).await.unwrap();
    let mut subscription = soon(client.subscribe(queue).into_future()).await.unwrap();
    let mut bodies = Vec::new();
    loop {
        let message = soon(subscription.next()).await.unwrap().unwrap();
        match String::from_utf8(message.body().to_vec()).unwrap() {
            body if body == LAST => return bodies,
            body => bodies.push(body),
        }
    }
}
