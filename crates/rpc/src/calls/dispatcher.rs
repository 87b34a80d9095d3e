//! Hands calls to the workers of this process. Pure: what a worker is to be told gathers
//! beside it, and whoever holds no lock tells it.
//!
//! A call waits in the *line* of its method, first come first served. A worker that has a
//! free slot takes the oldest call that waits in any of its lines.

use super::stats::Stats;
use compact_str::CompactString;
use hashbrown::HashMap;
use std::{
    collections::VecDeque,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
};
use trunkline_model::{CallSink, DispatchId, IncomingCall, Recent, Timestamp, WorkerSpec};

/// Calls that left a line without being taken are forgotten when there are more of them than
/// this, and than of those that wait.
const GONE_MAX: usize = 64;

/// Most calls for which a worker's packet has room at once.
const TOGETHER_MAX: usize = 64;

/// Lines of calls, workers, and who runs what.
#[derive(Default)]
pub(crate) struct Dispatcher {
    lines: HashMap<CompactString, Line>,
    workers: HashMap<u64, Worker>,
    running: Recent<Running>,
    last_dispatch: u64,
    /// Calls in all lines.
    waiting: usize,
    /// Workers that are to be told something and that nobody is telling anything.
    to_tell: VecDeque<u64>,
}

/// The calls of one method that no worker has.
#[derive(Default)]
struct Line {
    /// In order; some may have ended since.
    calls: VecDeque<u64>,
    /// How many of them have ended.
    gone: usize,
    /// Who offers the method, and whether a call may be repeated.
    workers: Vec<(u64, bool)>,
    /// Whose turn it is.
    next: usize,
}

struct Worker {
    sink: Arc<dyn CallSink>,
    stats: Arc<Stats>,
    methods: Vec<CompactString>,
    concurrency: u32,
    running: Arc<AtomicU32>,
    open: bool,
    events: Vec<WorkerEvent>,
    /// How many calls it was last told of together: room for as many is made at once.
    together: usize,
    /// Somebody tells it what was gathered before, or it is in `to_tell`.
    spoken_for: bool,
}

/// What a worker is to be told.
#[derive(Debug)]
pub(crate) enum WorkerEvent {
    /// Calls to run.
    Calls(Vec<IncomingCall>),
    /// Nobody waits for this one any more.
    Cancelled(DispatchId),
}

/// What is to be told to whom, in this order, without a lock.
pub(crate) struct Tell {
    /// To be given back to [`Dispatcher::told`].
    pub worker: u64,
    /// Whom.
    pub sink: Arc<dyn CallSink>,
    /// Its handler's counters.
    pub stats: Arc<Stats>,
    /// What.
    pub events: Vec<WorkerEvent>,
}

/// A call that a worker runs.
#[derive(Debug)]
pub(crate) struct Running {
    /// Which.
    pub call: u64,
    /// Who runs it.
    pub worker: u64,
    /// Since when.
    pub started: Timestamp,
    /// Until when.
    pub deadline: Timestamp,
    /// Nobody waits for it any more.
    pub cancelled: bool,
}

/// Where a call went.
#[derive(Debug)]
pub(crate) enum Placed {
    /// A worker runs it; what is needed to run it again, if that is allowed.
    Runs {
        /// Under this number.
        dispatch: u64,
        /// What is needed to run it again, if the method may be repeated.
        again: Option<Box<IncomingCall>>,
    },
    /// It waits.
    Waits(Box<IncomingCall>),
}

/// What the table of calls knows of those that wait.
pub(crate) trait Waiters {
    /// Takes what a waiting call needs to be run; `None` if it waits no longer.
    fn take(&mut self, call: u64) -> Option<Box<IncomingCall>>;
    /// A worker has it now.
    fn runs(&mut self, call: u64, dispatch: u64, again: Option<Box<IncomingCall>>);
    /// Whether it still waits.
    fn waits(&self, call: u64) -> bool;
}

impl Worker {
    fn is_free(&self) -> bool {
        self.open && self.running.load(Ordering::Relaxed) < self.concurrency
    }
}

impl Dispatcher {
    /// A worker comes, and takes what waits for it. How many calls it runs can be read from
    /// what this returns.
    pub(crate) fn open(
        &mut self,
        now: Timestamp,
        worker: u64,
        spec: &WorkerSpec,
        (sink, stats): (Arc<dyn CallSink>, Arc<Stats>),
        calls: &mut impl Waiters,
    ) -> Arc<AtomicU32> {
        let running = Arc::new(AtomicU32::new(0));
        for method in &spec.methods {
            let line = self.lines.entry(method.name.clone()).or_default();
            line.workers.push((worker, method.idempotent));
        }
        let entry = Worker {
            sink,
            stats,
            methods: spec.methods.iter().map(|m| m.name.clone()).collect(),
            concurrency: spec.concurrency,
            running: running.clone(),
            open: true,
            events: Vec::new(),
            together: 0,
            spoken_for: false,
        };
        self.workers.insert(worker, entry);
        self.refill(now, worker, calls);
        running
    }

