//! Over STOMP: durable SENDs with receipts, end to end with an ACK for every message, fan-out.

use anyhow::{Context as _, Result};

use super::{Context, consumer, end_to_end, fan_out, publish};
use crate::measure::Measure;
use crate::rpc;
use crate::stomp::{Consumer, Dialect, Listener, Sender, TRUNKLINE};

/// A server that speaks STOMP.
#[derive(Clone, Copy)]
pub(crate) struct Broker<'a> {
    /// `HOST:PORT`.
    pub(crate) authority: &'a str,
    pub(crate) dialect: &'a Dialect,
    /// Messages that go end to end.
    pub(crate) messages: u64,
}

impl<'a> Broker<'a> {
    /// The server that is measured.
    pub(super) fn ours(context: &Context<'a>) -> Result<Broker<'a>> {
        Ok(Broker {
            authority: context
                .stomp
                .context("where STOMP is served is not known")?,
            dialect: &TRUNKLINE,
            messages: context.plan.messages,
        })
    }

    fn senders(&self, queue: &str, count: u32) -> Result<Vec<Sender>> {
        let Broker {
            authority, dialect, ..
        } = *self;
        let body = rpc::filler(rpc::PAYLOAD_BYTES);
        (0..count)
            .map(|_| Sender::connect(authority, dialect, queue, dialect.send, &body))
            .collect()
    }
}

/// `publishers` connections with `window` SENDs in flight each, all to one queue.
pub(crate) fn publish(
    context: &Context<'_>,
    broker: &Broker<'_>,
    publishers: u32,
    window: u32,
) -> Result<Measure> {
    let name = context.unique(&format!("stomp-publish-{publishers}x{window}"));
    let queue = format!("/queue/{name}");
    // Not all at once: RabbitMQ fails some of those who make the same quorum queue together.
    for mut sender in broker.senders(&queue, 1)? {
        sender.send_once()?;
    }
    let senders = broker.senders(&queue, publishers)?;
    publish::measure(context, senders, window)
}

/// The same, and one consumer. The clock stops with the receipt of the last ACK.
pub(crate) fn end_to_end(
    context: &Context<'_>,
    broker: &Broker<'_>,
    publishers: u32,
    window: u32,
) -> Result<Measure> {
    let name = context.unique(&format!("stomp-end-to-end-{publishers}"));
    let queue = format!("/queue/{name}");
    let consumer = Consumer::connect(broker.authority, broker.dialect, &queue, consumer::CREDIT)?;
    let senders = broker.senders(&queue, publishers)?;
    end_to_end::measure_some(context, senders, consumer, window, broker.messages)
}

/// One SEND to a `/topic/` for a hundred subscriptions.
pub(crate) fn fan_out(context: &Context<'_>, broker: &Broker<'_>, window: u32) -> Result<Measure> {
    let Broker {
        authority, dialect, ..
    } = *broker;
    let topic = format!(
        "/topic/{}",
        context.unique(&format!("stomp-fan-out-{window}"))
    );
    let body = rpc::filler(rpc::PAYLOAD_BYTES);
    let listeners = (0..fan_out::LISTENERS)
        .map(|_| Listener::connect(authority, dialect, &topic, &body))
        .collect::<Result<Vec<_>>>()?;
    let publisher = Sender::connect(authority, dialect, &topic, "", &body)?;
    fan_out::measure(context, publisher, listeners, window)
}

impl end_to_end::Consumer for Consumer {
    fn settle(&mut self, messages: u64) -> Result<()> {
        Consumer::settle(self, messages)
    }
}

impl fan_out::Listener for Listener {
    fn read(&mut self) -> Result<u64> {
        Listener::read(self)
    }
}
