//! Several processes, some of which ask again, or no more.

use super::world::{ME, World, ack, attach, holds, message, one, publish, subscribe, take, text};
use crate::topics::script::{Answer, Change, Done, Ended, Incoming, Refusal, Step};
use redis::{Client, Connection, ConnectionLike, Value};
use std::time::Duration;

const OTHER: &str = "other";

/// Hears where a process is woken.
struct Ear(Connection);

impl Ear {
    fn of(world: &World, process: &str) -> Self {
        let client = Client::open(world.server.url()).expect("a URL");
        let mut connection = client.get_connection().expect("Redis answers");
        let channel = world.script.wake_channel(process);
        let subscribe = redis::cmd("SUBSCRIBE").arg(channel).get_packed_command();
        connection.req_packed_command(&subscribe).expect("it hears");
        Self(connection)
    }

    /// How often it was woken by what has been answered so far.
    fn woken(&mut self) -> usize {
        self.0
            .send_packed_command(&redis::cmd("PING").get_packed_command())
            .expect("it is there");
        let mut count = 0;
        while let Value::Array(parts) = self.0.recv_response().expect("it answers") {
            match &parts[..] {
                [Value::BulkString(kind), ..] if kind == b"message" => count += 1,
                _ => break,
            }
        }
        count
    }
}

#[test]
fn a_request_again_is_answered_again() {
    let Some(mut world) = World::new("{}") else {
        return;
    };
    world.done(attach(1, "s"));
    let steps = [publish([message("a"), message("b")]), take(1, "s", 1)];
    let number = world.next_number();
    let first = world.request(ME, number, &steps);
    assert_eq!(world.request(ME, number, &steps), first);
    assert_eq!(world.inspect().messages, 2);
    assert_eq!(world.request(ME, number, &steps), Answer::Stale);
    let Answer::Reply(reply) = first else {
        panic!("{first:?}")
    };
    let Ok(Done::Taken {
        deliveries,
        more: true,
    }) = &reply.steps[1]
    else {
        panic!("{reply:?}")
    };
    assert_eq!(text(deliveries), "a");
    assert_eq!(world.batch(ack(1, &holds(deliveries))).acked, 1);
}

#[test]
fn what_is_settled_at_once_is_told_again_too() {
    let Some(mut world) = World::new("{}") else {
        return;
    };
    world.done(attach(1, "s"));
    world.publish("a b c");
    let Step::Take {
        consumer,
        subscription,
        ..
    } = take(1, "s", 9)
    else {
        panic!("a take")
    };
    let steps = [Step::Take {
        consumer,
        subscription,
        count: 2,
        bytes: 10_000,
        at_least_one: false,
        auto_ack: true,
    }];
    let number = world.next_number();
    let first = world.request(ME, number, &steps);
    assert_eq!(world.request(ME, number, &steps), first);
    let Answer::Reply(reply) = first else {
        panic!("{first:?}")
    };
    let Ok(Done::Taken { deliveries, .. }) = &reply.steps[0] else {
        panic!("{reply:?}")
    };
    assert_eq!(text(deliveries), "a b");
    assert!(world.keys().contains(&"later".to_owned()));
    let info = world.inspect();
    assert_eq!((info.messages, info.subscriptions[0].acked), (1, 2));
    assert!(!world.keys().contains(&"later".to_owned()));
    let bodies: usize = redis::cmd("HLEN")
        .arg("tl:{t}:m")
        .query(&mut world.redis)
        .expect("a number");
    assert_eq!(bodies, 1);
}

#[test]
fn bytes_are_bounded() {
    let Some(mut world) = World::new("{}") else {
        return;
    };
    world.done(attach(1, "s"));
    world.publish("aa bb cc");
    let bounded = |bytes, at_least_one| Step::Take {
        consumer: 1,
        subscription: "s".parse().expect("a name"),
        count: 9,
        bytes,
        at_least_one,
        auto_ack: false,
    };
    assert_eq!(text(&world.take_as(ME, bounded(257, false))), "");
    assert_eq!(text(&world.take_as(ME, bounded(1, true))), "aa");
    assert_eq!(text(&world.take_as(ME, bounded(2 * 258, false))), "bb cc");
}

