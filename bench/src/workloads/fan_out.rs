//! One publisher, a hundred listeners of one channel.

mod listeners;
mod rounds;

use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};

use self::listeners::Listeners;
use self::rounds::Rounds;
use super::Context;
use crate::load::{Exchange, Slot};
use crate::measure::Measure;
use crate::rpc::{self, Request, Requester};

const LISTENERS: u64 = 100;

/// Threads that read for all listeners.
const READERS: usize = 2;

/// The publisher sends half a window at a time, and keeps at most two halves that not every
/// listener has read. So nothing is ever dropped for a slow listener, on any server, and what is
/// counted are deliveries that arrived.
pub(super) fn run(context: &Context<'_>, window: u32) -> Result<Measure> {
    let channel = context.unique(&format!("fan-out-{window}"));
    let mut readers = (0..READERS)
        .map(|_| Listeners::connect(context, &channel, LISTENERS / READERS as u64))
        .collect::<Result<Vec<_>>>()?;
    let mut publisher = Publisher::connect(context, &channel, window / 2)?;
    let meter = context.meter_without_disk();

    pass(&mut publisher, &mut readers, context.plan.warm_up)?;
    let before = meter.read()?;
    let started = Instant::now();
    let published = pass(&mut publisher, &mut readers, context.plan.measure)?;
    let elapsed = started.elapsed();
    let usage = meter.read()?.since(&before);
    let deliveries = published * LISTENERS;
    let per_second = deliveries as f64 / elapsed.as_secs_f64();
    Ok(Measure::of_rate(deliveries, per_second, usage))
}

/// Publishes for `time`, waits until every listener has everything, returns how many messages.
fn pass(publisher: &mut Publisher, readers: &mut [Listeners], time: Duration) -> Result<u64> {
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

struct Publisher {
    requester: Requester,
    half: u32,
    answered: Vec<Slot>,
}

impl Publisher {
    fn connect(context: &Context<'_>, channel: &str, half: u32) -> Result<Publisher> {
        let payload = rpc::payload();
        let params = format!(r#"{{"channel":"{channel}","payload":{payload}}}"#);
        let request = Request::new("rpc.channel.publish", &params);
        Ok(Publisher {
            requester: Requester::new(context.connect()?, request),
            half,
            answered: Vec::with_capacity(half as usize),
        })
    }

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
            self.requester.queue(slot);
        }
        self.requester.flush()?;
        self.answered.clear();
        while self.answered.len() < self.half as usize {
            self.requester.receive(&mut self.answered)?;
        }
        ensure!(
            self.answered.len() == self.half as usize,
            "more answers than publishes"
        );
        Ok(())
    }
}
