//! Definitions change while messages are there, and looks at what there is.

use super::world::{
    NUMBER, World, ack, after, attach, holds, message, nack, options, publish, subscribe, text,
};
use crate::topics::script::{Answer, Done, Incoming, Limit, Peek, Refusal, Seen, Step};
use trunkline_model::{
    MessageId, MessageState, PeekCursor, PeekFrom, Priority, SubscriptionSettings, Timestamp,
};

fn alter(version: u64, settings: &str) -> Step {
    Step::Alter {
        version,
        options: options(settings),
        after: None,
    }
}

#[test]
fn options_change_if_nobody_else_changed_them() {
    let Some(mut world) = World::new(r#"{"priorities": 3}"#) else {
        return;
    };
    world.done(attach(1, "s"));
    world.publish("a bb ccc");
    let version = world.inspect().version;
    let altered = world.done(alter(
        version,
        r#"{"priorities": 5, "default_priority": 1, "max_messages": 2}"#,
    ));
    let counts = Done::Altered {
        messages: 3,
        bytes: 6,
        more: None,
    };
    assert_eq!(altered, counts);
    let changed = world.try_one(alter(version, "{}"));
    assert_eq!(
        changed,
        Err(Refusal::Changed {
            version: version + 1
        })
    );
    let version = version + 1;
    for (settings, option) in [
        (r#"{"priorities": 2}"#, "priorities"),
        (r#"{"priorities": 5, "dedupe": "latest"}"#, "dedupe"),
        (r#"{"priorities": 5, "durability": "memory"}"#, "durability"),
    ] {
        let refused = world.try_one(alter(version, settings));
        assert_eq!(refused, Err(Refusal::NeedsEmpty { option }));
    }
    let full = world.try_one(publish([message("d")]));
    let (limit, max) = (Limit::Messages, 2);
    assert_eq!(
        full,
        Err(Refusal::Full {
            limit,
            max,
            drops: false
        })
    );
    world.done(alter(
        version,
        r#"{"priorities": 5, "default_priority": 1, "max_messages": 2, "overflow": "drop-oldest"}"#,
    ));
    world.publish("d");
    let info = world.inspect();
    assert_eq!((info.messages, info.dropped), (2, 2));
    let settings: SubscriptionSettings = serde_json::from_str(
        r#"{"max_messages": 1, "ack_timeout": "3s", "dead_letter_expired": false}"#,
    )
    .expect("settings");
    let step = |version, settings: &SubscriptionSettings| Step::AlterSubscription {
        version,
        subscription: "s".parse().expect("a name"),
        settings: settings.clone(),
        after: None,
    };
    let counts = Done::Altered {
        messages: 2,
        bytes: 4,
        more: None,
    };
    assert_eq!(world.done(step(info.version, &settings)), counts);
    assert_eq!(world.inspect().subscriptions[0].settings, settings);
    world.publish("e");
    let info = world.inspect();
    assert_eq!((info.messages, info.options.priorities), (1, 5));
    assert_eq!(text(&world.take(1, "s", 9)), "e");
    world.wait_s(4);
    assert_eq!(world.tick().forgotten.len(), 1);
}

fn look(world: &mut World, peek: Peek) -> (Vec<Seen>, Option<PeekCursor>) {
    match world.done(Step::Peek(peek)) {
        Done::Peeked { messages, next } => (messages, next),
        other => panic!("{other:?}"),
    }
}

fn at(subscription: Option<&str>) -> Peek {
    Peek {
        subscription: subscription.map(|name| name.parse().expect("a name")),
        from: PeekFrom::Front,
        id: None,
        since: None,
        until: None,
        state: None,
        limit: 100,
        passed_max: 100,
        bytes_max: 1_000,
    }
}

fn sequences(seen: &[Seen]) -> Vec<u64> {
    seen.iter().map(|seen| seen.message.sequence).collect()
}

/// Of five messages the first two are held, and the fourth is delayed; the last two came at the time that
/// is returned.
fn five() -> Option<(World, Timestamp)> {
    let mut world = World::new("{}")?;
    world.done(attach(1, "s"));
    world.publish("a b c");
    world.wait_s(1);
    let since = world.now();
    let late = Incoming {
        deliver: after(9),
        ..message("late")
    };
    world.batch(publish([late, message("d")]));
    world.take(1, "s", 2);
    Some((world, since))
}

fn id(sequence: u64) -> MessageId {
    MessageId {
        topic: NUMBER,
        sequence,
    }
}

#[test]
fn looks_tell_where_messages_are() {
    let Some((mut world, _)) = five() else {
        return;
    };
    let (seen, next) = look(&mut world, at(Some("s")));
    assert_eq!((sequences(&seen), next), (vec![3, 5, 4, 1, 2], None));
    let states = seen.iter().map(|seen| seen.state.map(MessageState::name));
    let expected = ["waiting", "waiting", "delayed", "in-flight", "in-flight"];
    assert_eq!(states.collect::<Vec<_>>(), expected.map(Some));
    let (seen, _) = look(&mut world, at(None));
    assert_eq!(sequences(&seen), [1, 2, 3, 4, 5]);
    let idle = seen.iter().map(|seen| seen.is_idle);
    assert_eq!(idle.collect::<Vec<_>>(), [false, false, true, true, true]);
}

#[test]
fn looks_are_filtered() {
    let Some((mut world, since)) = five() else {
        return;
    };
    let mut sees = |subscription, change: &dyn Fn(&mut Peek)| {
        let mut peek = at(subscription);
        change(&mut peek);
        sequences(&look(&mut world, peek).0)
    };
    assert_eq!(sees(None, &|peek| peek.since = Some(since)), [4, 5]);
    assert_eq!(sees(None, &|peek| peek.until = Some(since)), [1, 2, 3]);
    assert_eq!(sees(None, &|peek| peek.from = PeekFrom::Id(id(4))), [4, 5]);
    let from_third = |peek: &mut Peek| peek.from = PeekFrom::Id(id(3));
    assert_eq!(sees(Some("s"), &from_third), [3, 5, 4]);
    let held = |peek: &mut Peek| peek.state = Some(MessageState::InFlight);
    assert_eq!(sees(Some("s"), &held), [1, 2]);
    for sequence in 1..6 {
        let one = |peek: &mut Peek| peek.id = Some(id(sequence));
        assert_eq!(sees(None, &one), [sequence]);
        assert_eq!(sees(Some("s"), &one), [sequence]);
    }
    assert!(sees(Some("s"), &|peek| peek.id = Some(id(9))).is_empty());
}

#[test]
fn looks_go_on_where_they_ended() {
    let Some((mut world, _)) = five() else {
        return;
    };
    let mut peek = Peek {
        bytes_max: 2,
        ..at(None)
    };
    let (seen, next) = look(&mut world, peek);
    assert_eq!(sequences(&seen), [1, 2]);
    peek = Peek {
        from: PeekFrom::After(next.expect("there is more")),
        passed_max: 1,
        ..at(None)
    };
    let (seen, next) = look(&mut world, peek);
    assert_eq!(sequences(&seen), [3]);
    peek = Peek {
        from: PeekFrom::After(next.expect("there is more")),
        ..at(None)
    };
    assert_eq!(sequences(&look(&mut world, peek).0), [4, 5]);
}

#[test]
fn looks_at_what_isnt_there_are_refused() {
    let Some((mut world, _)) = five() else {
        return;
    };
    let other = MessageId { topic: 1, ..id(1) };
    let mut peek = at(None);
    peek.id = Some(other);
    let (number, id) = (NUMBER, other);
    let refused = world.try_one(Step::Peek(peek));
    assert_eq!(refused, Err(Refusal::OtherTopic { number, id }));
    let mut peek = at(None);
    peek.state = Some(MessageState::Waiting);
    let refused = world.try_one(Step::Peek(peek));
    assert_eq!(refused, Err(Refusal::StateWithoutSubscription));
    let refused = world.try_one(Step::Peek(at(Some("x"))));
    assert_eq!(refused, Err(Refusal::NoSubscription));
}

#[test]
fn another_format_is_left_alone() {
    let Some(mut world) = World::new("{}") else {
        return;
    };
    world.done(subscribe("s", None));
    let keys = world.keys();
    for (raw, format) in [
        (&b"\x63\x01\x01"[..], 99),
        (b"", 0),
        (b"rubbish", 0x72),
        (b"\xc1rubbish", 0),
        (b"\x01\x01\x01", 0),
        (b"\x93\x63\x01\x01", 0),
        (b"\xdd\xff\xff\xff\xff", 0),
    ] {
        let mut set = redis::cmd("SET");
        set.arg("tl:{t}:def").arg(raw);
        set.exec(&mut world.redis).expect("it is set");
        let number = world.next_number();
        let define = Step::Define {
            number: 0,
            options: options("{}"),
        };
        for step in [define, Step::Delete, Step::Inspect] {
            let answer = world.request("me", number, &[step]);
            assert_eq!(answer, Answer::Format(format), "{raw:?}");
        }
        assert_eq!(world.keys(), keys);
    }
}

/// What is noted of what may be dropped: of the topic and its subscriptions, and how many bytes.
fn stock(world: &mut World) -> (Vec<Vec<(String, u64)>>, Option<u64>) {
    let sets = ["i", "s1:i", "s2:i"].map(|name| {
        let mut range = redis::cmd("ZRANGE");
        range.arg(format!("tl:{{t}}:{name}")).arg(0).arg(-1);
        let found = range.arg("WITHSCORES").query(&mut world.redis);
        found.expect("a sorted set")
    });
    let mut idle = redis::cmd("HGET");
    idle.arg("tl:{t}:c").arg("idle");
    (sets.into(), idle.query(&mut world.redis).expect("a number"))
}

/// A million messages were counted in one go, and Redis did nothing else for seconds.
#[test]
fn what_may_be_dropped_is_noted_in_portions_while_the_topic_is_used() {
    let Some(mut world) = World::new(r#"{"priorities": 2}"#) else {
        return;
    };
    world.ask(&[attach(1, "s"), attach(2, "other")]);
    let some = |priority: u8, count: usize| {
        publish((0..count).map(|_| Incoming {
            priority: Some(Priority(priority)),
            ..message("m")
        }))
    };
    world.batch(some(1, 1_500));
    world.batch(some(0, 1_100));
    let first = world.take(1, "s", 20);
    let small = r#"{"priorities": 2, "max_messages": 2000, "overflow": "drop-oldest"}"#;
    let version = world.inspect().version;
    let mut after = None;
    let mut portions = 0;
    loop {
        let step = Step::Alter {
            version,
            options: options(small),
            after,
        };
        let Done::Altered { more, .. } = world.done(step) else {
            panic!("it is altered")
        };
        portions += 1;
        if more.is_none() {
            break;
        }
        after = more;
        assert_eq!(world.inspect().version, version, "nothing has changed yet");
        // Before and behind what was noted so far.
        world.batch(ack(1, &holds(&first[portions..portions + 1])));
        world.batch(nack(
            1,
            &holds(&first[portions + 5..portions + 6]),
            true,
            60,
        ));
        let held = world.take(2, "other", 7);
        world.batch(ack(2, &holds(&held[..3])));
        world.batch(nack(2, &holds(&held[3..5]), false, 0));
        world.batch(some(0, 3));
    }
    assert_eq!(portions, 3);
    let noted = stock(&mut world);
    assert!(noted.0[0].len() > 2_500 && noted.0[1..].iter().all(Vec::is_empty));
    // The same from the beginning, with nothing in between.
    let again = |world: &mut World, settings: &str| {
        let (version, mut after) = (world.inspect().version, None);
        loop {
            let options = options(settings);
            let step = Step::Alter {
                version,
                options,
                after,
            };
            match world.done(step) {
                Done::Altered { more: None, .. } => return,
                Done::Altered { more, .. } => after = more,
                other => panic!("{other:?}"),
            }
        }
    };
    again(&mut world, r#"{"priorities": 2}"#);
    assert_eq!(stock(&mut world), (vec![Vec::new(); 3], Some(0)));
    again(&mut world, small);
    assert_eq!(stock(&mut world), noted);
    // Of what is above the bound, one request drops a portion.
    let stored = world.inspect().messages;
    let last: Vec<_> = (0..20).map(|_| some(1, 1)).collect();
    world.ask(&last);
    let info = world.inspect();
    assert_eq!(info.messages, 2_000);
    assert_eq!(info.dropped, stored + 20 - 2_000 + 4);
}
