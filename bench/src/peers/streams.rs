//! What NATS' streams, JetStream, do in our workloads: files, but a publish is confirmed before it
//! is flushed.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use memchr::memmem;
use trunkline_bench_peers::nats::{Connection, publish as put};

use super::nats::Requester;
use super::payload;
use crate::load::Exchange;
use crate::measure::Measure;
use crate::workloads::{Context, end_to_end as ends, memory, publish as publishing};

const STREAM: &str = r#""name":"BENCH","subjects":["bench.waiting"],"storage":"file""#;
const SUBJECT: &str = "bench.waiting";
/// Where the consumer gets its messages, and the confirmations of its acks. NATS delivers nothing to
/// a subscription with a wildcard.
const DELIVERIES: &str = "bench.deliveries";
const CONFIRMATIONS: &str = "bench.confirmations";

/// What the consumer may hold: as much as ours.
const UNACKED_MAX: u32 = 1_000;
/// How long a server that may still be starting has for one answer.
const PATIENCE: Duration = Duration::from_millis(100);

/// `publishers` connections, every publish confirmed.
pub(super) fn publish(
    context: &Context<'_>,
    address: SocketAddr,
    publishers: u32,
    window: u32,
) -> Result<Measure> {
    create(address, "")?;
    publishing::measure(context, stream_writers(address, publishers)?, window)
}

/// The same, and a consumer; what is acknowledged is deleted.
pub(super) fn end_to_end(
    context: &Context<'_>,
    address: SocketAddr,
    publishers: u32,
    window: u32,
) -> Result<Measure> {
    create(address, r#","retention":"workqueue""#)?;
    let consumer = Consumer::start(address)?;
    let writers = stream_writers(address, publishers)?;
    ends::measure(context, writers, consumer, window)
}

/// Messages in a stream with one consumer that has taken none.
pub(super) fn memory_per_message(context: &Context<'_>, address: SocketAddr) -> Result<Measure> {
    memory::growth_per_message(context, backlog_writer(address)?)
}

/// The plan's backlog in such a stream.
pub(super) fn fill(context: &Context<'_>, address: SocketAddr) -> Result<()> {
    memory::fill(&mut backlog_writer(address)?, context.plan.backlog)
}

/// Whether the server at `address` serves the stream with all of `messages`.
pub(super) fn holds(address: SocketAddr, messages: u64) -> bool {
    let info = Connection::open_within(address, PATIENCE)
        .and_then(|mut connection| connection.ask("$JS.API.STREAM.INFO.BENCH", ""));
    info.is_ok_and(|info| info.contains(&format!("\"messages\":{messages},")))
}

/// A publisher to a stream with one durable consumer.
fn backlog_writer(address: SocketAddr) -> Result<impl Exchange> {
    create(address, "")?;
    create_consumer(address, "")?;
    stream_writer(address, 0)
}

fn stream_writers(address: SocketAddr, count: u32) -> Result<Vec<impl Exchange>> {
    (0..count)
        .map(|number| stream_writer(address, number))
        .collect()
}

fn stream_writer(address: SocketAddr, number: u32) -> Result<impl Exchange + use<>> {
    let is_stored = |answer: &[u8]| memmem::find(answer, b"\"seq\":").is_some();
    Requester::open(address, number, SUBJECT, is_stored)
}

/// Makes the stream; `more` are members of its configuration.
fn create(address: SocketAddr, more: &str) -> Result<()> {
    let config = format!("{{{STREAM}{more}}}");
    make(address, "$JS.API.STREAM.CREATE.BENCH", &config)
}

/// Makes its consumer, which acknowledges every message.
fn create_consumer(address: SocketAddr, more: &str) -> Result<()> {
    let config = format!(
        r#"{{"stream_name":"BENCH","config":{{"durable_name":"worker","ack_policy":"explicit"{more}}}}}"#
    );
    make(
        address,
        "$JS.API.CONSUMER.DURABLE.CREATE.BENCH.worker",
        &config,
    )
}

fn make(address: SocketAddr, subject: &str, config: &str) -> Result<()> {
    let answer = Connection::open(address)?.ask(subject, config)?;
    ensure!(!answer.contains("\"error\""), "{subject}: {answer}");
    Ok(())
}

/// Gets messages as long as it has acknowledged enough. Acknowledges all that a read brought in one
/// write; the last of them asks for a confirmation, which counts for those before it: they are
/// worked off in order.
struct Consumer {
    connection: Connection,
    /// How many messages each confirmation that is on its way stands for.
    batches: VecDeque<u64>,
}

impl Consumer {
    fn start(address: SocketAddr) -> Result<Consumer> {
        let mut connection = Connection::open(address)?;
        connection.subscribe(DELIVERIES)?;
        connection.subscribe(CONFIRMATIONS)?;
        create_consumer(
            address,
            &format!(r#","deliver_subject":"{DELIVERIES}","max_ack_pending":{UNACKED_MAX}"#),
        )?;
        Ok(Consumer {
            connection,
            batches: VecDeque::new(),
        })
    }
}

impl ends::Consumer for Consumer {
    fn settle(&mut self, messages: u64) -> Result<()> {
        let payload = payload();
        let mut settled = 0;
        let mut last = Vec::new();
        while settled < messages {
            self.connection.fill()?;
            let mut batch = 0;
            while let Some(arrived) = self.connection.next_delivery()? {
                // A message to its stream's subject, or a confirmation.
                if arrived.subject != SUBJECT.as_bytes() {
                    let confirmed = self.batches.pop_front();
                    settled += confirmed.context("a confirmation of nothing")?;
                    continue;
                }
                ensure!(
                    arrived.payload == payload.as_bytes(),
                    "not the message that was published: {}",
                    String::from_utf8_lossy(arrived.payload)
                );
                if batch > 0 {
                    put(arrived.outgoing, &last, b"", b"+ACK");
                }
                last.clear();
                last.extend_from_slice(arrived.reply_to);
                batch += 1;
            }
            if batch > 0 {
                let mut ack = Vec::new();
                put(&mut ack, &last, CONFIRMATIONS.as_bytes(), b"+ACK");
                self.connection.queue(&ack);
                self.batches.push_back(batch);
            }
            self.connection.flush()?;
        }
        Ok(())
    }
}
