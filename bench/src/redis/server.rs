//! A Redis for one run.

use std::cell::Cell;
use std::net::SocketAddr;
use std::time::Instant;

use anyhow::Result;
use trunkline_bench_peers::redis::{Connection, Durability, command, is_ready};

use crate::host::{Process, free_addresses};
use crate::workloads::Context;

/// A server that was started for a workload, with an empty directory of its own.
pub(super) struct Server {
    pub(super) process: Process,
    pub(super) address: SocketAddr,
}

impl Server {
    pub(super) fn start(context: &Context<'_>, durability: Durability) -> Result<Server> {
        let [address] = free_addresses()?;
        let process = Process::start(
            context.scratch,
            |data| command(context.redis, address, data, durability),
            || is_ready(address),
        )?;
        Ok(Server { process, address })
    }

    pub(super) fn url(&self) -> String {
        format!("redis://{}/", self.address)
    }

    /// Starts it again; when it first answered.
    pub(super) fn restart(&mut self) -> Result<Instant> {
        let address = self.address;
        let answered = Cell::new(Instant::now());
        self.process.restart(|| {
            let is_ready = is_ready(address);
            answered.set(Instant::now());
            is_ready
        })?;
        Ok(answered.get())
    }

    /// How often it was told a command, in lower case.
    pub(super) fn calls_of(&self, command: &str) -> Result<u64> {
        let text = Connection::open(self.address)?.ask(&[b"INFO", b"commandstats"])?;
        let text = String::from_utf8_lossy(&text);
        let begin = format!("cmdstat_{command}:calls=");
        let mut lines = text.lines();
        let line = lines.find_map(|line| line.strip_prefix(&*begin));
        let count = line.and_then(|line| line.split(',').next()?.parse().ok());
        Ok(count.unwrap_or(0))
    }
}
