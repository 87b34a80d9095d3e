//! What is large, and a Redis without memory.

use super::world::{NUMBER, World, ack, after, attach, holds, message, publish, subscribe, text};
use crate::topics::script::{Done, Incoming, Refusal, Step};
use trunkline_model::{Priority, StartFrom};

fn many(world: &mut World, count: usize, template: &Incoming) {
    let messages = (0..count).map(|_| template.clone());
    assert_eq!(world.batch(publish(messages)).ids.len(), count);
}

fn waiting(world: &mut World) -> Vec<u64> {
    let info = world.inspect();
    info.subscriptions.iter().map(|s| s.waiting).collect()
}

#[test]
fn what_is_stored_is_copied_in_portions() {
    let Some(mut world) = World::new("{}") else {
        return;
    };
    world.done(subscribe("s", None));
    many(&mut world, 2_500, &message("m"));
    world.done(subscribe("t", Some(StartFrom::All)));
    let mut rounds = 0;
    while let Some(reply) = world
        .last
        .clone()
        .filter(|reply| reply.next_due == Some(reply.now))
    {
        assert_eq!(reply.number, NUMBER);
        many(&mut world, 1, &message("last"));
        rounds += 1;
    }
    assert_eq!(rounds, 2, "a portion of 1,000 with each request");
    world.done(attach(1, "t"));
    assert_eq!(waiting(&mut world), [2_502, 2_502]);
    let taken = world.take(1, "t", 3_000);
    let end = text(&taken[2_500..]);
    assert_eq!((taken.len(), end), (2_502, "last last".into()));
    let batched = world.batch(ack(1, &holds(&taken)));
    assert_eq!(batched.acked, 2_502);
    assert_eq!(world.inspect().messages, 2_502);
}

#[test]
fn nothing_is_handed_out_of_a_subscription_that_is_being_filled() {
    let Some(mut world) = World::new(r#"{"priorities": 2}"#) else {
        return;
    };
    world.done(subscribe("s", None));
    many(&mut world, 2_500, &message("m"));
    let reply = world.ask(&[
        subscribe("t", Some(StartFrom::All)),
        attach(1, "t"),
        super::world::take(1, "t", 9),
    ]);
    assert!(matches!(&reply.steps[2], Ok(Done::Taken { deliveries, .. }) if deliveries.is_empty()));
    world.tick();
    world.tick();
    assert_eq!(world.take(1, "t", 9)[0].message.sequence, 1);
}

#[test]
fn a_large_subscription_goes_in_portions() {
    let Some(mut world) = World::new("{}") else {
        return;
    };
    world.ask(&[subscribe("s", None), subscribe("t", None)]);
    many(&mut world, 2_500, &message("m"));
    world.ask(&[attach(1, "s")]);
    world.take(1, "s", 10);
    let (mut below, mut removed, mut rounds) = (None, 0, 0);
    let purge = |below| Step::Purge {
        subscription: Some("s".parse().expect("a name")),
        below,
    };
    loop {
        let Done::Removed { messages, more } = world.done(purge(below)) else {
            panic!("a purge")
        };
        many(&mut world, 1, &message("later"));
        removed += messages;
        rounds += 1;
        if more.is_none() {
            break;
        }
        below = more;
    }
    assert_eq!((removed, rounds), (2_490, 3));
    assert_eq!(waiting(&mut world), [3, 2_503], "what came later stays");
    let unsubscribe = |below| Step::Unsubscribe {
        subscription: "t".parse().expect("a name"),
        below,
    };
    let (mut below, mut removed) = (None, 0);
    loop {
        let Done::Removed { messages, more } = world.done(unsubscribe(below)) else {
            panic!("an unsubscribe")
        };
        removed += messages;
        if more.is_none() {
            break;
        }
        below = more;
    }
    assert_eq!(removed, 2_503);
    assert_eq!(world.inspect().messages, 13);
}

