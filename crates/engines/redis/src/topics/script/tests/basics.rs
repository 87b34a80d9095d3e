//! What a topic is for.

use super::world::{
    ME, NUMBER, World, ack, after, attach, holds, message, nack, options, publish, subscribe, take,
    text,
};
use crate::topics::script::{Answer, Done, Incoming, Refusal, Step};
use trunkline_model::{Priority, StartFrom};

#[test]
fn a_message_is_published_taken_and_acknowledged() {
    let Some(mut world) = World::new("{}") else {
        return;
    };
    assert_eq!(world.publish("a b c"), [1, 2, 3]);
    world.done(attach(1, "s"));
    let taken = world.take(1, "s", 2);
    assert_eq!(text(&taken), "a b");
    let info = world.inspect();
    assert_eq!((info.messages, info.published), (3, 3));
    let subscription = &info.subscriptions[0];
    let counts = (
        subscription.waiting,
        subscription.in_flight,
        subscription.consumers,
    );
    assert_eq!(counts, (1, 2, 1));
    let batched = world.batch(ack(1, &holds(&taken)));
    assert_eq!((batched.acked, batched.skipped), (2, 0));
    let batched = world.batch(ack(1, &holds(&taken)));
    assert_eq!((batched.acked, batched.skipped), (0, 2), "once only");
    let taken = world.take(1, "s", 9);
    assert_eq!(text(&taken), "c");
    world.batch(ack(1, &holds(&taken)));
    let info = world.inspect();
    assert_eq!((info.messages, info.bytes), (0, 0));
    assert_eq!(
        (info.subscriptions[0].acked, info.subscriptions[0].late),
        (3, 2)
    );
    let left = ["a", "c", "def", "l", "p:me", "s1:c", "s1:y", "z:me"];
    assert_eq!(world.keys(), left);
}

#[test]
fn several_subscriptions_have_every_message() {
    let Some(mut world) = World::new(r#"{"priorities": 3}"#) else {
        return;
    };
    world.ask(&[attach(1, "s"), attach(2, "t")]);
    let urgent = Incoming {
        priority: Some(Priority(0)),
        ..message("u")
    };
    world.batch(publish([message("a"), urgent, message("b")]));
    let mine = world.take(1, "s", 9);
    let other = world.take(2, "t", 9);
    assert_eq!(
        (text(&mine), text(&other)),
        ("u a b".into(), "u a b".into())
    );
    world.batch(ack(1, &holds(&mine)));
    assert_eq!(world.inspect().messages, 3);
    world.batch(nack(2, &holds(&other)[..2], true, 0));
    world.batch(nack(2, &holds(&other)[2..], false, 0));
    assert_eq!(world.inspect().messages, 2);
    assert_eq!(text(&world.take(2, "t", 9)), "u!2 a!2");
    world.done(Step::Detach { consumer: 2 });
    world.ask(&[attach(3, "t")]);
    let last = world.take(3, "t", 9);
    assert_eq!(text(&last), "u!3 a!3");
    world.batch(ack(3, &holds(&last)));
    assert_eq!(world.inspect().messages, 0);
}

#[test]
fn delays_and_ends() {
    let Some(mut world) = World::new(r#"{"ack_timeout": "5s"}"#) else {
        return;
    };
    world.ask(&[attach(1, "s")]);
    let late = Incoming {
        deliver: after(10),
        ..message("late")
    };
    let short = Incoming {
        expires: after(3),
        ..message("short")
    };
    world.batch(publish([late, short, message("m")]));
    let due = world.last.as_ref().and_then(|reply| reply.next_due);
    let three = world
        .now()
        .after(std::time::Duration::from_micros(3_000_001));
    assert_eq!(due, Some(three), "after its microsecond");
    let taken = world.take(1, "s", 9);
    assert_eq!(text(&taken), "short m");
    world.wait_s(3);
    assert!(world.tick().forgotten.is_empty());
    world.wait_s(1);
    let reply = world.tick();
    assert_eq!(reply.forgotten[0].hold, taken[0].hold);
    assert_eq!(world.inspect().expired, 1);
    world.wait_s(2);
    let reply = world.ask(&[take(1, "s", 9)]);
    assert_eq!(reply.forgotten[0].hold, taken[1].hold, "told once");
    assert!(world.tick().forgotten.is_empty());
    world.wait_s(10);
    assert_eq!(text(&world.take(1, "s", 9)), "late m!3");
}

