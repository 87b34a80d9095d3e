//! Topics and subscriptions that change while they run.

#![allow(clippy::unwrap_used, reason = "a test says what it expects")]

mod support;

use support::{World, keyed, settings, text, texts};
use trunkline_model::{
    Admin, Altered, Error, ErrorCode, Message, Outcome, Priority, SubscriptionSettings, When,
};

fn alter(world: &mut World, json: &str, clear: &[&str]) -> Result<Altered, Error> {
    let command = Admin::Alter {
        topic: "t".parse().unwrap(),
        settings: settings(json),
        clear: clear.iter().map(|option| (*option).into()).collect(),
    };
    match world.manage(command)? {
        Outcome::Altered(altered) => Ok(altered),
        other => panic!("{other:?}"),
    }
}

fn alter_subscription(world: &mut World, json: &str, clear: &[&str]) -> Result<Altered, Error> {
    let settings: SubscriptionSettings = serde_json::from_str(json).unwrap();
    let command = Admin::AlterSubscription {
        topic: "t".parse().unwrap(),
        subscription: "s".parse().unwrap(),
        settings,
        clear: clear.iter().map(|option| (*option).into()).collect(),
    };
    match world.manage(command)? {
        Outcome::Altered(altered) => Ok(altered),
        other => panic!("{other:?}"),
    }
}

fn told(altered: &Altered) -> String {
    let changes = altered.changes.iter();
    let told: Vec<_> = changes
        .map(|change| format!("{} {} {}", change.option, change.from, change.to))
        .collect();
    told.join(", ")
}

fn refused<T: std::fmt::Debug>(result: Result<T, Error>) -> (ErrorCode, String) {
    let error = result.unwrap_err();
    (error.code(), error.message().to_owned())
}

