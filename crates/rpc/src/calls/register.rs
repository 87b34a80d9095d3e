//! Answering: workers register, take calls and are lost.

use super::{
    Calls,
    counters::count,
    registration::Registration,
    spec,
    stats::{End, Stats},
    wires::{WireNumber, dispatch_of, wire_of},
    workers::{Dispatched, Locals},
};
use crate::lock::lock;
use compact_str::CompactString;
use std::sync::{Arc, Weak, atomic::Ordering};
use trunkline_model::{
    CallOutcome, CallSink, CallWire, Caller, DispatchId, Error, HandlerInfo, IncomingCall,
    WorkerSpec,
};

impl Calls {
    /// Registers a worker: `sink` gets its calls, at most `concurrency` at once, and each is
    /// answered by [`Calls::answer`]. Dropping the registration says that the worker is
    /// lost.
    ///
    /// # Errors
    /// `-32602` for what can't be offered, a bad schema included; `-32013` if a method
    /// belongs to another handler, or the handler has another category; `-32012` when
    /// draining.
    pub fn register(
        &self,
        caller: &Caller,
        spec: WorkerSpec,
        sink: Arc<dyn CallSink>,
    ) -> Result<Registration, Error> {
        let calls = self.me.upgrade().ok_or_else(Error::shutting_down)?;
        if self.draining.load(Ordering::Relaxed) {
            return Err(Error::shutting_down());
        }
        spec::check(caller, &spec, &self.categories)?;
        let number = self.categories.number(&spec.category);
        let category = self.categories.get(number.ok_or_else(Error::internal)?);
        let (worker, stats, info) = self.add_worker(&spec, category.wire_name())?;
        let handle = if self.local && category.wire == WireNumber::NATIVE {
            self.serve_here(worker, &spec, sink, stats)
        } else {
            let calls = self.me.clone();
            let counting = Arc::new(Counting {
                calls,
                wire: category.wire,
                worker,
                stats,
                sink,
            });
            self.wire(category.wire).serve(spec, counting).into()
        };
        lock(&self.locals).handle(worker, Arc::downgrade(&handle));
        self.publish_offer(info);
        self.look_at_held();
        Ok(Registration::new(calls, worker, handle))
    }

    /// Enters a worker in the tables, unless it clashes with what is offered.
    fn add_worker(
        &self,
        spec: &WorkerSpec,
        wire: Option<&CompactString>,
    ) -> Result<(u64, Arc<Stats>, HandlerInfo), Error> {
        // The registry is locked over both steps, so that of two workers that clash one is
        // refused.
        let mut registry = self.write_registry();
        registry.check_clash(spec)?;
        let mut locals = lock(&self.locals);
        let (worker, stats) = locals.add(spec.clone(), wire.cloned());
        let info = locals
            .info(&spec.handler, &self.process)
            .ok_or_else(Error::internal)?;
        registry.learn(Arc::new(info.clone()), None, &self.categories);
        Ok((worker, stats, info))
    }

    /// A worker takes no new calls.
    pub(super) fn close_worker(&self, worker: u64) {
        self.change_offer(|locals, process| locals.close(worker, process));
    }

    /// A worker is gone.
    pub(super) fn remove_worker(&self, worker: u64) {
        let lost = lock(&self.dispatches).remove_of(worker);
        for dispatched in lost {
            let end = if dispatched.cancelled {
                End::Late
            } else {
                End::Lost
            };
            dispatched.stats.ended(end, Default::default());
        }
        self.change_offer(|locals, process| locals.remove(worker, process));
        if self.draining.load(Ordering::Relaxed) {
            self.quieter.notify_waiters();
        }
    }

    fn change_offer(
        &self,
        change: impl FnOnce(&mut Locals, &CompactString) -> Option<HandlerInfo>,
    ) {
        let info = {
            // Locked over both steps, like in `add_worker`: what is learnt last must be
            // what was changed last.
            let mut registry = self.write_registry();
            let info = change(&mut lock(&self.locals), &self.process);
            if let Some(info) = &info {
                registry.learn(Arc::new(info.clone()), None, &self.categories);
            }
            info
        };
        if let Some(info) = info {
            self.publish_offer(info);
        }
    }

    fn publish_offer(&self, info: HandlerInfo) {
        self.wire.announce(info);
        self.tell_changed();
    }

    pub(super) fn answered(&self, dispatch: DispatchId, outcome: CallOutcome) -> bool {
        let dispatched = lock(&self.dispatches).remove(dispatch);
        let Some(dispatched) = dispatched else {
            count(&self.counters.unknown_answers);
            return false;
        };
        let end = if dispatched.cancelled {
            End::Late
        } else {
            End::of(&outcome)
        };
        let took = self.clock.now().since(dispatched.started);
        dispatched.stats.ended(end, took);
        let (wire, there) = wire_of(dispatch);
        let waited = self.wire(wire).answer(there, outcome);
        if !waited {
            count(&self.counters.late_answers);
        }
        if self.draining.load(Ordering::Relaxed) {
            self.quieter.notify_waiters();
        }
        waited
    }
}

/// Counts what passes to a worker's sink, and names dispatches as this process does.
struct Counting {
    calls: Weak<Calls>,
    wire: WireNumber,
    worker: u64,
    stats: Arc<Stats>,
    sink: Arc<dyn CallSink>,
}

impl CallSink for Counting {
    fn calls(&self, mut incoming: Vec<IncomingCall>) {
        let Some(calls) = self.calls.upgrade() else {
            return;
        };
        for call in &mut incoming {
            call.dispatch = dispatch_of(self.wire, call.dispatch);
        }
        let now = calls.clock.now();
        self.stats
            .began(now, u32::try_from(incoming.len()).unwrap_or(u32::MAX));
        {
            let mut dispatches = lock(&calls.dispatches);
            for call in &incoming {
                let dispatched = Dispatched {
                    worker: self.worker,
                    stats: self.stats.clone(),
                    started: now,
                    deadline: call.deadline,
                    cancelled: false,
                };
                dispatches.insert(call.dispatch, dispatched);
            }
        }
        self.sink.calls(incoming);
    }

    fn cancelled(&self, dispatch: DispatchId) {
        let dispatch = dispatch_of(self.wire, dispatch);
        if let Some(calls) = self.calls.upgrade() {
            let now = calls.clock.now();
            let timed_out = lock(&calls.dispatches)
                .cancel(dispatch)
                .is_some_and(|dispatched| dispatched.deadline < now);
            if timed_out {
                self.stats.timed_out();
            }
        }
        self.sink.cancelled(dispatch);
    }

    fn ended(&self, reason: Error) {
        self.sink.ended(reason);
    }
}
