//! How many calls a worker may take, and the end of that.

use crate::link::Link;
use redis::{RedisResult, Value};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use tokio::sync::Notify;

/// Slots of a worker that reads over a connection which blocks.
#[derive(Debug)]
pub(crate) struct Slots {
    free: AtomicU32,
    /// A slot is free, or it is over.
    changed: Notify,
    draining: AtomicBool,
    /// The number that Redis gave to the connection that reads, to have it return.
    reader: Mutex<Option<i64>>,
}

impl Slots {
    pub(crate) fn new(concurrency: u32) -> Self {
        Self {
            free: AtomicU32::new(concurrency.max(1)),
            changed: Notify::new(),
            draining: AtomicBool::new(false),
            reader: Mutex::default(),
        }
    }

    pub(crate) fn free(&self) -> u32 {
        self.free.load(Ordering::Acquire)
    }

    /// Takes a slot: only the one who reads does, for no more than were free.
    pub(crate) fn take(&self) {
        self.free.fetch_sub(1, Ordering::AcqRel);
    }

    pub(crate) fn give_back(&self) {
        self.free.fetch_add(1, Ordering::AcqRel);
        self.changed.notify_one();
    }

    /// Waits until a slot is given back, or it is over.
    pub(crate) async fn changed(&self) {
        self.changed.notified().await;
    }

    pub(crate) fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Acquire)
    }

    /// The connection over which is read from now on.
    pub(crate) async fn read_over(&self, link: &Link) -> RedisResult<()> {
        let id = link.one(redis::cmd("CLIENT").arg("ID")).await?;
        *self.reader.lock().expect("nothing panics with it") = Some(id);
        Ok(())
    }

    /// Ends the taking; false if it had ended.
    pub(crate) fn drain(&self) -> bool {
        let first = !self.draining.swap(true, Ordering::AcqRel);
        self.changed.notify_one();
        first
    }

    /// Has a read that waits return. If Redis can't be told, it ends by itself.
    pub(crate) async fn unblock(&self, link: &Link) {
        let reader = *self.reader.lock().expect("nothing panics with it");
        if let Some(reader) = reader {
            let mut unblock = redis::cmd("CLIENT");
            unblock.arg("UNBLOCK").arg(reader);
            let _: RedisResult<Value> = link.one(&unblock).await;
        }
    }
}
