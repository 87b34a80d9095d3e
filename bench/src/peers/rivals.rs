//! Which server is compared in which workload, and from where it comes.

use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use clap::{Args, ValueEnum};
use serde::Serialize;
use trunkline_bench_peers as wire;

use super::counterpart::{self, Counterpart, Way};
use super::streams;
use crate::host::{Process, free_addresses};
use crate::measure::Measure;
#[cfg(feature = "redis")]
use crate::workloads::Work;
use crate::workloads::{Context, Needs, Workload};

/// How Redis keeps what is compared with ours over its own wires.
const ALWAYS: wire::redis::Durability = wire::redis::Durability::Always;

/// A server to compare with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum Peer {
    /// Durable publishing, end to end, fan-out; resident memory.
    Redis,
    /// Calls; memory per waiting message and time to start, with JetStream. Beside Redis also
    /// publishing and end to end with JetStream, which confirms before it flushes.
    Nats,
    /// What goes over STOMP.
    #[value(name = "rabbitmq")]
    RabbitMq,
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Peer::Redis => "Redis",
            Peer::Nats => "NATS",
            Peer::RabbitMq => "RabbitMQ",
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

    /// The script that starts the server for --peers rabbitmq, without changing the user.
    #[arg(
        long,
        env = "TRUNKLINE_BENCH_RABBITMQ",
        default_value = "/usr/lib/rabbitmq/bin/rabbitmq-server",
        value_name = "FILE"
    )]
    pub rabbitmq_server: PathBuf,
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
            let way = match peer {
                Peer::Redis => Way::Redis,
                Peer::Nats => Way::Nats,
                Peer::RabbitMq => Way::RabbitMq,
            };
            let server = self.start(way)?;
            let mut add = |version: &str, durability| {
                rivals.push(Rival {
                    peer,
                    version: version.to_owned(),
                    durability,
                });
            };
            match peer {
                Peer::Redis => add(
                    &wire::redis::Connection::open(server.address)?.version()?,
                    ALWAYS.text(),
                ),
                Peer::Nats => add(
                    wire::nats::Connection::open(server.address)?.version(),
                    wire::nats::DURABILITY,
                ),
                Peer::RabbitMq => add(
                    &wire::rabbitmq::version(server.address)?,
                    wire::rabbitmq::DURABILITY,
                ),
            }
        }
        Ok(rivals)
    }

    /// What `workload` is compared with, of the servers that were asked for.
    pub(crate) fn counterparts(&self, workload: &Workload) -> Vec<Counterpart> {
        let mut all = counterpart::of(workload.work);
        all.retain(|its| self.args.peers.contains(&its.way.peer()));
        all
    }

    /// The program of Redis.
    #[cfg(feature = "redis")]
    pub(crate) fn redis_program(&self) -> &Path {
        &self.args.redis_server
    }

    /// Runs a counterpart of `workload` on a server that is started for it.
    pub(crate) fn run(
        &self,
        workload: &Workload,
        its: Counterpart,
        context: Context<'_>,
    ) -> Result<Measure> {
        #[cfg(feature = "redis")]
        if let Work::Redis(work) = workload.work {
            return work.run_bare(&context);
        }
        let mut server = self.start(its.way)?;
        let address = server.address;
        if workload.needs() == Needs::RestartedServer {
            let filled = streams::fill(&context.on(&server.process), address);
            server.process.explain(filled)?;
            let messages = context.plan.backlog;
            server
                .process
                .restart(|| streams::holds(address, messages))?;
        }
        let outcome = its.run(workload.work, &context.on(&server.process), address);
        server
            .process
            .explain(outcome)
            .with_context(|| format!("the same on {}", its.way.peer()))
    }

    fn start(&self, way: Way) -> Result<Started> {
        let [address, nodes, daemon] = free_addresses()?;
        let ports = wire::rabbitmq::Ports {
            stomp: address,
            nodes,
            daemon,
        };
        let daemon = (way == Way::RabbitMq).then(|| {
            Process::start(
                &self.data_root,
                |_| wire::rabbitmq::daemon(ports),
                || wire::rabbitmq::daemon_is_ready(ports),
            )
        });
        let daemon = daemon.transpose()?;
        let command = |data: &Path| match way {
            Way::Redis => wire::redis::command(&self.args.redis_server, address, data, ALWAYS),
            Way::Nats => wire::nats::command(&self.args.nats_server, address, data, false),
            Way::JetStream => wire::nats::command(&self.args.nats_server, address, data, true),
            Way::RabbitMq => wire::rabbitmq::command(&self.args.rabbitmq_server, ports, data),
        };
        let is_ready = || match way.peer() {
            Peer::Redis => wire::redis::is_ready(address),
            Peer::Nats => wire::nats::is_ready(address),
            Peer::RabbitMq => wire::rabbitmq::is_ready(address),
        };
        Ok(Started {
            process: Process::start(&self.data_root, command, is_ready)?,
            address,
            _daemon: daemon,
        })
    }
}

/// A server that was started for us.
struct Started {
    process: Process,
    /// Where it is loaded.
    address: SocketAddr,
    /// What it can't do without; stopped after it.
    _daemon: Option<Process>,
}
