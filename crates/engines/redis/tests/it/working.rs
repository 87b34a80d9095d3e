//! Our workers, and gateways as the wire describes them.

use crate::setup::{Serving, ear, log, request, result, serve, serve_in, setup, setup_with, until};
use std::time::Duration;
use trunkline_engine_redis::{ConsumerGroupsOptions, redis};
use trunkline_model::{CallOutcome, CallWire, Error, ErrorCode};

#[tokio::test]
async fn case_44_and_45_workers_share_a_group_and_have_names() {
    let Some(mut on) = setup().await else { return };
    let options = ConsumerGroupsOptions {
        separate_categories: true,
        host: "host02".to_owned(),
        ..ConsumerGroupsOptions::default()
    };
    let (one, other) = (
        on.wire_with(options.clone()),
        on.wire_with(ConsumerGroupsOptions {
            index: 7,
            ..options
        }),
    );
    on.hand.request("mt5", &request("early", "0")).await;
    // The second finds the group there.
    let mut first = serve_in(&*one, "mt5", &["early"], 1);
    let early = first.next().await;
    assert!(one.answer(early.dispatch, result("1")));
    let mut second = serve_in(&*other, "mt5", &["early"], 1);
    // One slot each: whoever has a call leaves the other to the other.
    for id in ["1", "2"] {
        on.hand.request("mt5", &request("early", id)).await;
    }
    first.next().await;
    second.next().await;
    type Consumers = Vec<Vec<redis_value::Text>>;
    until("two consumers", async || {
        let consumers: Consumers = on
            .hand
            .run(&["XINFO", "CONSUMERS", "mt5", "processors"])
            .await;
        let mut names: Vec<_> = consumers.iter().map(|c| c[1].0.clone()).collect();
        names.sort();
        names == ["host02-0", "host02-7"]
    })
    .await;
    let clients: String = on.hand.run(&["CLIENT", "LIST"]).await;
    let name = format!("name=mt5-host02-{} ", std::process::id());
    assert!(clients.contains(&name), "{clients}");
}

/// What Redis answers where it answers anything.
mod redis_value {
    use trunkline_engine_redis::redis::{FromRedisValue, ParsingError, Value};

    pub(super) struct Text(pub(super) String);

