//! The rules of DESIGN.md §4 about messages that are given up, and how they come back.

#![allow(clippy::unwrap_used, reason = "a test says what it expects")]

mod support;

use std::time::Duration;
use support::{World, keyed, message_of, settings, text, texts, waiting};
use trunkline_model::{
    Admin, ErrorCode, Message, Priority, RedriveEdit, RedriveTo, StoredMessage, TopicSettings,
    When, dead_letter,
};

/// Topic `t` with subscription `s` and options in JSON.
fn world(options: &str) -> World {
    let mut world = World::new();
    world.define("t", settings(options)).unwrap();
    world.subscribe("t", "s");
    world
}

/// Just after what is due next.
fn next(world: &mut World) {
    world.now = world.core.next_deadline().unwrap();
    world.tick();
}

/// A dead letter: payload, reason and attempts.
fn told(letter: &StoredMessage) -> String {
    let header = |name| letter.headers.get(name).unwrap_or("-");
    let payload = String::from_utf8(letter.payload.to_vec()).unwrap();
    format!(
        "{payload}:{}:{}",
        header(dead_letter::REASON),
        header(dead_letter::ATTEMPTS)
    )
}

fn letters(world: &World, topic: &str) -> String {
    let stored = world.stored(topic);
    let told: Vec<_> = stored.iter().map(|(_, letter)| told(letter)).collect();
    told.join(" ")
}

/// Dead counts of topic `t` and its subscription `s`, what is stored, what was dropped.
fn counts(world: &World) -> (u64, u64, u64, u64) {
    let info = world.core.info("t").unwrap();
    let subscriptions = &info.subscriptions;
    let s = subscriptions.iter().find(|s| s.name.as_str() == "s");
    (info.dead, s.unwrap().dead, info.messages, info.dropped)
}

#[test]
fn every_way_an_attempt_can_end_counts() {
    let mut world = world(
        r#"{"max_attempts": 4, "dead_letter": "d", "ack_timeout": "5s", "durability": "interval"}"#,
    );
    world.publish("t", texts("a")).unwrap();
    let mut consumer = world.consume("t", &["s"], 1);
    assert_eq!(world.pump_text(), "1:a");
    world.advance(1);
    world.nack(consumer, &[1], true, 0);
    assert_eq!(world.pump_text(), "2:a!2");
    world.detach(consumer);
    consumer = world.consume("t", &["s"], 1);
    assert_eq!(world.pump_text(), "1:a!3");
    world.advance(6);
    world.tick();
    assert_eq!(world.pump_text(), "2:a!4");
    world.advance(2);
    world.nack(consumer, &[2], true, 9);
    assert_eq!(world.pump_text(), "", "no delivery is made beyond the last");
    assert_eq!(world.core.info("t").unwrap().subscriptions[0].in_flight, 1);
    assert_eq!(world.bury(), 1);
    assert_eq!(letters(&world, "d"), "a:max-attempts:4");
    assert_eq!(counts(&world), (1, 1, 0, 0));
    let stored = world.stored("d");
    let headers = &stored[0].1.headers;
    for (name, value) in [
        (dead_letter::TOPIC, "t"),
        (dead_letter::SUBSCRIPTION, "s"),
        (dead_letter::ID, "1-1"),
        (dead_letter::FIRST_AT, "1970-01-01T00:00:01.000Z"),
        (dead_letter::LAST_AT, "1970-01-01T00:00:09.000Z"),
    ] {
        assert_eq!(headers.get(name), Some(value), "{name}");
    }
    let options = world.core.info("d").unwrap().options;
    assert_eq!(
        options.durability,
        trunkline_model::Durability::Commit,
        "the default, which is more than the source's"
    );
    world.restart();
    assert_eq!(letters(&world, "d"), "a:max-attempts:4");
    assert_eq!(counts(&world), (1, 1, 0, 0));
}

