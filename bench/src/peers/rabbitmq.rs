//! What RabbitMQ does in our workloads over STOMP: the same as our server, in its dialect.

use anyhow::{Result, bail};
use trunkline_bench_peers::rabbitmq as wire;

use crate::measure::Measure;
use crate::stomp::Dialect;
use crate::workloads::stomp::{self, Broker};
use crate::workloads::{Context, Work};

/// A queue of this dialect is a quorum queue.
const QUORUM: Dialect = Dialect {
    connect: wire::CONNECT,
    send: wire::QUORUM,
    subscribe: wire::QUORUM,
};

/// A tenth of our messages: more of a server that is so much slower would only take longer.
const FEWER: u64 = 10;

/// `work`, on the server whose STOMP listener is at `authority`.
pub(super) fn run(context: &Context<'_>, authority: &str, work: Work) -> Result<Measure> {
    let broker = Broker {
        authority,
        dialect: &QUORUM,
        messages: context.plan.messages / FEWER,
    };
    match work {
        Work::StompPublish { publishers, window } => {
            stomp::publish(context, &broker, publishers, window)
        }
        Work::StompEndToEnd { publishers, window } => {
            stomp::end_to_end(context, &broker, publishers, window)
        }
        Work::StompFanOut { window } => stomp::fan_out(context, &broker, window),
        _ => bail!("a workload that is not over STOMP"),
    }
}
