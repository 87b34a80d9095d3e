//! Messages that are given up, and the way back.

use crate::setup::{Server, setup, store};
use serde_json::{Value, json};

/// A topic whose dead letters go to `dead`, with a subscription that gives up whatever it gets.
fn fail(server: &Server, messages: &[&[&str]]) {
    let add = [
        "topic",
        "add",
        "t",
        "-o",
        "max_attempts=1",
        "-o",
        "dead_letter=dead",
    ];
    server.run(&add).ok();
    for subscription in ["s", "other"] {
        server.run(&["subscription", "add", "t", subscription]).ok();
    }
    for message in messages {
        server.run(&[&["publish", "t"], *message].concat()).ok();
    }
    // Each delivery of a consumer that goes without an ack was the last.
    let count = messages.len().to_string();
    let look = ["consume", "t", "-s", "s", "--no-ack", "--count", &count];
    server.run(&look).ok();
    // They arrive a moment later.
    while dead(server).len() < messages.len() {}
}

fn dead(server: &Server) -> Vec<Value> {
    let peeked = server.run(&["--json", "topic", "peek", "dead", "--limit", "1000"]);
    match peeked.code {
        Some(0) => peeked.objects(),
        _ => Vec::new(),
    }
}

fn info(server: &Server, topic: &str) -> Value {
    server
        .run(&["--json", "topic", "info", topic])
        .objects()
        .remove(0)
}

fn consume(server: &Server, topic: &str, subscription: &str, count: &str) -> String {
    server
        .run(&["consume", topic, "-s", subscription, "--count", count])
        .ok()
}

#[test]
fn dead_letters_say_where_they_come_from_and_go_back_there_only() {
    let server = setup();
    fail(
        &server,
        &[
            &["one", "--key", "k1", "--header", "a=b"],
            &["two", "--key", "k2"],
        ],
    );
    let letters = dead(&server);
    let headers = &letters[0]["headers"];
    assert_eq!(headers["trunkline-dead-topic"], "t");
    assert_eq!(headers["trunkline-dead-subscription"], "s");
    assert_eq!(headers["trunkline-dead-reason"], "max-attempts");
    assert_eq!(
        (&headers["a"], &letters[0]["key"]),
        (&json!("b"), &json!("k1"))
    );
    let table = server.run(&["topic", "info", "t"]).ok();
    assert!(
        table
            .lines()
            .any(|line| line.split_whitespace().eq(["dead", "2"])),
        "{table}"
    );

    let dry = server.run(&["topic", "redrive", "dead", "--dry-run"]).ok();
    assert!(
        dry.contains("max-attempts") && dead(&server).len() == 2,
        "{dry}"
    );
    let moved = server
        .run(&["--json", "topic", "redrive", "dead", "--key", "k2"])
        .objects();
    assert_eq!(moved[0], json!({"topic": "dead", "moved": 1, "left": 0}));
    let said = server.run(&["topic", "redrive", "dead"]).err;
    assert_eq!(said, "moved 1 message\n");
    assert_eq!(info(&server, "dead")["messages"], 0);
    // The other subscription has its own copies, once.
    assert_eq!(consume(&server, "t", "s", "2"), "two\none\n");
    assert_eq!(consume(&server, "t", "other", "2"), "one\ntwo\n");
    assert_eq!(info(&server, "t")["messages"], 0);
}

#[test]
fn dead_letters_are_changed_on_their_way_to_another_topic() {
    let server = setup();
    fail(&server, &[&["old", "--header", "a=b", "--header", "c=d"]]);
    server.run(&["subscription", "add", "again", "all"]).ok();
    let redrive = [
        "topic",
        "redrive",
        "dead",
        "--to",
        "again",
        "--payload",
        "[1.50]",
        "--json-payload",
        "--set-header",
        "a=x",
        "--unset-header",
        "c",
    ];
    server.run(&redrive).ok();
    let consume = ["--json", "consume", "again", "-s", "all", "--count", "1"];
    let delivered = server.command(&consume).output().unwrap();
    let delivered = String::from_utf8(delivered.stdout).unwrap();
    // The text that was given, and no header of a dead letter.
    assert!(
        delivered.contains(r#""payload":[1.50],"headers":{"a":"x"}"#),
        "{delivered}"
    );
    let bad = [
        "topic",
        "redrive",
        "dead",
        "--payload",
        "{",
        "--json-payload",
    ];
    server
        .run(&bad)
        .fails(2, "--payload: the payload is not JSON");
}

#[test]
fn what_can_not_go_back_stays_and_is_told() {
    let server = setup();
    fail(&server, &[&["one"], &["two"], &["three"]]);
    server
        .run(&["topic", "redrive", "dead", "--limit", "1"])
        .ok();
    assert_eq!(dead(&server).len(), 2);
    server.run(&["subscription", "rm", "t", "s"]).ok();
    let refused = server.run(&["topic", "redrive", "dead"]);
    assert!(refused.err.starts_with("moved 0 messages\n"), "{refused:?}");
    refused.fails(1, "2 messages stayed in dead");
    assert_eq!(dead(&server).len(), 2);
}

#[test]
fn many_dead_letters_go_back_over_a_restart() {
    const MESSAGES: u64 = 1_200;
    let store = store();
    let server = store.serve();
    let add = [
        "topic",
        "add",
        "t",
        "-o",
        "max_attempts=1",
        "-o",
        "dead_letter=dead",
    ];
    server.run(&add).ok();
    let numbers = crate::setup::seq(MESSAGES);
    server
        .feed(&["publish", "t", "--lines"], numbers.as_bytes())
        .ok();
    let count = MESSAGES.to_string();
    server
        .run(&["consume", "t", "-s", "s", "--no-ack", "--count", &count])
        .ok();
    while info_messages(&server, "dead") < MESSAGES {}
    server.kill();
    let server = store.serve();
    let said = server.run(&["topic", "redrive", "dead"]).err;
    assert_eq!(said, "moved 1,200 messages\n");
    let mut again: Vec<_> = consume(&server, "t", "s", &count)
        .lines()
        .map(|line| line.parse::<u64>().unwrap())
        .collect();
    again.sort_unstable();
    assert!(again.into_iter().eq(1..=MESSAGES));
}

fn info_messages(server: &Server, topic: &str) -> u64 {
    let ran = server.run(&["--json", "topic", "info", topic]);
    match ran.code {
        Some(0) => ran.objects()[0]["messages"].as_u64().unwrap(),
        _ => 0,
    }
}
