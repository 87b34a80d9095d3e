//! Loading a server that somebody runs, while they look on: what `trunkline bench` does.
//!
//! Unlike the workloads it takes its sizes from outside, starts nothing, needs nothing but the
//! URL, and removes what it made.

mod calls;
mod end_to_end;
mod error;
mod fan_out;
mod leftover;
mod publish;
mod stomp;

use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};

pub use error::LoadError;
pub use leftover::Leftover;
pub use stomp::StompPlan;

use self::leftover::Topic;
use crate::host::{self, Meter};
use crate::load::{Gauge, Latency, Orders, Paced, Tally, Until, run_paced};
use crate::rpc::STAMP_DIGITS;
use crate::ws::WebSocket;

/// Longest load that isn't counted, before one that runs for a time: a tenth of that time.
const WARM_UP_MAX: Duration = Duration::from_secs(1);

/// What a server is loaded with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Shape {
    /// Calls to a worker of ours that echoes.
    Calls,
    /// Durable publishes, each confirmed.
    Publish,
    /// Messages from the publish to the confirmed ack, with one consumer.
    EndToEnd,
    /// Channel messages to listeners; what is counted are deliveries.
    FanOut {
        /// Connections that listen, at least one.
        listeners: u32,
    },
}

/// How much of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Amount {
    /// For so long.
    Time(Duration),
    /// Requests, all connections together.
    Requests(u64),
}

/// A load: against whom, what, how much.
#[derive(Clone, Debug)]
pub struct LoadPlan {
    /// `ws://HOST[:PORT]/PATH`; `stomp://HOST[:PORT]` with what is in `stomp`.
    pub url: String,
    /// Presented as `Authorization: Bearer`.
    pub token: Option<String>,
    /// The load goes over STOMP, which has no calls.
    pub stomp: Option<StompPlan>,
    /// Part of the names of what is made on the server: letters and digits that nobody else uses.
    pub name: String,
    /// What is done.
    pub shape: Shape,
    /// Characters of each payload; at least [`PAYLOAD_BYTES_MIN`].
    pub payload_bytes: usize,
    /// Connections that send, at least one; exactly one for [`Shape::FanOut`].
    pub connections: u32,
    /// Requests in flight on each, at least one.
    pub window: u32,
    /// How much.
    pub amount: Amount,
    /// Requests a second, all connections together; as fast as it goes without it.
    pub rate: Option<f64>,
}

/// A payload has room for a moment, by which its latency is known.
pub const PAYLOAD_BYTES_MIN: usize = STAMP_DIGITS;

/// What a load showed.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct LoadResult {
    /// Calls, messages or deliveries.
    pub count: u64,
    /// From the first request to the last answer.
    pub elapsed: Duration,
    /// Of calls until the answer, of publishes until the confirmation, of messages until the
    /// consumer or listener has them.
    pub latency: Latency,
    /// CPU of this process while it lasted, in cores.
    pub generator_cores: f64,
}

/// How a load ended, and what of it is still on the server.
#[derive(Debug)]
pub struct LoadEnd {
    /// Up to where it was stopped, if it was.
    pub outcome: Result<LoadResult, LoadError>,
    /// Nothing if everything was removed.
    pub left: Option<Leftover>,
}

/// Runs a load to its end on this thread and some of its own; `gauge` shows how far it is and
/// ends it early.
pub fn load(plan: &LoadPlan, gauge: &Gauge) -> LoadEnd {
    host::raise_open_files();
    // Channels and methods are gone with their connections.
    let mut topic = Topic::new(plan);
    if let Some(stomp) = &plan.stomp {
        return LoadEnd {
            outcome: stomp::run(plan, stomp, gauge).map_err(LoadError::from),
            left: None,
        };
    }
    let outcome = match plan.shape {
        Shape::Calls => calls::run(plan, gauge),
        Shape::Publish => publish::run(plan, gauge, &mut topic),
        Shape::EndToEnd => end_to_end::run(plan, gauge, &mut topic),
        Shape::FanOut { listeners } => fan_out::run(plan, gauge, listeners),
    };
    LoadEnd {
        outcome: outcome.map_err(LoadError::from),
        left: topic.remove(plan),
    }
}

impl LoadPlan {
    fn connect(&self) -> Result<WebSocket> {
        WebSocket::connect_as(&self.url, self.token.as_deref())
    }

    /// What connection `number` of all has to do.
    fn orders<'g>(&self, gauge: &'g Gauge, number: u32, counts: bool) -> Orders<'g> {
        let connections = u64::from(self.connections);
        Orders {
            window: self.window,
            until: match self.amount {
                Amount::Time(time) => Until::Time(Instant::now() + time),
                Amount::Requests(all) => {
                    let one_more = u64::from(u64::from(number) < all % connections);
                    Until::Requests(all / connections + one_more)
                }
            },
            interval: self
                .rate
                .map(|rate| Duration::from_secs_f64(f64::from(self.connections) / rate)),
            gauge,
            counts,
        }
    }

    /// How long the load runs before it counts.
    pub fn warm_up(&self) -> Duration {
        match self.amount {
            Amount::Time(time) => (time / 10).min(WARM_UP_MAX),
            Amount::Requests(_) => Duration::ZERO,
        }
    }
}

