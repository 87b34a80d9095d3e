//! Reading records back from disk, with read-ahead.

use std::collections::VecDeque;

use bytes::Bytes;

use crate::error::ReadError;
use crate::format::{
    FileName, RECORD_HEADER, RecordFault, SEGMENT_DATA, decode_record, record_len,
};
use crate::journal::{Journal, RecordBytes};
use crate::lsn::Place;
use crate::pages::{Aligned, PAGE, page_start};
use crate::segments::lock;

/// So many backlogs can be read in turns without reading anything twice.
const CHUNKS_MAX: usize = 16;

#[derive(Debug)]
struct Chunk {
    start: Place,
    bytes: Bytes,
}

/// Pieces of segments that were read lately, the most recently used first. Nothing in them changes on disk any more.
#[derive(Debug, Default)]
pub(crate) struct Chunks(VecDeque<Chunk>);

impl Chunks {
    /// What a chunk has from `place` on.
    fn find(&mut self, place: Place) -> Option<Bytes> {
        let holds = |chunk: &Chunk| {
            chunk.start <= place
                && chunk.start.segment() == place.segment()
                && ((place.offset() - chunk.start.offset()) as usize) < chunk.bytes.len()
        };
        let index = self.0.iter().position(holds)?;
        let chunk = self.0.remove(index)?;
        let rest = chunk
            .bytes
            .slice((place.offset() - chunk.start.offset()) as usize..);
        self.0.push_front(chunk);
        Some(rest)
    }

    /// Keeps a chunk; one that it continues is not needed any more by who reads in order.
    fn keep(&mut self, start: Place, bytes: Bytes) {
        self.0.truncate(CHUNKS_MAX - 1);
        self.0.push_front(Chunk { start, bytes });
    }

    /// Forgets what belongs to segments before `segment`.
    pub(crate) fn forget_before(&mut self, segment: u32) {
        self.0.retain(|chunk| chunk.start.segment() >= segment);
    }
}

impl Journal {
    /// Reads a record that isn't in memory.
    pub(crate) fn read_cold(&self, place: Place) -> Result<RecordBytes, ReadError> {
        if let Some(rest) = lock(&self.chunks).find(place)
            && let Ok(record) = record_at_start(&rest)
        {
            return Ok(record);
        }
        let segment = self
            .segments
            .get(place.segment())
            .ok_or(ReadError::NoSegment(place))?;
        // Behind this nothing is read: it may still change.
        let written_end = self.progress.written_end();
        let limit = match place.segment().cmp(&written_end.segment()) {
            std::cmp::Ordering::Less => segment.bytes,
            std::cmp::Ordering::Equal => written_end.offset(),
            std::cmp::Ordering::Greater => 0,
        };
        if place.offset() < SEGMENT_DATA
            || place.offset().saturating_add(RECORD_HEADER as u32) > limit
        {
            return Err(ReadError::NotWritten(place));
        }
        let left = (limit - place.offset()) as usize;
        let damaged = || ReadError::Damaged {
            file: FileName::Segment(place.segment()).to_string(),
            place,
        };
        let mut bytes = self.read_chunk(place, self.config.read_ahead_bytes.min(left))?;
        let record = match record_at_start(&bytes) {
            Err(RecordFault::Short(needed)) if needed <= left => {
                bytes = self.read_chunk(place, needed)?;
                record_at_start(&bytes)
            }
            other => other,
        };
        let record = record.map_err(|_| damaged())?;
        lock(&self.chunks).keep(place, bytes);
        // A file that was freed meanwhile may hold another segment's records already.
        if self.segments.get(place.segment()).is_none() {
            lock(&self.chunks).forget_before(self.segments.oldest());
            return Err(ReadError::NoSegment(place));
        }
        Ok(record)
    }

    fn read_chunk(&self, place: Place, len: usize) -> Result<Bytes, ReadError> {
        let io = |cause| ReadError::Io {
            file: FileName::Segment(place.segment()).to_string(),
            cause,
        };
        let file = self
            .segments
            .file(place.segment())
            .map_err(io)?
            .ok_or(ReadError::NoSegment(place))?;
        // Whole pages, as they are written. A page that is being written meanwhile holds the same in what we want of it.
        let from = page_start(place.offset());
        let skipped = (place.offset() - from) as usize;
        let mut pages = Aligned::new((skipped + len).next_multiple_of(PAGE as usize));
        file.read_at(from.into(), pages.bytes_mut()).map_err(io)?;
        let (memory, start) = pages.into_memory();
        Ok(Bytes::from(memory).slice(start + skipped..start + skipped + len))
    }
}

/// The record that `bytes` start with.
fn record_at_start(bytes: &Bytes) -> Result<RecordBytes, RecordFault> {
    let (kind, len) = decode_record(bytes)?;
    Ok(RecordBytes {
        kind,
        payload: bytes.slice(RECORD_HEADER..record_len(len)),
    })
}
