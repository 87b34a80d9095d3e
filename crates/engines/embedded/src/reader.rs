//! Bodies that are no longer in memory, and the thread that fetches them.

use crate::{
    consumer::Body,
    departures::Leaver,
    look::{Look, Shown, Wanted, peeked_message},
    redrive::Redrive,
    shared::Shared,
};
use std::{
    collections::VecDeque,
    mem,
    sync::{Condvar, Mutex, MutexGuard},
};
use trunkline_journal::{Journal, Place, ReadError, RecordBytes};
use trunkline_model::{
    Completion, ConsumerId, Error, ErrorCode, Outcome, PeekedPage, StoredMessage,
};
use trunkline_queue::{RecordError, decode_message};

/// Something to read. Bounded by what asks: one job a consumer, one a look, one a copy.
#[derive(Debug)]
pub(crate) enum Job {
    /// Bodies for the front deliveries of a consumer.
    Deliveries {
        consumer: ConsumerId,
        places: Vec<Place>,
    },
    /// Messages that somebody looks at.
    Look(Look),
    /// A copy of the store is to be taken.
    Backup(Completion),
    /// Messages whose dead letters are to be stored.
    Departures(Vec<Leaver>),
    /// Dead letters are to go back.
    Redrive(Box<Redrive>),
}

#[derive(Debug, Default)]
struct Queue {
    jobs: VecDeque<Job>,
    /// Somebody is working on them.
    busy: bool,
    stopped: bool,
}

/// The jobs that wait.
#[derive(Debug, Default)]
pub(crate) struct Reader {
    queue: Mutex<Queue>,
    wake: Condvar,
}

impl Reader {
    pub(crate) fn push(&self, jobs: impl Iterator<Item = Job>) {
        self.queue().jobs.extend(jobs);
        self.wake.notify_one();
    }

    /// No job is begun any more.
    pub(crate) fn stop(&self) {
        self.queue().stopped = true;
        self.wake.notify_all();
    }

    /// Answers those that wait for a job that was not begun.
    pub(crate) fn refuse(&self, error: &Error) {
        let jobs = mem::take(&mut self.queue().jobs);
        for job in jobs {
            match job {
                // The consumers have ended; what leaves is still there at the next start.
                Job::Deliveries { .. } | Job::Departures(_) => {}
                Job::Redrive(redrive) => redrive.completion.complete(Err(error.clone())),
                Job::Look(Look { completion, .. }) | Job::Backup(completion) => {
                    completion.complete(Err(error.clone()));
                }
            }
        }
    }

    pub(crate) fn is_idle(&self) -> bool {
        let queue = self.queue();
        queue.jobs.is_empty() && !queue.busy
    }

    /// The reader thread.
    pub(crate) fn run(&self, shared: &Shared) {
        let mut queue = self.queue();
        while !queue.stopped {
            match queue.jobs.pop_front() {
                Some(job) => {
                    queue.busy = true;
                    drop(queue);
                    shared.read(job);
                    queue = self.queue();
                    queue.busy = false;
                }
                None => {
                    let woken = self.wake.wait(queue);
                    queue = woken.expect("no code panics while it holds the jobs");
                }
            }
        }
    }

    /// Without a thread: does what waits, unless that is being done further up the stack.
    pub(crate) fn run_waiting(&self, shared: &Shared) {
        let mut queue = self.queue();
        if queue.busy {
            return;
        }
        queue.busy = true;
        while let Some(job) = queue.jobs.pop_front() {
            drop(queue);
            shared.read(job);
            queue = self.queue();
        }
        queue.busy = false;
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue
            .lock()
            .expect("no code panics while it holds the jobs")
    }
}

impl Shared {
    fn read(&self, job: Job) {
        let journal = self.locked(|state, _, _| {
            let log = state.log.as_ref();
            log.map(|log| log.journal.clone())
        });
        match job {
            Job::Deliveries { consumer, places } => {
                // Closed meanwhile: its consumers have ended.
                let Some(journal) = journal else { return };
                let bodies = places.into_iter().map(|place| fetch(&journal, place));
                let bodies: Vec<Body> = bodies.collect();
                self.locked(|state, now, out| state.loaded(consumer, bodies, now, out));
            }
            Job::Look(look) => {
                let places: Vec<Place> = look.places().collect();
                let shown = show(look.messages, *look.wanted, journal.as_deref());
                self.locked(|state, _, out| {
                    for place in places {
                        state.unpin(place);
                    }
                    out.answer(look.completion, shown.map(Outcome::Peeked));
                });
            }
            Job::Backup(completion) => self.back_up(journal, completion),
            Job::Departures(leavers) => self.see_off(leavers, journal.as_deref()),
            Job::Redrive(redrive) => self.redrive(redrive, journal.as_deref()),
        }
    }
}

fn show(
    messages: Vec<Shown>,
    wanted: Wanted,
    journal: Option<&Journal>,
) -> Result<PeekedPage, Error> {
    let show = |shown| match shown {
        Shown::Held(peeked) => Ok(*peeked),
        Shown::At(peeked, place) => {
            let journal = journal.ok_or_else(Error::shutting_down)?;
            match fetch(journal, place) {
                Body::Held(message) => Ok(peeked_message(&peeked, message)),
                Body::Broken(error) => Err(error),
                Body::At(_) => Err(Error::internal()),
            }
        }
    };
    wanted.of(messages.len(), messages.into_iter().map(show))
}

pub(crate) fn fetch(journal: &Journal, place: Place) -> Body {
    match journal.read(place) {
        Ok(record) => body(record),
        Err(error) => Body::Broken(unreadable(&error)),
    }
}

/// The message in a record.
pub(crate) fn body(record: RecordBytes) -> Body {
    let message: Result<StoredMessage, RecordError> = decode_message(record.payload);
    match message {
        Ok(message) => Body::Held(message),
        Err(error) => Body::Broken(
            Error::new(
                ErrorCode::Unavailable,
                format!("a stored message can't be understood: {error}"),
            )
            .with("reason", "unreadable"),
        ),
    }
}

fn unreadable(error: &ReadError) -> Error {
    let text = format!(
        "a stored message can't be read: {error}; stop the server and run: trunkline journal verify DIR"
    );
    Error::new(ErrorCode::Unavailable, text).with("reason", "unreadable")
}
