//! How many calls a worker may take, and the end of that.

use crate::deployment::{Deployment, Failure};
use redis::Value;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;
use tokio::sync::{Notify, watch};

/// How often a read that waits is told that it is over: it may not have begun when it was told first.
const UNBLOCK_EVERY: Duration = Duration::from_millis(50);

/// Slots of a worker that reads over a connection which blocks.
#[derive(Debug)]
pub(super) struct Slots {
    free: AtomicU32,
    /// A slot is free, or it is over.
    changed: Notify,
    draining: AtomicBool,
    /// The number that Redis gave to the connection that reads, to have it return.
    reader: Mutex<Option<i64>>,
    /// Whether nothing is read any more.
    read: watch::Sender<bool>,
}

impl Slots {
    pub(super) fn new(concurrency: u32) -> Self {
        Self {
            free: AtomicU32::new(concurrency.max(1)),
            changed: Notify::new(),
            draining: AtomicBool::new(false),
            reader: Mutex::default(),
            read: watch::Sender::new(false),
        }
    }

    pub(super) fn free(&self) -> u32 {
        self.free.load(Ordering::Acquire)
    }

    /// Takes a slot: only the one who reads does, for no more than were free.
    pub(super) fn take(&self) {
        self.free.fetch_sub(1, Ordering::AcqRel);
    }

    pub(super) fn give_back(&self) {
        self.free.fetch_add(1, Ordering::AcqRel);
        self.changed.notify_one();
    }

    /// Waits until a slot is given back, or it is over.
    pub(super) async fn changed(&self) {
        self.changed.notified().await;
    }

    pub(super) fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Acquire)
    }

    /// The connection over which is read from now on.
    pub(super) async fn read_over(&self, reader: &Deployment, key: &[u8]) -> Result<(), Failure> {
        let id = reader.one(key, redis::cmd("CLIENT").arg("ID")).await?;
        *self.reader.lock().expect("nothing panics with it") = Some(id);
        Ok(())
    }

    /// Ends the taking; false if it had ended.
    pub(super) fn drain(&self) -> bool {
        let first = !self.draining.swap(true, Ordering::AcqRel);
        self.changed.notify_one();
        first
    }

    pub(super) fn read_for_the_last_time(&self) {
        self.read.send_replace(true);
    }

    /// Has a read that waits return. If Redis can't be told, it ends by itself.
    pub(super) async fn unblock(&self, deployment: &Deployment, key: &[u8]) {
        let mut read = self.read.subscribe();
        while !*read.borrow_and_update() {
            let reader = *self.reader.lock().expect("nothing panics with it");
            if let Some(reader) = reader {
                let mut unblock = redis::cmd("CLIENT");
                unblock.arg("UNBLOCK").arg(reader);
                let told: Result<Value, Failure> = deployment.one(key, &unblock).await;
                if told.is_err() {
                    return;
                }
            }
            // What it says is read above.
            let _ = tokio::time::timeout(UNBLOCK_EVERY, read.changed()).await;
        }
    }
}
