//! The wire of rpcprocessor, both sides, with the other side by hand.

use crate::setup::{Hand, Setup, ask, result, serve, setup, soon, until};
use bytes::Bytes;
use futures_util::StreamExt;
use std::sync::Arc;
use std::time::{Duration, Instant};
use trunkline_engine_redis::{
    ListRpc, ListRpcError, QueueMode, RpcProcessor, RpcProcessorOptions, redis,
};
use trunkline_model::{Call, CallOutcome, CallWire, Error, ErrorCode};

const LONG: Duration = Duration::from_secs(30);

fn processor(on: &Setup, set: impl FnOnce(&mut RpcProcessorOptions)) -> RpcProcessor {
    let mut options = RpcProcessorOptions::default();
    options
        .handler("H", ["echo", "slow"])
        .expect("they are free");
    set(&mut options);
    RpcProcessor::new(on.deployment(), options, on.clock.clone())
}

/// Pops the next id of a queue and its request, as a handler does.
async fn pop(hand: &mut Hand, queue: &str) -> (String, String) {
    let (_, id): (String, String) = hand.run(&["BRPOP", queue, "0"]).await;
    let text = hand.run(&["HGET", "rpcs.db", &id]).await;
    (id, text)
}

/// Answers as a handler does.
async fn push(hand: &mut Hand, id: &str, text: &str) {
    let field = format!("{id}_response");
    let _: i64 = hand.run(&["HSET", "rpcs.db", &field, text]).await;
    let _: i64 = hand.run(&["LPUSH", id, text]).await;
}

