//! `publish` and `consume` over STOMP.

use crate::setup::{Ran, Running, Server, Store, run, seq, setup, store, text, trunkline};
use serde_json::{Value, json};
use std::{io::BufRead, process::Command};

const MESSAGES: u64 = 3_000;

impl Server {
    fn stomp(&self, args: &[&str]) -> Command {
        let url = format!("stomp://{}", self.stomp_address());
        let mut command = trunkline(&["--url", &url]);
        command.args(args);
        command
    }

    fn run_stomp(&self, args: &[&str]) -> Ran {
        run(self.stomp(args), b"")
    }

    fn topic(&self, name: &str) -> Value {
        self.run(&["--json", "topic", "info", name]).objects()[0].take()
    }
}

/// A server whose STOMP port is known before it starts.
fn serve_at(store: &Store, address: &str) -> Server {
    let data = store.path();
    let data = text(&data);
    Server::start(&["--http", "127.0.0.1:0", "--stomp", address, "--data", data])
}

/// One that nobody else is given while the server is down.
fn free_address() -> String {
    let [port] = trunkline_test_servers::ports();
    format!("127.0.0.1:{port}")
}

#[test]
fn lines_go_in_and_come_out_in_order() {
    let server = setup();
    let input = seq(MESSAGES);
    let published = run(server.stomp(&["publish", "t", "--lines"]), input.as_bytes());
    assert!(
        published.err.starts_with("confirmed 3000 of 3000 in "),
        "{published:?}"
    );
    assert_eq!(published.ok(), "");
    let count = MESSAGES.to_string();
    let consume = ["consume", "t", "-s", "queue", "--count", &count];
    assert_eq!(server.run_stomp(&consume).ok(), input);
    assert_eq!(server.topic("t")["messages"], 0);
}

#[test]
fn subscriptions_are_those_of_the_other_wire() {
    let server = setup();
    server.run(&["subscription", "add", "t", "mail"]).ok();
    server.run_stomp(&["publish", "t", "one", "two"]).ok();
    let consume = ["consume", "t", "-s", "mail", "--count", "2"];
    assert_eq!(server.run_stomp(&consume).ok(), "one\ntwo\n");
    let consume = ["consume", "t", "-s", "queue", "--count", "2"];
    assert_eq!(server.run(&consume).ok(), "one\ntwo\n");
}

#[test]
fn options_are_headers_and_json_tells_them() {
    let server = setup();
    server
        .run(&["topic", "add", "t", "--option", "priorities=10"])
        .ok();
    let publish = ["publish", "t", "--json-payload"];
    for more in [
        &["{\"id\":7}", "--priority", "7", "--header", "a=b:c"][..],
        &[
            "[1]",
            "--priority",
            "2",
            "--key",
            "k",
            "--group",
            "g",
            "--ttl",
            "1h",
        ],
    ] {
        let published = server.run_stomp(&[&["--json"], &publish[..], more].concat());
        let told = &published.objects()[0];
        let members = ["topic", "destination", "confirmed", "sent"].map(|name| &told[name]);
        assert_eq!(
            members,
            [&json!("t"), &json!("/queue/t"), &json!(1), &json!(1)]
        );
    }
    let consume = ["--json", "consume", "t", "-s", "queue", "--count", "2"];
    let mut taken = server.run_stomp(&consume).objects();
    for message in &mut taken {
        assert!(message["id"].take().is_string());
    }
    let expected = [
        json!({
            "id": null, "destination": "/queue/t", "key": "k", "group": "g", "payload": [1],
            "content_type": "application/json", "attempt": 1, "redelivered": false,
            "headers": {"priority": "7", "ttl": "3600000"},
        }),
        json!({
            "id": null, "destination": "/queue/t", "payload": {"id": 7},
            "content_type": "application/json", "attempt": 1, "redelivered": false,
            "headers": {"priority": "2", "a": "b:c"},
        }),
    ];
    assert_eq!(taken, expected);
}

#[test]
fn a_program_settles_each_message() {
    let server = setup();
    server.run_stomp(&["publish", "t", "bad", "good"]).ok();
    let script =
        "read line; echo $TRUNKLINE_ATTEMPT $line; test $line = good -o $TRUNKLINE_ATTEMPT = 2";
    let exec = ["--count", "2", "--exec", "sh", "-c", script];
    let consume = ["consume", "t", "-s", "queue"];
    let ran = server.run_stomp(&[&consume[..], &exec].concat());
    assert!(ran.err.contains("goes back"), "{ran:?}");
    assert_eq!(ran.ok(), "1 bad\n1 good\n2 bad\n");
    assert_eq!(server.topic("t")["messages"], 0);
}

