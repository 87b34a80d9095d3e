//! Publishing while the store compacts, and while it has nothing to compact.
//!
//! Both do the same: a cold topic is filled and its consumer goes through all of it, then a hot
//! topic turns over at a fixed rate, and beside that a paced publisher is timed. The only
//! difference is what the cold consumer leaves. If it settles everything, the segments that the hot
//! traffic fills are dead as a whole and are just freed. If it holds on to three of ten messages,
//! every segment has some that must be copied before it can be freed, over and over as the log
//! goes round.

use std::ops::RangeInclusive;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use serde_json::{Value, json};

use super::{Context, holding, hot, memory, publish};
use crate::host::StoreUse;
use crate::load::{self, Gauge, Load, Orders, Tally, Until};
use crate::measure::{Measure, NotMeasured};
use crate::rpc::{self, Requester};

const COLD: &str = "bench.cold";
const HOT: &str = "bench.hot";

/// Of a hundred cold messages, how many stay if compaction is to have work.
const HELD_PERCENT: u32 = 30;

/// The publisher that is timed: 2,000 messages a second.
const PACED_INTERVAL: Duration = Duration::from_micros(500);
const PACED_WINDOW: u32 = 64;

/// The timed part lasts until so many segments were freed, but not fewer nor more slices than
/// this, each as long as the plan measures.
const FREED_MIN: u32 = 2;
const SLICES: RangeInclusive<u32> = 2..=6;

/// `busy` says whether compaction has work.
pub(super) fn run(context: &Context<'_>, busy: bool) -> Result<Measure> {
    let messages = context
        .plan
        .backlog
        .min(holding::messages_max(HELD_PERCENT));
    let mut filler = memory::backlog_publisher(context, COLD)?;
    memory::fill(&mut filler, messages)?;
    drop(filler);
    let percent = if busy { HELD_PERCENT } else { 0 };
    let held = holding::settle_all_but(context, COLD, percent, messages)?;

    let mut paced = publish::publisher(context, HOT)?;
    let timed = |hot: &Gauge| timed(context, hot, &mut paced);
    let (measure, freed) = hot::beside_hot(context, HOT, timed)?;

    let params = json!({"topic": COLD});
    let info = rpc::request(&mut context.connect()?, "rpc.topic.inspect", &params)?;
    ensure!(
        cold_messages(&info) == Some(held),
        "of {held} cold messages these are left: {info}"
    );
    if busy && freed == 0 {
        return Err(NotMeasured::new(format!(
            "nothing was compacted: the store freed no segment under load, although of {messages} \
             messages in its oldest ones only {held} were alive"
        ))
        .into());
    }
    Ok(measure)
}

/// The paced publisher, and how many segments the store freed while it was timed.
fn timed(context: &Context<'_>, hot: &Gauge, paced: &mut Requester) -> Result<(Measure, u32)> {
    let gauge = Gauge::default();
    let mut publish = |time: Duration| -> Result<Tally> {
        let orders = Orders {
            window: PACED_WINDOW,
            until: Until::Time(Instant::now() + time),
            interval: Some(PACED_INTERVAL),
            gauge: &gauge,
            counts: false,
        };
        load::run_paced(paced, &orders)
    };
    let store = context.store()?;
    let meter = context.meter();
    publish(context.plan.warm_up)?;
    let (files, hot_before, before) = (StoreUse::of(store)?, hot.done(), meter.read()?);
    let mut slices = Vec::new();
    let mut freed = 0;
    while slices.len() < *SLICES.end() as usize
        && (slices.len() < *SLICES.start() as usize || freed < FREED_MIN)
    {
        slices.push(publish(context.plan.measure)?);
        freed = StoreUse::of(store)?.oldest_segment - files.oldest_segment;
    }
    let usage = meter.read()?.since(&before);
    let hot_messages = hot.done() - hot_before;
    let load = Load::of(&slices, usage)?;
    let measure = Measure::of_load(&load).among(load.answered, load.answered + hot_messages);
    Ok((measure, freed))
}

/// Messages that its subscription has not settled.
fn cold_messages(info: &Value) -> Option<u64> {
    let subscription = info.pointer("/subscriptions/0")?;
    let number = |name: &str| subscription.get(name).and_then(Value::as_u64);
    Some(number("waiting")? + number("in_flight")?)
}

#[cfg(test)]
mod tests {
    use super::*;
    #[test]
    fn cold_messages_are_those_that_wait_and_those_that_are_held() {
        let info = json!({"subscriptions": [{"waiting": 5, "in_flight": 2, "acked": 9}]});
        assert_eq!(cold_messages(&info), Some(7));
        assert_eq!(cold_messages(&json!({"subscriptions": []})), None);
    }
}
