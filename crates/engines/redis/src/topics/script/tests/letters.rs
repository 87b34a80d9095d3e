//! Dead letters: out of one topic, into another, and back.

use super::world::{NUMBER, World, attach, holds, message, nack, publish, subscribe, text};
use crate::topics::script::{Done, Incoming, Letter, Reason, Refusal, Settled, Step};
use trunkline_model::Priority;

fn letters(world: &mut World) -> Vec<Letter> {
    match world.done(Step::TakeOutbox { limit: 10 }) {
        Done::Letters(letters) => letters,
        other => panic!("{other:?}"),
    }
}

#[test]
fn who_takes_a_letter_has_it_for_a_while() {
    let Some(mut world) = World::new(r#"{"max_attempts": 1, "dead_letter": "dead"}"#) else {
        return;
    };
    world.done(attach(1, "s"));
    world.publish("a b c");
    let taken = world.take(1, "s", 9);
    world.batch(nack(1, &holds(&taken[..1]), false, 0));
    world.batch(nack(1, &holds(&taken[1..2]), true, 0));
    assert!(world.tick().outbox);
    let found = letters(&mut world);
    let told: Vec<_> = found
        .iter()
        .map(|letter| (letter.message.sequence, letter.reason, letter.attempts))
        .collect();
    assert_eq!(told, [(1, Reason::Rejected, 1), (2, Reason::Exhausted, 1)]);
    assert_eq!(
        (&found[0].target[..], &found[0].message.body[..]),
        ("dead", &b"a"[..])
    );
    assert!(!world.tick().outbox);
    world.batch(nack(1, &holds(&taken[2..]), false, 0));
    assert!(letters(&mut world).is_empty(), "one carries at a time");
    let due = world.last.as_ref().and_then(|reply| reply.next_due);
    assert!(due.is_some_and(|due| due > world.now()));
    world.wait_s(6);
    assert!(world.tick().outbox);
    let again = letters(&mut world);
    let told: Vec<_> = again.iter().map(|letter| letter.message.sequence).collect();
    assert_eq!(
        told,
        [1, 2, 3],
        "nobody has settled them, in the same order"
    );
    assert_eq!(world.inspect().messages, 3);
    let entries = vec![
        Settled {
            entry: found[0].entry,
            buried: true,
        },
        Settled {
            entry: found[1].entry,
            buried: false,
        },
        Settled {
            entry: 99,
            buried: true,
        },
    ];
    assert_eq!(world.done(Step::SettleOutbox { entries }), Done::Settled(2));
    assert!(!world.tick().outbox, "one is under way still");
    let entries = vec![Settled {
        entry: again[2].entry,
        buried: true,
    }];
    assert_eq!(world.done(Step::SettleOutbox { entries }), Done::Settled(1));
    let info = world.inspect();
    assert_eq!((info.messages, info.dead, info.dropped), (0, 2, 1));
}

#[test]
fn a_letter_is_stored_once_and_makes_room() {
    let Some(mut world) = World::new(r#"{"max_messages": 3, "priorities": 2}"#) else {
        return;
    };
    world.done(attach(1, "s"));
    world.publish("a b c");
    world.take(1, "s", 1);
    let inter = |payload: &str| Step::Inter {
        message: Incoming {
            priority: Some(Priority(9)),
            ..message(payload)
        },
        publish_id: payload.into(),
    };
    let stored = |sequence, is_new| Done::Stored { sequence, is_new };
    assert_eq!(world.done(inter("x")), stored(4, true));
    assert_eq!(world.done(inter("x")), stored(4, false));
    assert_eq!(world.done(inter("y")), stored(5, true));
    let info = world.inspect();
    assert_eq!((info.messages, info.dropped), (3, 2));
    let taken = world.take(1, "s", 9);
    assert_eq!(
        text(&taken),
        "x y",
        "the oldest that nobody holds have gone"
    );
    assert_eq!(taken[0].message.priority, Priority(1));
    assert_eq!(taken[0].message.publish_id, None);
    for payload in ["z", "zz"] {
        world.done(inter(payload));
    }
    assert_eq!(world.inspect().messages, 4, "all others are held");
}

#[test]
fn a_message_goes_back_to_one_subscription() {
    let Some(mut world) = World::new(r#"{"dedupe": "latest", "max_messages": 3}"#) else {
        return;
    };
    world.ask(&[attach(1, "s"), attach(2, "t")]);
    let keyed = |payload| Incoming {
        key: Some("k".into()),
        ..message(payload)
    };
    let restore = |name: &str, message: Incoming, id: &str| Step::Restore {
        subscription: name.parse().expect("a name"),
        message,
        publish_id: id.into(),
    };
    let gone = world.try_one(restore("u", keyed("a"), "1"));
    assert_eq!(gone, Err(Refusal::NoSubscription));
    let stored = |sequence, is_new| Ok(Done::Stored { sequence, is_new });
    assert_eq!(
        world.try_one(restore("t", keyed("a"), "2")),
        stored(1, true)
    );
    assert_eq!(
        world.try_one(restore("t", keyed("a"), "2")),
        stored(1, false)
    );
    assert_eq!(
        world.try_one(restore("t", keyed("b"), "3")),
        Err(Refusal::NewerKey)
    );
    world.publish("m n");
    let full = world.try_one(restore("t", message("c"), "4"));
    assert!(
        matches!(full, Err(Refusal::Full { max: 3, .. })),
        "{full:?}"
    );
    assert_eq!(text(&world.take(1, "s", 9)), "m n");
    assert_eq!(text(&world.take(2, "t", 1)), "a");
    let remove = |number, sequences: &[u64]| Step::Remove {
        number,
        sequences: sequences.into(),
    };
    let remove_held = remove(NUMBER, &[1, 2, 3, 99]);
    assert_eq!(world.done(remove_held), Done::Settled(0), "they are held");
    world.done(Step::Detach { consumer: 1 });
    let other = world.done(remove(NUMBER - 1, &[2, 3]));
    assert_eq!(other, Done::Settled(0), "another topic had them");
    assert_eq!(world.done(remove(NUMBER, &[2, 3])), Done::Settled(2));
    assert_eq!(world.inspect().messages, 1);
}

#[test]
fn kept_messages_that_expire_leave_in_the_name_of_the_first_subscription() {
    let settings = r#"{"ttl": "5s", "dead_letter": "dead", "dead_letter_expired": true}"#;
    let Some(mut world) = World::new(settings) else {
        return;
    };
    world.publish("a b");
    world.wait_s(6);
    assert!(world.tick().outbox);
    world.done(subscribe("s", None));
    let found = letters(&mut world);
    assert_eq!(found.len(), 2);
    assert_eq!(found[0].name.as_deref(), Some("s"));
    assert_eq!(found[0].reason, Reason::Expired);
    assert_eq!(world.batch(publish([message("c")])).ids, [3]);
}
