//! publish, consume, topic, subscription.

use crate::setup::{Running, seq, setup, store, text};
use rustix::process::Signal;
use serde_json::json;
use std::io::BufRead;

#[test]
fn what_is_published_is_consumed_in_order() {
    let server = setup();
    let ids = server.run(&["publish", "orders", "first", "second"]).ok();
    assert_eq!(ids.lines().count(), 2);
    server.feed(&["publish", "orders"], b"from\nstdin").ok();
    server
        .run(&["publish", "orders", "--json-payload", "{\"id\": 7}"])
        .ok();

    let consume = ["consume", "orders", "--subscription", "s", "--count", "4"];
    let printed = server.run(&consume).ok();
    assert_eq!(printed, "first\nsecond\nfrom\nstdin\n{\"id\": 7}\n");

    // It was acknowledged: nothing is left.
    let info = server.run(&["--json", "topic", "info", "orders"]).objects();
    assert_eq!(info[0]["messages"], json!(0));
}

#[test]
fn lines_are_messages() {
    let server = setup();
    let published = server.feed(&["publish", "numbers", "--lines"], seq(5_000).as_bytes());
    assert!(
        published.err.starts_with("confirmed 5000 of 5000 in "),
        "{published:?}"
    );
    assert_eq!(published.ok(), "");
    let idle = ["consume", "numbers", "-s", "s", "--idle-timeout", "300ms"];
    assert_eq!(server.run(&idle).ok(), seq(5_000));
}

#[test]
fn json_prints_one_object_a_line() {
    let server = setup();
    let published = server
        .feed(&["--json", "publish", "t", "--lines"], b"a\nb\n")
        .objects();
    assert_eq!(
        (&published[0]["confirmed"], &published[0]["sent"]),
        (&json!(2), &json!(2))
    );
    let peeked = server.run(&["--json", "topic", "peek", "t"]).objects();
    assert_eq!(peeked[1]["payload_text"], json!("b"));
    let consumed = server
        .run(&["--json", "consume", "t", "-s", "s", "--count", "2"])
        .objects();
    assert_eq!(consumed[0]["payload_text"], json!("a"));
    assert_eq!(consumed[0]["attempt"], json!(1));
    for command in [["topic", "ls"], ["topic", "info"], ["subscription", "ls"]] {
        let mut args = vec!["--json", command[0], command[1]];
        if command != ["topic", "ls"] {
            args.push("t");
        }
        assert_eq!(server.run(&args).objects().len(), 1, "{command:?}");
    }
}

/// JSON that was published with line breaks used to be printed with them.
#[test]
fn json_with_line_breaks_is_one_line_nevertheless() {
    let server = setup();
    let payload = "{\n \"a\": \"b\\nc\"\n}";
    server
        .run(&["publish", "t", "--json-payload", payload])
        .ok();
    let peeked = server.run(&["--json", "topic", "peek", "t"]).objects();
    let consume = ["--json", "consume", "t", "-s", "s", "--count", "1"];
    let consumed = server.run(&consume).objects();
    for objects in [peeked, consumed] {
        assert_eq!(objects[0]["payload"], json!({"a": "b\nc"}));
    }
}

#[test]
fn count_takes_no_more_than_that_many() {
    let server = setup();
    server
        .feed(&["publish", "t", "--lines"], seq(10).as_bytes())
        .ok();
    let three = ["consume", "t", "-s", "s", "--count", "3"];
    assert_eq!(server.run(&three).ok(), "1\n2\n3\n");
    let rest = server
        .run(&["--json", "consume", "t", "-s", "s", "--count", "7"])
        .objects();
    // Were they taken before and returned, these would be second attempts.
    assert!(
        rest.iter().all(|delivery| delivery["attempt"] == json!(1)),
        "{rest:?}"
    );
}

#[test]
fn no_ack_only_looks() {
    let server = setup();
    server.run(&["publish", "t", "a", "b"]).ok();
    let look = [
        "consume",
        "t",
        "-s",
        "s",
        "--no-ack",
        "--idle-timeout",
        "200ms",
    ];
    assert_eq!(server.run(&look).ok(), "a\nb\n");
    assert_eq!(
        server
            .run(&["consume", "t", "-s", "s", "--count", "2"])
            .ok(),
        "a\nb\n"
    );
}

#[test]
fn exec_acks_what_the_program_is_done_with() {
    let server = setup();
    server.run(&["publish", "t", "a", "b"]).ok();
    // The first attempt of everything fails.
    let script = r#"[ "$TRUNKLINE_ATTEMPT" -gt 1 ] && cat && echo " $TRUNKLINE_TOPIC""#;
    let consumed = server.run(&[
        "consume", "t", "-s", "s", "--count", "2", "--exec", "sh", "-c", script,
    ]);
    assert!(consumed.err.contains("goes back"), "{consumed:?}");
    assert_eq!(consumed.ok(), "a t\nb t\n");
}

