//! Reading a segment from start to end, a window at a time.

use std::io;
use std::sync::Arc;

use crate::disk::DiskFile;
use crate::format::{
    BATCH_ALIGN, BATCH_HEADER, BATCH_MAGIC, BatchFault, BatchHeader, Frame, SEGMENT_DATA,
};
use crate::pages::{Aligned, PAGE, page_start};

/// Read at once, in bytes; more if a batch is longer. Small enough to stay in a core's own cache while it is summed up, and
/// whole pages, so that it comes from the disk without a copy.
pub(crate) const WINDOW: usize = 512 << 10;

/// The first window of a segment: behind a checkpoint there is mostly only the closing batch.
const FIRST_WINDOW: usize = 64 << 10;

/// Where a window starts that covers nothing.
const NOWHERE: u32 = u32::MAX;

/// A part of a segment that was read.
#[derive(Debug)]
pub(crate) struct Window {
    memory: Aligned,
    len: usize,
    /// Where in the segment it starts: a multiple of a page.
    at: u32,
}

impl Window {
    /// `len` bytes from `offset` of the segment, if all of them are in it.
    pub(crate) fn slice(&self, offset: u32, len: usize) -> Option<&[u8]> {
        let from = offset.checked_sub(self.at)? as usize;
        self.bytes().get(from..from.checked_add(len)?)
    }

    fn bytes(&self) -> &[u8] {
        &self.memory.bytes()[..self.len]
    }

    /// One that covers nothing.
    fn empty(memory: Aligned) -> Self {
        Self {
            memory,
            len: 0,
            at: NOWHERE,
        }
    }

    /// The memory, for another window.
    pub(crate) fn into_memory(self) -> Aligned {
        self.memory
    }
}

/// A segment file being read in the order of its bytes.
#[derive(Debug)]
pub(crate) struct SegmentWalk {
    file: Arc<dyn DiskFile>,
    journal_id: u64,
    segment: u32,
    segment_bytes: u32,
    window: Window,
    /// Something was read.
    began: bool,
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
            window: Window::empty(Aligned::default()),
            began: false,
        }
    }

    /// Exchanges the window for an empty one that uses `memory`.
    pub(crate) fn take_window(&mut self, memory: Aligned) -> Window {
        std::mem::replace(&mut self.window, Window::empty(memory))
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
        if self.window.slice(offset, len).is_none() {
            let at = page_start(offset);
            let left = (self.segment_bytes - at) as usize;
            let wanted = (offset - at) as usize + len;
            let whole_pages = wanted.next_multiple_of(PAGE as usize);
            let least = if self.began { WINDOW } else { FIRST_WINDOW };
            self.began = true;
            let size = whole_pages.max(least).min(left);
            // Nothing of the old window is to be trusted if the read fails.
            let mut memory = self.take_window(Aligned::default()).into_memory();
            if memory.len() < size {
                memory = Aligned::new(size);
            }
            let out = &mut memory.bytes_mut()[..size];
            self.file.read_at(at.into(), out)?;
            self.window = Window {
                memory,
                len: size,
                at,
            };
        }
        let from = (offset - self.window.at) as usize;
        Ok(&self.window.bytes()[from..from + len])
    }

    /// Whether a batch may start at `offset`, or the segment be full there.
    pub(crate) fn may_start(&self, offset: u32) -> bool {
        (SEGMENT_DATA..=self.segment_bytes).contains(&offset) && offset.is_multiple_of(BATCH_ALIGN)
    }

    /// Whether [`SegmentWalk::batch`] can tell about `offset` without another window.
    pub(crate) fn covers(&self, offset: u32) -> bool {
        let header = self.window.slice(offset, BATCH_HEADER as usize);
        header.is_some_and(|header| match self.frame(offset).peek(header) {
            Ok(header) => self
                .window
                .slice(offset, header.framed() as usize)
                .is_some(),
            Err(_) => true,
        })
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
            offset = self.skip(offset)?;
            if let Ok(header) = self.batch(offset)? {
                return Ok(Some((offset, header)));
            }
            offset += BATCH_ALIGN;
        }
        Ok(None)
    }

    /// The first place from `offset` on that looks like the start of a batch, or the last one of the window: most of
    /// what is searched is zeros, and a batch's first bytes tell.
    fn skip(&mut self, offset: u32) -> io::Result<u32> {
        self.load(offset, BATCH_HEADER as usize)?;
        let from = (offset - self.window.at) as usize;
        let places = self.window.bytes()[from..].chunks_exact(BATCH_ALIGN as usize);
        let last = places.len() - 1;
        let looks = |place: &[u8]| place[..BATCH_MAGIC.len()] == BATCH_MAGIC;
        let skipped = places.clone().position(looks).unwrap_or(last);
        Ok(offset + skipped as u32 * BATCH_ALIGN)
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
