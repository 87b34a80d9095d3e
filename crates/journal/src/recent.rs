//! What was appended lately, kept in memory: batches on their way to the disk, and a byte-bounded cache of those that are there.

use std::collections::VecDeque;

use bytes::{Bytes, BytesMut};

use crate::format::{BATCH_HEADER, RECORD_HEADER, le};
use crate::journal::RecordBytes;
use crate::lsn::{Place, RecordKind};

#[derive(Debug)]
struct Batch {
    /// Of the first record.
    start: Place,
    /// Length of the records, without padding.
    len: u32,
    body: Bytes,
    /// What the batch costs, whatever its length.
    capacity: usize,
}

/// Batches in the order of the log, the oldest first. Those that are not written yet stay, since only [`Recent::written`] lets any go.
#[derive(Debug)]
pub(crate) struct Recent {
    batches: VecDeque<Batch>,
    bytes: usize,
    bytes_max: usize,
}

impl Recent {
    pub(crate) fn new(bytes_max: usize) -> Self {
        Self {
            batches: VecDeque::new(),
            bytes: 0,
            bytes_max,
        }
    }

    /// Adds a batch that is about to be written: its place, and its body of which `len` bytes are records.
    pub(crate) fn push(&mut self, place: Place, len: u32, body: Bytes, capacity: usize) {
        self.batches.push_back(Batch {
            start: place.advance(BATCH_HEADER),
            len,
            body,
            capacity,
        });
        self.bytes += capacity;
    }

    /// All batches are written. Those beyond the bound leave; their buffers go to `reuse` if nobody else looks at them.
    pub(crate) fn written(&mut self, mut reuse: impl FnMut(BytesMut)) {
        while self.bytes > self.bytes_max {
            let Some(batch) = self.batches.pop_front() else {
                break;
            };
            self.bytes -= batch.capacity;
            if let Ok(buffer) = batch.body.try_into_mut() {
                reuse(buffer);
            }
        }
    }

    /// The record at `place`, sharing the batch's memory.
    pub(crate) fn get(&self, place: Place) -> Option<RecordBytes> {
        let after = self.batches.partition_point(|batch| batch.start <= place);
        let batch = self.batches.get(after.checked_sub(1)?)?;
        if batch.start.segment() != place.segment() {
            return None;
        }
        let at = (place.offset() - batch.start.offset()) as usize;
        let (kind, from, to) = locate(&batch.body[..batch.len as usize], at)?;
        Some(RecordBytes {
            kind,
            payload: batch.body.slice(from..to),
        })
    }
}

/// Kind and payload range of the record at `at` in a body. The caller says that it is a record's start.
pub(crate) fn locate(body: &[u8], at: usize) -> Option<(RecordKind, usize, usize)> {
    let from = at.checked_add(RECORD_HEADER)?;
    body.get(at..from)?;
    let word = le::u32(body, at + 4);
    let to = from + (word & 0xFF_FFFF) as usize;
    (to <= body.len()).then_some((RecordKind((word >> 24) as u8), from, to))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::encode_record;

    fn batch(payload: &[u8]) -> (u32, Bytes) {
        let mut body = Vec::new();
        encode_record(&mut body, RecordKind(1), &[payload]);
        (body.len() as u32, BytesMut::from(&body[..]).freeze())
    }

    #[test]
    fn the_oldest_batch_leaves_first_and_never_before_it_is_written() {
        let mut recent = Recent::new(100);
        for n in 0..3_u32 {
            let (len, body) = batch(&[n as u8; 32]);
            recent.push(Place::new(1, 4096 + n * 128), len, body, 60);
        }
        let at = |n: u32| Place::new(1, 4096 + n * 128 + 64);
        assert!((0..3).all(|n| recent.get(at(n)).unwrap().payload == vec![n as u8; 32]));
        let mut reused = 0;
        recent.written(|_| reused += 1);
        assert_eq!(reused, 2);
        assert!(recent.get(at(0)).is_none() && recent.get(at(1)).is_none());
        assert_eq!(recent.get(at(2)).unwrap().payload, vec![2; 32]);
        assert!(recent.get(Place::new(2, 4096 + 64)).is_none());
        assert!(recent.get(Place::new(1, 64)).is_none());
    }
}
