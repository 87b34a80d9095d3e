//! Two processes on one engine.

use crate::world::{Client, Worker, World, config, secs, spec};
use std::sync::Arc;
use trunkline_model::ErrorCode;
use trunkline_rpc::Calls;

/// Another gateway on the same engine.
fn join(world: &World, name: &str) -> Arc<Calls> {
    let engine = crate::under_calls(world.engine.clone());
    Calls::start(engine, world.clock.clone(), config(), name.into())
}

/// Waits until a gateway has heard who offers a method, or that nobody does any more.
async fn until_offered(calls: &Arc<Calls>, method: &str, offered: bool) {
    let mut changed = calls.handlers_changed();
    loop {
        changed.borrow_and_update();
        let handlers = calls.handlers();
        let mut methods = handlers.iter().flat_map(|handler| &handler.methods);
        if methods.any(|known| known.name == method) == offered {
            return;
        }
        changed.changed().await.unwrap();
    }
}

#[tokio::test]
async fn a_worker_behind_one_gateway_answers_callers_of_another() {
    let world = World::new();
    let worker = world.worker("math", &["add"], 2);
    let there = join(&world, "there");
    until_offered(&there, "add", true).await;

    let client = Client::of(&there);
    client.call("add", "[1, 2]");
    let call = worker.take_one();
    world.calls.progress(call.dispatch, "50".into());
    assert!(worker.answer(&call, "3"));
    assert_eq!(client.heard(), ["1: progress 50", "1: 3"]);
}

#[tokio::test]
async fn calls_are_cancelled_and_time_out_across_processes() {
    let world = World::new();
    let worker = world.worker("math", &["add"], 1);
    let there = join(&world, "there");
    until_offered(&there, "add", true).await;
    let client = Client::of(&there);

    let running = client.call("add", "1").unwrap();
    let queued = client.call("add", "2").unwrap();
    let call = worker.take_one();
    assert!(there.cancel(running) && there.cancel(queued));
    assert_eq!(worker.cancelled(), [call.dispatch]);
    assert!(!worker.answer(&call, "late"));
    assert!(worker.take().is_empty());
    assert_eq!(client.heard(), ["1: -32004", "2: -32004"]);

    client.call("add", "3");
    client.call("add", "4");
    world.clock.advance(secs(31));
    there.tick();
    let mut heard = client.heard();
    heard.sort();
    assert_eq!(heard, ["3: -32001 running", "4: -32001 queued"]);
    assert_eq!(worker.cancelled().len(), 1);
    assert_eq!(world.calls.handlers()[0].stats.timed_out, 1);
}

#[tokio::test]
async fn a_lost_worker_is_noticed_across_processes() {
    let world = World::new();
    let lost = world.worker("math", &["get", "set"], 2);
    let there = join(&world, "there");
    until_offered(&there, "get", true).await;
    let other = Worker::of(&there, spec("math", &["get", "set"], 0x10));
    let client = Client::of(&there);
    let (mut here, mut elsewhere) = (Vec::new(), Vec::new());
    while here.len() < 2 {
        client.call("get", "1");
        client.call("set", "2");
        here.extend(lost.take());
        elsewhere.extend(other.take());
    }
    let lost_sets = here.iter().filter(|call| call.method == "set").count();
    let lost_gets = here.len() - lost_sets;
    drop(lost);
    let heard = client.heard();
    assert_eq!(
        heard.iter().filter(|line| line.ends_with("-32002")).count(),
        lost_sets
    );
    let again = other.take();
    assert_eq!(
        again.iter().filter(|call| call.attempt == 2).count(),
        lost_gets
    );
}

#[tokio::test]
async fn handlers_are_announced_and_forgotten() {
    let world = World::new();
    let there = join(&world, "there");
    let worker = world.worker("math", &["add"], 3);
    until_offered(&there, "add", true).await;
    let handlers = there.handlers();
    assert_eq!(handlers.len(), 1);
    assert_eq!(handlers[0].announcer, "here");
    assert_eq!((handlers[0].workers, handlers[0].concurrency), (1, 3));

    let clash = Worker::try_of(&there, spec("other", &["add"], 1))
        .err()
        .unwrap();
    assert_eq!(clash.code(), ErrorCode::Conflict);

    drop(worker);
    until_offered(&there, "add", false).await;
    let client = Client::of(&there);
    world.clock.advance(secs(2));
    client.call("add", "1");
    assert_eq!(client.heard(), ["1: -32601"]);
}

#[tokio::test]
async fn a_process_that_fell_silent_is_forgotten() {
    let world = World::new();
    let worker = world.worker("math", &["add"], 1);
    let there = join(&world, "there");
    until_offered(&there, "add", true).await;
    // `here` is not ticked: it has died, as far as anybody can tell.
    world.clock.advance(secs(16));
    there.tick();
    assert!(there.handlers().is_empty());
    drop(worker);
}

#[tokio::test]
async fn a_call_waits_for_the_announcement_of_another_process() {
    let world = World::new();
    let there = join(&world, "there");
    let client = Client::of(&there);
    let worker = world.worker("math", &["add"], 1);
    // Unless it has heard already, it does not know the method yet.
    client.call("add", "1");
    let call = loop {
        if let Some(call) = worker.take().pop() {
            break call;
        }
        tokio::task::yield_now().await;
    };
    assert!(worker.answer(&call, "2"));
    assert_eq!(client.heard(), ["1: 2"]);
}
