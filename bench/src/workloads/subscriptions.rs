//! Topics with several subscriptions: what each costs a publish, and what a life costs that ends
//! only when all have settled.

use anyhow::Result;
use serde_json::json;

use super::consumer::{CREDIT, JsonConsumer};
use super::consumers::Each;
use super::{Context, end_to_end, publish};
use crate::measure::Measure;
use crate::rpc;

const WINDOW: u32 = 512;

/// Publishes to a topic with so many subscriptions, from which nobody consumes.
pub(super) fn publish(context: &Context<'_>, subscriptions: u32) -> Result<Measure> {
    let topic = context.unique(&format!("subscriptions-{subscriptions}"));
    let mut control = context.connect()?;
    for number in 0..subscriptions {
        let params = json!({"topic": topic, "subscription": name(number)});
        rpc::request(&mut control, "rpc.topic.subscribe", &params)?;
    }
    let publisher = publish::publisher(context, &topic)?;
    let measure = publish::measure(context, vec![publisher], WINDOW)?;
    rpc::request(&mut control, "rpc.topic.delete", &json!({"topic": topic}))?;
    Ok(measure)
}

/// The lives of messages that so many subscriptions get, each with one consumer. What counts are
/// messages, and there are as many deliveries as with one subscription.
pub(super) fn settle(context: &Context<'_>, subscriptions: u32) -> Result<Measure> {
    let topic = context.unique(&format!("settle-{subscriptions}"));
    let consumers = (0..subscriptions)
        .map(|number| JsonConsumer::of(context.connect()?, &topic, &name(number), CREDIT))
        .collect::<Result<Vec<_>>>()?;
    let publisher = publish::publisher(context, &topic)?;
    let messages = context.plan.messages / u64::from(subscriptions);
    let measure =
        end_to_end::measure_some(context, vec![publisher], Each(consumers), WINDOW, messages)?;
    let mut control = context.connect()?;
    rpc::request(&mut control, "rpc.topic.delete", &json!({"topic": topic}))?;
    Ok(measure)
}

fn name(number: u32) -> String {
    format!("bench-{number}")
}