#[test]
fn what_would_break_what_is_stored_changes_only_while_nothing_is() {
    let mut world = World::new();
    assert_eq!(refused(alter(&mut world, "{}", &[])).0, ErrorCode::NotFound);
    world.define("t", settings(r#"{"priorities": 2}"#)).unwrap();
    world.subscribe("t", "s");
    world.publish("t", texts("a")).unwrap();
    for (json, option) in [
        (r#"{"dedupe": "latest"}"#, "dedupe"),
        (r#"{"durability": "interval"}"#, "durability"),
        (r#"{"priorities": 1, "default_priority": 0}"#, "priorities"),
    ] {
        let text = format!(
            "{option} of topic t can change only while it holds no messages; purge it first"
        );
        assert_eq!(
            refused(alter(&mut world, json, &[])),
            (ErrorCode::Conflict, text)
        );
    }
    let altered = alter(&mut world, r#"{"ack_timeout": "2s", "priorities": 4}"#, &[]).unwrap();
    assert_eq!(told(&altered), r#"priorities 2 4, ack_timeout "0s" "2s""#);
    world.restart();
    let options = world.core.info("t").unwrap().options;
    assert_eq!(
        (options.ack_timeout.to_string().as_str(), options.priorities),
        ("2s", 4)
    );
    assert_eq!(options.default_priority, Priority(1), "it stays as it was");
    let purge = Admin::Purge {
        topic: "t".parse().unwrap(),
        subscription: None,
    };
    world.manage(purge).unwrap();
    let json =
        r#"{"dedupe": "latest", "durability": "interval", "priorities": 1, "default_priority": 0}"#;
    assert_eq!(alter(&mut world, json, &[]).unwrap().changes.len(), 4);
    world
        .publish("t", vec![keyed("k", "a"), keyed("k", "b")])
        .unwrap();
    world.restart();
    let waiting = support::waiting_in(&world.core, world.now, "t", "s").unwrap();
    assert_eq!(waiting.len(), 1);
}

#[test]
fn what_is_cleared_is_at_its_default_again() {
    let mut world = World::new();
    let json = r#"{"ttl": "5s", "max_messages": 2, "priorities": 4, "default_priority": 3}"#;
    world.define("t", settings(json)).unwrap();
    world.subscribe("t", "s");
    world.publish("t", texts("a b")).unwrap();
    let altered = alter(
        &mut world,
        "{}",
        &["ttl", "max_messages", "default_priority"],
    )
    .unwrap();
    assert_eq!(
        told(&altered),
        r#"default_priority 3 2, ttl "5s" null, max_messages 2 null"#
    );
    world.publish("t", texts("c")).unwrap();
    world.restart();
    // What was published before goes by the time to live that it had.
    world.advance(6);
    world.tick();
    let left = support::waiting_in(&world.core, world.now, "t", "s").unwrap();
    assert_eq!(left.len(), 1);
    assert_eq!(
        alter(&mut world, "{}", &["ttl"]).unwrap(),
        Altered::default()
    );
    for (json, clear, text) in [
        (
            r#"{"ttl": "5s"}"#,
            "ttl",
            "ttl can't be set and cleared at once",
        ),
        ("{}", "tll", "there is no option tll to clear; known: "),
        (
            r#"{"max_messages": 0}"#,
            "ttl",
            "max_messages and max_bytes must be at least 1; leave them out for no bound",
        ),
    ] {
        let (code, message) = refused(alter(&mut world, json, &[clear]));
        assert_eq!(code, ErrorCode::InvalidParams);
        assert!(message.starts_with(text), "{message}");
    }
}

#[test]
fn a_lower_bound_says_what_is_above_it_and_takes_nothing_away() {
    let mut world = World::new();
    world.subscribe("t", "s");
    world.publish("t", texts("aa bb cc")).unwrap();
    let altered = alter(&mut world, r#"{"max_messages": 2, "max_bytes": 1}"#, &[]).unwrap();
    assert_eq!((altered.messages_above, altered.bytes_above), (1, 5));
    assert_eq!(world.core.info("t").unwrap().messages, 3);
    let full = refused(world.publish("t", texts("d")));
    assert_eq!(full.0, ErrorCode::Overloaded);
    assert!(alter(&mut world, r#"{"max_messages": 4}"#, &["max_bytes"]).is_ok());
    assert!(world.publish("t", texts("d")).is_ok());
}

#[test]
fn times_are_those_of_what_comes_later() {
    let mut world = World::new();
    let consumer = world.consume("t", &["s"], 9);
    world.publish("t", texts("a b")).unwrap();
    assert_eq!(world.pump_text(), "1:a 2:b");
    alter(&mut world, r#"{"ack_timeout": "2s", "ttl": "9s"}"#, &[]).unwrap();
    world.nack(consumer, &[2], true, 0);
    assert_eq!(world.pump_text(), "3:b!2");
    world.advance(3);
    world.tick();
    assert_eq!(
        world.ack(consumer, &[1, 3]).acked,
        1,
        "b timed out, a can't"
    );
    let message = Message {
        expires: Some(When::After(std::time::Duration::from_secs(60))),
        ..text("own")
    };
    world
        .publish("t", [texts("c"), vec![message]].concat())
        .unwrap();
    world.advance(10);
    world.tick();
    let left = support::stored_in(&world.core, "t");
    let left: Vec<_> = left.iter().map(|p| world.payload(p.body)).collect();
    assert_eq!(left, ["b", "own"]);
}

#[test]
fn subscriptions_change_too() {
    let mut world = World::new();
    assert_eq!(
        refused(alter_subscription(&mut world, "{}", &[])).0,
        ErrorCode::NotFound
    );
    world
        .define(
            "t",
            settings(r#"{"delivery": "batch", "ack_timeout": "9s"}"#),
        )
        .unwrap();
    let consumer = world.consume("t", &["s"], 9);
    world.publish("t", texts("a")).unwrap();
    assert_eq!(world.pump_text(), "1:a");
    world.publish("t", texts("b")).unwrap();
    assert_eq!(world.pump_text(), "", "the batch is not acked");
    let json = r#"{"delivery": "stream", "ack_timeout": "1s"}"#;
    let altered = alter_subscription(&mut world, json, &[]).unwrap();
    assert_eq!(
        told(&altered),
        r#"ack_timeout "9s" "1s", delivery "batch" "stream""#
    );
    assert_eq!(
        world.pump_text(),
        "2:b",
        "who waited for the batch need not"
    );
    world.advance(2);
    world.tick();
    assert_eq!(world.ack(consumer, &[1, 2]).acked, 1, "a has its 9 s");
    world.restart();
    let options = &world.core.info("t").unwrap().subscriptions[0].options;
    assert_eq!(options.ack_timeout.to_string(), "1s");
    let altered = alter_subscription(&mut world, "{}", &["ack_timeout"]).unwrap();
    assert_eq!(told(&altered), r#"ack_timeout "1s" "9s""#, "as the topic");
    alter(&mut world, r#"{"ack_timeout": "7s"}"#, &[]).unwrap();
    let options = &world.core.info("t").unwrap().subscriptions[0].options;
    assert_eq!(options.ack_timeout.to_string(), "7s");
    let unknown = refused(alter_subscription(&mut world, "{}", &["ttl"]));
    assert!(
        unknown
            .1
            .starts_with("there is no option ttl to clear; known: ack_timeout,")
    );
}
