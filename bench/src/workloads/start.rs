//! How long a start takes, from the new process to the moment at which it can serve.

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};

use super::{Context, memory};
use crate::measure::{Measure, Unit};
use crate::rpc;

/// The topic of [`fill`], the same in both lives of the server.
const TOPIC: &str = "bench.backlog";

/// How long the last start of the server took.
pub(crate) fn ready(context: &Context<'_>) -> Result<Measure> {
    let server = context.started.context("a server started by us")?;
    let ready_after = server.ready_after();
    Ok(Measure::of_value(
        Unit::Milliseconds,
        ready_after.as_secs_f64() * 1_000.0,
    ))
}

/// Leaves the plan's backlog in one subscription, for the next start to find.
pub(super) fn fill(context: &Context<'_>) -> Result<()> {
    let mut publisher = memory::backlog_publisher(context, TOPIC)?;
    memory::fill(&mut publisher, context.plan.backlog)
}

/// The same as [`ready`], after [`fill`]; all messages must be there again.
pub(super) fn with_backlog(context: &Context<'_>) -> Result<Measure> {
    let info = rpc::request(
        &mut context.connect()?,
        "rpc.topic.inspect",
        &json!({"topic": TOPIC}),
    )?;
    let waiting = info.pointer("/subscriptions/0/waiting");
    ensure!(
        waiting.and_then(Value::as_u64) == Some(context.plan.backlog),
        "of {} messages these came back: {info}",
        context.plan.backlog
    );
    ready(context)
}
