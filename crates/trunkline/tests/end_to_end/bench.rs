//! bench: a load that leaves nothing behind.

use crate::setup::{Running, Server, run, setup, store, trunkline};
use rustix::process::Signal;
use serde_json::{Value, json};

/// The one object that a bench prints.
fn bench(server: &Server, args: &[&str]) -> Value {
    let args = [&["--json", "bench"], args].concat();
    server.run(&args).objects().remove(0)
}

fn topics(server: &Server) -> Vec<Value> {
    server.run(&["--json", "topic", "ls"]).objects()
}

#[test]
fn every_load_counts_all_it_was_asked_for_and_removes_what_it_made() {
    let store = store();
    let server = store.serve();
    for (args, counted, count) in [
        (
            &["calls", "--count", "500", "--window", "8"][..],
            "call",
            500,
        ),
        (
            &["publish", "--count", "501", "--connections", "3"],
            "message",
            501,
        ),
        (
            &["end-to-end", "--count", "700", "--connections", "2"],
            "message",
            700,
        ),
        (
            &[
                "fan-out",
                "--count",
                "40",
                "--window",
                "4",
                "--listeners",
                "7",
            ],
            "delivery",
            280,
        ),
    ] {
        let result = bench(&server, args);
        assert_eq!(result["bench"], json!(args[0]));
        assert_eq!(
            (&result["counted"], &result["count"]),
            (&json!(counted), &json!(count))
        );
        assert_eq!(result["stopped"], json!(false));
        let latency = &result["latency_us"];
        let order = ["min", "p50", "p90", "p99", "p99_9", "max"];
        let order = order.map(|name| latency[name].as_f64().unwrap());
        assert!(order[0] > 0.0 && order.is_sorted(), "{latency}");
        assert_eq!(topics(&server), [Value::Null; 0], "{args:?}");
    }
}

#[test]
fn a_load_for_a_time_keeps_to_its_rate() {
    let server = setup();
    for (shape, payload) in [
        ("calls", "16"),
        ("publish", "1000"),
        ("end-to-end", "16"),
        ("fan-out", "64"),
    ] {
        let result = bench(
            &server,
            &[
                shape,
                "--duration",
                "300ms",
                "--rate",
                "200",
                "--payload",
                payload,
            ],
        );
        let each = if shape == "fan-out" { 100 } else { 1 };
        let count = result["count"].as_u64().unwrap() / each;
        // The rate is a bound: a machine that has no time sends less, never more.
        assert!((1..=61).contains(&count), "{result}");
        assert_eq!(result["payload_bytes"].to_string(), payload);
    }
}

#[test]
fn people_get_a_summary_and_a_chart() {
    let server = setup();
    let shown = server.run(&["bench", "calls", "--count", "100"]);
    assert!(
        !shown.err.contains('['),
        "a bar without a terminal: {}",
        shown.err
    );
    let out = shown.ok();
    for word in [
        "count", "100", "rate", "p50", "p90", "p99", "p99.9", "max", "≤", "#",
    ] {
        assert!(out.contains(word), "{word}: {out}");
    }
}

#[test]
fn an_interrupt_ends_it_with_the_figures_so_far() {
    let server = setup();
    let mut running = Running::start(server.command(&[
        "--json",
        "bench",
        "publish",
        "--duration",
        "1h",
        "--window",
        "4",
    ]));
    // Its topic is there: so it is past its beginnings.
    while topics(&server).is_empty() {}
    running.signal(Signal::INT);
    let (out, status) = running.finish();
    let result: Value = serde_json::from_str(&out).unwrap();
    assert_eq!((&result["stopped"], status.success()), (&json!(true), true));
    assert_eq!(topics(&server), [Value::Null; 0]);
}

#[test]
fn what_is_left_is_named_when_the_server_is_lost() {
    let server = setup();
    let mut running = Running::start(server.command(&["bench", "publish", "--duration", "1h"]));
    while topics(&server).is_empty() {}
    let topic = topics(&server)[0]["topic"].as_str().unwrap().to_owned();
    server.kill();
    running.says(&format!("topic {topic} is left"));
    assert_eq!(running.wait().code(), Some(1));
}

#[test]
fn what_is_too_large_for_the_server_is_said_and_removed() {
    let server = setup();
    server
        .run(&["bench", "publish", "--count", "1", "--payload", "2MiB"])
        .fails(1, "1009");
    assert_eq!(topics(&server), [Value::Null; 0]);
}

#[test]
fn wrong_usage_of_it_is_2() {
    for (args, says) in [
        (&["bench"][..], "fan-out"),
        (
            &["bench", "calls", "--count", "1", "--duration", "1s"],
            "--duration",
        ),
        (&["bench", "calls", "--payload", "15"], "16B"),
        (&["bench", "calls", "--rate", "0"], "0.001"),
        (&["bench", "calls", "--window", "0"], "--window"),
    ] {
        run(trunkline(args), b"").fails(2, says);
    }
}
