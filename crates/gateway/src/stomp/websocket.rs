//! STOMP over WebSocket: a stream of bytes on one side, messages on the other.

use super::shell::{Transport, UNSENT_MAX};
use crate::session::Wire;
use bytes::{Buf, Bytes};
use futures_util::{Sink, Stream};
use memchr::memchr;
use std::{
    io,
    pin::Pin,
    task::{Context, Poll, Waker, ready},
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
};
use tokio_websockets::{CloseCode, Error, Limits, Message, ServerBuilder, WebSocketStream};
use trunkline_stomp::{FrameLimits, Version};

/// The names of sub-protocols, the best first, with the versions that they stand for.
const PROTOCOLS: [(&str, Version); 3] = [
    ("v12.stomp", Version::V1_2),
    ("v11.stomp", Version::V1_1),
    ("v10.stomp", Version::V1_0),
];
/// Room of a message beyond the largest body: headers, and further frames.
const BESIDE_BODY: usize = 1 << 20;

/// A client that offers only sub-protocols that nobody speaks here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no sub-protocol in common; offer v12.stomp, v11.stomp or v10.stomp, or none")]
pub(crate) struct NoProtocol;

/// The best of the sub-protocols that a client offers, which names the highest version that it
/// wants; none if it offers none.
pub(crate) fn choose<'a>(
    offered: impl Iterator<Item = &'a str>,
) -> Result<Option<(&'static str, Version)>, NoProtocol> {
    let mut offered = offered.peekable();
    if offered.peek().is_none() {
        return Ok(None);
    }
    let known = |name: &str| PROTOCOLS.into_iter().find(|known| known.0 == name);
    let best = offered.filter_map(known).max_by_key(|known| known.1);
    best.map(Some).ok_or(NoProtocol)
}

/// A WebSocket as a stream. What is written to it begins with a frame and ends with one; each
/// becomes a message, binary if it isn't UTF-8. Messages that come in may begin and end anywhere
/// in a frame.
pub(crate) struct StompWebSocket {
    socket: WebSocketStream<Wire<TcpStream>>,
    /// The rest of the last message.
    message: Bytes,
    /// Nothing more is said but what is said already.
    closed: bool,
    /// The end was reported. What still comes is no message, and only matters because a socket
    /// that is closed with unread bytes takes our last words with it.
    ended: bool,
}

impl StompWebSocket {
    pub(crate) fn new(stream: TcpStream, already_read: Bytes, frame: &FrameLimits) -> Self {
        let message_bytes_max = frame.body_bytes_max.saturating_add(BESIDE_BODY);
        let limits = Limits::default().max_payload_len(Some(message_bytes_max));
        let wire = Wire::new(stream, already_read, UNSENT_MAX);
        Self {
            socket: ServerBuilder::new().limits(limits).serve(wire),
            message: Bytes::new(),
            closed: false,
            ended: false,
        }
    }

