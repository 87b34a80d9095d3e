//! One publisher, a hundred listeners of one channel.

mod listeners;
mod rounds;

use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use memchr::memmem;
use serde_json::json;

pub(crate) use self::listeners::{Listener, Listeners};
pub(crate) use self::rounds::Rounds;
use super::Context;
use crate::load::{Exchange, Slot};
use crate::measure::Measure;
use crate::rpc::{self, Requester};
use crate::ws::{Opcode, WebSocket, encode};

/// Connections that listen.
pub(crate) const LISTENERS: usize = 100;

/// What every push of a message holds.
const MESSAGE: &[u8] = br#""rpc.channel.message""#;

/// Threads that read for all listeners.
pub(crate) const READERS: usize = 2;

/// Over `/rpc`.
pub(super) fn run(context: &Context<'_>, window: u32) -> Result<Measure> {
    let channel = context.unique(&format!("fan-out-{window}"));
    let listeners = (0..LISTENERS)
        .map(|_| JsonListener::connect(context, &channel))
        .collect::<Result<Vec<_>>>()?;
    let payload = rpc::payload();
    let params = format!(r#"{{"channel":"{channel}","payload":{payload}}}"#);
    let publisher = Requester::new(context.connect()?, "rpc.channel.publish", &params);
    measure(context, publisher, listeners, window)
}

/// The publisher sends half a window at a time, and keeps at most two halves that not every
/// listener has read. So nothing is ever dropped for a slow listener, on any server, and what is
/// counted are deliveries that arrived.
pub(crate) fn measure<P: Exchange, L: Listener>(
    context: &Context<'_>,
    publisher: P,
    listeners: Vec<L>,
    window: u32,
) -> Result<Measure> {
    let count: u64 = listeners.iter().map(Listener::count).sum();
    let share = listeners.len().div_ceil(READERS);
    let mut listeners = listeners.into_iter();
    let mut readers: Vec<_> = (0..READERS)
        .map(|_| Listeners::new(listeners.by_ref().take(share)))
        .collect();
    let mut publisher = Publisher {
        exchange: publisher,
        half: window / 2,
        answered: Vec::with_capacity(window as usize),
    };
    let meter = context.meter_without_disk();

    pass(&mut publisher, &mut readers, context.plan.warm_up)?;
    let before = meter.read()?;
    let started = Instant::now();
    let published = pass(&mut publisher, &mut readers, context.plan.measure)?;
    let elapsed = started.elapsed();
    let usage = meter.read()?.since(&before);
    let deliveries = published * count;
    let per_second = deliveries as f64 / elapsed.as_secs_f64();
    Ok(Measure::of_rate(deliveries, per_second, usage))
}

/// Publishes for `time`, waits until every listener has everything, returns how many messages.
fn pass<P: Exchange, L: Listener>(
    publisher: &mut Publisher<P>,
    readers: &mut [Listeners<L>],
    time: Duration,
) -> Result<u64> {
    let half = u64::from(publisher.half);
    let rounds = Rounds::new(readers.len());
    thread::scope(|scope| {
        let reading: Vec<_> = readers
            .iter_mut()
            .enumerate()
            .map(|(reader, listeners)| {
                let rounds = &rounds;
                scope.spawn(move || listeners.read_rounds(reader, rounds, half))
            })
            .collect();
        let published = publisher.publish_rounds(&rounds, time);
        rounds.finish();
        for reader in reading {
            reader.join().expect("a load thread returns its errors")?;
        }
        Ok(published? * half)
    })
}

/// Listens over `/rpc`.
struct JsonListener {
    socket: WebSocket,
    /// The frame that the first message came in: all others are the same.
    message: Vec<u8>,
}

impl JsonListener {
    fn connect(context: &Context<'_>, channel: &str) -> Result<JsonListener> {
        let mut socket = context.connect()?;
        let params = json!({"channels": [channel]});
        rpc::request(&mut socket, "rpc.channel.subscribe", &params)?;
        Ok(JsonListener {
            socket,
            message: Vec::new(),
        })
    }
}

impl Listener for JsonListener {
    fn read(&mut self) -> Result<u64> {
        let mut messages = 0;
        self.socket.fill()?;
        loop {
            if !self.message.is_empty() && self.socket.take_exact(&self.message) {
                messages += 1;
                continue;
            }
            let Some((text, _)) = self.socket.next_text()? else {
                return Ok(messages);
            };
            ensure!(
                self.message.is_empty() && memmem::find(text, MESSAGE).is_some(),
                "unexpected: {}",
                String::from_utf8_lossy(text)
            );
            encode(&mut self.message, Opcode::Text, text, None);
            messages += 1;
        }
    }
}

struct Publisher<P> {
    exchange: P,
    half: u32,
    answered: Vec<Slot>,
}

impl<P: Exchange> Publisher<P> {
    /// Returns the number of rounds.
    fn publish_rounds(&mut self, rounds: &Rounds, time: Duration) -> Result<u64> {
        let end = Instant::now() + time;
        let mut round = 0;
        while Instant::now() < end {
            rounds
                .wait_until_read(round, 1)
                .context("a listener failed")?;
            rounds.announce(round);
            self.publish_half()?;
            round += 1;
        }
        rounds
            .wait_until_read(round, 0)
            .context("a listener failed")?;
        Ok(round)
    }

    /// Sends half a window in one write and takes the answers.
    fn publish_half(&mut self) -> Result<()> {
        for slot in 0..self.half {
            self.exchange.queue(slot);
        }
        self.exchange.flush()?;
        self.answered.clear();
        while self.answered.len() < self.half as usize {
            self.exchange.receive(&mut self.answered)?;
        }
        ensure!(
            self.answered.len() == self.half as usize,
            "more answers than publishes"
        );
        Ok(())
    }
}
