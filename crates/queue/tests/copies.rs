//! What is logged again so that the front of the log can go: messages, definitions, ids.

#![allow(clippy::unwrap_used, reason = "a test says what it expects")]

mod support;

use support::{World, replay, saved, settings, text, texts};
use trunkline_model::{Message, Timestamp};
use trunkline_queue::{BodyRef, Core, Defined, Effects, KIND_PUT, Record};

fn known(id: &str) -> Message {
    Message {
        publish_id: Some(id.into()),
        ..text("x")
    }
}

/// Topics with several subscriptions and more ids than one record takes.
fn world() -> World {
    let mut world = World::new();
    for topic in ["a", "b", "c"] {
        world.define(topic, settings("{}")).unwrap();
        for subscription in ["s", "t", "u"] {
            world.subscribe(topic, subscription);
        }
        let messages = (0..2_300).map(|n| known(&n.to_string())).collect();
        world.publish(topic, messages).unwrap();
    }
    world
        .define("memory", settings(r#"{"durability": "memory"}"#))
        .unwrap();
    world
}

fn records(effects: &Effects) -> Vec<(u8, Vec<u8>)> {
    let records = effects.log.iter();
    records
        .map(|(kind, bytes)| (kind, bytes.to_vec()))
        .collect()
}

#[test]
fn definitions_come_in_pieces_of_any_size() {
    let world = world();
    let mut whole = Effects::default();
    world.core.definitions(&mut whole);
    for bytes_max in [0, 1, 100, 1_000, 30_000] {
        let (mut from, mut pieces) = (Defined::default(), Vec::new());
        loop {
            let mut piece = Effects::default();
            let is_done = world.core.define_again(&mut from, bytes_max, &mut piece);
            // One record may be longer than is left.
            assert!(piece.log.byte_len() <= bytes_max + 12_000, "{bytes_max}");
            pieces.extend(records(&piece));
            if is_done {
                break;
            }
            assert!(!piece.log.is_empty(), "each piece says something");
        }
        assert_eq!(pieces, records(&whole), "{bytes_max}");
    }
}

/// Between two pieces topics and subscriptions may come and go: what changes is logged by
/// itself, and nothing that is gone comes back.
#[test]
fn what_changes_between_pieces_is_not_lost() {
    let mut world = world();
    let mut from = Defined::default();
    let start = world.log.len();
    for round in 0..1_000 {
        let mut piece = Effects::default();
        let is_done = world.core.define_again(&mut from, 50, &mut piece);
        for (kind, bytes) in records(&piece) {
            let body = BodyRef(0);
            world.log.push(support::Logged { kind, bytes, body });
        }
        if is_done {
            break;
        }
        let name = |what: &str| format!("{what}{round}").parse().unwrap();
        world.define(&format!("d{round}"), settings("{}")).unwrap();
        world.subscribe("b", &format!("n{round}"));
        world
            .publish("b", vec![known(&format!("new {round}"))])
            .unwrap();
        if round == 3 {
            let unsubscribe = trunkline_model::Admin::Unsubscribe {
                topic: "b".parse().unwrap(),
                subscription: name("n"),
            };
            world.manage(unsubscribe).unwrap();
            let topic = "c".parse().unwrap();
            world
                .manage(trunkline_model::Admin::Delete { topic })
                .unwrap();
        }
    }
    let expected = saved(&world.replayed());
    // The puts of before, and everything since the first piece.
    let (before, since) = world.log.split_at(start);
    let puts = before.iter().filter(|logged| logged.kind == KIND_PUT);
    let shortened: Vec<_> = puts.chain(since).cloned().collect();
    assert!(saved(&replay(&shortened)) == expected);
}

/// An id that was forgotten is not remembered again because its message was copied, nor is a
/// message counted again.
#[test]
fn a_copy_is_neither_counted_nor_remembered() {
    let mut world = World::new();
    world.subscribe("t", "s");
    world
        .publish("t", vec![known("early"), text("plain")])
        .unwrap();
    world.compact(2);
    let copies = world.log.iter().filter(|logged| logged.kind == KIND_PUT);
    let copies: Vec<_> = copies.collect();
    assert_eq!(copies.len(), 2);
    let mut core = Core::new(Default::default());
    for logged in copies {
        let record = Record::decode(logged.kind, &logged.bytes).unwrap();
        assert!(record.describe().contains("copy"), "{}", record.describe());
        core.replay(record, logged.body).unwrap();
    }
    let mut out = Effects::default();
    core.define_again(&mut Defined::default(), usize::MAX / 2, &mut out);
    let remembered = |(kind, bytes): &(u8, Vec<u8>)| {
        matches!(Record::decode(*kind, bytes), Ok(Record::Remember(_)))
    };
    assert!(!records(&out).iter().any(remembered));
    // In the log there is a record for it, as long as it is in its window.
    let ids = world.publish("t", vec![known("early")]).unwrap();
    world.restart();
    assert_eq!(world.publish("t", vec![known("early")]).unwrap(), ids);
    assert_eq!(world.core.info("t").unwrap().published, 2);
    assert_eq!(world.core.next_deadline(), None::<Timestamp>);
    assert!(world.publish("t", texts("new")).unwrap() > ids);
}
