//! Channel messages to many listeners; what is counted are deliveries.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use serde_json::json;

use super::{Amount, LoadPlan, LoadResult};
use crate::host::Meter;
use crate::load::{Gauge, HEED, Latency, Paced};
use crate::rpc::{self, Requester};
use crate::workloads::fan_out::{Listener, Listeners, READERS, Rounds};
use crate::ws::WebSocket;

pub(super) fn run(plan: &LoadPlan, gauge: &Gauge, listeners: u32) -> Result<LoadResult> {
    let channel = format!("bench.{}", plan.name);
    let epoch = Instant::now();
    let (before, after) = rpc::stamped(
        &format!(r#"{{"channel":"{channel}","#),
        plan.payload_bytes,
        "}",
    );
    let parts = (&*before, &*after);
    let exchange = Requester::stamped(plan.connect()?, "rpc.channel.publish", parts, epoch);
    let all = (0..listeners)
        .map(|_| Timing::connect(plan, &channel, epoch))
        .collect::<Result<Vec<_>>>()?;
    measure(plan, gauge, exchange, all)
}

/// Loads the publisher while `all` listen.
pub(super) fn measure<P: Paced, L: Timed>(
    plan: &LoadPlan,
    gauge: &Gauge,
    exchange: P,
    all: Vec<L>,
) -> Result<LoadResult> {
    let listeners = all.len();
    let mut all = all.into_iter();
    let share = listeners.div_ceil(READERS).max(1);
    let mut readers: Vec<_> = (0..READERS)
        .map(|_| Listeners::new(all.by_ref().take(share)))
        .collect();
    let mut publisher = Publisher {
        exchange,
        half: messages_a_round(plan),
        interval: plan.rate.map(|rate| Duration::from_secs_f64(1.0 / rate)),
        listeners: listeners as u64,
        gauge,
    };

    let warm_up = plan.warm_up();
    if !warm_up.is_zero() {
        pass(&mut publisher, &mut readers, Amount::Time(warm_up), false)?;
        for reader in &mut readers {
            reader.each(|listener| *listener.latency() = Latency::new());
        }
    }
    let meter = Meter::new(None, None);
    let (usage_before, started) = (meter.read()?, Instant::now());
    let published = pass(&mut publisher, &mut readers, plan.amount, true)?;
    let elapsed = started.elapsed();
    let mut latency = Latency::new();
    for reader in &mut readers {
        reader.each(|listener| latency.merge(listener.latency()));
    }
    Ok(LoadResult {
        count: published * listeners as u64,
        elapsed,
        latency,
        generator_cores: meter.read()?.since(&usage_before).generator_cores,
    })
}

/// Longest that messages are held back to be sent together, at a given rate.
const ROUND_MAX: Duration = Duration::from_millis(5);

/// Half of the window; at a given rate no more than are due within [`ROUND_MAX`].
fn messages_a_round(plan: &LoadPlan) -> u32 {
    let half = plan.window / 2;
    let due = plan
        .rate
        .map(|rate| (rate * ROUND_MAX.as_secs_f64()) as u32);
    due.map_or(half, |due| half.min(due)).max(1)
}

/// Publishes `amount` and returns how many messages, once everybody has all of them.
fn pass<P: Paced, L: Timed>(
    publisher: &mut Publisher<'_, P>,
    readers: &mut [Listeners<L>],
    amount: Amount,
    counts: bool,
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
        let published = publisher.publish(&rounds, amount, counts);
        rounds.finish();
        for reader in reading {
            reader.join().expect("a load thread returns its errors")?;
        }
        published
    })
}

struct Publisher<'g, P> {
    exchange: P,
    /// Messages of a round; two rounds may be under way.
    half: u32,
    interval: Option<Duration>,
    listeners: u64,
    gauge: &'g Gauge,
}

