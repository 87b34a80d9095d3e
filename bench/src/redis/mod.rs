//! What this repository does over Redis, in this process, and bare clients that do the same with
//! plain commands on a server of the same kind.
//!
//! `calls.rs` asks and answers over the two wires that others speak, `bare_streams.rs` and
//! `bare_lists.rs` do it by hand; `topics.rs` publishes and consumes; `fan_out.rs`, `promises.rs` and `resubscribe.rs` are about the
//! multiplexer.

mod answers;
mod bare_lists;
mod bare_streams;
mod calls;
mod fan_out;
mod promises;
mod resubscribe;
mod server;
mod topics;

use anyhow::{Context as _, Result, bail};
use tokio::runtime::{self, Runtime};

use trunkline_bench_peers::redis::Durability;

use self::server::Server;
use crate::measure::Measure;
use crate::peers;
use crate::workloads::Context;

/// Publishes in flight, end to end.
const WINDOW: u32 = 512;

/// What is done over Redis, and how much of it at once.
#[derive(Clone, Copy, Debug)]
pub(crate) enum RedisWork {
    Calls { wire: Wire, window: u32 },
    Publish { durability: Durability, window: u32 },
    EndToEnd { durability: Durability },
    FanOut,
    Promises,
    PromisesGrowth,
    Resubscribe { since: Since, waits: Waits },
}

/// How calls travel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wire {
    /// Streams with consumer groups.
    Streams,
    /// Lists, as rpcprocessor has them.
    Lists,
    /// Our own, over topics and channels of the engine.
    Native,
}

/// From which moment on names are waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Since {
    /// The multiplexer has a connection.
    Accepted,
    /// The server answers PING.
    Answered,
}

/// How long a multiplexer waits between attempts to connect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Waits {
    /// As the program has it.
    Program,
    /// As the library has it unless told.
    Library,
}

impl RedisWork {
    pub(crate) fn run(self, context: &Context<'_>) -> Result<Measure> {
        match self {
            RedisWork::Calls { wire, window } => calls::run(context, wire, window),
            RedisWork::Publish { durability, window } => {
                topics::publish(context, durability, window)
            }
            RedisWork::EndToEnd { durability } => topics::end_to_end(context, durability, WINDOW),
            RedisWork::FanOut => fan_out::run(context),
            RedisWork::Promises => promises::rate(context),
            RedisWork::PromisesGrowth => promises::growth(context),
            RedisWork::Resubscribe { since, waits } => resubscribe::run(context, since, waits),
        }
    }

    /// What the bare client does, where there is one.
    pub(crate) fn bare_form(self) -> Option<&'static str> {
        match self {
            RedisWork::Calls { wire, .. } => match wire {
                Wire::Streams => Some("bare XADD → XREADGROUP → PUBLISH, XACK of each"),
                Wire::Lists => Some("bare HSET, LPUSH → BRPOP, HGET → HSET, LPUSH → BRPOP of all"),
                Wire::Native => None,
            },
            RedisWork::Publish { .. } => Some("bare XADD, one a message, pipelined"),
            RedisWork::EndToEnd { .. } => {
                Some("bare XADD; XREADGROUP COUNT 100, one XACK and one XDEL a batch")
            }
            RedisWork::FanOut => Some("bare SUBSCRIBE, handed to 1,000 bounded queues"),
            RedisWork::Promises | RedisWork::PromisesGrowth | RedisWork::Resubscribe { .. } => None,
        }
    }

    /// The same by a bare client.
    pub(crate) fn run_bare(self, context: &Context<'_>) -> Result<Measure> {
        match self {
            RedisWork::Calls { wire, window } => match wire {
                Wire::Streams => bare_streams::run(context, window),
                Wire::Lists => bare_lists::run(context, window),
                Wire::Native => bail!("a wire without a bare client"),
            },
            RedisWork::Publish { durability, window } => {
                let server = Server::start(context, durability)?;
                peers::publish(&context.on(&server.process), server.address, 1, window)
            }
            RedisWork::EndToEnd { durability } => {
                let server = Server::start(context, durability)?;
                peers::end_to_end(&context.on(&server.process), server.address, 1, WINDOW)
            }
            RedisWork::FanOut => fan_out::run_bare(context),
            _ => bail!("a workload without a bare client"),
        }
    }
}

/// Where our libraries run: as many threads as the server has.
fn start_runtime() -> Result<Runtime> {
    let runtime = runtime::Builder::new_multi_thread().enable_all().build();
    runtime.context("starting the runtime of our side")
}
