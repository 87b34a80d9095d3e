//! `consume --retry` over a server that is killed, and what ends a consumer for good.

use crate::setup::{Running, seq, setup, store};
use rustix::process::Signal;
use std::{io::BufRead, ops::Range};

const MESSAGES: u64 = 3_000;

fn numbers(range: Range<u64>) -> String {
    range.map(|number| format!("{number}\n")).collect()
}

#[test]
fn a_consumer_goes_on_after_kill_9_and_prints_nothing_twice() {
    let store = store();
    let server = store.serve();
    let address = server.address().to_owned();
    let publish = ["publish", "t", "--lines"];
    server.feed(&publish, seq(MESSAGES).as_bytes()).ok();

    let count = (2 * MESSAGES).to_string();
    let consume = ["consume", "t", "-s", "s", "--retry", "--count", &count];
    let mut consumer = Running::start(server.command(&consume));
    // In the middle of printing and acknowledging.
    let mut printed = String::new();
    for _ in 0..10 {
        consumer.stdout.read_line(&mut printed).unwrap();
    }
    server.kill();
    consumer.says("connecting again");
    let server = store.serve_at(&address);
    let rest = numbers(MESSAGES + 1..2 * MESSAGES + 1);
    server.feed(&publish, rest.as_bytes()).ok();

    let (more, status) = consumer.finish();
    assert!(status.success());
    // Nothing is missing and nothing came twice; what came again may have changed places.
    let mut all: Vec<u64> = (printed + &more)
        .lines()
        .map(|line| line.parse().unwrap())
        .collect();
    all.sort_unstable();
    assert!(all.into_iter().eq(1..=2 * MESSAGES));
    let left = server.run(&["--json", "topic", "info", "t"]).objects();
    assert_eq!(left[0]["messages"], 0, "{left:?}");
}

#[test]
fn without_retry_a_lost_server_is_a_failure() {
    let store = store();
    let server = store.serve();
    server.run(&["publish", "t", "a"]).ok();
    let mut consumer = Running::start(server.command(&["consume", "t", "-s", "s"]));
    let mut line = String::new();
    consumer.stdout.read_line(&mut line).unwrap();
    server.kill();
    consumer.says("lost the connection");
    assert_eq!(consumer.wait().code(), Some(1));
}

#[test]
fn ctrl_c_ends_a_consumer_that_waits_for_its_server() {
    let store = store();
    let server = store.serve();
    server.run(&["publish", "t", "a"]).ok();
    let mut consumer = Running::start(server.command(&["consume", "t", "-s", "s", "--retry"]));
    let mut line = String::new();
    consumer.stdout.read_line(&mut line).unwrap();
    server.kill();
    consumer.says("connecting again");
    consumer.signal(Signal::INT);
    assert!(consumer.wait().success());
}

/// It used to wait for ever for a topic that was gone.
#[test]
fn a_consumer_whose_topic_is_removed_ends_and_says_so() {
    let server = setup();
    server.run(&["publish", "t", "a"]).ok();
    for retry in [&[][..], &["--retry"]] {
        server.run(&["publish", "t", "a"]).ok();
        let consume = [&["consume", "t", "-s", "s"], retry].concat();
        let mut consumer = Running::start(server.command(&consume));
        let mut line = String::new();
        consumer.stdout.read_line(&mut line).unwrap();
        server.run(&["topic", "rm", "t"]).ok();
        consumer.says("topic t");
        assert_eq!(consumer.wait().code(), Some(1));
    }
}
