//! STOMP over `/stomp`.

use super::super::server::Server;
use futures_util::{SinkExt, StreamExt};
use http::{HeaderName, HeaderValue};
use std::time::Duration;
use tokio::net::TcpStream;
use tokio_websockets::{ClientBuilder, Message, WebSocketStream};
use trunkline_model::{ByteSize, Span};

const CONNECT: &str = "CONNECT\naccept-version:1.0,1.1,1.2\nhost:h\n\n\0";

/// A client that sees messages as they are, and the sub-protocol that the server chose.
async fn dial(server: &Server, protocols: &'static str) -> (Client, Option<String>) {
    let uri = format!("ws://{}/stomp", server.address);
    let mut builder = ClientBuilder::new().uri(&uri).unwrap();
    if !protocols.is_empty() {
        let name = HeaderName::from_static("sec-websocket-protocol");
        let value = HeaderValue::from_static(protocols);
        builder = builder.add_header(name, value).unwrap();
    }
    let stream = TcpStream::connect(server.address).await.unwrap();
    let (socket, response) = builder.connect_on(stream).await.unwrap();
    let chosen = response.headers().get("sec-websocket-protocol");
    let chosen = chosen.map(|value| value.to_str().unwrap().to_owned());
    (Client(socket), chosen)
}

async fn connect(server: &Server) -> Client {
    let (mut client, _) = dial(server, "v12.stomp").await;
    client.text(CONNECT).await;
    assert!(client.told().await.starts_with("CONNECTED\nversion:1.2\n"));
    client
}

struct Client(WebSocketStream<TcpStream>);

impl Client {
    async fn text(&mut self, text: &str) {
        self.0.send(Message::text(text.to_owned())).await.unwrap();
    }

    async fn binary(&mut self, bytes: &[u8]) {
        self.0.send(Message::binary(bytes.to_vec())).await.unwrap();
    }

    async fn message(&mut self) -> Message {
        self.0.next().await.unwrap().unwrap()
    }

    /// The next message, which is text.
    async fn told(&mut self) -> String {
        let message = self.message().await;
        message.as_text().expect("text").to_owned()
    }

    /// The close code.
    async fn closed(&mut self) -> u16 {
        let message = self.message().await;
        u16::from(message.as_close().expect("a close").0)
    }
}

#[tokio::test]
async fn the_sub_protocol_bounds_the_version() {
    let server = Server::start().await;
    for (offered, chosen, version) in [
        ("v10.stomp, v11.stomp, v12.stomp", Some("v12.stomp"), "1.2"),
        ("v11.stomp,mqtt", Some("v11.stomp"), "1.1"),
        ("v10.stomp", Some("v10.stomp"), "1.0"),
        ("", None, "1.2"),
    ] {
        let (mut client, protocol) = dial(&server, offered).await;
        assert_eq!(protocol.as_deref(), chosen, "{offered}");
        client.text(CONNECT).await;
        let connected = client.told().await;
        let begin = format!("CONNECTED\nversion:{version}\n");
        assert!(connected.starts_with(&begin), "{offered}: {connected}");
    }
    let upgrade = [
        "Connection: upgrade",
        "Upgrade: websocket",
        "Sec-WebSocket-Version: 13",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
        "Sec-WebSocket-Protocol: mqtt",
    ];
    let refused = server.http("GET /stomp", &upgrade, "").await;
    assert!(refused.starts_with("HTTP/1.1 400 "), "{refused}");
    assert!(refused.contains("offer v12.stomp"), "{refused}");
}

#[tokio::test]
async fn foreign_pages_may_not_connect() {
    let server = Server::start().await;
    for header in ["Origin: https://evil.example", "Host: evil.example"] {
        let refused = server.http("GET /stomp", &[header], "").await;
        assert!(refused.starts_with("HTTP/1.1 403 "), "{header}: {refused}");
    }
    let plain = server.http("GET /stomp", &[], "").await;
    assert!(plain.starts_with("HTTP/1.1 426 "), "{plain}");
}

#[tokio::test]
async fn requirement_07_frames_and_messages_need_not_agree() {
    let server = Server::start().await;
    let mut client = connect(&server).await;
    // Several frames in one message, one over several, text and binary.
    let send = |id: u32| format!("SEND\ndestination:/queue/q\nreceipt:{id}\n\nx\0");
    client
        .text(&[send(1), "\n".to_owned(), send(2)].concat())
        .await;
    let third = send(3);
    let (first, second) = third.split_at(20);
    client.text(first).await;
    client.binary(second.as_bytes()).await;
    for byte in send(4).bytes() {
        client.binary(&[byte]).await;
    }
    // Each frame that comes back is a message of its own.
    for id in 1..=4 {
        let receipt = format!("RECEIPT\nreceipt-id:{id}\n\n\0");
        assert_eq!(client.told().await, receipt);
    }
}

