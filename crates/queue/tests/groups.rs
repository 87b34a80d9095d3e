//! Groups: one consumer at a time, in order, and nothing else waits for them.

#![allow(clippy::unwrap_used, reason = "a test says what it expects")]

mod support;

use std::time::Duration;
use support::{World, settings, text};
use trunkline_model::{Admin, ConsumerId, ErrorCode, Message, MessageState, Priority, When};

/// `a1` is of group `a`, `-1` of none; `!` makes it urgent.
fn grouped(payloads: &str) -> Vec<Message> {
    let one = |payload: &str| {
        let plain = payload.trim_start_matches('!');
        let group = plain.chars().next().filter(|group| *group != '-');
        Message {
            group: group.map(|group| group.to_string().into()),
            priority: (plain != payload).then_some(Priority(0)),
            ..text(plain)
        }
    };
    payloads.split_whitespace().map(one).collect()
}

/// Deliveries as `consumer:tag:payload`, consumers counted from 1.
fn pumped(world: &mut World) -> String {
    let deliveries = world.pump();
    let told = deliveries.iter().map(|delivery| {
        let attempt = match delivery.attempt {
            1 => String::new(),
            attempt => format!("!{attempt}"),
        };
        let payload = world.payload(delivery.body);
        format!(
            "{}:{}:{payload}{attempt}",
            delivery.consumer.0, delivery.tag.0
        )
    });
    told.collect::<Vec<_>>().join(" ")
}

fn two_consumers(json: &str, credit: u32) -> (World, [ConsumerId; 2]) {
    let mut world = World::new();
    world.define("t", settings(json)).unwrap();
    let consumers = [1, 2].map(|_| world.consume("t", &["s"], credit));
    (world, consumers)
}

#[test]
fn one_consumer_holds_a_group_and_gets_it_in_order() {
    let (mut world, [one, two]) = two_consumers("{}", 3);
    world.publish("t", grouped("a1 a2 b1 a3 -1 b2 a4")).unwrap();
    assert_eq!(
        pumped(&mut world),
        "1:1:a1 1:2:a2 2:1:b1 1:3:a3 2:2:-1 2:3:b2",
        "several of a group may be out, to the one that holds it"
    );
    world.core.credit(two, 9);
    assert_eq!(pumped(&mut world), "", "the other one takes nothing of it");
    world.ack(one, &[1, 2]);
    assert_eq!(pumped(&mut world), "1:4:a4");
    world.ack(one, &[3, 4]);
    world.publish("t", grouped("a5")).unwrap();
    assert_eq!(
        pumped(&mut world),
        "2:4:a5",
        "whose turn it is takes it next"
    );
}

#[test]
fn a_returned_message_blocks_its_group_until_it_is_settled() {
    let (mut world, [one, two]) = two_consumers("{}", 2);
    world.publish("t", grouped("a1 a2 a3 a4")).unwrap();
    assert_eq!(pumped(&mut world), "1:1:a1 1:2:a2");
    world.nack(one, &[1], true, 0);
    assert_eq!(pumped(&mut world), "1:3:a1!2", "to who holds the rest");
    world.core.credit(one, 9);
    world.ack(one, &[2]);
    assert_eq!(pumped(&mut world), "", "a3 waits for a1");
    world.publish("t", grouped("b1 -1")).unwrap();
    assert_eq!(pumped(&mut world), "2:1:b1 1:4:-1", "others don't");
    world.ack(one, &[3, 4]);
    world.core.credit(two, 9);
    assert_eq!(pumped(&mut world), "2:2:a3 2:3:a4");
    // Also where nothing of the group is out any more.
    world.nack(two, &[2, 3], true, 7);
    world.publish("t", grouped("a5")).unwrap();
    assert_eq!(pumped(&mut world), "");
    world.advance(8);
    world.tick();
    assert_eq!(pumped(&mut world), "1:5:a3!2");
    world.nack(one, &[5], false, 0);
    assert_eq!(pumped(&mut world), "2:4:a4!2", "giving it up settles it");
    world.ack(two, &[4]);
    assert_eq!(pumped(&mut world), "1:6:a5");
}

