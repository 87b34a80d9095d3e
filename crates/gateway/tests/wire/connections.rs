use super::server::Server;
use std::time::Duration;
use trunkline_gateway::SlowListener;
use trunkline_model::{ByteSize, Span};

const LIST: &str = r#"{"jsonrpc":"2.0","id":1,"method":"rpc.topic.list"}"#;

fn millis(millis: u64) -> Span {
    Span(Duration::from_millis(millis))
}

/// Lets the server's tasks run until `done`.
async fn until(done: impl Fn() -> bool) {
    while !done() {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

#[tokio::test]
async fn many_answers_share_a_connection_in_order_of_completion() {
    let server = Server::start().await;
    let mut client = server.connect().await;
    for id in 0..5_000 {
        let request = format!(
            r#"{{"jsonrpc":"2.0","id":{id},"method":"rpc.channel.publish","params":{{"channel":"c","payload":{id}}}}}"#
        );
        client.feed(request).await.unwrap();
    }
    client.flush().await.unwrap();
    for id in 0..5_000 {
        let expected = format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{{"receivers":0}}}}"#);
        assert_eq!(client.receive().await.as_deref(), Ok(expected.as_str()));
    }
}

#[tokio::test]
async fn a_client_that_stops_reading_is_disconnected_and_nobody_else_notices() {
    let server = Server::start_with(|config| {
        config.limits.outgoing_bytes_max = ByteSize(64 << 10);
        config.stall_timeout = millis(100);
    })
    .await;
    let mut slow = server.connect().await;
    let mut other = server.connect().await;
    // Answers are much larger than their questions, and nobody reads them: the server stops
    // reading, and in the end the client can't write any more.
    let large = "x".repeat(32 << 10);
    let request = format!(
        r#"{{"jsonrpc":"2.0","id":1,"method":"rpc.topic.publish","params":{{"topic":"t","messages":[{{"payload_text":"{large}"}}]}}}}"#
    );
    let peek = r#"{"jsonrpc":"2.0","id":2,"method":"rpc.topic.peek","params":{"topic":"t"}}"#;
    slow.ask(&request).await;
    let flood = async {
        loop {
            if slow.feed(peek.to_owned()).await.is_err() || slow.flush().await.is_err() {
                return;
            }
        }
    };
    let others = async {
        until(|| server.counters.stalled.get() == 1).await;
    };
    tokio::join!(flood, others);
    assert!(other.ask(LIST).await.contains("\"topic\":\"t\""));
    until(|| server.counters.sessions.get() == 1).await;
}

