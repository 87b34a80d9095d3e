//! `topic peek`, `ls` and `info`.

use crate::setup::{Running, setup, store};
use rustix::process::Signal;
use serde_json::Value;
use std::io::BufRead;

fn line(process: &mut Running) -> String {
    let mut line = String::new();
    process.stdout.read_line(&mut line).unwrap();
    line
}

#[test]
fn a_follower_goes_on_when_its_server_does() {
    let store = store();
    let server = store.serve();
    let address = server.address().to_owned();
    server.run(&["publish", "t", "old"]).ok();
    let mut follower = Running::start(server.command(&["topic", "peek", "t", "--follow"]));
    follower.says("following t");
    server.run(&["publish", "t", "before"]).ok();
    assert!(line(&mut follower).ends_with("before\n"));
    server.kill();
    follower.says("connecting again");
    let server = store.serve_at(&address);
    server.run(&["publish", "t", "after"]).ok();
    assert!(line(&mut follower).ends_with("after\n"));
}

#[test]
fn a_follower_ends_after_so_many_that_fit() {
    let server = setup();
    server.run(&["publish", "t", "a", "b", "--key", "x"]).ok();
    server
        .run(&["publish", "t", "c", "d", "--key", "y", "--header", "h=1"])
        .ok();
    let from = [
        "topic", "peek", "t", "--follow", "--from", "1-0", "--limit", "1",
    ];
    let follow = |filter: &[&str]| {
        let ran = server.run(&[&from[..], filter].concat());
        ran.ok().trim_end().rsplit(' ').next().unwrap().to_owned()
    };
    assert_eq!(follow(&[]), "a");
    assert_eq!(follow(&["--key", "y"]), "c");
    assert_eq!(follow(&["--header", "h"]), "c");
    assert_eq!(follow(&["--header", "h=1"]), "c");
    server
        .run(&["topic", "peek", "t", "--follow", "-s", "s"])
        .fails(2, "--subscription");
    server
        .run(&["topic", "peek", "nowhere", "--follow"])
        .fails(1, "no topic nowhere");
}

#[test]
fn tables_fit_100_columns() {
    let server = setup();
    let (topic, subscription) = ("t".repeat(60), "s".repeat(60));
    server
        .run(&["topic", "add", &topic, "-o", "priorities=30"])
        .ok();
    server
        .run(&["subscription", "add", &topic, &subscription])
        .ok();
    let long = "x".repeat(200);
    let publish = ["publish", &topic, &long, "--key", &long, "--priority"];
    for priority in 0..30 {
        server
            .run(&[&publish[..], &[&priority.to_string()]].concat())
            .ok();
    }
    for command in [
        &["topic", "ls"][..],
        &["subscription", "ls", &topic],
        &["topic", "peek", &topic],
        &["topic", "peek", &topic, "-s", &subscription],
    ] {
        let out = server.run(command).ok();
        assert!(out.lines().count() > 1, "{out}");
        let widest = out.lines().map(|line| line.chars().count()).max();
        assert!(widest.is_some_and(|widest| widest <= 100), "{out}");
    }
}

#[test]
fn a_follower_shows_what_comes_and_disturbs_nothing() {
    let server = setup();
    server.run(&["publish", "t", "old"]).ok();
    server.run(&["subscription", "add", "t", "s"]).ok();
    // Gaps in the sequence are no end.
    server
        .run(&["consume", "t", "-s", "s", "--count", "1"])
        .ok();
    let from_now = ["--json", "topic", "peek", "t", "--follow"];
    let mut follower = Running::start(server.command(&from_now));
    follower.says("following t");
    let mut shown = Value::Null;
    for number in 0..20 {
        let id = server.run(&["publish", "t", &number.to_string()]).ok();
        shown = serde_json::from_str(&line(&mut follower)).unwrap();
        assert_eq!(shown["id"], id.trim());
    }
    assert_eq!(shown["payload_text"], "19");
    follower.signal(Signal::INT);
    let (rest, status) = follower.finish();
    assert!(status.success() && rest.is_empty(), "{rest}");
    let consume = ["--json", "consume", "t", "-s", "s", "--count", "20"];
    let consumed = server.run(&consume).objects();
    assert!(consumed.iter().all(|delivery| delivery["attempt"] == 1));
}

#[test]
fn messages_are_found_by_what_they_are() {
    let server = setup();
    for (args, payload) in [
        (&["--key", "k1", "--header", "kind=a"][..], "one"),
        (&["--key", "k2", "--header", "kind=b"], "two"),
        (&["--key", "k1", "--header", "other=a"], "three"),
    ] {
        server
            .run(&[&["publish", "t", payload], args].concat())
            .ok();
    }
    let found = |filter: &[&str]| {
        let peek = server.run(&[&["--json", "topic", "peek", "t"], filter].concat());
        let texts = peek.objects().into_iter();
        let texts = texts.map(|message| message["payload_text"].as_str().unwrap().to_owned());
        texts.collect::<Vec<_>>().join(" ")
    };
    assert_eq!(found(&["--key", "k1"]), "one three");
    assert_eq!(found(&["--header", "kind"]), "one two");
    assert_eq!(found(&["--header", "kind=b"]), "two");
    assert_eq!(found(&["--key", "k1", "--header", "kind"]), "one");
    assert_eq!(found(&["--since", "10m"]), "one two three");
    assert_eq!(found(&["--until", "10m"]), "");
    assert_eq!(found(&["--from", "1-2", "--limit", "1"]), "two");
    let state = ["topic", "peek", "t", "-s", "s"];
    server.run(&["subscription", "add", "t", "s"]).ok();
    let table = server.run(&state).ok();
    assert!(
        table.contains("STATE") && table.contains("waiting"),
        "{table}"
    );
    server
        .run(&["topic", "peek", "t", "--since", "soon"])
        .fails(2, "10m");
}

#[test]
fn looking_goes_over_many_pages() {
    let server = setup();
    server.run(&["subscription", "add", "t", "s"]).ok();
    server.run(&["topic", "edit", "t", "priorities=2"]).ok();
    let numbers = crate::setup::seq(2_500);
    let publish = |priority: &str| {
        let publish = ["publish", "t", "--lines", "--priority", priority];
        server.feed(&publish, numbers.as_bytes()).ok();
    };
    publish("1");
    publish("0");
    for from in [&[][..], &["-s", "s"]] {
        let peek = [&["--json", "topic", "peek", "t", "--limit", "4000"], from].concat();
        let shown = server.run(&peek).objects();
        let urgent = shown
            .iter()
            .filter(|message| message["priority"] == 0)
            .count();
        assert_eq!(shown.len(), 4_000);
        // A subscription is looked at in its order, a topic in that of publishing.
        assert_eq!(urgent, if from.is_empty() { 1_500 } else { 2_500 });
    }
}
