//! How far the log is written and durable.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::lsn::{Lsn, Place};

/// How far the log has come. Both only grow; `synced` ≤ `written`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Watermarks {
    /// Up to here records are written: they survive the death of the process.
    pub written: Lsn,
    /// Up to here records are durable: they survive a power loss.
    pub synced: Lsn,
}

/// The watermarks and the places that go with them, to be read without a lock. One thread at a time moves them: the committing one.
#[derive(Debug)]
pub(crate) struct Progress {
    written: AtomicU64,
    synced: AtomicU64,
    /// The end of what is written.
    written_end: AtomicU64,
    /// The segment that holds the newest durable batch.
    synced_segment: AtomicU64,
}

impl Progress {
    /// Everything up to `lsn`, which ends at `end`, is durable.
    pub(crate) fn new(lsn: Lsn, end: Place) -> Self {
        Self {
            written: lsn.0.into(),
            synced: lsn.0.into(),
            written_end: end.to_bits().into(),
            synced_segment: u64::from(end.segment()).into(),
        }
    }

    pub(crate) fn watermarks(&self) -> Watermarks {
        // In this order, so that `synced` is never the greater one.
        let synced = Lsn(self.synced.load(Ordering::Acquire));
        Watermarks {
            written: Lsn(self.written.load(Ordering::Acquire)),
            synced,
        }
    }

    pub(crate) fn written_end(&self) -> Place {
        Place::from_bits(self.written_end.load(Ordering::Acquire))
    }

    pub(crate) fn synced_segment(&self) -> u32 {
        self.synced_segment.load(Ordering::Acquire) as u32
    }

    pub(crate) fn set_written(&self, lsn: Lsn, end: Place) {
        self.written_end.store(end.to_bits(), Ordering::Release);
        self.written.store(lsn.0, Ordering::Release);
    }

    pub(crate) fn set_synced(&self, lsn: Lsn, segment: u32) {
        self.synced_segment
            .store(u64::from(segment), Ordering::Release);
        self.synced.store(lsn.0, Ordering::Release);
    }
}
