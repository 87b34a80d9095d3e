//! `topic export` and `topic import`: everything comes back as it was, as often as it is tried.

use crate::setup::{Running, Server, seq, setup, store, text};
use rustix::process::Signal;
use serde_json::{Value, json};
use std::{fs, io::Write};

/// A message without what an import can't keep: its identity and its time.
fn content(mut message: Value) -> Value {
    let members = message.as_object_mut().unwrap();
    for own in ["id", "published_at", "publish_id"] {
        members.remove(own);
    }
    message
}

fn messages(server: &Server, topic: &str) -> Vec<Value> {
    let peek = ["--json", "topic", "peek", topic, "--limit", "10000"];
    let messages = server.run(&peek).objects();
    messages.into_iter().map(content).collect()
}

fn info(server: &Server, topic: &str) -> Value {
    let mut objects = server.run(&["--json", "topic", "info", topic]).objects();
    objects.remove(0)
}

/// Topics with everything that a message can have.
fn fill(server: &Server) {
    let add = [
        "topic",
        "add",
        "orders",
        "-o",
        "priorities=4",
        "-o",
        "ttl=2d",
        "-o",
        "ack_timeout=30s",
    ];
    server.run(&add).ok();
    server.run(&["subscription", "add", "orders", "all"]).ok();
    let own = [
        "subscription",
        "add",
        "orders",
        "slow",
        "-o",
        "ack_timeout=5m",
    ];
    server.run(&own).ok();
    let publish = |args: &[&str], stdin: &[u8]| {
        server
            .feed(&[&["publish", "orders"], args].concat(), stdin)
            .ok();
    };
    publish(&["text with \"quotes\" and\nlines", "größe"], b"");
    publish(
        &[
            "--json-payload",
            "{\n \"exact\": 1.0,\r\n \"twice\": 1, \"twice\": 2 }",
        ],
        b"",
    );
    publish(&["--json-payload", "[ 1.50, null ]", "--key", "k\"1"], b"");
    publish(&[], b"\xff\x00bytes");
    publish(
        &["keyed", "--key", "k", "--priority", "0", "--ttl", "1h"],
        b"",
    );
    publish(
        &[
            "--header", "a=b", "--header", "c=d e", "--group", "g", "--delay", "1h", "headed",
        ],
        b"",
    );
    server.run(&["publish", "empty.payload", ""]).ok();
    server.run(&["topic", "add", "empty"]).ok();
    server
        .feed(&["publish", "numbers", "--lines"], seq(3_000).as_bytes())
        .ok();
}

#[test]
fn what_is_exported_and_imported_is_the_same() {
    let (server, store) = (setup(), store());
    fill(&server);
    let file = store.path().with_file_name("topics.jsonl");
    let exported = server.run(&["topic", "export", "--all", "--out", text(&file)]);
    assert!(
        exported.err.contains("exported 3,008 messages of 4 topics"),
        "{exported:?}"
    );
    exported.ok();
    let lines = fs::read_to_string(&file).unwrap();
    assert!(
        lines
            .lines()
            .all(|line| serde_json::from_str::<Value>(line).is_ok())
    );

    let fresh = setup();
    let imported = fresh
        .run(&["--json", "topic", "import", text(&file)])
        .objects();
    assert_eq!(
        (&imported[0]["topics"], &imported[0]["messages"]),
        (&json!(4), &json!(3_008))
    );
    for topic in ["orders", "empty.payload", "empty", "numbers"] {
        assert_eq!(messages(&fresh, topic), messages(&server, topic), "{topic}");
        let (new, old) = (info(&fresh, topic), info(&server, topic));
        assert_eq!(new["options"], old["options"], "{topic}");
        assert_eq!(new["messages"], old["messages"], "{topic}");
    }
    let (new, old) = (info(&fresh, "orders"), info(&server, "orders"));
    let options = |info: &Value| {
        let subscriptions = info["subscriptions"].as_array().unwrap();
        let own = |one: &Value| (one["subscription"].clone(), one["options"].clone());
        subscriptions.iter().map(own).collect::<Vec<_>>()
    };
    assert_eq!(options(&new), options(&old));
    // In the order of the export.
    let consume = ["consume", "numbers", "-s", "s", "--count", "3000"];
    assert_eq!(fresh.run(&consume).ok(), seq(3_000));
    // Byte for byte, line breaks included.
    let consume = ["consume", "orders", "-s", "all", "--count", "6"];
    let taken = |server: &Server| server.command(&consume).output().unwrap().stdout;
    assert_eq!(taken(&fresh), taken(&server));
}

#[test]
fn an_import_may_be_repeated_and_resumed() {
    let (server, fresh) = (setup(), setup());
    server
        .feed(&["publish", "numbers", "--lines"], seq(2_000).as_bytes())
        .ok();
    let export = server.run(&["topic", "export", "numbers"]).ok();
    // The first half, as if it had been interrupted.
    let half: String = export
        .lines()
        .take(1_200)
        .map(|line| format!("{line}\n"))
        .collect();
    let cut = fresh.feed(&["topic", "import"], half.as_bytes());
    let said = cut.err.clone();
    cut.fails(
        1,
        "was cut off: topic numbers has no end after 1,199 messages",
    );
    let skip = said.rsplit("--skip ").next().unwrap();
    let skip: u64 = skip.lines().next().unwrap().parse().unwrap();
    assert!(skip > 0, "{said}");
    // Again from its beginning: what was there is not stored twice.
    fresh
        .feed(&["topic", "import", "-"], export.as_bytes())
        .ok();
    assert_eq!(messages(&fresh, "numbers"), messages(&server, "numbers"));
    // Behind what is known to be there.
    let copied = fresh.feed(
        &["topic", "import", "--skip", "1990", "--topic", "tail"],
        export.as_bytes(),
    );
    assert!(
        copied.err.contains("imported 10 messages of 1 topic"),
        "{copied:?}"
    );
}