fn reply(id: &str, result: &str) -> String {
    format!(r#"{{"jsonrpc":"2.0","result":{result},"id":"{id}"}}"#)
}

#[tokio::test]
async fn case_1_a_request_is_stored_queued_and_answered() {
    let Some(mut on) = setup().await else { return };
    let wire = processor(&on, |_| {});
    let client = redis::Client::open(on.server.url()).unwrap();
    let monitor = client.get_async_monitor().await.unwrap();
    let call = ask(&wire, on.call("echo", r#""x""#, LONG));
    let (id, text) = pop(&mut on.hand, "H").await;
    let mut seen = monitor.into_on_message::<String>();
    let mut order = Vec::new();
    while order.len() < 2 {
        let line = soon(seen.next()).await.expect("Redis is there");
        order.extend(
            ["HSET", "LPUSH"]
                .into_iter()
                .filter(|&command| line.contains(&format!(r#""{command}""#)) && line.contains(&id)),
        );
    }
    assert_eq!(order, ["HSET", "LPUSH"]);
    assert_eq!(
        text,
        format!(r#"{{"jsonrpc":"2.0","method":"echo","params":"x","id":"{id}"}}"#)
    );
    push(&mut on.hand, &id, &reply(&id, r#"{"as": "it is"}"#)).await;
    assert_eq!(call.text().await, r#"result {"as": "it is"}"#);
    let left: i64 = on.hand.run(&["EXISTS", &id]).await;
    assert_eq!((left, wire.counters().answered), (0, 1));
}

#[tokio::test]
async fn case_2_and_3_queues_are_fifo_and_texts_stay_as_they_are() {
    let Some(mut on) = setup().await else { return };
    let wire = processor(&on, |_| {});
    let large = format!(r#""{}""#, "x".repeat(40_000));
    let mut calls = Vec::new();
    for params in ["11", "12", "32", &large, r#"{"a":[1]}"#] {
        calls.push((params.to_owned(), ask(&wire, on.call("echo", params, LONG))));
    }
    for (params, _) in &calls {
        let (id, text) = pop(&mut on.hand, "H").await;
        assert!(text.contains(&format!(r#""params":{params},"#)));
        push(&mut on.hand, &id, &reply(&id, params)).await;
    }
    for (params, call) in calls {
        assert_eq!(call.text().await, format!("result {params}"));
    }
}

#[tokio::test]
async fn case_4_a_hundred_calls_get_their_own_answers_and_a_slow_one_holds_up_nobody() {
    let Some(mut on) = setup().await else { return };
    let wire = processor(&on, |_| {});
    let slow = ask(&wire, on.call("slow", "0", LONG));
    let (slow_id, _) = pop(&mut on.hand, "H").await;
    let calls: Vec<_> = (0..100)
        .map(|n| ask(&wire, on.call("echo", &n.to_string(), LONG)))
        .collect();
    let mut ids = Vec::new();
    for n in 0..100 {
        ids.push((pop(&mut on.hand, "H").await.0, n));
    }
    for (id, n) in ids.iter().rev() {
        push(&mut on.hand, id, &reply(id, &n.to_string())).await;
    }
    for (n, call) in calls.into_iter().enumerate() {
        assert_eq!(call.text().await, format!("result {n}"));
    }
    push(&mut on.hand, &slow_id, &reply(&slow_id, "1")).await;
    assert_eq!(slow.text().await, "result 1");
}

#[tokio::test]
async fn case_4_a_hundred_processors_get_their_own_answers() {
    let Some(mut on) = setup().await else { return };
    let wires: Vec<_> = (0..100).map(|_| processor(&on, |_| {})).collect();
    let calls: Vec<_> = (0..100)
        .map(|n| ask(&wires[n], on.call("echo", &n.to_string(), LONG)))
        .collect();
    for _ in 0..100 {
        let (id, text) = pop(&mut on.hand, "H").await;
        let request: serde_json::Value = serde_json::from_str(&text).unwrap();
        push(
            &mut on.hand,
            &id,
            &reply(&id, &request["params"].to_string()),
        )
        .await;
    }
    for (n, call) in calls.into_iter().enumerate() {
        assert_eq!(call.text().await, format!("result {n}"));
    }
}

#[tokio::test]
async fn case_5_and_10_failures_are_told() {
    let Some(mut on) = setup().await else { return };
    let wire = processor(&on, |_| {});
    let unknown = ask(&wire, on.call("none", "1", LONG));
    assert_eq!(
        unknown.text().await,
        "failed -32601: no handler offers none"
    );
    for (answer, outcome) in [
        (
            r#"{"jsonrpc":"2.0","error":{"code":15,"message":"m","data":"d"},"id":"ID"}"#,
            r#"error {"code":15,"message":"m","data":"d"}"#,
        ),
        ("pong", "failed -32603: the handler's answer is no JSON-RPC"),
        (
            r#"{"jsonrpc":"2.0","result":1,"id":"other"}"#,
            "failed -32603: the handler's answer has another id",
        ),
    ] {
        let call = ask(&wire, on.call("echo", "1", LONG));
        let (id, _) = pop(&mut on.hand, "H").await;
        push(&mut on.hand, &id, &answer.replace("ID", &id)).await;
        assert_eq!(call.text().await, outcome);
    }
    let () = on.hand.run(&["SET", "H", "not a list"]).await;
    let refused = ask(&wire, on.call("echo", "1", LONG)).text().await;
    assert!(
        refused.starts_with("failed -32008: the queue is unavailable"),
        "{refused}"
    );
    let _: i64 = on.hand.run(&["DEL", "H"]).await;
    let good = ask(&wire, on.call("echo", "1", LONG));
    let (id, _) = pop(&mut on.hand, "H").await;
    push(&mut on.hand, &id, &reply(&id, "1")).await;
    assert_eq!(good.text().await, "result 1");
}

#[tokio::test]
async fn case_8_a_late_answer_is_counted_and_removed() {
    let Some(mut on) = setup().await else { return };
    let wire = processor(&on, |_| {});
    let call = ask(&wire, on.call("echo", "1", LONG));
    let (id, _) = pop(&mut on.hand, "H").await;
    assert!(wire.cancel(call.id).is_some());
    assert!(wire.cancel(call.id).is_none());
    push(&mut on.hand, &id, &reply(&id, "1")).await;
    until("the end of the list", async || {
        on.hand.run::<i64>(&["EXISTS", &id]).await == 0
    })
    .await;
    until("the count", async || wire.counters().late_answers == 1).await;
    assert_eq!(wire.counters().pending_now, 0);
}

#[tokio::test]
async fn case_15_only_so_many_calls_are_kept() {
    let Some(mut on) = setup().await else { return };
    let wire = processor(&on, |options| options.kept_calls = 2);
    let mut ids = Vec::new();
    for _ in 0..3 {
        let call = ask(&wire, on.call("echo", "1", LONG));
        let (id, _) = pop(&mut on.hand, "H").await;
        push(&mut on.hand, &id, &reply(&id, "1")).await;
        assert_eq!(call.text().await, "result 1");
        ids.push(id);
    }
    until("the first to go", async || wire.counters().forgotten == 1).await;
    for (n, id) in ids.iter().enumerate() {
        for field in [id.clone(), format!("{id}_response")] {
            let kept: i64 = on.hand.run(&["HEXISTS", "rpcs.db", &field]).await;
            assert_eq!(kept, i64::from(n > 0), "call {n}");
        }
    }
}

#[tokio::test]
async fn case_19_a_method_can_have_its_own_queue() {
    let Some(mut on) = setup().await else { return };
    let wire = processor(&on, |options| options.method("own").unwrap());
    let call = ask(&wire, on.call("own", "5", LONG));
    let (_, text): (String, String) = on.hand.run(&["BRPOP", "own", "0"]).await;
    let request: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(
        (&request["method"], &request["params"]),
        (&"own".into(), &5.into())
    );
    let id = request["id"].as_str().unwrap();
    let _: i64 = on.hand.run(&["LPUSH", id, &reply(id, "5")]).await;
    assert_eq!(call.text().await, "result 5");

    // And a worker can serve one.
    let serving_wire = processor(&on, |options| options.serve_mode = QueueMode::ByMethod);
    let mut serving = serve(&serving_wire, &["own", "other"], 2);
    let call = ask(&wire, on.call("own", "6", LONG));
    let incoming = serving.next().await;
    assert_eq!(incoming.params.as_deref(), Some(&b"6"[..]));
    serving_wire.answer(incoming.dispatch, result("7"));
    assert_eq!(call.text().await, "result 7");
}

#[tokio::test]
async fn workers_answer_what_existing_processors_queue() {
    let Some(mut on) = setup().await else { return };
    let wire = processor(&on, |_| {});
    let mut serving = serve(&wire, &["echo"], 2);
    let mut hand = on.hand.clone();
    let mut queue = async |id: &str, text: &str| {
        if !text.is_empty() {
            let _: i64 = hand.run(&["HSET", "rpcs.db", id, text]).await;
        }
        let _: i64 = hand.run(&["LPUSH", "h", id]).await;
    };
    let text = r#"{"jsonrpc":"2.0","method":"echo","params":{"a": 1},"id":"a1"}"#;
    queue("a1", text).await;
    queue("none", "").await;
    queue("bad", "{").await;
    queue(
        "7",
        r#"{"jsonrpc":"2.0","method":"other","params":1,"id":7}"#,
    )
    .await;
    let call = serving.next().await;
    assert_eq!(
        (&*call.method, call.params.as_deref()),
        ("echo", Some(&br#"{"a": 1}"#[..]))
    );
    assert!(wire.answer(call.dispatch, result(r#"{"a": 1}"#)));
    for (id, answer) in [
        ("none", r#"{"jsonrpc":"2.0","error":{"code":-32603,"#),
        ("bad", r#"{"jsonrpc":"2.0","error":{"code":-32600,"#),
        ("7", r#"{"jsonrpc":"2.0","error":{"code":-32601,"#),
        ("a1", r#"{"jsonrpc":"2.0","result":{"a": 1},"id":"a1"}"#),
    ] {
        let (_, text): (String, String) = on.hand.run(&["BRPOP", id, "0"]).await;
        assert!(text.starts_with(answer), "{text}");
        let stored: String = on
            .hand
            .run(&["HGET", "rpcs.db", &format!("{id}_response")])
            .await;
        assert_eq!(stored, text);
    }
    let counters = wire.counters();
    assert_eq!(
        (
            counters.missing,
            counters.malformed,
            counters.unknown_methods
        ),
        (1, 1, 1)
    );
    queue("a2", &text.replace("a1", "a2")).await;
    let left = serving.next().await;
    wire.answer(
        left.dispatch,
        CallOutcome::Failed(Error::new(ErrorCode::Overloaded, "full")),
    );
    until("an answer that will go", async || {
        let ttl: i64 = on.hand.run(&["PTTL", "a2"]).await;
        ttl > 0
    })
    .await;
}

/// An answer to such an id would come to where requests are, or be taken for another call's.
#[tokio::test]
async fn case_16_ids_that_are_keys_are_not_answered() {
    let Some(mut on) = setup().await else { return };
    let wire = processor(&on, |_| {});
    let mut serving = serve(&wire, &["echo"], 2);
    let long = "x".repeat(201);
    for id in ["h", "rpcs.db", "a1_response", "", &long, "a1"] {
        let request = format!(r#"{{"jsonrpc":"2.0","method":"echo","params":"{id}","id":"{id}"}}"#);
        let _: i64 = on.hand.run(&["HSET", "rpcs.db", id, &request]).await;
        let _: i64 = on.hand.run(&["LPUSH", "h", id]).await;
    }
    let call = serving.next().await;
    assert_eq!(call.params.as_deref(), Some(&br#""a1""#[..]));
    wire.answer(call.dispatch, result("1"));
    let (_, answer): (String, String) = on.hand.run(&["BRPOP", "a1", "0"]).await;
    assert_eq!(answer, reply("a1", "1"));
    let mut keys: Vec<String> = on.hand.run(&["KEYS", "*"]).await;
    keys.sort();
    assert_eq!(keys, ["rpcs.db"]);
    assert_eq!(wire.counters().malformed, 5);
    // Ours can't be such: every call has an id of its own.
    let call = ask(&wire, on.call("echo", "1", LONG));
    let (id, _) = pop(&mut on.hand, "H").await;
    assert_eq!(id.len(), 36);
    push(&mut on.hand, &id, &reply(&id, "1")).await;
    assert_eq!(call.text().await, "result 1");
}

#[tokio::test]
async fn case_17_texts_in_redis_have_their_members_in_order_and_what_lacks_one_is_told() {
    let Some(mut on) = setup().await else { return };
    let wire = processor(&on, |options| options.handler("h", ["mymethod"]).unwrap());
    let mut serving = serve(&wire, &["mymethod"], 4);
    for (outcome, stored) in [
        (result(r#"{"b":1,"a":2}"#), r#""result":{"b":1,"a":2}"#),
        (
            CallOutcome::HandlerError(br#"{"code":15,"message":"m","data":"d"}"#[..].into()),
            r#""error":{"code":15,"message":"m","data":"d"}"#,
        ),
    ] {
        let _: i64 = on.hand.run(&["DEL", "rpcs.db"]).await;
        let call = ask(&wire, on.call("mymethod", r#"{"attr1":"test"}"#, LONG));
        let incoming = serving.next().await;
        let fields: Vec<String> = on.hand.run(&["HKEYS", "rpcs.db"]).await;
        let id = &fields[0];
        let request: String = on.hand.run(&["HGET", "rpcs.db", id]).await;
        assert_eq!(
            request,
            format!(
                r#"{{"jsonrpc":"2.0","method":"mymethod","params":{{"attr1":"test"}},"id":"{id}"}}"#
            )
        );
        wire.answer(incoming.dispatch, outcome);
        assert!(!call.text().await.starts_with("failed"));
        let field = format!("{id}_response");
        let answer: String = on.hand.run(&["HGET", "rpcs.db", &field]).await;
        assert_eq!(
            answer,
            format!(r#"{{"jsonrpc":"2.0",{stored},"id":"{id}"}}"#)
        );
    }
    // A request without a method, or with another type where one is.
    for (id, request) in [
        ("r1", r#"{"jsonrpc":"2.0","params":{},"id":"r1"}"#),
        (
            "r2",
            r#"{"jsonrpc":"2.0","method":7,"params":{},"id":"r2"}"#,
        ),
    ] {
        let _: i64 = on.hand.run(&["HSET", "rpcs.db", id, request]).await;
        let _: i64 = on.hand.run(&["LPUSH", "h", id]).await;
        let (_, answer): (String, String) = on.hand.run(&["BRPOP", id, "0"]).await;
        assert!(answer.contains(r#""error":{"code":-32600,"#), "{answer}");
    }
    // A response without an id, an error that is no object, a text that is no object.
    for answer in [
        r#"{"jsonrpc":"2.0","result":1}"#,
        r#"{"jsonrpc":"2.0","error":"text","id":"ID"}"#,
        r#"["2.0",1,"ID"]"#,
    ] {
        let call = ask(&wire, on.call("echo", "1", LONG));
        let (id, _) = pop(&mut on.hand, "H").await;
        push(&mut on.hand, &id, &answer.replace("ID", &id)).await;
        let text = call.text().await;
        assert!(
            text.starts_with("failed -32603: the handler's answer"),
            "{text}"
        );
    }
}

#[tokio::test]
async fn case_18_what_is_served_in_the_same_process_is_stored_and_counted_alike() {
    let Some(mut on) = setup().await else { return };
    let wire = processor(&on, |options| options.handler("h", ["my_rpc"]).unwrap());
    let mut serving = serve(&wire, &["my_rpc"], 1);
    let call = ask(&wire, on.call("my_rpc", "[1]", LONG));
    let incoming = serving.next().await;
    assert!(wire.answer(incoming.dispatch, result("[2]")));
    assert_eq!(call.text().await, "result [2]");
    let stored: Vec<String> = on.hand.run(&["HVALS", "rpcs.db"]).await;
    assert!(stored.iter().any(|text| text.contains(r#""params":[1]"#)));
    assert!(stored.iter().any(|text| text.contains(r#""result":[2]"#)));
    let counters = wire.counters();
    assert_eq!((counters.sent, counters.answered), (1, 1));
    assert_eq!((counters.dispatched, counters.running_now), (1, 0));
}

#[tokio::test]
async fn what_a_worker_was_processing_is_put_back_in_its_place() {
    let Some(mut on) = setup().await else { return };
    let named = |on: &Setup| processor(on, |options| options.processing = Some("w1".to_owned()));
    for n in 0..3 {
        let id = format!("a{n}");
        let text = format!(r#"{{"jsonrpc":"2.0","method":"echo","params":{n},"id":"{id}"}}"#);
        let _: i64 = on.hand.run(&["HSET", "rpcs.db", &id, &text]).await;
        let _: i64 = on.hand.run(&["LPUSH", "h", &id]).await;
    }
    // A worker that is gone had taken two.
    for _ in 0..2 {
        let _: String = on.hand.run(&["RPOPLPUSH", "h", "h:processing:w1"]).await;
    }
    let wire = named(&on);
    let mut serving = serve(&wire, &["echo"], 1);
    for n in 0..3 {
        let call = serving.next().await;
        assert_eq!(call.params, Some(Bytes::from(n.to_string())));
        let held: Vec<String> = on.hand.run(&["LRANGE", "h:processing:w1", "0", "-1"]).await;
        assert_eq!(held, [format!("a{n}")]);
        wire.answer(call.dispatch, result("1"));
    }
    until("the end", async || {
        on.hand.run::<i64>(&["EXISTS", "h:processing:w1"]).await == 0
    })
    .await;
    assert_eq!(wire.counters().put_back, 2);
}

/// They stayed in the list for ever, came back at every start, and one that is no text stopped it.
#[tokio::test]
async fn ids_that_are_none_leave_the_list_of_what_is_processed() {
    let Some(mut on) = setup().await else { return };
    let connection = redis::Client::open(on.server.url()).unwrap();
    let mut plain = connection.get_multiplexed_async_connection().await.unwrap();
    for list in ["h:processing:w1", "h"] {
        let mut push = redis::cmd("LPUSH");
        push.arg(list).arg(&b"\xff\xfe"[..]).arg("a_response");
        let _: i64 = push.query_async(&mut plain).await.unwrap();
    }
    let text = r#"{"jsonrpc":"2.0","method":"echo","params":1,"id":"a1"}"#;
    let _: i64 = on.hand.run(&["HSET", "rpcs.db", "a1", text]).await;
    let _: i64 = on.hand.run(&["LPUSH", "h", "a1"]).await;
    let wire = processor(&on, |options| options.processing = Some("w1".to_owned()));
    let mut serving = serve(&wire, &["echo"], 1);
    let call = serving.next().await;
    wire.answer(call.dispatch, result("1"));
    until("the end", async || {
        on.hand
            .run::<i64>(&["EXISTS", "h:processing:w1", "h"])
            .await
            == 0
    })
    .await;
    assert_eq!(
        (wire.counters().put_back, wire.counters().malformed),
        (2, 4)
    );
}

/// Those beyond the first few thousand were looked at only when these had ended.
#[tokio::test]
async fn many_calls_that_nobody_answers_hold_up_no_other() {
    let Some(mut on) = setup().await else { return };
    let wire = processor(&on, |_| {});
    let silent: Vec<_> = (0..6_000)
        .map(|_| ask(&wire, on.call("slow", "0", LONG)))
        .collect();
    for _ in 0..silent.len() {
        let _: redis::Value = on.hand.run(&["BRPOP", "H", "0"]).await;
    }
    let calls: Vec<_> = (0..20)
        .map(|n| ask(&wire, on.call("echo", &n.to_string(), LONG)))
        .collect();
    for n in 0..20 {
        let (id, _) = pop(&mut on.hand, "H").await;
        push(&mut on.hand, &id, &reply(&id, &n.to_string())).await;
    }
    for (n, call) in calls.into_iter().enumerate() {
        assert_eq!(call.text().await, format!("result {n}"));
    }
    assert_eq!(wire.counters().pending_now, 6_000);
}

/// The wire names no deadline, and long calls were killed after half a minute.
#[tokio::test]
async fn a_call_may_run_as_long_as_the_worker_is_told() {
    for (timeout, secs) in [(None, 30), (Some(Duration::from_secs(600)), 600)] {
        let Some(mut on) = setup().await else { return };
        let wire = processor(&on, |options| {
            options.call_timeout = timeout.unwrap_or(options.call_timeout);
        });
        let mut serving = serve(&wire, &["echo"], 1);
        let text = r#"{"jsonrpc":"2.0","method":"echo","params":1,"id":"a1"}"#;
        let before = on.clock.now();
        let _: i64 = on.hand.run(&["HSET", "rpcs.db", "a1", text]).await;
        let _: i64 = on.hand.run(&["LPUSH", "h", "a1"]).await;
        let call = serving.next().await;
        let left = Duration::from_secs(secs);
        assert!((before.after(left)..=on.clock.now().after(left)).contains(&call.deadline));
        wire.answer(call.dispatch, result("1"));
        let _: (String, String) = on.hand.run(&["BRPOP", "a1", "0"]).await;
    }
}

#[tokio::test]
async fn case_2_and_20_commands_over_one_list_are_answered_over_another() {
    let Some(mut on) = setup().await else { return };
    let rpc = |on: &Setup| ListRpc::new(on.deployment(), "q", on.clock.clone());
    let (caller, server) = (rpc(&on), rpc(&on));
    let serve_one = |answer: Result<String, String>| {
        server.process(LONG, async move |cmd, data| {
            answer.map(|a| format!("{cmd}{a}{data}"))
        })
    };
    let call = caller.call("test.cmd", "this is my data, normally json", LONG);
    let (called, served) = soon(async { tokio::join!(call, serve_one(Ok("+++++".into()))) }).await;
    assert_eq!(
        called.unwrap(),
        "test.cmd+++++this is my data, normally json"
    );
    assert!(served.unwrap());
    let call = caller.call("c", "d", LONG);
    let (called, _) = soon(async { tokio::join!(call, serve_one(Err("no".into()))) }).await;
    assert!(matches!(called, Err(ListRpcError::Failed(error)) if error == "no"));
    let asked = Instant::now();
    let late = caller.call("c", "d", Duration::from_millis(10)).await;
    assert!(asked.elapsed() >= Duration::from_millis(10));
    let Err(ListRpcError::Timeout { queue }) = late else {
        panic!("{late:?}");
    };
    let late = ListRpcError::Timeout {
        queue: queue.clone(),
    };
    assert_eq!(late.to_string(), format!("timeout on returnqueue: {queue}"));
    let (_, command): (String, String) = on.hand.run(&["BRPOP", "q", "0"]).await;
    let command: serde_json::Value = serde_json::from_str(&command).unwrap();
    assert_eq!(
        (&command["cmd"], &command["ret_queue"]),
        (&"c".into(), &queue.as_str().into())
    );
    assert!(
        command["now"]
            .as_u64()
            .is_some_and(|now| now > 1_700_000_000)
    );
    let _: i64 = on.hand.run(&["LPUSH", "q", "nonsense"]).await;
    let bad = server.process(LONG, async |_, _| Ok(String::new())).await;
    assert!(matches!(bad, Err(ListRpcError::Malformed)));
    let none = server.process(Duration::from_millis(10), async |_, _| Ok(String::new()));
    assert!(!none.await.unwrap());
}

#[tokio::test]
async fn case_21_calls_survive_a_restart_of_redis_or_fail_clearly() {
    let Some(mut on) = setup().await else { return };
    let wire = Arc::new(processor(&on, |_| {}));
    let waiting = ask(&*wire, on.call("echo", "1", LONG));
    let (id, _) = pop(&mut on.hand, "H").await;
    on.server.kill();
    let refused = ask(&*wire, on.call("echo", "2", LONG)).text().await;
    assert!(refused.starts_with("failed -32008"), "{refused}");
    on.server.restart();
    on.hand = Hand::on(&on.server).await;
    // It keeps nothing, but the handler answers all the same.
    push(&mut on.hand, &id, &reply(&id, "1")).await;
    assert_eq!(waiting.text().await, "result 1");
    let call: Call = on.call("echo", "3", LONG);
    let later = ask(&*wire, call);
    let (id, _) = pop(&mut on.hand, "H").await;
    push(&mut on.hand, &id, &reply(&id, "3")).await;
    assert_eq!(later.text().await, "result 3");
    wire.close(Duration::ZERO);
    let after = ask(&*wire, on.call("echo", "4", LONG)).text().await;
    assert!(after.starts_with("failed -32012"), "{after}");
    let _: redis::Value = on.hand.run(&["PING"]).await;
}
