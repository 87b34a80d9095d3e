//! The threads of a journal in service: one writes and syncs, one prepares segments beside it.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::thread::{Builder, JoinHandle};
use std::time::Instant;

use crate::error::Refused;
use crate::journal::Journal;
use crate::poison::Poison;
use crate::progress::Watermarks;
use crate::schedule::{Action, Schedule, Work};
use crate::segments::lock;

/// What the preparing thread is told.
#[derive(Debug, Default)]
pub(crate) struct PreparerState {
    poked: bool,
    stops: bool,
}

impl Journal {
    /// Starts the thread that commits what others append, and the one that makes and zero-fills segments ahead of it (a commit must not
    /// wait for that). The writer sleeps while there is nothing to do; an append wakes it only then.
    ///
    /// `on_progress` is called after each round of the writer; a round that another thread leads with [`commit`](Journal::commit) returns its
    /// watermarks there instead. `on_poison` is called at most once, then the threads end.
    ///
    /// # Errors
    /// A thread can't be started.
    pub fn spawn_writer(
        self: &Arc<Self>,
        on_progress: impl Fn(Watermarks) + Send + 'static,
        on_poison: impl FnOnce(Poison) + Send + 'static,
    ) -> io::Result<WriterHandle> {
        let mut handle = WriterHandle {
            journal: self.clone(),
            threads: Vec::with_capacity(2),
        };
        let journal = self.clone();
        handle.threads.push(
            Builder::new()
                .name("journal-prepare".into())
                .spawn(move || journal.prepare_until_stopped())?,
        );
        let journal = self.clone();
        let write = move || {
            if let Err(poison) = journal.write_until_stopped(on_progress) {
                on_poison(poison);
            }
        };
        handle
            .threads
            .push(Builder::new().name("journal-write".into()).spawn(write)?);
        Ok(handle)
    }

    fn write_until_stopped(&self, on_progress: impl Fn(Watermarks)) -> Result<(), Poison> {
        let start = Instant::now();
        let mut schedule = Schedule::new(self.config.lazy_flush, self.config.sync_interval);
        loop {
            self.poison.check()?;
            let mut tail = lock(&self.tail);
            if tail.writer_stops {
                drop(tail);
                return self
                    .sync()
                    .map(|committed| on_progress_of(committed, &on_progress));
            }
            // What another thread is writing right now counts as unsynced, too.
            let work = Work {
                waiting: tail.waiting(),
                unsynced: self.watermarks().synced < tail.last_lsn(),
            };
            let now = start.elapsed();
            let committed = match schedule.next(work, now) {
                Action::Commit => {
                    drop(tail);
                    self.commit()?
                }
                Action::Sync => {
                    drop(tail);
                    self.sync()?
                }
                Action::WaitUntil(due) => {
                    tail.writer_sleeps = true;
                    drop(self.wake_writer.wait_timeout(tail, due.saturating_sub(now)));
                    continue;
                }
                Action::Wait => {
                    tail.writer_sleeps = true;
                    drop(self.wake_writer.wait(tail));
                    continue;
                }
            };
            on_progress_of(committed, &on_progress);
        }
    }

    /// Does one step of background work: makes a segment if too few are ready, or else writes zeros into a fresh one ahead of the writer.
    /// Returns whether there may be more to do. Only for those who don't use [`spawn_writer`](Journal::spawn_writer).
    ///
    /// # Errors
    /// [`Refused::Poisoned`], or a segment can't be made for another reason than space. A full disk is no error here: [`admit`](Journal::admit) will say so.
    pub fn prepare(&self) -> Result<bool, Refused> {
        let wanted = self.config.ready_segments as usize;
        match self.make_segment(|tail| !tail.closed && tail.ready_count() < wanted) {
            Ok(true) => return Ok(true),
            Ok(false) | Err(Refused::DiskFull) => {}
            Err(refused) => return Err(refused),
        }
        let active = lock(&self.tail).segment();
        self.note_poison(self.segments.fill(active, &self.poison))
            .map_err(Refused::Poisoned)
    }

    fn prepare_until_stopped(&self) {
        loop {
            let more = self.prepare();
            if matches!(more, Err(Refused::Poisoned(_))) {
                return;
            }
            let mut state = lock(&self.preparer);
            while !state.stops && !state.poked && !matches!(more, Ok(true)) {
                state = self
                    .wake_preparer
                    .wait(state)
                    .unwrap_or_else(std::sync::PoisonError::into_inner);
            }
            state.poked = false;
            if state.stops {
                return;
            }
        }
    }

    /// A ready segment was taken: have another one made.
    pub(crate) fn poke_preparer(&self) {
        lock(&self.preparer).poked = true;
        self.wake_preparer.notify_one();
    }

    /// Passes a result on; if it poisoned the journal, the writer thread gets to know.
    pub(crate) fn note_poison<T, E>(&self, result: Result<T, E>) -> Result<T, E> {
        if result.is_err() && self.poison.check().is_err() {
            lock(&self.tail).writer_sleeps = false;
            self.wake_writer.notify_all();
        }
        result
    }
}

fn on_progress_of(committed: Option<crate::Committed>, on_progress: &impl Fn(Watermarks)) {
    if let Some(committed) = committed {
        on_progress(committed.watermarks);
    }
}

/// The threads of a journal. Stops them when dropped.
pub struct WriterHandle {
    journal: Arc<Journal>,
    threads: Vec<JoinHandle<()>>,
}

impl WriterHandle {
    /// Lets the writer make everything durable, and waits for both threads to end. [`Journal::close`] may come before or after.
    pub fn stop(mut self) {
        self.end();
    }

    fn end(&mut self) {
        lock(&self.journal.tail).writer_stops = true;
        self.journal.wake_writer.notify_all();
        lock(&self.journal.preparer).stops = true;
        self.journal.wake_preparer.notify_all();
        let me = std::thread::current().id();
        for thread in self.threads.drain(..) {
            // A callback may hold the last handle: a thread can't wait for itself.
            if thread.thread().id() != me {
                // A panic of a callback was reported by the panic hook; there is nothing to add.
                drop(thread.join());
            }
        }
    }
}

impl Drop for WriterHandle {
    fn drop(&mut self) {
        self.end();
    }
}

impl fmt::Debug for WriterHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WriterHandle").finish_non_exhaustive()
    }
}
