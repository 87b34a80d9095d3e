//! What is to be seen of a load while it runs, and how it is ended early.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// Shared by those who load and one who looks on.
#[derive(Debug, Default)]
pub struct Gauge {
    done: AtomicU64,
    stop: AtomicBool,
}

impl Gauge {
    /// How many of what is counted are done.
    pub fn done(&self) -> u64 {
        self.done.load(Ordering::Relaxed)
    }

    /// Ends the load: nothing new is sent, what is in flight is waited for.
    pub fn stop(&self) {
        self.stop.store(true, Ordering::Relaxed);
    }

    /// Whether it was asked to end.
    pub fn is_stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    pub(crate) fn add(&self, done: u64) {
        self.done.fetch_add(done, Ordering::Relaxed);
    }
}
