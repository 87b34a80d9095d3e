//! What the store takes on disk while fast and slow subscriptions mix.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use serde_json::{Value, json};

use super::consumer::{CREDIT, JsonConsumer};
use super::end_to_end::Consumer;
use super::{Context, holding, hot, memory};
use crate::host::StoreUse;
use crate::measure::{Measure, Unit};
use crate::rpc;

const TOPIC: &str = "bench.mixed";
const HOT: &str = "bench.hot";

/// The subscription that settles everything at once.
const NEAR: &str = "near";

/// Of a hundred messages, how many the slow subscription holds on to.
const HELD_PERCENT: u32 = 25;

/// What the record of a message has beside its payload: identity, times, content type,
/// subscriptions, checksum.
const RECORD_BYTES_BESIDE: u64 = 48;

/// How often files and messages are looked at.
const LOOK: Duration = Duration::from_millis(100);

/// The store may take this many slices of the plan to compact what the settling left.
const SLICES_MAX: u32 = 6;

/// The mark: times of what is alive, and so many segments besides.
const TIMES_MAX: f64 = 3.0;
const SEGMENTS_MAX: f64 = 2.0;

/// The log over what is alive in it.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Sample {
    ratio: f64,
    /// What it may be.
    allowed: f64,
}

/// First the slow subscription falls behind by the plan's backlog, then as much again is published
/// while it goes through all of it and settles three of four at random. The other subscription
/// settles everything all the time. Then other messages come and go; once the store has gone
/// through what it had, the worst moment of one slice of the plan counts.
pub(super) fn run(context: &Context<'_>) -> Result<Measure> {
    mix(context)?;
    let store = context.store()?;
    let filled = StoreUse::of(store)?;
    let worst = hot::beside_hot(context, HOT, |_| {
        for _ in 0..SLICES_MAX {
            if StoreUse::of(store)?.oldest_segment > filled.newest_segment {
                break;
            }
            thread::sleep(context.plan.measure);
        }
        worst_sample(context)
    })?;
    Ok(Measure::of_value(Unit::Ratio, worst.ratio).allowing(worst.allowed))
}

/// Leaves a quarter of all messages in one of two subscriptions, at random places.
fn mix(context: &Context<'_>) -> Result<()> {
    let backlog = context
        .plan
        .backlog
        .min(holding::messages_max(HELD_PERCENT) / 2);
    let mut publisher = memory::backlog_publisher(context, TOPIC)?;
    let mut near = JsonConsumer::of(context.connect()?, TOPIC, NEAR, CREDIT)?;
    thread::scope(|scope| {
        let settling = scope.spawn(move || near.settle(2 * backlog));
        memory::fill(&mut publisher, backlog)?;
        let publishing = scope.spawn(move || memory::fill(&mut publisher, backlog));
        let held = holding::settle_all_but(context, TOPIC, HELD_PERCENT, 2 * backlog);
        for thread in [publishing, settling] {
            thread.join().expect("a load thread returns its errors")?;
        }
        held.map(drop)
    })
}

/// The worst of the samples of one slice of the plan.
fn worst_sample(context: &Context<'_>) -> Result<Sample> {
    let store = context.store()?;
    let mut control = context.connect()?;
    let end = Instant::now() + context.plan.measure;
    let mut worst = None;
    loop {
        let last = Instant::now() >= end;
        let files = StoreUse::of(store)?;
        let info = rpc::request(&mut control, "rpc.topic.inspect", &json!({"topic": TOPIC}))?;
        let number = |name: &str| {
            let value = info.get(name).and_then(Value::as_u64);
            value.with_context(|| format!("no `{name}` in {info}"))
        };
        let live = number("bytes")? + number("messages")? * RECORD_BYTES_BESIDE;
        let sample = Sample::of(&files, live).or_worse(worst);
        if last {
            return Ok(sample);
        }
        worst = Some(sample);
        thread::sleep(LOOK);
    }
}

impl Sample {
    fn of(files: &StoreUse, live: u64) -> Sample {
        let live = live.max(1) as f64;
        Sample {
            ratio: files.log_bytes as f64 / live,
            allowed: TIMES_MAX + SEGMENTS_MAX * files.segment_bytes as f64 / live,
        }
    }

    /// The one that is nearer to what is allowed, or further beyond it.
    fn or_worse(self, other: Option<Sample>) -> Sample {
        other
            .filter(|other| other.ratio / other.allowed > self.ratio / self.allowed)
            .unwrap_or(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_moment_is_the_one_nearest_to_its_own_limit() {
        let files = |bytes| StoreUse {
            log_bytes: bytes,
            oldest_segment: 1,
            newest_segment: 2,
            segment_bytes: 64,
        };
        // 300 bytes where 128 + 3 × 64 are allowed, then 300 where 128 + 3 × 32 are.
        let (early, late) = (Sample::of(&files(300), 64), Sample::of(&files(300), 32));
        assert_eq!((early.ratio, early.allowed), (300.0 / 64.0, 5.0));
        assert_eq!((late.ratio, late.allowed), (300.0 / 32.0, 7.0));
        assert_eq!(early.or_worse(Some(late)), late);
        assert_eq!(late.or_worse(Some(early)), late);
        assert_eq!(early.or_worse(None), early);
    }
}