    /// Waits for the next message; ready with `false` if none will come.
    fn poll_message(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<bool>> {
        while self.message.is_empty() {
            // What the library answers by itself leaves as soon as it can, and nothing is read
            // while too much of that waits.
            if let Poll::Ready(Err(error)) = self.socket.get_mut().poll_write_out(cx) {
                return Poll::Ready(Err(error));
            }
            if self.socket.get_mut().out().is_full() {
                return Poll::Pending;
            }
            match Pin::new(&mut self.socket).poll_next(cx) {
                Poll::Ready(Some(Ok(message))) => {
                    if message.is_text() || message.is_binary() {
                        self.message = message.into_payload().into();
                    }
                }
                Poll::Ready(Some(Err(Error::Io(error)))) => return Poll::Ready(Err(error)),
                Poll::Ready(Some(Err(Error::PayloadTooLong { .. }))) => {
                    let reason = "the message is larger than a frame may be";
                    self.close(CloseCode::MESSAGE_TOO_BIG, reason);
                    return Poll::Ready(Ok(false));
                }
                Poll::Ready(Some(Err(_)) | None) => {
                    // Of a fault the library has told the peer.
                    self.conclude();
                    return Poll::Ready(Ok(false));
                }
                Poll::Pending => {
                    // It may have answered a ping meanwhile.
                    return match self.socket.get_mut().poll_write_out(cx) {
                        Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
                        _ => Poll::Pending,
                    };
                }
            }
        }
        Poll::Ready(Ok(true))
    }

    /// Says the last word, unless it was said: what the library has said by itself stands.
    fn close(&mut self, code: CloseCode, reason: &str) {
        let close = Message::close(Some(code), reason);
        let _ = Pin::new(&mut self.socket).start_send(close);
        self.conclude();
    }

    /// Takes over what the library wants to say; nothing comes behind that.
    fn conclude(&mut self) {
        self.closed = true;
        let mut context = Context::from_waker(Waker::noop());
        // A wire takes everything at once.
        let _ = Pin::new(&mut self.socket).poll_flush(&mut context);
    }
}

impl AsyncRead for StompWebSocket {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.ended {
            return Pin::new(self.socket.get_mut()).poll_read(cx, buffer);
        }
        let before = buffer.filled().len();
        while buffer.remaining() > 0 {
            match self.poll_message(cx) {
                Poll::Ready(Ok(true)) => {
                    let count = buffer.remaining().min(self.message.len());
                    buffer.put_slice(&self.message[..count]);
                    self.message.advance(count);
                }
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending if buffer.filled().len() == before => return Poll::Pending,
                Poll::Ready(Ok(false)) | Poll::Pending => break,
            }
        }
        self.ended = buffer.filled().len() == before;
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for StompWebSocket {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let closed = self.closed;
        let wire = self.socket.get_mut();
        if wire.out().is_full() {
            ready!(wire.poll_write_out(cx))?;
        }
        if wire.out().is_full() {
            return Poll::Pending;
        }
        let mut rest = bytes;
        while !closed && !rest.is_empty() {
            let frame;
            (frame, rest) = rest.split_at(frame_length(rest));
            wire.out().message(frame);
        }
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let wire = self.socket.get_mut();
        while wire.has_pending() {
            ready!(wire.poll_write_out(cx))?;
        }
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if !self.closed {
            self.close(CloseCode::NORMAL_CLOSURE, "the STOMP session is over");
        }
        Pin::new(self.socket.get_mut()).poll_shutdown(cx)
    }
}

impl Transport for StompWebSocket {
    fn left(&mut self) -> u64 {
        self.socket.get_mut().out().left()
    }

    fn rest(&mut self) {
        self.socket.get_mut().out().rest();
    }
}

/// Length of the frame, or of the beats, at the front of what the session has written.
fn frame_length(bytes: &[u8]) -> usize {
    const CONTENT_LENGTH: &[u8] = b"content-length:";
    let beats = bytes.iter().take_while(|byte| **byte == b'\n').count();
    if beats > 0 {
        return beats;
    }
    let mut body_length = None;
    let mut at = 0;
    while let Some(length) = memchr(b'\n', &bytes[at..]) {
        let line = &bytes[at..at + length];
        at += length + 1;
        if line.is_empty() {
            let end = match body_length {
                Some(length) => at.saturating_add(length),
                None => at + memchr(0, &bytes[at..]).unwrap_or(bytes.len()),
            };
            return end.saturating_add(1).min(bytes.len());
        }
        if let Some(value) = line.strip_prefix(CONTENT_LENGTH) {
            let text = std::str::from_utf8(value).unwrap_or_default();
            body_length = text.parse::<usize>().ok();
        }
    }
    bytes.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_cut_into_its_frames() {
        let whole: Vec<&[u8]> = vec![
            b"CONNECTED\nversion:1.2\n\n\0",
            b"\n\n",
            b"MESSAGE\na:b\ncontent-length:5\n\na\0\n\nb\0",
            b"MESSAGE\ncontent-length:0\n\n\0",
            b"RECEIPT\nreceipt-id:1\n\n\0",
            b"\n",
            b"ERROR\ncontent-length:1\n\nx\0",
        ];
        let stream = whole.concat();
        let mut rest = &stream[..];
        for frame in whole {
            let found;
            (found, rest) = rest.split_at(frame_length(rest));
            assert_eq!(found, frame);
        }
        assert!(rest.is_empty());
    }

    #[test]
    fn the_highest_version_that_is_offered_is_chosen() {
        let chosen = |offered: &str| choose(offered.split_terminator(','));
        for (offered, name) in [
            ("v10.stomp,v12.stomp,v11.stomp", Some("v12.stomp")),
            ("mqtt,v11.stomp", Some("v11.stomp")),
            ("v10.stomp", Some("v10.stomp")),
            ("", None),
        ] {
            let found = chosen(offered).map(|found| found.map(|(name, _)| name));
            assert_eq!(found, Ok(name), "{offered}");
        }
        assert_eq!(chosen("mqtt"), Err(NoProtocol));
    }
}
