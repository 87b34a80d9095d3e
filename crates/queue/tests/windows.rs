//! What a topic saw within a window is stored once: keys with `dedupe: first`, publish ids.

#![allow(clippy::unwrap_used, reason = "a test says what it expects")]

mod support;

use support::{World, keyed, settings, text};
use trunkline_model::{Admin, Message, MessageId};
use trunkline_queue::Effects;

fn first_wins() -> World {
    let mut world = World::new();
    let json = r#"{"dedupe": "first", "dedupe_window": "10s", "publish_id_window": "30s"}"#;
    world.define("t", settings(json)).unwrap();
    world.subscribe("t", "s");
    world
}

fn one(world: &mut World, message: Message) -> MessageId {
    world.publish("t", vec![message]).unwrap()[0]
}

fn identified(key: &str, id: &str) -> Message {
    Message {
        publish_id: Some(id.into()),
        ..keyed(key, id)
    }
}

#[test]
fn the_first_of_a_key_is_the_one_that_is_stored() {
    let mut world = first_wins();
    let ids = world
        .publish("t", vec![keyed("k", "a"), keyed("k", "b"), text("c")])
        .unwrap();
    assert_eq!(ids[0], ids[1]);
    let stored: Vec<_> = support::stored_in(&world.core, "t")
        .iter()
        .map(|peeked| world.payload(peeked.body))
        .collect();
    assert_eq!(stored, ["a", "c"]);
    let info = world.core.info("t").unwrap();
    assert_eq!((info.published, info.duplicates, info.replaced), (2, 1, 0));
    // It is the key that counts, not whether the message is still there.
    let consumer = world.consume("t", &["s"], 9);
    world.pump();
    world.ack(consumer, &[1, 2]);
    assert_eq!(one(&mut world, keyed("k", "d")), ids[0]);
    assert!(world.live.is_empty());
    world.advance(10);
    assert_eq!(one(&mut world, keyed("k", "e")), ids[0]);
    world.advance(1);
    let again = one(&mut world, keyed("k", "f"));
    assert!(again > ids[2], "the window is over, {again}");
    assert_eq!(one(&mut world, keyed("k", "g")), again);
}

#[test]
fn windows_survive_restarts_of_all_sorts() {
    let mut world = first_wins();
    let key = one(&mut world, keyed("k", "a"));
    world.advance(2);
    let id = one(&mut world, identified("l", "p"));
    let consumer = world.consume("t", &["s"], 9);
    world.pump();
    world.ack(consumer, &[1, 2]);
    one(&mut world, text("end"));
    let cores = [
        ("the log", world.replayed()),
        (
            "what is left of the log",
            support::replay(&world.shortened()),
        ),
        (
            "a checkpoint",
            support::loaded(&support::saved(&world.core)),
        ),
    ];
    for (from, mut core) in cores {
        core.recovered(world.now, &mut Effects::default());
        std::mem::swap(&mut world.core, &mut core);
        assert_eq!(one(&mut world, keyed("k", "b")), key, "{from}");
        assert_eq!(one(&mut world, keyed("l", "c")), id, "{from}");
        assert_eq!(one(&mut world, identified("m", "p")), id, "{from}");
        std::mem::swap(&mut world.core, &mut core);
    }
    world.advance(9);
    world.restart();
    assert_ne!(one(&mut world, keyed("k", "d")), key, "11 s later");
    assert_eq!(one(&mut world, keyed("l", "e")), id, "9 s later");
}

#[test]
fn what_repeated_a_key_repeats_it_again_under_its_publish_id() {
    let mut world = first_wins();
    let first = one(&mut world, keyed("k", "a"));
    assert_eq!(one(&mut world, identified("k", "p")), first);
    world.advance(20);
    assert_eq!(one(&mut world, identified("k", "p")), first, "a retry");
    assert_ne!(one(&mut world, keyed("k", "b")), first);
}

#[test]
fn keys_count_only_where_that_is_asked_for() {
    let mut world = first_wins();
    let first = one(&mut world, keyed("k", "a"));
    let purge = Admin::Purge {
        topic: "t".parse().unwrap(),
        subscription: None,
    };
    world.manage(purge).unwrap();
    let alter = |json| Admin::Alter {
        topic: "t".parse().unwrap(),
        settings: settings(json),
        clear: Vec::new(),
    };
    world.manage(alter(r#"{"dedupe": "off"}"#)).unwrap();
    let second = one(&mut world, keyed("k", "b"));
    assert_ne!(second, first);
    world.restart();
    assert_ne!(one(&mut world, keyed("k", "c")), second);
}

#[test]
fn repeated_messages_need_no_room() {
    let mut world = first_wins();
    let alter = Admin::Alter {
        topic: "t".parse().unwrap(),
        settings: settings(r#"{"max_messages": 1}"#),
        clear: Vec::new(),
    };
    world.manage(alter).unwrap();
    let first = one(&mut world, keyed("k", "a"));
    assert_eq!(one(&mut world, keyed("k", "b")), first);
    assert!(world.publish("t", vec![text("c")]).is_err());
}
