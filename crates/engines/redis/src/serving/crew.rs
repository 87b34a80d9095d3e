//! Workers and what they run.

use super::slots::Slots;
use super::{Serve, reading, writing};
use hashbrown::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, Weak};
use tokio::sync::{mpsc, watch};
use trunkline_model::{
    CallOutcome, CallSink, DispatchId, Error, ErrorCode, IncomingCall, WorkerHandle, WorkerSpec,
};

/// Most answers that may wait to be written before reading pauses. Calls that run are bounded by slots, but what is
/// answered without being run is not, nor are answers that wait for a server of a cluster while another one has calls.
const UNWRITTEN_MAX: usize = 4_096;

/// The workers of a wire, and their calls.
pub(crate) struct Crew<S: Serve> {
    running: Mutex<HashMap<u64, Running<S>>>,
    workers: Mutex<Vec<Weak<Worker<S>>>>,
    last_dispatch: AtomicU64,
    /// Answers that are given and not written.
    unwritten: Arc<watch::Sender<usize>>,
}

/// A call that a worker runs.
struct Running<S: Serve> {
    worker: Arc<Worker<S>>,
    call: S::Call,
}

/// A worker of this process.
pub(crate) struct Worker<S: Serve> {
    pub(crate) own: S::Worker,
    pub(crate) spec: WorkerSpec,
    pub(crate) sink: Arc<dyn CallSink>,
    pub(super) slots: Slots,
    answers: mpsc::UnboundedSender<S::Answer>,
    unwritten: Arc<watch::Sender<usize>>,
}

/// Ends its worker when it is dropped.
struct Handle<S: Serve> {
    shared: Arc<S>,
    worker: Arc<Worker<S>>,
}

/// Begins to take calls. `own` is told how many workers there are already.
pub(crate) fn start<S: Serve>(
    shared: &Arc<S>,
    spec: WorkerSpec,
    sink: Arc<dyn CallSink>,
    own: impl FnOnce(&WorkerSpec, usize) -> S::Worker,
) -> Box<dyn WorkerHandle> {
    // Bounded by `UNWRITTEN_MAX` and what one read brings.
    let (answers, answered) = mpsc::unbounded_channel();
    let mut workers = shared.crew().workers();
    workers.retain(|worker| worker.strong_count() > 0);
    let worker = Arc::new(Worker {
        own: own(&spec, workers.len()),
        slots: Slots::new(spec.concurrency),
        spec,
        sink,
        answers,
        unwritten: shared.crew().unwritten.clone(),
    });
    workers.push(Arc::downgrade(&worker));
    drop(workers);
    tokio::spawn(reading::read_calls(shared.clone(), worker.clone()));
    // Ends with the last who could answer: it must not hold the worker itself.
    tokio::spawn(writing::write_answers(shared.clone(), answered));
    Box::new(Handle {
        shared: shared.clone(),
        worker,
    })
}

impl<S: Serve> Default for Crew<S> {
    fn default() -> Self {
        Self {
            running: Mutex::default(),
            workers: Mutex::default(),
            last_dispatch: AtomicU64::new(0),
            unwritten: Arc::default(),
        }
    }
}

impl<S: Serve> Crew<S> {
    /// A call takes a slot of its worker: only the one who reads has it taken, for no more calls than
    /// slots were free.
    pub(crate) fn take(
        &self,
        worker: &Arc<Worker<S>>,
        call: S::Call,
        incoming: impl FnOnce(DispatchId) -> IncomingCall,
    ) -> IncomingCall {
        let dispatch = self.last_dispatch.fetch_add(1, Ordering::Relaxed) + 1;
        worker.slots.take();
        let worker = worker.clone();
        self.running().insert(dispatch, Running { worker, call });
        incoming(DispatchId(dispatch))
    }

    /// Has a call answered; false if nobody waits for it.
    pub(crate) fn answer(&self, shared: &S, dispatch: DispatchId, outcome: &CallOutcome) -> bool {
        let running = self.running().remove(&dispatch.0);
        running.is_some_and(|Running { worker, call }| {
            let in_time = shared.answer(&worker, call, outcome);
            worker.slots.give_back();
            in_time
        })
    }

    /// Tells workers that nobody waits for such calls any more. They still answer them.
    pub(crate) fn cancel(&self, is: impl Fn(&S::Call) -> bool) {
        let running = self.running();
        let found = running.iter().filter(|(_, running)| is(&running.call));
        let found: Vec<_> = found
            .map(|(dispatch, running)| (*dispatch, running.worker.clone()))
            .collect();
        drop(running);
        for (dispatch, worker) in found {
            worker.sink.cancelled(DispatchId(dispatch));
        }
    }

