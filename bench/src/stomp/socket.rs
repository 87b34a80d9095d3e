//! One blocking client connection.

use std::time::Instant;

use anyhow::{Result, bail, ensure};

use super::dialect::Dialect;
use super::scan;
use crate::net::Link;

/// The port of `stomp://`.
const PORT: u16 = 61_613;

/// A STOMP client: reads block, writes are gathered until [`flush`](Socket::flush).
pub(crate) struct Socket {
    link: Link,
    /// What the next flush writes.
    outgoing: Vec<u8>,
}

impl Socket {
    /// Connects to `authority`, which is `HOST[:PORT]`, and waits for CONNECTED.
    pub(crate) fn connect(authority: &str, dialect: &Dialect) -> Result<Socket> {
        Socket::connect_as(authority, &format!("host:/\n{}", dialect.connect))
    }

    /// The same, with these headers in CONNECT, each with the end of its line.
    pub(crate) fn connect_as(authority: &str, headers: &str) -> Result<Socket> {
        let mut socket = Socket {
            link: Link::connect(authority, PORT)?,
            outgoing: Vec::new(),
        };
        let connect = format!("CONNECT\naccept-version:1.2\n{headers}\n\0");
        let answer = socket.ask(connect.as_bytes())?;
        ensure!(
            answer.starts_with("CONNECTED\n"),
            "{authority} answered CONNECT with {answer}"
        );
        Ok(socket)
    }

    /// Appends frames as they stand.
    pub(crate) fn queue(&mut self, frames: &[u8]) {
        self.outgoing.extend_from_slice(frames);
    }

    /// Writes everything queued, in one `write` if the kernel takes it.
    pub(crate) fn flush(&mut self) -> Result<()> {
        self.link.write(&mut self.outgoing)
    }

    /// Blocks until something has arrived.
    pub(crate) fn fill(&mut self) -> Result<()> {
        self.link.fill()
    }

    /// Whether something arrives before `until`.
    pub(crate) fn arrives_by(&self, until: Instant) -> Result<bool> {
        self.link.arrives_by(until)
    }

    /// The next frame that has arrived, without its NUL, with room for what it makes the caller
    /// queue; `None` if the rest is still under way. An ERROR is an error.
    pub(crate) fn next_frame(&mut self) -> Result<Option<(&[u8], &mut Vec<u8>)>> {
        let Some((frame, taken)) = scan::frame(self.link.incoming.arrived()) else {
            return Ok(None);
        };
        if frame.starts_with(b"ERROR") {
            bail!("the server answered {}", String::from_utf8_lossy(frame));
        }
        let length = frame.len();
        let whole = self.link.incoming.take(taken);
        let frame = whole.end - 1 - length..whole.end - 1;
        Ok(Some((self.link.incoming.taken(frame), &mut self.outgoing)))
    }

    /// Sends one frame that is answered and waits for the answer. For what is not measured.
    pub(crate) fn ask(&mut self, frame: &[u8]) -> Result<String> {
        self.queue(frame);
        self.flush()?;
        loop {
            if let Some((answer, _)) = self.next_frame()? {
                return Ok(String::from_utf8_lossy(answer).into_owned());
            }
            self.fill()?;
        }
    }

    /// Subscribes with these headers, each with the end of its line, and waits for the RECEIPT.
    pub(crate) fn subscribe(&mut self, headers: &str) -> Result<()> {
        let answer =
            self.ask(format!("SUBSCRIBE\nid:0\nreceipt:start\n{headers}\n\0").as_bytes())?;
        ensure!(
            answer.starts_with("RECEIPT\n"),
            "SUBSCRIBE was answered with {answer}"
        );
        Ok(())
    }
}
