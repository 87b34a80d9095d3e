use crate::{Consuming, Delivery, DeliverySink, Error};
use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard},
};

/// What waits for a sink, and who is inside it.
#[derive(Debug, Default)]
struct Gate {
    /// A thread is calling the sink.
    busy: bool,
    /// `started` was left here: from now on an end is an end.
    begun: bool,
    /// Cancelled or ended: nothing is added any more.
    closed: bool,
    started: Option<Result<Consuming, Error>>,
    deliveries: Vec<Delivery>,
    ended: Option<Error>,
}

/// A consumer's sink and the order in which it is called: for engines.
///
/// Things are left here under the engine's lock, in the order of decision, and handed over
/// without it. Whoever finds nobody inside the sink goes in and hands over until nothing
/// waits; whoever finds somebody goes away. So the sink sees one thread at a time and one
/// order, and may call the engine from inside: what comes of that waits until it returns.
/// What waits is bounded by the consumer's credit and window.
pub struct DeliveryOutbox {
    sink: Arc<dyn DeliverySink>,
    gate: Mutex<Gate>,
}

impl DeliveryOutbox {
    /// In front of a sink that nobody has called yet.
    pub fn new(sink: Arc<dyn DeliverySink>) -> Arc<Self> {
        Arc::new(Self {
            sink,
            gate: Mutex::default(),
        })
    }

    /// Leaves how the consumer began.
    pub fn leave_start(&self, result: Result<Consuming, Error>) {
        let mut gate = self.gate();
        if !gate.closed {
            gate.closed = result.is_err();
            gate.begun = true;
            gate.started = Some(result);
        }
    }

    /// Leaves deliveries.
    pub fn leave(&self, deliveries: impl Iterator<Item = Delivery>) {
        let mut gate = self.gate();
        if !gate.closed {
            gate.deliveries.extend(deliveries);
        }
    }

    /// Leaves the end: what was left before still comes.
    pub fn leave_end(&self, reason: Error) {
        let mut gate = self.gate();
        if gate.closed {
            return;
        }
        gate.closed = true;
        if gate.begun {
            gate.ended = Some(reason);
        } else {
            gate.started = Some(Err(reason));
        }
    }

    /// Takes back what was not handed over. A call into the sink that another thread has
    /// begun may still be running when this returns: waiting for it could wait for the
    /// caller's own locks.
    pub fn cancel(&self) {
        let mut gate = self.gate();
        gate.closed = true;
        gate.started = None;
        gate.deliveries = Vec::new();
        gate.ended = None;
    }

    /// Hands over what waits, unless somebody is doing that. Never called under a lock.
    pub fn flush(&self) {
        let mut gate = self.gate();
        if gate.busy {
            return;
        }
        gate.busy = true;
        loop {
            let started = gate.started.take();
            let deliveries = std::mem::take(&mut gate.deliveries);
            let ended = gate.ended.take();
            if started.is_none() && deliveries.is_empty() && ended.is_none() {
                gate.busy = false;
                return;
            }
            drop(gate);
            if let Some(result) = started {
                self.sink.started(result);
            }
            if !deliveries.is_empty() {
                self.sink.deliver(deliveries);
            }
            if let Some(reason) = ended {
                self.sink.ended(reason);
            }
            gate = self.gate();
        }
    }

    /// Whether nothing waits and nobody is inside.
    pub fn is_idle(&self) -> bool {
        let gate = self.gate();
        !gate.busy && gate.started.is_none() && gate.deliveries.is_empty() && gate.ended.is_none()
    }

    fn gate(&self) -> MutexGuard<'_, Gate> {
        self.gate
            .lock()
            .expect("no code panics while it holds the gate")
    }
}

impl fmt::Debug for DeliveryOutbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DeliveryOutbox").finish_non_exhaustive()
    }
}
