//! A call reaches a worker, and its answer the caller.

use crate::world::{Client, Worker, World, config, secs, spec};
use bytes::Bytes;
use std::sync::Arc;
use trunkline_engine_embedded::{Embedded, EmbeddedConfig, Location};
use trunkline_model::{CallOutcome, Clock, DispatchId, SystemClock, Timestamp};
use trunkline_rpc::Calls;

#[tokio::test]
async fn params_and_results_pass_byte_for_byte() {
    let world = World::new();
    let (client, worker) = (world.client(), world.worker("math", &["add"], 10));

    assert!(client.call("add", "{ \"a\":1 , \"a\" :2}").is_some());
    let call = worker.take_one();
    assert_eq!(call.params.as_deref(), Some(&b"{ \"a\":1 , \"a\" :2}"[..]));
    assert_eq!(
        (call.method.as_str(), call.caller.as_str()),
        ("add", "somebody")
    );
    assert_eq!((call.category.as_str(), call.attempt), ("general", 1));
    assert_eq!(call.deadline, world.clock.now().after(secs(30)));
    assert_eq!(call.traceparent.as_deref(), Some("00-trace"));
    assert!(worker.answer(&call, " [3.0 ,1] "));
    assert_eq!(client.heard(), ["1:  [3.0 ,1] "]);
    assert_eq!(world.calls.outstanding(), 0);
}

/// Queues of calls are in memory on a durable engine too: answered in the calling thread,
/// and gone with the process.
#[tokio::test]
async fn a_durable_engine_carries_calls_without_its_journal() {
    let directory = tempfile::tempdir().unwrap();
    let location = Location::Directory(directory.path().to_owned());
    let clock = Arc::new(SystemClock::new(Timestamp::ZERO));
    for process in ["first", "second"] {
        let engine = Embedded::open(EmbeddedConfig::new(location.clone())).unwrap();
        let engine = crate::under_calls(engine);
        let calls = Calls::start(engine, clock.clone(), config(), process.into());
        let client = Client::of(&calls);
        client.call("add", "\"waits\"");
        let worker = Worker::of(&calls, spec("math", &["add"], 10));
        assert_eq!(worker.take_params(), ["\"waits\""]);
        client.call("add", "[1]");
        worker.answer(&worker.take_one(), "7");
        assert_eq!(client.heard(), ["2: 7"]);
    }
}

#[tokio::test]
async fn absent_params_stay_absent() {
    let world = World::new();
    let (client, worker) = (world.client(), world.worker("math", &["add"], 10));
    client.call("add", "");
    assert_eq!(worker.take_one().params, None);
}

#[tokio::test]
async fn a_handlers_error_reaches_the_caller_unchanged() {
    let world = World::new();
    let (client, worker) = (world.client(), world.worker("math", &["add"], 10));
    client.call("add", "[]");
    let error = Bytes::from_static(b"{\"code\":7,\"message\":\"no\",\"more\":1}");
    let outcome = CallOutcome::HandlerError(error);
    assert!(world.calls.answer(worker.take_one().dispatch, outcome));
    assert_eq!(
        client.heard(),
        ["1: failed {\"code\":7,\"message\":\"no\",\"more\":1}"]
    );
}

#[tokio::test]
async fn progress_comes_before_the_answer() {
    let world = World::new();
    let (client, worker) = (world.client(), world.worker("math", &["add"], 10));
    client.call("add", "[]");
    let call = worker.take_one();
    world.calls.progress(call.dispatch, "50".into());
    world.calls.progress(call.dispatch, "99".into());
    worker.answer(&call, "7");
    world.calls.progress(call.dispatch, "100".into());
    assert_eq!(client.heard(), ["1: progress 50", "1: progress 99", "1: 7"]);
}

#[tokio::test]
async fn concurrency_bounds_a_worker_over_all_its_methods() {
    let world = World::new();
    let (client, worker) = (world.client(), world.worker("math", &["add", "sub"], 2));
    for params in ["1", "2", "3"] {
        client.call("add", params);
        client.call("sub", params);
    }
    let mut running = worker.take();
    let mut order = Vec::new();
    while let Some(call) = running.pop() {
        assert!(running.len() < 2);
        assert_eq!(worker.registration.running() as usize, running.len() + 1);
        order.push(format!(
            "{}{:?}",
            call.method,
            call.params.as_ref().unwrap()
        ));
        worker.answer(&call, "0");
        running.extend(worker.take());
    }
    order.sort();
    let all = ["add", "sub"].map(|m| ["1", "2", "3"].map(|p| format!("{m}b{p:?}")));
    assert_eq!(order, all.concat());
    assert_eq!(client.heard().len(), 6);
}

