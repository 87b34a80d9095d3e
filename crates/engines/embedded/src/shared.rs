use crate::{
    channels::Hub,
    cleaner::Cleaner,
    config::Drive,
    error::poisoned,
    log::NextWriter,
    outgoing::Outgoing,
    reader::Reader,
    state::{Phase, State},
    submit::GivenBack,
    timer::Timer,
};
use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard},
    thread::JoinHandle,
    time::Duration,
};
use tokio::sync::watch;
use trunkline_journal::{Class, Journal, Poison, WriterHandle};
use trunkline_model::{Batch, Capabilities, Clock, Completion, Health, Timestamp};

/// How often an engine that is read-only looks whether there is space again.
const PROBE_EVERY: Duration = Duration::from_secs(1);

/// The threads that drive an engine.
#[derive(Debug, Default)]
pub(crate) struct Threads {
    pub(crate) writer: Option<WriterHandle>,
    pub(crate) others: Vec<JoinHandle<()>>,
}

/// What the engine's handles and threads have in common.
///
/// There is one lock, around [`State`]. Nobody is called while it is held: what a command
/// sends off is gathered in an [`Outgoing`] and handed over afterwards.
pub(crate) struct Shared {
    state: Mutex<State>,
    clock: Arc<dyn Clock>,
    /// The latest time that the journal recorded: `now` is never before it.
    not_before: Timestamp,
    drive: Drive,
    pub(crate) hub: Arc<Hub>,
    pub(crate) reader: Reader,
    pub(crate) cleaner: Cleaner,
    pub(crate) timer: Timer,
    pub(crate) threads: Mutex<Threads>,
    pub(crate) health: watch::Sender<Health>,
    pub(crate) capabilities: watch::Sender<Capabilities>,
}

impl Shared {
    pub(crate) fn new(
        state: State,
        clock: Arc<dyn Clock>,
        not_before: Timestamp,
        drive: Drive,
        capabilities: Capabilities,
    ) -> Self {
        Self {
            state: Mutex::new(state),
            clock,
            not_before,
            drive,
            hub: Arc::default(),
            reader: Reader::default(),
            cleaner: Cleaner::default(),
            timer: Timer::default(),
            threads: Mutex::default(),
            health: watch::Sender::new(Health::Ready),
            capabilities: watch::Sender::new(capabilities),
        }
    }

    pub(crate) fn clock(&self) -> Arc<dyn Clock> {
        Arc::clone(&self.clock)
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.clock.now().max(self.not_before)
    }

    /// Runs something under the lock, then hands over what it sends off.
    pub(crate) fn locked<T>(
        &self,
        run: impl FnOnce(&mut State, Timestamp, &mut Outgoing) -> T,
    ) -> T {
        self.decided(false, run).0
    }

    /// The same; with the journal, if this thread is to write what was appended and `may_lead`
    /// says that it may.
    fn decided<T>(
        &self,
        may_lead: bool,
        run: impl FnOnce(&mut State, Timestamp, &mut Outgoing) -> T,
    ) -> (T, Option<Arc<Journal>>) {
        let mut out = Outgoing::default();
        let mut state = self.state();
        // Read under the lock, so that the order of commands is the order of their times.
        let now = self.now();
        let mood = state.mood();
        let result = run(&mut state, now, &mut out);
        if state.mood() != mood {
            self.health.send_replace(state.health());
        }
        let deadline = state.next_deadline(now);
        let log = state.log.as_mut();
        let writer = log.map_or(NextWriter::Awake, |log| log.next_writer(now, may_lead));
        drop(state);
        let leads = match writer {
            NextWriter::Awake => None,
            NextWriter::Leads(journal) => Some(journal),
            NextWriter::Woken(journal) => {
                // Before anybody is called, who may take his time.
                journal.wake();
                None
            }
        };
        self.timer.arm(deadline);
        self.hand_over(out);
        (result, leads)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state
            .lock()
            .expect("a panic under the engine's lock ends the engine")
    }

    fn hand_over(&self, mut out: Outgoing) {
        out.hand_over();
        if !out.reads.is_empty() {
            self.reader.push(out.reads.drain(..));
            if self.drive == Drive::ByHand {
                self.reader.run_waiting(self);
            }
        }
        if out.clean {
            self.cleaner.wake();
        }
    }

    /// The journal has come further.
    pub(crate) fn release(&self) {
        self.locked(|state, now, out| state.release(now, out));
    }

    /// The journal stopped after a failed write or sync.
    pub(crate) fn poisoned(&self, poison: &Poison) {
        self.locked(|state, _, out| state.fail(poisoned(poison), out));
    }

