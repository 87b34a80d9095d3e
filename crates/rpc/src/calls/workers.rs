//! The workers of this process and what they run. Pure.

use super::stats::Stats;
use compact_str::CompactString;
use hashbrown::HashMap;
use std::{
    collections::BTreeMap,
    sync::{Arc, Weak},
};
use trunkline_model::{
    DispatchId, HandlerInfo, HandlerName, MethodSpec, Timestamp, WorkerHandle, WorkerSpec,
};

/// The workers of this process.
#[derive(Default)]
pub(super) struct Locals {
    workers: BTreeMap<u64, Local>,
    stats: BTreeMap<HandlerName, Arc<Stats>>,
    last: u64,
}

struct Local {
    spec: WorkerSpec,
    /// `None`: the native one.
    wire: Option<CompactString>,
    open: bool,
    handle: Weak<dyn WorkerHandle>,
}

/// Stands in until a worker has its handle.
struct NoHandle;

impl WorkerHandle for NoHandle {
    fn drain(&self) {}
    fn running(&self) -> u32 {
        0
    }
}

impl Locals {
    /// A worker comes: its number and its handler's counters.
    pub(super) fn add(
        &mut self,
        spec: WorkerSpec,
        wire: Option<CompactString>,
    ) -> (u64, Arc<Stats>) {
        self.last += 1;
        let stats = self
            .stats
            .entry(spec.handler.clone())
            .or_insert_with(|| Arc::new(Stats::new()))
            .clone();
        let local = Local {
            spec,
            wire,
            open: true,
            handle: Weak::<NoHandle>::new(),
        };
        self.workers.insert(self.last, local);
        (self.last, stats)
    }

    /// It has its handle.
    pub(super) fn handle(&mut self, worker: u64, handle: Weak<dyn WorkerHandle>) {
        if let Some(local) = self.workers.get_mut(&worker) {
            local.handle = handle;
        }
    }

    /// The handles of all workers.
    pub(super) fn handles(&self) -> Vec<(u64, Arc<dyn WorkerHandle>)> {
        let held = |(number, local): (&u64, &Local)| Some((*number, local.handle.upgrade()?));
        self.workers.iter().filter_map(held).collect()
    }

    /// A worker takes nothing new: what its handler offers from here now.
    pub(super) fn close(&mut self, worker: u64, process: &CompactString) -> Option<HandlerInfo> {
        let local = self.workers.get_mut(&worker)?;
        if !std::mem::replace(&mut local.open, false) {
            return None;
        }
        let handler = local.spec.handler.clone();
        let info = info_of(local, process);
        Some(self.info(&handler, process).unwrap_or(info))
    }

    /// A worker is gone: what its handler offers from here now, if that changes.
    pub(super) fn remove(&mut self, worker: u64, process: &CompactString) -> Option<HandlerInfo> {
        let info = self.close(worker, process);
        let local = self.workers.remove(&worker)?;
        let handler = &local.spec.handler;
        if !self.workers.values().any(|l| l.spec.handler == *handler) {
            self.stats.remove(handler);
        }
        info
    }

    /// What every handler offers from here.
    pub(super) fn infos(&self, process: &CompactString) -> Vec<HandlerInfo> {
        let handlers = self.stats.keys();
        handlers.filter_map(|h| self.info(h, process)).collect()
    }

    /// What a handler offers from here; `None` if no worker takes its calls. Where workers
    /// differ, the latest one's word counts.
    pub(super) fn info(
        &self,
        handler: &HandlerName,
        process: &CompactString,
    ) -> Option<HandlerInfo> {
        let mut open = self
            .workers
            .values()
            .rev()
            .filter(|local| local.open && local.spec.handler == *handler);
        let mut info = info_of(open.next()?, process);
        info.workers = 1;
        for local in open {
            info.workers += 1;
            info.concurrency = info.concurrency.saturating_add(local.spec.concurrency);
            for method in &local.spec.methods {
                if !info.methods.iter().any(|known| known.name == method.name) {
                    info.methods.push(method.clone());
                }
            }
        }
        let by_name = |a: &MethodSpec, b: &MethodSpec| a.name.cmp(&b.name);
        info.methods.sort_by(by_name);
        if let Some(stats) = self.stats.get(handler) {
            info.stats = stats.snapshot();
        }
        Some(info)
    }
}

/// A worker's own words, with nobody behind them.
fn info_of(local: &Local, process: &CompactString) -> HandlerInfo {
    let spec = &local.spec;
    HandlerInfo {
        handler: spec.handler.clone(),
        announcer: process.clone(),
        methods: spec.methods.clone(),
        category: spec.category.clone(),
        description: spec.description.clone(),
        kind: spec.kind.clone(),
        wire: local.wire.clone(),
        workers: 0,
        concurrency: spec.concurrency,
        stats: Default::default(),
    }
}

/// What the workers of this process run.
#[derive(Default)]
pub(super) struct Dispatches(HashMap<u64, Dispatched>);

/// One running call.
pub(super) struct Dispatched {
    pub worker: u64,
    pub stats: Arc<Stats>,
    pub started: Timestamp,
    pub deadline: Timestamp,
    /// Nobody waits any more.
    pub cancelled: bool,
}

impl Dispatches {
    pub(super) fn insert(&mut self, dispatch: DispatchId, dispatched: Dispatched) {
        self.0.insert(dispatch.0, dispatched);
    }

    pub(super) fn remove(&mut self, dispatch: DispatchId) -> Option<Dispatched> {
        self.0.remove(&dispatch.0)
    }

    /// Nobody waits any more: the call, to be counted.
    pub(super) fn cancel(&mut self, dispatch: DispatchId) -> Option<&Dispatched> {
        let dispatched = self.0.get_mut(&dispatch.0)?;
        dispatched.cancelled = true;
        Some(dispatched)
    }

    /// A worker is gone: what it ran.
    pub(super) fn remove_of(&mut self, worker: u64) -> Vec<Dispatched> {
        let of = self
            .0
            .extract_if(|_, dispatched| dispatched.worker == worker);
        of.map(|(_, dispatched)| dispatched).collect()
    }
}
