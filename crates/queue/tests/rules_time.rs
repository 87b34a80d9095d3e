//! The rules of DESIGN.md §4 about time, one test each: delays, ack time-outs, retries.

#![allow(clippy::unwrap_used, reason = "a test says what it expects")]

mod support;

use std::time::Duration;
use support::{World, keyed, message_of, settings, text, texts, waiting};
use trunkline_model::{
    Admin, ErrorCode, Message, Priority, StartFrom, SubscriptionSettings, Timestamp, When,
};

fn delayed(message: Message, seconds: u64) -> Message {
    Message {
        deliver: Some(When::After(Duration::from_secs(seconds))),
        ..message
    }
}

/// Just after what is due next.
fn next(world: &mut World) {
    world.now = world.core.next_deadline().unwrap();
    world.tick();
}

#[test]
fn acks_time_out_just_after_their_deadline() {
    let mut world = World::new();
    world
        .define("t", settings(r#"{"ack_timeout": "5s"}"#))
        .unwrap();
    let consumer = world.consume("t", &["s"], 2);
    world.publish("t", texts("a b")).unwrap();
    world.pump();
    assert_eq!(
        world.core.next_deadline(),
        Some(Timestamp::from_micros(5_000_001))
    );
    world.advance(5);
    world.tick();
    assert_eq!(world.extend(consumer, &[2, 9], 3).extended, 1);
    world.now = Timestamp::from_micros(5_000_001);
    assert_eq!(
        world.ack(consumer, &[1]).skipped,
        1,
        "too late, though nobody has ticked"
    );
    world.tick();
    assert_eq!(world.pump_text(), "3:a!2");
    assert_eq!(world.ack(consumer, &[2]).acked, 1, "it was extended");
    let info = world.core.info("t").unwrap().subscriptions.remove(0);
    assert_eq!((info.redelivered, info.late, info.acked), (1, 1, 1));
}

#[test]
fn a_nack_can_wait_and_can_give_up() {
    let mut world = World::new();
    let consumer = world.consume("t", &["s"], 2);
    world.publish("t", texts("a b c")).unwrap();
    assert_eq!(world.pump_text(), "1:a 2:b");
    world.nack(consumer, &[1], true, 5);
    world.nack(consumer, &[2], false, 0);
    assert_eq!(world.pump_text(), "3:c");
    let info = world.core.info("t").unwrap();
    assert_eq!((info.dropped, info.subscriptions[0].delayed), (1, 1));
    world.now = world.core.next_deadline().unwrap();
    world.tick();
    assert_eq!(world.pump_text(), "4:a!2");
}

#[test]
fn a_delay_survives_a_restart() {
    let mut world = World::new();
    let consumer = world.consume("t", &["s"], 1);
    world.publish("t", texts("a")).unwrap();
    world.pump();
    world.nack(consumer, &[1], true, 5);
    world.restart();
    world.consume("t", &["s"], 1);
    assert_eq!(world.pump_text(), "");
    world.advance(6);
    world.tick();
    assert_eq!(world.pump_text(), "1:a!2");
}

#[test]
fn an_expired_delivery_is_forgotten() {
    let mut world = World::new();
    world.define("t", settings(r#"{"ttl": "5s"}"#)).unwrap();
    let consumer = world.consume("t", &["s"], 1);
    world.publish("t", texts("a b")).unwrap();
    assert_eq!(world.pump_text(), "1:a");
    world.advance(3);
    world.publish("t", texts("c")).unwrap();
    world.advance(3);
    assert_eq!(world.ack(consumer, &[1]).skipped, 1);
    world.tick();
    assert_eq!(
        world.pump_text(),
        "2:c",
        "its credit is free, b is gone, too"
    );
    assert_eq!(world.core.info("t").unwrap().expired, 2);
}

#[test]
fn a_delayed_message_keeps_its_position() {
    let mut world = World::new();
    world.define("t", settings(r#"{"priorities": 2}"#)).unwrap();
    world.subscribe("t", "s");
    let urgent = Message {
        priority: Some(Priority(0)),
        ..text("urgent")
    };
    let messages = vec![delayed(text("a"), 5), text("b"), delayed(urgent, 9)];
    world.publish("t", messages).unwrap();
    assert_eq!(waiting(&world, "s"), "b");
    let info = world.core.info("t").unwrap().subscriptions.remove(0);
    assert_eq!((info.waiting, info.delayed), (3, 2));
    world.advance(5);
    world.tick();
    assert_eq!(waiting(&world, "s"), "b", "not before its time is past");
    next(&mut world);
    assert_eq!(waiting(&world, "s"), "a b");
    world.restart();
    assert_eq!(waiting(&world, "s"), "a b");
    next(&mut world);
    assert_eq!(waiting(&world, "s"), "urgent a b");
}

#[test]
fn a_delay_ends_before_the_expiry_or_is_refused() {
    let mut world = World::new();
    world.define("t", settings(r#"{"ttl": "5s"}"#)).unwrap();
    world.advance(1);
    let expected = "a message for topic t would be delivered from 1970-01-01T00:00:06.000Z on and \
                    expire at 1970-01-01T00:00:06.000Z; deliver_at must be before expires_at";
    let refused = world.publish("t", vec![text("a"), delayed(text("b"), 5)]);
    let (code, message) = message_of(refused);
    assert_eq!(
        (code, message.as_str()),
        (ErrorCode::InvalidParams, expected)
    );
    assert_eq!(world.core.info("t").unwrap().published, 0);
    world.publish("t", vec![delayed(text("c"), 4)]).unwrap();

    let past = Message {
        deliver: Some(When::At(Timestamp::ZERO)),
        expires: Some(When::At(Timestamp::ZERO)),
        ..text("d")
    };
    world.publish("t", vec![past]).unwrap();
    world.tick();
    let info = world.core.info("t").unwrap();
    assert_eq!(
        (info.messages, info.expired),
        (1, 1),
        "a past delay is none"
    );
    world.advance(6);
    world.tick();
    assert_eq!(world.core.info("t").unwrap().messages, 0, "expiry runs on");
    assert_eq!(world.core.next_deadline(), None);
}

#[test]
fn what_is_kept_or_taken_by_a_later_subscription_stays_delayed() {
    let mut world = World::new();
    world
        .publish("t", vec![delayed(text("a"), 5), text("b")])
        .unwrap();
    world.subscribe("t", "first");
    let all = Admin::Subscribe {
        topic: "t".parse().unwrap(),
        subscription: "all".parse().unwrap(),
        from: Some(StartFrom::All),
        settings: SubscriptionSettings::default(),
    };
    world.manage(all).unwrap();
    for name in ["first", "all"] {
        assert_eq!(waiting(&world, name), "b");
    }
    support::assert_same_from(&world.log, world.log.len());
    next(&mut world);
    for name in ["first", "all"] {
        assert_eq!(waiting(&world, name), "a b");
    }
}

#[test]
fn of_delayed_messages_with_a_key_the_newest_delay_counts() {
    let mut world = World::new();
    world
        .define("t", settings(r#"{"dedupe": "latest"}"#))
        .unwrap();
    world.subscribe("t", "s");
    world
        .publish(
            "t",
            vec![delayed(keyed("k", "old"), 5), keyed("l", "other")],
        )
        .unwrap();
    world
        .publish("t", vec![delayed(keyed("k", "new"), 9)])
        .unwrap();
    assert_eq!(waiting(&world, "s"), "other");
    world.advance(6);
    world.tick();
    assert_eq!(waiting(&world, "s"), "other");
    world.publish("t", vec![keyed("k", "newest")]).unwrap();
    assert_eq!(waiting(&world, "s"), "newest other", "its place is kept");
    world
        .publish("t", vec![delayed(keyed("l", "later"), 3)])
        .unwrap();
    assert_eq!(waiting(&world, "s"), "newest", "delayed from its place");
    world.restart();
    world.advance(4);
    world.tick();
    assert_eq!(waiting(&world, "s"), "newest later");
}

#[test]
fn purging_takes_delayed_messages_too() {
    let mut world = World::new();
    world.subscribe("t", "s");
    world.publish("t", vec![delayed(text("a"), 5)]).unwrap();
    let purge = Admin::Purge {
        topic: "t".parse().unwrap(),
        subscription: None,
    };
    world.manage(purge).unwrap();
    assert_eq!(world.core.info("t").unwrap().messages, 0);
    assert_eq!(world.core.next_deadline(), None);
    world.restart();
    assert_eq!(world.core.info("t").unwrap().messages, 0);
}

/// One tick is bounded; what is left is due at once.
#[test]
fn many_delays_end_in_several_ticks() {
    let mut world = World::new();
    world.subscribe("t", "s");
    let many = (0..25_000).map(|_| delayed(text("a"), 5)).collect();
    world.publish("t", many).unwrap();
    world.advance(6);
    let mut left = Vec::new();
    while world
        .core
        .next_deadline()
        .is_some_and(|due| due <= world.now)
    {
        world.tick();
        let info = world.core.info("t").unwrap();
        left.push(info.subscriptions[0].delayed);
    }
    assert_eq!(left, [15_000, 5_000, 0]);
}

#[test]
fn a_failed_delivery_waits_before_the_next() {
    let mut world = World::new();
    let options = r#"{"retry": {"min": "2s", "max": "5s"}, "ack_timeout": "10s"}"#;
    world.define("t", settings(options)).unwrap();
    let consumer = world.consume("t", &["s"], 1);
    world.publish("t", texts("a")).unwrap();
    assert_eq!(world.pump_text(), "1:a");
    // Each wait as nack and as time-out: 2 s, 4 s, then 5 s.
    for (tag, wait) in [(1, 2), (2, 4), (3, 5), (4, 5)] {
        if tag % 2 == 1 {
            world.nack(consumer, &[tag], true, 0);
        } else {
            next(&mut world);
        }
        let until = world.now.after(Duration::from_secs(wait));
        let due = world.core.next_deadline();
        assert_eq!(due, Some(until.after(Duration::from_micros(1))), "{tag}");
        assert_eq!(world.pump_text(), "");
        next(&mut world);
        let attempt = tag + 1;
        assert_eq!(world.pump_text(), format!("{attempt}:a!{attempt}"));
    }
    world.nack(consumer, &[5], true, 1);
    let until = world.now.after(Duration::from_secs(1));
    assert_eq!(
        world.core.next_deadline(),
        Some(until.after(Duration::from_micros(1))),
        "an explicit delay wins"
    );
    next(&mut world);
    assert_eq!(world.pump_text(), "6:a!6");
    world.detach(consumer);
    assert_eq!(waiting(&world, "s"), "a", "who goes away is no failure");
}

#[test]
fn the_wait_of_a_retry_survives_a_restart() {
    let mut world = World::new();
    world.define("t", settings(r#"{"retry": "5s"}"#)).unwrap();
    let consumer = world.consume("t", &["s"], 2);
    world.publish("t", texts("a b")).unwrap();
    world.pump();
    world.nack(consumer, &[1], true, 0);
    world.restart();
    assert_eq!(
        waiting(&world, "s"),
        "b",
        "b was in flight and is back at once"
    );
    next(&mut world);
    assert_eq!(waiting(&world, "s"), "a b");
}

#[test]
fn a_subscription_has_a_retry_of_its_own() {
    let mut world = World::new();
    world.define("t", settings(r#"{"retry": "5s"}"#)).unwrap();
    let hasty = Admin::Subscribe {
        topic: "t".parse().unwrap(),
        subscription: "hasty".parse().unwrap(),
        from: None,
        settings: serde_json::from_str(r#"{"retry": "0s"}"#).unwrap(),
    };
    world.manage(hasty).unwrap();
    let consumer = world.consume("t", &["hasty"], 1);
    world.publish("t", texts("a")).unwrap();
    world.pump();
    world.nack(consumer, &[1], true, 0);
    assert_eq!(world.pump_text(), "2:a!2");
}
