//! A topic with a subscription that is far behind: what that costs those who aren't, and how fast
//! it catches up.

use std::time::Instant;

use anyhow::{Context as _, Result};

use super::consumer::{CREDIT, JsonConsumer, SUBSCRIPTION};
use super::{Context, Prepared, end_to_end, memory, publish};
use crate::measure::Measure;

/// The topic of all parts: they share one server and one backlog.
const TOPIC: &str = "bench.backlog";

/// A second subscription, up to date.
const NEAR: &str = "near";

const WINDOW: u32 = 512;

/// What is done beside the backlog, or with it.
#[derive(Clone, Copy)]
pub(crate) enum Part {
    /// Its memory.
    Memory,
    /// Publishing more to the topic.
    Publish,
    /// The lives of messages in the second subscription.
    EndToEnd,
    /// Settling the oldest messages of the backlog.
    Drain,
}

/// Leaves ten times the plan's backlog in one subscription.
pub(super) fn prepare(context: &Context<'_>) -> Result<Prepared> {
    let publisher = memory::backlog_publisher(context, TOPIC)?;
    let growth = memory::growth(context, publisher, context.plan.far_behind())?;
    Ok(Prepared {
        growth: Some(growth),
    })
}

pub(super) fn run(context: &Context<'_>, part: Part) -> Result<Measure> {
    match part {
        Part::Memory => {
            let growth = context.prepared.growth;
            Ok(growth.context("nothing was prepared")?.per_message())
        }
        Part::Publish => {
            let publisher = publish::publisher(context, TOPIC)?;
            publish::measure(context, vec![publisher], WINDOW)
        }
        Part::EndToEnd => {
            let consumer = JsonConsumer::of(context.connect()?, TOPIC, NEAR, CREDIT)?;
            let publisher = publish::publisher(context, TOPIC)?;
            end_to_end::measure(context, vec![publisher], consumer, WINDOW)
        }
        Part::Drain => drain(context),
    }
}

/// Without a warm-up: that the first messages must come from the disk is part of it.
fn drain(context: &Context<'_>) -> Result<Measure> {
    let meter = context.meter();
    let mut consumer = JsonConsumer::of(context.connect()?, TOPIC, SUBSCRIPTION, CREDIT)?;
    let before = meter.read()?;
    let started = Instant::now();
    let mut settled = 0;
    while settled < context.plan.messages {
        settled += consumer.step(|_| {})?;
    }
    let elapsed = started.elapsed();
    let usage = meter.read()?.since(&before);
    let per_second = settled as f64 / elapsed.as_secs_f64();
    Ok(Measure::of_rate(settled, per_second, usage))
}
