//! Bounds of topics and subscriptions: who is refused, what is dropped.

#![allow(clippy::unwrap_used, reason = "a test says what it expects")]

mod support;

use support::{World, keyed, settings, text, texts};
use trunkline_model::{
    Admin, Error, ErrorCode, Message, Overflow, Priority, SubscriptionSettings, TopicSettings,
};

fn stored(world: &World) -> String {
    let stored = support::stored_in(&world.core, "t");
    let texts = stored.iter().map(|peeked| world.payload(peeked.body));
    texts.collect::<Vec<_>>().join(" ")
}

fn waiting(world: &World, subscription: &str) -> String {
    let waiting = support::waiting_in(&world.core, world.now, "t", subscription);
    let texts = waiting.unwrap().into_iter();
    let texts = texts.map(|peeked| world.payload(peeked.body));
    texts.collect::<Vec<_>>().join(" ")
}

fn urgent(payload: &str, priority: u8) -> Message {
    Message {
        priority: Some(Priority(priority)),
        ..text(payload)
    }
}

fn refused<T: std::fmt::Debug>(result: Result<T, Error>) -> Error {
    let error = result.unwrap_err();
    assert_eq!(error.code(), ErrorCode::Overloaded, "{error}");
    error
}

fn dropping(json: &str) -> World {
    let mut world = World::new();
    let options = TopicSettings {
        overflow: Some(Overflow::DropOldest),
        ..settings(json)
    };
    world.define("t", options).unwrap();
    world.subscribe("t", "s");
    world
}

fn bounded(world: &mut World, name: &str, json: &str) {
    let settings: SubscriptionSettings = serde_json::from_str(json).unwrap();
    let command = Admin::Subscribe {
        topic: "t".parse().unwrap(),
        subscription: name.parse().unwrap(),
        from: None,
        settings,
    };
    world.manage(command).unwrap();
}

/// What happened is the same after a restart, from the log and from a checkpoint.
fn assert_durable(world: &mut World) {
    let all = stored(world);
    let info = world.core.info("t").unwrap();
    for core in [
        world.replayed(),
        support::loaded(&support::saved(&world.core)),
    ] {
        let again = support::stored_in(&core, "t");
        assert_eq!(again.len() as u64, info.messages);
        assert_eq!(core.info("t").unwrap().dropped, info.dropped);
    }
    world.restart();
    assert_eq!(stored(world), all);
}

