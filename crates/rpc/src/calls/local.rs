//! Workers of this process where no other process uses the engine: calls go to them, and
//! answers come back, over the desk alone.

use super::{
    Calls,
    dispatcher::{Running, WorkerEvent},
    outstanding::{Entry, Place},
    stats::End,
};
use crate::{errors::worker_lost, lock::lock};
use bytes::Bytes;
use std::{
    sync::{
        Arc, Weak,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};
use trunkline_model::{
    CallOutcome, CallSink, Completion, DispatchId, Outcome, WorkerHandle, WorkerSpec,
};

/// Answers that one visit to the desk brings: what others wait for it meanwhile is bounded.
const ANSWERS_AT_ONCE: usize = 64;

impl Calls {
    /// Takes calls for a worker.
    pub(super) fn serve_here(
        &self,
        worker: u64,
        spec: &WorkerSpec,
        sink: Arc<dyn CallSink>,
        stats: Arc<super::stats::Stats>,
    ) -> Arc<dyn WorkerHandle> {
        let now = self.clock.now();
        let running = {
            let desk = &mut *lock(&self.desk);
            desk.floor
                .open(now, worker, spec, (sink, stats), &mut desk.calls)
        };
        self.tell();
        Arc::new(Handle {
            calls: self.me.clone(),
            worker,
            running,
        })
    }

    /// Tells workers what they are to be told. Called after every change, without a lock.
    pub(super) fn tell(&self) {
        let mut next = lock(&self.desk).floor.tell();
        while let Some(tell) = next {
            for event in tell.events {
                match event {
                    WorkerEvent::Calls(calls) => {
                        let count = u32::try_from(calls.len()).unwrap_or(u32::MAX);
                        tell.stats.began(self.clock.now(), count);
                        tell.sink.calls(calls);
                    }
                    WorkerEvent::Cancelled(dispatch) => tell.sink.cancelled(dispatch),
                }
            }
            next = lock(&self.desk).floor.told(tell.worker);
        }
    }

    /// Ends the calls that workers of this process have answered; how many somebody waited
    /// for.
    pub(super) fn answer_here(&self, answers: &mut Vec<(DispatchId, CallOutcome)>) -> usize {
        let mut waited = 0;
        let mut settled = Vec::with_capacity(answers.len().min(ANSWERS_AT_ONCE));
        let mut answers = answers.drain(..);
        while answers.len() > 0 {
            let now = self.clock.now();
            let mut unknown = 0;
            {
                let mut desk = lock(&self.desk);
                for (dispatch, outcome) in answers.by_ref().take(ANSWERS_AT_ONCE) {
                    match desk.settle(now, dispatch.0) {
                        Some((running, entry)) => settled.push((running, entry, outcome)),
                        None => unknown += 1,
                    }
                }
                let stats = |worker| desk.floor.stats(worker);
                let mut last = None;
                for (running, _, outcome) in &settled {
                    if last.is_none_or(|(worker, _)| worker != running.worker) {
                        last = stats(running.worker).map(|stats| (running.worker, stats));
                    }
                    if let Some((_, stats)) = last {
                        stats.ended(end_of(running, outcome), now.since(running.started));
                    }
                }
            }
            self.counters
                .unknown_answers
                .fetch_add(unknown, Ordering::Relaxed);
            waited += self.end_all(&mut settled);
            self.tell();
        }
        waited
    }

    /// Ends calls whose entries were taken out.
    fn end_all(&self, settled: &mut Vec<(Running, Option<Entry>, CallOutcome)>) -> usize {
        let given = settled.len();
        let mut malformed = 0;
        let ended = settled.drain(..).filter_map(|(running, entry, outcome)| {
            let entry = entry?;
            malformed += u64::from(matches!(outcome, CallOutcome::Failed(_)));
            if let Some(key) = &entry.key {
                self.settle_key(key, running.call, &outcome, true);
            }
            Some((entry.completion, Ok(Outcome::Answered(outcome))))
        });
        let waited = Completion::complete_all(ended);
        let counters = &self.counters;
        counters
            .answered
            .fetch_add(waited as u64 - malformed, Ordering::Relaxed);
        if waited < given {
            let late = (given - waited) as u64;
            counters.late_answers.fetch_add(late, Ordering::Relaxed);
        }
        if given > 0 && self.draining.load(Ordering::Relaxed) {
            self.quieter.notify_waiters();
        }
        waited
    }

    /// Passes a value to the caller of a call that runs here.
    pub(super) fn progress_here(&self, dispatch: DispatchId, value: Bytes) {
        let reporter = {
            let desk = lock(&self.desk);
            let call = desk.floor.awaited(dispatch.0).map(|running| running.call);
            call.and_then(|call| desk.calls.reporter(call))
        };
        if let Some(reporter) = reporter {
            reporter.report(Outcome::Progress(value));
        }
    }

    /// A worker of this process is gone.
    fn lose_here(&self, worker: u64) {
        let Some(lost) = lock(&self.desk).lose(self.clock.now(), worker) else {
            return;
        };
        for awaited in &lost.running {
            let end = if *awaited { End::Lost } else { End::Late };
            lost.stats.ended(end, Duration::ZERO);
        }
        for (id, entry) in lost.ended {
            debug_assert!(matches!(entry.place, Place::Worker { .. }));
            self.finish(id, entry, CallOutcome::Failed(worker_lost()), true);
        }
        self.tell();
    }
}

fn end_of(running: &Running, outcome: &CallOutcome) -> End {
    if running.cancelled {
        End::Late
    } else {
        End::of(outcome)
    }
}

/// A worker of this process.
struct Handle {
    calls: Weak<Calls>,
    worker: u64,
    running: Arc<AtomicU32>,
}

impl WorkerHandle for Handle {
    fn drain(&self) {
        if let Some(calls) = self.calls.upgrade() {
            lock(&calls.desk).floor.close(self.worker);
        }
    }

    fn running(&self) -> u32 {
        self.running.load(Ordering::Relaxed)
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        if let Some(calls) = self.calls.upgrade() {
            calls.lose_here(self.worker);
        }
    }
}
