//! Durable publish with confirm: one message per request, confirmed after `fdatasync`.

use anyhow::Result;
use serde_json::json;

use super::Context;
use crate::load::{self, Exchange};
use crate::measure::Measure;
use crate::rpc::{self, Draws, Requester};

const METHOD: &str = "rpc.topic.publish";

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
    let (head, tail) = params_around(topic);
    let params = format!("{head}{tail}");
    Ok(Requester::new(context.connect()?, METHOD, &params))
}

/// The same; each message has `member`, JSON text.
pub(super) fn publisher_with(
    context: &Context<'_>,
    topic: &str,
    member: &str,
) -> Result<Requester> {
    let (head, tail) = params_around(topic);
    let params = format!("{head}{member},{tail}");
    Ok(Requester::new(context.connect()?, METHOD, &params))
}

/// The same, with the next of `draws` between the two parts of the member.
pub(super) fn drawing_publisher(
    context: &Context<'_>,
    topic: &str,
    (before, after): (&str, &str),
    draws: Draws,
) -> Result<Requester> {
    let (head, tail) = params_around(topic);
    let params = (&*format!("{head}{before}"), &*format!("{after},{tail}"));
    Ok(Requester::drawing(
        context.connect()?,
        METHOD,
        params,
        draws,
    ))
}

/// The params of a publish before and behind the place where a message may have further members.
fn params_around(topic: &str) -> (String, String) {
    let payload = rpc::payload();
    (
        format!(r#"{{"topic":"{topic}","messages":[{{"#),
        format!(r#""payload":{payload}}}]}}"#),
    )
}
