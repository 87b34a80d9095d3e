//! How much may wait for the server.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use trunkline_model::{Error, ErrorCode};

/// What a step takes in memory besides what it carries.
const STEP_BYTES: u64 = 256;

/// A bound on what waits, in bytes.
#[derive(Debug)]
pub(super) struct Room {
    used: AtomicU64,
    max: u64,
}

/// Room that is taken; given back when it is dropped.
#[derive(Debug)]
pub(super) struct Taken {
    room: Arc<Room>,
    bytes: u64,
}

impl Room {
    pub(super) fn new(max: u64) -> Arc<Self> {
        Arc::new(Self {
            used: AtomicU64::new(0),
            max,
        })
    }

    /// Room for what can be refused.
    ///
    /// # Errors
    /// `Overloaded`.
    pub(super) fn ask(self: &Arc<Self>, bytes: u64) -> Result<Taken, Error> {
        let taken = self.take(bytes);
        // One alone always fits.
        if self.used.load(Ordering::Relaxed) > self.max.max(taken.bytes) {
            let text = "too much waits for Redis to take it; publish more slowly, or try again";
            return Err(Error::new(ErrorCode::Overloaded, text).with("limit", self.max));
        }
        Ok(taken)
    }

    /// Whether there is any room.
    ///
    /// # Errors
    /// `Overloaded`.
    pub(super) fn check(self: &Arc<Self>) -> Result<(), Error> {
        self.ask(0).map(drop)
    }

    /// Room for what can't: it is bounded by something else.
    pub(super) fn take(self: &Arc<Self>, bytes: u64) -> Taken {
        let bytes = bytes + STEP_BYTES;
        self.used.fetch_add(bytes, Ordering::Relaxed);
        Taken {
            room: self.clone(),
            bytes,
        }
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        self.room.used.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_waits_has_a_bound_and_one_alone_always_fits() {
        let room = Room::new(1_000);
        let large = room.ask(5_000).unwrap();
        let refused = room.ask(1).unwrap_err();
        assert_eq!(refused.code(), ErrorCode::Overloaded);
        assert_eq!(refused.data().unwrap()["limit"], 1_000);
        let ack = room.take(1);
        drop(large);
        let fits = room.ask(100).unwrap();
        assert!(room.ask(1_000).is_err());
        drop((ack, fits));
        assert_eq!(room.used.load(Ordering::Relaxed), 0);
    }
}
