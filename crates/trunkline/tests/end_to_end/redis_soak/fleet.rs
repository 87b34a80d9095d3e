//! The processes of a soak on one Redis: two gateways and three workers, each of which can be killed.

use crate::setup::{Running, Server, text, trunkline};
use rustix::process::Signal;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use tempfile::TempDir;
use trunkline_test_servers::{Redis, ports, program};

pub(crate) const GATEWAYS: usize = 2;
/// Over a gateway, on Redis itself, and somebody else's.
const WORKERS: usize = 3;

/// Notes a call and echoes it. One whose worker was killed before it had said which is none.
const RUN: &str = r#"x=$(cat); test -n "$x" || exit 1; echo "$x" >> "$0"; echo "$x""#;

/// What can be killed.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Victim {
    Gateway(usize),
    Worker(usize),
}

impl Victim {
    /// All of them.
    pub(crate) fn all() -> Vec<Self> {
        let gateways = (0..GATEWAYS).map(Self::Gateway);
        gateways.chain((0..WORKERS).map(Self::Worker)).collect()
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
            redis: Redis::start()?,
            dir: TempDir::new().unwrap(),
            python: program("TRUNKLINE_TEST_PYTHON")?,
            ports: ports(),
            gateways: Default::default(),
            workers: Default::default(),
        };
        let config = format!(
            "version: 1\n\
             engine: {{url: '{}', lease: 1s}}\n\
             calls: {{categories: {{old: {{wire: consumer-groups, methods: [echo]}}}}}}\n",
            fleet.redis.url()
        );
        fs::write(fleet.config(), config).unwrap();
        fs::write(fleet.runs(), "").unwrap();
        for victim in Victim::all() {
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
        }
    }

    fn worker(&self, index: usize) -> Command {
        let runs = self.runs();
        let redis = self.redis.url();
        let gateway = format!("ws://127.0.0.1:{}/", self.ports[0]);
        let over = match index {
            0 => vec!["--url", &gateway, "worker", "--category", "old"],
            1 => vec!["worker", "--engine", &redis, "--wire", "consumer-groups"],
            _ => {
                let script = Path::new(env!("CARGO_MANIFEST_DIR"))
                    .join("tests/end_to_end/redis_soak/worker.py");
                let mut command = Command::new(&self.python);
                command.arg(script).args([&redis, "python-0"]).arg(&runs);
                return command;
            }
        };
        let mut command = trunkline(&over);
        command
            .args(["--handler", "h", "--method", "echo", "--concurrency", "4"])
            .args(["--", "sh", "-c", RUN])
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
