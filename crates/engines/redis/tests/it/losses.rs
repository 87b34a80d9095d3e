//! What becomes of calls on both wires when Redis is away, silent, or refuses what it is asked.

use crate::setup::{
    Hand, Setup, ask, deployment, ear, request, result, serve, setup, setup_with, until,
};
use std::sync::Arc;
use std::time::Duration;
use trunkline_engine_redis::{
    ConsumerGroups, ConsumerGroupsOptions, RpcProcessor, RpcProcessorOptions, redis,
};
use trunkline_model::CallWire;

const LONG: Duration = Duration::from_secs(30);
/// So that what is to fail fails soon.
const IMPATIENT: &str = "?connect_timeout=200ms&answer_timeout=200ms";

fn lists(on: &Setup, url_options: &str) -> Arc<RpcProcessor> {
    let mut options = RpcProcessorOptions::default();
    options.handler("h", ["m"]).expect("it is free");
    let url = format!("{}{url_options}", on.server.url());
    Arc::new(RpcProcessor::new(
        deployment(&url),
        options,
        on.clock.clone(),
    ))
}

fn streams(on: &Setup, url_options: &str) -> Arc<ConsumerGroups> {
    let url = format!("{}{url_options}", on.server.url());
    let options = ConsumerGroupsOptions::default();
    Arc::new(ConsumerGroups::new(
        deployment(&url),
        options,
        on.clock.clone(),
    ))
}

/// Both wires, each with a side that calls and one that serves.
fn all(on: &Setup, url_options: &str) -> [(Arc<dyn CallWire>, Arc<dyn CallWire>); 2] {
    [
        (streams(on, url_options), streams(on, url_options)),
        (lists(on, url_options), lists(on, url_options)),
    ]
}

