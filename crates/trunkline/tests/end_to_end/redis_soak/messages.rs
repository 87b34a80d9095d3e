//! Publishers and consumers of one topic over both gateways, and the ledger of its messages.

use super::world::World;
use crate::soak::ledger::Breach;
use crate::soak::world::{ask, connect, unless_ended};
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;
use trunkline::{Connection, Pushes, Target};

pub(crate) const TOPIC: &str = "orders";
const SUBSCRIPTION: &str = "work";
/// Publishes of a publisher that are not confirmed.
const WINDOW: usize = 8;
/// Messages that a consumer has and did not settle.
const CREDIT: u32 = 20;
/// Before another try to connect.
const AGAIN: Duration = Duration::from_millis(20);

/// What was published, and what came.
#[derive(Debug, Default)]
pub(crate) struct Messages {
    asked: BTreeSet<String>,
    confirmed: u64,
    delivered: BTreeMap<String, u64>,
    /// Those that were confirmed and did not come so far.
    missing: BTreeSet<String>,
}

impl Messages {
    /// A message is about to be published, perhaps again.
    fn ask(&mut self, payload: &str) {
        self.asked.insert(payload.to_owned());
    }

    /// It is confirmed, which each is once.
    fn confirm(&mut self, payload: String) {
        self.confirmed += 1;
        if !self.delivered.contains_key(&payload) {
            self.missing.insert(payload);
        }
    }

    fn deliver(&mut self, payload: String) -> Result<(), Breach> {
        if !self.asked.contains(&payload) {
            return Err(format!("{payload:?} was delivered, and never published"));
        }
        self.missing.remove(&payload);
        *self.delivered.entry(payload).or_default() += 1;
        Ok(())
    }

    /// Confirmed messages that never came, so far.
    pub(crate) fn missing(&self) -> &BTreeSet<String> {
        &self.missing
    }

    /// One line of numbers.
    pub(crate) fn sum(&self) -> String {
        let (confirmed, delivered) = (self.confirmed, self.delivered.len());
        let again: u64 = self.delivered.values().map(|times| times - 1).sum();
        let missing = self.missing.len();
        format!(
            "{confirmed} messages confirmed, {delivered} delivered, {again} times again, \
             {missing} not so far"
        )
    }

    pub(crate) const fn confirmed(&self) -> u64 {
        self.confirmed
    }
}

/// Makes the topic and its subscription.
pub(crate) async fn declare(target: &Target) -> Result<(), Breach> {
    let (client, _pushes) = connect(target).await?;
    let declare = json!({"topic": TOPIC, "options": {"priorities": 2}});
    let _: Value = ask(&client, "rpc.topic.declare", &declare).await?;
    let subscribe = json!({"topic": TOPIC, "subscription": SUBSCRIPTION, "from": "all"});
    let _: Value = ask(&client, "rpc.topic.subscribe", &subscribe).await?;
    Ok(())
}

/// What the server says of the topic, for the text of a failure.
pub(crate) async fn inspect(target: &Target) -> Result<Value, Breach> {
    let (client, _pushes) = connect(target).await?;
    ask(&client, "rpc.topic.inspect", &json!({ "topic": TOPIC })).await
}

/// Publishes until it is over and everything is confirmed; what has no answer is published again, at the other
/// gateway, under the same id.
pub(crate) async fn publish(
    world: Arc<World>,
    mut targets: Vec<Target>,
    name: String,
) -> Result<(), Breach> {
    let mut open: VecDeque<String> = VecDeque::new();
    let mut number = 0;
    while !world.is_over() || !open.is_empty() {
        targets.rotate_left(1);
        let Ok((client, _pushes)) = Connection::connect(&targets[0]).await else {
            tokio::time::sleep(AGAIN).await;
            continue;
        };
        let mut flying = VecDeque::new();
        loop {
            if flying.len() == open.len() && open.len() < WINDOW && !world.is_over() {
                number += 1;
                open.push_back(format!("{name}-{number}"));
            }
            if flying.len() < open.len() {
                let payload = &open[flying.len()];
                world.messages().ask(payload);
                let message = json!({
                    "payload_text": payload, "publish_id": payload, "priority": number % 2,
                });
                let publish = json!({"topic": TOPIC, "messages": [message]});
                let started = client.start("rpc.topic.publish", &publish).await;
                match unless_ended(started)? {
                    Some(pending) => flying.push_back(pending),
                    None => break,
                }
                if flying.len() < WINDOW {
                    continue;
                }
            }
            let Some(pending) = flying.pop_front() else {
                break;
            };
            if unless_ended(pending.await)?.is_none() {
                break;
            }
            let payload = open.pop_front().unwrap_or_default();
            world.messages().confirm(payload);
            world.count();
        }
    }
    Ok(())
}

/// Takes and acknowledges at one gateway, again whenever it is back, until nothing is missing.
pub(crate) async fn consume(world: Arc<World>, target: Target) -> Result<(), Breach> {
    while !world.is_done() {
        let Ok((client, pushes)) = Connection::connect(&target).await else {
            tokio::time::sleep(AGAIN).await;
            continue;
        };
        take(&world, &client, pushes).await?;
    }
    Ok(())
}

async fn take(world: &World, client: &Connection, mut pushes: Pushes) -> Result<(), Breach> {
    #[derive(Deserialize)]
    struct Deliver {
        deliveries: Vec<Delivery>,
    }
    #[derive(Deserialize)]
    struct Delivery {
        tag: u64,
        payload_text: String,
    }
    let consume = json!({"topic": TOPIC, "subscription": SUBSCRIPTION, "credit": CREDIT});
    let answer: Option<Value> = unless_ended(client.ask("rpc.topic.consume", &consume).await)?;
    let Some(answer) = answer else {
        tokio::time::sleep(AGAIN).await;
        return Ok(());
    };
    loop {
        let push = tokio::select! {
            push = pushes.next() => push,
            () = world.done() => None,
        };
        let Some(push) = push else { return Ok(()) };
        let Deliver { deliveries } = push.read().map_err(|error| format!("{push:?}: {error}"))?;
        let mut tags = Vec::new();
        for Delivery { tag, payload_text } in deliveries {
            tags.push(tag);
            world.messages().deliver(payload_text)?;
        }
        world.count();
        let ack = json!({"consumer": answer["consumer"], "tags": tags});
        let acked: Option<Value> = unless_ended(client.ask("rpc.topic.ack", &ack).await)?;
        if acked.is_none() {
            return Ok(());
        }
    }
}

#[test]
fn each_rule_is_seen_to_be_broken() {
    let mut messages = Messages::default();
    messages.ask("a");
    messages.ask("b");
    messages.confirm("a".to_owned());
    assert_eq!(messages.missing().first().unwrap(), "a");
    messages.deliver("a".to_owned()).unwrap();
    messages.deliver("a".to_owned()).unwrap();
    messages.deliver("b".to_owned()).unwrap();
    messages.confirm("b".to_owned());
    assert!(messages.missing().is_empty());
    assert!(messages.sum().contains("1 times again"));
    let invented = messages.deliver("c".to_owned()).unwrap_err();
    assert!(invented.contains("never published"));
}
