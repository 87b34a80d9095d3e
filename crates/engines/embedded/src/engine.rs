use crate::{
    config::{Drive, EmbeddedConfig},
    consume::Handle,
    error::OpenError,
    open,
    shared::Shared,
};
use std::{sync::Arc, thread, time::Duration};
use tokio::sync::watch;
use trunkline_journal::RecoveryReport;
use trunkline_model::{
    Admin, Batch, Caller, Capabilities, ChannelMessage, Clock, Completion, ConsumeSpec,
    ConsumerHandle, DeliveryOutbox, DeliverySink, Durability, Engine, Error, Health, ListenHandle,
    ListenPolicy, ListenerSink, Outcome,
};

/// The embedded engine.
///
/// Closing is part of dropping: what was taken is made durable first, which may wait for
/// the disk.
#[derive(Debug)]
pub struct Embedded {
    shared: Arc<Shared>,
    recovery: Option<RecoveryReport>,
    drive: Drive,
}

impl Embedded {
    /// Opens the engine: recovers what its journal holds and starts to serve.
    ///
    /// # Errors
    /// [`OpenError`]; nothing that was confirmed is ever dropped to make opening succeed.
    pub fn open(config: EmbeddedConfig) -> Result<Arc<Self>, OpenError> {
        let drive = config.drive;
        let (shared, recovery) = open::open(config)?;
        Ok(Arc::new(Self {
            shared,
            recovery,
            drive,
        }))
    }

    /// What opening found in the journal; `None` for `memory:`.
    pub fn recovery(&self) -> Option<&RecoveryReport> {
        self.recovery.as_ref()
    }

    /// The clock it goes by: never before the last time that its journal recorded.
    pub fn clock(&self) -> Arc<dyn Clock> {
        self.shared.clock()
    }

    /// Lets everything happen that is due by the clock: expiry, ack time-outs, delays. The
    /// engine's own thread does this; needed after moving a clock by hand.
    pub fn tick(&self) {
        self.shared.tick();
    }

    /// One round of the journal in this thread: writes what waits, makes it durable if it
    /// asks for that, and releases what depends on it; then a part of what is to be freed or
    /// compacted. Returns whether there was anything. The engine's own threads do this;
    /// needed with [`Drive::ByHand`].
    pub fn step(&self) -> bool {
        let wrote = self.shared.commit();
        let cleaned = self.drive == Drive::ByHand && self.shared.cleaner.step(&self.shared);
        wrote || cleaned
    }

    /// Whether nothing that was taken waits for the journal, the disk or a sink.
    pub fn is_idle(&self) -> bool {
        self.shared.is_idle()
    }

    /// Without a journal nothing can be made durable: what asks for it is refused, what
    /// doesn't say is kept in memory.
    fn fit(&self, mut command: Admin) -> Result<Admin, Error> {
        if self.recovery.is_some() {
            return Ok(command);
        }
        let asked = match &mut command {
            Admin::Define { settings, .. } => {
                let asked = settings.durability.replace(Durability::Memory);
                asked.is_some_and(|asked| asked != Durability::Memory)
            }
            Admin::Alter {
                settings, clear, ..
            } => {
                let asked = settings.durability;
                asked.is_some_and(|asked| asked != Durability::Memory)
                    || clear.iter().any(|option| option == "durability")
            }
            _ => false,
        };
        if asked {
            return Err(Error::unsupported(
                "durability",
                "the engine memory: keeps nothing; leave durability out or set it to memory",
            ));
        }
        Ok(command)
    }
}

impl Engine for Embedded {
    fn capabilities(&self) -> watch::Receiver<Capabilities> {
        self.shared.capabilities.subscribe()
    }

    fn submit(&self, _: &Caller, batch: Batch, completion: Completion) {
        self.shared
            .submit(batch, completion, |state, now, batch, completion, out| {
                state.submit(now, batch, completion, out)
            });
    }

    fn submit_all(&self, _: &Caller, batches: &mut Vec<(Batch, Completion)>) {
        self.shared.submit_all(batches.drain(..));
    }

    fn admin(&self, _: &Caller, command: Admin, completion: Completion) {
        match self.fit(command) {
            Ok(command) => self.shared.submit(
                command,
                completion,
                |state, now, command, completion, out| state.admin(now, command, completion, out),
            ),
            Err(error) => completion.complete(Err(error)),
        }
    }

    fn consume(
        &self,
        _: &Caller,
        spec: ConsumeSpec,
        sink: Arc<dyn DeliverySink>,
    ) -> Box<dyn ConsumerHandle> {
        let outbox = DeliveryOutbox::new(sink);
        let id = self.shared.locked(|state, _, _| state.next_consumer());
        let mut spec = spec;
        loop {
            let attached = self
                .shared
                .locked(|state, now, out| state.attach(now, id, spec, &outbox, out));
            match attached {
                Ok(()) => break,
                Err(again) => spec = again,
            }
            self.shared.commit();
        }
        Box::new(Handle::new(self.shared.clone(), outbox, id))
    }

    fn publish_channel(&self, _: &Caller, message: ChannelMessage, completion: Completion) {
        let result = match *self.shared.health.borrow() {
            Health::Closed => Err(Error::shutting_down()),
            _ => Ok(()),
        };
        let reached = |()| Outcome::Reached(Some(self.shared.hub.publish(message)));
        completion.complete(result.map(reached));
    }

    fn listen(
        &self,
        _: &Caller,
        sink: Arc<dyn ListenerSink>,
        policy: ListenPolicy,
    ) -> Box<dyn ListenHandle> {
        self.shared.hub.listen(sink, policy)
    }

    fn health(&self) -> watch::Receiver<Health> {
        self.shared.health.subscribe()
    }

    /// Ends the consumers, answers what waits for the journal, writes the closing batch. The
    /// deadline bounds nothing here: all that is waited for is one sync of the disk, and a
    /// sync can't be taken back.
    fn close(&self, _: Duration) {
        if !self.shared.begin_closing() {
            return;
        }
        let shared = self.shared.clone();
        let finish = move || shared.finish_closing();
        let spawned = match self.drive {
            Drive::Threads => thread::Builder::new()
                .name("engine-close".into())
                .spawn(finish.clone())
                .is_ok(),
            Drive::ByHand => false,
        };
        if !spawned {
            finish();
        }
    }
}

impl Drop for Embedded {
    fn drop(&mut self) {
        if self.shared.begin_closing() {
            self.shared.finish_closing();
        }
    }
}
