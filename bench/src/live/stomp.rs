//! The same loads over STOMP, which has no calls.

use std::fmt;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use memchr::memmem;

use super::{LoadPlan, LoadResult, Shape, end_to_end, fan_out, measure};
use crate::load::{Gauge, Latency};
use crate::rpc::{self, STAMP_DIGITS, scan};
use crate::stomp::{Sender, Socket};
use crate::workloads::fan_out::Listener;

/// Deliveries on their way to the consumer that are not acked.
const CREDIT: u32 = 1_000;
/// A queue from which nothing comes for so long is empty.
const EMPTY_AFTER: Duration = Duration::from_millis(300);

/// What STOMP needs besides the URL.
#[derive(Clone, PartialEq, Eq)]
pub struct StompPlan {
    /// Headers of CONNECT, each with the end of its line.
    pub connect: String,
}

/// A passcode may be among them.
impl fmt::Debug for StompPlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StompPlan").finish_non_exhaustive()
    }
}

pub(super) fn run(plan: &LoadPlan, stomp: &StompPlan, gauge: &Gauge) -> Result<LoadResult> {
    let authority = plan.url.strip_prefix("stomp://");
    let authority = authority.context("the URL is not one of STOMP")?;
    let name = &plan.name;
    let queue = format!("/queue/bench.{name}");
    let connect = || Socket::connect_as(authority, &stomp.connect);
    let body = rpc::filler(plan.payload_bytes);
    let epoch = Instant::now();
    let sender = |destination: &str| {
        let sender = Sender::over(connect()?, destination, "", &body);
        Ok(sender.stamped(epoch, plan.payload_bytes))
    };
    let senders = || -> Result<Vec<Sender>> {
        let all = (0..plan.connections).map(|_| sender(&queue));
        all.collect()
    };
    match plan.shape {
        Shape::Publish => {
            let result = measure(plan, gauge, &mut senders()?);
            // A queue can't be deleted over STOMP, but emptied.
            let emptied = Consumer::connect(connect()?, &queue, epoch)?.empty();
            let result = result?;
            emptied?;
            Ok(result)
        }
        Shape::EndToEnd => {
            let consumer = Consumer::connect(connect()?, &queue, epoch)?;
            end_to_end::measure(plan, gauge, senders()?, consumer)
        }
        Shape::FanOut { listeners } => {
            let topic = format!("/topic/bench.{name}");
            let all = (0..listeners).map(|_| Timing::connect(connect()?, &topic, epoch));
            let all = all.collect::<Result<Vec<_>>>()?;
            fan_out::measure(plan, gauge, sender(&topic)?, all)
        }
        Shape::Calls => bail!("there are no calls over STOMP"),
    }
}

/// How long a MESSAGE with a stamped body was under way.
fn age(frame: &[u8], epoch: Instant, now: Instant) -> Option<Duration> {
    let body = frame.get(memmem::find(frame, b"\n\n")? + 2..)?;
    let (nanos, _) = scan::leading_number(body.get(..STAMP_DIGITS)?)?;
    Some((now - epoch).saturating_sub(Duration::from_nanos(nanos)))
}

/// A consumer that acks every message by itself; the last ack of each read asks for a receipt that
/// says how many there were.
struct Consumer {
    socket: Socket,
    epoch: Instant,
    acked: u64,
    confirmed: u64,
}

impl Consumer {
    fn connect(mut socket: Socket, queue: &str, epoch: Instant) -> Result<Consumer> {
        socket.subscribe(&format!(
            "destination:{queue}\nack:client-individual\nprefetch-count:{CREDIT}\n"
        ))?;
        Ok(Consumer {
            socket,
            epoch,
            acked: 0,
            confirmed: 0,
        })
    }

    /// Takes everything that is there.
    fn empty(mut self) -> Result<()> {
        let mut latency = Latency::new();
        while end_to_end::Source::arrives_by(&self, Instant::now() + EMPTY_AFTER)? {
            end_to_end::Source::step(&mut self, &mut latency)?;
        }
        Ok(())
    }
}

impl end_to_end::Source for Consumer {
    fn arrives_by(&self, until: Instant) -> Result<bool> {
        self.socket.arrives_by(until)
    }

    fn step(&mut self, latency: &mut Latency) -> Result<u64> {
        self.socket.fill()?;
        let (before, acked_before) = (self.confirmed, self.acked);
        let (now, epoch) = (Instant::now(), self.epoch);
        let mut last = Vec::new();
        while let Some((frame, outgoing)) = self.socket.next_frame()? {
            if let Some(receipt) = header(frame, b"\nreceipt-id:") {
                let number = scan::leading_number(receipt);
                self.confirmed = number.context("a receipt that nobody asked for")?.0;
                continue;
            }
            let unexpected = || format!("unexpected: {}", String::from_utf8_lossy(frame));
            let age = age(frame, epoch, now);
            latency.record(age.with_context(unexpected)?);
            let ack = header(frame, b"\nack:").with_context(unexpected)?;
            self.acked += 1;
            // Each waits for the next one, to see whether it is the last.
            outgoing.append(&mut last);
            last.extend_from_slice(b"ACK\nid:");
            last.extend_from_slice(ack);
            last.extend_from_slice(b"\n\n\0");
        }
        if self.acked > acked_before {
            last.truncate(last.len() - 2);
            let receipt = format!("receipt:{}\n\n\0", self.acked);
            last.extend_from_slice(receipt.as_bytes());
            self.socket.queue(&last);
            self.socket.flush()?;
        }
        ensure!(self.confirmed >= before, "receipts out of order");
        Ok(self.confirmed - before)
    }
}

/// What stands behind the first `name`.
fn header<'f>(frame: &'f [u8], name: &[u8]) -> Option<&'f [u8]> {
    let value = &frame[memmem::find(frame, name)? + name.len()..];
    Some(&value[..memchr::memchr(b'\n', value)?])
}

/// A listener that notes how long each message was under way.
struct Timing {
    socket: Socket,
    epoch: Instant,
    latency: Latency,
}

impl Timing {
    fn connect(mut socket: Socket, topic: &str, epoch: Instant) -> Result<Timing> {
        socket.subscribe(&format!("destination:{topic}\nack:auto\n"))?;
        Ok(Timing {
            socket,
            epoch,
            latency: Latency::new(),
        })
    }
}

impl Listener for Timing {
    fn read(&mut self) -> Result<u64> {
        self.socket.fill()?;
        let now = Instant::now();
        let mut messages = 0;
        while let Some((frame, _)) = self.socket.next_frame()? {
            let age = age(frame, self.epoch, now);
            let age =
                age.with_context(|| format!("unexpected: {}", String::from_utf8_lossy(frame)))?;
            self.latency.record(age);
            messages += 1;
        }
        Ok(messages)
    }
}

impl fan_out::Timed for Timing {
    fn latency(&mut self) -> &mut Latency {
        &mut self.latency
    }
}
