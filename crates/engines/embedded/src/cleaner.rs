//! Who frees and compacts the front of the log: a thread beside the others, or whoever
//! [steps](crate::Embedded::step). It works in small parts, so that commands come between.

use crate::{
    cleaning::{Plan, PutAt, Puts},
    error::poisoned,
    shared::Shared,
    state::State,
};
use std::{
    mem,
    sync::{Arc, Condvar, Mutex, MutexGuard},
    time::Duration,
};
use trunkline_journal::{Journal, Place, ReadError, RecordKind, Refused, SegmentScan};
use trunkline_model::{Error, ErrorCode};
use trunkline_queue::{Defined, KIND_PUT, Record};

/// How long it rests after a part, as long as there is time.
const REST: Duration = Duration::from_millis(5);

/// What was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pace {
    /// There is nothing to do.
    Done,
    /// A part; there is time for a rest before the next.
    Relaxed,
    /// A part; the next one is to follow at once.
    Urgent,
}

/// What is being done: parts of it are left.
#[derive(Debug, Default)]
enum Job {
    #[default]
    None,
    Weighing {
        from: Defined,
        bytes: u64,
    },
    Defining {
        from: Defined,
        /// The newest segment when it began.
        start: u32,
        bytes: u64,
    },
    Copying(Box<Copying>),
}

#[derive(Debug)]
struct Copying {
    segment: u32,
    scan: SegmentScan,
    puts: Puts,
    /// The first of the puts that was not looked at.
    next: usize,
    /// There is more to be read.
    more: bool,
}

#[derive(Debug, Default)]
struct Flags {
    woken: bool,
    stopped: bool,
}

/// The job of now, and the thread that does it.
#[derive(Debug, Default)]
pub(crate) struct Cleaner {
    flags: Mutex<Flags>,
    wake: Condvar,
    job: Mutex<Job>,
}

impl Cleaner {
    /// There may be something to do.
    pub(crate) fn wake(&self) {
        self.flags().woken = true;
        self.wake.notify_all();
    }

    pub(crate) fn stop(&self) {
        self.flags().stopped = true;
        self.wake.notify_all();
    }

    /// The thread.
    pub(crate) fn run(&self, shared: &Shared) {
        let mut flags = self.flags();
        while !flags.stopped {
            if !mem::take(&mut flags.woken) {
                let woken = self.wake.wait(flags);
                flags = woken.expect("no code panics while it holds the flags");
                continue;
            }
            drop(flags);
            self.work(shared);
            flags = self.flags();
        }
    }

    /// Works until there is nothing to do.
    fn work(&self, shared: &Shared) {
        loop {
            let rest = match shared.clean() {
                Pace::Done => return,
                Pace::Relaxed => REST,
                Pace::Urgent => {
                    // What waits to be written stays little.
                    shared.commit();
                    Duration::ZERO
                }
            };
            let going_on = |flags: &mut Flags| !flags.stopped;
            let rested = self.wake.wait_timeout_while(self.flags(), rest, going_on);
            let rested = rested.expect("no code panics while it holds the flags");
            if rested.0.stopped {
                return;
            }
        }
    }

    /// Without a thread: does a part, if there is anything to do.
    pub(crate) fn step(&self, shared: &Shared) -> bool {
        if !mem::take(&mut self.flags().woken) {
            return false;
        }
        let went_on = shared.clean() != Pace::Done;
        self.flags().woken |= went_on;
        went_on
    }

    fn flags(&self) -> MutexGuard<'_, Flags> {
        self.flags
            .lock()
            .expect("no code panics while it holds the flags")
    }
}

impl Shared {
    /// Does a part of what is to be done at the front of the log.
    fn clean(&self) -> Pace {
        // Somebody is at it further up the stack.
        let Ok(mut job) = self.cleaner.job.try_lock() else {
            return Pace::Done;
        };
        let Some(journal) = self.journal() else {
            return Pace::Done;
        };
        let done = match mem::take(&mut *job) {
            Job::None => self.begin(&journal),
            Job::Weighing { from, bytes } => Ok(self.weigh(from, bytes)),
            Job::Defining { from, start, bytes } => self.define(from, start, bytes),
            Job::Copying(copying) => self.copy(copying),
        };
        match done {
            Ok(Some(next)) => {
                *job = next;
                self.locked(|state, _, _| match &state.log {
                    Some(log) if !log.cleaning.is_urgent => Pace::Relaxed,
                    Some(_) => Pace::Urgent,
                    None => Pace::Done,
                })
            }
            Ok(None) => Pace::Done,
            Err(refused) => {
                tracing::debug!(%refused, "the front of the log stays as it is for now");
                self.give_up(&journal);
                Pace::Done
            }
        }
    }

    /// Decides what comes next, and does it if it is one thing.
    fn begin(&self, journal: &Journal) -> Result<Option<Job>, Refused> {
        let (plan, start) = self.locked(|state, _, _| {
            let plan = state.plan_cleaning();
            (plan, state.log.as_ref().map_or(0, |log| log.newest_segment))
        });
        let (from, bytes) = (Defined::default(), 0);
        Ok(match plan {
            Plan::Nothing => None,
            Plan::Free { before } => self.free_segments(journal, before).then_some(Job::None),
            Plan::Weigh => Some(Job::Weighing { from, bytes }),
            Plan::Define => Some(Job::Defining { from, start, bytes }),
            Plan::Copy { segment } => match journal.scan(segment) {
                Ok(scan) => Some(Job::Copying(Box::new(Copying {
                    segment,
                    scan,
                    puts: Puts::default(),
                    next: 0,
                    more: true,
                }))),
                // It is not durably left yet: more will be written.
                Err(ReadError::NotWritten(_)) => {
                    self.sync();
                    self.give_up(journal);
                    None
                }
                Err(error) => {
                    self.cannot_read(segment, &error);
                    None
                }
            },
        })
    }

