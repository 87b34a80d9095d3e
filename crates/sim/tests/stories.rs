//! Histories that broke a promise once, each with what was wrong. They must be kept for ever.

use trunkline_sim::{Flaw, Transcript, read_history, run};

fn holds(story: &str) {
    let history = read_history(story).expect("a story is a history");
    if let Err(failure) = run(&history, Flaw::None, Transcript::kept()) {
        panic!(
            "{}\n{}",
            failure.violation,
            failure.transcript.lines().join("\n")
        );
    }
}

/// The sequences of an interval topic were in the journal only with its messages, so those that a
/// power loss took were given to other messages.
#[test]
fn identities_of_lost_messages_stay_theirs() {
    holds(
        "topic t0 durability=interval
        subscribe t0/s0
        publish t0 1x5975
        step
        power after=0 seed=0
        publish t0 1x2331
        settle",
    );
}

/// A publish found the journal poisoned while it made room; consumers had ended by then, and got
/// deliveries all the same, which the engine took for a mistake of its own.
#[test]
fn a_failure_in_the_middle_of_a_command_delivers_to_nobody() {
    holds(
        "topic t0 ack_timeout=295ms durability=interval priorities=4
        subscribe t0/s0
        publish t0 2x31330 priority=0 key=3
        power after=5 seed=4929
        publish t0 3x41035 priority=0 key=2
        consume c0 t0/s0 credit=20
        consume c2 t0/s0 credit=5 window=3955 auto
        publish t0 2x41762 key=2 id=4",
    );
}

/// A delivery that was decided in time left when its message had expired.
#[test]
fn what_expires_on_its_way_does_not_arrive() {
    holds(
        "topic t0 durability=interval
        subscribe t0/s0
        consume c0 t0/s0 credit=2 window=4346
        publish t0 2x12 ttl=264
        wait 121000
        step",
    );
}

/// Two consumers were given the same message, the first after its time-out and as attempt 1 after 2.
#[test]
fn what_times_out_on_its_way_does_not_arrive() {
    holds(
        "topic t0 ack_timeout=1s944ms
        subscribe t0/s0
        consume c1 t0/s0 credit=5
        consume c0 t0/s0 credit=1000
        publish t0 1x487
        wait 121000
        step",
    );
}

/// Emptying a topic that is in memory waited for the sync of an unrelated publish, which nobody
/// hurried to make.
#[test]
fn who_manages_waits_for_no_message() {
    holds(
        "topic t0 durability=interval
        topic t1 durability=memory
        subscribe t1/s0
        publish t0 6x1957
        purge t1/s0",
    );
}

/// A sync fails, and the engine is started again without the machine: the page cache shows what the
/// disk doesn't have, the second sync says that all is well, and a later power loss left a hole in
/// the log, so that the store was refused as damaged.
#[test]
fn a_failed_sync_leaves_no_hole() {
    holds(
        "topic t0 durability=interval
        subscribe t0/s0
        publish t0 1x5337
        fail sync after=0
        unsubscribe t0/s0
        subscribe t0/s0
        power after=1 seed=1
        publish t0 2x1143
        step",
    );
}

/// What a consumer held of another topic went back with a subscription, and that was not among
/// what the command was admitted with.
#[test]
fn the_returns_of_ended_consumers_are_admitted() {
    holds(
        "topic t0
        subscribe t0/s0
        topic t1
        subscribe t1/s0
        publish t1 90x10
        settle
        consume c1 t0/s0 t1/s0 credit=1000
        settle
        unsubscribe t0/s0",
    );
}

/// The ledger took what was perhaps returned with a delay, and perhaps timed out before, for waiting.
#[test]
fn what_timed_out_may_have_been_returned_with_a_delay() {
    holds(
        "topic t1 ack_timeout=298ms durability=memory
        subscribe t1/s0
        publish t1 6x20676
        consume c0 t1/s0 credit=1000
        wait 3891
        return c0 1 delay=1037
        wait 406
        publish t1 1x37547 ttl=1512",
    );
}

/// A topic got its first bound while it held more: a publish that repeats another one is confirmed, and drops nothing.
#[test]
fn a_first_bound_drops_nothing_by_itself() {
    holds(
        "topic t1 overflow=drop-oldest
        publish t1 8x100 id=3
        alter t1 max_messages=7
        publish t1 1x100 id=3",
    );
}

/// What a full topic drops is gone for good, unless the publish that dropped it is lost.
#[test]
fn what_is_dropped_comes_back_only_with_a_lost_publish() {
    for end in ["step", "power after=0 seed=0", "kill"] {
        holds(&format!(
            "topic t0 priorities=3 max_messages=3 overflow=drop-oldest durability=interval
            subscribe t0/s0
            publish t0 3x100 priority=0
            settle
            consume c0 t0/s0 credit=1
            settle
            publish t0 1x100 priority=1
            {end}
            publish t0 2x100 priority=2
            settle
            look t0/s0"
        ));
    }
}

/// A write failed while a publish made room for itself. It was refused as it had to be, but the
/// engine went on as if it could serve until somebody wrote again.
#[test]
fn a_failure_while_making_room_ends_the_engine() {
    holds(
        "topic t0 durability=interval
        subscribe t0/s0
        publish t0 1x60413
        publish t0 2x35065
        fail write after=1
        step
        publish t0 3x58729
        look t0/s0",
    );
}
