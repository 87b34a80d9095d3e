//! Reading a segment from start to end, a window at a time.

use std::io;
use std::sync::Arc;

use crate::disk::DiskFile;
use crate::format::{BATCH_ALIGN, BATCH_HEADER, BatchFault, BatchHeader, Frame, SEGMENT_DATA};

/// Read at once; more if a batch is longer.
const WINDOW: usize = 1 << 20;

/// A segment file being read in the order of its bytes.
#[derive(Debug)]
pub(crate) struct SegmentWalk {
    file: Arc<dyn DiskFile>,
    journal_id: u64,
    segment: u32,
    segment_bytes: u32,
    window: Vec<u8>,
    window_at: u32,
}

impl SegmentWalk {
    pub(crate) fn new(
        file: Arc<dyn DiskFile>,
        journal_id: u64,
        segment: u32,
        segment_bytes: u32,
    ) -> Self {
        Self {
            file,
            journal_id,
            segment,
            segment_bytes,
            window: Vec::new(),
            window_at: 0,
        }
    }

    fn frame(&self, offset: u32) -> Frame {
        Frame {
            journal_id: self.journal_id,
            segment: self.segment,
            segment_bytes: self.segment_bytes,
            offset,
        }
    }

    /// Fills the window so that it covers `len` bytes from `offset`, which lie in the segment.
    fn load(&mut self, offset: u32, len: usize) -> io::Result<&[u8]> {
        let covered = offset >= self.window_at
            && (offset - self.window_at) as usize + len <= self.window.len();
        if !covered {
            let left = (self.segment_bytes - offset) as usize;
            self.window.resize(len.max(WINDOW).min(left), 0);
            // Nothing of the old window is to be trusted if the read fails.
            self.window_at = u32::MAX;
            self.file.read_at(u64::from(offset), &mut self.window)?;
            self.window_at = offset;
        }
        let from = (offset - self.window_at) as usize;
        Ok(&self.window[from..from + len])
    }

    /// The batch at `offset`, completely verified.
    pub(crate) fn batch(&mut self, offset: u32) -> io::Result<Result<BatchHeader, BatchFault>> {
        let frame = self.frame(offset);
        if !frame.has_room() {
            return Ok(Err(BatchFault::SegmentEnd));
        }
        let header = match frame.peek(self.load(offset, BATCH_HEADER as usize)?) {
            Ok(header) => header,
            Err(fault) => return Ok(Err(fault)),
        };
        let verified = frame.verify(&header, self.load(offset, header.framed() as usize)?);
        Ok(verified.map(|()| header))
    }

    /// The records of the batch at `offset` that was just verified.
    pub(crate) fn body(&mut self, offset: u32, header: &BatchHeader) -> io::Result<&[u8]> {
        self.load(offset + BATCH_HEADER, header.body as usize)
    }

    /// The first valid batch at or after `offset`.
    pub(crate) fn search(&mut self, mut offset: u32) -> io::Result<Option<(u32, BatchHeader)>> {
        while self.frame(offset).has_room() {
            if let Ok(header) = self.batch(offset)? {
                return Ok(Some((offset, header)));
            }
            offset += BATCH_ALIGN;
        }
        Ok(None)
    }

    /// All valid batches from `offset` on; what lies inside one isn't looked at.
    pub(crate) fn search_all(
        &mut self,
        mut offset: u32,
        mut found: impl FnMut(&BatchHeader),
    ) -> io::Result<()> {
        while let Some((at, header)) = self.search(offset)? {
            found(&header);
            offset = at + header.framed();
        }
        Ok(())
    }

    /// The batch at the start of the segment.
    pub(crate) fn first(&mut self) -> io::Result<Result<BatchHeader, BatchFault>> {
        self.batch(SEGMENT_DATA)
    }
}
