//! One blocking client connection.

use std::ops::Range;
use std::time::Instant;

use anyhow::{Result, bail};

use super::frame::{self, Opcode};
use super::handshake;
use crate::net::{Closer, Link};

/// The port of `ws://`.
const PORT: u16 = 80;

/// A WebSocket client: reads block, writes are gathered until [`flush`](WebSocket::flush).
pub(crate) struct WebSocket {
    link: Link,
    outgoing: Outgoing,
}

/// The frames that leave with the next flush.
pub(crate) struct Outgoing {
    bytes: Vec<u8>,
    mask: u32,
}

impl WebSocket {
    /// Connects to `url`, which is `ws://HOST[:PORT][/PATH]`.
    pub(crate) fn connect(url: &str) -> Result<WebSocket> {
        WebSocket::connect_as(url, None)
    }

    /// The same, presenting a token.
    pub(crate) fn connect_as(url: &str, token: Option<&str>) -> Result<WebSocket> {
        let Some((authority, path)) = split_url(url) else {
            bail!("{url} is no ws:// URL, such as ws://127.0.0.1:7400/rpc");
        };
        let mut link = Link::connect(authority, PORT)?;
        let (stream, incoming) = (&mut link.stream, &mut link.incoming);
        handshake::request(stream, incoming, authority, path, token)?;
        Ok(WebSocket {
            link,
            outgoing: Outgoing {
                bytes: Vec::new(),
                mask: 0x9E37_79B9,
            },
        })
    }

    /// Appends a text frame.
    pub(crate) fn queue(&mut self, text: &[u8]) {
        self.outgoing.queue(text);
    }

    /// Appends a frame as it stands.
    pub(crate) fn queue_frame(&mut self, frame: &[u8]) {
        self.outgoing.queue_frame(frame);
    }

    /// Writes everything queued, in one `write` if the kernel takes it.
    pub(crate) fn flush(&mut self) -> Result<()> {
        self.link.write(&mut self.outgoing.bytes)
    }

    /// Blocks until something has arrived.
    pub(crate) fn fill(&mut self) -> Result<()> {
        self.link.fill()
    }

    /// Whether something arrives before `until`, that has not been read yet.
    pub(crate) fn arrives_by(&self, until: Instant) -> Result<bool> {
        self.link.arrives_by(until)
    }

    /// The next message that has arrived, with room for what it makes the caller queue; `None`
    /// if the rest is still under way. Pings are answered, a close is an error.
    pub(crate) fn next_text(&mut self) -> Result<Option<(&[u8], &mut Outgoing)>> {
        Ok(match self.take_text()? {
            Some(range) => Some((self.link.incoming.taken(range), &mut self.outgoing)),
            None => None,
        })
    }

    /// Takes the next frame if it is `frame`, byte for byte, and has arrived as a whole: the
    /// cheapest way to read a message that is known beforehand.
    pub(crate) fn take_exact(&mut self, frame: &[u8]) -> bool {
        self.link.incoming.take_exact(frame)
    }

    /// A second handle that ends the connection, and so whoever blocks on it.
    pub(crate) fn closer(&self) -> Result<Closer> {
        self.link.closer()
    }

    fn take_text(&mut self) -> Result<Option<Range<usize>>> {
        while let Some((opcode, range)) = frame::take(&mut self.link.incoming)? {
            match opcode {
                Opcode::Text => return Ok(Some(range)),
                Opcode::Pong => {}
                Opcode::Ping => {
                    let echo = self.link.incoming.taken(range);
                    self.outgoing.encode(Opcode::Pong, echo);
                }
                Opcode::Close => bail!(
                    "the server closed the connection: {}",
                    describe_close(self.link.incoming.taken(range))
                ),
            }
        }
        Ok(None)
    }
}

impl Outgoing {
    /// Appends a text frame.
    pub(crate) fn queue(&mut self, text: &[u8]) {
        self.encode(Opcode::Text, text);
    }

    /// Appends a frame as it stands.
    pub(crate) fn queue_frame(&mut self, frame: &[u8]) {
        self.bytes.extend_from_slice(frame);
    }

    fn encode(&mut self, opcode: Opcode, payload: &[u8]) {
        // A new key per frame as RFC 6455 §5.3 wants it; a Weyl sequence is random enough for a
        // peer that is no browser.
        self.mask = self.mask.wrapping_add(0x9E37_79B9);
        frame::encode(
            &mut self.bytes,
            opcode,
            payload,
            Some(self.mask.to_ne_bytes()),
        );
    }
}

/// `ws://HOST:PORT/PATH` → (`HOST:PORT`, `/PATH`).
fn split_url(url: &str) -> Option<(&str, &str)> {
    let rest = url.strip_prefix("ws://")?;
    let (authority, path) = match rest.find('/') {
        Some(slash) => rest.split_at(slash),
        None => (rest, "/rpc"),
    };
    (!authority.is_empty()).then_some((authority, path))
}

fn describe_close(payload: &[u8]) -> String {
    match payload.split_first_chunk::<2>() {
        None => "no code".to_owned(),
        Some((code, reason)) => format!(
            "code {} {}",
            u16::from_be_bytes(*code),
            String::from_utf8_lossy(reason)
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls() {
        assert_eq!(
            split_url("ws://127.0.0.1:7400/rpc"),
            Some(("127.0.0.1:7400", "/rpc"))
        );
        assert_eq!(split_url("ws://[::1]:80"), Some(("[::1]:80", "/rpc")));
        assert_eq!(split_url("ws://host/x?y"), Some(("host", "/x?y")));
        assert_eq!(split_url("ws:///rpc"), None);
        assert_eq!(split_url("http://127.0.0.1:7400/rpc"), None);
    }
}
