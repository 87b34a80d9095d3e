//! The bounds on requests in flight.

use std::sync::Arc;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Bytes are counted in steps of this size, and every request takes at least one.
const STEP: usize = 1 << 10;

/// Most requests and most bytes without an answer; whoever would exceed them waits, in order.
#[derive(Debug)]
pub(super) struct Room {
    requests: Arc<Semaphore>,
    bytes: Arc<Semaphore>,
    steps_max: u32,
}

/// What a request takes; dropping it gives it back.
#[derive(Debug)]
pub(super) struct Held {
    _request: OwnedSemaphorePermit,
    _bytes: OwnedSemaphorePermit,
}

impl Room {
    pub(super) fn new(requests_max: usize, bytes_max: usize) -> Self {
        let steps = (bytes_max / STEP).clamp(1, Semaphore::MAX_PERMITS);
        let steps_max = u32::try_from(steps).unwrap_or(u32::MAX);
        Self {
            requests: Arc::new(Semaphore::new(
                requests_max.clamp(1, Semaphore::MAX_PERMITS),
            )),
            bytes: Arc::new(Semaphore::new(steps_max as usize)),
            steps_max,
        }
    }

    /// Waits for room. One request is always allowed, whatever its size.
    pub(super) async fn take(&self, bytes: usize) -> Held {
        let steps = u32::try_from(bytes / STEP + 1).unwrap_or(u32::MAX);
        let steps = steps.min(self.steps_max);
        let request = Arc::clone(&self.requests).acquire_owned().await;
        let bytes = Arc::clone(&self.bytes).acquire_many_owned(steps).await;
        Held {
            _request: request.expect("the semaphore is never closed"),
            _bytes: bytes.expect("the semaphore is never closed"),
        }
    }
}
