//! Consumers: how they begin, and the handle that controls them.

use crate::{
    consumer::Consumer,
    log::{Log, Needs},
    outgoing::Outgoing,
    shared::Shared,
    state::State,
    submit::{Denied, urgency},
    waits::Waiting,
};
use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};
use trunkline_model::{ConsumeSpec, ConsumerHandle, ConsumerId, DeliveryOutbox, Error, Timestamp};

impl State {
    /// A number for a new consumer.
    pub(crate) fn next_consumer(&mut self) -> ConsumerId {
        self.last_consumer += 1;
        ConsumerId(self.last_consumer)
    }

    /// Attaches a consumer; it begins when what it made is durable. `Err` is a backlog.
    pub(crate) fn attach(
        &mut self,
        now: Timestamp,
        id: ConsumerId,
        spec: ConsumeSpec,
        outbox: &Arc<DeliveryOutbox>,
        out: &mut Outgoing,
    ) -> Result<(), ConsumeSpec> {
        self.note_command();
        let cost = self
            .serves()
            .and_then(|()| self.core.check_attach(now, &spec));
        let admitted = cost.map_err(Denied::Error).and_then(|cost| {
            self.admit(&cost, out)?;
            Ok(cost)
        });
        let refuse = |error: Error, out: &mut Outgoing| {
            outbox.leave_start(Err(error));
            out.flush(outbox);
        };
        let cost = match admitted {
            Ok(cost) => cost,
            Err(Denied::Backlog) => return Err(spec),
            Err(Denied::Error(error)) => {
                refuse(error, out);
                return Ok(());
            }
        };
        self.consumers.insert(id, Consumer::new(outbox.clone()));
        let mut effects = self.effects();
        let consuming = self.core.attach(now, id, spec, &mut effects);
        let appended = self.record(&mut effects, now, urgency(cost.durability, true), out);
        self.recycle(effects);
        // After an error the consumer has ended with all others.
        let Ok(appended) = appended else {
            return Ok(());
        };
        if let (Some(log), Some(appended)) = (&mut self.log, &appended) {
            log.note_definition(appended);
        }
        // Also when it made nothing: what it found may have been made a moment ago.
        let log = self.log.as_ref();
        let needs = log.map_or(Needs::Nothing, Log::needs_of_definitions);
        let marks = self.marks();
        let waiting = Waiting::Start(id, consuming);
        if let Some(waiting) = self.waits.add(needs, marks, waiting) {
            self.go_on(waiting, out);
        }
        self.pump(now, out);
        Ok(())
    }

    /// Ends a consumer: what it held goes back. Returns how much that was.
    pub(crate) fn detach(&mut self, id: ConsumerId, now: Timestamp, out: &mut Outgoing) -> u64 {
        if self.remove_consumer(id).is_none() {
            return 0;
        }
        let mut effects = self.effects();
        let returned = self.core.detach(now, id, &mut effects);
        self.record_lazily(&mut effects, now, out);
        self.recycle(effects);
        self.pump(now, out);
        returned
    }
}

/// Controls a consumer; dropping it ends the consumer.
#[derive(Debug)]
pub(crate) struct Handle {
    shared: Arc<Shared>,
    outbox: Arc<DeliveryOutbox>,
    id: ConsumerId,
    cancelled: AtomicBool,
}

impl Handle {
    pub(crate) fn new(shared: Arc<Shared>, outbox: Arc<DeliveryOutbox>, id: ConsumerId) -> Self {
        Self {
            shared,
            outbox,
            id,
            cancelled: AtomicBool::new(false),
        }
    }
}

impl ConsumerHandle for Handle {
    fn id(&self) -> ConsumerId {
        self.id
    }

    fn credit(&self, credit: u32) {
        self.shared.locked(|state, now, out| {
            if state.consumers.contains_key(&self.id) {
                state.core.credit(self.id, credit);
                state.pump(now, out);
            }
        });
    }

    fn taken(&self, bytes: u64) {
        self.shared.locked(|state, now, out| {
            if state.consumers.contains_key(&self.id) {
                state.core.taken(self.id, bytes);
                state.pump(now, out);
            }
        });
    }

    fn cancel(&self) -> u64 {
        if self.cancelled.swap(true, Ordering::Relaxed) {
            return 0;
        }
        self.outbox.cancel();
        self.shared
            .locked(|state, now, out| state.detach(self.id, now, out))
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.cancel();
    }
}
