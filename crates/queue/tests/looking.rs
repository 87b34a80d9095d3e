//! Looking at messages: order, states, cursors and filters.

#![allow(clippy::unwrap_used, reason = "a test says what it expects")]

mod support;

use support::{World, settings, text, texts};
use trunkline_model::{
    ErrorCode, Message, MessageFilter, MessageId, MessageState, PeekCursor, PeekFrom, Priority,
};
use trunkline_queue::{Look, PeekPage, Peeked};

const ALL: MessageFilter = MessageFilter {
    key: None,
    group: None,
    header: None,
    since: None,
    until: None,
    id: None,
    state: None,
};

fn urgent(payload: &str, priority: u8) -> Message {
    Message {
        priority: Some(Priority(priority)),
        ..text(payload)
    }
}

fn page(
    world: &World,
    subscription: Option<&str>,
    limit: usize,
    from: PeekFrom,
    filter: &MessageFilter,
) -> PeekPage {
    let look = Look {
        topic: "t",
        subscription,
        from,
        filter,
        limit,
    };
    world.core.peek(world.now, &look).unwrap()
}

/// The texts, each with its state and attempts where it has some.
fn shown(world: &World, messages: &[Peeked]) -> String {
    let told = messages.iter().map(|peeked| {
        let payload = world.payload(peeked.body);
        match (peeked.state, peeked.attempts) {
            (None | Some(MessageState::Waiting), 0) => payload,
            (state, attempts) => {
                let state = state.map_or("", MessageState::name);
                format!("{payload}:{state}:{attempts}")
            }
        }
    });
    told.collect::<Vec<_>>().join(" ")
}

