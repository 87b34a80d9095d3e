//! Workers that are lost.

use crate::world::{Client, World, secs};
use std::sync::Arc;
use trunkline_model::{
    CallOutcome, Completed, Completion, CompletionQueue, CompletionSink, ErrorCode,
};
use trunkline_rpc::Calls;

#[tokio::test]
async fn an_idempotent_call_is_taken_over() {
    let world = World::new();
    let (client, lost) = (world.client(), world.worker("math", &["get"], 5));
    client.call("get", "1");
    client.call("get", "2");
    assert_eq!(lost.take().len(), 2);
    let other = world.worker("math", &["get"], 5);
    drop(lost);
    let calls = other.take();
    assert!(client.heard().is_empty());
    for call in &calls {
        assert_eq!(call.attempt, 2);
        assert!(other.answer(call, "7"));
    }
    assert_eq!(client.heard(), ["1: 7", "2: 7"]);
}

#[tokio::test]
async fn a_taken_over_call_waits_for_the_next_worker() {
    let world = World::new();
    let (client, lost) = (world.client(), world.worker("math", &["get"], 5));
    client.call("get", "1");
    client.call_for(secs(2), "get", "2");
    drop(lost);
    world.pass(secs(3));
    assert_eq!(client.heard(), ["2: -32001 queued"]);
    let next = world.worker("math", &["get"], 5);
    assert_eq!(next.take_params(), ["1"]);
}

#[tokio::test]
async fn other_calls_fail_with_their_worker() {
    let world = World::new();
    let (client, lost) = (world.client(), world.worker("math", &["set", "get"], 2));
    client.call("set", "1");
    let cancelled = client.call("get", "2").unwrap();
    client.call("set", "3");
    let calls = lost.take();
    world.calls.cancel(cancelled);
    assert_eq!(client.heard(), ["2: -32004"]);
    let other = world.worker("math", &["set", "get"], 2);
    drop(lost);
    assert_eq!(client.error().code(), ErrorCode::WorkerLost);
    let answer = CallOutcome::Result("late".into());
    assert!(!world.calls.answer(calls[0].dispatch, answer));
    assert_eq!(
        other.take_params(),
        ["3"],
        "what it was not given waits for others"
    );
}

#[tokio::test]
async fn what_is_past_its_deadline_is_not_taken_over() {
    let world = World::new();
    let (client, lost) = (world.client(), world.worker("math", &["get"], 5));
    client.call_for(secs(1), "get", "1");
    world.clock.advance(secs(2));
    drop(lost);
    let other = world.worker("math", &["get"], 5);
    assert!(other.take().is_empty());
    world.pass(secs(0));
    assert_eq!(client.heard().len(), 1);
}

/// A call that is made again the moment it fails.
struct Again {
    client: Client,
    calls: Arc<Calls>,
}

impl CompletionSink for Again {
    fn completed(&self, _: Completed) {
        assert_eq!(self.calls.outstanding(), 0);
        self.client.call("add", "again");
    }
}

#[tokio::test]
async fn whoever_hears_of_the_last_workers_end_finds_nobody() {
    let world = World::new();
    let worker = world.worker("math", &["add"], 1);
    let again = Arc::new(Again {
        client: world.client(),
        calls: world.calls.clone(),
    });
    let completion = Completion::new(CompletionQueue::relay(again.clone()), 0);
    let request = again.client.request("add", "1");
    world.calls.call(request, completion);
    assert_eq!(worker.take().len(), 1);
    drop(worker);
    assert_eq!(again.client.heard(), ["1: -32601"]);
}
