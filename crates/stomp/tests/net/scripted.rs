//! A server that says what the test tells it to.

use std::future::Future;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;
use trunkline_stomp::{Client, ClientBuilder, Event, Events};

/// Longer than anything here takes.
const PATIENCE: Duration = Duration::from_secs(20);

/// What comes in time; otherwise the test fails.
pub(crate) async fn soon<T>(what: impl Future<Output = T>) -> T {
    timeout(PATIENCE, what).await.expect("it comes in time")
}

pub(crate) struct Server {
    listener: TcpListener,
}

/// The server's end of a connection.
pub(crate) struct Peer {
    stream: TcpStream,
    input: Vec<u8>,
}

impl Server {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        Self { listener }
    }

    /// One that was there before.
    pub(crate) async fn start_at(port: u16) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", port)).await.unwrap();
        Self { listener }
    }

    pub(crate) fn port(&self) -> u16 {
        self.listener.local_addr().unwrap().port()
    }

    pub(crate) fn client(&self) -> ClientBuilder {
        Client::builder("127.0.0.1", self.port())
    }

    pub(crate) async fn accept(&self) -> Peer {
        let (stream, _) = soon(self.listener.accept()).await.unwrap();
        Peer {
            stream,
            input: Vec::new(),
        }
    }

    /// Accepts, and lets the client in: session `s`, version 1.2.
    pub(crate) async fn welcome(&self) -> Peer {
        let mut peer = self.accept().await;
        peer.welcome("version:1.2\nsession:s\n").await;
        peer
    }

    /// Whether somebody has connected who was not accepted yet.
    pub(crate) async fn is_called(&self) -> bool {
        let none = Duration::from_millis(1);
        timeout(none, self.listener.accept()).await.is_ok()
    }
}

impl Peer {
    pub(crate) async fn welcome(&mut self, headers: &str) {
        let connect = self.frame().await;
        assert!(connect.starts_with("CONNECT\n"), "{connect}");
        self.send(&format!("CONNECTED\n{headers}\n\0")).await;
    }

    pub(crate) async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.stream.write_all(bytes.as_ref()).await.unwrap();
    }

    pub(crate) async fn receipt(&mut self, id: &str) {
        self.send(format!("RECEIPT\nreceipt-id:{id}\n\n\0")).await;
    }

    /// The next frame, which asks for a receipt and gets it.
    pub(crate) async fn grant(&mut self) -> String {
        let frame = self.frame().await;
        let receipt = header(&frame, "receipt").expect("it asks for one");
        self.receipt(receipt).await;
        frame
    }

    pub(crate) async fn message(&mut self, subscription: &str, id: &str, body: &str) {
        self.send(format!(
            "MESSAGE\nsubscription:{subscription}\nmessage-id:{id}\nack:a{id}\n\
             destination:/queue/a\n\n{body}\0"
        ))
        .await;
    }

    /// The next frame, up to its NUL, without beats.
    pub(crate) async fn frame(&mut self) -> String {
        loop {
            let beats = self.input.iter().take_while(|byte| **byte == b'\n').count();
            self.input.drain(..beats);
            if let Some(end) = self.input.iter().position(|byte| *byte == 0) {
                let frame = self.input.drain(..=end).take(end).collect();
                return String::from_utf8(frame).unwrap();
            }
            assert!(self.read().await > 0, "the connection ended instead");
        }
    }

    /// The next bytes, whatever they are.
    pub(crate) async fn bytes(&mut self) -> Vec<u8> {
        if self.input.is_empty() {
            self.read().await;
        }
        std::mem::take(&mut self.input)
    }

    async fn read(&mut self) -> usize {
        let read = soon(self.stream.read_buf(&mut self.input)).await;
        // A client that goes away with unread input resets.
        read.unwrap_or(0)
    }

    /// Waits for the client to close, and says what it sent before.
    pub(crate) async fn closed(mut self) -> String {
        while self.read().await > 0 {}
        String::from_utf8(self.input).unwrap()
    }
}

/// The value of a header in the text of a frame.
pub(crate) fn header<'a>(frame: &'a str, name: &str) -> Option<&'a str> {
    let lines = frame.lines().skip(1).take_while(|line| !line.is_empty());
    let mut found = lines.filter_map(|line| line.split_once(':'));
    found.find_map(|(found, value)| (found == name).then_some(value))
}

/// The next event, in short.
pub(crate) async fn told(events: &mut Events) -> String {
    match soon(events.next()).await {
        Some(Event::Connected) => "connect".into(),
        Some(Event::Ready { version, session }) => format!("ready {version} {session}"),
        Some(Event::Error(error)) => format!("error {} {error}", error.code.number()),
        Some(Event::SubscriptionLost { id, error, .. }) => {
            format!("lost {id}: {} {error}", error.code.number())
        }
        Some(Event::Disconnected) => "disconnect".into(),
        other => format!("{other:?}"),
    }
}