    /// How many calls run.
    pub(crate) fn count(&self) -> u64 {
        self.running().len() as u64
    }

    /// Something about each call that runs.
    pub(crate) fn map<T, C: FromIterator<T>>(
        &self,
        about: impl Fn(&Worker<S>, &S::Call) -> T,
    ) -> C {
        let running = self.running();
        running
            .values()
            .map(|r| about(&r.worker, &r.call))
            .collect()
    }

    /// So many answers were written, or given up.
    pub(super) fn written(&self, answers: usize) {
        self.unwritten
            .send_modify(|unwritten| *unwritten -= answers);
    }

    /// Waits until so few answers are left to be written that there may be more.
    pub(super) fn room(&self) -> impl Future<Output = ()> + Send + 'static {
        let mut unwritten = self.unwritten.subscribe();
        async move {
            // It fails only if the wire is gone.
            let _ = unwritten
                .wait_for(|unwritten| *unwritten < UNWRITTEN_MAX)
                .await;
        }
    }

    /// Whether there are too many.
    pub(super) fn is_full(&self) -> bool {
        *self.unwritten.borrow() >= UNWRITTEN_MAX
    }

    /// Waits until no answer is left to be written.
    pub(crate) fn flushed(&self) -> impl Future<Output = ()> + Send + 'static {
        let mut unwritten = self.unwritten.subscribe();
        async move {
            // It fails only if the wire is gone.
            let _ = unwritten.wait_for(|unwritten| *unwritten == 0).await;
        }
    }

    /// Ends all workers from below.
    pub(crate) fn close(&self, shared: &Arc<S>) {
        let workers = std::mem::take(&mut *self.workers());
        for worker in workers.iter().filter_map(Weak::upgrade) {
            worker.drain(shared);
            worker.sink.ended(Error::shutting_down());
        }
    }

    fn running(&self) -> MutexGuard<'_, HashMap<u64, Running<S>>> {
        self.running
            .lock()
            .expect("no code panics while it holds the table")
    }

    fn workers(&self) -> MutexGuard<'_, Vec<Weak<Worker<S>>>> {
        self.workers
            .lock()
            .expect("no code panics while it holds the list")
    }
}

impl<S: Serve> Worker<S> {
    /// How many more calls it may be given.
    pub(crate) fn free(&self) -> u32 {
        if self.slots.is_draining() {
            0
        } else {
            self.slots.free()
        }
    }

    /// Has something written.
    pub(crate) fn write(&self, answer: S::Answer) {
        self.unwritten.send_modify(|unwritten| *unwritten += 1);
        // It fails only if the wire is gone, and with it everybody who could write.
        let _ = self.answers.send(answer);
    }

    /// Takes no more calls, also not those of a read that waits.
    fn drain(self: &Arc<Self>, shared: &Arc<S>) {
        if self.slots.drain() {
            let (worker, shared) = (self.clone(), shared.clone());
            tokio::spawn(async move {
                let key = shared.key(&worker);
                worker.slots.unblock(shared.deployment(), key).await;
            });
        }
    }
}

impl<S: Serve> WorkerHandle for Handle<S> {
    fn drain(&self) {
        self.worker.drain(&self.shared);
    }

    fn running(&self) -> u32 {
        let running = self.shared.crew().running();
        let own = running
            .values()
            .filter(|r| Arc::ptr_eq(&r.worker, &self.worker));
        u32::try_from(own.count()).unwrap_or(u32::MAX)
    }
}

impl<S: Serve> Drop for Handle<S> {
    /// The worker is lost: what it runs fails, but for what is left to others.
    fn drop(&mut self) {
        let Self { shared, worker } = self;
        worker.drain(shared);
        let mut running = shared.crew().running();
        let lost: Vec<_> = running
            .extract_if(|_, running| Arc::ptr_eq(&running.worker, worker))
            .map(|(_, running)| running.call)
            .collect();
        drop(running);
        let gone = "the worker that ran the call is gone";
        let outcome = CallOutcome::Failed(Error::new(ErrorCode::WorkerLost, gone));
        for call in lost {
            if !shared.leaves(worker, &call) {
                shared.answer(worker, call, &outcome);
            }
        }
    }
}