#[test]
fn the_oldest_makes_room_for_the_newest() {
    let mut world = dropping(r#"{"max_messages": 3}"#);
    refused(world.publish("t", texts("a b c d")));
    world.publish("t", texts("a b c")).unwrap();
    world.publish("t", texts("d e")).unwrap();
    assert_eq!(stored(&world), "c d e");
    assert_eq!(world.core.info("t").unwrap().dropped, 2);
    assert_durable(&mut world);
    world.publish("t", texts("f")).unwrap();
    assert_eq!(stored(&world), "d e f");
}

#[test]
fn the_least_urgent_goes_first_be_it_the_newest() {
    let mut world = dropping(r#"{"max_messages": 2, "priorities": 3}"#);
    world
        .publish("t", vec![urgent("a", 1), urgent("b", 2)])
        .unwrap();
    world.publish("t", vec![urgent("c", 0)]).unwrap();
    assert_eq!(stored(&world), "a c");
    let ids = world.publish("t", vec![urgent("d", 2)]).unwrap();
    assert_eq!(
        stored(&world),
        "a c",
        "nothing less urgent than d was there"
    );
    assert_eq!(ids[0].sequence, 4);
    assert_eq!(world.core.info("t").unwrap().dropped, 2);
    assert_durable(&mut world);
}

#[test]
fn what_is_in_flight_stays() {
    let mut world = dropping(r#"{"max_messages": 2}"#);
    let consumer = world.consume("t", &["s"], 2);
    world.subscribe("t", "other");
    world.publish("t", texts("a b")).unwrap();
    assert_eq!(world.pump_text(), "1:a 2:b");
    let error = refused(world.publish("t", texts("c")));
    assert_eq!(
        error.message(),
        "topic t has no room: its max_messages is 2, and beside what is in flight these messages \
         are too many; acknowledge some, send fewer, or raise it"
    );
    world.ack(consumer, &[1]);
    world.publish("t", texts("c")).unwrap();
    assert_eq!(stored(&world), "b c", "a waited in the other one only");
    world.nack(consumer, &[2], true, 60);
    world.publish("t", texts("d")).unwrap();
    assert_eq!(stored(&world), "c d", "a delayed one is not in flight");
    assert_durable(&mut world);
}

#[test]
fn bytes_make_room_too() {
    let mut world = dropping(r#"{"max_bytes": 10}"#);
    world.publish("t", texts("aaa bbb ccc")).unwrap();
    world.publish("t", texts("dddd")).unwrap();
    assert_eq!(stored(&world), "bbb ccc dddd");
    refused(world.publish("t", texts("eeeeeeeeeee")));
    world.publish("t", texts("eeeeeeeeee")).unwrap();
    assert_eq!(stored(&world), "eeeeeeeeee");
    world.publish("t", vec![text("")]).unwrap();
    assert_eq!(stored(&world), "eeeeeeeeee ");
    assert_durable(&mut world);
}

#[test]
fn kept_messages_and_keys_are_dropped_alike() {
    let mut world = World::new();
    let json = r#"{"max_messages": 2, "overflow": "drop-oldest", "dedupe": "latest"}"#;
    world.define("t", settings(json)).unwrap();
    world
        .publish("t", vec![keyed("k", "a"), text("b")])
        .unwrap();
    world.publish("t", vec![keyed("k", "c")]).unwrap();
    assert_eq!(stored(&world), "b c", "a was replaced, nothing dropped");
    world.publish("t", texts("d e")).unwrap();
    assert_eq!(stored(&world), "d e");
    world.publish("t", vec![keyed("k", "f")]).unwrap();
    assert_eq!(stored(&world), "e f");
    world.subscribe("t", "s");
    assert_eq!(waiting(&world, "s"), "e f");
    assert_durable(&mut world);
}

#[test]
fn a_bound_that_was_lowered_is_reached_with_later_publishes() {
    let mut world = dropping("{}");
    for _ in 0..3 {
        world.publish("t", vec![text("x"); 1_000]).unwrap();
    }
    let alter = Admin::Alter {
        topic: "t".parse().unwrap(),
        settings: settings(r#"{"max_messages": 10}"#),
        clear: Vec::new(),
    };
    world.manage(alter).unwrap();
    let messages = |world: &World| world.core.info("t").unwrap().messages;
    assert_eq!(messages(&world), 3_000);
    world.publish("t", texts("y")).unwrap();
    assert_eq!(messages(&world), 2_001, "a thousand at a time");
    world.publish("t", texts("y y")).unwrap();
    world.publish("t", texts("y")).unwrap();
    assert_eq!(messages(&world), 10);
    assert_durable(&mut world);
}

#[test]
fn a_full_subscription_refuses_for_all_or_drops_its_own() {
    let mut world = World::new();
    world.define("t", TopicSettings::default()).unwrap();
    bounded(&mut world, "strict", r#"{"max_messages": 3}"#);
    bounded(
        &mut world,
        "latest",
        r#"{"max_messages": 1, "overflow": "drop-oldest"}"#,
    );
    world.subscribe("t", "all");
    for payload in ["a", "b", "c"] {
        world.publish("t", texts(payload)).unwrap();
    }
    assert_eq!(waiting(&world, "latest"), "c");
    assert_eq!(waiting(&world, "all"), "a b c");
    let error = refused(world.publish("t", texts("d")));
    assert_eq!(
        error.message(),
        "subscription strict of topic t is full: its max_messages is 3; consume or purge, or raise it"
    );
    let data = error.data().unwrap();
    assert_eq!(
        (&data["subscription"], &data["max"]),
        (&"strict".into(), &3.into())
    );
    // What is in flight does not wait.
    let consumer = world.consume("t", &["strict"], 2);
    assert_eq!(world.pump_text(), "1:a 2:b");
    world.publish("t", texts("d")).unwrap();
    world.publish("t", texts("e")).unwrap();
    refused(world.publish("t", texts("f")));
    world.nack(consumer, &[1, 2], true, 0);
    assert_eq!(
        waiting(&world, "strict"),
        "a b c d e",
        "what returns is never refused"
    );
    assert_eq!(waiting(&world, "latest"), "e");
    assert_durable(&mut world);
    refused(world.publish("t", texts("f g h i")));
    let info = world.core.info("t").unwrap();
    assert_eq!((info.messages, info.dropped), (5, 4));
}

#[test]
fn a_subscription_drops_by_its_own_order() {
    let mut world = World::new();
    world.define("t", settings(r#"{"priorities": 2}"#)).unwrap();
    bounded(
        &mut world,
        "s",
        r#"{"max_bytes": 4, "overflow": "drop-oldest"}"#,
    );
    world
        .publish("t", vec![urgent("aa", 1), urgent("bb", 0)])
        .unwrap();
    world.publish("t", vec![urgent("c", 1)]).unwrap();
    assert_eq!(waiting(&world, "s"), "bb c");
    world.publish("t", vec![urgent("ddd", 1)]).unwrap();
    assert_eq!(waiting(&world, "s"), "bb");
    assert_eq!(stored(&world), "bb", "nobody else had them");
    assert_durable(&mut world);
}