#[tokio::test]
async fn deliveries_wait_for_a_client_that_reads_slowly() {
    let server = Server::start_with(|config| {
        config.limits.outgoing_bytes_max = ByteSize(64 << 10);
        config.limits.delivery_window_bytes = ByteSize(64 << 10);
    })
    .await;
    let mut publisher = server.connect().await;
    let mut slow = server.connect().await;
    slow.ask(r#"{"jsonrpc":"2.0","id":1,"method":"rpc.topic.consume","params":{"topic":"t","subscription":"s","credit":1000000}}"#)
        .await;
    let text = "x".repeat(10_000);
    const COUNT: usize = 2_000;
    for id in 0..COUNT {
        let request = format!(
            r#"{{"jsonrpc":"2.0","id":{id},"method":"rpc.topic.publish","params":{{"topic":"t","messages":[{{"payload_text":"{text}"}}]}}}}"#
        );
        assert!(publisher.ask(&request).await.contains("ids"));
    }
    let mut tags = 0;
    while tags < COUNT {
        let frame = slow.receive().await.unwrap();
        assert!(frame.len() <= 1 << 20);
        let frame: serde_json::Value = serde_json::from_str(&frame).unwrap();
        for delivery in frame["params"]["deliveries"].as_array().unwrap() {
            tags += 1;
            assert_eq!(delivery["tag"], tags);
        }
    }
}

/// A listener that is not read from, and a flood for it; then it reads.
async fn flood_listener(server: &Server) -> super::server::Client {
    let mut slow = server.connect().await;
    slow.ask(
        r#"{"jsonrpc":"2.0","id":1,"method":"rpc.channel.subscribe","params":{"channels":["c"]}}"#,
    )
    .await;
    let mut publisher = server.connect().await;
    let text = "x".repeat(100_000);
    for id in 0..400 {
        let request = format!(
            r#"{{"jsonrpc":"2.0","id":{id},"method":"rpc.channel.publish","params":{{"channel":"c","payload_text":"{text}"}}}}"#
        );
        assert!(publisher.ask(&request).await.contains("receivers"));
    }
    slow
}

#[tokio::test]
async fn a_slow_listener_is_told_how_much_it_missed() {
    let server = Server::start_with(|config| {
        config.limits.outgoing_bytes_max = ByteSize(64 << 10);
        config.limits.listener_bytes_max = ByteSize(1 << 20);
    })
    .await;
    let mut slow = flood_listener(&server).await;
    let (mut messages, mut dropped) = (0, 0);
    while messages + dropped < 400 {
        let frame = slow.receive().await.unwrap();
        let frame: serde_json::Value = serde_json::from_str(&frame).unwrap();
        match frame["method"].as_str().unwrap() {
            "rpc.channel.message" => messages += 1,
            "rpc.channel.status" => dropped += frame["params"]["dropped"].as_u64().unwrap(),
            other => panic!("{other}"),
        }
    }
    assert!(messages > 0 && dropped > 0, "{messages} {dropped}");
    assert_eq!(server.counters.dropped.get(), dropped);
}

#[tokio::test]
async fn a_slow_listener_is_disconnected_where_that_is_configured() {
    let server = Server::start_with(|config| {
        config.limits.outgoing_bytes_max = ByteSize(64 << 10);
        config.limits.listener_bytes_max = ByteSize(1 << 20);
        config.slow_listener = SlowListener::Disconnect;
    })
    .await;
    let mut slow = flood_listener(&server).await;
    assert_eq!(slow.closed().await, 1008);
}

#[tokio::test]
async fn the_server_describes_itself() {
    let server = Server::start().await;
    let mut client = server.connect().await;
    let info = client
        .ask(r#"{"jsonrpc":"2.0","id":1,"method":"rpc.info"}"#)
        .await;
    let info: serde_json::Value = serde_json::from_str(&info).unwrap();
    let info = &info["result"];
    assert_eq!(info["version"], "0.0.0");
    assert_eq!(info["protocol"], 1);
    assert_eq!(info["engine"], "memory:");
    assert!(info["durability"].is_string() && info["capabilities"].is_object());
    for (limit, value) in [
        ("max_message_bytes", 1 << 20),
        ("max_payload_bytes", 16 << 20),
        ("max_batch", 1_000),
        ("max_credit", 1_000_000),
    ] {
        assert_eq!(info["limits"][limit], value, "{limit}");
    }
    let calls = &info["calls"];
    assert_eq!(
        (&calls["calls"], &calls["outstanding"]),
        (&0.into(), &0.into())
    );
    assert_eq!(calls["wires"], serde_json::json!({}));
    client
        .ask(r#"{"jsonrpc":"2.0","id":1,"method":"nobodys"}"#)
        .await;
    let info = client
        .ask(r#"{"jsonrpc":"2.0","id":1,"method":"rpc.info"}"#)
        .await;
    let info: serde_json::Value = serde_json::from_str(&info).unwrap();
    let calls = &info["result"]["calls"];
    assert_eq!(
        (&calls["calls"], &calls["not_offered"]),
        (&1.into(), &1.into())
    );
}

#[tokio::test]
async fn a_silent_client_is_pinged_and_an_answering_one_stays() {
    let server = Server::start_with(|config| {
        config.ping_interval = millis(20);
        config.pong_timeout = millis(40);
    })
    .await;
    // It reads, and so its library answers pings.
    let mut alive = server.connect().await;
    // It is connected and says nothing, not even pong.
    let dead = server.connect().await;
    let reading = tokio::spawn(async move {
        let closed = alive.receive().await;
        (alive, closed)
    });
    until(|| server.counters.silent.get() == 1).await;
    until(|| server.counters.sessions.get() == 1).await;
    assert!(!reading.is_finished());
    drop(dead);
}

#[tokio::test]
async fn calls_of_a_client_that_leaves_are_cancelled() {
    let server = Server::start().await;
    let mut worker = server.connect().await;
    worker
        .ask(r#"{"jsonrpc":"2.0","id":1,"method":"rpc.worker.register","params":{"handler":"h","methods":["m"]}}"#)
        .await;
    let mut caller = server.connect().await;
    caller
        .send(r#"{"jsonrpc":"2.0","id":1,"method":"m"}"#)
        .await;
    let request = worker.receive().await.unwrap();
    let request: serde_json::Value = serde_json::from_str(&request).unwrap();
    caller.close().await;
    let cancelled = format!(
        r#"{{"jsonrpc":"2.0","method":"rpc.cancel","params":{{"id":{}}}}}"#,
        request["id"]
    );
    assert_eq!(worker.receive().await, Ok(cancelled));
}

#[tokio::test]
async fn connections_beyond_the_bound_are_told_so() {
    let server = Server::start_with(|config| config.limits.max_connections = 1).await;
    let mut first = server.connect().await;
    let refused = server.http("GET /healthz", &[], "").await;
    assert!(refused.starts_with("HTTP/1.1 503 "), "{refused}");
    assert!(refused.contains("too many connections"), "{refused}");
    assert!(first.ask(LIST).await.contains("result"));
    first.close().await;
    until(|| server.counters.connections.get() == 0).await;
    assert!(server.connect().await.ask(LIST).await.contains("result"));
}

/// Ids of results, errors and progress among so many frames.
async fn sort_frames(client: &mut super::server::Client, answers: usize) -> [Vec<u64>; 3] {
    let [mut results, mut errors, mut progress] = [const { Vec::new() }; 3];
    while results.len() + errors.len() < answers {
        let frame: serde_json::Value =
            serde_json::from_str(&client.receive().await.unwrap()).unwrap();
        if frame["method"] == "rpc.progress" {
            progress.push(frame["params"]["id"].as_u64().unwrap());
        } else if frame["error"]["code"] == -32003 {
            assert_eq!(frame["error"]["data"]["limit"], 256 << 10, "{frame}");
            errors.push(frame["id"].as_u64().unwrap());
        } else {
            assert!(frame["result"].is_string(), "{frame}");
            results.push(frame["id"].as_u64().unwrap());
        }
    }
    [results, errors, progress]
}

#[tokio::test]
async fn answers_that_a_client_does_not_take_have_a_bound() {
    const CALLS: u64 = 300;
    let server = Server::start_with(|config| {
        config.limits.outgoing_bytes_max = ByteSize(64 << 10);
        config.limits.answer_bytes_max = ByteSize(256 << 10);
    })
    .await;
    let mut worker = server.connect().await;
    let mut slow = server.connect().await;
    worker.ask(&format!(r#"{{"jsonrpc":"2.0","id":1,"method":"rpc.worker.register","params":{{"handler":"h","methods":["m"],"concurrency":{CALLS}}}}}"#)).await;
    for id in 0..CALLS {
        slow.send(&format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"m"}}"#))
            .await;
    }
    let text = "x".repeat(100_000);
    let mut dispatches = Vec::new();
    for _ in 0..CALLS {
        let call: serde_json::Value =
            serde_json::from_str(&worker.receive().await.unwrap()).unwrap();
        dispatches.push(call["id"].as_u64().unwrap());
    }
    // What the operating system keeps for the socket is filled first, then ours.
    for dispatch in &dispatches {
        worker.send(&format!(r#"{{"jsonrpc":"2.0","method":"rpc.progress","params":{{"id":{dispatch},"value":"{text}"}}}}"#)).await;
    }
    for dispatch in &dispatches {
        worker
            .send(&format!(
                r#"{{"jsonrpc":"2.0","id":{dispatch},"result":"{text}"}}"#
            ))
            .await;
    }
    assert!(worker.ask(LIST).await.contains("result"));

    let [results, errors, progress] = sort_frames(&mut slow, CALLS as usize).await;
    assert!(!results.is_empty() && !errors.is_empty());
    assert!(progress.len() < CALLS as usize, "{}", progress.len());
    let mut all = [results, errors].concat();
    all.sort_unstable();
    assert_eq!(all, (0..CALLS).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_client_that_only_stops_writing_is_told_what_is_ready_and_has_left() {
    let server = Server::start().await;
    let mut half = server.connect().await;
    let consume = r#"{"jsonrpc":"2.0","id":1,"method":"rpc.topic.consume","params":{"topic":"t","subscription":"s"}}"#;
    assert!(half.ask(consume).await.contains("consumer"));
    for _ in 0..1_000 {
        half.feed(LIST.to_owned()).await.unwrap();
    }
    half.flush().await.unwrap();
    half.stop_writing().await;
    for _ in 0..1_000 {
        assert!(half.receive().await.unwrap().contains("result"));
    }
    assert_eq!(half.closed().await, 0);
    until(|| server.counters.sessions.get() == 0).await;

    // What it consumed goes to others.
    let mut other = server.connect().await;
    other.send(r#"{"jsonrpc":"2.0","method":"rpc.topic.publish","params":{"topic":"t","messages":[{"payload":1}]}}"#).await;
    assert!(other.ask(consume).await.contains("consumer"));
    assert!(other.receive().await.unwrap().contains("\"payload\":1"));
}
