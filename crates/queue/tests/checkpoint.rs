//! A state that is saved and loaded is the one that the whole log would have made.

#![allow(clippy::unwrap_used, reason = "a test says what it expects")]

mod support;

use proptest::prelude::*;
use std::time::Duration;
use support::{World, assert_same_from, keyed, loaded, replay, saved, settings, spec, text, texts};
use trunkline_model::{Admin, Message, Priority, When};
use trunkline_queue::{CheckpointError, Core, CoreConfig};

/// A world with something of everything that is remembered.
fn full() -> World {
    let mut world = World::new();
    let options = r#"{"priorities": 3, "dedupe": "latest", "ack_timeout": "30s"}"#;
    world.define("orders", settings(options)).unwrap();
    world.subscribe("orders", "s");
    world.subscribe("orders", "t");
    let urgent = |priority: u8, message: Message| Message {
        priority: Some(Priority(priority)),
        ..message
    };
    let known = |id: &str, message: Message| Message {
        publish_id: Some(id.into()),
        ..message
    };
    for n in 0..200 {
        let message = keyed(&format!("k{}", n % 90), &"x".repeat(n));
        let message = urgent((n % 3) as u8, known(&format!("id{n}"), message));
        world
            .publish("orders", vec![message, text("plain")])
            .unwrap();
        world.now = world.now.after(Duration::from_millis(3));
    }
    let expiring = Message {
        expires: Some(When::After(Duration::from_secs(60))),
        ..text("mayfly")
    };
    world.publish("orders", vec![expiring]).unwrap();
    let consumer = world.consume("orders", &["s"], 20);
    world.pump();
    world.ack(consumer, &[1, 3, 5]);
    world.nack(consumer, &[2, 4], true, 500);
    world.nack(consumer, &[6], true, 0);
    world.pump();
    // Takes over places that are not its own.
    let newer = (0..40).map(|n| urgent(0, keyed(&format!("k{n}"), "newer")));
    world.publish("orders", newer.collect()).unwrap();

    world.publish("kept", texts("no subscription yet")).unwrap();
    world
        .define("dropped", settings(r#"{"unsubscribed": "drop"}"#))
        .unwrap();
    world.publish("dropped", texts("a b")).unwrap();
    world.define("empty", settings("{}")).unwrap();
    world.define("deleted", settings("{}")).unwrap();
    world
        .manage(Admin::Delete {
            topic: "deleted".parse().unwrap(),
        })
        .unwrap();
    world
}

#[test]
fn messages_in_memory_are_forgotten_and_their_identities_are_not() {
    let mut world = full();
    world
        .define("memory", settings(r#"{"durability": "memory"}"#))
        .unwrap();
    world.subscribe("memory", "m");
    let id = world.publish("memory", texts("gone at a restart")).unwrap()[3];
    world.core = loaded(&saved(&world.core));
    let info = world.core.info("memory").unwrap();
    assert_eq!((info.messages, info.published), (0, 4));
    assert!(world.publish("memory", texts("fresh")).unwrap()[0] > id);
}

/// The definition's first reservation was the only one in the log until half of it was used:
/// each later run without a clean stop began where the one before had begun.
#[test]
fn no_run_gives_out_what_an_earlier_one_gave_out() {
    let mut world = World::new();
    let in_memory = settings(r#"{"durability": "memory"}"#);
    world.define("memory", in_memory).unwrap();
    world.subscribe("memory", "m");
    let mut last = None;
    for run in 0..5 {
        let ids = world.publish("memory", texts("a b c")).unwrap();
        assert!(ids.first().copied() > last, "run {run}");
        last = ids.last().copied();
        world.restart();
    }
}

#[test]
fn from_any_point_of_the_log_on_it_is_the_same() {
    let world = full();
    for cut in 0..=world.log.len() {
        assert_same_from(&world.log, cut);
    }
}

#[test]
fn what_runs_is_what_is_loaded() {
    let mut world = full();
    let bytes = saved(&world.core);
    let mut core = loaded(&bytes);
    assert!(saved(&core) == bytes, "saved again");
    assert_eq!(core.next_deadline(), world.core.next_deadline());
    for name in ["orders", "kept", "dropped", "empty"] {
        let (ours, theirs) = (core.info(name).unwrap(), world.core.info(name).unwrap());
        assert_eq!(ours.messages, theirs.messages, "{name}");
        assert_eq!(ours.published, theirs.published, "{name}");
    }
    assert!(core.info("deleted").is_err());
    let (mut bodies, mut halves) = (0, 0);
    core.bodies(&mut |_, _| bodies += 1);
    core.upper_halves(&mut |_, count, _| halves += count);
    assert_eq!(bodies, halves);

    // Both go on alike: the same publish ids are known, the same identities come next.
    let again = Message {
        publish_id: Some("id199".into()),
        ..text("again")
    };
    let messages = vec![again, text("next")];
    let theirs = world.publish("orders", messages.clone()).unwrap();
    std::mem::swap(&mut world.core, &mut core);
    let ours = world.publish("orders", messages).unwrap();
    assert_eq!(ours, theirs);
    assert!(world.attach(spec("orders", &["s"], 5)).is_ok());
}

#[test]
fn another_version_is_refused_by_name() {
    let mut bytes = saved(&full().core);
    bytes[0] = 3;
    let refused = Core::new(CoreConfig::default()).load(&bytes).unwrap_err();
    assert_eq!(refused, CheckpointError::Version(3));
    assert_eq!(
        refused.to_string(),
        "it has version 3; this program reads version 2"
    );
    bytes[0] = 2;
    bytes.push(0);
    let refused = Core::new(CoreConfig::default()).load(&bytes).unwrap_err();
    assert_eq!(refused, CheckpointError::Invalid("last bytes"));
}

#[test]
fn what_is_cut_short_is_refused_wherever_it_ends() {
    let world = full();
    let bytes = saved(&replay(&world.log));
    for end in 0..bytes.len() {
        let refused = Core::new(CoreConfig::default()).load(&bytes[..end]);
        assert!(refused.is_err(), "{end} of {} bytes", bytes.len());
    }
}

proptest! {
    /// Changed bytes are caught by checksums; even without them, loading survives.
    #[test]
    fn changed_bytes_are_survived(
        at in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        let world = full();
        let mut bytes = saved(&world.core);
        for (at, byte) in at {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        let mut core = Core::new(CoreConfig::default());
        if core.load(&bytes).is_ok() {
            core.bodies(&mut |_, _| {});
        }
    }
}
