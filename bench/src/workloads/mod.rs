//! The workloads: a file for each kind, and the catalog that names them.

mod backlog;
pub(crate) mod calls;
mod catalog;
mod compaction;
pub(crate) mod consumer;
mod consumers;
mod disk;
pub(crate) mod end_to_end;
pub(crate) mod fan_out;
mod floor_echo;
mod floor_sync;
mod holding;
mod hot;
pub(crate) mod memory;
mod options;
pub(crate) mod publish;
pub(crate) mod start;
pub(crate) mod stomp;
mod subscriptions;

use std::path::Path;

use anyhow::{Context as _, Result};

#[cfg(feature = "peers")]
pub(crate) use self::catalog::Work;
pub(crate) use self::catalog::{ALL, Needs, Workload, choose};
use self::memory::Growth;
use crate::host::{Meter, Process};
use crate::plan::Plan;
use crate::ws::WebSocket;

/// What a workload is given.
#[derive(Clone, Copy)]
pub(crate) struct Context<'a> {
    pub(crate) plan: &'a Plan,
    /// Distinguishes the names that runs use on the same server.
    pub(crate) run: u32,
    /// A directory on the file system of the data.
    pub(crate) scratch: &'a Path,
    /// The server's `/rpc`; empty for a floor.
    pub(crate) url: &'a str,
    /// Where the server speaks STOMP, as `HOST:PORT`; none for a floor.
    pub(crate) stomp: Option<&'a str>,
    /// The server's process, if known.
    pub(crate) pid: Option<u32>,
    /// The server's process, if started by us.
    pub(crate) started: Option<&'a Process>,
    /// The directory of the server's store, if started by us.
    pub(crate) store: Option<&'a Path>,
    pub(crate) prepared: Prepared,
    /// The program of Redis, for workloads that start it themselves.
    #[cfg(feature = "redis")]
    pub(crate) redis: &'a Path,
}

/// What preparing a server has told.
#[derive(Clone, Copy, Default)]
pub(crate) struct Prepared {
    /// How it grew with its backlog.
    growth: Option<Growth>,
}

impl<'a> Context<'a> {
    /// The same, against a server that was just started for it.
    pub(crate) fn on<'p>(&self, process: &'p Process) -> Context<'p>
    where
        'a: 'p,
    {
        Context {
            pid: Some(process.pid()),
            started: Some(process),
            scratch: process.directory(),
            ..*self
        }
    }

    pub(crate) fn connect(&self) -> Result<WebSocket> {
        WebSocket::connect(self.url)
    }

    /// Watches the server and the disk.
    pub(crate) fn meter(&self) -> Meter {
        Meter::new(self.pid, Some(self.scratch))
    }

    /// Watches the server alone: for what must not touch a disk anyway.
    pub(crate) fn meter_without_disk(&self) -> Meter {
        Meter::new(self.pid, None)
    }

    /// A name that no other run uses.
    pub(crate) fn unique(&self, name: &str) -> String {
        format!("bench.{name}.{}.{}", std::process::id(), self.run)
    }

    /// The directory of the server's store.
    fn store(&self) -> Result<&'a Path> {
        self.store.context("the store is not known")
    }

    fn server_pid(&self) -> Result<u32> {
        self.pid.context("the process of the server is not known")
    }
}
