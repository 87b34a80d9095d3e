//! The numbered cases of rpcprocessor's wire that need a gateway, with ours and a handler by hand.

use super::{Hand, old, until};
use crate::setup::{Running, Server, run, text, trunkline};
use serde_json::{Value, json};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

const LISTS: &str = "{categories: {old: {wire: rpcprocessor}}, \
                     wires: {rpcprocessor: {url: 'REDIS', handlers: {H: [echo]}}}}";
/// How far from the time that was asked for a time-out may be.
const AROUND: Duration = Duration::from_millis(50);
/// How many calls are tried until one is as punctual: a machine that is busy may keep some waiting, a timer that is
/// wrong all of them.
const TRIES: usize = 40;

/// What a POST is answered with: the status, and the JSON if there is any.
fn post(address: &str, body: &str) -> (u16, Value) {
    let mut stream = TcpStream::connect(address).unwrap();
    let length = body.len();
    write!(
        stream,
        "POST /rpc HTTP/1.1\r\nhost: {address}\r\ncontent-type: application/json\r\n\
         content-length: {length}\r\nconnection: close\r\n\r\n{body}"
    )
    .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let status = answer[9..12].parse().unwrap();
    let (_, body) = answer.split_once("\r\n\r\n").unwrap();
    (status, serde_json::from_str(body).unwrap_or(Value::Null))
}

/// The JSON, while the test goes on as the handler.
fn posting(server: &Server, body: &Value) -> JoinHandle<Value> {
    let (address, body) = (server.address().to_owned(), body.to_string());
    thread::spawn(move || post(&address, &body).1)
}

fn request(id: &Value, params: &Value) -> Value {
    json!({"jsonrpc": "2.0", "method": "echo", "params": params, "id": id})
}

/// The next id in the queue, and its request.
fn pop(hand: &mut Hand) -> (String, Value) {
    let (_, id): (String, String) = hand.run(&["BRPOP", "H", "60"]);
    let text: String = hand.run(&["HGET", "rpcs.db", &id]);
    (id, serde_json::from_str(&text).unwrap())
}

/// Answers with the params, as a handler does.
fn answer(hand: &mut Hand, id: &str, request: &Value) {
    let answer = json!({"jsonrpc": "2.0", "result": request["params"], "id": id}).to_string();
    let _: u64 = hand.run(&["HSET", "rpcs.db", &format!("{id}_response"), &answer]);
    let _: u64 = hand.run(&["LPUSH", id, &answer]);
}

#[test]
fn case_5_6_and_7_what_is_no_call_is_told_and_harms_nobody() {
    let Some(on) = old() else { return };
    let server = on.gateway(LISTS);
    let (_, broken) = post(server.address(), "{");
    assert_eq!(
        (&broken["error"]["code"], &broken["id"]),
        (&json!(-32700), &Value::Null)
    );
    let unknown = json!({"jsonrpc": "2.0", "method": "nobodys", "id": "1"}).to_string();
    let (_, unknown) = post(server.address(), &unknown);
    assert_eq!(unknown["error"]["code"], json!(-32601));
    let silent = json!({"jsonrpc": "2.0", "method": "echo", "params": ["silent"]}).to_string();
    assert_eq!(post(server.address(), &silent), (204, Value::Null));
    let next = posting(&server, &request(&json!("1"), &json!(["x"])));
    let mut hand = on.hand();
    loop {
        let (id, request) = pop(&mut hand);
        answer(&mut hand, &id, &request);
        if request["params"] == json!(["x"]) {
            break;
        }
    }
    let next = next.join().unwrap();
    assert_eq!(next, json!({"jsonrpc": "2.0", "result": ["x"], "id": "1"}));
}