#[test]
fn what_waits_is_purged_whatever_came_later() {
    let Some(mut world) = World::new(r#"{"priorities": 3}"#) else {
        return;
    };
    world.ask(&[subscribe("s", None), subscribe("t", None)]);
    let of = |priority| Incoming {
        priority: Some(Priority(priority)),
        ..message("m")
    };
    many(&mut world, 600, &of(1));
    many(&mut world, 600, &of(2));
    let purge = |below| Step::Purge {
        subscription: Some("s".parse().expect("a name")),
        below,
    };
    let Done::Removed { messages, more } = world.done(purge(None)) else {
        panic!("a purge")
    };
    assert_eq!((messages, more), (1_000, Some(1_201)));
    many(&mut world, 1_500, &of(0));
    let rest = Done::Removed {
        messages: 200,
        more: None,
    };
    assert_eq!(world.done(purge(more)), rest);
    assert_eq!(waiting(&mut world), [1_500, 2_700]);
}

#[test]
fn what_many_hold_returns_in_portions() {
    let Some(mut world) = World::new(r#"{"max_attempts": 2}"#) else {
        return;
    };
    world.ask(&[attach(1, "s"), attach(2, "s")]);
    many(&mut world, 2_500, &message("m"));
    assert_eq!(world.take(1, "s", 3_000).len(), 2_500);
    let detached = world.done(Step::Detach { consumer: 1 });
    assert_eq!(detached, Done::Detached { returned: 2_500 });
    let due = world.last.clone().map(|reply| (reply.next_due, reply.now));
    assert!(due.is_some_and(|(due, now)| due == Some(now)));
    assert_eq!(world.inspect().subscriptions[0].waiting, 2_000);
    world.tick();
    assert_eq!(waiting(&mut world), [2_500]);
    assert!(!world.keys().contains(&"rest".to_owned()));
    let taken = world.take(2, "s", 3_000);
    assert!(taken.iter().all(|taken| taken.attempt == 2));
    assert_eq!((taken.len(), taken[0].message.sequence), (2_500, 1));
    world.lease = std::time::Duration::from_secs(1);
    world.tick();
    world.wait_s(2);
    for _ in 0..3 {
        world.ask_as("other", &[]);
    }
    assert_eq!(world.inspect().dropped, 2_500, "after the last attempt");
}

#[test]
fn what_is_due_at_once_happens_in_portions() {
    let Some(mut world) = World::new("{}") else {
        return;
    };
    world.done(attach(1, "s"));
    let short = Incoming {
        expires: after(5),
        ..message("m")
    };
    many(&mut world, 2_500, &short);
    world.wait_s(6);
    let reply = world.tick();
    assert_eq!(reply.next_due, Some(reply.now));
    assert_eq!(world.inspect().expired, 2_000, "as far as it came");
    assert_eq!(world.take(1, "s", 9), []);
    assert_eq!(world.inspect().expired, 2_500);
    assert_eq!(world.inspect().messages, 0);
}

#[test]
fn without_memory_publishes_are_refused_and_acks_go_on() {
    let Some(mut world) = World::new("{}") else {
        return;
    };
    world.done(attach(1, "s"));
    world.publish("a b c");
    let taken = world.take(1, "s", 1);
    let maxmemory = |world: &mut World, bytes: u64| {
        let set = redis::cmd("CONFIG")
            .arg("SET")
            .arg("maxmemory")
            .arg(bytes)
            .exec(&mut world.redis);
        set.expect("it is set");
    };
    maxmemory(&mut world, 1);
    let refused = Err(Refusal::OutOfMemory);
    let before = world.inspect();
    assert_eq!(world.try_one(publish([message("d")])), refused);
    assert_eq!(world.try_one(subscribe("t", None)), refused);
    assert_eq!(world.inspect(), before);
    let reply = world.ask(&[
        publish([message("d")]),
        ack(1, &holds(&taken)),
        publish([message("e")]),
    ]);
    assert_eq!((&reply.steps[0], &reply.steps[2]), (&refused, &refused));
    assert!(matches!(&reply.steps[1], Ok(Done::Batch(batched)) if batched.acked == 1));
    assert_eq!(text(&world.take(1, "s", 9)), "b c");
    world.done(Step::Detach { consumer: 1 });
    maxmemory(&mut world, 0);
    assert_eq!(world.publish("f"), [4]);
    assert_eq!(world.inspect().messages, 3);
}
