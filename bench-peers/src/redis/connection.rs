//! A client's connection to Redis.

use std::net::SocketAddr;

use anyhow::{Result, ensure};

use super::resp;
use crate::link::{Closer, Link};

/// Commands out in one write, replies in one read. Redis answers in the order of the commands.
pub struct Connection(Link);

impl Connection {
    /// Connects, without a password.
    ///
    /// # Errors
    /// If nobody listens there.
    pub fn open(address: SocketAddr) -> Result<Connection> {
        Ok(Connection(Link::connect(address)?))
    }

    /// Appends commands that are [encoded](resp::encode) to what the next flush writes.
    pub fn queue(&mut self, commands: &[u8]) {
        self.0.outgoing.extend_from_slice(commands);
    }

    /// Writes everything queued.
    ///
    /// # Errors
    /// If the connection is gone.
    pub fn flush(&mut self) -> Result<()> {
        self.0.flush()
    }

    /// Blocks until something has arrived.
    ///
    /// # Errors
    /// If the connection ends, or stays silent for a minute.
    pub fn fill(&mut self) -> Result<()> {
        self.0.fill()
    }

    /// The next reply that has arrived as a whole.
    ///
    /// # Errors
    /// If it is an error, or no RESP2.
    pub fn next_reply(&mut self) -> Result<Option<&[u8]>> {
        Ok(match resp::end_of_reply(self.0.arrived())? {
            Some(end) => Some(self.0.take(end).0),
            None => None,
        })
    }

    /// The next reply, which must be `expected` byte for byte: the cheapest way to check it.
    /// False if the rest of it is still under way.
    ///
    /// # Errors
    /// If something else comes.
    pub fn take_exact(&mut self, expected: &[u8]) -> Result<bool> {
        let arrived = self.0.arrived();
        if arrived.starts_with(expected) {
            self.0.take(expected.len());
            return Ok(true);
        }
        ensure!(
            expected.starts_with(arrived),
            "unexpected: {}",
            String::from_utf8_lossy(arrived)
        );
        Ok(false)
    }

    /// Blocks until the next reply has arrived.
    ///
    /// # Errors
    /// If it is an error, or never comes.
    pub fn reply(&mut self) -> Result<&[u8]> {
        let end = loop {
            if let Some(end) = resp::end_of_reply(self.0.arrived())? {
                break end;
            }
            self.fill()?;
        };
        Ok(self.0.take(end).0)
    }

    /// Sends one command and waits for its reply. For what is not measured.
    ///
    /// # Errors
    /// If the reply is an error, or never comes.
    pub fn ask(&mut self, words: &[&[u8]]) -> Result<Vec<u8>> {
        resp::encode(&mut self.0.outgoing, words);
        self.flush()?;
        self.reply().map(<[u8]>::to_vec)
    }

    /// Ends it from another thread.
    ///
    /// # Errors
    /// If the system has no handle for that.
    pub fn closer(&self) -> Result<Closer> {
        self.0.closer()
    }

    /// The server's version.
    ///
    /// # Errors
    /// If it can't be asked.
    pub fn version(&mut self) -> Result<String> {
        let info = self.ask(&[b"INFO", b"server"])?;
        let text = String::from_utf8_lossy(&info);
        let version = text
            .lines()
            .find_map(|line| line.strip_prefix("redis_version:"));
        Ok(version.unwrap_or("unknown").to_owned())
    }
}
