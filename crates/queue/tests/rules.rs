//! The rules of DESIGN.md §4 that the vectors don't speak of, one test each.

#![allow(clippy::unwrap_used, reason = "a test says what it expects")]

mod support;

use support::{World, keyed, message_of, settings, spec, text, texts, waiting};
use trunkline_model::{
    Admin, Batch, Command, ConsumeSpec, ConsumerId, Delivery, DeliveryTag, Durability, ErrorCode,
    Message, MessageId, Outcome, Priority, StartFrom, SubscriptionSettings, Timestamp,
    TopicSettings,
};
use trunkline_queue::{Core, CoreConfig, Effects, KIND_PUT};

fn published(id: &str) -> Message {
    Message {
        publish_id: Some(id.into()),
        ..text(id)
    }
}

fn subscribe_from(world: &mut World, name: &str, from: Option<StartFrom>) -> (bool, u64) {
    let outcome = world.manage(Admin::Subscribe {
        topic: "t".parse().unwrap(),
        subscription: name.parse().unwrap(),
        from,
        settings: SubscriptionSettings::default(),
    });
    match outcome {
        Ok(Outcome::Subscribed { created, released }) => (created, released),
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_nobody_subscribes_to_is_kept_for_the_first() {
    let mut world = World::new();
    world.publish("t", texts("a b")).unwrap();
    assert_eq!(subscribe_from(&mut world, "first", None), (true, 0));
    assert_eq!(
        subscribe_from(&mut world, "first", Some(StartFrom::New)),
        (false, 0)
    );
    assert_eq!(subscribe_from(&mut world, "second", None), (true, 0));
    assert_eq!(
        subscribe_from(&mut world, "all", Some(StartFrom::All)),
        (true, 0)
    );
    world.publish("t", texts("c")).unwrap();
    world.restart();
    assert_eq!(waiting(&world, "first"), "a b c");
    assert_eq!(waiting(&world, "second"), "c");
    assert_eq!(waiting(&world, "all"), "a b c");
}

#[test]
fn an_explicit_new_as_the_first_releases_what_was_kept() {
    let mut world = World::new();
    world.publish("t", texts("a b")).unwrap();
    assert_eq!(
        subscribe_from(&mut world, "s", Some(StartFrom::New)),
        (true, 2)
    );
    assert!(world.live.is_empty());
    world.restart();
    assert_eq!(waiting(&world, "s"), "");
    assert_eq!(world.core.info("t").unwrap().messages, 0);
}

#[test]
fn unsubscribed_drop_and_reject() {
    let mut world = World::new();
    world
        .define("t", settings(r#"{"unsubscribed": "drop"}"#))
        .unwrap();
    let first = world.publish("t", texts("a")).unwrap()[0];
    let info = world.core.info("t").unwrap();
    assert_eq!((info.published, info.dropped, info.messages), (1, 1, 0));
    world.restart();
    let second = world.publish("t", texts("b")).unwrap()[0];
    assert!(
        second > first,
        "a sequence is not used twice, though no put told of it"
    );

    world
        .define("r", settings(r#"{"unsubscribed": "reject"}"#))
        .unwrap();
    assert_eq!(
        message_of(world.publish("r", texts("a"))),
        (
            ErrorCode::NotFound,
            "topic r takes no messages while it has no subscription; make one first".into()
        )
    );
    world.subscribe("r", "s");
    assert!(world.publish("r", texts("a")).is_ok());
}

#[test]
fn competing_consumers_take_turns() {
    let mut world = World::new();
    let [a, b] = [3, 2].map(|credit| world.consume("t", &["s"], credit));
    world.publish("t", texts("1 2 3 4 5 6 7")).unwrap();
    let whose: Vec<_> = world.pump().iter().map(|d| d.consumer).collect();
    assert_eq!(whose, [a, b, a, b, a]);
    world.ack(a, &[1, 2]);
    let whose: Vec<_> = world.pump().iter().map(|d| d.consumer).collect();
    assert_eq!(whose, [a, a]);
}

#[test]
fn the_sources_of_a_consumer_take_turns() {
    let mut world = World::new();
    let spec = ConsumeSpec {
        sources: ["x", "y"]
            .map(|topic| spec(topic, &["s"], 0).sources.remove(0))
            .into(),
        ..spec("x", &["s"], 1)
    };
    let (consumer, consuming) = world.attach(spec).unwrap();
    assert_eq!(consuming.created, 2);
    world.publish("x", texts("x1 x2 x3")).unwrap();
    world.publish("y", texts("y1 y2 y3")).unwrap();
    let mut got = Vec::new();
    for tag in 1..=6 {
        got.push(world.pump_text());
        world.ack(consumer, &[tag]);
    }
    assert_eq!(got, ["1:x1", "2:y1", "3:x2", "4:y2", "5:x3", "6:y3"]);
}

#[test]
fn the_window_bounds_bytes_but_lets_one_through() {
    let mut world = World::new();
    let spec = ConsumeSpec {
        window_bytes: 2 * Delivery::weight_of(2),
        ..spec("t", &["s"], 9)
    };
    let (consumer, _) = world.attach(spec).unwrap();
    let large = "L".repeat(600);
    world
        .publish("t", texts(&format!("{large} 12 34 5")))
        .unwrap();
    assert_eq!(world.pump_text(), format!("1:{large}"));
    world.ack(consumer, &[1]);
    assert_eq!(world.pump_text(), "", "an ack frees no window");
    world.core.taken(consumer, Delivery::weight_of(600));
    assert_eq!(world.pump_text(), "2:12 3:34");
    world.core.taken(consumer, Delivery::weight_of(2));
    assert_eq!(world.pump_text(), "4:5");
}

#[test]
fn auto_ack_settles_at_hand_over() {
    let mut world = World::new();
    let spec = ConsumeSpec {
        auto_ack: true,
        ..spec("t", &["s"], 1)
    };
    world.attach(spec).unwrap();
    world.publish("t", texts("a b c")).unwrap();
    assert_eq!(world.pump_text(), "1:a 2:b 3:c");
    assert!(world.live.is_empty(), "nobody needs the bodies after this");
    world.restart();
    assert_eq!(waiting(&world, "s"), "");
}

#[test]
fn a_batch_follows_only_on_a_settled_one() {
    let mut world = World::new();
    world
        .define("t", settings(r#"{"delivery": "batch"}"#))
        .unwrap();
    let consumer = world.consume("t", &["s"], 2);
    world.publish("t", texts("a b c d")).unwrap();
    assert_eq!(world.pump_text(), "1:a 2:b");
    world.ack(consumer, &[1]);
    assert_eq!(world.pump_text(), "");
    world.nack(consumer, &[2], true, 0);
    assert_eq!(world.pump_text(), "3:b!2 4:c");
    world.ack(consumer, &[3, 4]);
    assert_eq!(world.pump_text(), "5:d");
}

#[test]
fn a_publish_id_stands_for_the_first_message() {
    let mut world = World::new();
    world.subscribe("t", "s");
    let ids = world.publish("t", vec![published("p"), published("q"), published("p")]);
    let ids = ids.unwrap();
    assert_eq!(ids[0], ids[2]);
    let consumer = world.consume("t", &["s"], 9);
    assert_eq!(world.pump_text(), "1:p 2:q");
    world.ack(consumer, &[1, 2]);

    world.restart();
    world.advance(120);
    assert_eq!(world.publish("t", vec![published("p")]).unwrap(), [ids[0]]);
    world.log = world.shortened();
    world.restart();
    assert_eq!(world.publish("t", vec![published("p")]).unwrap(), [ids[0]]);
    assert_eq!(waiting(&world, "s"), "");
    world.advance(1);
    assert_ne!(world.publish("t", vec![published("p")]).unwrap(), [ids[0]]);
    assert_eq!(waiting(&world, "s"), "p");
}

#[test]
fn a_strict_batch_applies_all_or_nothing() {
    let mut world = World::new();
    let consumer = world.consume("t", &["s"], 9);
    world.publish("t", texts("a b")).unwrap();
    world.pump();
    let ack = |tags: &[u64]| Command::Ack {
        consumer,
        tags: tags.iter().map(|tag| DeliveryTag(*tag)).collect(),
    };
    let publish = Command::Publish {
        topic: "t".parse().unwrap(),
        messages: [text("c")].into(),
    };
    for tags in [&[1, 3][..], &[1, 1], &[0]] {
        let batch = Batch {
            commands: [publish.clone(), ack(tags)].into_iter().collect(),
            strict: true,
        };
        assert_eq!(message_of(world.submit(batch)).0, ErrorCode::Conflict);
    }
    let info = world.core.info("t").unwrap();
    assert_eq!((info.messages, info.subscriptions[0].in_flight), (2, 2));
    let receipt = world.submit(Batch::of(ack(&[1, 3, 1]))).unwrap();
    assert_eq!((receipt.acked, receipt.skipped), (1, 2));
    let strict = Batch {
        commands: [ack(&[2])].into_iter().collect(),
        strict: true,
    };
    assert_eq!(world.submit(strict).unwrap().acked, 1);
    assert_eq!(
        world.core.info("t").unwrap().subscriptions[0].late,
        1,
        "3 was never given"
    );
}

#[test]
fn a_batch_with_one_bad_message_does_nothing() {
    let mut world = World::new();
    let commands = ["new", "t"].map(|topic| Command::Publish {
        topic: topic.parse().unwrap(),
        messages: [
            text("good"),
            Message {
                priority: (topic == "t").then_some(Priority(1)),
                ..text("bad")
            },
        ]
        .into_iter()
        .collect(),
    });
    let batch = Batch {
        commands: commands.into_iter().collect(),
        strict: false,
    };
    assert_eq!(
        message_of(world.submit(batch)),
        (
            ErrorCode::InvalidParams,
            "priority 1 of a message for topic t; it must be at most 0".into()
        )
    );
    assert!(world.log.is_empty() && world.core.list(None, 9).is_empty());
}

#[test]
fn a_full_topic_refuses() {
    let mut world = World::new();
    let options = r#"{"max_messages": 2, "max_bytes": 10, "dedupe": "latest"}"#;
    world.define("t", settings(options)).unwrap();
    assert_eq!(
        message_of(world.publish("t", texts("a b c"))),
        (
            ErrorCode::Overloaded,
            "topic t is full: its max_messages is 2; consume or purge, or raise it".into()
        )
    );
    world
        .publish("t", vec![keyed("k", "a"), text("b")])
        .unwrap();
    assert_eq!(
        message_of(world.publish("t", texts("c"))).0,
        ErrorCode::Overloaded
    );
    world.publish("t", vec![keyed("k", "c")]).unwrap();
    let too_much = world.publish("t", vec![keyed("k", "123456789")]);
    assert_eq!(message_of(too_much).0, ErrorCode::Overloaded);
}

#[test]
fn topics_are_declared_once() {
    let mut world = World::new();
    let declared = world.define("t", settings(r#"{"priorities": 3}"#));
    assert!(matches!(declared, Ok(Outcome::Defined { created: true })));
    let again = world.define("t", settings(r#"{"priorities": 3, "ttl": null}"#));
    assert!(matches!(again, Ok(Outcome::Defined { created: false })));
    assert_eq!(
        message_of(world.define(
            "t",
            settings(r#"{"priorities": 5, "durability": "memory"}"#)
        )),
        (
            ErrorCode::Conflict,
            "topic t is declared differently: priorities is 3, asked for 5; \
             durability is \"commit\", asked for \"memory\""
                .into()
        )
    );
    world.subscribe("t", "s");
    let other = Admin::Subscribe {
        topic: "t".parse().unwrap(),
        subscription: "s".parse().unwrap(),
        from: None,
        settings: serde_json::from_str(r#"{"ack_timeout": "5s"}"#).unwrap(),
    };
    assert_eq!(
        message_of(world.manage(other)),
        (
            ErrorCode::Conflict,
            "subscription s of topic t is declared differently: \
             ack_timeout is \"0s\", asked for \"5s\""
                .into()
        )
    );
}

#[test]
fn topics_are_not_made_where_that_is_off() {
    let mut world = World::with(CoreConfig {
        auto_create: false,
        ..CoreConfig::default()
    });
    let says = "no topic t; declare it first, topics are not made on first use here";
    let refused = (ErrorCode::NotFound, says.to_owned());
    assert_eq!(message_of(world.publish("t", texts("a"))), refused);
    assert_eq!(message_of(world.attach(spec("t", &["s"], 1))), refused);
    world.define("t", TopicSettings::default()).unwrap();
    assert!(world.publish("t", texts("a")).is_ok());
    let refused = message_of(World::new().publish("_own", texts("a")));
    assert_eq!(refused.0, ErrorCode::NotFound);
}

#[test]
fn a_consumer_needs_distinct_sources() {
    let mut world = World::new();
    for sources in [&[][..], &["s", "s"]] {
        let refused = message_of(world.attach(spec("t", sources, 1)));
        assert_eq!(refused.0, ErrorCode::InvalidParams);
    }
    assert!(world.core.list(None, 9).is_empty());
}

#[test]
fn memory_topics_log_their_definition_only() {
    let mut world = World::new();
    world
        .define("t", settings(r#"{"durability": "memory"}"#))
        .unwrap();
    let consumer = world.consume("t", &["s"], 9);
    let definitions = world.log.len();
    let first = world.publish("t", texts("a b")).unwrap();
    let cost = world.core.check(
        world.now,
        &Batch::of(Command::Publish {
            topic: "t".parse().unwrap(),
            messages: [text("c")].into(),
        }),
    );
    let cost = cost.unwrap();
    assert_eq!((cost.durability, cost.logs), (Durability::Memory, false));
    assert_eq!(world.pump_text(), "1:a 2:b");
    world.ack(consumer, &[1]);
    assert_eq!(
        (world.log.len(), world.core.waiting_units()),
        (definitions, 0)
    );
    world.live.clear();
    world.restart();
    assert_eq!(waiting(&world, "s"), "");
    let second = world.publish("t", texts("c")).unwrap();
    assert!(second[0] > first[1], "identities are not reused");
}

#[test]
fn transient_topics_leave_no_trace() {
    let mut world = World::new();
    let transient = TopicSettings {
        transient: true,
        ..settings(r#"{"durability": "memory"}"#)
    };
    world.define("_calls", transient).unwrap();
    world.consume("_calls", &["w"], 1);
    world.publish("_calls", texts("a")).unwrap();
    world.pump();
    assert!(world.log.is_empty() && world.core.list(None, 9).is_empty());
    let mut effects = Effects::default();
    world.core.definitions(&mut effects);
    assert_eq!(effects.log.len(), 1, "the counter of topic numbers");
}

#[test]
fn numbers_are_never_reused() {
    let mut world = World::new();
    let mut last = MessageId {
        topic: 0,
        sequence: 0,
    };
    for _ in 0..3 {
        let id = world.publish("t", texts("a")).unwrap()[0];
        assert!(id.topic > last.topic);
        last = id;
        world
            .manage(Admin::Delete {
                topic: "t".parse().unwrap(),
            })
            .unwrap();
        // All that is left of the topic is that its number was given.
        world.log = world.shortened();
        world.restart();
    }
    let consumer = world.consume("t", &["s"], 1);
    let first = world.publish("t", texts("a")).unwrap()[0];
    world.pump();
    world.ack(consumer, &[1]);
    world.log = world.shortened();
    world.restart();
    assert!(world.publish("t", texts("a")).unwrap()[0] > first);
}

#[test]
fn what_goes_away_ends_its_consumers() {
    let mut world = World::new();
    let gone = world.consume("t", &["s"], 1);
    let both = world.attach(ConsumeSpec {
        sources: [spec("t", &["s"], 0).sources, spec("u", &["s"], 0).sources].concat(),
        ..spec("t", &["s"], 3)
    });
    let both = both.unwrap().0;
    world.publish("t", texts("a b")).unwrap();
    world.publish("u", texts("c")).unwrap();
    world.pump();
    let outcome = world.manage(Admin::Delete {
        topic: "t".parse().unwrap(),
    });
    assert!(matches!(outcome, Ok(Outcome::Removed { messages: 2 })));
    let ended: Vec<_> = world
        .ended
        .drain(..)
        .map(|(id, e)| (id, e.to_string()))
        .collect();
    assert_eq!(
        ended,
        [
            (gone, "no topic t".to_owned()),
            (both, "no topic t".to_owned())
        ]
    );
    world.consume("u", &["s"], 1);
    assert_eq!(world.pump_text(), "1:c!2");
    world
        .manage(Admin::Unsubscribe {
            topic: "u".parse().unwrap(),
            subscription: "s".parse().unwrap(),
        })
        .unwrap();
    assert_eq!(world.ended[0].1.to_string(), "no subscription s of topic u");
    assert!(world.live.is_empty());
    world.restart();
    assert_eq!(world.core.info("u").unwrap().messages, 0);
}

#[test]
fn purging_leaves_what_is_in_flight() {
    let mut world = World::new();
    let consumer = world.consume("t", &["s"], 1);
    world.subscribe("t", "other");
    world.publish("t", texts("a b c")).unwrap();
    world.pump();
    let purge = |name: Option<&str>| Admin::Purge {
        topic: "t".parse().unwrap(),
        subscription: name.map(|name| name.parse().unwrap()),
    };
    let outcome = world.manage(purge(Some("s")));
    assert!(matches!(outcome, Ok(Outcome::Removed { messages: 2 })));
    assert_eq!(
        (
            waiting(&world, "s").as_str(),
            waiting(&world, "other").as_str()
        ),
        ("", "a b c")
    );
    // Deliver records may be missing: what was in flight comes back all the same.
    world
        .log
        .retain(|logged| logged.kind != trunkline_queue::KIND_DELIVER);
    let replayed = world.replayed();
    let stored = support::waiting_in(&replayed, world.now, "t", "s");
    assert_eq!(stored.unwrap().len(), 1);
    let outcome = world.manage(purge(None));
    assert!(matches!(outcome, Ok(Outcome::Removed { messages: 2 })));
    assert_eq!(world.ack(consumer, &[1]).acked, 1);
    assert!(world.live.is_empty());
}

#[test]
fn a_message_replaced_within_its_batch_asks_for_no_body() {
    for durability in ["commit", "memory"] {
        let mut world = World::new();
        let options = format!(r#"{{"dedupe": "latest", "durability": "{durability}"}}"#);
        world.define("t", settings(&options)).unwrap();
        let batch = Batch::of(Command::Publish {
            topic: "t".parse().unwrap(),
            messages: [keyed("k", "a"), keyed("l", "b"), keyed("k", "c")]
                .into_iter()
                .collect(),
        });
        let mut effects = Effects::default();
        world.core.check(world.now, &batch).unwrap();
        world.core.apply(world.now, batch, &mut effects);
        assert_eq!(
            effects.puts.len() + effects.memory_puts.len(),
            2,
            "{durability}"
        );
        assert!(effects.freed.is_empty());
        let puts = effects.log.iter().filter(|(kind, _)| *kind == KIND_PUT);
        assert_eq!(puts.count(), if durability == "commit" { 3 } else { 0 });
    }
}

#[test]
fn lists_by_name_without_what_is_internal() {
    let mut world = World::new();
    world.define("_own", TopicSettings::default()).unwrap();
    for topic in ["b", "_own", "a", "c"] {
        world.publish(topic, texts("x")).unwrap();
    }
    let names = |after: Option<&str>, limit| {
        let after = after.map(|name| name.parse().unwrap());
        let listed = world.core.list(after.as_ref(), limit);
        let names = listed.iter().map(|info| info.name.to_string());
        names.collect::<Vec<_>>().join(" ")
    };
    assert_eq!(names(None, 9), "a b c");
    assert_eq!(names(Some("a"), 1), "b");
}

#[test]
fn what_is_unknown_is_ignored_or_named() {
    let mut core = Core::new(CoreConfig::default());
    let nobody = ConsumerId(9);
    core.start(nobody);
    core.credit(nobody, 1);
    core.taken(nobody, 1);
    assert_eq!(
        core.detach(Timestamp::ZERO, nobody, &mut Effects::default()),
        0
    );
    assert_eq!(
        message_of(core.info("t")),
        (ErrorCode::NotFound, "no topic t".into())
    );
    assert_eq!(core.next_deadline(), None);
}
