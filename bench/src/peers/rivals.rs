//! Which server is compared in which workload, and from where it comes.

use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use clap::{Args, ValueEnum};
use serde::Serialize;
use trunkline_bench_peers as wire;

use super::{nats, redis};
use crate::host::{Process, free_address};
use crate::measure::Measure;
use crate::workloads::{Context, Needs, Work, Workload, memory, start};

/// A server to compare with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum Peer {
    /// Durable publishing, end to end, fan-out; resident memory.
    Redis,
    /// Calls; memory per waiting message and time to start, with JetStream.
    Nats,
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Peer::Redis => "Redis",
            Peer::Nats => "NATS",
        })
    }
}

/// What was typed about the servers to compare with.
#[derive(Args, Clone, Debug)]
pub struct PeerArgs {
    /// Servers to compare with in the same run, separated by commas.
    #[arg(long, value_enum, value_delimiter = ',', value_name = "LIST")]
    pub peers: Vec<Peer>,

    /// The program for --peers redis.
    #[arg(
        long,
        env = "TRUNKLINE_BENCH_REDIS",
        default_value = "redis-server",
        value_name = "FILE"
    )]
    pub redis_server: PathBuf,

    /// The program for --peers nats.
    #[arg(
        long,
        env = "TRUNKLINE_BENCH_NATS",
        default_value = "nats-server",
        value_name = "FILE"
    )]
    pub nats_server: PathBuf,
}

/// A server in the shape in which it is compared: one line of the report's head.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Rival {
    pub(crate) peer: Peer,
    pub(crate) version: String,
    pub(crate) durability: &'static str,
}

/// Starts and loads the servers to compare with.
pub(crate) struct Rivals {
    args: PeerArgs,
    data_root: PathBuf,
}

impl Rivals {
    pub(crate) fn new(args: PeerArgs, data_root: PathBuf) -> Rivals {
        Rivals { args, data_root }
    }

    pub(crate) fn are_asked_for(&self) -> bool {
        !self.args.peers.is_empty()
    }

    /// Asks every server for its version.
    pub(crate) fn describe(&self) -> Result<Vec<Rival>> {
        let mut rivals = Vec::new();
        for &peer in &self.args.peers {
            let address = free_address()?;
            let way = match peer {
                Peer::Redis => Way::Redis,
                Peer::Nats => Way::Nats,
            };
            let _process = self.start(way, address)?;
            let mut add = |version: &str, durability| {
                rivals.push(Rival {
                    peer,
                    version: version.to_owned(),
                    durability,
                });
            };
            match peer {
                Peer::Redis => add(
                    &wire::redis::Connection::open(address)?.version()?,
                    wire::redis::DURABILITY,
                ),
                Peer::Nats => add(
                    wire::nats::Connection::open(address)?.version(),
                    wire::nats::DURABILITY,
                ),
            }
        }
        Ok(rivals)
    }

    /// What `workload` is compared with, of the servers that were asked for.
    pub(crate) fn counterparts(&self, workload: &Workload) -> Vec<Counterpart> {
        let mut all = counterparts(workload.work);
        all.retain(|its| self.args.peers.contains(&its.way.peer()));
        all
    }

    /// Runs a counterpart of `workload` on a server that is started for it.
    pub(crate) fn run(
        &self,
        workload: &Workload,
        its: Counterpart,
        context: Context<'_>,
    ) -> Result<Measure> {
        let address = free_address()?;
        let mut process = self.start(its.way, address)?;
        if workload.needs() == Needs::RestartedServer {
            let filled = nats::fill_stream(&context.on(&process), address);
            process.explain(filled)?;
            let messages = context.plan.backlog;
            process.restart(|| nats::holds(address, messages))?;
        }
        let outcome = run_on(workload.work, &context.on(&process), address);
        process
            .explain(outcome)
            .with_context(|| format!("the same on {}", its.way.peer()))
    }

    fn start(&self, way: Way, address: SocketAddr) -> Result<Process> {
        let command = |data: &Path| match way {
            Way::Redis => wire::redis::command(&self.args.redis_server, address, data),
            Way::Nats => wire::nats::command(&self.args.nats_server, address, data, false),
            Way::JetStream => wire::nats::command(&self.args.nats_server, address, data, true),
        };
        let is_ready = || match way.peer() {
            Peer::Redis => wire::redis::is_ready(address),
            Peer::Nats => wire::nats::is_ready(address),
        };
        Process::start(&self.data_root, command, is_ready)
    }
}

/// What stands against a workload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Counterpart {
    way: Way,
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
enum Way {
    Redis,
    Nats,
    /// NATS with its streams.
    JetStream,
}

impl Way {
    fn peer(self) -> Peer {
        match self {
            Way::Redis => Peer::Redis,
            Way::Nats | Way::JetStream => Peer::Nats,
        }
    }
}

/// What stands against `work`: who is the one to beat comes first.
fn counterparts(work: Work) -> Vec<Counterpart> {
    match work {
        Work::Publish { .. } => vec![judged(Way::Redis, "XADD, one a message, pipelined")],
        Work::EndToEnd { .. } => vec![judged(
            Way::Redis,
            "XADD; XREADGROUP COUNT 100, one XACK and one XDEL a batch",
        )],
        Work::FanOut { .. } => vec![judged(Way::Redis, "PUBLISH to SUBSCRIBE")],
        Work::Calls { .. } => vec![judged(
            Way::Nats,
            "request to a worker that echoes, replies on one wildcard inbox a connection",
        )],
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

fn run_on(work: Work, context: &Context<'_>, address: SocketAddr) -> Result<Measure> {
    match work {
        Work::Publish { publishers, window } => {
            redis::publish(context, address, publishers, window)
        }
        Work::EndToEnd { publishers, window } => {
            redis::end_to_end(context, address, publishers, window)
        }
        Work::FanOut { window } => redis::fan_out(context, address, window),
        Work::Calls {
            connections,
            window,
        } => nats::calls(context, address, connections, window),
        Work::MemoryMessage => nats::memory_per_message(context, address),
        Work::MemoryIdle => memory::idle(context),
        Work::StartEmpty | Work::StartBacklog => start::ready(context),
        Work::FloorSync { .. }
        | Work::FloorEcho { .. }
        | Work::Subscriptions { .. }
        | Work::Settle { .. }
        | Work::Options(_)
        | Work::Backlog(_)
        | Work::Compaction { .. }
        | Work::DiskMixed
        | Work::MemoryConnection
        | Work::MemoryDelayed => bail!("a workload without a counterpart"),
    }
}
