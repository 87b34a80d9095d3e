//! Durable publish with confirm: one message per request, confirmed after `fdatasync`.

use anyhow::Result;
use serde_json::json;

use super::Context;
use crate::load::{self, Exchange};
use crate::measure::Measure;
use crate::rpc::{self, Requester};

/// `publishers` connections with `window` publishes in flight each, all to one topic.
pub(super) fn run(context: &Context<'_>, publishers: u32, window: u32) -> Result<Measure> {
    let topic = context.unique(&format!("publish-{publishers}x{window}"));
    let mut control = context.connect()?;
    rpc::request(&mut control, "rpc.topic.declare", &json!({"topic": topic}))?;
    let exchanges = (0..publishers)
        .map(|_| publisher(context, &topic))
        .collect::<Result<Vec<_>>>()?;
    let measure = measure(context, exchanges, window)?;
    rpc::request(&mut control, "rpc.topic.delete", &json!({"topic": topic}))?;
    Ok(measure)
}

/// Loads all publishers at once.
pub(crate) fn measure<E: Exchange>(
    context: &Context<'_>,
    publishers: Vec<E>,
    window: u32,
) -> Result<Measure> {
    let load = load::run_fleet(
        publishers,
        window,
        context.plan.warm_up,
        context.plan.measure,
        &context.meter(),
    )?;
    Ok(Measure::of_load(&load))
}

/// A connection that publishes one message per request to `topic`.
pub(super) fn publisher(context: &Context<'_>, topic: &str) -> Result<Requester> {
    let payload = rpc::payload();
    let params = format!(r#"{{"topic":"{topic}","messages":[{{"payload":{payload}}}]}}"#);
    Ok(Requester::new(
        context.connect()?,
        "rpc.topic.publish",
        &params,
    ))
}