    impl FromRedisValue for Text {
        fn from_redis_value(value: Value) -> Result<Self, ParsingError> {
            Ok(Self(match value {
                Value::BulkString(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
                other => format!("{other:?}"),
            }))
        }
    }
}

#[tokio::test]
async fn case_46_what_an_earlier_process_left_is_not_run_again() {
    let Some(mut on) = setup().await else { return };
    let () = on
        .hand
        .run(&["XGROUP", "CREATE", "general", "processors", "0", "MKSTREAM"])
        .await;
    for n in 0..4 {
        on.hand
            .request("general", &request("m", &n.to_string()))
            .await;
    }
    let _: redis::Value = on
        .hand
        .run(&[
            "XREADGROUP",
            "GROUP",
            "processors",
            "localhost-0",
            "COUNT",
            "4",
            "STREAMS",
            "general",
            ">",
        ])
        .await;
    assert_eq!(on.hand.pending("general").await, 4);
    let wire = on.wire();
    let mut serving = serve(&*wire, &["m"], 10);
    until("the end of the old", async || {
        on.hand.pending("general").await == 0
    })
    .await;
    on.hand.request("general", &request("m", "new")).await;
    let call = serving.next().await;
    wire.answer(call.dispatch, result("1"));
    assert!(serving.is_idle());
    assert_eq!(wire.counters().abandoned, 4);
}

#[tokio::test]
async fn case_47_48_and_49_requests_are_answered_and_then_acknowledged() {
    let Some(mut on) = setup().await else { return };
    let mut gate = ear(&on.server, "gate").await;
    let wire = on.wire();
    let mut serving = serve(&*wire, &["sum"], 1);
    // None of these reaches the worker.
    on.hand.request("general", &[("rpc", "sum")]).await;
    on.hand
        .request("general", &[("who", "gate"), ("message_id", "8")])
        .await;
    let bad = [
        ("rpc", "sum"),
        ("who", "gate"),
        ("args", "{x"),
        ("message_id", "9"),
    ];
    on.hand.request("general", &bad).await;
    let late = [
        ("rpc", "sum"),
        ("who", "gate"),
        ("deadline", "1"),
        ("message_id", "10"),
    ];
    on.hand.request("general", &late).await;
    on.hand.request("general", &request("other", "11")).await;
    // These do.
    on.hand
        .request("general", &[("who", "gate"), ("rpc", "sum")])
        .await;
    on.hand.request("general", &request("sum", "12")).await;

    for id in ["8", "9", "11"] {
        let sorry = gate.next().await;
        let begin = format!(r#"{{"message_id":"{id}","#);
        assert!(
            sorry.starts_with(&begin) && sorry.contains("InternalServerError"),
            "{sorry}"
        );
    }
    let least = serving.next().await;
    assert_eq!(
        (least.params, &*least.caller, least.attempt),
        (None, "gate", 1)
    );
    assert!(wire.answer(least.dispatch, result("1")));
    assert_eq!(
        gate.next().await,
        r#"{"rpc":"sum","response":{"result":1}}"#
    );
    let call = serving.next().await;
    assert_eq!(call.params.as_deref(), Some(&br#"{"args":{"a":1}}"#[..]));
    assert_eq!(call.deadline.as_millis(), 9_999_999_999_000);
    assert_eq!(on.hand.pending("general").await, 1);
    assert!(wire.answer(call.dispatch, result(r#"{"s": 3}"#)));
    assert!(!wire.answer(call.dispatch, result("2")));
    assert_eq!(
        gate.next().await,
        r#"{"message_id":"12","rpc":"sum","response":{"result":{"s": 3}}}"#
    );
    until("the acknowledgement", async || {
        on.hand.pending("general").await == 0
    })
    .await;
    assert!(gate.is_silent());
    let counters = wire.counters();
    assert_eq!(
        (
            counters.malformed,
            counters.expired,
            counters.unknown_methods,
            counters.dispatched
        ),
        (3, 1, 1, 2)
    );
}

#[tokio::test]
async fn case_47_what_is_no_request_is_logged_without_its_secrets() {
    let Some(mut on) = setup().await else { return };
    let mut gate = ear(&on.server, "gate").await;
    let wire = on.wire();
    let serving = serve(&*wire, &["sum"], 1);
    let secret = "hunter2";
    let mut entries = Vec::new();
    for args in [r#"{"password":"hunter2"#, "hunter2"] {
        let fields = [
            ("rpc", "sum"),
            ("who", "gate"),
            ("args", args),
            ("message_id", "1"),
        ];
        entries.push(on.hand.request("general", &fields).await);
        assert!(!gate.next().await.contains(secret));
    }
    drop(serving);
    for entry in entries {
        let lines = log().lines(&entry);
        let said = |line: &String| line.contains("its field args is no JSON");
        assert!(lines.iter().any(said), "{entry}: {lines:?}");
    }
    // Nor has anybody else said it.
    assert_eq!(log().lines(secret), [""; 0]);
}

#[tokio::test]
async fn errors_are_answers() {
    let Some(mut on) = setup().await else { return };
    let mut gate = ear(&on.server, "gate").await;
    let wire = on.wire();
    let mut serving = serve(&*wire, &["m"], 4);
    let own = CallOutcome::HandlerError(br#"{"code":7,"message":"no"}"#[..].into());
    let failed = CallOutcome::Failed(Error::new(ErrorCode::Overloaded, "full"));
    for (outcome, response) in [
        (own, r#"{"error":{"code":7,"message":"no"}}"#),
        (failed, r#"{"error":{"code":-32003,"message":"full"}}"#),
    ] {
        on.hand.request("general", &request("m", "1")).await;
        let call = serving.next().await;
        wire.answer(call.dispatch, outcome);
        let text = format!(r#"{{"message_id":"1","rpc":"m","response":{response}}}"#);
        assert_eq!(gate.next().await, text);
    }
}

#[tokio::test]
async fn no_more_calls_run_at_once_than_a_worker_allows() {
    let Some(mut on) = setup().await else { return };
    let wire = on.wire();
    let mut serving = serve(&*wire, &["m"], 3);
    for n in 0..10 {
        on.hand
            .request("general", &request("m", &n.to_string()))
            .await;
    }
    let mut calls = Vec::new();
    for _ in 0..3 {
        calls.push(serving.next().await);
    }
    assert_eq!(
        (on.hand.pending("general").await, serving.handle.running()),
        (3, 3)
    );
    for _ in 0..7 {
        let done = calls.remove(0);
        wire.answer(done.dispatch, result("1"));
        calls.push(serving.next().await);
        assert!(on.hand.pending("general").await <= 4);
    }
    for call in calls {
        wire.answer(call.dispatch, result("1"));
    }
    until("the end", async || on.hand.pending("general").await == 0).await;
}

async fn begin(on: &mut crate::setup::Setup, serving: &mut Serving, rpc: &str, id: &str) {
    on.hand.request("general", &request(rpc, id)).await;
    serving.next().await;
}

#[tokio::test]
async fn a_worker_that_drains_takes_no_more_and_finishes_what_it_has() {
    let Some(mut on) = setup().await else { return };
    let wire = on.wire_with(ConsumerGroupsOptions {
        // Only being told can end the read in time.
        block: Duration::from_secs(3_000),
        ..ConsumerGroupsOptions::default()
    });
    let mut serving = serve(&*wire, &["m"], 5);
    on.hand.request("general", &request("m", "1")).await;
    let call = serving.next().await;
    // It reads again before it is told.
    let blocked = async |on: &mut crate::setup::Setup| {
        let clients: String = on.hand.run(&["CLIENT", "LIST"]).await;
        clients
            .lines()
            .any(|line| line.contains("cmd=xreadgroup") && line.contains(" flags=b"))
    };
    until("the read", async || blocked(&mut on).await).await;
    serving.handle.drain();
    until("the end of the read", async || !blocked(&mut on).await).await;
    on.hand.request("general", &request("m", "2")).await;
    assert!(wire.answer(call.dispatch, result("1")));
    until("the answer", async || on.hand.pending("general").await == 0).await;
    assert!(serving.is_idle());
    wire.close(Duration::ZERO);
    assert!(serving.sink.ended.lock().unwrap().is_some());
}

#[tokio::test]
async fn case_50_a_lost_worker_says_so_and_only_idempotent_calls_run_again() {
    let Some(mut on) = setup().await else { return };
    let mut gate = ear(&on.server, "gate").await;
    let options = ConsumerGroupsOptions {
        claim_after: Duration::from_millis(100),
        ..ConsumerGroupsOptions::default()
    };
    let wire = on.wire_with(options.clone());
    let mut serving = serve(&*wire, &["once", "twice!"], 5);
    begin(&mut on, &mut serving, "once", "1").await;
    begin(&mut on, &mut serving, "twice", "2").await;
    drop(serving);
    let lost = gate.next().await;
    assert!(
        lost.starts_with(r#"{"message_id":"1","#) && lost.contains("-32002"),
        "{lost}"
    );
    let other = on.wire_with(ConsumerGroupsOptions {
        index: 1,
        ..options
    });
    let mut serving = serve(&*other, &["once", "twice!"], 5);
    let again = serving.next().await;
    assert_eq!((&*again.method, again.attempt), ("twice", 2));
    assert!(other.answer(again.dispatch, result("1")));
    assert!(gate.next().await.starts_with(r#"{"message_id":"2","#));
    until("the end", async || on.hand.pending("general").await == 0).await;
}

#[tokio::test]
async fn case_50_a_killed_process_is_taken_over_from() {
    let Some(mut on) = setup().await else { return };
    let () = on
        .hand
        .run(&["XGROUP", "CREATE", "general", "processors", "0", "MKSTREAM"])
        .await;
    for (rpc, id) in [("once", "1"), ("twice", "2")] {
        on.hand.request("general", &request(rpc, id)).await;
    }
    // What a process that is gone has taken.
    let _: redis::Value = on
        .hand
        .run(&[
            "XREADGROUP",
            "GROUP",
            "processors",
            "dead-0",
            "COUNT",
            "9",
            "STREAMS",
            "general",
            ">",
        ])
        .await;
    let wire = on.wire_with(ConsumerGroupsOptions {
        claim_after: Duration::from_millis(50),
        forget_after: Duration::from_millis(50),
        ..ConsumerGroupsOptions::default()
    });
    let mut serving = serve(&*wire, &["once", "twice!"], 5);
    let again = serving.next().await;
    assert_eq!(&*again.method, "twice");
    wire.answer(again.dispatch, result("1"));
    until("the end", async || on.hand.pending("general").await == 0).await;
    until("one consumer", async || {
        let all: Vec<redis::Value> = on
            .hand
            .run(&["XINFO", "CONSUMERS", "general", "processors"])
            .await;
        all.len() == 1
    })
    .await;
    assert!(serving.is_idle());
    assert!(wire.counters().claimed >= 2);
}

/// On a server before 6.2, which has no XAUTOCLAIM; and with entries that were trimmed while nobody
/// acknowledged them.
#[tokio::test]
async fn old_servers_are_claimed_from_and_what_was_trimmed_is_settled() {
    let options = ["--rename-command", "XAUTOCLAIM", ""];
    let Some(mut on) = setup_with(&options).await else {
        return;
    };
    let group = ["XGROUP", "CREATE", "general", "processors", "0", "MKSTREAM"];
    let () = on.hand.run(&group).await;
    for id in ["1", "2", "3"] {
        on.hand.request("general", &request("twice", id)).await;
    }
    let read = "XREADGROUP GROUP processors dead-0 COUNT 9 STREAMS general >";
    let read: Vec<_> = read.split(' ').collect();
    let _: redis::Value = on.hand.run(&read).await;
    // The two oldest are gone.
    let _: i64 = on.hand.run(&["XTRIM", "general", "MAXLEN", "1"]).await;
    let wire = on.wire_with(ConsumerGroupsOptions {
        claim_after: Duration::from_millis(50),
        ..ConsumerGroupsOptions::default()
    });
    let mut serving = serve(&*wire, &["twice!"], 5);
    let again = serving.next().await;
    assert_eq!((&*again.method, again.attempt), ("twice", 2));
    wire.answer(again.dispatch, result("1"));
    until("the end", async || on.hand.pending("general").await == 0).await;
    assert!(serving.is_idle());
}

#[tokio::test]
async fn workers_come_back_with_redis() {
    let Some(mut on) = setup().await else { return };
    let wire = on.wire();
    let mut serving = serve(&*wire, &["m"], 5);
    begin(&mut on, &mut serving, "m", "1").await;
    on.server.restart();
    on.hand = crate::setup::Hand::on(&on.server).await;
    on.hand.request("general", &request("m", "2")).await;
    let call = serving.next().await;
    assert_eq!(&*call.method, "m");
}

/// A worker that had lost its connection acknowledged, as an earlier process' leavings, what it was still
/// running: nobody could have taken that over.
#[tokio::test]
async fn what_runs_stays_pending_when_the_connection_is_lost() {
    let Some(mut on) = setup().await else { return };
    let wire = on.wire();
    let mut serving = serve(&*wire, &["m"], 5);
    on.hand.request("general", &request("m", "1")).await;
    let running = serving.next().await;
    let kill = ["CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"];
    let killed: i64 = on.hand.run(&kill).await;
    assert!(killed >= 1);
    on.hand.request("general", &request("m", "2")).await;
    let next = serving.next().await;
    assert_eq!(on.hand.pending("general").await, 2);
    for call in [running, next] {
        assert!(wire.answer(call.dispatch, result("1")));
    }
    until("the end", async || on.hand.pending("general").await == 0).await;
    assert_eq!(wire.counters().abandoned, 0);
}

/// Redis refused the name of the connection, and the worker tried again for ever.
#[tokio::test]
async fn a_category_may_have_any_name() {
    let Some(mut on) = setup().await else { return };
    let wire = on.wire_with(ConsumerGroupsOptions {
        separate_categories: true,
        host: "bäcker \u{7}1".to_owned(),
        ..ConsumerGroupsOptions::default()
    });
    let mut serving = serve_in(&*wire, "přenos", &["a"], 1);
    on.hand.request("přenos", &request("a", "1")).await;
    let call = serving.next().await;
    assert_eq!(&*call.category, "přenos");
    let clients: String = on.hand.run(&["CLIENT", "LIST"]).await;
    let name = format!("name=p_enos-b_cker__1-{}", std::process::id());
    assert!(clients.contains(&name), "{clients}");
}
