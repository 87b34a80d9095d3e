//! A client's connection to NATS.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Result, bail};

use super::protocol::{self, Message, Operation};
use crate::link::{Closer, Link};

/// No echo of every operation; errors come all the same.
const CONNECT: &[u8] = b"CONNECT {\"verbose\":false,\"pedantic\":false}\r\n";

/// Operations out in one write, messages in one read.
pub struct Connection {
    link: Link,
    /// What the server said of itself.
    info: String,
    /// Subscriptions so far: the last one's id.
    subscriptions: u32,
}

/// A message that has arrived.
pub struct Delivery<'a> {
    /// What it was published to.
    pub subject: &'a [u8],
    /// Where its answer belongs; empty if none is wanted.
    pub reply_to: &'a [u8],
    /// What it says.
    pub payload: &'a [u8],
    /// What the next flush writes: for the answer.
    pub outgoing: &'a mut Vec<u8>,
}

impl Connection {
    /// Connects, without a password.
    ///
    /// # Errors
    /// If nobody listens there who speaks NATS.
    pub fn open(address: SocketAddr) -> Result<Connection> {
        Connection::over(Link::connect(address)?)
    }

    /// The same, with a connection that gives up when nothing comes for `silence`.
    ///
    /// # Errors
    /// As [`open`](Connection::open).
    pub fn open_within(address: SocketAddr, silence: Duration) -> Result<Connection> {
        Connection::over(Link::connect_within(address, silence)?)
    }

    fn over(link: Link) -> Result<Connection> {
        let mut connection = Connection {
            link,
            info: String::new(),
            subscriptions: 0,
        };
        connection.queue(CONNECT);
        connection.sync()?;
        Ok(connection)
    }

    /// Gets all messages of `subject`, which may hold wildcards, from now on.
    ///
    /// # Errors
    /// If the server refuses.
    pub fn subscribe(&mut self, subject: &str) -> Result<()> {
        self.subscriptions += 1;
        let id = self.subscriptions;
        self.queue(format!("SUB {subject} {id}\r\n").as_bytes());
        self.sync()
    }

    /// Appends operations to what the next flush writes.
    pub fn queue(&mut self, operations: &[u8]) {
        self.link.outgoing.extend_from_slice(operations);
    }

    /// Writes everything queued.
    ///
    /// # Errors
    /// If the connection is gone.
    pub fn flush(&mut self) -> Result<()> {
        self.link.flush()
    }

    /// Blocks until something has arrived.
    ///
    /// # Errors
    /// If the connection ends, or stays silent for a minute.
    pub fn fill(&mut self) -> Result<()> {
        self.link.fill()
    }

    /// The next message that has arrived as a whole. Pings are answered with the next flush.
    ///
    /// # Errors
    /// If the server reports an error, or what it says isn't NATS.
    pub fn next_delivery(&mut self) -> Result<Option<Delivery<'_>>> {
        let Some((message, end)) = self.next_message()? else {
            return Ok(None);
        };
        let (bytes, outgoing) = self.link.take(end);
        Ok(Some(Delivery {
            subject: &bytes[message.subject],
            reply_to: &bytes[message.reply_to],
            payload: &bytes[message.payload],
            outgoing,
        }))
    }

    /// The server's version.
    #[must_use]
    pub fn version(&self) -> &str {
        const NAME: &str = "\"version\":\"";
        let version = self.info.split_once(NAME);
        version.map_or("unknown", |(_, rest)| {
            rest.split('"').next().unwrap_or_default()
        })
    }

    /// Sends one request to `subject` and waits for its answer. For what is not measured, and
    /// for a connection without subscriptions.
    ///
    /// # Errors
    /// If the answer never comes.
    pub fn ask(&mut self, subject: &str, payload: &str) -> Result<String> {
        const INBOX: &str = "_INBOX.ask";
        self.subscribe(INBOX)?;
        let outgoing = &mut self.link.outgoing;
        protocol::publish(
            outgoing,
            subject.as_bytes(),
            INBOX.as_bytes(),
            payload.as_bytes(),
        );
        outgoing.extend_from_slice(format!("UNSUB {} 1\r\n", self.subscriptions).as_bytes());
        self.flush()?;
        loop {
            if let Some(delivery) = self.next_delivery()? {
                return Ok(String::from_utf8_lossy(delivery.payload).into_owned());
            }
            self.fill()?;
        }
    }

    /// A handle that ends the connection from another thread.
    ///
    /// # Errors
    /// If the system has no file descriptor left.
    pub fn closer(&self) -> Result<Closer> {
        self.link.closer()
    }

    /// Where the next message is and ends, when all before it has been dealt with.
    fn next_message(&mut self) -> Result<Option<(Message, usize)>> {
        while let Some((operation, end)) = protocol::decode(self.link.arrived())? {
            match operation {
                Operation::Message(message) => return Ok(Some((message, end))),
                Operation::Ping => self.link.outgoing.extend_from_slice(b"PONG\r\n"),
                Operation::Info(_) | Operation::Pong | Operation::Ok => {}
            }
            self.link.take(end);
        }
        Ok(None)
    }

    /// Waits until the server has done everything that was queued.
    fn sync(&mut self) -> Result<()> {
        self.queue(b"PING\r\n");
        self.flush()?;
        loop {
            self.fill()?;
            while let Some((operation, end)) = protocol::decode(self.link.arrived())? {
                let (bytes, outgoing) = self.link.take(end);
                match operation {
                    Operation::Info(info) => {
                        self.info = String::from_utf8_lossy(&bytes[info]).into_owned();
                    }
                    Operation::Ping => outgoing.extend_from_slice(b"PONG\r\n"),
                    Operation::Pong => return Ok(()),
                    Operation::Ok => {}
                    Operation::Message(_) => bail!("a message that nobody asked for"),
                }
            }
        }
    }
}