    /// A call comes: a worker runs it, or it waits behind the others of its method.
    pub(crate) fn place(&mut self, now: Timestamp, call: u64, incoming: IncomingCall) -> Placed {
        let line = match self.lines.get_mut(&incoming.method) {
            Some(line) => line,
            None => self.lines.entry(incoming.method.clone()).or_default(),
        };
        let free = if line.calls.len() == line.gone {
            line.free(&self.workers)
        } else {
            None
        };
        let Some((worker, idempotent)) = free else {
            line.calls.push_back(call);
            self.waiting += 1;
            return Placed::Waits(Box::new(incoming));
        };
        let again = idempotent.then(|| Box::new(incoming.clone()));
        let dispatch = self.run(now, worker, call, incoming);
        Placed::Runs { dispatch, again }
    }

    fn run(&mut self, now: Timestamp, worker: u64, call: u64, mut incoming: IncomingCall) -> u64 {
        self.last_dispatch += 1;
        let dispatch = self.last_dispatch;
        incoming.dispatch = DispatchId(dispatch);
        let running = Running {
            call,
            worker,
            started: now,
            deadline: incoming.deadline,
            cancelled: false,
        };
        self.running.insert(dispatch, running);
        if let Some(entry) = self.workers.get_mut(&worker) {
            entry.running.fetch_add(1, Ordering::Relaxed);
            match entry.events.last_mut() {
                Some(WorkerEvent::Calls(calls)) => calls.push(incoming),
                _ => {
                    let mut calls = Vec::with_capacity(entry.together.clamp(1, TOGETHER_MAX));
                    calls.push(incoming);
                    entry.events.push(WorkerEvent::Calls(calls));
                }
            }
        }
        self.must_tell(worker);
        dispatch
    }

    /// Gives a worker what waits for it, as far as it has free slots.
    fn refill(&mut self, now: Timestamp, worker: u64, calls: &mut impl Waiters) {
        while self.waiting > 0 && self.workers.get(&worker).is_some_and(Worker::is_free) {
            let Some((call, incoming, idempotent)) = self.oldest(now, worker, calls) else {
                return;
            };
            let again = idempotent.then(|| incoming.clone());
            let dispatch = self.run(now, worker, call, *incoming);
            calls.runs(call, dispatch, again);
        }
    }

    /// Takes the oldest call that waits for a worker. Those past their deadline are passed
    /// over: they wait for their asker to give up, and are run by nobody.
    fn oldest(
        &mut self,
        now: Timestamp,
        worker: u64,
        calls: &mut impl Waiters,
    ) -> Option<(u64, Box<IncomingCall>, bool)> {
        let methods = &self.workers.get(&worker)?.methods;
        loop {
            let mut oldest: Option<(u64, &CompactString)> = None;
            for method in methods {
                let Some(line) = self.lines.get_mut(method) else {
                    continue;
                };
                line.skip_gone(calls);
                if let Some(call) = line.calls.front()
                    && oldest.is_none_or(|(other, _)| *call < other)
                {
                    oldest = Some((*call, method));
                }
            }
            let (call, method) = oldest?;
            let line = self.lines.get_mut(method)?;
            line.calls.pop_front();
            self.waiting -= 1;
            let incoming = calls.take(call)?;
            if incoming.deadline >= now {
                let offered = line.workers.iter().find(|(number, _)| *number == worker);
                return Some((call, incoming, offered.is_some_and(|(_, again)| *again)));
            }
        }
    }

    /// A worker has answered: the call, if it was running. The slot is free from now on.
    pub(crate) fn settle(
        &mut self,
        now: Timestamp,
        dispatch: u64,
        calls: &mut impl Waiters,
    ) -> Option<Running> {
        let running = self.running.remove(dispatch)?;
        if let Some(worker) = self.workers.get(&running.worker) {
            worker.running.fetch_sub(1, Ordering::Relaxed);
            self.refill(now, running.worker, calls);
        }
        Some(running)
    }

    /// A running call, if somebody waits for it.
    pub(crate) fn awaited(&self, dispatch: u64) -> Option<&Running> {
        self.running
            .get(dispatch)
            .filter(|running| !running.cancelled)
    }

    /// The counters of a worker's handler.
    pub(crate) fn stats(&self, worker: u64) -> Option<&Arc<Stats>> {
        self.workers.get(&worker).map(|worker| &worker.stats)
    }

