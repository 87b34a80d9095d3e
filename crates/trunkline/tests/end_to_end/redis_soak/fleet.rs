//! The processes of a soak on one Redis: two gateways and six workers. Each can be killed, and so can Redis.

use crate::setup::{Running, Server, text, trunkline};
use rustix::process::Signal;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use tempfile::TempDir;
use trunkline_test_servers::{Redis, ports, program};

pub(crate) const GATEWAYS: usize = 2;
/// Over a gateway, on Redis itself, and somebody else's, of each wire.
const WORKERS: usize = 6;
/// What is confirmed is on its disk.
const DURABLE: [&str; 4] = ["--appendonly", "yes", "--appendfsync", "always"];

/// Notes a call and echoes it. One whose worker was killed before it had said which is none.
const RUN: &str = r#"x=$(cat); test -n "$x" || exit 1; echo "$x" >> "$0"; echo "$x""#;

/// What can be killed.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Victim {
    Gateway(usize),
    Worker(usize),
    Redis,
}

impl Victim {
    /// All but Redis.
    pub(crate) fn processes() -> Vec<Self> {
        let gateways = (0..GATEWAYS).map(Self::Gateway);
        gateways.chain((0..WORKERS).map(Self::Worker)).collect()
    }
}

/// What calls are carried over.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Wire {
    Streams,
    Lists,
}

impl Wire {
    /// The method that its workers offer.
    pub(crate) const fn method(self) -> &'static str {
        match self {
            Self::Streams => "echo",
            Self::Lists => "mirror",
        }
    }
}

pub(crate) struct Fleet {
    redis: Redis,
    dir: TempDir,
    python: PathBuf,
    ports: [u16; GATEWAYS],
    gateways: [Option<Server>; GATEWAYS],
    workers: [Option<Running>; WORKERS],
}

impl Fleet {
    /// Starts everything; `None`, after saying so, where there is no Redis or Python.
    pub(crate) fn start() -> Option<Self> {
        let mut fleet = Self {
            redis: Redis::start_with(&DURABLE)?,
            dir: TempDir::new().unwrap(),
            python: program("TRUNKLINE_TEST_PYTHON")?,
            ports: ports(),
            gateways: Default::default(),
            workers: Default::default(),
        };
        let config = format!(
            "version: 1\n\
             engine: {{url: '{}', lease: 1s}}\n\
             calls: {{categories: {{old: {{wire: consumer-groups, methods: [{echo}]}}, \
                                    older: {{wire: rpcprocessor}}}}, \
                      wires: {{rpcprocessor: {{handlers: {{H: [{mirror}]}}}}}}}}\n",
            fleet.redis.url(),
            echo = Wire::Streams.method(),
            mirror = Wire::Lists.method(),
        );
        fs::write(fleet.config(), config).unwrap();
        fs::write(fleet.runs(), "").unwrap();
        for victim in Victim::processes() {
            fleet.restart(victim);
        }
        Some(fleet)
    }

    /// As `kill -9` does.
    pub(crate) fn kill(&mut self, victim: Victim) {
        match victim {
            Victim::Gateway(index) => {
                if let Some(gateway) = self.gateways[index].take() {
                    gateway.kill();
                }
            }
            Victim::Worker(index) => {
                if let Some(mut worker) = self.workers[index].take() {
                    worker.signal(Signal::KILL);
                    worker.wait();
                }
            }
            Victim::Redis => self.redis.kill(),
        }
    }

    pub(crate) fn restart(&mut self, victim: Victim) {
        match victim {
            Victim::Gateway(index) => {
                let address = format!("127.0.0.1:{}", self.ports[index]);
                let config = self.config();
                let args = ["--http", &address, "--config", text(&config)];
                self.gateways[index] = Some(Server::start(&args));
            }
            Victim::Worker(index) => {
                let mut worker = Running::start(self.worker(index));
                worker.says("ready");
                self.workers[index] = Some(worker);
            }
            Victim::Redis => self.redis.restart(),
        }
    }

    fn worker(&self, index: usize) -> Command {
        let runs = self.runs();
        let redis = self.redis.url();
        let gateway = format!("ws://127.0.0.1:{}/", self.ports[0]);
        let (wire, name, category) = if index.is_multiple_of(2) {
            (Wire::Streams, "consumer-groups", "old")
        } else {
            (Wire::Lists, "rpcprocessor", "older")
        };
        let over = match index / 2 {
            0 => vec!["--url", &gateway, "worker", "--category", category],
            1 => vec!["worker", "--engine", &redis, "--wire", name],
            _ => {
                let script = Path::new(env!("CARGO_MANIFEST_DIR"))
                    .join("tests/end_to_end/redis_soak/worker.py");
                let mut command = Command::new(&self.python);
                command.arg(script).args([name, &redis]).arg(&runs);
                return command;
            }
        };
        let handler = match wire {
            Wire::Streams => "h",
            Wire::Lists => "H",
        };
        let mut command = trunkline(&over);
        command
            .args(["--handler", handler, "--method", wire.method()])
            .args(["--concurrency", "4", "--", "sh", "-c", RUN])
            .arg(&runs);
        command
    }

    /// Where a gateway is, whether it runs or not.
    pub(crate) fn gateway(&self, index: usize) -> String {
        format!("ws://127.0.0.1:{}/", self.ports[index])
    }

    /// What was run, each time, by whomever.
    pub(crate) fn all_runs(&self) -> Vec<String> {
        let runs = fs::read_to_string(self.runs()).unwrap();
        runs.lines().map(str::to_owned).collect()
    }

    fn runs(&self) -> PathBuf {
        self.dir.path().join("runs")
    }

    fn config(&self) -> PathBuf {
        self.dir.path().join("trunkline.yaml")
    }
}