#[tokio::test]
async fn workers_of_different_versions_share_a_method() {
    let world = World::new();
    let client = world.client();
    let old = world.worker("math", &["add"], 1);
    let new = world.worker("math", &["add", "mul"], 1);
    client.call("add", "1");
    client.call("add", "2");
    client.call("mul", "3");
    let (a, b) = (old.take_one(), new.take_one());
    assert!(a.method == "add" && b.method == "add");
    new.answer(&b, "0");
    assert_eq!(new.take_one().method, "mul");

    drop(new);
    let handlers = world.calls.handlers();
    assert_eq!(handlers[0].methods.len(), 1);
    assert_eq!(handlers[0].workers, 1);
}

#[tokio::test]
async fn a_call_is_answered_once() {
    let world = World::new();
    let (client, worker) = (world.client(), world.worker("math", &["add"], 10));
    client.call("add", "[]");
    let call = worker.take_one();
    assert!(worker.answer(&call, "1"));
    assert!(!worker.answer(&call, "2"));
    let nobodys = CallOutcome::Result("3".into());
    assert!(!world.calls.answer(DispatchId(999), nobodys));
    assert_eq!(client.heard(), ["1: 1"]);
    assert_eq!(world.calls.counters().unknown_answers, 2);
}

#[tokio::test]
async fn what_handlers_do_is_counted() {
    let world = World::new();
    let (client, worker) = (world.client(), world.worker("math", &["add"], 10));
    for _ in 0..4 {
        client.call("add", "[]");
    }
    let calls = worker.take();
    world.clock.advance(secs(2));
    worker.answer(&calls[0], "1");
    let error = CallOutcome::HandlerError("{}".into());
    world.calls.answer(calls[1].dispatch, error);
    world.pass(secs(29));

    let stats = &world.calls.handlers()[0].stats;
    assert_eq!((stats.calls, stats.succeeded, stats.failed), (4, 1, 1));
    assert_eq!((stats.timed_out, stats.lost, stats.running), (2, 0, 2));
    assert!((1_980_000..2_020_000).contains(&stats.p50_us), "{stats:?}");
    drop(worker);
    let counters = world.calls.counters();
    assert_eq!(
        (counters.calls, counters.answered, counters.timed_out),
        (4, 2, 2)
    );
}

#[tokio::test]
async fn a_drained_worker_finishes_and_gets_nothing_new() {
    let world = World::new();
    let (client, worker) = (world.client(), world.worker("math", &["add"], 1));
    let other = world.worker("math", &["add"], 0x10);
    client.call("add", "1");
    let (mut first, mut rest) = (worker.take(), other.take());
    worker.registration.drain();
    for params in ["2", "3"] {
        client.call("add", params);
    }
    rest.extend(other.take());
    assert!(worker.take().is_empty());
    assert_eq!(first.len() + rest.len(), 3);
    first.append(&mut rest);
    for call in &first {
        assert!(worker.answer(call, "0"));
    }
    assert_eq!(worker.registration.running(), 0);
    assert_eq!(world.calls.handlers()[0].workers, 1);
}

#[tokio::test]
async fn draining_lets_calls_finish_and_refuses_new_ones() {
    let world = World::started(config());
    let (client, worker) = (world.client(), world.worker("math", &["add"], 1));
    client.call("add", "1");
    client.call("add", "2");
    let calls = world.calls.clone();
    let drain = tokio::spawn(async move { calls.drain(secs(3_600)).await });
    tokio::task::yield_now().await;

    client.call("add", "3");
    assert_eq!(client.heard(), ["3: -32012"]);
    worker.answer(&worker.take_one(), "10");
    assert!(!drain.is_finished());
    worker.answer(&worker.take_one(), "20");
    drain.await.unwrap();
    assert_eq!(client.heard(), ["1: 10", "2: 20"]);
}

#[tokio::test]
async fn draining_gives_up_at_its_deadline() {
    let world = World::started(config());
    let (client, worker) = (world.client(), world.worker("math", &["add"], 1));
    client.call("add", "1");
    client.call("add", "2");
    world.calls.drain(secs(0)).await;
    assert_eq!(client.heard(), ["1: -32012", "2: -32012"]);
    assert!(!worker.answer(&worker.take_one(), "late"));
}
