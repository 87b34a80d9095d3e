//! What a caller can choose.

use std::time::Duration;

use crate::format::{SEGMENT_BYTES_MAX, SEGMENT_BYTES_MIN};

/// Sizes and times of a journal. Values outside their bounds are refused by [`Journal::open`](crate::Journal::open).
#[derive(Clone, Debug)]
pub struct Config {
    /// Size of a new segment file in bytes: 256 KiB to 1 GiB, a multiple of 4096. Default 64 MiB.
    /// Existing segments keep their size.
    pub segment_bytes: u32,
    /// Bound of the cache of recently written batches, in bytes. Default 16 MiB.
    pub cache_bytes: usize,
    /// How much a read from disk fetches at least, in bytes: 4 KiB to 16 MiB. Default 256 KiB. Sixteen such chunks are kept.
    pub read_ahead_bytes: usize,
    /// Bound of what is appended and not yet written, in bytes. Default 64 MiB. [`Class::Growth`] is refused from here on,
    /// the other classes at twice as much.
    pub pending_bytes: usize,
    /// After this time a lazy record is made durable even if nothing else comes. Default 10 ms. Kept by the writer thread.
    pub lazy_flush: Duration,
    /// A written record is made durable within this time. Default 1 s. Kept by the writer thread.
    pub sync_interval: Duration,
    /// Segments that are kept ready ahead of the writer, and at most so many spare ones: 1 to 64. Default 2.
    pub ready_segments: u32,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            segment_bytes: 64 << 20,
            cache_bytes: 16 << 20,
            read_ahead_bytes: 256 << 10,
            pending_bytes: 64 << 20,
            lazy_flush: Duration::from_millis(10),
            sync_interval: Duration::from_secs(1),
            ready_segments: 2,
        }
    }
}

impl Config {
    /// The first value that is out of bounds, as text for a person.
    pub(crate) fn check(&self) -> Result<(), String> {
        let size = self.segment_bytes;
        if !(SEGMENT_BYTES_MIN..=SEGMENT_BYTES_MAX).contains(&size) || !size.is_multiple_of(4096) {
            return Err(format!(
                "segment_bytes is {size}; allowed are multiples of 4096 from 256 KiB to 1 GiB"
            ));
        }
        if !(4 << 10..=16 << 20).contains(&self.read_ahead_bytes) {
            return Err(format!(
                "read_ahead_bytes is {}; allowed is 4 KiB to 16 MiB",
                self.read_ahead_bytes
            ));
        }
        if !(1..=64).contains(&self.ready_segments) {
            return Err(format!(
                "ready_segments is {}; allowed is 1 to 64",
                self.ready_segments
            ));
        }
        Ok(())
    }
}

/// How soon appended records must be durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Urgency {
    /// Goes with the next flush, whoever starts it, or after [`Config::lazy_flush`]. Never starts a flush alone.
    Lazy,
    /// Written now, durable within [`Config::sync_interval`]. Survives the death of the process, not a power loss.
    Interval,
    /// Written and durable now.
    Commit,
}

/// Which part of the disk space an append may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Class {
    /// What adds to the store: publishes, definitions. Leaves the reserve and one whole segment untouched.
    Growth,
    /// What settles: acks, drops. May use the reserve ([`Journal::set_reserve`](crate::Journal::set_reserve)), leaves one whole segment.
    Reserve,
    /// Copying live records so that a segment can be freed: may use everything.
    Compaction,
}
