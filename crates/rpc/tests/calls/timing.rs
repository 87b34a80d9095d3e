//! Deadlines and cancellation.

use crate::world::{Worker, World, secs, spec};
use std::time::Duration;

#[tokio::test]
async fn a_call_times_out_in_its_stage() {
    let world = World::new();
    let (client, worker) = (world.client(), world.worker("math", &["add"], 1));
    client.call("add", "1");
    client.call_for(secs(2), "add", "2");
    world.pass(secs(2));
    assert!(
        client.heard().is_empty(),
        "not before the deadline has passed"
    );
    world.pass(Duration::from_millis(1));
    assert_eq!(client.heard(), ["2: -32001 queued"]);
    world.pass(secs(28));
    assert_eq!(client.heard(), ["1: -32001 running"]);

    let call = worker.take_one();
    assert_eq!(worker.cancelled(), [call.dispatch]);
    assert!(!worker.answer(&call, "late"));
    assert_eq!(world.calls.counters().late_answers, 1);
    assert!(worker.take().is_empty(), "the queued one is gone");
}

#[tokio::test]
async fn a_timed_out_call_keeps_its_slot_until_it_is_answered() {
    let world = World::new();
    let (client, worker) = (world.client(), world.worker("math", &["add"], 2));
    client.call_for(secs(1), "add", "\"old\"");
    client.call_for(secs(1), "add", "\"old\"");
    let old = worker.take();
    world.pass(secs(2));
    client.call("add", "\"new 1\"");
    client.call("add", "\"new 2\"");
    client.call("add", "\"new 3\"");
    assert!(worker.take().is_empty());
    assert_eq!(worker.registration.running(), 2);

    worker.answer(&old[0], "late");
    assert_eq!(worker.take_params(), ["\"new 1\""]);
    worker.answer(&old[1], "late");
    assert_eq!(worker.take_params(), ["\"new 2\""]);
    assert_eq!(worker.registration.running(), 2);
}

#[tokio::test]
async fn what_the_engine_delivers_too_much_goes_back_to_the_queue() {
    let world = World::new();
    let (client, worker) = (world.client(), world.worker("math", &["add"], 1));
    client.call_for(secs(1), "add", "\"old\"");
    client.call("add", "\"new\"");
    let old = worker.take_one();
    // The engine forgets the old delivery before its asker has given up.
    world.clock.advance(secs(2));
    world.engine.tick();
    assert!(worker.take().is_empty());
    let other = world.worker("math", &["add"], 1);
    assert_eq!(other.take_params(), ["\"new\""]);
    world.calls.tick();
    assert_eq!(client.heard(), ["1: -32001 running"]);
    worker.answer(&old, "late");
    client.call("add", "\"next\"");
    assert_eq!(worker.take_params(), ["\"next\""]);
}

#[tokio::test]
async fn the_asker_waits_longer_than_the_worker_may_take() {
    let world = World::new();
    let client = world.client();
    let mut spec = spec("math", &["add"], 1);
    spec.category = "small".into();
    let worker = Worker::of(&world.calls, spec);
    client.call("add", "1");
    world.pass(secs(5));
    let call = worker.take_one();
    assert!(call.deadline < trunkline_model::Clock::now(&*world.clock));
    assert!(worker.answer(&call, "7"));
    assert_eq!(client.heard(), ["1: 7"]);
}

#[tokio::test]
async fn a_cancelled_call_that_waits_is_not_run() {
    let world = World::new();
    let (client, worker) = (world.client(), world.worker("math", &["add"], 1));
    client.call("add", "1");
    let queued = client.call("add", "2").unwrap();
    client.call("add", "3");
    let first = worker.take_one();
    assert!(world.calls.cancel(queued));
    assert!(!world.calls.cancel(queued));
    assert_eq!(client.heard(), ["2: -32004"]);
    worker.answer(&first, "0");
    assert_eq!(worker.take_params(), ["3"]);
    assert!(worker.cancelled().is_empty());
}

#[tokio::test]
async fn the_worker_of_a_cancelled_call_is_told() {
    let world = World::new();
    let (client, worker) = (world.client(), world.worker("math", &["add"], 1));
    let id = client.call("add", "1").unwrap();
    client.call("add", "2");
    let call = worker.take_one();
    assert!(world.calls.cancel(id));
    assert_eq!(client.heard(), ["1: -32004"]);
    assert_eq!(worker.cancelled(), [call.dispatch]);
    assert!(worker.take().is_empty(), "its slot is still taken");
    world.calls.progress(call.dispatch, "50".into());
    assert!(!worker.answer(&call, "late"));
    assert_eq!(worker.take_params(), ["2"]);
    assert!(client.heard().is_empty());
    assert!(!world.calls.cancel(id));
}

/// The one test that waits for real time to pass: that somebody ticks.
#[tokio::test]
async fn deadlines_are_watched_without_being_asked() {
    use std::sync::Arc;
    use trunkline_engine_embedded::{Embedded, EmbeddedConfig};
    use trunkline_model::{SystemClock, Timestamp};
    let clock = Arc::new(SystemClock::new(Timestamp::ZERO));
    let engine = Embedded::open(EmbeddedConfig::memory()).unwrap();
    let config = crate::world::config();
    let engine = crate::under_calls(engine);
    let calls = trunkline_rpc::Calls::start(engine, clock, config, "here".into());
    let client = crate::world::Client::of(&calls);
    let worker = Worker::of(&calls, spec("math", &["add"], 1));
    client.call("add", "1");
    client.call_for(Duration::from_millis(10), "add", "2");
    assert_eq!(client.hear(1).await, ["2: -32001 queued"]);
    drop(worker);
}