    /// Lets everything that is due happen.
    pub(crate) fn tick(&self) {
        self.locked(|state, now, out| state.tick(now, out));
    }

    /// Writes what waits, in this thread, and lets out what that allows. Returns whether
    /// anything was written.
    pub(crate) fn commit(&self) -> bool {
        let journal = self.locked(|state, _, _| {
            let log = state.log.as_ref();
            log.map(|log| log.journal.clone())
        });
        let Some(journal) = journal else { return false };
        match journal.commit() {
            Ok(committed) => {
                self.release();
                committed.is_some()
            }
            Err(poison) => {
                self.poisoned(&poison);
                false
            }
        }
    }

    /// Makes everything that was appended durable, in this thread.
    pub(crate) fn sync(&self) {
        let journal = self.locked(|state, _, _| {
            let log = state.log.as_ref();
            log.map(|log| log.journal.clone())
        });
        match journal.map(|journal| journal.sync()) {
            Some(Ok(_)) => self.release(),
            Some(Err(poison)) => self.poisoned(&poison),
            None => {}
        }
    }

    /// One round of the journal in this thread, unless another one is in it.
    fn lead(&self, journal: &Journal) {
        match journal.try_commit() {
            Ok(true) => {
                self.release();
                // What was written without a sync is the writer's to sync, within its interval: it
                // may be asleep without knowing of anything to do.
                let marks = journal.watermarks();
                if marks.synced < marks.written {
                    journal.wake();
                }
            }
            Ok(false) => journal.wake(),
            Err(poison) => self.poisoned(&poison),
        }
    }

    /// Runs a command. There are two places where an engine makes its caller wait, and does
    /// it with work that must be done anyway: when the journal has too much to write, this
    /// thread, whoever it is, writes and tries again; and a command that is alone is written
    /// at once, without waking anybody.
    pub(crate) fn submit<T>(
        &self,
        mut command: T,
        mut completion: Completion,
        run: impl Fn(&mut State, Timestamp, T, Completion, &mut Outgoing) -> GivenBack<T>,
    ) {
        loop {
            let (tried, leads) = self.decided(true, |state, now, out| {
                run(state, now, command, completion, out)
            });
            if let Some(journal) = leads {
                self.lead(&journal);
            }
            match tried {
                None => return,
                Some(again) => (command, completion) = again,
            }
            self.commit();
        }
    }

    /// Runs batches in order. As [`Shared::submit`], with less for each.
    pub(crate) fn submit_all(&self, batches: impl ExactSizeIterator<Item = (Batch, Completion)>) {
        let mut batches = batches.peekable();
        let mut given_back = None;
        while given_back.is_some() || batches.peek().is_some() {
            let (again, leads) = self.decided(true, |state, now, out| {
                let mut next = given_back.take().into_iter().chain(&mut batches);
                state.submit_some(now, &mut next, out)
            });
            if let Some(journal) = leads {
                self.lead(&journal);
            }
            if again.is_some() {
                given_back = again;
                self.commit();
            }
        }
    }

    /// Whether nothing is on its way to a sink, to the disk or from it.
    pub(crate) fn is_idle(&self) -> bool {
        let state = self.state();
        let consumers = state.consumers.values();
        self.reader.is_idle()
            && !state.has_departures()
            && state.waits.is_empty()
            && consumers.into_iter().all(|consumer| {
                consumer.pending.is_empty() && !consumer.reading && consumer.outbox.is_idle()
            })
    }
}

impl State {
    /// When [`State::tick`] has something to do.
    fn next_deadline(&self, now: Timestamp) -> Option<Timestamp> {
        if !matches!(self.phase, Phase::Open) {
            return None;
        }
        let probe = self.read_only.is_some().then(|| now.after(PROBE_EVERY));
        let departs = self.departs_at_once().then_some(Timestamp::ZERO);
        let due = self.core.next_deadline().into_iter();
        due.chain(probe).chain(departs).min()
    }

    /// Expiry, time-outs, delays; and whether there is space again.
    fn tick(&mut self, now: Timestamp, out: &mut Outgoing) {
        if !matches!(self.phase, Phase::Open) {
            return;
        }
        if self.read_only.is_some()
            && let Some(log) = &mut self.log
        {
            if log.admit(1, Class::Growth).is_ok() {
                self.read_only = None;
            } else {
                log.cleaning.try_again();
                out.clean = true;
            }
        }
        let mut effects = self.effects();
        self.core.tick(now, &mut effects);
        self.record_lazily(&mut effects, now, out);
        self.recycle(effects);
        self.pump(now, out);
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").finish_non_exhaustive()
    }
}
