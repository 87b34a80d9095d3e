//! Calls and workers that are refused.

use crate::world::{Client, Worker, World, config, method, secs, spec};
use serde_json::{json, value::to_raw_value};
use trunkline_model::{ErrorCode, MethodSpec, WorkerSpec};

#[tokio::test]
async fn an_unknown_method_fails_at_once() {
    let world = World::new();
    let client = world.client();
    assert_eq!(client.call("add", "1"), None);
    let error = client.error();
    assert_eq!(error.code(), ErrorCode::MethodNotFound);
    assert_eq!(error.data(), Some(&json!({"method": "add"})));
    assert_eq!(world.calls.counters().not_offered, 1);
}

#[tokio::test]
async fn just_after_the_start_an_unknown_method_may_still_be_announced() {
    let world = World::started(config());
    let client = world.client();
    client.call("add", "1");
    client.call("sub", "2");
    assert!(client.heard().is_empty());
    let worker = world.worker("math", &["add"], 1);
    assert_eq!(worker.take_params(), ["1"]);
    world.pass(secs(1));
    assert_eq!(client.heard(), ["2: -32601"]);
}

#[tokio::test]
async fn a_method_that_nobody_offers_leaves_no_queue_behind() {
    let world = World::started(config());
    let client = world.client();
    let gone = client.call("add", "1").unwrap();
    client.call("sub", "2");
    assert!(world.calls.cancel(gone));
    assert!(!world.has_queue("add").await && !world.has_queue("sub").await);
    let worker = world.worker("math", &["add", "mul"], 1);
    assert!(worker.take().is_empty(), "it was cancelled");
    world.pass(secs(1));
    assert_eq!(client.heard(), ["1: -32004", "2: -32601"]);
    assert!(!world.has_queue("sub").await);
}

#[tokio::test]
async fn a_method_goes_with_its_last_worker() {
    let world = World::new();
    let client = world.client();
    let (a, b) = (
        world.worker("math", &["add"], 1),
        world.worker("math", &["add"], 1),
    );
    drop(a);
    assert!(client.call("add", "1").is_some());
    b.registration.drain();
    client.call("add", "2");
    assert_eq!(client.heard(), ["2: -32601"]);
}

#[tokio::test]
async fn params_that_do_not_fit_are_not_queued() {
    let world = World::new();
    let client = world.client();
    let mut spec = spec("math", &["add"], 1);
    let schema = json!({"type": "array", "items": {"type": "number"}});
    spec.methods[0].params_schema = Some(to_raw_value(&schema).unwrap());
    let worker = Worker::of(&world.calls, spec);
    client.call("add", "[1,2]");
    assert_eq!(worker.take_params(), ["[1,2]"]);
    assert_eq!(client.call("add", "[1,\"x\"]"), None);
    let error = client.error();
    assert_eq!(error.code(), ErrorCode::InvalidParams);
    assert_eq!(error.data().unwrap()["path"], "/1");
    assert_eq!(world.calls.outstanding(), 1);
}

#[tokio::test]
async fn too_many_waiting_calls_are_refused() {
    let world = World::new();
    let client = world.client();
    let mut spec = spec("math", &["add"], 1);
    spec.category = "small".into();
    let worker = Worker::of(&world.calls, spec);
    for params in ["1", "2", "3", "4"] {
        client.call("add", params);
    }
    let error = client.error();
    assert_eq!(error.code(), ErrorCode::Overloaded);
    assert_eq!(error.data().unwrap()["limit"], 2);
    worker.answer(&worker.take_one(), "0");
    assert!(client.call("add", "5").is_some());
    assert_eq!(client.heard(), ["1: 0"]);
}

#[tokio::test]
async fn workers_that_offer_nonsense_are_refused() {
    let world = World::new();
    let offers: [(&str, WorkerSpec); 8] = [
        ("methods", spec("math", &[], 1)),
        ("methods", spec("math", &["a", "a"], 1)),
        ("methods", spec("math", &["rpc.info"], 1)),
        ("methods", spec("math", &[""], 1)),
        ("methods", spec("math", &[&"x".repeat(300)], 1)),
        ("concurrency", spec("math", &["a"], 0)),
        ("concurrency", spec("math", &["a"], u32::MAX)),
        (
            "category",
            WorkerSpec {
                category: "fast".into(),
                ..spec("math", &["a"], 1)
            },
        ),
    ];
    for (member, spec) in offers {
        let error = Worker::try_of(&world.calls, spec).err().unwrap();
        assert_eq!(error.code(), ErrorCode::InvalidParams, "{error}");
        assert_eq!(error.data().unwrap()["member"], member, "{error}");
    }
    let error = Worker::try_of(&world.calls, spec("_x", &["a"], 1))
        .err()
        .unwrap();
    assert_eq!(error.code(), ErrorCode::Forbidden);
    assert!(world.calls.handlers().is_empty());
}

#[tokio::test]
async fn a_bad_schema_is_refused_with_its_place() {
    let world = World::new();
    let schema = json!({"properties": {"a": {"type": "strnig"}}});
    let bad = MethodSpec {
        params_schema: Some(to_raw_value(&schema).unwrap()),
        ..method("add")
    };
    let mut spec = spec("math", &[], 1);
    spec.methods = vec![bad];
    let error = Worker::try_of(&world.calls, spec).err().unwrap();
    assert_eq!(error.code(), ErrorCode::InvalidParams);
    assert_eq!(error.data().unwrap()["path"], "/properties/a/type");
}

#[tokio::test]
async fn a_method_belongs_to_one_handler() {
    let world = World::new();
    let math = world.worker("math", &["add"], 1);
    let clash = |spec| Worker::try_of(&world.calls, spec).err().unwrap();
    let error = clash(spec("other", &["mul", "add"], 1));
    assert_eq!(error.code(), ErrorCode::Conflict);
    assert_eq!(error.data().unwrap()["handler"], "math");
    let small = WorkerSpec {
        category: "small".into(),
        ..spec("math", &["mul"], 1)
    };
    assert_eq!(clash(small).code(), ErrorCode::Conflict);
    drop(math);
    assert!(Worker::try_of(&world.calls, spec("other", &["add"], 1)).is_ok());
}

#[tokio::test]
async fn too_long_a_key_is_refused() {
    let world = World::new();
    let client = Client::of(&world.calls);
    let _worker = world.worker("math", &["add"], 1);
    client.call_with_key(&"k".repeat(1_025), "add", "1");
    assert_eq!(client.heard(), ["1: -32602"]);
}

#[tokio::test]
async fn no_worker_comes_to_a_draining_gateway() {
    let world = World::new();
    world.calls.drain(secs(3_600)).await;
    let error = Worker::try_of(&world.calls, spec("math", &["add"], 1))
        .err()
        .unwrap();
    assert_eq!(error.code(), ErrorCode::ShuttingDown);
}
