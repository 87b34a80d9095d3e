//! What is looked at in a quiet moment, when nobody publishes or consumes.

use super::{
    consumer::{Fate, Place, settled, take},
    ledger::{Breach, Session},
    world::{DEAD, Inspected, World, ask, connect},
};
use serde_json::{Value, json};
use std::collections::VecDeque;
use trunkline::{Connection, Target};

/// Deliveries that an audit has at once.
const CREDIT: u64 = 1_000;

/// Takes and acks everything in the subscriptions of `wanted`, and compares what is said about
/// the others with the ledgers.
pub(crate) async fn audit(
    world: &World,
    target: &Target,
    wanted: impl Fn(&str) -> bool,
) -> Result<(), Breach> {
    let (client, pushes) = connect(target).await?;
    drop(pushes);
    for topic in 0..world.topics() {
        bury(world, target, topic).await?;
        let subscriptions = world.ledger(topic).subscriptions();
        for subscription in subscriptions.into_iter().filter(|name| wanted(name)) {
            let place = Place {
                topic,
                subscription,
            };
            empty(world, target, &client, place).await?;
        }
        compare(world, &client, topic).await?;
    }
    Ok(())
}

/// Takes and acks everything in all subscriptions.
pub(crate) async fn empty_all(world: &World, target: &Target) -> Result<(), Breach> {
    let (client, pushes) = connect(target).await?;
    drop(pushes);
    for topic in 0..world.topics() {
        let subscriptions = world.ledger(topic).subscriptions();
        bury(world, target, topic).await?;
        for subscription in subscriptions {
            let place = Place {
                topic,
                subscription,
            };
            empty(world, target, &client, place).await?;
        }
    }
    Ok(())
}

/// How many messages a subscription says that it has. Nothing of it may be in flight.
async fn waiting(world: &World, client: &Connection, place: Place) -> Result<u64, Breach> {
    let inspected = world.inspect(client, place.topic).await?;
    let mut all = inspected.subscriptions.into_iter();
    let one = all.find(|one| one.subscription == place.subscription);
    let one = one.ok_or_else(|| format!("{}: is gone", place.subscription))?;
    match one.in_flight {
        0 => Ok(one.waiting),
        held => Err(format!("{}: {held} in flight to nobody", one.subscription)),
    }
}

/// Takes and acks everything, and checks that it comes in order and that nothing is missing.
async fn empty(
    world: &World,
    target: &Target,
    client: &Connection,
    place: Place,
) -> Result<(), Breach> {
    let count = waiting(world, client, place).await?;
    let kind = world.ledger(place.topic).kind;
    if count > 0 {
        let (client, mut pushes) = connect(target).await?;
        let consume = json!({
            "topic": kind.topic, "subscription": place.subscription, "credit": CREDIT,
        });
        let consuming: Value = ask(&client, "rpc.topic.consume", &consume).await?;
        let mut acks = VecDeque::new();
        let mut taken = 0;
        let mut session = Session::quiet();
        while taken < count {
            let push = pushes.next().await;
            let push = push.ok_or_else(|| format!("the audit was cut: {}", pushes.loss()))?;
            let held = take(world, place, &mut session, &push)?;
            taken += held.len() as u64;
            let (tags, numbers): (Vec<u64>, Vec<u64>) = held.into_iter().unzip();
            let ack = json!({"consumer": consuming["consumer"], "tags": tags});
            world
                .ledger(place.topic)
                .settling(place.subscription, &numbers);
            let pending = client.start("rpc.topic.ack", &ack).await;
            acks.push_back((numbers, pending.map_err(|error| error.to_string())?));
        }
        for (numbers, pending) in acks {
            let answer = pending.await.map_err(|error| format!("ack: {error}"))?;
            settled(world, place, &numbers, Fate::Acked, &answer)?;
        }
    }
    let ledger = world.ledger(place.topic);
    ledger.emptied(place.subscription)
}

/// Takes all dead letters of a topic, and notes them.
async fn bury(world: &World, target: &Target, topic: usize) -> Result<(), Breach> {
    let (kind, subscription) = {
        let ledger = world.ledger(topic);
        (ledger.kind, ledger.subscriptions()[0])
    };
    let Some(dead) = kind.dead_letter else {
        return Ok(());
    };
    let (client, mut pushes) = connect(target).await?;
    // What is on its way there counts as in flight.
    let mut on_their_way = true;
    while on_their_way {
        let inspected = world.inspect(&client, topic).await?;
        on_their_way = inspected.subscriptions.iter().any(|one| one.in_flight > 0);
    }
    let inspected: Inspected = ask(&client, "rpc.topic.inspect", &json!({ "topic": dead })).await?;
    let mut left = inspected.messages;
    let consume = json!({"topic": dead, "subscription": DEAD, "credit": CREDIT});
    let consuming: Value = ask(&client, "rpc.topic.consume", &consume).await?;
    let mut acks = VecDeque::new();
    while left > 0 {
        let push = pushes.next().await;
        let push = push.ok_or_else(|| format!("the audit was cut: {}", pushes.loss()))?;
        let push: Value = push.read().map_err(|error| error.to_string())?;
        let deliveries = push["deliveries"].as_array().into_iter().flatten();
        let mut tags = Vec::new();
        for delivery in deliveries {
            let payload = delivery["payload_text"].as_str().unwrap_or_default();
            world.ledger(topic).died(subscription, payload)?;
            tags.push(&delivery["tag"]);
            left = left.saturating_sub(1);
        }
        let ack = json!({"consumer": consuming["consumer"], "tags": tags});
        let pending = client.start("rpc.topic.ack", &ack).await;
        acks.push_back(pending.map_err(|error| error.to_string())?);
    }
    for pending in acks {
        pending.await.map_err(|error| format!("ack: {error}"))?;
    }
    world.ledger(topic).buried()
}

/// Compares the counts of the server with those of the ledger.
async fn compare(world: &World, client: &Connection, topic: usize) -> Result<(), Breach> {
    let inspected = world.inspect(client, topic).await?;
    for one in inspected.subscriptions {
        let ledger = world.ledger(topic);
        let mut names = ledger.subscriptions().into_iter();
        let name = names.find(|name| *name == one.subscription);
        let name = name.ok_or_else(|| format!("{}: invented", one.subscription))?;
        let (least, most) = ledger.waiting(name);
        if !(least..=most).contains(&one.waiting) {
            let topic = ledger.kind.topic;
            return Err(format!(
                "{topic}, {name}: {} waiting, {least} to {most} expected",
                one.waiting
            ));
        }
    }
    Ok(())
}

/// After everything was taken from all subscriptions, nothing is stored.
pub(crate) async fn nothing_is_left(world: &World, target: &Target) -> Result<(), Breach> {
    let (client, _pushes) = connect(target).await?;
    for topic in 0..world.topics() {
        let inspected = world.inspect(&client, topic).await?;
        if inspected.messages > 0 {
            let topic = world.ledger(topic).kind.topic;
            return Err(format!(
                "{topic}: {} messages of nobody",
                inspected.messages
            ));
        }
    }
    Ok(())
}