#[test]
fn a_silent_process_loses_what_it_holds() {
    let Some(mut world) = World::new("{}") else {
        return;
    };
    world.lease = Duration::from_secs(10);
    world.done(attach(1, "s"));
    world.try_as(OTHER, attach(1, "s")).expect("it is attached");
    world.publish("a b");
    let taken = world.take(1, "s", 9);
    world.wait_s(8);
    assert!(!world.ask_as(OTHER, &[]).lease_lost);
    world.wait_s(3);
    let theirs = world.take_as(OTHER, take(1, "s", 1));
    assert_eq!(text(&theirs), "a!2");
    let reply = world.ask(&[ack(1, &holds(&taken)), take(1, "s", 9)]);
    assert!(reply.lease_lost);
    let Ok(Done::Batch(batched)) = &reply.steps[0] else {
        panic!("{reply:?}")
    };
    assert_eq!((batched.acked, batched.skipped), (0, 2));
    assert_eq!(reply.steps[1], Err(Refusal::NoConsumer));
    assert!(world.ask(&[attach(1, "s")]).lease_lost);
    assert!(!world.tick().lease_lost);
    assert_eq!(text(&world.take(1, "s", 9)), "b!2");
    assert_eq!(world.inspect().subscriptions[0].consumers, 2);
    world.try_as(OTHER, Step::Leave).expect("it goes");
    assert_eq!(text(&world.take(1, "s", 9)), "a!3");
    assert_eq!(world.inspect().subscriptions[0].consumers, 1);
}

#[test]
fn a_late_process_that_asks_first_has_lost_its_lease_too() {
    let Some(mut world) = World::new("{}") else {
        return;
    };
    world.lease = Duration::from_secs(10);
    world.done(attach(1, "s"));
    world.publish("a");
    world.take(1, "s", 9);
    world.wait_s(11);
    let reply = world.ask(&[attach(2, "s"), take(2, "s", 1)]);
    assert!(reply.lease_lost);
    let Ok(Done::Taken { deliveries, .. }) = &reply.steps[1] else {
        panic!("{reply:?}")
    };
    assert_eq!(text(deliveries), "a!2");
}

#[test]
fn the_hungry_are_woken_one_for_one() {
    let Some(mut world) = World::new("{}") else {
        return;
    };
    let mut ears = ["x", "y"].map(|process| Ear::of(&world, process));
    for process in ["x", "y"] {
        world.try_as(process, attach(1, "s")).expect("attached");
        assert!(world.take_as(process, take(1, "s", 1)).is_empty());
        world.wait_s(1);
    }
    let mut woken = || ears.each_mut().map(Ear::woken);
    assert_eq!(woken(), [0, 0]);
    world.publish("a");
    assert_eq!(woken(), [1, 0], "who waits longest");
    world.publish("b");
    assert_eq!(woken(), [0, 1]);
    world.publish("c");
    assert_eq!(woken(), [0, 0], "nobody is hungry");
    assert_eq!(text(&world.take_as("x", take(1, "s", 1))), "a");
    assert_eq!(text(&world.take_as("y", take(1, "s", 9))), "b c");
    world
        .try_as("x", Step::Detach { consumer: 1 })
        .expect("detached");
    assert_eq!(
        woken(),
        [0, 1],
        "it took all that there was, and more came back"
    );
}

#[test]
fn who_was_woken_and_takes_nothing_leaves_it_to_others() {
    let Some(mut world) = World::new("{}") else {
        return;
    };
    let mut ears = ["x", "y"].map(|process| Ear::of(&world, process));
    for process in ["x", "y"] {
        world.try_as(process, attach(1, "s")).expect("attached");
        assert!(world.take_as(process, take(1, "s", 1)).is_empty());
        world.wait_s(1);
    }
    let mut woken = || ears.each_mut().map(Ear::woken);
    world.publish("a");
    assert_eq!(woken(), [1, 0]);
    world.ask_as("x", &[]);
    assert_eq!(woken(), [0, 1]);
}