impl<P: Paced> Publisher<'_, P> {
    /// Whole rounds, so up to one less than a round more than `amount`. Never are more than two
    /// rounds under way that not every listener has read: so nothing is dropped for a slow one.
    fn publish(&mut self, rounds: &Rounds, amount: Amount, counts: bool) -> Result<u64> {
        let started = Instant::now();
        let mut due = started;
        let mut round = 0;
        loop {
            let published = round * u64::from(self.half);
            let enough = match amount {
                Amount::Time(time) => started.elapsed() >= time,
                Amount::Requests(all) => published >= all,
            };
            rounds
                .wait_until_read(round, u64::from(!enough))
                .context("a listener failed")?;
            if enough || self.gauge.is_stopped() {
                rounds
                    .wait_until_read(round, 0)
                    .context("a listener failed")?;
                return Ok(published);
            }
            // Waits for its turn in short naps, to heed who looks on.
            if let Some(wait) = due.checked_duration_since(Instant::now())
                && self.interval.is_some()
                && !wait.is_zero()
            {
                thread::sleep(wait.min(HEED));
                continue;
            }
            rounds.announce(round);
            self.publish_round(due)?;
            due += self.interval.unwrap_or_default() * self.half;
            round += 1;
            if counts {
                self.gauge.add(u64::from(self.half) * self.listeners);
            }
        }
    }

    /// One write, and all answers.
    fn publish_round(&mut self, due: Instant) -> Result<()> {
        let due = self.interval.map_or_else(Instant::now, |_| due);
        for slot in 0..self.half {
            self.exchange.queue_due(slot, due);
        }
        self.exchange.flush()?;
        let mut answered = Vec::with_capacity(self.half as usize);
        while answered.len() < self.half as usize {
            self.exchange.receive(&mut answered)?;
        }
        ensure!(
            answered.len() == self.half as usize,
            "more answers than publishes"
        );
        Ok(())
    }
}

/// A listener that knows how long messages were under way.
pub(super) trait Timed: Listener {
    /// What it has noted.
    fn latency(&mut self) -> &mut Latency;
}

impl Timed for Timing {
    fn latency(&mut self) -> &mut Latency {
        &mut self.latency
    }
}

/// A listener that notes how long each message was under way.
struct Timing {
    socket: WebSocket,
    stamps: rpc::Stamps,
    latency: Latency,
}

impl Timing {
    fn connect(plan: &LoadPlan, channel: &str, epoch: Instant) -> Result<Timing> {
        let mut socket = plan.connect()?;
        let params = json!({"channels": [channel]});
        rpc::request(&mut socket, "rpc.channel.subscribe", &params)?;
        Ok(Timing {
            socket,
            stamps: rpc::stamps(epoch),
            latency: Latency::new(),
        })
    }
}

impl Listener for Timing {
    fn read(&mut self) -> Result<u64> {
        self.socket.fill()?;
        let now = Instant::now();
        let mut messages = 0;
        while let Some((text, _)) = self.socket.next_text()? {
            let age = self.stamps.ages(text, now).next();
            let age =
                age.with_context(|| format!("unexpected: {}", String::from_utf8_lossy(text)))?;
            self.latency.record(age);
            messages += 1;
        }
        Ok(messages)
    }
}

#[cfg(test)]
mod tests {
    use super::super::Shape;
    use super::*;

    #[test]
    fn a_slow_rate_is_not_sent_in_bursts() {
        for (window, rate, round) in [
            (100, None, 50),
            (1, None, 1),
            (100, Some(1_000.0), 5),
            (100, Some(1.0), 1),
            (100, Some(1e6), 50),
        ] {
            let plan = LoadPlan {
                url: String::new(),
                token: None,
                stomp: None,
                name: String::new(),
                shape: Shape::FanOut { listeners: 1 },
                payload_bytes: 256,
                connections: 1,
                window,
                amount: Amount::Requests(1),
                rate,
            };
            assert_eq!(messages_a_round(&plan), round, "{window} at {rate:?}");
        }
    }
}