#[test]
fn a_topic_is_missing_made_and_removed() {
    let Some(mut world) = World::without_topic(&[]) else {
        return;
    };
    assert_eq!(world.request(ME, 1, &[]), Answer::Missing);
    let look = Step::Define {
        number: 0,
        options: options("{}"),
    };
    assert_eq!(world.request(ME, 2, &[look]), Answer::Missing);
    assert!(world.keys().is_empty());
    world.define(r#"{"priorities": 4, "ttl": "1h", "retry": "2s", "dead_letter": "dead"}"#);
    let other = Step::Define {
        number: 0,
        options: options("{}"),
    };
    let Done::Defined {
        created, options, ..
    } = world.done(other)
    else {
        panic!("it is defined")
    };
    assert_eq!((created, options.priorities), (false, 4));
    assert_eq!(world.last.as_ref().map(|reply| reply.number), Some(NUMBER));
    world.ask(&[attach(1, "s"), subscribe("t", None)]);
    world.publish("a b");
    world.take(1, "s", 1);
    let number = world.next_number();
    let delete = [Step::Delete];
    let first = world.request(ME, number, &delete);
    assert_eq!(first, world.request(ME, number, &delete), "the same again");
    let Answer::Reply(reply) = first else {
        panic!("it was there")
    };
    let removed = Done::Removed {
        messages: 2,
        more: None,
    };
    assert_eq!((reply.number, &reply.steps[0]), (0, &Ok(removed)));
    assert_eq!(world.keys(), ["z:me"], "which ends by itself");
    assert_eq!(world.request(ME, 99, &[]), Answer::Missing);
}

#[test]
fn kept_messages_go_to_the_first_subscription() {
    let Some(mut world) = World::new("{}") else {
        return;
    };
    world.publish("a b");
    let made = world.done(subscribe("s", None));
    assert!(matches!(
        made,
        Done::Subscribed {
            created: true,
            released: 0,
            ..
        }
    ));
    let made = world.done(subscribe("s", None));
    assert!(matches!(made, Done::Subscribed { created: false, .. }));
    world.done(subscribe("t", Some(StartFrom::All)));
    world.done(subscribe("u", None));
    world.publish("c");
    world.ask(&[attach(1, "s"), attach(2, "t"), attach(3, "u")]);
    let texts =
        [(1, "s"), (2, "t"), (3, "u")].map(|(consumer, name)| text(&world.take(consumer, name, 9)));
    assert_eq!(texts, ["a b c", "a b c", "c"]);
    for (name, messages) in [("s", 3), ("t", 3), ("u", 1)] {
        let step = Step::Unsubscribe {
            subscription: name.parse().expect("a name"),
            below: None,
        };
        assert_eq!(
            world.done(step),
            Done::Removed {
                messages,
                more: None
            }
        );
        let last = world.tick();
        assert!(last.ended.is_empty(), "it was told with the step");
    }
    assert_eq!(world.inspect().messages, 0);
    world.publish("d e");
    let made = world.done(subscribe("s", Some(StartFrom::New)));
    assert!(matches!(
        made,
        Done::Subscribed {
            created: true,
            released: 2,
            ..
        }
    ));
    assert_eq!(world.inspect().dropped, 2);
    assert_eq!(world.try_one(take(1, "s", 1)), Err(Refusal::NoConsumer));
}
