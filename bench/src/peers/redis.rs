//! What Redis does in our workloads: streams for topics, pub/sub for channels.

use std::collections::VecDeque;
use std::net::SocketAddr;

use anyhow::{Result, ensure};
use trunkline_bench_peers::redis::{Connection, bulks, encode};

use super::payload;
use crate::load::{Exchange, Slot};
use crate::measure::Measure;
use crate::workloads::{Context, end_to_end, fan_out, publish as publishing};

const STREAM: &[u8] = b"bench";
const GROUP: &[u8] = b"workers";
const CHANNEL: &[u8] = b"bench";

/// Entries that the consumer takes at once.
const COUNT: &[u8] = b"100";

/// `publishers` connections, one `XADD` for every message.
pub(crate) fn publish(
    context: &Context<'_>,
    address: SocketAddr,
    publishers: u32,
    window: u32,
) -> Result<Measure> {
    publishing::measure(context, stream_writers(address, publishers)?, window)
}

/// The same, and a consumer that reads as a group, acknowledges and deletes.
pub(crate) fn end_to_end(
    context: &Context<'_>,
    address: SocketAddr,
    publishers: u32,
    window: u32,
) -> Result<Measure> {
    let consumer = Consumer::start(address)?;
    let writers = stream_writers(address, publishers)?;
    end_to_end::measure(context, writers, consumer, window)
}

/// One `PUBLISH` for every message.
pub(super) fn fan_out(context: &Context<'_>, address: SocketAddr, window: u32) -> Result<Measure> {
    let listeners = (0..fan_out::LISTENERS)
        .map(|_| Listener::start(address))
        .collect::<Result<Vec<_>>>()?;
    let publisher = Pipeline::open(address, &[b"PUBLISH", CHANNEL, payload().as_bytes()])?;
    fan_out::measure(context, publisher, listeners, window)
}

fn stream_writers(address: SocketAddr, count: u32) -> Result<Vec<Pipeline>> {
    let payload = payload();
    let command: [&[u8]; 5] = [b"XADD", STREAM, b"*", b"p", payload.as_bytes()];
    (0..count)
        .map(|_| Pipeline::open(address, &command))
        .collect()
}

/// The same command over and over; replies come in the order of the commands.
pub(crate) struct Pipeline {
    connection: Connection,
    command: Vec<u8>,
    waiting: VecDeque<Slot>,
}

impl Pipeline {
    pub(crate) fn open(address: SocketAddr, words: &[&[u8]]) -> Result<Pipeline> {
        let mut command = Vec::new();
        encode(&mut command, words);
        Ok(Pipeline {
            connection: Connection::open(address)?,
            command,
            waiting: VecDeque::new(),
        })
    }
}

impl Exchange for Pipeline {
    fn queue(&mut self, slot: Slot) {
        self.connection.queue(&self.command);
        self.waiting.push_back(slot);
    }

    fn flush(&mut self) -> Result<()> {
        self.connection.flush()
    }

    fn receive(&mut self, answered: &mut Vec<Slot>) -> Result<()> {
        self.connection.fill()?;
        while self.connection.next_reply()?.is_some() {
            answered.extend(self.waiting.pop_front());
        }
        Ok(())
    }
}

/// One member of a consumer group. The ack and the deletion of a batch leave in one write with
/// the request for the next batch.
struct Consumer {
    connection: Connection,
    read: Vec<u8>,
    settle: Vec<u8>,
}

impl Consumer {
    fn start(address: SocketAddr) -> Result<Consumer> {
        let mut connection = Connection::open(address)?;
        connection.ask(&[b"XGROUP", b"CREATE", STREAM, GROUP, b"$", b"MKSTREAM"])?;
        let mut read = Vec::new();
        let words: [&[u8]; 11] = [
            b"XREADGROUP",
            b"GROUP",
            GROUP,
            b"consumer",
            b"COUNT",
            COUNT,
            b"BLOCK",
            b"0",
            b"STREAMS",
            STREAM,
            b">",
        ];
        encode(&mut read, &words);
        Ok(Consumer {
            connection,
            read,
            settle: Vec::new(),
        })
    }

    /// Takes the batch that was asked for and queues its ack and deletion; returns its size.
    fn take_batch(&mut self) -> Result<u64> {
        let reply = self.connection.reply()?;
        // The stream's name, then of every entry its id, its field's name and its payload.
        let ids: Vec<&[u8]> = bulks(reply).skip(1).step_by(3).collect();
        self.settle.clear();
        encode(
            &mut self.settle,
            &[&[b"XACK" as &[u8], STREAM, GROUP], &*ids].concat(),
        );
        encode(
            &mut self.settle,
            &[&[b"XDEL" as &[u8], STREAM], &*ids].concat(),
        );
        let size = ids.len() as u64;
        self.connection.queue(&self.settle);
        Ok(size)
    }
}

impl end_to_end::Consumer for Consumer {
    fn settle(&mut self, messages: u64) -> Result<()> {
        let mut settled = 0;
        self.connection.queue(&self.read);
        self.connection.flush()?;
        while settled < messages {
            let size = self.take_batch()?;
            settled += size;
            if settled < messages {
                self.connection.queue(&self.read);
            }
            self.connection.flush()?;
            let all = format!(":{size}\r\n");
            for what in ["acknowledged", "deleted"] {
                ensure!(
                    self.connection.reply()? == all.as_bytes(),
                    "not all {size} of a batch were {what}"
                );
            }
        }
        Ok(())
    }
}

/// A subscriber of the channel.
struct Listener {
    connection: Connection,
    message: Vec<u8>,
}

impl Listener {
    fn start(address: SocketAddr) -> Result<Listener> {
        let mut connection = Connection::open(address)?;
        connection.ask(&[b"SUBSCRIBE", CHANNEL])?;
        let mut message = Vec::new();
        encode(&mut message, &[b"message", CHANNEL, payload().as_bytes()]);
        Ok(Listener {
            connection,
            message,
        })
    }
}

impl fan_out::Listener for Listener {
    fn read(&mut self) -> Result<u64> {
        let mut messages = 0;
        self.connection.fill()?;
        while self.connection.take_exact(&self.message)? {
            messages += 1;
        }
        Ok(messages)
    }
}
