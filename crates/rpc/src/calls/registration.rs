use super::Calls;
use std::sync::Arc;
use trunkline_model::WorkerHandle;

/// A registered worker. Dropping it means that the worker is lost: calls that it runs are
/// taken over by another worker where the method is idempotent and the deadline holds, the
/// others fail with `-32002`.
#[must_use = "dropping it loses the worker"]
pub struct Registration {
    calls: Arc<Calls>,
    worker: u64,
    /// Taken when dropped: what it runs must be settled before the tables forget it.
    handle: Option<Arc<dyn WorkerHandle>>,
}

impl Registration {
    pub(super) fn new(calls: Arc<Calls>, worker: u64, handle: Arc<dyn WorkerHandle>) -> Self {
        let handle = Some(handle);
        Self {
            calls,
            worker,
            handle,
        }
    }

    /// No new calls from now on; running ones finish. The worker's methods are no longer
    /// offered, unless by others.
    pub fn drain(&self) {
        self.calls.close_worker(self.worker);
        if let Some(handle) = &self.handle {
            handle.drain();
        }
    }

    /// How many calls it runs.
    pub fn running(&self) -> u32 {
        self.handle.as_ref().map_or(0, |handle| handle.running())
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        // Before its calls fail: whoever calls again then must not wait for this worker.
        self.calls.close_worker(self.worker);
        drop(self.handle.take());
        self.calls.remove_worker(self.worker);
    }
}

impl std::fmt::Debug for Registration {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Registration")
            .field("worker", &self.worker)
            .field("running", &self.running())
            .finish_non_exhaustive()
    }
}