#[test]
fn what_differs_or_is_no_export_is_refused() {
    let (server, other) = (setup(), setup());
    server.run(&["topic", "add", "t", "-o", "ttl=1h"]).ok();
    server.run(&["subscription", "add", "t", "s"]).ok();
    server.run(&["publish", "t", "a", "b"]).ok();
    let export = server.run(&["topic", "export", "t"]).ok();
    other.run(&["topic", "add", "t", "-o", "ttl=2h"]).ok();
    let import = |args: &[&str], export: &str| {
        other.feed(&[&["topic", "import"], args].concat(), export.as_bytes())
    };
    import(&[], &export).fails(
        1,
        "t: topic t is declared differently: ttl is \"2h\", asked for \"1h\"",
    );
    assert!(
        import(&["--as-is"], &export)
            .err
            .contains("imported 2 messages")
    );
    let info = info(&other, "t");
    assert_eq!(
        (&info["messages"], &info["subscriptions"]),
        (&json!(2), &json!([]))
    );

    let end = export.lines().last().unwrap();
    for (text, says) in [
        ("payload\n", "line 1 is not of an export"),
        (
            &format!("{end}\n"),
            "line 1 is not of an export: it belongs to no topic",
        ),
        (
            &export.replace("\"messages\":2}", "\"messages\":3}"),
            "line 4 is not of an export: it ends",
        ),
        (
            &export.replace("\"version\":1", "\"version\":9"),
            "reads version 1",
        ),
        (
            &export.replace("payload_text", "payload_txt"),
            "line 2 is not of an export: unknown field",
        ),
    ] {
        import(&["--topic", "x"], text).fails(1, says);
    }
    server
        .run(&["topic", "export", "nowhere"])
        .fails(1, "no topic nowhere");
    server.run(&["topic", "export"]).fails(2, "<TOPIC>");
}

#[test]
fn a_file_has_its_name_only_once_it_is_complete() {
    let (server, store) = (setup(), store());
    server.run(&["publish", "t", "a"]).ok();
    let file = store.file("kept", "as it was");
    let out = text(&file);
    server
        .run(&["topic", "export", "t", "nowhere", "--out", out])
        .fails(1, "no topic nowhere");
    assert_eq!(fs::read_to_string(&file).unwrap(), "as it was");
    server.run(&["topic", "export", "t", "--out", out]).ok();
    assert_eq!(fs::read_to_string(&file).unwrap().lines().count(), 3);
    let left = fs::read_dir(file.parent().unwrap()).unwrap();
    let left: Vec<_> = left.map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, ["kept"]);
}

#[test]
fn an_import_goes_on_after_kill_9_and_stores_each_message_once() {
    let (first, store) = (store(), store());
    let source = first.serve();
    source
        .feed(&["publish", "numbers", "--lines"], seq(3_000).as_bytes())
        .ok();
    let export = source.run(&["topic", "export", "numbers"]).ok();
    let server = store.serve();
    let address = server.address().to_owned();
    let (mut import, mut input) = Running::piped(server.command(&["topic", "import", "--retry"]));
    let half = export.len() / 2;
    input.write_all(&export.as_bytes()[..half]).unwrap();
    let published = || {
        let ran = server.run(&["--json", "topic", "info", "numbers"]);
        let info: Option<Value> = serde_json::from_str(&ran.out).ok();
        info.and_then(|info| info["published"].as_u64())
            .unwrap_or(0)
    };
    while published() < 500 {}
    server.kill();
    let server = store.serve_at(&address);
    input.write_all(&export.as_bytes()[half..]).unwrap();
    drop(input);
    import.says("imported 3,000 messages");
    assert!(import.wait().success());
    // All of them, in order, each once.
    let stored = messages(&server, "numbers");
    let numbers = stored
        .iter()
        .map(|message| message["payload_text"].as_str());
    let numbers: Vec<_> = numbers.map(|number| number.unwrap().to_owned()).collect();
    let expected: Vec<_> = seq(3_000).lines().map(str::to_owned).collect();
    let first = numbers
        .iter()
        .zip(&expected)
        .position(|(is, was)| is != was);
    assert!(
        numbers == expected,
        "{} messages; the first that differs is number {first:?}; they begin with {:?}",
        numbers.len(),
        numbers.first()
    );
}

#[test]
fn ctrl_c_ends_an_import_and_says_how_to_go_on() {
    let server = setup();
    let (mut import, mut input) = Running::piped(server.command(&["topic", "import"]));
    let head = r#"{"trunkline":"topic","version":1,"topic":"t"}"#;
    input.write_all(format!("{head}\n").as_bytes()).unwrap();
    while server.run(&["topic", "info", "t"]).code != Some(0) {}
    import.signal(Signal::INT);
    import.says("go on later with --skip 0");
    assert_eq!(import.wait().code(), Some(1));
}
