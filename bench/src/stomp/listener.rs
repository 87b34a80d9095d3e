//! A connection that listens to a channel.

use anyhow::{Result, ensure};

use super::dialect::Dialect;
use super::socket::Socket;

/// One subscription of a `/topic/` without acks, which gets the same message over and over.
pub(crate) struct Listener {
    socket: Socket,
    /// How every message must end: its body, behind the blank line.
    tail: Vec<u8>,
}

impl Listener {
    /// Listens to `destination` for messages with this body.
    pub(crate) fn connect(
        authority: &str,
        dialect: &Dialect,
        destination: &str,
        body: &str,
    ) -> Result<Listener> {
        let mut socket = Socket::connect(authority, dialect)?;
        socket.subscribe(&format!("destination:{destination}\nack:auto\n"))?;
        Ok(Listener {
            socket,
            tail: format!("\n\n{body}").into_bytes(),
        })
    }

    /// Blocks until something arrives, and returns how many messages that completed.
    pub(crate) fn read(&mut self) -> Result<u64> {
        let mut messages = 0;
        self.socket.fill()?;
        while let Some((frame, _)) = self.socket.next_frame()? {
            ensure!(
                frame.starts_with(b"MESSAGE\n") && frame.ends_with(&self.tail),
                "not the message: {}",
                String::from_utf8_lossy(frame)
            );
            messages += 1;
        }
        Ok(messages)
    }
}
