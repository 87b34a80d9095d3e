use super::super::server::Server;
use bytes::BytesMut;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::TcpStream,
};
use trunkline_stomp::{Command, Decoder, FrameLimits, Version};

/// What a server sent.
pub(crate) type Frame = trunkline_stomp::Frame;

/// A client that sends bytes and sees frames.
pub(crate) struct StompClient<S = TcpStream> {
    pub(crate) stream: S,
    read: BytesMut,
    decoder: Decoder,
}

impl StompClient {
    /// A TCP connection, and nothing more.
    pub(crate) async fn dial(server: &Server) -> Self {
        Self::over(TcpStream::connect(server.stomp).await.unwrap())
    }

    /// One with a session of version 1.2.
    pub(crate) async fn connect(server: &Server) -> Self {
        let mut client = Self::dial(server).await;
        client.log_in().await;
        client
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> StompClient<S> {
    pub(crate) fn over(stream: S) -> Self {
        let mut decoder = Decoder::new(FrameLimits::default());
        decoder.set_version(Version::V1_2);
        Self {
            stream,
            read: BytesMut::new(),
            decoder,
        }
    }

    pub(crate) async fn log_in(&mut self) {
        let connected = self.ask("CONNECT\naccept-version:1.2\nhost:h\n\n\0").await;
        assert_eq!(connected.command, Command::Connected, "{connected:?}");
    }

    /// Sends text as it is.
    pub(crate) async fn send(&mut self, text: &str) {
        self.write(text.as_bytes()).await;
    }

    pub(crate) async fn write(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).await.unwrap();
        self.stream.flush().await.unwrap();
    }

    /// Sends text, and the next frame.
    pub(crate) async fn ask(&mut self, text: &str) -> Frame {
        self.send(text).await;
        self.frame().await
    }

    /// The next frame.
    pub(crate) async fn frame(&mut self) -> Frame {
        self.next().await.expect("the server closed")
    }

    /// The next frame; none if the server closed.
    pub(crate) async fn next(&mut self) -> Option<Frame> {
        loop {
            if let Some(frame) = self.decoder.decode(&mut self.read).unwrap() {
                return Some(frame);
            }
            if self.stream.read_buf(&mut self.read).await.unwrap_or(0) == 0 {
                return None;
            }
        }
    }

    /// The text of the ERROR that comes next, after which the server closes.
    pub(crate) async fn error(&mut self) -> String {
        let frame = self.frame().await;
        assert_eq!(frame.command, Command::Error, "{frame:?}");
        assert!(self.next().await.is_none(), "an ERROR is the last frame");
        String::from_utf8(frame.body.to_vec()).unwrap()
    }

    /// The `receipt-id` of the RECEIPT that comes next.
    pub(crate) async fn receipt(&mut self) -> String {
        let frame = self.frame().await;
        assert_eq!(frame.command, Command::Receipt, "{frame:?}");
        frame.get("receipt-id").unwrap().to_owned()
    }
}

/// The body as text.
pub(crate) fn body(frame: &Frame) -> &str {
    str::from_utf8(&frame.body).unwrap()
}

impl StompClient {
    /// Subscribes and waits until that is in effect.
    pub(crate) async fn subscribe(&mut self, id: &str, destination: &str, ack: &str) {
        self.send(&format!(
            "SUBSCRIBE\nid:{id}\ndestination:{destination}\nack:{ack}\nreceipt:sub-{id}\n\n\0"
        ))
        .await;
        assert_eq!(self.receipt().await, format!("sub-{id}"));
    }

    pub(crate) async fn message(&mut self) -> Frame {
        let frame = self.frame().await;
        assert_eq!(frame.command, Command::Message, "{frame:?}");
        frame
    }

    /// The bodies of the next messages.
    pub(crate) async fn bodies(&mut self, count: usize) -> Vec<String> {
        let mut bodies = Vec::new();
        for _ in 0..count {
            bodies.push(body(&self.message().await).to_owned());
        }
        bodies
    }

    /// That nothing but this RECEIPT comes.
    pub(crate) async fn nothing_but_receipt(&mut self, frame: &str, id: &str) {
        self.send(frame).await;
        assert_eq!(self.receipt().await, id);
    }

    pub(crate) async fn sends(&mut self, destination: &str, bodies: &[&str]) {
        for body in bodies {
            self.send(&format!("SEND\ndestination:{destination}\n\n{body}\0"))
                .await;
        }
        self.nothing_but_receipt(
            "BEGIN\ntransaction:sent\n\n\0ABORT\ntransaction:sent\nreceipt:sent\n\n\0",
            "sent",
        )
        .await;
    }
}
