//! Delays and groups, over the command line.

use crate::setup::{Running, Server, setup, store};
use rustix::process::Signal;
use serde_json::Value;
use std::io::BufRead;

fn subscription(server: &Server, topic: &str) -> Value {
    let mut listed = server
        .run(&["--json", "subscription", "ls", topic])
        .objects();
    listed.remove(0)
}

#[test]
fn a_delayed_message_comes_at_its_time_and_not_before() {
    let server = setup();
    server.run(&["subscription", "add", "t", "s"]).ok();
    server
        .run(&["publish", "t", "later", "--delay", "400ms"])
        .ok();
    server.run(&["publish", "t", "now"]).ok();
    let consume = ["consume", "t", "-s", "s", "--count", "2"];
    assert_eq!(server.run(&consume).ok(), "now\nlater\n");
    server
        .run(&["publish", "t", "never", "--delay", "2h", "--ttl", "1h"])
        .fails(1, "(-32602)");
}

#[test]
fn a_delay_outlives_the_server() {
    let store = store();
    let server = store.serve();
    server.run(&["subscription", "add", "t", "s"]).ok();
    server.run(&["publish", "t", "later", "--delay", "1h"]).ok();
    server.run(&["publish", "t", "now"]).ok();
    server.kill();
    let server = store.serve();
    let consume = ["consume", "t", "-s", "s", "--count", "1"];
    assert_eq!(server.run(&consume).ok(), "now\n");
    let left = subscription(&server, "t");
    assert_eq!((&left["waiting"], &left["delayed"]), (&1.into(), &1.into()));
    let peek = ["--json", "topic", "peek", "t", "-s", "s"];
    let peeked = server.run(&peek).objects();
    assert_eq!(peeked[0]["state"], "delayed");
    assert!(peeked[0]["deliver_at"].is_string(), "{peeked:?}");
    let table = server.run(&["topic", "ls"]).ok();
    assert!(table.contains("DELAYED"), "{table}");
}

#[test]
fn a_group_is_with_one_consumer_at_a_time() {
    let server = setup();
    server.run(&["subscription", "add", "t", "s"]).ok();
    for (group, first, second) in [("a", "a1", "a2"), ("b", "b1", "b2")] {
        server
            .run(&["publish", "t", "--group", group, first, second])
            .ok();
    }
    // One holds the first of a group …
    let hold = ["consume", "t", "-s", "s", "--no-ack", "--credit", "1"];
    let mut holder = Running::start(server.command(&hold));
    let mut held = String::new();
    holder.stdout.read_line(&mut held).unwrap();
    assert_eq!(held, "a1\n");
    // … so that another one gets only the other group …
    let take = ["consume", "t", "-s", "s", "--count", "2"];
    assert_eq!(server.run(&take).ok(), "b1\nb2\n");
    let left = subscription(&server, "t");
    assert_eq!(
        (&left["waiting"], &left["in_flight"]),
        (&1.into(), &1.into())
    );
    // … until the first has gone.
    holder.signal(Signal::INT);
    assert!(holder.wait().success());
    assert_eq!(server.run(&take).ok(), "a1\na2\n");
}
