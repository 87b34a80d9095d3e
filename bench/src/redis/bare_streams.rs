//! The commands of the wire of streams, without anything around them: one connection for requests,
//! one that subscribes to replies, one for the worker.

use std::net::SocketAddr;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result, ensure};
use trunkline_bench_peers::redis::{Connection, Durability, bulks, encode};

use super::Server;
use super::calls::{DEADLINE, METHOD, params};
use crate::load::{Exchange, Slot};
use crate::measure::Measure;
use crate::rpc::{id_of_slot, slot_of_id};
use crate::workloads::{Context, calls};

const STREAM: &[u8] = b"general";
const GROUP: &[u8] = b"processors";
const WHO: &[u8] = b"BENCH";

/// Bulk strings of an entry: its id, then five fields with their values.
const ENTRY: usize = 11;
/// Where among them is what a call brought, and its number.
const ARGS: usize = 8;
const NUMBER: usize = 10;

pub(super) fn run(context: &Context<'_>, window: u32) -> Result<Measure> {
    let server = Server::start(context, Durability::Memory)?;
    let worker = Worker::start(server.address, window)?;
    let closer = worker.connection.closer()?;
    calls::measure(
        &context.on(&server.process),
        move || worker.work(),
        || closer.close(),
        || Ok(vec![Asker::open(server.address)?]),
        window,
    )
}

/// Where in `text` the id of slot 0 stands.
pub(super) fn id_place(text: &[u8]) -> Result<usize> {
    memchr::memmem::find(text, &id_of_slot(0)).context("a template without an id")
}

/// The slot that an id in a reply stands for.
pub(super) fn slot_of_text(id: &[u8]) -> Option<Slot> {
    slot_of_id(std::str::from_utf8(id).ok()?.parse().ok()?)
}

/// A reply as it is published, with the id of slot 0.
fn reply() -> Vec<u8> {
    let id = String::from_utf8_lossy(&id_of_slot(0)).into_owned();
    let result = params();
    format!(r#"{{"message_id":"{id}","rpc":"{METHOD}","response":{{"result":{result}}}}}"#)
        .into_bytes()
}

struct Asker {
    requests: Connection,
    replies: Connection,
    /// The command, and where in it the id stands.
    request: Vec<u8>,
    id_at: usize,
    /// What a reply has before its id, and behind it.
    head: Vec<u8>,
    tail: Vec<u8>,
}

impl Asker {
    fn open(address: SocketAddr) -> Result<Asker> {
        let mut replies = Connection::open(address)?;
        replies.ask(&[b"SUBSCRIBE", WHO])?;
        let deadline = SystemTime::now().duration_since(UNIX_EPOCH)? + DEADLINE;
        let (deadline, params, id) = (deadline.as_secs().to_string(), params(), id_of_slot(0));
        let words: [&[u8]; 16] = [
            b"XADD",
            STREAM,
            b"MAXLEN",
            b"~",
            b"100000",
            b"*",
            b"rpc",
            METHOD.as_bytes(),
            b"who",
            WHO,
            b"deadline",
            deadline.as_bytes(),
            b"args",
            params.as_bytes(),
            b"message_id",
            &id,
        ];
        let mut request = Vec::new();
        encode(&mut request, &words);
        let reply = reply();
        let place = id_place(&reply)?;
        Ok(Asker {
            requests: Connection::open(address)?,
            replies,
            id_at: id_place(&request)?,
            request,
            head: reply[..place].to_vec(),
            tail: reply[place + id.len()..].to_vec(),
        })
    }
}

impl Exchange for Asker {
    fn queue(&mut self, slot: Slot) {
        let id = id_of_slot(slot);
        self.request[self.id_at..self.id_at + id.len()].copy_from_slice(&id);
        self.requests.queue(&self.request);
    }

    fn flush(&mut self) -> Result<()> {
        self.requests.flush()
    }

    fn receive(&mut self, answered: &mut Vec<Slot>) -> Result<()> {
        let before = answered.len();
        self.replies.fill()?;
        while let Some(message) = self.replies.next_reply()? {
            let text = bulks(message).nth(2).context("a message without a text")?;
            let id = text
                .strip_prefix(&*self.head)
                .and_then(|rest| rest.strip_suffix(&*self.tail));
            let slot = id.and_then(slot_of_text);
            answered.push(slot.context("not the reply to a call")?);
        }
        // Each request was confirmed before its reply left.
        for _ in before..answered.len() {
            self.requests.reply()?;
        }
        Ok(())
    }
}

/// Reads as many requests as there are, and answers all in one write with the next read.
struct Worker {
    connection: Connection,
    read: Vec<u8>,
    /// The command that replies, and where in it the id stands.
    publish: Vec<u8>,
    id_at: usize,
    answers: Vec<u8>,
}

impl Worker {
    fn start(address: SocketAddr, window: u32) -> Result<Worker> {
        let mut connection = Connection::open(address)?;
        connection.ask(&[b"XGROUP", b"CREATE", STREAM, GROUP, b"0", b"MKSTREAM"])?;
        let count = window.to_string();
        let words: [&[u8]; 11] = [
            b"XREADGROUP",
            b"GROUP",
            GROUP,
            b"localhost-0",
            b"COUNT",
            count.as_bytes(),
            b"BLOCK",
            b"0",
            b"STREAMS",
            STREAM,
            b">",
        ];
        let mut read = Vec::new();
        encode(&mut read, &words);
        let mut publish = Vec::new();
        encode(&mut publish, &[b"PUBLISH", WHO, &reply()]);
        Ok(Worker {
            connection,
            read,
            id_at: id_place(&publish)?,
            publish,
            answers: Vec::new(),
        })
    }

    /// Works until the connection ends.
    fn work(mut self) -> Result<()> {
        let params = params();
        let mut unconfirmed = 0;
        loop {
            self.connection.queue(&self.read);
            self.connection.flush()?;
            for _ in 0..unconfirmed {
                self.connection.reply()?;
            }
            let reply = self.connection.reply()?;
            let parts: Vec<&[u8]> = bulks(reply).skip(1).collect();
            self.answers.clear();
            for entry in parts.chunks_exact(ENTRY) {
                ensure!(
                    entry[ARGS] == params.as_bytes(),
                    "not the call that was made"
                );
                let id = entry[NUMBER];
                self.publish[self.id_at..self.id_at + id.len()].copy_from_slice(id);
                self.answers.extend_from_slice(&self.publish);
                encode(&mut self.answers, &[b"XACK", STREAM, GROUP, entry[0]]);
            }
            unconfirmed = parts.len() / ENTRY * 2;
            self.connection.queue(&self.answers);
        }
    }
}