#[test]
fn case_8_a_silent_handler_costs_its_caller_the_time_out_and_nothing_else() {
    let Some(on) = old() else { return };
    let server = on.gateway(LISTS);
    let mut hand = on.hand();
    let call = |params: &str, timeout: u64| {
        let call = json!({"method": "echo", "params": [params], "timeout_ms": timeout});
        json!({"jsonrpc": "2.0", "method": "rpc.call", "params": call, "id": "a1"})
    };
    let bound = Duration::from_millis(300);
    let times = (0..TRIES).map(|_| {
        let begun = Instant::now();
        let timed_out = posting(&server, &call("late", 300)).join().unwrap();
        let took = begun.elapsed();
        let error = json!({
            "code": -32000, "message": "timeout",
            "data": {"reason": "timeout", "stage": "queued"},
        });
        assert_eq!(timed_out["error"], error);
        assert!(took >= bound, "{took:?}");
        took
    });
    let mut times = times.into_iter();
    assert!(times.any(|took| took < bound + AROUND), "never");
    let (late, request) = pop(&mut hand);
    answer(&mut hand, &late, &request);
    until("the end of the list", || {
        hand.run::<u64>(&["EXISTS", &late]) == 0
    });
    // The client's id again: it gets the new answer.
    let again = posting(&server, &call("new", 30_000));
    // Before it in the queue are those that timed out, too.
    let (id, request) = loop {
        let popped = pop(&mut hand);
        if popped.1["params"] == json!(["new"]) {
            break popped;
        }
    };
    assert_ne!(id, late);
    answer(&mut hand, &id, &request);
    assert_eq!(again.join().unwrap()["result"], json!(["new"]));
    // The command line knows it as a time-out, and the server has counted it all.
    let timed_out = server.run(&["call", "echo", "--timeout", "10ms"]);
    timed_out.fails(4, "timeout");
    let about = server.run(&["--json", "info"]).objects().remove(0);
    let wire = &about["calls"]["wires"]["rpcprocessor"];
    assert_eq!(wire["counters"]["late_answers"], json!(1), "{about}");
    let queue = &wire["queues"]["H"];
    assert_eq!(queue["succeeded"], json!(1), "{about}");
    assert_eq!(queue["timed_out"], about["calls"]["timed_out"]);
    assert!(server.run(&["info"]).ok().contains("asked of H"));
}

#[test]
fn case_9_a_method_has_one_handler() {
    let Some(on) = old() else { return };
    let twice = LISTS.replace("{H: [echo]}", "{H: [echo], I: [sum, echo]}");
    let config = format!("version: 1\ncalls: {twice}\n").replace("REDIS", &on.redis.url());
    let file = on.dir.path().join("twice.yaml");
    std::fs::write(&file, config).unwrap();
    let start = ["serve", "--http", "127.0.0.1:0", "--engine", "memory:"];
    let start = [&start[..], &["--config", text(&file)]].concat();
    run(trunkline(&start), b"").fails(2, "the method echo is offered by the handler of H already");
    // And of workers at a gateway.
    let server = on.gateway(LISTS);
    let worker = |handler: &str| {
        let args = ["worker", "--category", "old", "--handler", handler];
        server.command(&[&args[..], &["--method", "echo", "--", "cat"]].concat())
    };
    let mut first = Running::start(worker("H"));
    first.says("ready");
    run(worker("I"), b"").fails(1, "echo");
    let answered = server.run(&["call", "echo", "[7]"]);
    assert_eq!(answered.ok(), "[7]\n");
}

#[test]
fn case_16_ids_of_clients_are_no_keys() {
    let Some(on) = old() else { return };
    let server = on.gateway(LISTS);
    let mut hand = on.hand();
    for own in [json!("H"), json!("a1_response"), json!("rpcs.db"), json!(7)] {
        let call = posting(&server, &request(&own, &json!(["x"])));
        let (id, request) = pop(&mut hand);
        assert!(id.len() == 36 && request["id"] == json!(id), "{request}");
        answer(&mut hand, &id, &request);
        let answered = call.join().unwrap();
        assert_eq!(
            (&answered["id"], &answered["result"]),
            (&own, &json!(["x"]))
        );
    }
}
