//! Our gateway, on the embedded engine, with old processes behind it and beside it.

use super::{Old, old, said};
use serde_json::json;

/// Calls of old workers over streams, everything else over the engine.
const STREAMS: &str = "{categories: {old: {wire: consumer-groups, methods: [echo, fail]}}, \
                       wires: {consumer_groups: {url: 'REDIS'}}}";
const LISTS: &str = "{categories: {old: {wire: rpcprocessor}}, \
                     wires: {rpcprocessor: {url: 'REDIS', handlers: {H: [echo]}}}}";

/// Calls what a worker in Python offers, `count` times in all.
#[track_caller]
fn calls_reach(on: &Old, calls: &str, script: &str, count: usize, fails: bool) {
    let Some(python) = on.python(script, count) else {
        return;
    };
    let server = on.gateway(calls);
    let echoed = server.run(&["call", "echo", r#"{"text": "žluťoučký", "n": 1.50}"#]);
    let echoed: serde_json::Value = serde_json::from_str(&echoed.ok()).unwrap();
    assert_eq!(echoed, json!({"text": "žluťoučký", "n": 1.5}));
    let mut rest = count - 1;
    if fails {
        let failed = server.run(&["--json", "call", "fail", "{}"]);
        assert_eq!(failed.code, Some(1));
        let error: serde_json::Value = serde_json::from_str(&failed.err).unwrap();
        assert_eq!(error["error"], json!({"code": 7, "message": "on purpose"}));
        rest -= 1;
    }
    let rest = rest.to_string();
    let repeat = ["--json", "call", "echo", "[1]", "--repeat", &rest];
    let summary = server.run(&[&repeat[..], &["--concurrency", "16"]].concat());
    let summary = summary.objects();
    assert_eq!(summary[0]["done"].to_string(), rest, "{summary:?}");
    assert_eq!(said(python), format!("{count} calls"));
    // What nobody offers on the engine's own wire still fails at once.
    server.run(&["call", "nobodys"]).fails(1, "no handler");
    assert!(server.stop().success());
}

#[test]
fn a_worker_in_python_answers_our_clients_over_streams() {
    let Some(on) = old() else { return };
    calls_reach(&on, STREAMS, "streams_worker", 200, true);
}

#[test]
fn a_handler_in_python_answers_our_clients_over_lists() {
    let Some(on) = old() else { return };
    calls_reach(&on, LISTS, "lists_handler", 100, false);
}

#[test]
fn a_worker_of_our_gateway_serves_old_gateways() {
    let Some(on) = old() else { return };
    let server = on.gateway(STREAMS);
    let args = ["worker", "--category", "old", "--handler", "h"];
    let program = ["--method", "echo", "--concurrency", "4", "--", "cat"];
    let mut worker = crate::setup::Running::start(server.command(&[&args[..], &program].concat()));
    worker.says("ready");
    let Some(python) = on.python("streams_gateway", 9) else {
        return;
    };
    assert_eq!(said(python), "9 answers, 0 of them errors");
    // And our own clients, who come the same way.
    assert_eq!(server.run(&["call", "echo", "[7]"]).ok(), "[7]\n");
}

#[test]
fn the_server_says_which_ways_calls_take() {
    let Some(on) = old() else { return };
    let server = on.gateway(STREAMS);
    let url = on.redis.url();
    let wires = json!({
        "consumer-groups": {"url": url.trim_end_matches('/'), "categories": ["old"]},
    });
    assert_eq!(server.ready["wires"], wires);
}
