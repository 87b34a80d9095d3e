//! The workloads, one file each kind, and the table that names them.

mod calls;
mod end_to_end;
mod fan_out;
mod floor_echo;
mod floor_sync;
mod memory;
mod publish;
mod start;

use std::path::Path;

use anyhow::{Context as _, Result};

use crate::host::{Meter, Server};
use crate::measure::Measure;
use crate::plan::Plan;
use crate::ws::WebSocket;

/// One line of the table of results.
#[derive(Clone, Copy)]
pub(crate) struct Workload {
    /// How it is chosen; what stands before the last `-` names its group.
    pub(crate) name: &'static str,
    /// What it does, in a few words.
    pub(crate) about: &'static str,
    pub(crate) needs: Needs,
    pub(crate) run: fn(&Context<'_>) -> Result<Measure>,
}

/// What a workload has to find.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Needs {
    /// Only the machine: it is a floor.
    Nothing,
    /// A server, freshly started or given by URL.
    Server,
    /// A server that was just started by us.
    FreshServer,
}

/// What a workload is given.
pub(crate) struct Context<'a> {
    pub(crate) plan: &'a Plan,
    /// Distinguishes the names that runs use on the same server.
    pub(crate) run: u32,
    /// A directory on the file system of the data.
    pub(crate) scratch: &'a Path,
    /// The server's `/rpc`; empty for a floor.
    pub(crate) url: &'a str,
    /// The server's process, if known.
    pub(crate) pid: Option<u32>,
    /// The server, if started by us.
    pub(crate) server: Option<&'a Server>,
}

impl Context<'_> {
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

    fn server_pid(&self) -> Result<u32> {
        self.pid.context("the process of the server is not known")
    }
}

const fn workload(
    name: &'static str,
    about: &'static str,
    needs: Needs,
    run: fn(&Context<'_>) -> Result<Measure>,
) -> Workload {
    Workload {
        name,
        about,
        needs,
        run,
    }
}

/// All workloads, in the order in which they run and are shown.
pub(crate) const ALL: &[Workload] = {
    use Needs::{FreshServer, Nothing, Server};
    &[
        workload(
            "floor-sync-1",
            "overwrite + fdatasync, 1 record",
            Nothing,
            |context| floor_sync::run(context, 1),
        ),
        workload(
            "floor-sync-512",
            "overwrite + fdatasync, 512 records",
            Nothing,
            |context| floor_sync::run(context, 512),
        ),
        workload(
            "floor-echo-1",
            "bare WebSocket echo, 1 in flight",
            Nothing,
            |context| floor_echo::run(context, 1),
        ),
        workload(
            "floor-echo-64",
            "bare WebSocket echo, window 64",
            Nothing,
            |context| floor_echo::run(context, 64),
        ),
        workload(
            "publish-1",
            "durable publish, 1 in flight",
            Server,
            |context| publish::run(context, 1, 1),
        ),
        workload(
            "publish-512",
            "durable publish, window 512",
            Server,
            |context| publish::run(context, 1, 512),
        ),
        workload("calls-1", "calls, 1 in flight", Server, |context| {
            calls::run(context, 1, 1)
        }),
        workload(
            "calls-64",
            "calls, 64 in flight, 1 connection",
            Server,
            |context| calls::run(context, 1, 64),
        ),
        workload(
            "publish-16x256",
            "durable publish, 16 × window 256",
            Server,
            |context| publish::run(context, 16, 256),
        ),
        workload(
            "end-to-end-1",
            "publish → ack confirmed, 1 publisher",
            Server,
            |context| end_to_end::run(context, 1, 512),
        ),
        workload(
            "end-to-end-16",
            "publish → ack confirmed, 16 publishers",
            Server,
            |context| end_to_end::run(context, 16, 256),
        ),
        workload(
            "calls-1000",
            "calls, 1,000 in flight, 1 connection",
            Server,
            |context| calls::run(context, 1, 1_000),
        ),
        workload(
            "calls-64x1",
            "calls, 64 connections × 1 in flight",
            Server,
            |context| calls::run(context, 64, 1),
        ),
        workload(
            "fan-out-1000",
            "channel 1 → 100, window 1,000",
            Server,
            |context| fan_out::run(context, 1_000),
        ),
        workload(
            "fan-out-20",
            "channel 1 → 100, window 20",
            Server,
            |context| fan_out::run(context, 20),
        ),
        workload("memory-idle", "resident, idle", FreshServer, memory::idle),
        workload(
            "memory-connection",
            "resident per idle connection",
            FreshServer,
            memory::per_connection,
        ),
        workload(
            "memory-message",
            "resident per waiting message",
            FreshServer,
            memory::per_message,
        ),
        workload(
            "start-empty",
            "ready, empty data directory",
            FreshServer,
            start::empty,
        ),
    ]
};

/// The workloads that `names` choose: by name or by group, all if there are none.
pub(crate) fn choose(names: &[String]) -> Result<Vec<Workload>> {
    for name in names {
        if !ALL.iter().any(|workload| is_chosen(workload, name)) {
            let known: Vec<&str> = ALL.iter().map(|workload| workload.name).collect();
            anyhow::bail!("no workload {name}; there are {}", known.join(", "));
        }
    }
    Ok(ALL
        .iter()
        .filter(|workload| names.is_empty() || names.iter().any(|name| is_chosen(workload, name)))
        .copied()
        .collect())
}

fn is_chosen(workload: &Workload, name: &str) -> bool {
    workload.name == name
        || workload
            .name
            .strip_prefix(name)
            .is_some_and(|rest| rest.starts_with('-'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(names: &[&str]) -> Vec<&'static str> {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        choose(&names)
            .unwrap()
            .iter()
            .map(|workload| workload.name)
            .collect()
    }

    #[test]
    fn names_and_groups_choose() {
        assert_eq!(chosen(&[]).len(), ALL.len());
        assert_eq!(chosen(&["calls-1"]), ["calls-1"]);
        assert_eq!(
            chosen(&["floor-echo", "calls-64"]),
            ["floor-echo-1", "floor-echo-64", "calls-64"]
        );
        assert_eq!(chosen(&["end-to-end"]), ["end-to-end-1", "end-to-end-16"]);
        assert!(choose(&["call".to_owned()]).is_err());
    }

    #[test]
    fn names_are_unique() {
        let mut names = chosen(&[]);
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), ALL.len());
    }
}
