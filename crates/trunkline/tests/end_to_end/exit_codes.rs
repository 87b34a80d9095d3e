//! 0 done, 1 failed, 2 wrong usage or configuration, 3 can't connect, 4 timed out.

use crate::setup::{run, setup, trunkline};
use std::io::{BufRead, Write};

#[test]
fn wrong_usage_is_2() {
    for (args, says) in [
        (&["publsh"][..], "publish"),
        (&["consume", "t"], "--subscription"),
        (&["call", "m", "{"], "PARAMS is not JSON"),
        (&["call", "m", "1"], "write '[1]'"),
        (
            &["--url", "http://127.0.0.1:1", "topic", "ls"],
            "http:// is not spoken here",
        ),
        (
            &["--url", "wss://127.0.0.1:1", "topic", "ls"],
            "no TLS in this version",
        ),
        (
            &["--url", "ws://127.0.0.1:74000", "topic", "ls"],
            "is not a URL",
        ),
        (&["serve", "--http", "localhost:1"], "like 127.0.0.1:7400"),
        (
            &["serve", "--stomp", "none"],
            "like 127.0.0.1:61613, or off",
        ),
        (&["channel", "listen"], "--pattern"),
        (&["publish", "t", "a", "--lines"], "--lines reads stdin"),
        (&["journal", "verify", "/no/such/dir"], "/no/such/dir"),
        (&["demo", "--input", "/no/such/file"], "/no/such/file"),
    ] {
        run(trunkline(args), b"").fails(2, says);
    }
}

#[test]
fn nobody_there_is_3() {
    // A port that was free a moment ago; nothing of ours listens there.
    let port = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let url = format!("ws://127.0.0.1:{port}");
    for command in [
        &["topic", "ls"][..],
        &["publish", "t", "a"],
        &["consume", "t", "-s", "s"],
        &["call", "m"],
        &["bench", "calls"],
        &["channel", "listen", "c"],
        &["worker", "--handler", "h", "--method", "m", "--", "cat"],
    ] {
        let args = [&["--url", &url], command].concat();
        run(trunkline(&args), b"").fails(3, "trunkline serve");
    }
}

#[test]
fn what_answers_but_is_no_trunkline_is_3() {
    let server = setup();
    let url = server.url.replace("/rpc", "/healthz");
    run(trunkline(&["--url", &url, "topic", "ls"]), b"").fails(3, "not a WebSocket");
}

#[test]
fn a_server_that_is_not_ready_is_3_and_said_to_be() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("ws://{}", listener.local_addr().unwrap());
    let server = std::thread::spawn(move || {
        let (mut client, _) = listener.accept().unwrap();
        // The request has to be read, or closing would reset the connection.
        let mut request = std::io::BufReader::new(client.try_clone().unwrap()).lines();
        while request.next().is_some_and(|line| !line.unwrap().is_empty()) {}
        let answer = b"HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\n\r\n";
        client.write_all(answer).unwrap();
    });
    run(trunkline(&["--url", &url, "topic", "ls"]), b"").fails(3, "is not ready");
    server.join().unwrap();
}

#[test]
fn failures_are_1_and_time_outs_4() {
    let server = setup();
    server
        .run(&["call", "nobody.offers.this"])
        .fails(1, "-32601");
    server
        .run(&["topic", "info", "nothing"])
        .fails(1, "no topic nothing");
    server
        .run(&[
            "consume",
            "t",
            "-s",
            "s",
            "--count",
            "1",
            "--idle-timeout",
            "50ms",
        ])
        .fails(4, "0 of 1");
    let failed = server.run(&["--json", "topic", "info", "nothing"]);
    let error: serde_json::Value = serde_json::from_str(&failed.err).unwrap();
    assert_eq!(error["error"]["code"], -32009);
}

#[test]
fn what_the_server_refuses_is_told_once_and_not_retried() {
    let server = setup();
    let large = vec![b'x'; 2 << 20];
    for options in [&[][..], &["--retry"]] {
        let publish = [&["publish", "t"], options].concat();
        let refused = server.feed(&publish, &large);
        assert!(refused.err.starts_with("confirmed 0 of 1\n"), "{refused:?}");
        refused.fails(1, "limits.max_message_bytes");
    }
}

#[test]
fn input_that_is_wrong_is_told_with_its_place() {
    let server = setup();
    let publish = ["publish", "t", "--lines", "--json-payload"];
    let refused = server.feed(&publish, b"1\n{\n");
    assert!(!refused.err.contains("confirmed"), "{refused:?}");
    refused.fails(2, "message 2: the payload is not JSON");

    let mut command = server.command(&["publish", "t", "--lines"]);
    command.stdin(std::fs::File::open("/").unwrap());
    let refused = command.output().unwrap();
    let said = String::from_utf8(refused.stderr).unwrap();
    assert!(said.contains("can't read stdin"), "{said}");
    assert_eq!(refused.status.code(), Some(1));
}

#[test]
fn what_an_error_says_is_not_said_twice() {
    let refused = setup().run(&["topic", "info", "nothing"]);
    assert_eq!(refused.err, "trunkline: no topic nothing (-32009)\n");
}

#[test]
fn help_and_version_are_0() {
    assert!(run(trunkline(&["--help"]), b"").ok().contains("Exit codes"));
    assert!(
        run(trunkline(&["version"]), b"")
            .ok()
            .starts_with("trunkline ")
    );
    let commands = [
        "serve", "demo", "call", "worker", "publish", "consume", "channel", "topic",
    ];
    for command in commands
        .into_iter()
        .chain(["subscription", "config", "journal"])
    {
        run(trunkline(&[command, "--help"]), b"").ok();
    }
}