#[test]
fn a_count_takes_no_more_than_that() {
    let server = setup();
    server
        .run_stomp(&["publish", "t", "1", "2", "3", "4", "5"])
        .ok();
    let consume = |more: &[&str]| {
        let consume = ["--json", "consume", "t", "-s", "queue"];
        let taken = server.run_stomp(&[&consume[..], more].concat()).objects();
        let short = |message: &Value| format!("{}/{}", message["payload_text"], message["attempt"]);
        taken.iter().map(short).collect::<Vec<_>>()
    };
    assert_eq!(consume(&["--no-ack", "--count", "1"]), ["\"1\"/1"]);
    let credit = ["--credit", "1", "--count", "3"];
    assert_eq!(consume(&credit), ["\"1\"/2", "\"2\"/1", "\"3\"/1"]);
    assert_eq!(server.topic("t")["messages"], 2);
    server
        .run_stomp(&[
            "consume",
            "t",
            "-s",
            "queue",
            "--count",
            "3",
            "--idle-timeout",
            "200ms",
        ])
        .fails(4, "2 of 3 messages, then none for 200ms");
    let idle = ["consume", "t", "-s", "queue", "--idle-timeout", "1ms"];
    assert_eq!(server.run_stomp(&idle).ok(), "");
}

#[test]
fn publishing_goes_on_after_kill_9_and_stores_nothing_twice() {
    let (store, address) = (store(), free_address());
    let server = serve_at(&store, &address);
    let publish = ["publish", "t", "--lines", "--retry"];
    let (mut publisher, mut stdin) = Running::piped(server.stomp(&publish));
    let (first, rest) = (seq(MESSAGES), seq(2 * MESSAGES));
    std::io::Write::write_all(&mut stdin, first.as_bytes()).unwrap();
    // Some are stored, and more are on their way.
    let consume = ["consume", "t", "-s", "other", "--count", "1"];
    server
        .run(&["subscription", "add", "t", "other", "--from", "all"])
        .ok();
    server.run(&consume).ok();
    server.kill();
    publisher.says("connecting again");
    let server = serve_at(&store, &address);
    std::io::Write::write_all(&mut stdin, &rest.as_bytes()[first.len()..]).unwrap();
    drop(stdin);
    publisher.says("confirmed 6000 of 6000");
    assert!(publisher.wait().success());

    let count = (2 * MESSAGES).to_string();
    let consume = ["consume", "t", "-s", "queue", "--count", &count];
    assert_eq!(server.run_stomp(&consume).ok(), rest);
    // All but the one that the other subscription has taken.
    assert_eq!(server.topic("t")["messages"], 2 * MESSAGES - 1);
}

#[test]
fn a_consumer_goes_on_after_kill_9_and_prints_nothing_twice() {
    let (store, address) = (store(), free_address());
    let server = serve_at(&store, &address);
    let input = seq(MESSAGES);
    let publish = ["publish", "t", "--lines"];
    run(server.stomp(&publish), input.as_bytes()).ok();
    let count = MESSAGES.to_string();
    let consume = ["consume", "t", "-s", "queue", "--retry", "--count", &count];
    let mut consumer = Running::start(server.stomp(&consume));
    // In the middle of printing and acknowledging.
    let mut printed = String::new();
    for _ in 0..10 {
        consumer.stdout.read_line(&mut printed).unwrap();
    }
    server.kill();
    let server = serve_at(&store, &address);
    let (more, status) = consumer.finish();
    let mut said = String::new();
    std::io::Read::read_to_string(&mut consumer.stderr, &mut said).unwrap();
    assert!(status.success(), "{status}: {said}");
    let mut all: Vec<u64> = (printed + &more)
        .lines()
        .map(|line| line.parse().unwrap())
        .collect();
    all.sort_unstable();
    assert!(all.into_iter().eq(1..=MESSAGES));
    assert_eq!(server.topic("t")["messages"], 0);
}

#[test]
fn without_retry_a_lost_server_is_a_failure() {
    let server = setup();
    let mut consumer = Running::start(server.stomp(&["consume", "t", "-s", "queue"]));
    server.run_stomp(&["publish", "t", "a"]).ok();
    let mut line = String::new();
    consumer.stdout.read_line(&mut line).unwrap();
    server.kill();
    consumer.says("Connection closed by remote host.");
    assert_eq!(consumer.wait().code(), Some(1));
}

#[test]
fn the_next_server_of_the_url_is_tried() {
    let server = setup();
    let url = format!("stomp://{},{}", free_address(), server.stomp_address());
    run(trunkline(&["--url", &url, "publish", "t", "a"]), b"").ok();
    assert_eq!(server.topic("t")["messages"], 1);
}

