//! The commands of the wire of lists, without anything around them: one connection for requests,
//! one that waits for answers, one for the handler.

use std::net::SocketAddr;

use anyhow::{Context as _, Result, ensure};
use memchr::memmem;
use trunkline_bench_peers::redis::{Connection, Durability, bulks, encode};

use super::Server;
use super::bare_streams::slot_of_text;
use super::calls::{HANDLER, METHOD, params};
use crate::load::{Exchange, Slot};
use crate::measure::Measure;
use crate::rpc::id_of_slot;
use crate::workloads::{Context, calls};

const DB: &[u8] = b"rpcs.db";
const QUEUE: &[u8] = HANDLER.as_bytes();

/// What stands before the number in an id, which is as long as a UUID.
const ID_HEAD: &str = "00000000-0000-4000-8000-00000";

pub(super) fn run(context: &Context<'_>, window: u32) -> Result<Measure> {
    let server = Server::start(context, Durability::Memory)?;
    let handler = Handler::start(server.address, window)?;
    let closer = handler.connection.closer()?;
    calls::measure(
        &context.on(&server.process),
        move || handler.work(),
        || closer.close(),
        || Ok(vec![Asker::open(server.address)?]),
        window,
    )
}

fn id(slot: Slot) -> Vec<u8> {
    [ID_HEAD.as_bytes(), &id_of_slot(slot)].concat()
}

fn slot_of(id: &[u8]) -> Option<Slot> {
    slot_of_text(id.strip_prefix(ID_HEAD.as_bytes())?)
}

/// Commands in which only the number of an id changes.
struct Template {
    commands: Vec<u8>,
    places: Vec<usize>,
}

impl Template {
    fn new(commands: &[&[&[u8]]]) -> Template {
        let mut all = Vec::new();
        for words in commands {
            encode(&mut all, words);
        }
        let places = memmem::find_iter(&all, &id_of_slot(0)).collect();
        Template {
            commands: all,
            places,
        }
    }

    /// The commands with a number.
    fn with(&mut self, number: &[u8]) -> &[u8] {
        for place in &self.places {
            self.commands[*place..place + number.len()].copy_from_slice(number);
        }
        &self.commands
    }
}

struct Asker {
    requests: Connection,
    answers: Connection,
    request: Template,
    /// Behind the id that ends it.
    expected: Vec<u8>,
    in_flight: Vec<Slot>,
    /// Commands of requests that Redis has not confirmed.
    unconfirmed: usize,
    wait: Vec<u8>,
}

