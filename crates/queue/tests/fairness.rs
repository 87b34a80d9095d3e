//! Consumers of one subscription get equal shares, whoever else is slow.

#![allow(clippy::unwrap_used, reason = "a test says what it expects")]

mod support;

use std::collections::BTreeMap;
use support::{World, text};
use trunkline_model::{ConsumerId, Message};

/// Deliveries by consumer.
fn shares(world: &mut World) -> BTreeMap<ConsumerId, Vec<u64>> {
    let mut shares: BTreeMap<ConsumerId, Vec<u64>> = BTreeMap::new();
    for delivery in world.pump() {
        let tags = shares.entry(delivery.consumer).or_default();
        tags.push(delivery.tag.0);
    }
    shares
}

#[test]
fn equal_consumers_get_equal_shares() {
    let mut world = World::new();
    let consumers = [(); 4].map(|()| world.consume("t", &["s"], 10));
    let mut got: BTreeMap<ConsumerId, usize> = BTreeMap::new();
    for round in 0..100 {
        // More at times than all of them can hold, less at others.
        world
            .publish("t", vec![text("x"); 1 + 7 * (round % 9)])
            .unwrap();
        for (consumer, tags) in shares(&mut world) {
            *got.entry(consumer).or_default() += tags.len();
            world.ack(consumer, &tags);
        }
    }
    let (least, most) = (got.values().min(), got.values().max());
    assert_eq!(got.len(), consumers.len());
    assert!(most.unwrap() - least.unwrap() <= 1, "{got:?}");
}

#[test]
fn a_slow_consumer_holds_nobody_up() {
    let mut world = World::new();
    let slow = world.consume("t", &["s"], 5);
    let fast = world.consume("t", &["s"], 5);
    let mut got = 0;
    for _ in 0..50 {
        world.publish("t", vec![text("x"); 4]).unwrap();
        for (consumer, tags) in shares(&mut world) {
            if consumer == fast {
                got += tags.len();
                world.ack(consumer, &tags);
            }
        }
    }
    assert_eq!(got, 200 - 5, "all but what the slow one holds");
    assert_eq!(world.detach(slow), 5);
}

#[test]
fn groups_are_shared_out_evenly() {
    let mut world = World::new();
    let consumers = [(); 3].map(|()| world.consume("t", &["s"], 1));
    let grouped = |group: usize| Message {
        group: Some(group.to_string().into()),
        ..text("x")
    };
    let mut got: BTreeMap<ConsumerId, usize> = BTreeMap::new();
    for round in 0..60 {
        let messages = (0..6).map(|n| grouped((round + n) % 7)).collect();
        world.publish("t", messages).unwrap();
        for (consumer, tags) in shares(&mut world) {
            *got.entry(consumer).or_default() += tags.len();
            world.ack(consumer, &tags);
        }
    }
    let (least, most) = (got.values().min(), got.values().max());
    assert_eq!(got.len(), consumers.len());
    assert!(most.unwrap() - least.unwrap() <= 1, "{got:?}");
}