#[test]
fn a_dead_letter_is_the_message_with_headers() {
    let mut world = world(r#"{"dead_letter": "d", "priorities": 5}"#);
    let mut message = Message {
        content_type: "text/plain".into(),
        group: None,
        publish_id: Some("once".into()),
        priority: Some(Priority(3)),
        expires: Some(When::After(Duration::from_secs(60))),
        traceparent: Some("00-1-2-3".into()),
        ..keyed("k", "a")
    };
    message.headers.push("kind", "x");
    message.headers.push(dead_letter::REASON, "invented");
    world.publish("t", vec![message]).unwrap();
    let consumer = world.consume("t", &["s"], 1);
    world.pump();
    world.nack(consumer, &[1], false, 0);
    world.bury();
    let stored = world.stored("d");
    let letter = stored[0].1;
    assert_eq!(told(letter), "a:rejected:1");
    assert_eq!(letter.headers.get("kind"), Some("x"));
    assert_eq!(letter.key.as_deref(), Some("k"));
    assert_eq!(letter.content_type, "text/plain");
    assert_eq!(letter.traceparent.as_deref(), Some("00-1-2-3"));
    assert_eq!((&letter.publish_id, letter.expires_at), (&None, None));
    assert_eq!(letter.priority, Priority(0), "d has one priority");
    assert_eq!(letter.headers.get(dead_letter::PRIORITY), Some("3"));
}

#[test]
fn without_a_topic_for_them_they_are_dropped_and_counted() {
    let mut world = world(r#"{"max_attempts": 1}"#);
    world.publish("t", texts("a b")).unwrap();
    let consumer = world.consume("t", &["s"], 2);
    world.pump();
    world.nack(consumer, &[1], true, 0);
    world.nack(consumer, &[2], false, 0);
    assert_eq!((world.bury(), counts(&world)), (0, (0, 0, 0, 2)));
    world.restart();
    assert_eq!(counts(&world), (0, 0, 0, 2));
}

#[test]
fn a_subscription_gives_up_for_itself_only() {
    let mut world = world(r#"{"dead_letter": "d"}"#);
    world.subscribe("t", "other");
    world.publish("t", texts("a")).unwrap();
    let consumer = world.consume("t", &["s"], 1);
    world.pump();
    world.nack(consumer, &[1], false, 0);
    world.bury();
    assert_eq!(letters(&world, "d"), "a:rejected:1");
    assert_eq!(waiting(&world, "other"), "a");
    world.restart();
    assert_eq!(
        (waiting(&world, "s"), waiting(&world, "other")),
        (String::new(), "a".into())
    );
}

/// Between the decision and the dead letter lies the reading of the body: whatever part of the
/// log is there after a crash, the message is in exactly one of both topics.
#[test]
fn a_crash_before_the_dead_letter_is_stored_begins_again() {
    let mut world = world(r#"{"dead_letter": "d", "max_attempts": 2}"#);
    world.publish("t", texts("a b")).unwrap();
    let consumer = world.consume("t", &["s"], 2);
    world.pump();
    world.nack(consumer, &[1], false, 0);
    world.nack(consumer, &[2], true, 0);
    world.pump();
    world.nack(consumer, &[3], true, 0);
    world.restart();
    assert_eq!(letters(&world, "d"), "");
    assert_eq!(waiting(&world, "s"), "", "neither is delivered again");
    assert_eq!(world.bury(), 2);
    assert_eq!(letters(&world, "d"), "a:rejected:1 b:max-attempts:2");
    world.restart();
    assert_eq!(world.bury(), 0);
    for cut in 0..=world.log.len() {
        support::assert_same_from(&world.log, cut);
    }
}

#[test]
fn attempts_of_an_earlier_run_count() {
    let mut world = world(r#"{"dead_letter": "d", "max_attempts": 2}"#);
    world.publish("t", texts("a")).unwrap();
    for _ in 0..2 {
        world.consume("t", &["s"], 1);
        assert_eq!(world.pump().len(), 1);
        world.restart();
    }
    world.bury();
    assert_eq!(letters(&world, "d"), "a:max-attempts:2");
}

#[test]
fn a_lower_bound_holds_for_what_waits() {
    let mut world = world(r#"{"dead_letter": "d"}"#);
    world.publish("t", texts("a b")).unwrap();
    let consumer = world.consume("t", &["s"], 1);
    world.pump();
    world.nack(consumer, &[1], true, 0);
    let alter = Admin::Alter {
        topic: "t".parse().unwrap(),
        settings: settings(r#"{"max_attempts": 1}"#),
        clear: Vec::new(),
    };
    world.manage(alter).unwrap();
    assert_eq!(world.pump_text(), "2:b");
    world.bury();
    assert_eq!(letters(&world, "d"), "a:max-attempts:1");
}

#[test]
fn a_dead_letter_is_never_refused_and_never_dies_again() {
    let mut world = world(r#"{"dead_letter": "d"}"#);
    let options = r#"{"max_messages": 2, "unsubscribed": "reject", "dead_letter": "e"}"#;
    world.define("d", settings(options)).unwrap();
    world.publish("t", texts("a b c")).unwrap();
    let consumer = world.consume("t", &["s"], 3);
    world.pump();
    for tag in 1..=3 {
        world.nack(consumer, &[tag], false, 0);
        world.bury();
    }
    assert_eq!(
        letters(&world, "d"),
        "b:rejected:1 c:rejected:1",
        "the oldest made room"
    );
    assert_eq!(world.core.info("d").unwrap().dropped, 1);
    // Given up again, they are dropped, although d has a topic for dead letters.
    let reader = world.consume("d", &["r"], 1);
    world.pump();
    world.nack(reader, &[1], false, 0);
    assert_eq!(world.bury(), 1);
    assert_eq!(letters(&world, "d"), "c:rejected:1");
    assert!(world.core.info("e").is_err());
    // What was published there by a client is no dead letter.
    world.publish("d", texts("x")).unwrap();
    world.pump();
    world.ack(reader, &[2]);
    world.pump();
    world.nack(reader, &[3], false, 0);
    world.bury();
    assert_eq!(letters(&world, "e"), "x:rejected:1");
    world.restart();
    assert_eq!(
        (letters(&world, "d"), letters(&world, "e")),
        (String::new(), "x:rejected:1".into())
    );
}

#[test]
fn room_is_made_by_what_nobody_holds() {
    let mut world = world(r#"{"dead_letter": "d"}"#);
    world.define("d", settings(r#"{"max_bytes": 8}"#)).unwrap();
    let reader = world.consume("d", &["r"], 1);
    world.publish("t", texts("aaa bbb ccccc")).unwrap();
    let consumer = world.consume("t", &["s"], 3);
    world.pump();
    for tag in 1..=3 {
        world.nack(consumer, &[tag], false, 0);
        world.bury();
        world.pump();
    }
    assert_eq!(
        letters(&world, "d"),
        "aaa:rejected:1 ccccc:rejected:1",
        "aaa is in flight"
    );
    assert_eq!(world.ack(reader, &[1]).acked, 1);
}

#[test]
fn expired_messages_are_dead_letters_where_that_is_asked_for() {
    let mut world = world(r#"{"dead_letter": "d", "dead_letter_expired": true, "ttl": "5s"}"#);
    let plain = Admin::Subscribe {
        topic: "t".parse().unwrap(),
        subscription: "plain".parse().unwrap(),
        from: None,
        settings: serde_json::from_str(r#"{"dead_letter_expired": false}"#).unwrap(),
    };
    world.manage(plain).unwrap();
    let consumer = world.consume("t", &["s"], 1);
    world.publish("t", texts("a b")).unwrap();
    world.pump();
    world.advance(6);
    assert_eq!(world.ack(consumer, &[1]).skipped, 1);
    assert_eq!(world.pump_text(), "", "never delivered in the meantime");
    world.tick();
    world.restart();
    assert_eq!(world.core.info("t").unwrap().expired, 2);
    assert_eq!(world.bury(), 2);
    let mut told: Vec<_> = letters(&world, "d").split(' ').map(String::from).collect();
    told.sort_unstable();
    assert_eq!(told, ["a:expired:1", "b:expired:0"]);
    let info = world.core.info("t").unwrap();
    assert_eq!((info.expired, info.dead, info.messages), (2, 2, 0));
    world.restart();
    assert_eq!(world.core.info("t").unwrap().expired, 2);
    assert_eq!(world.core.next_deadline(), None);
}

#[test]
fn what_expires_before_anybody_subscribes_is_a_dead_letter_too() {
    let mut world = World::new();
    let options = r#"{"dead_letter": "d", "dead_letter_expired": true, "ttl": "5s"}"#;
    world.define("t", settings(options)).unwrap();
    world.publish("t", texts("a")).unwrap();
    world.advance(6);
    world.tick();
    // The first subscription takes over what leaves, and is not sent it.
    world.consume("t", &["s"], 1);
    assert_eq!(world.pump_text(), "");
    assert_eq!(world.bury(), 1);
    assert_eq!(letters(&world, "d"), "a:expired:0");
}

/// A newer message with the key of one that leaves is a message of its own.
#[test]
fn what_leaves_has_no_key_any_more() {
    let mut world = world(r#"{"dead_letter": "d", "dedupe": "latest"}"#);
    world.subscribe("t", "other");
    world.publish("t", vec![keyed("k", "old")]).unwrap();
    let consumer = world.consume("t", &["s"], 2);
    world.pump();
    world.nack(consumer, &[1], false, 0);
    world.publish("t", vec![keyed("k", "new")]).unwrap();
    assert_eq!(waiting(&world, "other"), "new");
    assert_eq!(world.pump_text(), "2:new");
    world.publish("t", vec![keyed("k", "newest")]).unwrap();
    for cut in 0..=world.log.len() {
        support::assert_same_from(&world.log, cut);
    }
    world.bury();
    assert_eq!(letters(&world, "d"), "old:rejected:1");
    world.restart();
    assert_eq!(
        (waiting(&world, "s"), waiting(&world, "other")),
        ("newest".into(), "newest".into())
    );
}

#[test]
fn a_purge_leaves_what_is_on_its_way_and_takes_what_cannot_go() {
    let mut world = world(r#"{"dead_letter": "d"}"#);
    world.publish("t", texts("a b")).unwrap();
    let consumer = world.consume("t", &["s"], 2);
    world.pump();
    world.nack(consumer, &[1, 2], false, 0);
    let departure = world.core.next_departure().unwrap();
    world.core.park(&departure);
    let purge = Admin::Purge {
        topic: "t".parse().unwrap(),
        subscription: None,
    };
    world.manage(purge).unwrap();
    assert_eq!(world.core.info("t").unwrap().messages, 1);
    world.restart();
    world.bury();
    assert_eq!(letters(&world, "d"), "b:rejected:1");
}

#[test]
fn what_is_put_off_comes_again_and_what_is_gone_does_not() {
    let mut world = world(r#"{"dead_letter": "d"}"#);
    world.publish("t", texts("a")).unwrap();
    let consumer = world.consume("t", &["s"], 1);
    world.pump();
    world.nack(consumer, &[1], false, 0);
    let departure = world.core.next_departure().unwrap();
    assert!(!world.core.has_departures());
    world.core.put_off(&departure);
    assert_eq!(world.core.next_departure(), Some(departure));
    let unsubscribe = Admin::Unsubscribe {
        topic: "t".parse().unwrap(),
        subscription: "s".parse().unwrap(),
    };
    world.manage(unsubscribe).unwrap();
    world.core.put_off(&departure);
    assert!(!world.core.has_departures());
    assert_eq!(world.core.info("t").unwrap().messages, 0);
}

#[test]
fn declarations_that_cannot_hold_are_refused() {
    let mut world = World::new();
    let define = |world: &mut World, topic: &str, options: &str| {
        let settings: TopicSettings = settings(options);
        message_of(world.define(topic, settings))
    };
    let (code, says) = define(&mut world, "t", r#"{"dead_letter": "t"}"#);
    assert_eq!(code, ErrorCode::InvalidParams);
    assert_eq!(
        says,
        "dead_letter of topic t is the topic itself; name another one"
    );
    world
        .define("weak", settings(r#"{"durability": "interval"}"#))
        .unwrap();
    let (code, says) = define(&mut world, "t", r#"{"dead_letter": "weak"}"#);
    assert_eq!(code, ErrorCode::Conflict);
    assert_eq!(
        says,
        "topic weak takes the dead letters of topic t and must be at least as durable; \
         its durability is interval"
    );
    let fitting = r#"{"dead_letter": "weak", "durability": "memory"}"#;
    world.define("fits", settings(fitting)).unwrap();
    // The other way round: the topic comes after those that name it.
    world
        .define("t", settings(r#"{"dead_letter": "later"}"#))
        .unwrap();
    let (code, _) = define(&mut world, "later", r#"{"durability": "memory"}"#);
    assert_eq!(code, ErrorCode::Conflict);
    let own = Admin::Subscribe {
        topic: "t".parse().unwrap(),
        subscription: "s".parse().unwrap(),
        from: None,
        settings: serde_json::from_str(r#"{"dead_letter": "weak"}"#).unwrap(),
    };
    assert_eq!(message_of(world.manage(own)).0, ErrorCode::Conflict);
}

fn rejected(options: &str, payloads: &str) -> World {
    let mut world = world(options);
    world.publish("t", texts(payloads)).unwrap();
    let consumer = world.consume("t", &["s"], 9);
    let tags: Vec<u64> = world.pump().iter().map(|d| d.tag.0).collect();
    world.nack(consumer, &tags, false, 0);
    world.bury();
    world.detach(consumer);
    world
}

fn drive_all(world: &mut World, to: &RedriveTo, edit: &RedriveEdit) -> Vec<Option<ErrorCode>> {
    let ids: Vec<_> = world.stored("d").iter().map(|(id, _)| *id).collect();
    let drive = |id| world.redrive(id, to, edit).map(|error| error.code());
    ids.into_iter().map(drive).collect()
}

#[test]
fn dead_letters_go_back_to_who_gave_them_up() {
    let mut world = rejected(
        r#"{"dead_letter": "d", "max_attempts": 1, "priorities": 4}"#,
        "a b",
    );
    world.subscribe("t", "other");
    let to = RedriveTo::Source;
    assert_eq!(
        drive_all(&mut world, &to, &RedriveEdit::default()),
        [None, None]
    );
    assert_eq!(
        (waiting(&world, "s"), waiting(&world, "other")),
        ("a b".into(), String::new())
    );
    world.restart();
    assert_eq!(
        (waiting(&world, "s"), waiting(&world, "other")),
        ("a b".into(), String::new())
    );
    assert_eq!(world.core.info("d").unwrap().messages, 0);
    let stored = world.stored("t");
    let (id, message) = (stored[0].0, stored[0].1);
    assert_eq!((id.sequence, message.priority), (3, Priority(2)));
    assert!(message.headers.is_empty());
    let consumer = world.consume("t", &["s"], 1);
    assert_eq!(world.pump_text(), "1:a", "attempts from the start");
    world.nack(consumer, &[1], true, 0);
    world.bury();
    assert_eq!(letters(&world, "d"), "a:max-attempts:1");
}

#[test]
fn dead_letters_are_edited_on_the_way_to_any_topic() {
    let mut world = rejected(r#"{"dead_letter": "d"}"#, "a");
    world
        .define("new", settings(r#"{"priorities": 3}"#))
        .unwrap();
    world.subscribe("new", "n");
    let edit = RedriveEdit {
        payload: Some(("better".into(), "text/plain".into())),
        priority: Some(Priority(2)),
        headers: vec![("by".into(), Some("hand".into())), ("kind".into(), None)],
    };
    let to = RedriveTo::Topic("new".parse().unwrap());
    assert_eq!(drive_all(&mut world, &to, &edit), [None]);
    let stored = world.stored("new");
    let message = stored[0].1;
    assert_eq!(message.payload, "better");
    assert_eq!(
        (message.priority, message.headers.get("by")),
        (Priority(2), Some("hand"))
    );
    assert_eq!(world.core.info("d").unwrap().messages, 0);
}

#[test]
fn dead_letters_stay_where_there_is_no_way_back() {
    let mut world = rejected(r#"{"dead_letter": "d", "max_messages": 3}"#, "a b c");
    let to = RedriveTo::Source;
    let edit = RedriveEdit::default();
    // One is in flight, one has room, one has not.
    world.consume("d", &["r"], 1);
    assert_eq!(world.pump_text(), "1:a");
    world.publish("t", texts("x y")).unwrap();
    let results = drive_all(&mut world, &to, &edit);
    let (held, full) = (Some(ErrorCode::Conflict), Some(ErrorCode::Overloaded));
    assert_eq!(results, [held, None, full]);
    // A client's own message is no dead letter; a subscription that is gone takes nothing.
    world.publish("d", vec![text("own")]).unwrap();
    let unsubscribe = Admin::Unsubscribe {
        topic: "t".parse().unwrap(),
        subscription: "s".parse().unwrap(),
    };
    world.manage(unsubscribe).unwrap();
    let gone = Some(ErrorCode::NotFound);
    assert_eq!(drive_all(&mut world, &to, &edit), [held, gone, gone]);
}

#[test]
fn a_newer_message_with_its_key_keeps_a_dead_letter_away() {
    let mut world = world(r#"{"dead_letter": "d", "dedupe": "latest"}"#);
    world
        .publish("t", vec![keyed("k", "old"), keyed("l", "only")])
        .unwrap();
    let consumer = world.consume("t", &["s"], 2);
    world.pump();
    world.nack(consumer, &[1, 2], false, 0);
    world.bury();
    world.publish("t", vec![keyed("k", "new")]).unwrap();
    world.detach(consumer);
    let results = drive_all(&mut world, &RedriveTo::Source, &RedriveEdit::default());
    assert_eq!(results, [Some(ErrorCode::Conflict), None]);
    assert_eq!(waiting(&world, "s"), "new only");
    // Back in its topic, it has its key again.
    world.publish("t", vec![keyed("l", "newer")]).unwrap();
    assert_eq!(waiting(&world, "s"), "new newer");
    world.restart();
    assert_eq!(waiting(&world, "s"), "new newer");
}

#[test]
fn a_redrive_that_makes_no_sense_is_refused() {
    let world = rejected(r#"{"dead_letter": "d"}"#, "a");
    let command = |topic: &str, to: RedriveTo, priority: u8| Admin::Redrive {
        topic: topic.parse().unwrap(),
        filter: Default::default(),
        to,
        edit: RedriveEdit {
            priority: Some(Priority(priority)),
            ..RedriveEdit::default()
        },
        from: trunkline_model::PeekFrom::Front,
        limit: 1,
    };
    let to = |topic: &str| RedriveTo::Topic(topic.parse().unwrap());
    for (command, code) in [
        (command("none", RedriveTo::Source, 0), ErrorCode::NotFound),
        (command("d", to("d"), 0), ErrorCode::InvalidParams),
        (command("d", to("t"), 1), ErrorCode::InvalidParams),
    ] {
        let refused = world.core.check_admin(world.now, &command);
        assert_eq!(message_of(refused).0, code);
    }
    let fine = command("d", to("t"), 0);
    assert!(world.core.check_admin(world.now, &fine).is_ok());
}

#[test]
fn a_topic_in_memory_has_dead_letters_too() {
    let mut world = rejected(r#"{"dead_letter": "d", "durability": "memory"}"#, "a");
    let options = world.core.info("d").unwrap().options;
    assert_eq!(options.durability, trunkline_model::Durability::Commit);
    assert_eq!(letters(&world, "d"), "a:rejected:1");
    world.restart();
    assert_eq!(letters(&world, "d"), "a:rejected:1");
    assert_eq!(counts(&world).0, 0, "what is in memory is counted there");
    next_is_none(&world);
}

fn next_is_none(world: &World) {
    assert_eq!(world.core.next_deadline(), None);
}

#[test]
fn a_retry_waits_before_the_last_attempt_and_not_after_it() {
    let mut world = world(r#"{"dead_letter": "d", "max_attempts": 2, "retry": "5s"}"#);
    world.publish("t", texts("a")).unwrap();
    let consumer = world.consume("t", &["s"], 1);
    world.pump();
    world.nack(consumer, &[1], true, 0);
    assert_eq!(world.bury(), 0);
    next(&mut world);
    assert_eq!(world.pump_text(), "2:a!2");
    world.nack(consumer, &[2], true, 0);
    assert_eq!(world.bury(), 1);
    next_is_none(&world);
}

#[test]
fn every_subscription_buries_what_a_newer_message_finds_expired() {
    let options = r#"{"dead_letter": "d", "dead_letter_expired": true, "dedupe": "latest"}"#;
    let mut world = world(options);
    for n in 0..40 {
        world.subscribe("t", &format!("s{n}"));
    }
    let brief = Message {
        expires: Some(When::After(Duration::from_secs(1))),
        ..keyed("k", "old")
    };
    world.publish("t", vec![brief]).unwrap();
    world.advance(2);
    world.publish("t", vec![keyed("k", "new")]).unwrap();
    assert_eq!(world.bury(), 41);
    assert_eq!(world.core.info("t").unwrap().expired, 1);
    assert_eq!(waiting(&world, "s39"), "new");
}

#[test]
fn a_group_goes_on_when_its_first_message_is_given_up() {
    let mut world = world(r#"{"dead_letter": "d", "max_attempts": 2}"#);
    let grouped = |payload: &str| Message {
        group: Some("g".into()),
        ..text(payload)
    };
    world
        .publish("t", vec![grouped("a"), grouped("b")])
        .unwrap();
    let consumer = world.consume("t", &["s"], 1);
    assert_eq!(world.pump_text(), "1:a");
    world.nack(consumer, &[1], true, 0);
    assert_eq!(world.pump_text(), "2:a!2");
    world.nack(consumer, &[2], true, 0);
    assert_eq!(world.pump_text(), "3:b", "though a is still on its way");
    world.bury();
    let stored = world.stored("d");
    assert_eq!(stored[0].1.group.as_deref(), Some("g"));
}

#[test]
fn what_takes_dead_letters_stays_as_durable_as_they_need() {
    let mut world = world(r#"{"dead_letter": "d"}"#);
    world.define("d", settings("{}")).unwrap();
    let weaken = Admin::Alter {
        topic: "d".parse().unwrap(),
        settings: settings(r#"{"durability": "interval"}"#),
        clear: Vec::new(),
    };
    assert_eq!(message_of(world.manage(weaken)).0, ErrorCode::Conflict);
}
