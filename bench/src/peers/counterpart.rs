//! What stands against each workload.

use std::net::SocketAddr;

use anyhow::{Result, bail};

use super::{Peer, nats, rabbitmq, redis, streams};
use crate::measure::Measure;
use crate::workloads::{Context, Work, memory, start};

/// What stands against a workload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Counterpart {
    pub(super) way: Way,
    /// What it does, in a few words.
    pub(super) form: &'static str,
    /// Whether marks are judged by it; others are only shown.
    pub(super) is_judged: bool,
}

#[cfg(test)]
impl Counterpart {
    /// One that says whether it is judged and nothing else.
    pub(super) fn for_a_test(is_judged: bool) -> Counterpart {
        Counterpart {
            is_judged,
            ..judged(Way::Redis, "")
        }
    }
}

/// All runs of one counterpart.
#[derive(Debug)]
pub(crate) struct RivalRuns {
    pub(crate) counterpart: Counterpart,
    pub(crate) runs: Vec<Measure>,
}

impl RivalRuns {
    /// None yet.
    pub(crate) fn new(counterpart: Counterpart) -> RivalRuns {
        RivalRuns {
            counterpart,
            runs: Vec::new(),
        }
    }
}

/// A server and how it is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    Redis,
    Nats,
    /// NATS with its streams.
    JetStream,
    /// RabbitMQ over STOMP, with quorum queues.
    RabbitMq,
}

impl Way {
    pub(super) fn peer(self) -> Peer {
        match self {
            Way::Redis => Peer::Redis,
            Way::Nats | Way::JetStream => Peer::Nats,
            Way::RabbitMq => Peer::RabbitMq,
        }
    }
}

/// What stands against `work`: who is the one to beat comes first.
pub(super) fn of(work: Work) -> Vec<Counterpart> {
    match work {
        // A publish to a stream is confirmed before it is flushed: it promises less than ours.
        Work::Publish { .. } => vec![
            judged(Way::Redis, "XADD, one a message, pipelined"),
            shown(
                Way::JetStream,
                "JetStream publish, confirmed before it is flushed",
            ),
        ],
        Work::EndToEnd { .. } => vec![
            judged(
                Way::Redis,
                "XADD; XREADGROUP COUNT 100, one XACK and one XDEL a batch",
            ),
            shown(
                Way::JetStream,
                "JetStream work queue, each message acked, one ack a read confirmed; before flushed",
            ),
        ],
        Work::FanOut { .. } => vec![judged(Way::Redis, "PUBLISH to SUBSCRIBE")],
        Work::Calls { .. } => vec![judged(
            Way::Nats,
            "request to a worker that echoes, replies on one wildcard inbox a connection",
        )],
        Work::StompPublish { .. } => vec![judged(
            Way::RabbitMq,
            "RabbitMQ quorum queue, SEND with receipt",
        )],
        Work::StompEndToEnd { .. } => vec![judged(
            Way::RabbitMq,
            "RabbitMQ quorum queue, SEND with receipt; ACK of each",
        )],
        Work::StompFanOut { .. } => vec![
            judged(Way::Redis, "Redis, PUBLISH to SUBSCRIBE"),
            shown(Way::RabbitMq, "RabbitMQ, SEND with receipt to /topic"),
        ],
        #[cfg(feature = "redis")]
        Work::Redis(work) => {
            let form = work.bare_form();
            form.map(|form| judged(Way::Redis, form))
                .into_iter()
                .collect()
        }
        Work::MemoryIdle => vec![judged(Way::Redis, "started, nobody connected")],
        Work::MemoryMessage => vec![judged(
            Way::JetStream,
            "JetStream file store, 1 durable consumer",
        )],
        Work::StartEmpty => vec![judged(Way::JetStream, "JetStream, until it answers PING")],
        Work::StartBacklog => vec![judged(
            Way::JetStream,
            "JetStream file store, until stream info tells all messages",
        )],
        Work::FloorSync { .. }
        | Work::FloorEcho { .. }
        | Work::Subscriptions { .. }
        | Work::Settle { .. }
        | Work::Options(_)
        | Work::Backlog(_)
        | Work::Compaction { .. }
        | Work::DiskMixed
        | Work::MemoryConnection
        | Work::MemoryDelayed => Vec::new(),
    }
}

fn judged(way: Way, form: &'static str) -> Counterpart {
    Counterpart {
        way,
        form,
        is_judged: true,
    }
}

/// One that no mark is judged by.
fn shown(way: Way, form: &'static str) -> Counterpart {
    Counterpart {
        is_judged: false,
        ..judged(way, form)
    }
}

impl Counterpart {
    /// Does `work` on the server at `address`.
    pub(super) fn run(
        &self,
        work: Work,
        context: &Context<'_>,
        address: SocketAddr,
    ) -> Result<Measure> {
        if self.way == Way::RabbitMq {
            return rabbitmq::run(context, &address.to_string(), work);
        }
        match work {
            Work::Publish { publishers, window } if self.way == Way::JetStream => {
                streams::publish(context, address, publishers, window)
            }
            Work::EndToEnd { publishers, window } if self.way == Way::JetStream => {
                streams::end_to_end(context, address, publishers, window)
            }
            Work::Publish { publishers, window } => {
                redis::publish(context, address, publishers, window)
            }
            Work::EndToEnd { publishers, window } => {
                redis::end_to_end(context, address, publishers, window)
            }
            Work::FanOut { window } | Work::StompFanOut { window } => {
                redis::fan_out(context, address, window)
            }
            Work::Calls {
                connections,
                window,
            } => nats::calls(context, address, connections, window),
            Work::MemoryMessage => streams::memory_per_message(context, address),
            Work::MemoryIdle => memory::idle(context),
            Work::StartEmpty | Work::StartBacklog => start::ready(context),
            _ => bail!("a workload without a counterpart"),
        }
    }
}
