//! Resident memory of the server: idle, per idle connection, per message that waits or is delayed.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::Result;
use serde_json::json;

use super::consumer::SUBSCRIPTION;
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
    let each = (connected as f64 - idle as f64) / connections.len() as f64;
    Ok(Measure::of_value(Unit::Bytes, each).with_resident(connected))
}

/// What a message needs that waits in one subscription.
pub(super) fn per_message(context: &Context<'_>) -> Result<Measure> {
    let publisher = backlog_publisher(context, &context.unique("memory"))?;
    growth_per_message(context, publisher)
}

/// What a message needs that one subscription will get in an hour.
pub(super) fn per_delayed_message(context: &Context<'_>) -> Result<Measure> {
    rpc::require(&mut context.connect()?, "delay")?;
    let topic = context.unique("memory");
    subscribe(context, &topic)?;
    let publisher = publish::publisher_with(context, &topic, r#""delay_ms":3600000"#)?;
    growth_per_message(context, publisher)
}

/// A publisher to a topic with one subscription, from which nobody consumes.
pub(super) fn backlog_publisher(context: &Context<'_>, topic: &str) -> Result<Requester> {
    subscribe(context, topic)?;
    publish::publisher(context, topic)
}

fn subscribe(context: &Context<'_>, topic: &str) -> Result<()> {
    let params = json!({"topic": topic, "subscription": SUBSCRIPTION});
    rpc::request(&mut context.connect()?, "rpc.topic.subscribe", &params).map(drop)
}

/// Publishes so many messages.
pub(crate) fn fill(publisher: &mut impl Exchange, messages: u64) -> Result<()> {
    load::run_loop(publisher, WINDOW, Until::Requests(messages)).map(drop)
}

/// How much the server grows with each message of the plan's backlog, caches included.
pub(crate) fn growth_per_message(
    context: &Context<'_>,
    publisher: impl Exchange,
) -> Result<Measure> {
    let growth = growth(context, publisher, context.plan.backlog)?;
    Ok(growth.per_message())
}

/// How large a server was before and after messages were published to it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Growth {
    before: u64,
    after: u64,
    messages: u64,
}

/// How much the server grows with so many messages.
pub(super) fn growth(
    context: &Context<'_>,
    mut publisher: impl Exchange,
    messages: u64,
) -> Result<Growth> {
    let pid = context.server_pid()?;
    let before = settled_bytes(pid)?;
    fill(&mut publisher, messages)?;
    drop(publisher);
    Ok(Growth {
        before,
        after: settled_bytes(pid)?,
        messages,
    })
}

impl Growth {
    /// For each message, caches included.
    pub(super) fn per_message(&self) -> Measure {
        let each = (self.after as f64 - self.before as f64) / self.messages as f64;
        Measure::of_value(Unit::Bytes, each).with_resident(self.after)
    }
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
