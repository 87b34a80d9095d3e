//! The end: what is under way finishes, nothing new begins.

use super::Calls;
use crate::lock::lock;
use std::{sync::atomic::Ordering, time::Duration};
use trunkline_model::Error;

impl Calls {
    /// Refuses new calls and workers with `-32012`, waits until the calls of this process
    /// have ended, then takes no more calls for its workers and waits until those that run
    /// are answered, on other wires until that is written. What has not ended within `deadline` fails with `-32012`.
    pub async fn drain(&self, deadline: Duration) {
        self.draining.store(true, Ordering::Relaxed);
        let quiet = async {
            self.until(|| lock(&self.desk).calls.is_empty()).await;
            let workers = lock(&self.locals).handles();
            for (number, handle) in &workers {
                self.close_worker(*number);
                handle.drain();
            }
            // Held no longer than needed: a registration that is dropped meanwhile must
            // find itself the last owner of its handle.
            drop(workers);
            self.until(|| self.running() == 0).await;
            for wire in self.foreign.iter() {
                wire.flushed().await;
            }
        };
        if tokio::time::timeout(deadline, quiet).await.is_err() {
            let left = lock(&self.desk).calls.ids();
            for id in left {
                self.give_up(id, Error::shutting_down());
            }
        }
    }

    fn running(&self) -> u32 {
        let workers = lock(&self.locals).handles();
        workers.iter().map(|(_, handle)| handle.running()).sum()
    }

    async fn until(&self, done: impl Fn() -> bool) {
        loop {
            let quieter = self.quieter.notified();
            tokio::pin!(quieter);
            quieter.as_mut().enable();
            if done() {
                return;
            }
            quieter.await;
        }
    }
}
