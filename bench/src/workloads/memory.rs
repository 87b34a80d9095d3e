//! Resident memory of the server: idle, per idle connection, per waiting message.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::Result;
use serde_json::json;

use super::{Context, publish};
use crate::host::resident_bytes;
use crate::load::{self, Exchange, Until};
use crate::measure::{Measure, Unit};
use crate::rpc::{self, Requester};

/// Memory counts as settled when it has not changed by more than [`STEADY_BYTES`] this long.
const STEADY_TIME: Duration = Duration::from_millis(400);
const STEADY_BYTES: u64 = 64 << 10;

/// It is read anyway after this.
const SETTLE_MAX: Duration = Duration::from_secs(10);

const WINDOW: u32 = 512;

/// What a server needs before anybody has come.
pub(crate) fn idle(context: &Context<'_>) -> Result<Measure> {
    let bytes = settled_bytes(context.server_pid()?)?;
    Ok(Measure::of_value(Unit::Bytes, bytes as f64).with_resident(bytes))
}

/// What a WebSocket connection needs that never said anything.
pub(super) fn per_connection(context: &Context<'_>) -> Result<Measure> {
    let pid = context.server_pid()?;
    let idle = settled_bytes(pid)?;
    let connections = (0..context.plan.idle_connections)
        .map(|_| context.connect())
        .collect::<Result<Vec<_>>>()?;
    let connected = settled_bytes(pid)?;
    let each = growth(idle, connected) / connections.len() as f64;
    Ok(Measure::of_value(Unit::Bytes, each).with_resident(connected))
}

/// What a message needs that waits in one subscription.
pub(super) fn per_message(context: &Context<'_>) -> Result<Measure> {
    let publisher = backlog_publisher(context, &context.unique("memory"))?;
    growth_per_message(context, publisher)
}

/// A publisher to a topic with one subscription, from which nobody consumes.
pub(super) fn backlog_publisher(context: &Context<'_>, topic: &str) -> Result<Requester> {
    let params = json!({"topic": topic, "subscription": "bench"});
    rpc::request(&mut context.connect()?, "rpc.topic.subscribe", &params)?;
    publish::publisher(context, topic)
}

/// Publishes the plan's backlog.
pub(crate) fn fill(publisher: &mut impl Exchange, context: &Context<'_>) -> Result<()> {
    let all = Until::Requests(context.plan.backlog);
    load::run_loop(publisher, WINDOW, all).map(drop)
}

/// How much the server grows with each message that is published, caches included.
pub(crate) fn growth_per_message(
    context: &Context<'_>,
    mut publisher: impl Exchange,
) -> Result<Measure> {
    let pid = context.server_pid()?;
    let idle = settled_bytes(pid)?;
    fill(&mut publisher, context)?;
    drop(publisher);
    let waiting = settled_bytes(pid)?;
    let each = growth(idle, waiting) / context.plan.backlog as f64;
    Ok(Measure::of_value(Unit::Bytes, each).with_resident(waiting))
}

fn growth(before: u64, after: u64) -> f64 {
    after as f64 - before as f64
}

/// Resident memory once what was started has been finished.
fn settled_bytes(pid: u32) -> Result<u64> {
    let asked = Instant::now();
    let mut bytes = resident_bytes(pid)?;
    let mut steady_since = asked;
    while steady_since.elapsed() < STEADY_TIME && asked.elapsed() < SETTLE_MAX {
        thread::sleep(STEADY_TIME / 8);
        let now = resident_bytes(pid)?;
        if now.abs_diff(bytes) > STEADY_BYTES {
            bytes = now;
            steady_since = Instant::now();
        }
    }
    resident_bytes(pid)
}
