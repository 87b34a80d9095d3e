//! Reading a segment of an open journal from start to end, for those who copy what is alive in it.

use std::sync::Arc;

use crate::chain::Chain;
use crate::disk::DiskFile;
use crate::error::ReadError;
use crate::format::{BATCH_HEADER, BatchHeader, FileName, Records, SEGMENT_DATA};
use crate::journal::Journal;
use crate::lsn::{Place, RecordKind};
use crate::walk::SegmentWalk;

/// A batch whose records are being handed out.
#[derive(Debug)]
struct Open {
    offset: u32,
    header: BatchHeader,
    /// Bytes of records that were handed out.
    done: u32,
}

/// Reads a segment that is not written any more, in the order of the log, a part of it in memory. The segment must not be freed meanwhile.
#[derive(Debug)]
pub struct SegmentScan {
    segment: u32,
    walk: SegmentWalk,
    /// The segment after it, with which the log must go on.
    next: SegmentWalk,
    chain: Chain,
    end: u32,
    open: Option<Open>,
}

impl Journal {
    /// Starts to read a segment.
    ///
    /// # Errors
    /// [`ReadError::NoSegment`]; [`ReadError::NotWritten`] if the log has not left the segment durably; or a file can't be opened.
    pub fn scan(&self, segment: u32) -> Result<SegmentScan, ReadError> {
        if segment >= self.progress.synced_segment() {
            return Err(ReadError::NotWritten(Place::new(segment, SEGMENT_DATA)));
        }
        // Where it goes on, the one after it stays as long as it does.
        let first = if segment == 1 { 1 } else { u32::MAX };
        Ok(SegmentScan {
            segment,
            walk: self.walk(segment)?,
            next: self.walk(segment + 1)?,
            chain: Chain::start(first),
            end: SEGMENT_DATA,
            open: None,
        })
    }

    fn walk(&self, number: u32) -> Result<SegmentWalk, ReadError> {
        let gone = || ReadError::NoSegment(Place::new(number, SEGMENT_DATA));
        let segment = self.segments.get(number).ok_or_else(gone)?;
        let file = self.segments.file(number);
        let file: Option<Arc<dyn DiskFile>> = file.map_err(|cause| unread(number, cause))?;
        let file = file.ok_or_else(gone)?;
        Ok(SegmentWalk::new(
            file,
            self.journal_id,
            number,
            segment.bytes,
        ))
    }
}

impl SegmentScan {
    /// Hands out the next records while `visit` says that it takes more; the one for which it says no is handed out again by the next
    /// call. Every checksum is verified first. Returns false once there is none left.
    ///
    /// # Errors
    /// The disk, or damage: a part of the segment that was durable isn't there. What comes before it was handed out.
    pub fn read(
        &mut self,
        visit: &mut dyn FnMut(Place, RecordKind, &[u8]) -> bool,
    ) -> Result<bool, ReadError> {
        loop {
            if self.open.is_none() && !self.enter()? {
                return Ok(false);
            }
            let Some(open) = &mut self.open else {
                return Ok(false);
            };
            let body = self.walk.body(open.offset, &open.header);
            let body = body.map_err(|cause| unread(self.segment, cause))?;
            let base = Place::new(self.segment, open.offset).advance(BATCH_HEADER);
            let start = open.done;
            for (offset, kind, payload) in Records::verified(&body[start as usize..]) {
                open.done = start + offset;
                if !visit(base.advance(open.done), kind, payload) {
                    return Ok(true);
                }
            }
            self.open = None;
        }
    }

    /// Goes to the next batch; false if the log has left the segment.
    fn enter(&mut self) -> Result<bool, ReadError> {
        let segment = self.segment;
        let io = |cause| unread(segment, cause);
        let damaged = |offset| ReadError::Damaged {
            file: FileName::Segment(segment).to_string(),
            place: Place::new(segment, offset),
        };
        let offset = self.end;
        match self.walk.batch(offset).map_err(io)? {
            Ok(header) if self.chain.continues(&header) => {
                let body = self.walk.body(offset, &header).map_err(io)?;
                if Records::new(body).any(|record| record.is_err()) {
                    return Err(damaged(offset));
                }
                self.chain.advance(&header);
                self.end += header.framed();
                self.open = Some(Open {
                    offset,
                    header,
                    done: 0,
                });
                Ok(true)
            }
            // A segment is left before it is full, but never without going on in the next one.
            _ => match self.next.first().map_err(|c| unread(segment + 1, c))? {
                Ok(first) if self.chain.continues_in_next_segment(&first) => Ok(false),
                _ => Err(damaged(offset)),
            },
        }
    }
}

fn unread(segment: u32, cause: std::io::Error) -> ReadError {
    ReadError::Io {
        file: FileName::Segment(segment).to_string(),
        cause,
    }
}
