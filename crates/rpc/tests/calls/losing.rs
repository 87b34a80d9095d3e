//! Workers that are lost.

use crate::world::{Client, World, secs};
use std::sync::Arc;
use trunkline_model::{
    Admin, CallOutcome, Caller, Completed, Completion, CompletionQueue, CompletionSink,
    ConsumeSpec, ConsumerHandle, Consuming, Delivery, DeliverySink, Engine, Error, ErrorCode,
    Source, TopicName, oneshot,
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

/// A process that dies takes its table with it: the engine returns its deliveries, and the
/// next worker sees by the attempt that somebody may have run the call.
#[tokio::test]
async fn a_call_of_a_dead_process_is_run_again_only_if_it_may_be() {
    let world = World::new();
    let client = world.client();
    let busy = world.worker("math", &["set", "get"], 1);
    client.call("set", "1");
    let dying = consumer_that_never_answers(&world);
    client.call("set", "2");
    client.call("get", "3");
    drop(dying);
    busy.answer(&busy.take_one(), "0");
    let call = busy.take_one();
    assert_eq!((call.method.as_str(), call.attempt), ("get", 2));
    busy.answer(&call, "7");
    let mut heard = client.heard();
    heard.sort();
    assert_eq!(heard, ["1: 0", "2: -32002", "3: 7"]);
}

/// Takes calls off their queues as a worker of another process would.
fn consumer_that_never_answers(world: &World) -> Box<dyn ConsumerHandle> {
    struct Silent;
    impl DeliverySink for Silent {
        fn started(&self, _: Result<Consuming, Error>) {}
        fn deliver(&self, _: Vec<Delivery>) {}
        fn ended(&self, _: Error) {}
    }
    let source = |name: &str| Source {
        topic: TopicName::new(name).unwrap(),
        subscription: "workers".parse().unwrap(),
        from: None,
    };
    let spec = ConsumeSpec {
        sources: vec![source("_call.set"), source("_call.get")],
        credit: 10,
        window_bytes: u64::MAX,
        auto_ack: false,
    };
    let silent = Arc::new(Silent);
    world.engine.consume(&Caller::system(), spec, silent)
}

#[tokio::test]
async fn an_unused_queue_leaves_nothing_behind() {
    let world = World::new();
    let client = world.client();
    let worker = world.worker("math", &["add"], 1);
    assert!(exists(&world, "_call.add").await);
    drop(worker);
    client.call("nonsense", "1");
    for _ in 0..2 {
        world.pass(secs(5));
    }
    assert!(!exists(&world, "_call.add").await);
    assert!(!exists(&world, "_call.nonsense").await);

    let again = world.worker("math", &["add"], 1);
    client.call("add", "1");
    assert_eq!(again.take().len(), 1);
}

#[tokio::test]
async fn a_queue_goes_once_what_waited_in_vain_has_expired() {
    let world = World::new();
    let client = world.client();
    let worker = world.worker("math", &["add"], 1);
    client.call("add", "1");
    client.call("add", "2");
    drop(worker);
    assert_eq!(client.heard(), ["1: -32002"]);
    for _ in 0..5 {
        world.pass(secs(5));
    }
    assert!(exists(&world, "_call.add").await, "a worker may come");
    for _ in 0..3 {
        world.pass(secs(5));
    }
    assert_eq!(client.heard(), ["2: -32001 queued"]);
    assert!(!exists(&world, "_call.add").await);
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

pub(crate) async fn exists(world: &World, topic: &str) -> bool {
    let topic = TopicName::new(topic).unwrap();
    let (completion, result) = oneshot();
    let inspect = Admin::Inspect { topic };
    world.engine.admin(&Caller::system(), inspect, completion);
    result.await.is_ok()
}
