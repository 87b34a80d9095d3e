use crate::shared::Shared;
use std::{
    sync::{
        Condvar, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};
use trunkline_model::Timestamp;

/// Deadlines are met when they lie strictly in the past, and a little later is soon enough.
const SLACK: Duration = Duration::from_millis(1);
/// Longest wait without looking at the clock again: it may be set forward.
const WAIT_MAX: Duration = Duration::from_secs(60);
const NEVER: u64 = u64::MAX;

/// The next deadline, and the thread that waits for it.
#[derive(Debug)]
pub(crate) struct Timer {
    /// Microseconds of a [`Timestamp`]: read without the lock by every command.
    armed: AtomicU64,
    stopped: Mutex<bool>,
    wake: Condvar,
}

impl Default for Timer {
    fn default() -> Self {
        Self {
            armed: AtomicU64::new(NEVER),
            stopped: Mutex::new(false),
            wake: Condvar::new(),
        }
    }
}

impl Timer {
    /// Something is due at this time, or nothing is. A deadline that moves away is not worth
    /// a wake-up: the thread finds out when it looks.
    pub(crate) fn arm(&self, deadline: Option<Timestamp>) {
        let Some(deadline) = deadline else { return };
        let micros = deadline.as_micros();
        if micros < self.armed.load(Ordering::Acquire)
            && self.armed.fetch_min(micros, Ordering::AcqRel) > micros
        {
            // The lock orders this after the thread's look at `armed`.
            drop(self.stopped.lock());
            self.wake.notify_one();
        }
    }

    pub(crate) fn stop(&self) {
        if let Ok(mut stopped) = self.stopped.lock() {
            *stopped = true;
        }
        self.wake.notify_all();
    }

    /// The timer thread.
    pub(crate) fn run(&self, shared: &Shared) {
        loop {
            let Ok(stopped) = self.stopped.lock() else {
                return;
            };
            if *stopped {
                return;
            }
            let armed = self.armed.load(Ordering::Acquire);
            let (deadline, now) = (Timestamp::from_micros(armed), shared.now());
            if armed != NEVER && deadline < now {
                drop(stopped);
                self.armed.store(NEVER, Ordering::Release);
                // Arms it again.
                shared.tick();
                continue;
            }
            let wait = (deadline.since(now) + SLACK).min(WAIT_MAX);
            drop(self.wake.wait_timeout(stopped, wait));
        }
    }
}