/// Loads all `senders` at once, each on a thread of its own; `counts` says whether their answers
/// are what the gauge shows.
fn send<P: Paced>(
    plan: &LoadPlan,
    gauge: &Gauge,
    senders: &mut [P],
    counts: bool,
) -> Result<Vec<Tally>> {
    thread::scope(|scope| {
        let loops: Vec<_> = (0..)
            .zip(senders)
            .map(|(number, sender)| {
                scope.spawn(move || {
                    let tally = run_paced(sender, &plan.orders(gauge, number, counts));
                    if tally.is_err() {
                        // The others need not go on.
                        gauge.stop();
                    }
                    tally
                })
            })
            .collect();
        loops
            .into_iter()
            .map(|each| each.join().expect("a load thread returns its errors"))
            .collect()
    })
}

/// The load that isn't counted; returns how many requests it took.
fn warm_up<P: Paced>(plan: &LoadPlan, gauge: &Gauge, senders: &mut [P]) -> Result<u64> {
    let time = plan.warm_up();
    if time.is_zero() {
        return Ok(0);
    }
    let short = LoadPlan {
        amount: Amount::Time(time),
        ..plan.clone()
    };
    let tallies = send(&short, gauge, senders, false)?;
    Ok(tallies.iter().map(|tally| tally.answered).sum())
}

/// Loads `senders` and tells what came of it.
fn measure<P: Paced>(plan: &LoadPlan, gauge: &Gauge, senders: &mut [P]) -> Result<LoadResult> {
    warm_up(plan, gauge, senders)?;
    let meter = Meter::new(None, None);
    let before = meter.read()?;
    let tallies = send(plan, gauge, senders, true)?;
    let usage = meter.read()?.since(&before);
    let started = tallies.iter().map(|tally| tally.started).min();
    let ended = tallies.iter().map(|tally| tally.ended).max();
    let (started, ended) = started.zip(ended).context("a load of no connections")?;
    let mut latency = Latency::new();
    for tally in &tallies {
        latency.merge(&tally.latency);
    }
    Ok(LoadResult {
        count: tallies.iter().map(|tally| tally.answered).sum(),
        elapsed: ended - started,
        latency,
        generator_cores: usage.generator_cores,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(connections: u32, amount: Amount, rate: Option<f64>) -> LoadPlan {
        LoadPlan {
            url: String::new(),
            token: None,
            stomp: None,
            name: "x".to_owned(),
            shape: Shape::Publish,
            payload_bytes: 256,
            connections,
            window: 4,
            amount,
            rate,
        }
    }

    #[test]
    fn connections_share_the_requests_and_the_rate() {
        let gauge = Gauge::default();
        for (connections, all) in [(1, 10), (3, 10), (4, 3), (7, 700)] {
            let plan = plan(connections, Amount::Requests(all), Some(1_000.0));
            let orders = (0..connections).map(|number| plan.orders(&gauge, number, true));
            let shares: Vec<u64> = orders
                .map(|orders| {
                    let each = Duration::from_millis(1) * connections;
                    assert_eq!(orders.interval, Some(each));
                    match orders.until {
                        Until::Requests(share) => share,
                        Until::Time(_) => panic!("a number was asked for"),
                    }
                })
                .collect();
            assert_eq!(shares.iter().sum::<u64>(), all, "{shares:?}");
            assert!(shares.iter().max().unwrap() - shares.iter().min().unwrap() <= 1);
        }
    }

    #[test]
    fn only_a_load_for_a_time_is_warmed_up() {
        for (amount, warm_up_ms) in [
            (Amount::Requests(1_000_000), 0),
            (Amount::Time(Duration::from_secs(3)), 300),
            (Amount::Time(Duration::from_secs(60)), 1_000),
        ] {
            assert_eq!(
                plan(1, amount, None).warm_up(),
                Duration::from_millis(warm_up_ms)
            );
        }
    }

    #[test]
    fn nobody_there_is_told_as_such_and_leaves_nothing() {
        for shape in [Shape::Calls, Shape::Publish, Shape::EndToEnd] {
            let nobody = LoadPlan {
                url: format!("ws://{}/rpc", host::free_address().unwrap()),
                shape,
                ..plan(1, Amount::Requests(1), None)
            };
            let end = load(&nobody, &Gauge::default());
            assert!(
                matches!(end.outcome, Err(LoadError::Unreachable(_))),
                "{end:?}"
            );
            assert!(end.left.is_none(), "{end:?}");
        }
    }
}