impl Asker {
    fn open(address: SocketAddr) -> Result<Asker> {
        let id = id(0);
        let (name, params) = (String::from_utf8_lossy(&id), params());
        let text =
            format!(r#"{{"jsonrpc":"2.0","method":"{METHOD}","params":{params},"id":"{name}"}}"#);
        Ok(Asker {
            requests: Connection::open(address)?,
            answers: Connection::open(address)?,
            request: Template::new(&[
                &[b"HSET", DB, &id, text.as_bytes()],
                &[b"LPUSH", QUEUE, &id],
            ]),
            expected: answer_head().into_bytes(),
            in_flight: Vec::new(),
            unconfirmed: 0,
            wait: Vec::new(),
        })
    }

    fn take(&mut self, slot: Slot, answered: &mut Vec<Slot>) {
        self.in_flight.retain(|other| *other != slot);
        answered.push(slot);
    }
}

/// What an answer has before its id.
fn answer_head() -> String {
    format!(r#"{{"jsonrpc":"2.0","result":{},"id":""#, params())
}

impl Exchange for Asker {
    fn queue(&mut self, slot: Slot) {
        let commands = self.request.with(&id_of_slot(slot));
        self.requests.queue(commands);
        self.in_flight.push(slot);
        self.unconfirmed += 2;
    }

    fn flush(&mut self) -> Result<()> {
        self.requests.flush()
    }

    /// Waits for one answer, then takes all that are there.
    fn receive(&mut self, answered: &mut Vec<Slot>) -> Result<()> {
        let ids: Vec<Vec<u8>> = self.in_flight.iter().map(|slot| id(*slot)).collect();
        let mut words: Vec<&[u8]> = vec![b"BRPOP"];
        words.extend(ids.iter().map(|id| &id[..]));
        words.push(b"0");
        self.wait.clear();
        encode(&mut self.wait, &words);
        self.answers.queue(&self.wait);
        self.answers.flush()?;
        for _ in 0..std::mem::take(&mut self.unconfirmed) {
            self.requests.reply()?;
        }
        let first = {
            let reply = self.answers.reply()?;
            let parts: Vec<&[u8]> = bulks(reply).collect();
            check(parts.get(1).copied(), &self.expected)?;
            let slot = parts.first().and_then(|id| slot_of(id));
            slot.context("an answer to nothing")?
        };
        self.take(first, answered);
        let left = self.in_flight.clone();
        self.wait.clear();
        for slot in &left {
            encode(&mut self.wait, &[b"RPOP", &id(*slot)]);
        }
        self.answers.queue(&self.wait);
        self.answers.flush()?;
        for slot in left {
            let is_there = match bulks(self.answers.reply()?).next() {
                None => false,
                text => check(text, &self.expected).map(|()| true)?,
            };
            if is_there {
                self.take(slot, answered);
            }
        }
        Ok(())
    }
}

fn check(answer: Option<&[u8]>, expected: &[u8]) -> Result<()> {
    let answer = answer.unwrap_or_default();
    ensure!(
        answer.starts_with(expected),
        "not the answer: {}",
        String::from_utf8_lossy(answer)
    );
    Ok(())
}

/// Takes as many ids as there are, and answers all in one write with the next wait.
struct Handler {
    connection: Connection,
    wait: Vec<u8>,
    others: Vec<u8>,
    get: Template,
    answer: Template,
}

impl Handler {
    fn start(address: SocketAddr, window: u32) -> Result<Handler> {
        let id = id(0);
        let name = String::from_utf8_lossy(&id);
        let key = format!("{name}_response");
        let text = format!(r#"{}{name}"}}"#, answer_head());
        let (mut wait, mut others) = (Vec::new(), Vec::new());
        encode(&mut wait, &[b"BRPOP", QUEUE, b"0"]);
        let count = window.to_string();
        encode(&mut others, &[b"RPOP", QUEUE, count.as_bytes()]);
        Ok(Handler {
            connection: Connection::open(address)?,
            wait,
            others,
            get: Template::new(&[&[b"HGET", DB, &id]]),
            answer: Template::new(&[
                &[b"HSET", DB, key.as_bytes(), text.as_bytes()],
                &[b"LPUSH", &id, text.as_bytes()],
            ]),
        })
    }

    /// Works until the connection ends.
    fn work(mut self) -> Result<()> {
        let params = params();
        let mut unconfirmed = 0;
        loop {
            self.connection.queue(&self.wait);
            self.connection.queue(&self.others);
            self.connection.flush()?;
            for _ in 0..std::mem::take(&mut unconfirmed) {
                self.connection.reply()?;
            }
            let mut numbers = Vec::new();
            // The name of the list comes with the first.
            for skip in [1, 0] {
                for id in bulks(self.connection.reply()?).skip(skip) {
                    ensure!(slot_of(id).is_some(), "not an id of ours");
                    numbers.push(id[ID_HEAD.len()..].to_vec());
                }
            }
            for number in &numbers {
                let get = self.get.with(number);
                self.connection.queue(get);
            }
            self.connection.flush()?;
            for _ in &numbers {
                let request = self.connection.reply()?;
                ensure!(
                    memmem::find(request, params.as_bytes()).is_some(),
                    "not the call that was made"
                );
            }
            for number in &numbers {
                let answer = self.answer.with(number);
                self.connection.queue(answer);
            }
            unconfirmed = numbers.len() * 2;
        }
    }
}
