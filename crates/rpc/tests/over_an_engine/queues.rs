//! The queues of methods, as an engine sees them.

use crate::world::{World, secs};
use std::sync::Arc;
use trunkline_model::{
    Admin, Caller, Completion, ConsumeSpec, ConsumerHandle, Consuming, Delivery, DeliverySink,
    Engine, Error, Source, TopicName,
};

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

/// As an engine does that has lost what it had.
fn lose(world: &World, method: &str) {
    let topic = TopicName::new(format!("_call.{method}")).unwrap();
    let delete = Admin::Delete { topic };
    let nobody = Completion::ignored();
    world.engine.admin(&Caller::system(), delete, nobody);
}

#[tokio::test]
async fn a_worker_takes_calls_again_when_its_queue_was_lost() {
    let world = World::new();
    let client = world.client();
    let worker = world.worker("math", &["add", "sub"], 2);
    client.call("add", "1");
    let running = worker.take_one();
    for call in 2..5 {
        lose(&world, "add");
        assert!(world.has_queue("add").await && world.has_queue("sub").await);
        client.call("add", &call.to_string());
        let taken = worker.take_one();
        assert!(worker.answer(&taken, "7"));
        assert_eq!(client.heard(), [format!("{call}: 7")]);
    }
    assert!(worker.answer(&running, "1"), "its asker still waits");
    assert_eq!(client.heard(), ["1: 1"]);
    // Both slots are free, and no more.
    for call in ["5", "6", "7"] {
        client.call("sub", call);
    }
    assert_eq!(worker.take().len(), 2);
}

#[tokio::test]
async fn an_unused_queue_leaves_nothing_behind() {
    let world = World::new();
    let client = world.client();
    let worker = world.worker("math", &["add"], 1);
    assert!(world.has_queue("add").await);
    drop(worker);
    client.call("nonsense", "1");
    for _ in 0..2 {
        world.pass(secs(5));
    }
    assert!(!world.has_queue("add").await);
    assert!(!world.has_queue("nonsense").await);

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
    assert!(world.has_queue("add").await, "a worker may come");
    for _ in 0..3 {
        world.pass(secs(5));
    }
    assert_eq!(client.heard(), ["2: -32001 queued"]);
    assert!(!world.has_queue("add").await);
}
