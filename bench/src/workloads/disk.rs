//! What the store takes on disk while fast and slow subscriptions mix.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result};
use serde_json::{Value, json};

use super::consumer::{CREDIT, JsonConsumer};
use super::end_to_end::Consumer;
use super::{Context, holding, memory};
use crate::host::StoreUse;
use crate::load::{self, Until};
use crate::measure::{Measure, Unit};
use crate::rpc;
use crate::ws::WebSocket;

const TOPIC: &str = "bench.mixed";

/// The subscription that settles everything at once.
const NEAR: &str = "near";

const WINDOW: u32 = 512;

/// Of a hundred messages, how many the slow subscription holds on to.
const HELD_PERCENT: u32 = 25;

/// How often files and messages are looked at.
const LOOK: Duration = Duration::from_millis(100);

/// The mark: times of what is alive, and so many segments besides.
const TIMES_MAX: f64 = 3.0;
const SEGMENTS_MAX: f64 = 2.0;

/// Files of the store over what is alive in them.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Sample {
    /// Bytes of the files over bytes of payload of the messages that somebody has not settled.
    ratio: f64,
    /// What it may be.
    allowed: f64,
}

/// First the slow subscription falls behind by the plan's backlog, then as much again is published
/// while it goes through all of it and settles three of four at random. The other subscription
/// settles everything all the time. The value is the worst moment of the second part.
pub(super) fn run(context: &Context<'_>) -> Result<Measure> {
    let backlog = context
        .plan
        .backlog
        .min(holding::messages_max(HELD_PERCENT) / 2);
    let mut publisher = memory::backlog_publisher(context, TOPIC)?;
    let mut near = JsonConsumer::of(context.connect()?, TOPIC, NEAR, CREDIT)?;
    let mut control = context.connect()?;
    let worst = thread::scope(|scope| {
        let publish = |publisher: &mut _| {
            load::run_loop(publisher, WINDOW, Until::Requests(backlog)).map(drop)
        };
        let settling = scope.spawn(|| near.settle(2 * backlog));
        publish(&mut publisher)?;
        let done = AtomicBool::new(false);
        let worst = thread::scope(|scope| {
            let publishing = scope.spawn(|| publish(&mut publisher));
            let sampling = scope.spawn(|| sample_until(context, &mut control, &done));
            let held = holding::settle_all_but(context, TOPIC, HELD_PERCENT, 2 * backlog);
            done.store(true, Ordering::Relaxed);
            let worst = sampling
                .join()
                .expect("a sampling thread returns its errors");
            publishing
                .join()
                .expect("a load thread returns its errors")?;
            held.and(worst)
        })?;
        settling.join().expect("a load thread returns its errors")?;
        anyhow::Ok(worst)
    })?;
    let measure = Measure::of_value(Unit::Ratio, worst.ratio).allowing(worst.allowed);
    Ok(match context.pid {
        Some(pid) => measure.with_resident(crate::host::resident_bytes(pid)?),
        None => measure,
    })
}

/// The worst of the samples until `done`, the last one after it.
fn sample_until(
    context: &Context<'_>,
    control: &mut WebSocket,
    done: &AtomicBool,
) -> Result<Sample> {
    let store = context.store()?;
    let mut worst = None;
    loop {
        let last = done.load(Ordering::Relaxed);
        let files = StoreUse::of(store)?;
        let info = rpc::request(control, "rpc.topic.inspect", &json!({"topic": TOPIC}))?;
        let live = info.get("bytes").and_then(Value::as_u64);
        let live = live.with_context(|| format!("no `bytes` in {info}"))?;
        worst = Some(Sample::of(&files, live).or_worse(worst));
        if last {
            return worst.context("no sample");
        }
        thread::sleep(LOOK);
    }
}

impl Sample {
    fn of(files: &StoreUse, live: u64) -> Sample {
        let live = live.max(1) as f64;
        Sample {
            ratio: files.bytes as f64 / live,
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
            bytes,
            oldest_segment: 1,
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