#[test]
fn looking_shows_order_bounds_and_ids() {
    let mut world = World::new();
    world
        .define("t", settings(r#"{"priorities": 2, "default_priority": 1}"#))
        .unwrap();
    world.subscribe("t", "s");
    let ids = world
        .publish("t", [texts("a b"), vec![urgent("now", 0)]].concat())
        .unwrap();
    let look = |subscription, limit, from| {
        let page = page(&world, subscription, limit, from, &ALL);
        shown(&world, &page.messages)
    };
    assert_eq!(look(Some("s"), 2, PeekFrom::Front), "now a");
    assert_eq!(look(None, 2, PeekFrom::Front), "a b");
    assert_eq!(look(None, 9, PeekFrom::Id(ids[1])), "b now");
    assert_eq!(look(Some("s"), 9, PeekFrom::Id(ids[1])), "now b");
    let other = PeekFrom::Id(MessageId {
        topic: 77,
        sequence: 1,
    });
    let refused = world.core.peek(
        world.now,
        &Look {
            topic: "t",
            subscription: None,
            from: other,
            filter: &ALL,
            limit: 1,
        },
    );
    assert_eq!(
        refused.unwrap_err().message(),
        "message 77-1 is not one of topic t; its ids start with 1-"
    );
    let info = world.core.info("t").unwrap();
    assert_eq!((info.messages, info.bytes, info.published), (3, 5, 3));
    assert_eq!(info.oldest_at, Some(world.now));
    assert_eq!(info.subscriptions[0].by_priority, [1, 2]);
    assert_eq!(info.subscriptions[0].oldest_at, Some(world.now));
}

#[test]
fn a_subscription_shows_what_waits_then_what_is_delayed_then_what_is_in_flight() {
    let mut world = World::new();
    let consumer = world.consume("t", &["s"], 3);
    world.publish("t", texts("a b c d e")).unwrap();
    assert_eq!(world.pump_text(), "1:a 2:b 3:c");
    world.nack(consumer, &[1], true, 9);
    world.nack(consumer, &[2], true, 0);
    world.core.credit(consumer, 0);
    let all = page(&world, Some("s"), 9, PeekFrom::Front, &ALL);
    assert_eq!(
        shown(&world, &all.messages),
        "b:waiting:1 d e a:delayed:1 c:in-flight:1"
    );
    assert_eq!(all.next, None);
    for (state, expected) in [
        (MessageState::Waiting, "b:waiting:1 d e"),
        (MessageState::Delayed, "a:delayed:1"),
        (MessageState::InFlight, "c:in-flight:1"),
    ] {
        let filter = MessageFilter {
            state: Some(state),
            ..ALL
        };
        let some = page(&world, Some("s"), 9, PeekFrom::Front, &filter);
        assert_eq!(shown(&world, &some.messages), expected);
    }
    for peeked in &all.messages {
        let filter = MessageFilter {
            id: Some(peeked.id),
            ..ALL
        };
        let one = page(&world, Some("s"), 9, PeekFrom::Front, &filter);
        assert_eq!(one.messages, [*peeked]);
        let behind = page(
            &world,
            Some("s"),
            9,
            PeekFrom::After(peeked.cursor),
            &filter,
        );
        assert_eq!(behind.messages, []);
        let whole = page(&world, None, 9, PeekFrom::Front, &filter);
        assert_eq!(whole.messages[0].id, peeked.id);
        assert_eq!(whole.messages.len(), 1);
    }
    let look = Look {
        topic: "t",
        subscription: None,
        from: PeekFrom::Front,
        filter: &MessageFilter {
            state: Some(MessageState::Delayed),
            ..ALL
        },
        limit: 1,
    };
    let refused = world.core.peek(world.now, &look).unwrap_err();
    assert_eq!(refused.code(), ErrorCode::InvalidParams);
}

#[test]
fn pages_go_on_where_they_ended_whatever_happens_meanwhile() {
    let mut world = World::new();
    world.define("t", settings(r#"{"priorities": 3}"#)).unwrap();
    let consumer = world.consume("t", &["s"], 0);
    let batch = [
        ("a", 1),
        ("b", 0),
        ("c", 2),
        ("d", 1),
        ("e", 0),
        ("f", 2),
        ("g", 1),
    ];
    let batch = batch.map(|(payload, priority)| urgent(payload, priority));
    world.publish("t", batch.to_vec()).unwrap();
    // In steps of one and two, nothing is missed and nothing comes twice.
    for limit in [1, 2] {
        let (mut from, mut seen) = (PeekFrom::Front, Vec::new());
        loop {
            let page = page(&world, Some("s"), limit, from, &ALL);
            seen.push(shown(&world, &page.messages));
            let Some(next) = page.next else { break };
            let text = next.to_string();
            from = text.parse().unwrap();
            assert_eq!(from, PeekFrom::After(next));
        }
        assert_eq!(seen.join(" "), "b e a d g c f");
    }
    let first = page(&world, Some("s"), 3, PeekFrom::Front, &ALL);
    assert_eq!(shown(&world, &first.messages), "b e a");
    // What was seen is gone, also the one under the cursor; something more urgent has come.
    world.core.credit(consumer, 3);
    assert_eq!(world.pump_text(), "1:b 2:e 3:a");
    world.ack(consumer, &[1, 2, 3]);
    world
        .publish("t", vec![urgent("h", 0), urgent("i", 1)])
        .unwrap();
    let rest = page(
        &world,
        Some("s"),
        9,
        PeekFrom::After(first.next.unwrap()),
        &ALL,
    );
    assert_eq!(shown(&world, &rest.messages), "d g i c f");
    let whole = page(&world, None, 2, PeekFrom::Front, &ALL);
    assert_eq!(shown(&world, &whole.messages), "c d");
    let cursor = PeekCursor::sequence(MessageState::Waiting, 4);
    assert_eq!(whole.next, Some(cursor));
    let whole = page(&world, None, 9, PeekFrom::After(cursor), &ALL);
    assert_eq!(shown(&world, &whole.messages), "f g h i");
}

#[test]
fn times_are_told_without_reading() {
    let mut world = World::new();
    world.subscribe("t", "s");
    let mut times = Vec::new();
    for payload in ["a", "b", "c"] {
        times.push(world.now);
        world.publish("t", texts(payload)).unwrap();
        world.advance(1);
    }
    let filter = MessageFilter {
        since: Some(times[1]),
        until: Some(times[2]),
        ..ALL
    };
    for subscription in [None, Some("s")] {
        let page = page(&world, subscription, 9, PeekFrom::Front, &filter);
        assert_eq!(shown(&world, &page.messages), "b");
    }
    let info = world.core.info("t").unwrap();
    assert_eq!(info.oldest_at, Some(times[0]));
    assert_eq!(info.subscriptions[0].oldest_at, Some(times[0]));
}

#[test]
fn one_look_passes_over_no_more_than_its_bound() {
    let mut world = World::new();
    world.subscribe("t", "s");
    for _ in 0..101 {
        world.publish("t", vec![text("x"); 1_000]).unwrap();
    }
    world.advance(1);
    let filter = MessageFilter {
        since: Some(world.now),
        ..ALL
    };
    world.publish("t", texts("y")).unwrap();
    for subscription in [None, Some("s")] {
        let first = page(&world, subscription, 9, PeekFrom::Front, &filter);
        assert_eq!((first.messages.len(), first.next.is_some()), (0, true));
        let from = PeekFrom::After(first.next.unwrap());
        let second = page(&world, subscription, 9, from, &filter);
        assert_eq!(shown(&world, &second.messages), "y");
        assert_eq!(second.next, None);
    }
}