    /// Frees segments once everything that was appended is durable. Returns whether any was.
    fn free_segments(&self, journal: &Journal, before: u32) -> bool {
        self.sync();
        let freed = match journal.poison() {
            Some(_) => return false,
            None => journal.free_before(before),
        };
        if let Err(error) = &freed {
            tracing::warn!(%error, "segments are not freed");
        }
        let is_any = freed.is_ok_and(|count| count > 0);
        if !is_any {
            self.give_up(journal);
        }
        is_any
    }

    fn weigh(&self, mut from: Defined, before: u64) -> Option<Job> {
        let (bytes, is_done) = self.locked(|state, _, _| {
            let (some, is_done) = state.weigh_some(&mut from);
            let bytes = before + some;
            if let (Some(log), true) = (&mut state.log, is_done) {
                log.cleaning.weighed(bytes);
            }
            (bytes, is_done)
        });
        Some(match is_done {
            true => Job::None,
            false => Job::Weighing { from, bytes },
        })
    }

    fn define(&self, mut from: Defined, start: u32, before: u64) -> Result<Option<Job>, Refused> {
        let defined = self.locked(|state, now, _| {
            let (some, is_done) = state.define_some(&mut from, now)?;
            let bytes = before + some;
            if let (Some(log), true) = (&mut state.log, is_done) {
                log.cleaning.defined(start, bytes);
            }
            Ok((bytes, is_done))
        });
        Ok(match self.or_commit(defined)? {
            Some((_, true)) => Some(Job::None),
            Some((bytes, false)) => Some(Job::Defining { from, start, bytes }),
            None => Some(Job::Defining {
                from,
                start,
                bytes: before,
            }),
        })
    }

    fn copy(&self, mut copying: Box<Copying>) -> Result<Option<Job>, Refused> {
        if copying.next == copying.puts.list.len() {
            if !copying.more {
                return Ok(self.copied(copying.segment));
            }
            let bytes_max = self.locked(|state, _, _| state.piece_bytes());
            if let Err(error) = copying.read(2 * bytes_max) {
                self.cannot_read(copying.segment, &error);
                return Ok(None);
            }
        }
        let (puts, next) = (&copying.puts, copying.next);
        let copied = self.locked(|state, now, _| state.copy_some(puts, next, now));
        if let Some(next) = self.or_commit(copied)? {
            copying.next = next;
        }
        Ok(Some(Job::Copying(copying)))
    }

    /// A segment was read to its end: nothing of it is alive any more.
    fn copied(&self, segment: u32) -> Option<Job> {
        let left = self.locked(|state, _, _| {
            let (bodies, _) = state.log.as_ref()?.live.of(segment);
            (bodies > 0).then_some(bodies)
        });
        let Some(left) = left else {
            return Some(Job::None);
        };
        debug_assert!(false, "{left} messages of segment {segment} were not found");
        self.cannot_read(
            segment,
            &Error::new(ErrorCode::Internal, "messages are missing"),
        );
        None
    }

    /// What was done; `None` if the journal has too much to write: that was done instead.
    fn or_commit<T>(&self, done: Result<T, Refused>) -> Result<Option<T>, Refused> {
        match done {
            Ok(done) => Ok(Some(done)),
            Err(Refused::Backlog { .. }) => {
                self.commit();
                Ok(None)
            }
            Err(refused) => Err(refused),
        }
    }

    fn give_up(&self, journal: &Journal) {
        self.locked(|state, _, out| {
            if let Some(log) = &mut state.log {
                log.give_up();
            }
            if let Some(poison) = journal.poison() {
                state.fail(poisoned(&poison), out);
            }
        });
    }

    /// A segment can't be compacted: it stays, and with it all that come after it.
    fn cannot_read(&self, segment: u32, error: &dyn std::fmt::Display) {
        tracing::error!(
            segment,
            %error,
            "the log can't be compacted; stop the server and run: trunkline journal verify DIR"
        );
        self.locked(|state: &mut State, _, _| {
            if let Some(log) = &mut state.log {
                log.cleaning.cannot_read(segment);
            }
        });
    }

    /// The journal, as long as there is one.
    fn journal(&self) -> Option<Arc<Journal>> {
        self.locked(|state, _, _| {
            let log = state.log.as_ref();
            log.map(|log| log.journal.clone())
        })
    }
}

impl Copying {
    /// Reads about so many bytes of put records, or one.
    fn read(&mut self, bytes_max: usize) -> Result<(), ReadError> {
        let Self { scan, puts, .. } = self;
        puts.bytes.clear();
        puts.list.clear();
        self.next = 0;
        self.more = scan.read(&mut |place: Place, kind: RecordKind, payload: &[u8]| {
            if kind.0 != KIND_PUT {
                return true;
            }
            let start = puts.bytes.len();
            if start > 0 && start + payload.len() > bytes_max {
                return false;
            }
            // Opening has read it, too.
            if let Ok(Record::Put(put)) = Record::decode(kind.0, payload) {
                puts.bytes.extend_from_slice(payload);
                puts.list.push(PutAt {
                    place,
                    topic: put.topic,
                    sequence: put.sequence,
                    start,
                    end: puts.bytes.len(),
                });
            }
            true
        })?;
        Ok(())
    }
}