/// What wakes the one that asks itself was no longer told to anybody when it had no room.
#[test]
fn who_wakes_itself_and_takes_nothing_leaves_it_to_others() {
    let Some(mut world) = World::new("{}") else {
        return;
    };
    let mut ears = [ME, "y"].map(|process| Ear::of(&world, process));
    for process in [ME, "y"] {
        world.try_as(process, attach(1, "s")).expect("attached");
        assert!(world.take_as(process, take(1, "s", 1)).is_empty());
        world.wait_s(1);
    }
    let mut woken = || ears.each_mut().map(Ear::woken);
    world.ask(&[publish([message("a"), message("b")]), take(1, "s", 1)]);
    assert_eq!(woken(), [1, 0]);
    world.tick();
    assert_eq!(woken(), [0, 1]);
}

/// Its own lease was never over, but due: it was to ask again at once, for ever.
#[test]
fn a_process_without_consumers_has_no_lease() {
    let Some(mut world) = World::new("{}") else {
        return;
    };
    world.lease = Duration::from_secs(10);
    world.done(attach(1, "s"));
    world.done(Step::Detach { consumer: 1 });
    world.attached = false;
    let due = world.tick().next_due.expect("the end of the lease");
    assert!(due > world.now());
    world.wait_s(11);
    assert_eq!(world.tick().next_due, None);
    assert!(!world.keys().contains(&"l".to_owned()));
}

/// Only its own consumer may take what is next in a group. It was too large, and the consumer heard that there is nothing.
#[test]
fn what_is_too_large_for_now_is_there_in_groups_too() {
    let Some(mut world) = World::new("{}") else {
        return;
    };
    world.done(attach(1, "s"));
    let grouped = |payload| Incoming {
        group: Some("g".into()),
        ..message(payload)
    };
    world.batch(publish([grouped("a"), grouped("bb")]));
    assert_eq!(text(&world.take(1, "s", 1)), "a");
    let small = Step::Take {
        consumer: 1,
        subscription: "s".parse().expect("a name"),
        count: 9,
        bytes: 257,
        at_least_one: false,
        auto_ack: false,
    };
    let taken = world.done(small);
    let Done::Taken { deliveries, more } = taken else {
        panic!("{taken:?}")
    };
    assert_eq!((text(&deliveries).as_str(), more), ("", true));
}

#[test]
fn a_holder_is_told_what_became_of_its_deliveries() {
    let Some(mut world) = World::new(r#"{"dedupe": "latest"}"#) else {
        return;
    };
    let mut ear = Ear::of(&world, OTHER);
    world.try_as(OTHER, attach(5, "s")).expect("attached");
    world.done(subscribe("t", None));
    let keyed = |payload| Incoming {
        key: Some("k".into()),
        ..message(payload)
    };
    world.batch(publish([keyed("a")]));
    let taken = world.take_as(OTHER, take(5, "s", 9));
    world.batch(publish([keyed("b")]));
    assert!(ear.woken() > 0);
    let reply = world.ask_as(OTHER, &[take(5, "s", 9)]);
    let forgotten = reply.forgotten[0];
    assert_eq!((forgotten.consumer, forgotten.hold), (5, taken[0].hold));
    ear.woken();
    let unsubscribe = Step::Unsubscribe {
        subscription: "s".parse().expect("a name"),
        below: None,
    };
    world.done(unsubscribe);
    assert!(ear.woken() > 0);
    let reply = world.ask_as(OTHER, &[take(5, "s", 9)]);
    let ended = Ended {
        consumer: 5,
        subscription: taken[0].hold.subscription,
    };
    assert_eq!(
        (&reply.ended[..], &reply.steps[0]),
        (&[ended][..], &Err(Refusal::NoSubscription))
    );
    let by = Duration::from_secs(1);
    let (consumer, holds) = (5, holds(&taken));
    let late = one(Change::Extend {
        consumer,
        holds,
        by,
    });
    let Ok(Done::Batch(batched)) = world.try_as(OTHER, late) else {
        panic!("a batch")
    };
    assert_eq!((batched.extended, batched.skipped), (0, 1));
}
