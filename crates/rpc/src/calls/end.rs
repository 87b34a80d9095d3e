//! How calls end on the asking side.

use super::{
    Calls,
    counters::count,
    idempotency::Key,
    outstanding::{Entry, Place},
};
use crate::lock::lock;
use std::sync::{Arc, Weak, atomic::Ordering};
use trunkline_model::{CallOutcome, Completed, CompletionSink, Error, ErrorCode, Outcome, Stage};

/// Hears from the wire, in the thread that brings the answer.
pub(super) struct Relay(pub(super) Weak<Calls>);

impl CompletionSink for Relay {
    fn completed(&self, completed: Completed) {
        if let Some(calls) = self.0.upgrade() {
            calls.heard(completed);
        }
    }
}

impl Calls {
    fn heard(&self, Completed { token: id, result }: Completed) {
        match result {
            Ok(Outcome::Taken) => lock(&self.desk).calls.taken(id),
            Ok(step @ Outcome::Progress(_)) => {
                let reporter = lock(&self.desk).calls.reporter(id);
                if let Some(reporter) = reporter {
                    reporter.report(step);
                }
            }
            Ok(Outcome::Answered(outcome)) => self.end(id, outcome),
            Ok(_) => self.end(id, CallOutcome::Failed(Error::internal())),
            Err(error) => self.end(id, CallOutcome::Failed(error)),
        }
    }

    /// The wire has an answer for a call.
    fn end(&self, id: u64, outcome: CallOutcome) {
        let entry = lock(&self.desk).calls.remove(id);
        if let Some(entry) = entry {
            let remember = was_run(&outcome);
            self.finish(id, entry, outcome, remember);
        }
    }

    /// Ends a call whose time is over.
    pub(super) fn time_out(&self, id: u64, entry: Entry, stage: Option<Stage>) {
        let stage = stage.unwrap_or_else(|| self.stop(&entry));
        let error = match entry.place {
            Place::Wire(wire, _) => self.wire(wire).timed_out(stage),
            _ => Error::timed_out(stage),
        };
        let remember = may_be_run(&entry, stage);
        count(&self.counters.timed_out);
        if let Some(asked) = &entry.asked {
            asked.timed_out();
        }
        self.conclude(id, entry, CallOutcome::Failed(error), remember);
    }

    /// Ends a call with an error; false if it has ended.
    pub(super) fn give_up(&self, id: u64, error: Error) -> bool {
        let given_up = lock(&self.desk).give_up(self.clock.now(), id);
        let Some((entry, stage)) = given_up else {
            return false;
        };
        let stage = stage.unwrap_or_else(|| self.stop(&entry));
        let outcome = CallOutcome::Failed(error);
        let remember = may_be_run(&entry, stage);
        self.finish(id, entry, outcome, remember);
        self.tell();
        true
    }

    /// Nobody waits any more for a call on the wire: how far it had come.
    fn stop(&self, entry: &Entry) -> Stage {
        let stage = match entry.place {
            Place::Wire(wire, sent) => self.wire(wire).cancel(sent),
            _ => None,
        };
        stage.unwrap_or(if entry.taken {
            Stage::Running
        } else {
            Stage::Queued
        })
    }

    /// With `remember`, the call was or may have been run: repetitions of it get the same
    /// outcome instead of running it again.
    pub(super) fn finish(&self, id: u64, entry: Entry, outcome: CallOutcome, remember: bool) {
        self.count_end(&outcome);
        if let Some(asked) = &entry.asked {
            asked.ended(&outcome, self.clock.now());
        }
        self.conclude(id, entry, outcome, remember);
    }

    /// The same for one that is counted.
    fn conclude(&self, id: u64, entry: Entry, outcome: CallOutcome, remember: bool) {
        if let Some(key) = &entry.key {
            self.settle_key(key, id, &outcome, remember);
        }
        entry.completion.complete(Ok(Outcome::Answered(outcome)));
        if self.draining.load(Ordering::Relaxed) {
            self.quieter.notify_waiters();
        }
    }

    /// Tells the calls that follow one with a key how it ended.
    pub(super) fn settle_key(
        &self,
        key: &Arc<Key>,
        id: u64,
        outcome: &CallOutcome,
        remember: bool,
    ) {
        let now = self.clock.now();
        let followers = lock(&self.remembered).end(now, key, id, outcome, remember);
        for follower in followers {
            let entry = lock(&self.desk).calls.remove(follower);
            if let Some(entry) = entry {
                let outcome = outcome.clone();
                entry.completion.complete(Ok(Outcome::Answered(outcome)));
            }
        }
    }

    fn count_end(&self, outcome: &CallOutcome) {
        let counters = &self.counters;
        match outcome {
            CallOutcome::Failed(error) => match error.code() {
                ErrorCode::Timeout => count(&counters.timed_out),
                ErrorCode::Cancelled => count(&counters.cancelled),
                ErrorCode::MethodNotFound => count(&counters.not_offered),
                _ => {}
            },
            _ => count(&counters.answered),
        }
    }
}

/// Whether a call that nobody waits for was, or may yet be, run: a foreign wire doesn't know whether
/// a worker has it, and takes nothing back.
fn may_be_run(entry: &Entry, stage: Stage) -> bool {
    stage == Stage::Running || entry.asked.is_some()
}

/// Whether a call that the wire ended like this was, or may have been, run.
fn was_run(outcome: &CallOutcome) -> bool {
    match outcome {
        CallOutcome::Result(_) | CallOutcome::HandlerError(_) => true,
        CallOutcome::Failed(error) => match error.code() {
            ErrorCode::WorkerLost | ErrorCode::Internal => true,
            // Who sent it may not know whether it arrived.
            ErrorCode::Unavailable => {
                let executed = error.data().and_then(|data| data.get("executed"));
                executed.is_some_and(|executed| executed != "no")
            }
            _ => false,
        },
    }
}