#[test]
fn what_a_server_refuses_is_a_failure_that_says_why() {
    let server = setup();
    server
        .run_stomp(&["publish", "/nowhere/t", "a"])
        .fails(1, "there are /queue/NAME");
    server
        .run_stomp(&["publish", "/nowhere/t", "a"])
        .fails(1, "confirmed 0 of 1");
}

#[test]
fn urls_that_make_no_sense_are_2_and_nobody_there_is_3_and_passcodes_are_not_shown() {
    let login = "me:secret";
    let nobody = free_address();
    let stomp = |options: &str| format!("stomp://{login}@{nobody}{options}");
    let publish = ["publish", "t", "a"];
    for (url, command, code, says) in [
        (stomp(""), &publish[..], 3, "Connection refused"),
        (stomp(""), &["topic", "ls"], 2, "publish, consume and bench"),
        (stomp(""), &["call", "m"], 2, "publish, consume and bench"),
        (
            stomp(""),
            &["consume", "t", "-s", "s", "--from", "all"],
            2,
            "subscription add",
        ),
        (stomp(""), &["publish", "a/b", "x"], 2, "a/b"),
        (
            stomp(""),
            &["publish", "t", "x", "--priority", "10"],
            2,
            "0 to 9",
        ),
        (stomp("?ca=secret"), &publish, 2, "stomp+ssl://"),
        (
            stomp("?retries=secret"),
            &publish,
            2,
            "no option \"retries\"",
        ),
        (stomp("?heartbeat=1"), &publish, 2, "heartbeat"),
        ("stomps://me:secret@a".to_owned(), &publish, 2, "stomp://"),
        ("stomp://me:secret@".to_owned(), &publish, 2, "no host"),
        (
            "stomp+ssl://me:secret@a?ca=/no/such/file".to_owned(),
            &publish,
            2,
            "/no/such/file",
        ),
    ] {
        let ran = run(trunkline(&[&["--url", &url], command].concat()), b"");
        assert!(!ran.err.contains("secret"), "{ran:?}");
        ran.fails(code, says);
    }
    let token = ["--url", "stomp://a", "--token", "t", "publish", "t", "a"];
    run(trunkline(&token), b"").fails(2, "stomp://LOGIN:PASSCODE@HOST");
}

#[test]
fn a_load_counts_all_it_was_asked_for_and_empties_its_queue() {
    let server = setup();
    for (args, counted, count, left) in [
        (
            &["publish", "--count", "501", "--connections", "3"][..],
            "message",
            501,
            true,
        ),
        (
            &["end-to-end", "--count", "700", "--connections", "2"],
            "message",
            700,
            true,
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
            false,
        ),
    ] {
        let ran = server.run_stomp(&[&["--json", "bench"], args].concat());
        assert_eq!(ran.err.contains("is left"), left, "{ran:?}");
        let result = &ran.objects()[0];
        let told = (&result["bench"], &result["counted"], &result["count"]);
        assert_eq!(told, (&json!(args[0]), &json!(counted), &json!(count)));
        let latency = &result["latency_us"];
        let [min, max] = ["min", "max"].map(|name| latency[name].as_f64().unwrap());
        assert!(0.0 < min && min <= max, "{result}");
    }
    for topic in server.run(&["--json", "topic", "ls"]).objects() {
        assert_eq!(topic["messages"], 0, "{topic}");
    }
    server
        .run_stomp(&["bench", "calls"])
        .fails(2, "ws://127.0.0.1:7400");
}

#[test]
fn another_broker_will_do() {
    let Some(broker) = trunkline_test_servers::RabbitMq::shared() else {
        return;
    };
    let address = broker.stomp();
    let run_with = |login: &str, args: &[&str], stdin: &[u8]| {
        let url = format!("stomp://{login}@{address}");
        run(trunkline(&[&["--url", &url], args].concat()), stdin)
    };
    let queue = "/queue/trunkline.command-line";
    let input = seq(200);
    let publish = ["publish", queue, "--lines", "--retry", "--header", "a=b"];
    let published = run_with("guest:guest", &publish, input.as_bytes());
    assert!(
        published.err.contains("confirmed 200 of 200"),
        "{published:?}"
    );
    let consume = ["consume", queue, "-s", "s", "--count"];
    let some = [&consume[..], &["150"]].concat();
    let first = run_with("guest:guest", &some, b"").ok();
    let rest = ["50", "--exec", "sh", "-c", "cat; echo"];
    let second = run_with("guest:guest", &[&consume[..], &rest].concat(), b"").ok();
    assert_eq!(first + &second, input);
    let none = ["consume", queue, "-s", "s", "--idle-timeout", "200ms"];
    assert_eq!(run_with("guest:guest", &none, b"").ok(), "");

    let refused = run_with("guest:secret", &["publish", queue, "x"], b"");
    assert!(!refused.err.contains("secret"), "{refused:?}");
    refused.fails(3, "Access refused");
}
