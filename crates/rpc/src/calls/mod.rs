//! The service that gateways and programs use.

mod config;
mod counters;
mod desk;
mod dispatcher;
mod drain;
mod end;
mod idempotency;
mod local;
mod outstanding;
mod register;
mod registration;
mod registry;
mod request;
mod schema;
mod spec;
mod stats;
mod tick;
mod wires;
mod workers;

pub use config::{CallsConfig, CategoryConfig};
pub use counters::CallCounters;
pub use registration::Registration;
pub use request::CallRequest;
pub use wires::{WireError, WireStats};

use crate::{lock::lock, native::Native};
use bytes::Bytes;
use compact_str::CompactString;
use config::Categories;
use counters::Counters;
use desk::Desk;
use idempotency::{Bounds, Memory};
use registry::Registry;
use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, RwLock, Weak,
        atomic::{AtomicBool, AtomicU64},
    },
};
use tick::Schedule;
use tokio::{
    sync::{Notify, watch},
    task::JoinHandle,
};
use trunkline_model::{
    CallId, CallOutcome, CallWire, Clock, CompletionQueue, DispatchId, Engine, HandlerInfo,
};
use wires::{Foreign, WireNumber};
use workers::{Dispatches, Locals};

/// Calls: asking, answering, and who offers what.
///
/// One per process and engine. Everything returns at once and is safe to call from inside
/// sinks and completions.
pub struct Calls {
    me: Weak<Calls>,
    clock: Arc<dyn Clock>,
    config: CallsConfig,
    categories: Categories,
    /// The wire of categories that name no other.
    wire: Arc<Native>,
    foreign: Foreign,
    /// No other process uses the engine: calls of the native wire go straight to the workers
    /// of this one, and the wire carries announcements only.
    local: bool,
    process: CompactString,
    last_id: AtomicU64,
    desk: Mutex<Desk>,
    remembered: Mutex<Memory>,
    registry: RwLock<Registry>,
    locals: Mutex<Locals>,
    dispatches: Mutex<Dispatches>,
    schedule: Mutex<Schedule>,
    /// Where the wire reports what becomes of calls.
    ends: Arc<CompletionQueue>,
    counters: Counters,
    changed: watch::Sender<u64>,
    draining: AtomicBool,
    /// The timer must look earlier than it would.
    earlier: Arc<Notify>,
    /// Something ended while draining.
    quieter: Notify,
    task: Mutex<Option<JoinHandle<()>>>,
}

impl Calls {
    /// Starts calls over an engine. `whoami` names this process among all that share the
    /// engine: unique, random, at most 900 bytes. Must be called inside a tokio runtime,
    /// in which one task for deadlines and announcements runs until the last handle is
    /// dropped.
    ///
    /// All calls go over the engine, whatever wires the categories name.
    pub fn start(
        engine: Arc<dyn Engine>,
        clock: Arc<dyn Clock>,
        config: CallsConfig,
        whoami: CompactString,
    ) -> Arc<Self> {
        let categories = Categories::native(&config);
        Self::over(
            engine,
            clock,
            config,
            whoami,
            (Foreign::default(), categories),
        )
    }

    /// Starts calls like [`Calls::start`], those of a category over the wire that it names in
    /// [`CategoryConfig::wire`]: `native` is the engine, the others are those given by their names.
    /// They are closed with the calls.
    ///
    /// # Errors
    /// [`WireError`]: a category's wire isn't there, or there are more than 31.
    pub fn start_with(
        engine: Arc<dyn Engine>,
        clock: Arc<dyn Clock>,
        config: CallsConfig,
        whoami: CompactString,
        wires: BTreeMap<CompactString, Arc<dyn CallWire>>,
    ) -> Result<Arc<Self>, WireError> {
        let numbered = Foreign::new(&config, wires)?;
        Ok(Self::over(engine, clock, config, whoami, numbered))
    }

    fn over(
        engine: Arc<dyn Engine>,
        clock: Arc<dyn Clock>,
        config: CallsConfig,
        whoami: CompactString,
        (foreign, categories): (Foreign, Categories),
    ) -> Arc<Self> {
        let local = !engine.capabilities().borrow().shared;
        let wire = Native::start(engine, clock.clone(), whoami.clone());
        let announcements = wire.announcements();
        let bounds = Bounds {
            window: config.idempotency_window.0,
            entries_max: config.idempotency_entries,
            bytes_max: config.idempotency_bytes.0,
        };
        let calls = Arc::new_cyclic(|me: &Weak<Self>| Self {
            me: me.clone(),
            desk: Mutex::new(Desk::new(categories.len())),
            remembered: Mutex::new(Memory::new(bounds)),
            registry: RwLock::default(),
            locals: Mutex::default(),
            dispatches: Mutex::default(),
            schedule: Mutex::new(Schedule::new(clock.now(), &config)),
            ends: CompletionQueue::relay(Arc::new(end::Relay(me.clone()))),
            counters: Counters::default(),
            changed: watch::channel(0).0,
            draining: AtomicBool::new(false),
            earlier: Arc::default(),
            quieter: Notify::new(),
            task: Mutex::default(),
            last_id: AtomicU64::new(0),
            clock,
            config,
            categories,
            wire,
            foreign,
            local,
            process: whoami,
        });
        calls.wire.ask();
        calls.tick();
        let earlier = calls.earlier.clone();
        let task = tokio::spawn(tick::run(calls.me.clone(), earlier, announcements));
        *lock(&calls.task) = Some(task);
        calls
    }

