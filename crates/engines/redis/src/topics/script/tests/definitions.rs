//! Definitions change while messages are there, and looks at what there is.

use super::world::{NUMBER, World, after, attach, message, options, publish, subscribe, text};
use crate::topics::script::{Done, Incoming, Limit, Peek, Refusal, Seen, Step};
use trunkline_model::{
    MessageId, MessageState, PeekCursor, PeekFrom, SubscriptionSettings, Timestamp,
};

fn alter(version: u64, settings: &str) -> Step {
    Step::Alter {
        version,
        options: options(settings),
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
    };
    let counts = Done::Altered {
        messages: 2,
        bytes: 4,
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
    let raw = b"\x93\x63\x01\x01".to_vec();
    let set = redis::cmd("SET")
        .arg("tl:{t}:def")
        .arg(raw)
        .exec(&mut world.redis);
    set.expect("it is set");
    let number = world.next_number();
    let answer = world.request("me", number, &[]);
    assert_eq!(answer, crate::topics::script::Answer::Format(99));
}