/// One call, through.
async fn works(on: &Setup, asking: &dyn CallWire, serving: &dyn CallWire) {
    let mut worker = serve(serving, &["m"], 1);
    let call = ask(asking, on.call("m", r#""again""#, LONG));
    let incoming = worker.next().await;
    assert!(serving.answer(incoming.dispatch, result("1")));
    assert_eq!(call.text().await, "result 1");
    worker.handle.drain();
    serving.flushed().await;
}

async fn config(hand: &mut Hand, name: &str, value: &str) {
    let () = hand.run(&["CONFIG", "SET", name, value]).await;
}

#[tokio::test]
async fn calls_fail_clearly_while_redis_refuses_to_write_and_go_on_afterwards() {
    for (set, unset, says) in [
        (
            ["REPLICAOF", "127.0.0.1", "1"],
            ["REPLICAOF", "NO", "ONE"],
            "READONLY",
        ),
        (
            ["CONFIG SET", "maxmemory", "1"],
            ["CONFIG SET", "maxmemory", "0"],
            "OOM",
        ),
    ] {
        let Some(mut on) = setup().await else { return };
        for (asking, serving) in all(&on, "") {
            // Both sides are connected.
            works(&on, &*asking, &*serving).await;
            let words = |words: [&'static str; 3]| {
                let split = words.iter().flat_map(|word| word.split(' '));
                split.collect::<Vec<_>>()
            };
            let () = on.hand.run(&words(set)).await;
            let failed = ask(&*asking, on.call("m", "1", LONG)).text().await;
            assert!(failed.starts_with("failed -32008"), "{failed}");
            assert!(failed.contains(says), "{failed}");
            assert!(failed.contains("127.0.0.1"), "it says where: {failed}");
            let () = on.hand.run(&words(unset)).await;
            works(&on, &*asking, &*serving).await;
        }
    }
}

#[tokio::test]
async fn an_answer_waits_for_a_redis_that_takes_it() {
    let Some(mut on) = setup().await else { return };
    for (asking, serving) in all(&on, "") {
        let mut worker = serve(&*serving, &["m"], 1);
        let call = ask(&*asking, on.call("m", "1", LONG));
        let incoming = worker.next().await;
        // Streams: the acknowledgement is refused; lists: also the answer.
        let () = on.hand.run(&["REPLICAOF", "127.0.0.1", "1"]).await;
        assert!(serving.answer(incoming.dispatch, result(r#""kept""#)));
        let () = on.hand.run(&["REPLICAOF", "NO", "ONE"]).await;
        assert_eq!(call.text().await, r#"result "kept""#);
        serving.flushed().await;
        assert!(worker.is_idle(), "it is not given a second time");
    }
    assert_eq!(on.hand.pending("general").await, 0);
}

#[tokio::test]
async fn a_redis_that_hangs_fails_calls_in_time_and_is_used_again() {
    let Some(on) = setup().await else { return };
    for (asking, serving) in all(&on, IMPATIENT) {
        works(&on, &*asking, &*serving).await;
        on.server.pause();
        let failed = ask(&*asking, on.call("m", "1", LONG)).text().await;
        assert!(failed.starts_with("failed -32008"), "{failed}");
        assert!(
            failed.contains("it isn't known whether it was done"),
            "{failed}"
        );
        let next = ask(&*asking, on.call("m", "1", LONG)).text().await;
        assert!(failed.starts_with("failed -32008"), "{next}");
        on.server.resume();
        // What was sent into the silence may be served first; who asked is gone.
        let mut worker = serve(&*serving, &["m"], 1);
        let call = ask(&*asking, on.call("m", "2", LONG));
        loop {
            let incoming = worker.next().await;
            let params = incoming.params.clone();
            serving.answer(incoming.dispatch, result("1"));
            if params.as_deref() == Some(b"2") {
                break;
            }
        }
        assert_eq!(call.text().await, "result 1");
        worker.handle.drain();
    }
}

#[tokio::test]
async fn calls_wait_for_a_redis_that_loads_its_data() {
    let Some(mut on) = setup().await else { return };
    let interval = "loading-process-events-interval-bytes";
    if on.server.lacks(interval) {
        return;
    }
    let () = on.hand.run(&["DEBUG", "POPULATE", "3000"]).await;
    config(&mut on.hand, "key-load-delay", "300").await;
    config(&mut on.hand, interval, "1024").await;
    for (asking, serving) in all(&on, "") {
        works(&on, &*asking, &*serving).await;
        let mut reloading = on.hand.clone();
        let loading = tokio::spawn(async move {
            let () = reloading.run(&["DEBUG", "RELOAD"]).await;
        });
        let client = redis::Client::open(on.server.url()).unwrap();
        until("the loading", async || {
            let mut other = client.get_multiplexed_async_connection().await.unwrap();
            let said: redis::RedisResult<String> =
                redis::cmd("GET").arg("x").query_async(&mut other).await;
            said.is_err_and(|error| error.code() == Some("LOADING"))
        })
        .await;
        works(&on, &*asking, &*serving).await;
        loading.await.unwrap();
    }
}

/// What was answered while the caller's gateway had no connection was lost.
#[tokio::test]
async fn an_answer_waits_for_a_gateway_that_lost_its_connection() {
    let Some(mut on) = setup().await else { return };
    let wire = streams(&on, "");
    let mut worker = serve(&*wire, &["m"], 1);
    // The gateway begins to listen after it was answered.
    on.hand.request("general", &request("m", "1")).await;
    let call = worker.next().await;
    assert!(wire.answer(call.dispatch, result("1")));
    until("the answer that nobody heard", async || {
        on.hand.pending("general").await == 0
    })
    .await;
    // Others don't wait for that.
    let mut other = ear(&on.server, "other").await;
    let fields = [("rpc", "m"), ("who", "other"), ("message_id", "2")];
    on.hand.request("general", &fields).await;
    let call = worker.next().await;
    assert!(wire.answer(call.dispatch, result("2")));
    assert!(other.next().await.contains(r#""message_id":"2""#));
    let mut gate = ear(&on.server, "gate").await;
    assert!(gate.next().await.contains(r#""message_id":"1""#));
    wire.flushed().await;
    assert!(gate.is_silent() && other.is_silent());
}

#[tokio::test]
async fn what_was_stored_is_served_after_a_crash_of_redis() {
    let durable = ["--appendonly", "yes", "--appendfsync", "always"];
    let Some(mut on) = setup_with(&durable).await else {
        return;
    };
    for (asking, serving) in all(&on, "") {
        let mut worker = serve(&*serving, &["m"], 1);
        let running = ask(&*asking, on.call("m", r#""runs""#, LONG));
        let first = worker.next().await;
        let waiting = ask(&*asking, on.call("m", r#""waits""#, LONG));
        until("the second to be stored", async || {
            let streams: i64 = on.hand.run(&["XLEN", "general"]).await;
            let lists: i64 = on.hand.run(&["LLEN", "h"]).await;
            streams % 2 == 0 && (lists == 1 || streams == 2)
        })
        .await;
        on.server.kill();
        // It is answered while there is nobody to take it.
        assert!(serving.answer(first.dispatch, result("1")));
        on.server.restart();
        on.hand = Hand::on(&on.server).await;
        assert_eq!(running.text().await, "result 1");
        let second = worker.next().await;
        assert_eq!(second.params.as_deref(), Some(&br#""waits""#[..]));
        assert!(serving.answer(second.dispatch, result("2")));
        assert_eq!(waiting.text().await, "result 2");
        serving.flushed().await;
        assert!(worker.is_idle(), "nothing runs twice");
        drop(worker);
        let _: i64 = on.hand.run(&["DEL", "general"]).await;
    }
}