#[test]
fn what_failed_waits_and_holds_nothing_up() {
    let server = setup();
    server.run(&["publish", "t", "a", "b"]).ok();
    // The first two attempts of the first message fail.
    let script = r#"p=$(cat); { [ "$p" = b ] || [ "$TRUNKLINE_ATTEMPT" -gt 2 ]; } && echo "$p""#;
    let consumed = server.run(&[
        "consume", "t", "-s", "s", "--count", "2", "--exec", "sh", "-c", script,
    ]);
    assert_eq!(consumed.ok(), "b\na\n");
}

/// How often a program that always fails is run before nothing came for a second.
#[track_caller]
fn attempts(topic: &str, options: &[&str]) -> usize {
    let server = setup();
    server
        .run(&[&["topic", "add", topic], options].concat())
        .ok();
    server.run(&["publish", topic, "a"]).ok();
    let consumed = server.run(&[
        "consume",
        topic,
        "-s",
        "s",
        "--idle-timeout",
        "1s",
        "--exec",
        "false",
    ]);
    let count = consumed.err.matches("goes back").count();
    consumed.ok();
    count
}

#[test]
fn a_program_that_always_fails_is_run_ever_more_seldom() {
    // After 0, 100, 300, 700 and 1,500 ms; the next would be 1.6 s later.
    assert!((2..=5).contains(&attempts("t", &[])));
}

#[test]
fn the_retry_of_the_topic_counts_if_it_has_one() {
    assert_eq!(attempts("t", &["-o", "retry=1h"]), 1);
}

#[test]
fn ctrl_c_ends_a_consumer_cleanly() {
    let server = setup();
    server.run(&["publish", "t", "a", "b"]).ok();
    let mut consumer = Running::start(server.command(&["consume", "t", "-s", "s"]));
    let mut line = String::new();
    consumer.stdout.read_line(&mut line).unwrap();
    consumer.stdout.read_line(&mut line).unwrap();
    consumer.signal(Signal::INT);
    assert!(consumer.wait().success());
    assert_eq!(line, "a\nb\n");
    let info = server.run(&["--json", "subscription", "ls", "t"]).objects();
    assert_eq!(
        info[0]["acked"],
        json!(2),
        "what was printed is acknowledged"
    );
}

#[test]
fn topics_are_managed() {
    let server = setup();
    let add = [
        "topic",
        "add",
        "alarms",
        "-o",
        "priorities=3",
        "-o",
        "ttl=1h",
    ];
    assert!(server.run(&add).err.contains("made"));
    assert!(server.run(&add).err.contains("was there already"));
    server
        .run(&["topic", "add", "alarms", "-o", "priorities=4"])
        .fails(1, "priorities");
    server
        .run(&["topic", "add", "t", "-o", "priority=4"])
        .fails(2, "did you mean `priorities`?");

    server
        .run(&["publish", "alarms", "late", "--priority", "2"])
        .ok();
    server
        .run(&["publish", "alarms", "soon", "--priority", "0"])
        .ok();
    let listed = server.run(&["topic", "ls"]).ok();
    assert!(
        listed.contains("alarms") && listed.contains("memory"),
        "{listed}"
    );
    let info = server.run(&["topic", "info", "alarms"]).ok();
    assert!(info.contains("priorities"), "{info}");
    let peeked = server.run(&["topic", "peek", "alarms"]).ok();
    assert!(
        peeked.contains("late") && peeked.contains("soon"),
        "{peeked}"
    );
    assert!(
        server
            .run(&["topic", "purge", "alarms"])
            .err
            .contains("removed 2 messages")
    );
    server.run(&["topic", "rm", "alarms"]).ok();
    server
        .run(&["topic", "info", "alarms"])
        .fails(1, "no topic alarms");
}

#[test]
fn subscriptions_are_managed() {
    let server = setup();
    server.run(&["publish", "t", "old"]).ok();
    let add = ["subscription", "add", "t", "one", "--from", "new"];
    assert!(server.run(&add).err.contains("released 1 message"));
    server
        .run(&["subscription", "add", "t", "two", "-o", "ack_timeout=30s"])
        .ok();
    server.run(&["publish", "t", "new"]).ok();
    let listed = server.run(&["subscription", "ls", "t"]).ok();
    assert!(listed.contains("one") && listed.contains("two"), "{listed}");
    assert_eq!(
        server
            .run(&["consume", "t", "-s", "one", "--count", "1"])
            .ok(),
        "new\n"
    );
    server.run(&["subscription", "rm", "t", "two"]).ok();
    assert!(
        !server
            .run(&["subscription", "ls", "t"])
            .ok()
            .contains("two")
    );
    server
        .run(&["subscription", "rm", "t", "two"])
        .fails(1, "two");
}

#[test]
fn a_durable_topic_outlives_its_server() {
    let store = store();
    let server = store.serve();
    server
        .feed(&["publish", "t", "--lines"], seq(100).as_bytes())
        .ok();
    assert!(server.stop().success());
    let server = store.serve();
    assert_eq!(server.ready["recovery"]["clean"], json!(true));
    assert_eq!(
        server
            .run(&["consume", "t", "-s", "s", "--count", "100"])
            .ok(),
        seq(100)
    );
    let in_use = server.run(&["journal", "verify", text(&store.path())]);
    in_use.fails(1, "in use");
}
