//! Handlers in Rust.

use crate::world::{World, secs};
use serde::Deserialize;
use std::time::Duration;
use trunkline_rpc::{Context, Failure, Handler};

#[derive(Deserialize)]
struct Pair {
    a: i64,
    b: i64,
}

fn math() -> Handler {
    Handler::new("math")
        .concurrency(8)
        .description("sums")
        .method("add", |pair: Pair, _: Context| async move {
            Ok(pair.a + pair.b)
        })
        .method("ping", |_: Option<()>, context: Context| async move {
            Ok(format!("{} {}", context.caller(), context.attempt()))
        })
        .method("refuse", |_: (), _| async {
            Err::<(), _>(Failure::new(7, "no").with_data(1))
        })
        .method("fail", |_: (), _| async { Err::<(), _>("broken".into()) })
        .method("panic", |now: bool, _| {
            assert!(!now, "secret");
            async { panic!("secret") as Result<(), Failure> }
        })
        .method("count", |to: u32, context: Context| async move {
            for step in 1..=to {
                context.progress(&step);
            }
            Ok("done")
        })
        .raw(
            "echo",
            |params, _| async move { Ok(params.unwrap_or_default()) },
        )
}

#[tokio::test]
async fn answers_in_the_forms_of_rust() {
    let world = World::new();
    let client = world.client();
    let _math = world.calls.serve(math()).unwrap();
    for (method, params, heard) in [
        ("add", "{\"a\":1,\"b\":2}", "3"),
        ("ping", "", "\"somebody 1\""),
        (
            "refuse",
            "null",
            "failed {\"code\":7,\"message\":\"no\",\"data\":1}",
        ),
        (
            "fail",
            "",
            "failed {\"code\":-32000,\"message\":\"broken\"}",
        ),
        ("panic", "true", "-32603"),
        ("panic", "false", "-32603"),
        ("echo", "{ }", "{ }"),
    ] {
        client.call(method, params);
        let line = client.hear(1).await.remove(0);
        assert_eq!(line.split_once(": ").unwrap().1, heard, "{method} {params}");
    }
}

#[tokio::test]
async fn says_what_is_wrong_with_params() {
    let world = World::new();
    let client = world.client();
    let _math = world.calls.serve(math()).unwrap();
    client.call("add", "{\"a\":1}");
    let heard = client.hear(1).await;
    let missing = "params don't fit: missing field `b` at line 1 column 7";
    let error = format!("1: failed {{\"code\":-32602,\"message\":\"{missing}\"}}");
    assert_eq!(heard, [error]);
}

#[tokio::test]
async fn tells_its_progress() {
    let world = World::new();
    let client = world.client();
    let _math = world.calls.serve(math()).unwrap();
    client.call("count", "2");
    let heard = client.hear(3).await;
    assert_eq!(heard, ["1: progress 1", "1: progress 2", "1: \"done\""]);
}

#[tokio::test]
async fn learns_that_nobody_waits() {
    let world = World::new();
    let client = world.client();
    let (told, mut tell) = tokio::sync::mpsc::unbounded_channel();
    let waiting = Handler::new("patient").method("wait", move |_: (), context: Context| {
        let told = told.clone();
        async move {
            let _ = told.send("waiting");
            context.cancelled().await;
            let _ = told.send("cancelled");
            Ok(context.is_cancelled())
        }
    });
    let _patient = world.calls.serve(waiting).unwrap();
    client.call_for(secs(1), "wait", "");
    assert_eq!(tell.recv().await, Some("waiting"));
    world.pass(secs(2));
    assert_eq!(client.heard(), ["1: -32001 running"]);
    assert_eq!(tell.recv().await, Some("cancelled"));
    while world.calls.counters().late_answers == 0 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn runs_as_many_at_once_as_it_says() {
    let world = World::new();
    let client = world.client();
    let (started, mut starts) = tokio::sync::mpsc::unbounded_channel();
    let gate = std::sync::Arc::new(tokio::sync::Semaphore::new(0));
    let opened = gate.clone();
    let slow = Handler::new("slow")
        .concurrency(2)
        .method("wait", move |n: u32, _| {
            let (started, gate) = (started.clone(), gate.clone());
            async move {
                let _ = started.send(n);
                let permit = gate.acquire().await.map_err(|_| Failure::from("closed"))?;
                permit.forget();
                Ok(n)
            }
        });
    let registration = world.calls.serve(slow).unwrap();
    for n in ["1", "2", "3"] {
        client.call("wait", n);
    }
    assert_eq!(
        (starts.recv().await, starts.recv().await),
        (Some(1), Some(2))
    );
    assert_eq!(registration.running(), 2);
    assert!(starts.try_recv().is_err());
    opened.add_permits(1);
    assert_eq!(starts.recv().await, Some(3));
    opened.add_permits(2);
    assert_eq!(client.hear(3).await.len(), 3);
    world.calls.drain(Duration::from_secs(3_600)).await;
}