#[tokio::test]
async fn requirement_07_what_is_no_text_comes_as_a_binary_message() {
    let server = Server::start().await;
    let mut client = connect(&server).await;
    client
        .text("SUBSCRIBE\ndestination:/queue/q\nid:1\nreceipt:s\n\n\0")
        .await;
    assert!(client.told().await.starts_with("RECEIPT"));
    for (body, is_text) in [
        (&b"plain"[..], true),
        ("ä\n\n\0".as_bytes(), true),
        (b"\xff\0\n", false),
        (b"", true),
    ] {
        let head = format!(
            "SEND\ndestination:/queue/q\ncontent-length:{}\n\n",
            body.len()
        );
        client
            .binary(&[head.as_bytes(), body, b"\0"].concat())
            .await;
        let message = client.message().await;
        assert_eq!(message.is_text(), is_text, "{body:?}");
        let payload = message.as_payload();
        assert!(payload.starts_with(b"MESSAGE\n"));
        assert!(
            payload.ends_with(&[b"\n\n", body, b"\0"].concat()),
            "{body:?}"
        );
    }
}

#[tokio::test]
async fn requirement_07_a_disconnect_has_its_receipt_before_the_close() {
    let server = Server::start().await;
    let mut client = connect(&server).await;
    client.0.send(Message::ping("are you there")).await.unwrap();
    assert!(client.message().await.is_pong());
    client.text("DISCONNECT\nreceipt:bye\n\n\0").await;
    assert_eq!(client.told().await, "RECEIPT\nreceipt-id:bye\n\n\0");
    assert_eq!(client.closed().await, 1000);

    let mut client = connect(&server).await;
    client.text("NONSENSE\n\n\0").await;
    assert!(client.told().await.starts_with("ERROR\n"));
    assert_eq!(client.closed().await, 1000);
}

#[tokio::test]
async fn a_message_larger_than_a_frame_may_be_is_refused() {
    let server = Server::start_with(|config| {
        config.stomp.max_body_bytes = ByteSize(1000);
    })
    .await;
    let mut client = connect(&server).await;
    // Beats, as many as no message may have.
    client.text(&"\n".repeat((1 << 20) + 1001)).await;
    assert_eq!(client.closed().await, 1009);
}

#[tokio::test]
async fn beats_are_messages_too() {
    let server = Server::start_with(|config| {
        config.stomp.heart_beat_send = Span(Duration::from_millis(5));
    })
    .await;
    let (mut client, _) = dial(&server, "v12.stomp").await;
    client
        .text("CONNECT\naccept-version:1.2\nheart-beat:0,10\n\n\0")
        .await;
    assert!(client.told().await.starts_with("CONNECTED\n"));
    for _ in 0..3 {
        let beat = client.told().await;
        assert!(beat.bytes().all(|byte| byte == b'\n'), "{beat:?}");
    }
}

#[tokio::test]
async fn who_takes_nothing_is_cut_off_here_too() {
    let server = Server::start_with(|config| {
        config.stomp.write_timeout = Span(Duration::from_millis(100));
    })
    .await;
    let mut slow = connect(&server).await;
    slow.text(
        "SUBSCRIBE\nid:1\nack:client\ndestination:/queue/q\nprefetch-count:10000\nreceipt:s\n\n\0",
    )
    .await;
    assert!(slow.told().await.starts_with("RECEIPT"));
    let mut publisher = connect(&server).await;
    let body = "x".repeat(500_000);
    for id in 0..60 {
        publisher
            .text(&format!(
                "SEND\ndestination:/queue/q\nreceipt:{id}\n\n{body}\0"
            ))
            .await;
        assert!(publisher.told().await.starts_with("RECEIPT"));
    }
    while server.counters.stalled.get() == 0 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    // All of it is there for the next one.
    publisher
        .text("SUBSCRIBE\nid:1\ndestination:/queue/q\n\n\0")
        .await;
    for _ in 0..60 {
        let message = publisher.told().await;
        assert!(message.starts_with("MESSAGE\n") && message.len() > 500_000);
    }
}

#[tokio::test]
async fn draining_says_goodbye_over_websocket_too() {
    let mut server = Server::start().await;
    let mut client = connect(&server).await;
    server.stop();
    let error = client.told().await;
    assert!(
        error.starts_with("ERROR\nmessage:the server is shutting down\n"),
        "{error}"
    );
    assert_eq!(client.closed().await, 1000);
    drop(client);
    server.stopped().await;
}
