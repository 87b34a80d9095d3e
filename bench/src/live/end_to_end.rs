//! Messages from the publish to the confirmed ack.

use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Instant;

use anyhow::{Result, ensure};

use super::leftover::Topic;
use super::{LoadPlan, LoadResult, send, warm_up};
use crate::host::Meter;
use crate::load::{Gauge, HEED, Latency, Paced};
use crate::net::{SILENCE_MAX, Silence};
use crate::rpc::{self, Requester};
use crate::workloads::consumer::JsonConsumer;

const SUBSCRIPTION: &str = "bench";

pub(super) fn run(plan: &LoadPlan, gauge: &Gauge, topic: &mut Topic) -> Result<LoadResult> {
    topic.make(&mut plan.connect()?, Some(SUBSCRIPTION))?;
    let epoch = Instant::now();
    let before = format!(r#"{{"topic":"{}","messages":[{{"#, topic.name);
    let (before, after) = rpc::stamped(&before, plan.payload_bytes, "}]}");
    let publishers = (0..plan.connections)
        .map(|_| {
            let parts = (&*before, &*after);
            let socket = plan.connect()?;
            Ok(Requester::stamped(
                socket,
                "rpc.topic.publish",
                parts,
                epoch,
            ))
        })
        .collect::<Result<Vec<_>>>()?;
    let consumer = Json {
        consumer: JsonConsumer::start(plan.connect()?, &topic.name)?,
        stamps: rpc::stamps(epoch),
    };
    measure(plan, gauge, publishers, consumer)
}

/// Loads `publishers` while `source` settles what they send.
pub(super) fn measure<P: Paced, S: Source>(
    plan: &LoadPlan,
    gauge: &Gauge,
    mut publishers: Vec<P>,
    source: S,
) -> Result<LoadResult> {
    let mut consumer = Consumer {
        source,
        latency: Latency::new(),
    };
    pass(&mut consumer, gauge, false, || {
        warm_up(plan, gauge, &mut publishers)
    })?;
    consumer.latency = Latency::new();
    let meter = Meter::new(None, None);
    let (usage_before, started) = (meter.read()?, Instant::now());
    let count = pass(&mut consumer, gauge, true, || {
        let tallies = send(plan, gauge, &mut publishers, false)?;
        Ok(tallies.iter().map(|tally| tally.answered).sum())
    })?;
    Ok(LoadResult {
        count,
        elapsed: started.elapsed(),
        latency: consumer.latency,
        generator_cores: meter.read()?.since(&usage_before).generator_cores,
    })
}

/// What the consumer has to settle is only known once all publishers have stopped.
const UNKNOWN: u64 = u64::MAX;

/// Publishes with `publish`, which returns how many, while the consumer settles them; returns
/// how many once all are settled.
fn pass<S: Source>(
    consumer: &mut Consumer<S>,
    gauge: &Gauge,
    counts: bool,
    publish: impl FnOnce() -> Result<u64>,
) -> Result<u64> {
    let published = AtomicU64::new(UNKNOWN);
    thread::scope(|scope| {
        let consuming = scope.spawn(|| {
            let settled = consumer.settle(&published, gauge, counts);
            if settled.is_err() {
                // Publishing more would only leave more.
                gauge.stop();
            }
            settled
        });
        let outcome = publish();
        // After a failure nothing more is waited for.
        published.store(*outcome.as_ref().unwrap_or(&0), Ordering::Release);
        let settled = consuming.join().expect("the consumer returns its errors");
        // What ended first is the cause of the other.
        settled.and(outcome)
    })
}

/// Where a consumer's messages come from.
pub(super) trait Source: Send {
    /// Whether something arrives before `until`.
    fn arrives_by(&self, until: Instant) -> Result<bool>;

    /// Acks what arrives, after noting how long each was under way; how many acks were confirmed.
    fn step(&mut self, latency: &mut Latency) -> Result<u64>;
}

struct Json {
    consumer: JsonConsumer,
    stamps: rpc::Stamps,
}

impl Source for Json {
    fn arrives_by(&self, until: Instant) -> Result<bool> {
        self.consumer.arrives_by(until)
    }

    fn step(&mut self, latency: &mut Latency) -> Result<u64> {
        let stamps = &self.stamps;
        self.consumer.step(|push| {
            let now = Instant::now();
            for age in stamps.ages(push, now) {
                latency.record(age);
            }
        })
    }
}

struct Consumer<S> {
    source: S,
    latency: Latency,
}

impl<S: Source> Consumer<S> {
    /// Settles until as many are settled as `published` says in the end.
    fn settle(&mut self, published: &AtomicU64, gauge: &Gauge, counts: bool) -> Result<()> {
        let mut settled = 0;
        let mut heard = Instant::now();
        while settled < published.load(Ordering::Acquire) {
            if !self.source.arrives_by(Instant::now() + HEED)? {
                let all_sent = published.load(Ordering::Acquire) != UNKNOWN;
                ensure!(!all_sent || heard.elapsed() < SILENCE_MAX, Silence);
                continue;
            }
            let more = self.source.step(&mut self.latency)?;
            settled += more;
            heard = Instant::now();
            if counts {
                gauge.add(more);
            }
        }
        Ok(())
    }
}