    /// Nobody waits any more for a call that is in a line.
    pub(crate) fn left(&mut self, method: &str, calls: &impl Waiters) {
        let Some(line) = self.lines.get_mut(method) else {
            return;
        };
        self.waiting -= 1;
        line.gone += 1;
        if line.gone > GONE_MAX && line.gone > line.calls.len() / 2 {
            line.calls.retain(|call| calls.waits(*call));
            line.gone = 0;
        }
        self.drop_unused(method);
    }

    /// Nobody waits any more for a running call. Its slot stays taken until it is answered.
    pub(crate) fn cancel(&mut self, now: Timestamp, dispatch: u64) {
        let Some(running) = self.running.get_mut(dispatch) else {
            return;
        };
        running.cancelled = true;
        let worker = running.worker;
        let timed_out = running.deadline < now;
        if let Some(entry) = self.workers.get_mut(&worker) {
            entry
                .events
                .push(WorkerEvent::Cancelled(DispatchId(dispatch)));
            if timed_out {
                entry.stats.timed_out();
            }
        }
        self.must_tell(worker);
    }

    /// The worker gets nothing new.
    pub(crate) fn close(&mut self, worker: u64) {
        let Some(entry) = self.workers.get_mut(&worker) else {
            return;
        };
        entry.open = false;
        let methods = entry.methods.clone();
        for method in &methods {
            if let Some(line) = self.lines.get_mut(method) {
                line.workers.retain(|(number, _)| *number != worker);
                self.drop_unused(method);
            }
        }
    }

    /// The worker is gone: its counters and what it was running, in the order in which it
    /// got it.
    pub(crate) fn lose(&mut self, worker: u64) -> Option<(Arc<Stats>, Vec<Running>)> {
        self.close(worker);
        let gone = self.workers.remove(&worker)?;
        let lost = self.running.extract(|_, running| running.worker == worker);
        let lost = lost.into_iter().map(|(_, running)| running).collect();
        Some((gone.stats, lost))
    }

    /// A call whose worker was lost waits again, where it stood, or is run by another one.
    pub(crate) fn put_back(&mut self, now: Timestamp, call: u64, again: IncomingCall) -> Placed {
        let line = self.lines.entry(again.method.clone()).or_default();
        if let Some((worker, idempotent)) = line.free(&self.workers) {
            let copy = idempotent.then(|| Box::new(again.clone()));
            let dispatch = self.run(now, worker, call, again);
            return Placed::Runs {
                dispatch,
                again: copy,
            };
        }
        let place = line.calls.partition_point(|other| *other < call);
        line.calls.insert(place, call);
        self.waiting += 1;
        Placed::Waits(Box::new(again))
    }

    /// Takes what is to be told to one worker. Until [`Dispatcher::told`], nobody else tells
    /// it anything: so it hears from one thread at a time, in order.
    pub(crate) fn tell(&mut self) -> Option<Tell> {
        while let Some(number) = self.to_tell.pop_front() {
            if let Some(worker) = self.workers.get_mut(&number) {
                if let Some(WorkerEvent::Calls(calls)) = worker.events.last() {
                    worker.together = calls.len();
                }
                return Some(Tell {
                    worker: number,
                    sink: worker.sink.clone(),
                    stats: worker.stats.clone(),
                    events: std::mem::take(&mut worker.events),
                });
            }
        }
        None
    }

    /// That was told: the next thing to tell.
    pub(crate) fn told(&mut self, number: u64) -> Option<Tell> {
        if let Some(worker) = self.workers.get_mut(&number) {
            worker.spoken_for = !worker.events.is_empty();
            if worker.spoken_for {
                self.to_tell.push_back(number);
            }
        }
        self.tell()
    }

    fn must_tell(&mut self, number: u64) {
        if let Some(worker) = self.workers.get_mut(&number)
            && !std::mem::replace(&mut worker.spoken_for, true)
        {
            self.to_tell.push_back(number);
        }
    }

    /// A line without workers and without calls leaves nothing behind.
    fn drop_unused(&mut self, method: &str) {
        if let Some(line) = self.lines.get(method)
            && line.workers.is_empty()
            && line.calls.len() == line.gone
        {
            self.lines.remove(method);
        }
    }
}

impl Line {
    /// The next worker in turn that has a free slot.
    fn free(&mut self, workers: &HashMap<u64, Worker>) -> Option<(u64, bool)> {
        let count = self.workers.len();
        for step in 0..count {
            let index = (self.next + step) % count;
            let (number, idempotent) = self.workers[index];
            if workers.get(&number).is_some_and(Worker::is_free) {
                self.next = (index + 1) % count;
                return Some((number, idempotent));
            }
        }
        None
    }

    /// Drops calls from the front that have ended.
    fn skip_gone(&mut self, calls: &impl Waiters) {
        while self.gone > 0
            && let Some(front) = self.calls.front()
            && !calls.waits(*front)
        {
            self.calls.pop_front();
            self.gone -= 1;
        }
    }
}
