//! What NATS does in our workloads: request and reply.

use std::net::SocketAddr;

use anyhow::{Context as _, Result, ensure};
use trunkline_bench_peers::nats::{Connection, publish};

use super::payload;
use crate::load::{Exchange, Slot};
use crate::measure::Measure;
use crate::rpc::{id_of_slot, scan, slot_of_id};
use crate::workloads::{Context, calls};

const METHOD: &str = "bench.echo";

/// `connections` callers with `window` requests in flight each; one worker that echoes.
pub(super) fn calls(
    context: &Context<'_>,
    address: SocketAddr,
    connections: u32,
    window: u32,
) -> Result<Measure> {
    let mut worker = Connection::open(address)?;
    worker.subscribe(METHOD)?;
    let closer = worker.closer()?;
    let payload = payload();
    let is_echo = move |answer: &[u8]| answer == payload.as_bytes();
    calls::measure(
        context,
        move || work(worker),
        || closer.close(),
        || {
            (0..connections)
                .map(|number| Requester::open(address, number, METHOD, is_echo.clone()))
                .collect()
        },
        window,
    )
}

/// Answers every request with what it brought, until the connection ends.
fn work(mut connection: Connection) -> Result<()> {
    let payload = payload();
    loop {
        connection.fill()?;
        while let Some(request) = connection.next_delivery()? {
            ensure!(
                request.payload == payload.as_bytes(),
                "not the request that was made: {}",
                String::from_utf8_lossy(request.payload)
            );
            publish(request.outgoing, request.reply_to, b"", request.payload);
        }
        connection.flush()?;
    }
}

/// One request over and over. All answers come to one wildcard subscription, as in NATS' own
/// clients; the last token of their subject is the id.
pub(super) struct Requester<A> {
    connection: Connection,
    /// The request, and where in it the id stands.
    request: Vec<u8>,
    id_at: usize,
    inbox: String,
    is_answer: A,
}

impl<A: Fn(&[u8]) -> bool> Requester<A> {
    /// `number` tells the callers of a run apart.
    pub(super) fn open(
        address: SocketAddr,
        number: u32,
        subject: &str,
        is_answer: A,
    ) -> Result<Requester<A>> {
        let inbox = format!("_INBOX.{number}.");
        let mut connection = Connection::open(address)?;
        connection.subscribe(&format!("{inbox}*"))?;
        let payload = payload();
        let head = format!("PUB {subject} {inbox}");
        let id = String::from_utf8_lossy(&id_of_slot(0)).into_owned();
        let tail = format!(" {}\r\n{payload}\r\n", payload.len());
        Ok(Requester {
            connection,
            id_at: head.len(),
            request: [head, id, tail].concat().into_bytes(),
            inbox,
            is_answer,
        })
    }
}

impl<A: Fn(&[u8]) -> bool + Send> Exchange for Requester<A> {
    fn queue(&mut self, slot: Slot) {
        let id = id_of_slot(slot);
        self.request[self.id_at..self.id_at + id.len()].copy_from_slice(&id);
        self.connection.queue(&self.request);
    }

    fn flush(&mut self) -> Result<()> {
        self.connection.flush()
    }

    fn receive(&mut self, answered: &mut Vec<Slot>) -> Result<()> {
        self.connection.fill()?;
        while let Some(answer) = self.connection.next_delivery()? {
            ensure!(
                (self.is_answer)(answer.payload),
                "not the answer: {}",
                String::from_utf8_lossy(answer.payload)
            );
            let slot = answer
                .subject
                .strip_prefix(self.inbox.as_bytes())
                .and_then(scan::leading_number)
                .and_then(|(id, _)| slot_of_id(id));
            answered.push(slot.context("an answer to nobody")?);
        }
        Ok(())
    }
}
