//! Closing: what was taken is finished and made durable, then the store is let go of.

use crate::{
    outgoing::Outgoing,
    shared::{Shared, Threads},
    state::{Phase, State},
};
use std::{mem, thread};
use trunkline_model::{Error, Health};

impl State {
    /// Takes no more commands and ends the consumers. False if that was done before.
    fn begin_closing(&mut self, out: &mut Outgoing) -> bool {
        if matches!(self.phase, Phase::Closing) {
            return false;
        }
        self.phase = Phase::Closing;
        self.end_consumers(&Error::shutting_down(), out);
        true
    }

    /// What the next start needs not find out from the log.
    fn saved(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        self.core.save(&mut bytes);
        bytes
    }
}

impl Shared {
    /// Whether this call is the one that has to finish the closing.
    pub(crate) fn begin_closing(&self) -> bool {
        self.locked(|state, _, out| state.begin_closing(out))
    }

    /// Makes everything durable, answers what waits for that, lets go of the store. After a
    /// failure of the journal there is nothing to make durable any more.
    pub(crate) fn finish_closing(&self) {
        let journal = self.locked(|state, _, _| {
            let log = state.log.as_ref();
            log.map(|log| log.journal.clone())
        });
        if let Some(journal) = journal {
            let state = || Some(self.locked(|state, _, _| state.saved()));
            match journal.close_with(state) {
                Ok(failed) => {
                    if let Some(error) = failed {
                        tracing::warn!(%error, "no checkpoint was written; the next start reads the whole log");
                    }
                    self.release();
                }
                Err(poison) => tracing::error!(%poison, "the journal was not closed properly"),
            }
        }
        self.locked(|state, _, out| state.refuse_waiting(&Error::shutting_down(), out));
        self.stop_threads();
        self.reader.refuse(&Error::shutting_down());
        // With the last reference goes the directory's lock.
        self.locked(|state, _, _| state.log = None);
        self.health.send_replace(Health::Closed);
    }

    fn stop_threads(&self) {
        self.timer.stop();
        self.reader.stop();
        self.cleaner.stop();
        let threads = self.threads.lock();
        let threads = threads.map_or_else(
            |_| Threads::default(),
            |mut threads| mem::take(&mut *threads),
        );
        if let Some(writer) = threads.writer {
            writer.stop();
        }
        let this = thread::current().id();
        for handle in threads.others {
            // A sink may drop the engine from inside; a thread can't wait for itself.
            if handle.thread().id() != this && handle.join().is_err() {
                tracing::error!("a thread of the engine panicked");
            }
        }
    }
}