#[test]
fn a_consumer_that_goes_or_stalls_gives_its_groups_back() {
    let (mut world, [one, two]) = two_consumers(r#"{"ack_timeout": "5s"}"#, 2);
    world.publish("t", grouped("a1 a2 a3 b1 b2")).unwrap();
    assert_eq!(pumped(&mut world), "1:1:a1 1:2:a2 2:1:b1 2:2:b2");
    world.detach(one);
    world.ack(two, &[1, 2]);
    assert_eq!(pumped(&mut world), "2:3:a1!2");
    world.advance(6);
    world.tick();
    assert_eq!(pumped(&mut world), "2:4:a1!3");
    world.ack(two, &[4]);
    assert_eq!(pumped(&mut world), "2:5:a2!2");
    world.restart();
    let three = world.consume("t", &["s"], 9);
    assert_eq!(pumped(&mut world), "3:1:a2!3");
    world.ack(three, &[1]);
    assert_eq!(pumped(&mut world), "3:2:a3");
}

#[test]
fn what_blocks_may_expire_be_purged_or_be_replaced() {
    let (mut world, [one, _]) = two_consumers(r#"{"dedupe": "latest"}"#, 9);
    let short = |payload: &str| Message {
        expires: Some(When::After(Duration::from_secs(3))),
        ..grouped(payload).remove(0)
    };
    let mut messages = vec![short("a1")];
    messages.extend(grouped("a2"));
    world.publish("t", messages).unwrap();
    assert_eq!(pumped(&mut world), "1:1:a1 1:2:a2");
    world.nack(one, &[1, 2], true, 60);
    world.publish("t", grouped("a3")).unwrap();
    assert_eq!(pumped(&mut world), "");
    // The first expires, the second is replaced by one of another group, in its place.
    world.advance(4);
    world.tick();
    assert_eq!(pumped(&mut world), "", "a2 is still delayed");
    let purge = Admin::Purge {
        topic: "t".parse().unwrap(),
        subscription: Some("s".parse().unwrap()),
    };
    world.manage(purge).unwrap();
    let keyed = |payload: &str| Message {
        key: Some("k".into()),
        ..grouped(payload).remove(0)
    };
    world.publish("t", vec![keyed("b1")]).unwrap();
    assert_eq!(pumped(&mut world), "2:1:b1");
    world.publish("t", grouped("b2 c1")).unwrap();
    assert_eq!(pumped(&mut world), "2:2:b2 1:3:c1");
    world.publish("t", vec![keyed("c2")]).unwrap();
    world.publish("t", grouped("b3")).unwrap();
    assert_eq!(pumped(&mut world), "1:4:c2 2:3:b3");
    assert_eq!(world.core.info("t").unwrap().subscriptions[0].in_flight, 4);
}

#[test]
fn priorities_order_a_group_too() {
    let (mut world, [one, _]) = two_consumers(r#"{"priorities": 2, "default_priority": 1}"#, 1);
    world.publish("t", grouped("a1 a2")).unwrap();
    assert_eq!(pumped(&mut world), "1:1:a1");
    world.publish("t", grouped("!a3 b1")).unwrap();
    assert_eq!(pumped(&mut world), "2:1:b1");
    world.ack(one, &[1]);
    assert_eq!(pumped(&mut world), "1:2:a3");
    world.ack(one, &[2]);
    assert_eq!(pumped(&mut world), "1:3:a2");
}

#[test]
fn who_settles_at_hand_over_holds_nothing() {
    let mut world = World::new();
    for _ in 0..2 {
        let auto = trunkline_model::ConsumeSpec {
            auto_ack: true,
            ..support::spec("t", &["s"], 1)
        };
        world.attach(auto).unwrap();
    }
    world.publish("t", grouped("a1 a2 a3")).unwrap();
    assert_eq!(pumped(&mut world), "1:1:a1 2:1:a2 1:2:a3");
}

#[test]
fn batches_and_groups_go_together() {
    let (mut world, [one, two]) = two_consumers(r#"{"delivery": "batch"}"#, 9);
    world.publish("t", grouped("a1 a2 b1 b2")).unwrap();
    assert_eq!(pumped(&mut world), "1:1:a1 1:2:a2 2:1:b1 2:2:b2");
    world.publish("t", grouped("a3 b3")).unwrap();
    world.ack(one, &[1]);
    assert_eq!(pumped(&mut world), "");
    world.ack(one, &[2]);
    assert_eq!(pumped(&mut world), "1:3:a3");
    world.ack(two, &[1, 2]);
    assert_eq!(pumped(&mut world), "2:3:b3");
}

#[test]
fn those_that_wait_for_others_are_waiting_where_one_looks() {
    let (mut world, _) = two_consumers("{}", 1);
    world.publish("t", grouped("a1 a2 a3 b1 a4")).unwrap();
    assert_eq!(pumped(&mut world), "1:1:a1 2:1:b1");
    let waiting = support::waiting_in(&world.core, world.now, "t", "s").unwrap();
    let told = waiting.iter().map(|peeked| {
        assert_eq!(peeked.state, Some(MessageState::Waiting));
        world.payload(peeked.body)
    });
    assert_eq!(told.collect::<Vec<_>>(), ["a2", "a3", "a4"]);
    let info = world.core.info("t").unwrap();
    assert_eq!(info.subscriptions[0].by_priority, [3]);
    assert_eq!(info.subscriptions[0].waiting, 3);
    let saved = support::saved(&world.core);
    assert_eq!(support::saved(&support::loaded(&saved)), saved);
}

/// A consumer that finds thousands of messages of a group that another one holds passes each
/// of them once, not once for every delivery.
#[test]
fn blocked_messages_are_passed_once() {
    let (mut world, [one, two]) = two_consumers("{}", 1);
    for _ in 0..30 {
        world.publish("t", grouped(&"a ".repeat(1_000))).unwrap();
    }
    world.publish("t", grouped(&"- ".repeat(1_000))).unwrap();
    // One pump passes ten thousand at most, and the next tick goes on.
    assert_eq!(pumped(&mut world), "1:1:a");
    let mut rounds = 0;
    while world.pump().is_empty() {
        assert!(world.core.next_deadline().is_some(), "something is due");
        world.advance(1);
        world.tick();
        rounds += 1;
    }
    assert!((2..=4).contains(&rounds), "{rounds}");
    for tag in 1..1_000 {
        world.ack(two, &[tag]);
        world.ack(one, &[tag]);
        assert_eq!(world.pump().len(), 2);
        assert_eq!(world.core.next_deadline(), None, "no long look is needed");
    }
    assert_eq!(world.core.info("t").unwrap().messages, 29_001 + 1);
}

#[test]
fn a_restart_knows_the_groups() {
    let (mut world, [one, _]) = two_consumers("{}", 1);
    world.publish("t", grouped("a1 a2 b1")).unwrap();
    assert_eq!(pumped(&mut world), "1:1:a1 2:1:b1");
    world.ack(one, &[1]);
    for restarted in [world.replayed(), support::replay(&world.shortened())] {
        let saved = support::saved(&restarted);
        let mut core = support::loaded(&saved);
        core.recovered(world.now, &mut trunkline_queue::Effects::default());
        world.core = core;
        let [three, four] = [1, 2].map(|_| world.consume("t", &["s"], 1));
        let told = pumped(&mut world);
        let expected = format!("{}:1:a2 {}:1:b1!2", three.0, four.0);
        assert_eq!(told, expected);
    }
}

#[test]
fn a_group_is_as_long_as_a_key() {
    let mut world = World::new();
    let message = Message {
        group: Some("g".repeat(1_025).into()),
        ..text("x")
    };
    let refused = world.publish("t", vec![message]).unwrap_err();
    assert_eq!(refused.code(), ErrorCode::TooLarge);
}
