//! Records say in a line what they are, and no bytes make reading them panic.

#![allow(clippy::unwrap_used, reason = "a test says what it expects")]

mod support;

use proptest::prelude::*;
use support::{World, keyed, settings, text, texts};
use trunkline_model::{Admin, Headers, Message, Priority, Timestamp, When};
use trunkline_queue::{BodyRef, Core, CoreConfig, KIND_PUT, Record, RecordError, decode_message};

/// A world that has logged a record of every kind.
fn eventful() -> World {
    let mut world = World::new();
    let options = r#"{"priorities": 3, "dedupe": "latest", "ttl": "9s"}"#;
    world.define("orders", settings(options)).unwrap();
    let consumer = world.consume("orders", &["s"], 3);
    world.subscribe("orders", "t");
    let first = Message {
        publish_id: Some("p".into()),
        ..keyed("k", "a")
    };
    world
        .publish("orders", vec![first, text("b"), text("c")])
        .unwrap();
    world.publish("orders", vec![keyed("k", "d")]).unwrap();
    world.pump();
    world.ack(consumer, &[1]);
    world.nack(consumer, &[2], true, 5);
    world.nack(consumer, &[3], false, 0);
    world
        .manage(Admin::Purge {
            topic: "orders".parse().unwrap(),
            subscription: None,
        })
        .unwrap();
    world.publish("orders", texts("z")).unwrap();
    world.advance(10);
    world.tick();
    world
        .manage(Admin::Unsubscribe {
            topic: "orders".parse().unwrap(),
            subscription: "t".parse().unwrap(),
        })
        .unwrap();
    world
        .manage(Admin::Delete {
            topic: "orders".parse().unwrap(),
        })
        .unwrap();
    world
        .define("d", settings(r#"{"unsubscribed": "drop"}"#))
        .unwrap();
    world.publish("d", texts("x")).unwrap();
    world
        .publish(
            "e",
            vec![Message {
                publish_id: Some("q".into()),
                ..text("y")
            }],
        )
        .unwrap();
    let definitions = world.shortened();
    world.log.extend(definitions);
    world
}

#[test]
fn every_record_is_a_line() {
    let world = eventful();
    let describe = |logged: &support::Logged| {
        Record::decode(logged.kind, &logged.bytes)
            .unwrap()
            .describe()
    };
    let lines: Vec<_> = world.log.iter().map(describe).collect();
    let expected = include_str!("../testdata/records.txt");
    assert_eq!(lines.join("\n"), expected.trim_end());
}

#[test]
fn messages_round_trip() {
    let mut headers = Headers::new();
    headers.push("a", "1");
    headers.push("a", "");
    let full = Message {
        payload: vec![0, 255, 10].into(),
        content_type: "application/json".into(),
        key: Some("k".into()),
        publish_id: Some("p".into()),
        priority: Some(Priority(2)),
        expires: Some(When::At(Timestamp::from_micros(u64::MAX - 1))),
        headers,
        traceparent: Some("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".into()),
        ..Message::default()
    };
    let mut world = World::new();
    world.define("t", settings(r#"{"priorities": 3}"#)).unwrap();
    world
        .publish("t", vec![full.clone(), Message::default()])
        .unwrap();
    let stored: Vec<_> = world.messages.values().cloned().collect();
    assert_eq!(
        (
            &stored[0].payload,
            &stored[0].content_type,
            &stored[0].key,
            &stored[0].headers
        ),
        (&full.payload, &full.content_type, &full.key, &full.headers)
    );
    assert_eq!(
        (
            stored[0].priority,
            stored[0].expires_at,
            &stored[0].publish_id,
            &stored[0].traceparent
        ),
        (
            Priority(2),
            Some(Timestamp::from_micros(u64::MAX - 1)),
            &full.publish_id,
            &full.traceparent
        )
    );
    assert_eq!(
        (stored[1].priority, stored[1].payload.len()),
        (Priority(1), 0)
    );
}

#[test]
fn the_payload_is_a_slice_of_the_record() {
    let mut world = World::new();
    world.publish("t", texts("payload")).unwrap();
    let put = world
        .log
        .iter()
        .find(|logged| logged.kind == KIND_PUT)
        .unwrap();
    let record = bytes::Bytes::from(put.bytes.clone());
    let message = decode_message(record.clone()).unwrap();
    assert!(record.as_ptr_range().contains(&message.payload.as_ptr()));
}

#[test]
fn records_of_later_versions_are_refused() {
    assert_eq!(
        Record::decode(99, &[]).unwrap_err(),
        RecordError::UnknownKind(99)
    );
    let says = Record::decode(KIND_PUT, &[]).unwrap_err().to_string();
    assert_eq!(says, "a put record has no valid topic");
}

proptest! {
    #[test]
    fn garbage_is_refused_without_panic(kind in 0u8..26, bytes in prop::collection::vec(any::<u8>(), 0..60)) {
        if let Ok(record) = Record::decode(kind, &bytes) {
            record.describe();
        }
        let _ = decode_message(bytes.into());
    }

    /// Real records with a byte changed: they may be read as something else, but never panic.
    #[test]
    fn damage_is_survived(which in any::<prop::sample::Index>(), at in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let world = eventful();
        let mut logged = which.get(&world.log).clone();
        let index = at.index(logged.bytes.len());
        logged.bytes[index] = byte;
        if let Ok(record) = Record::decode(logged.kind, &logged.bytes) {
            record.describe();
            let _ = Core::new(CoreConfig::default()).replay(record, BodyRef(1));
        }
        let _ = decode_message(logged.bytes.into());
    }
}
