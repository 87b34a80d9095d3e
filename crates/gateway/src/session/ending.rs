//! How a session ends, and the last things it says.

use super::Wire;
use futures_util::Sink;
use std::{future::poll_fn, pin::Pin, time::Duration};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use tokio_websockets::{CloseCode, Error, Message, WebSocketStream};

/// How long the peer may take to read our last words and to close its side.
const PARTING_TIMEOUT: Duration = Duration::from_secs(2);

/// Why a session ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    /// The peer closed, or is gone.
    PeerLeft,
    /// It broke the protocol; the WebSocket library has said so already.
    Violation,
    /// We close, with a code and a reason (at most 123 bytes).
    Close(CloseCode, &'static str),
    /// It takes nothing: nothing can be said any more.
    Stalled,
}

impl Ending {
    /// What a failure of the WebSocket library means.
    pub(crate) fn of(error: &Error) -> Self {
        match error {
            Error::Io(_) | Error::AlreadyClosed => Self::PeerLeft,
            // For a message in fragments the library leaves the close to us; after its own close
            // this one is not sent.
            Error::PayloadTooLong { .. } => Self::Close(
                CloseCode::MESSAGE_TOO_BIG,
                "the message is larger than max_message_bytes",
            ),
            _ => Self::Violation,
        }
    }
}

/// Says what is left to say, and waits a moment for the peer to have read it.
pub(crate) async fn part(mut socket: WebSocketStream<Wire<TcpStream>>, ending: Ending) {
    if ending == Ending::Stalled {
        return;
    }
    if let Ending::Close(code, reason) = ending {
        // Fails if a close was sent already, which is as good.
        let _ = Pin::new(&mut socket).start_send(Message::close(Some(code), reason));
    }
    let parting = async {
        // Moves the library's frames into the outbox.
        poll_fn(|cx| Pin::new(&mut socket).poll_flush(cx))
            .await
            .ok();
        let mut wire = socket.into_inner();
        wire.shutdown().await.ok();
        // A socket that is closed with unread bytes resets the connection, and the peer might
        // lose our close frame.
        let mut rest = vec![0; 16 << 10];
        while matches!(wire.read(&mut rest).await, Ok(count) if count > 0) {}
    };
    let _ = tokio::time::timeout(PARTING_TIMEOUT, parting).await;
}