    /// Cancels a call: its completion gets `-32004`, a queued one is not run, a worker that
    /// runs it is told. False if it has ended.
    ///
    /// The gateway does this for the calls of a client that disconnects, except those with
    /// an `idempotency_key`: their answer may be asked for again.
    pub fn cancel(&self, id: CallId) -> bool {
        self.give_up(id.0, crate::errors::cancelled())
    }

    /// Answers a call, once. False if nobody waits any more, or ever did (see
    /// [`CallCounters::late_answers`] and [`CallCounters::unknown_answers`]).
    pub fn answer(&self, dispatch: DispatchId, outcome: CallOutcome) -> bool {
        let mut one = vec![(dispatch, outcome)];
        self.answer_all(&mut one) == 1
    }

    /// Answers calls, like [`Calls::answer`], and leaves the vector empty: many answers cost
    /// little more than one. How many of them somebody waited for.
    pub fn answer_all(&self, answers: &mut Vec<(DispatchId, CallOutcome)>) -> usize {
        if !self.local {
            return self.answer_there(answers.drain(..));
        }
        if self.foreign.is_empty() {
            return self.answer_here(answers);
        }
        let is_foreign = |(dispatch, _): &mut (DispatchId, CallOutcome)| {
            wires::wire_of(*dispatch).0 != WireNumber::NATIVE
        };
        let there = self.answer_there(answers.extract_if(.., is_foreign));
        there + self.answer_here(answers)
    }

    /// Answers calls of wires.
    fn answer_there(&self, answers: impl Iterator<Item = (DispatchId, CallOutcome)>) -> usize {
        let answered = |(dispatch, outcome)| self.answered(dispatch, outcome);
        answers.map(answered).filter(|waited| *waited).count()
    }

    /// Passes a JSON value to the caller of a running call.
    pub fn progress(&self, dispatch: DispatchId, value: Bytes) {
        let (number, there) = wires::wire_of(dispatch);
        match self.foreign.get(number) {
            Some(wire) => wire.progress(there, value),
            None if self.local => self.progress_here(dispatch, value),
            None => self.wire.progress(dispatch, value),
        }
    }

    /// What is offered: one entry per handler and process, by name; this process' own with
    /// their present statistics.
    pub fn handlers(&self) -> Vec<HandlerInfo> {
        let mut infos = lock(&self.locals).infos(&self.process);
        infos.extend(self.read_registry().remote().map(|info| (**info).clone()));
        infos.sort_by(|a, b| (&a.handler, &a.announcer).cmp(&(&b.handler, &b.announcer)));
        infos
    }

    /// Changes whenever what is offered changes.
    pub fn handlers_changed(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }

    /// The class of calls whose handler names none.
    pub fn default_category(&self) -> &str {
        &self.config.default_category
    }

    /// Calls of this process that have not ended.
    pub fn outstanding(&self) -> usize {
        lock(&self.desk).calls.len()
    }

    /// What has happened since the start.
    pub fn counters(&self) -> CallCounters {
        self.counters.snapshot(self.wire.late())
    }

    /// What has happened since the start on each wire besides the native one, by name.
    pub fn wires(&self) -> Vec<WireStats> {
        self.foreign.all_stats()
    }

    fn read_registry(&self) -> std::sync::RwLockReadGuard<'_, Registry> {
        self.registry
            .read()
            .expect("no code panics while it holds a table of calls")
    }

    fn write_registry(&self) -> std::sync::RwLockWriteGuard<'_, Registry> {
        self.registry
            .write()
            .expect("no code panics while it holds a table of calls")
    }

    /// The wire of that number.
    fn wire(&self, number: WireNumber) -> &dyn CallWire {
        self.foreign.get(number).unwrap_or(&*self.wire)
    }

    fn tell_changed(&self) {
        self.changed.send_modify(|version| *version += 1);
    }
}

impl Drop for Calls {
    fn drop(&mut self) {
        if let Some(task) = lock(&self.task).take() {
            task.abort();
        }
        self.wire.close(std::time::Duration::ZERO);
        for wire in self.foreign.iter() {
            wire.close(std::time::Duration::ZERO);
        }
    }
}

impl std::fmt::Debug for Calls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Calls")
            .field("process", &self.process)
            .field("outstanding", &self.outstanding())
            .finish_non_exhaustive()
    }
}
