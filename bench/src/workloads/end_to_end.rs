//! From the first publish to the last confirmed ack: the life of a message.

use std::thread;
use std::time::Instant;

use anyhow::Result;
use serde_json::json;

use super::consumer::JsonConsumer;
use super::{Context, publish};
use crate::load::{self, Exchange, Until};
use crate::measure::Measure;
use crate::rpc;

/// `publishers` connections with `window` publishes in flight each, one consumer.
pub(super) fn run(context: &Context<'_>, publishers: u32, window: u32) -> Result<Measure> {
    let topic = context.unique(&format!("end-to-end-{publishers}"));
    let consumer = JsonConsumer::start(context.connect()?, &topic)?;
    let senders = (0..publishers)
        .map(|_| publish::publisher(context, &topic))
        .collect::<Result<Vec<_>>>()?;
    let measure = measure(context, senders, consumer, window)?;
    let mut control = context.connect()?;
    rpc::request(&mut control, "rpc.topic.delete", &json!({"topic": topic}))?;
    Ok(measure)
}

/// The receiving side of the life of a message.
pub(crate) trait Consumer {
    /// Consumes until the server has confirmed the acks of `messages` deliveries.
    fn settle(&mut self, messages: u64) -> Result<()>;
}

/// A tenth of the plan's messages that doesn't count, then all of them.
pub(crate) fn measure<E: Exchange>(
    context: &Context<'_>,
    senders: Vec<E>,
    consumer: impl Consumer,
    window: u32,
) -> Result<Measure> {
    measure_some(context, senders, consumer, window, context.plan.messages)
}

/// The same, with so many messages.
pub(super) fn measure_some<E: Exchange>(
    context: &Context<'_>,
    mut senders: Vec<E>,
    mut consumer: impl Consumer,
    window: u32,
    messages: u64,
) -> Result<Measure> {
    let meter = context.meter();

    pass(&mut senders, &mut consumer, window, messages / 10)?;
    let before = meter.read()?;
    let started = Instant::now();
    let settled = pass(&mut senders, &mut consumer, window, messages)?;
    let elapsed = started.elapsed();
    let usage = meter.read()?.since(&before);
    let per_second = settled as f64 / elapsed.as_secs_f64();
    Ok(Measure::of_rate(settled, per_second, usage))
}

/// Publishes about `messages` and returns how many, once all are acked and that is confirmed.
fn pass<E: Exchange>(
    senders: &mut [E],
    consumer: &mut impl Consumer,
    window: u32,
    messages: u64,
) -> Result<u64> {
    let each = messages / senders.len() as u64;
    let all = each * senders.len() as u64;
    thread::scope(|scope| {
        let publishing: Vec<_> = senders
            .iter_mut()
            .map(|sender| {
                scope.spawn(move || load::run_loop(sender, window, Until::Requests(each)).map(drop))
            })
            .collect();
        let consumed = consumer.settle(all);
        for publisher in publishing {
            publisher
                .join()
                .expect("a load thread returns its errors")?;
        }
        consumed
    })?;
    Ok(all)
}
