//! How connections begin and end.

use super::{super::server, StompClient};
use server::{Server, on_free_ports, services};
use std::time::Duration;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use trunkline_engine_embedded::{Embedded, EmbeddedConfig};
use trunkline_gateway::{BindError, Doorstep, Drained, Gateway};
use trunkline_model::Span;
use trunkline_stomp::Command;

/// Lets the server's tasks run until `done`.
async fn until(done: impl Fn() -> bool) {
    while !done() {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

#[tokio::test]
async fn a_session_begins_with_connected_and_ends_with_the_receipt_of_disconnect() {
    let server = Server::start().await;
    let mut client = StompClient::dial(&server).await;
    let connected = client
        .ask("STOMP\naccept-version:1.0,1.1,1.2\nhost:any\nheart-beat:0,0\n\n\0")
        .await;
    assert_eq!(connected.command, Command::Connected);
    assert_eq!(connected.get("version"), Some("1.2"));
    assert_eq!(connected.get("server"), Some("trunkline/0.0.0"));
    assert_eq!(connected.get("heart-beat"), Some("0,0"));
    assert_eq!(server.counters.stomp_sessions.get(), 1);
    assert_eq!(server.counters.sessions.get(), 0);
    client.send("DISCONNECT\nreceipt:bye\n\n\0").await;
    assert_eq!(client.receipt().await, "bye");
    assert!(client.next().await.is_none());
    drop(client);
    until(|| server.counters.connections.get() == 0).await;
    assert_eq!(server.counters.stomp_sessions.get(), 0);
}

#[tokio::test]
async fn who_stops_writing_gets_the_receipts_it_waits_for() {
    let server = Server::start().await;
    let mut client = StompClient::dial(&server).await;
    let mut frames = "CONNECT\naccept-version:1.2\nhost:h\n\n\0".to_owned();
    for number in 0..500 {
        frames.push_str(&format!(
            "SEND\ndestination:/queue/q\nreceipt:{number}\n\nx\0"
        ));
    }
    client.send(&frames).await;
    client.stream.shutdown().await.unwrap();
    assert_eq!(client.frame().await.command, Command::Connected);
    for number in 0..500 {
        assert_eq!(client.receipt().await, number.to_string());
    }
    assert!(client.next().await.is_none());
}

#[tokio::test]
async fn an_error_arrives_although_much_was_sent_behind_it() {
    let server = Server::start().await;
    let mut client = StompClient::connect(&server).await;
    client.send("NONSENSE\nreceipt:7\n\n\0").await;
    // Unread bytes in a closed socket would reset the connection.
    let rest = vec![b'x'; 256 << 10];
    let _ = client.stream.write_all(&rest).await;
    let error = client.frame().await;
    assert_eq!(error.command, Command::Error);
    assert_eq!(error.get("receipt-id"), Some("7"));
    assert!(client.next().await.is_none());
    drop(client);
    until(|| server.counters.stomp_sessions.get() == 0).await;
    assert_eq!(server.counters.stomp_errors.get(), 1);
}

#[tokio::test]
async fn draining_answers_what_was_asked_and_says_goodbye() {
    let mut server = Server::start().await;
    let mut busy = StompClient::connect(&server).await;
    let mut idle = StompClient::connect(&server).await;
    let mut new = StompClient::dial(&server).await;
    until(|| server.counters.stomp_sessions.get() == 3).await;
    busy.send("SEND\ndestination:/queue/q\nreceipt:1\n\nx\0")
        .await;
    assert_eq!(busy.receipt().await, "1");
    server.stop();
    for client in [&mut busy, &mut idle, &mut new] {
        let error = client.error().await;
        assert_eq!(error, "the server is shutting down; connect again later");
    }
    drop((busy, idle, new));
    assert_eq!(server.stopped().await, Drained::Cleanly);
}

#[tokio::test]
async fn a_call_that_runs_is_answered_before_the_goodbye() {
    let mut server = Server::start().await;
    let mut worker = server.connect().await;
    worker
        .ask(r#"{"jsonrpc":"2.0","id":1,"method":"rpc.worker.register","params":{"handler":"h","methods":["m"]}}"#)
        .await;
    let mut caller = StompClient::connect(&server).await;
    caller
        .send("SEND\ndestination:/rpc/m\nreply-to:/temp-queue/r\ncorrelation-id:7\n\n[1]\0")
        .await;
    let call: serde_json::Value = serde_json::from_str(&worker.receive().await.unwrap()).unwrap();
    server.stop();
    let mut late = StompClient::dial(&server).await;
    // Whoever comes while it drains is turned away, whichever of the two sees it first.
    late.send("CONNECT\naccept-version:1.2\n\n\0").await;
    let answer = format!(r#"{{"jsonrpc":"2.0","id":{},"result":2}}"#, call["id"]);
    let refused = late.error().await;
    assert!(refused.contains("shutting down"), "{refused}");
    worker.send(&answer).await;
    let message = caller.frame().await;
    assert_eq!(message.command, Command::Message);
    assert_eq!(message.get("correlation-id"), Some("7"));
    assert_eq!(&message.body[..], b"2");
    let goodbye = caller.error().await;
    assert!(goodbye.contains("shutting down"), "{goodbye}");
    drop((worker, caller, late));
    assert_eq!(server.stopped().await, Drained::Cleanly);
}

#[tokio::test]
async fn a_server_that_is_starting_says_so() {
    let doorstep = Doorstep::bind(on_free_ports()).await.unwrap();
    let address = doorstep.stomp_addr().unwrap();
    let (recovered, recovery) = tokio::sync::oneshot::channel();
    let opening = tokio::spawn(doorstep.open("recovering the store", recovery));
    let mut early = StompClient::over(TcpStream::connect(address).await.unwrap());
    early.send("CONNECT\naccept-version:1.2\n\n\0").await;
    let error = early.frame().await;
    assert_eq!(
        error.body,
        "the server is starting: recovering the store; connect again in a moment"
    );
    // By which a client of a cluster knows that another node may do.
    assert_eq!(error.get("trunkline-code"), Some("-32008"));
    let engine = Embedded::open(EmbeddedConfig::memory()).unwrap();
    assert!(recovered.send(services(engine)).is_ok());
    let gateway = opening.await.unwrap().unwrap();
    let running = tokio::spawn(gateway.run(std::future::pending()));
    let mut client = StompClient::over(TcpStream::connect(address).await.unwrap());
    client.log_in().await;
    running.abort();
}

#[tokio::test]
async fn a_public_address_and_a_used_port_are_refused() {
    let engine = Embedded::open(EmbeddedConfig::memory()).unwrap();
    let bind = async |stomp: &str, insecure| {
        let mut config = on_free_ports();
        config.stomp.listen = stomp.parse().unwrap();
        config.insecure = insecure;
        Gateway::bind(config, services(engine.clone())).await
    };
    let error = bind("0.0.0.0:0", false).await.unwrap_err();
    assert!(matches!(error, BindError::Public(_)), "{error}");
    assert!(bind("0.0.0.0:0", true).await.is_ok());
    assert_eq!(bind("off", false).await.unwrap().stomp_addr(), None);
    let first = bind("127.0.0.1:0", false).await.unwrap();
    let address = first.stomp_addr().unwrap().to_string();
    let error = bind(&address, false).await.unwrap_err().to_string();
    assert!(
        error.contains(&address) && error.contains("--stomp"),
        "{error}"
    );
}

#[tokio::test]
async fn connections_beyond_the_bound_are_told_so() {
    let server = Server::start_with(|config| config.limits.max_connections = 1).await;
    let first = StompClient::connect(&server).await;
    let mut refused = Vec::new();
    let mut second = TcpStream::connect(server.stomp).await.unwrap();
    second.read_to_end(&mut refused).await.unwrap();
    let refused = String::from_utf8(refused).unwrap();
    assert!(
        refused.starts_with("ERROR\nmessage:too many connections\n"),
        "{refused}"
    );
    drop(first);
    until(|| server.counters.connections.get() == 0).await;
    StompClient::connect(&server).await;
}

#[tokio::test]
async fn who_wants_beats_gets_them() {
    let server = Server::start_with(|config| {
        config.stomp.heart_beat_send = Span(Duration::from_millis(5));
    })
    .await;
    let mut client = StompClient::dial(&server).await;
    let connected = client
        .ask("CONNECT\naccept-version:1.2\nheart-beat:0,10\n\n\0")
        .await;
    assert_eq!(connected.get("heart-beat"), Some("5,0"));
    let mut beats = [0; 3];
    client.stream.read_exact(&mut beats).await.unwrap();
    assert_eq!(&beats, b"\n\n\n");
}

/// Whoever sent more than could be acted on got no beats, and took the server for dead.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_sends_without_a_pause_gets_beats_too() {
    let server = Server::start_with(|config| {
        config.stomp.heart_beat_send = Span(Duration::from_millis(5));
    })
    .await;
    let mut client = StompClient::dial(&server).await;
    client
        .ask("CONNECT\naccept-version:1.2\nheart-beat:0,10\n\n\0")
        .await;
    let (mut reader, mut writer) = client.stream.into_split();
    let flood = "SEND\ndestination:/topic/t\n\nx\0".repeat(10_000);
    let flooding =
        tokio::spawn(async move { while writer.write_all(flood.as_bytes()).await.is_ok() {} });
    let mut beats = [0; 3];
    reader.read_exact(&mut beats).await.unwrap();
    assert_eq!(&beats, b"\n\n\n");
    flooding.abort();
}

#[tokio::test]
async fn who_promises_beats_and_is_silent_is_closed() {
    let server = Server::start_with(|config| {
        config.stomp.heart_beat_receive = Span(Duration::from_millis(20));
    })
    .await;
    let mut client = StompClient::dial(&server).await;
    let connected = client
        .ask("CONNECT\naccept-version:1.2\nheart-beat:10,0\n\n\0")
        .await;
    assert_eq!(connected.get("heart-beat"), Some("0,20"));
    let error = client.error().await;
    assert!(error.starts_with("nothing came for "), "{error}");
}
