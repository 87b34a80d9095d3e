//! The way down: what waits is framed, written, and made durable.

use std::io::{self, IoSlice};
use std::sync::atomic::Ordering;
use std::sync::{Arc, MutexGuard, TryLockError};

use bytes::Bytes;

use crate::checkpoint;
use crate::config::Urgency;
use crate::disk::DiskFile;
use crate::format::{
    BATCH_HEADER, BatchHeader, Checkpoint, FLAG_CLOSING, FileName, Frame, SEGMENT_DATA, padding,
};
use crate::journal::Journal;
use crate::lsn::{Lsn, Place};
use crate::pages::{Pages, page_end};
use crate::poison::Poison;
use crate::progress::Watermarks;
use crate::segments::{Segment, lock};
use crate::tail::Pending;

/// What a commit did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Committed {
    /// How far the log is written and durable now.
    pub watermarks: Watermarks,
    /// Records written.
    pub records: u64,
    /// Bytes written, frames included.
    pub bytes: u64,
    /// Whether there was a sync at the end.
    pub synced: bool,
}

/// What the committing thread knows about the disk.
#[derive(Debug)]
pub(crate) struct CommitSide {
    pub(crate) segment: Arc<Segment>,
    pub(crate) file: Arc<dyn DiskFile>,
    /// The page with the end of the log, which is written again with what follows.
    pub(crate) pages: Pages,
    /// Something in this segment is written and not synced.
    pub(crate) unsynced: bool,
}

/// A batch on its way: it can't change any more.
struct Outgoing {
    place: Place,
    header: BatchHeader,
    /// With padding.
    body: Bytes,
}

impl Journal {
    /// One round: writes everything that waits, with one vectored write per segment, and makes it durable with one `fdatasync` if
    /// something in it is [`Urgency::Commit`]. `None` if nothing waits.
    ///
    /// Any thread may lead a round. A second one waits for the first to end and then takes what came meanwhile.
    ///
    /// # Errors
    /// The journal is poisoned, now or before. The watermarks stay where they are.
    pub fn commit(&self) -> Result<Option<Committed>, Poison> {
        self.note_poison(self.round(lock(&self.committing), false))
    }

    /// A round, unless another thread is in one. False if one is: then what waits is still to be written, see [`wake`](Journal::wake).
    ///
    /// # Errors
    /// The journal is poisoned, now or before.
    pub fn try_commit(&self) -> Result<bool, Poison> {
        let side = match self.committing.try_lock() {
            Ok(side) => side,
            Err(TryLockError::Poisoned(side)) => side.into_inner(),
            Err(TryLockError::WouldBlock) => return Ok(false),
        };
        self.note_poison(self.round(side, false)).map(|_| true)
    }

    /// A round that makes everything durable, whatever its urgency. `None` if everything is.
    ///
    /// # Errors
    /// The journal is poisoned, now or before.
    pub fn sync(&self) -> Result<Option<Committed>, Poison> {
        self.note_poison(self.round(lock(&self.committing), true))
    }

    /// Ends the log properly: refuses appends from now on, makes everything durable, and writes the closing batch. A second call does nothing.
    ///
    /// # Errors
    /// The journal is poisoned, now or before.
    pub fn close(&self) -> Result<(), Poison> {
        self.close_with(|| None).map(|_| ())
    }

    /// The same, and leaves a checkpoint: `state` is called when no append can come any more and all of them are durable, and returns
    /// what [`open_with`](Journal::open_with) is to start from. Returns why the checkpoint could not be written, if it could not; the log
    /// is as good without.
    ///
    /// # Errors
    /// The journal is poisoned, now or before.
    pub fn close_with(
        &self,
        state: impl FnOnce() -> Option<Vec<u8>>,
    ) -> Result<Option<io::Error>, Poison> {
        if std::mem::replace(&mut lock(&self.tail).closed, true) {
            return self.poison.check().map(|()| None);
        }
        self.sync()?;
        let failed = state().and_then(|state| self.write_checkpoint(&state).err());
        lock(&self.tail).append_closing();
        self.sync()?;
        Ok(failed)
    }

    fn write_checkpoint(&self, state: &[u8]) -> io::Result<()> {
        let last_now = lock(&self.tail).last_now();
        let describe = |number| Checkpoint {
            number,
            generation: self.generation,
            lsn: self.watermarks().synced,
            end: self.progress.written_end(),
            last_now,
        };
        checkpoint::write(self.segments.disk(), self.journal_id, describe, state)
    }

    fn round(
        &self,
        mut side: MutexGuard<'_, CommitSide>,
        sync_all: bool,
    ) -> Result<Option<Committed>, Poison> {
        self.poison.check()?;
        let (mut outgoing, urgency) = self.take();
        if outgoing.is_empty() && !(sync_all && side.unsynced) {
            return Ok(None);
        }
        let mut bytes = 0;
        for run in outgoing.chunk_by_mut(|a, b| a.place.segment() == b.place.segment()) {
            bytes += self.write_run(&mut side, run)?;
        }
        let synced = sync_all || urgency == Some(Urgency::Commit);
        if synced {
            self.sync_segment(&mut side)?;
        }
        let records = outgoing
            .iter()
            .map(|batch| u64::from(batch.header.count))
            .sum();
        drop(outgoing);
        self.settle_cache();
        Ok(Some(Committed {
            watermarks: self.watermarks(),
            records,
            bytes,
            synced,
        }))
    }

    /// Takes what waits, and shows it to readers in its new place.
    fn take(&self) -> (Vec<Outgoing>, Option<Urgency>) {
        let mut tail = lock(&self.tail);
        let (pending, urgency) = tail.take();
        let mut recent = lock(&self.recent);
        let outgoing = pending.into_iter().map(|batch| {
            let (outgoing, capacity) = freeze(batch, self.generation);
            recent.push(
                outgoing.place,
                outgoing.header.body,
                outgoing.body.clone(),
                capacity,
            );
            outgoing
        });
        (outgoing.collect(), urgency)
    }

    /// Writes batches of one segment, front to back.
    fn write_run(&self, side: &mut CommitSide, run: &mut [Outgoing]) -> Result<u64, Poison> {
        let (Some(first), Some(last)) = (run.first(), run.last()) else {
            return Ok(0);
        };
        let segment = first.place.segment();
        let end = last.place.advance(last.header.framed());
        let last_lsn = Lsn(last.header.next_lsn().0 - 1);
        let offset = first.place.offset();
        if segment != side.segment.number {
            // Everything before the next segment is durable before anything in it is written: recovery counts on it.
            self.sync_segment(side)?;
            self.enter(side, segment)?;
        }
        let synced_lsn = self.watermarks().synced;
        // The page with the end is filled up with zeros of its own.
        side.segment.keep_zeros_after(page_end(end.offset()));
        side.unsynced = true;
        debug_assert_eq!(side.pages.end(), first.place.offset());
        self.poison
            .guard(self.write_pages(side, run, synced_lsn), "writing", || {
                FileName::Segment(segment).to_string()
            })?;
        self.progress.set_written(last_lsn, end);
        let records: usize = run.iter().map(|batch| batch.header.body as usize).sum();
        self.unwritten.fetch_sub(records, Ordering::Relaxed);
        Ok(u64::from(end.offset() - offset))
    }

    fn write_pages(
        &self,
        side: &mut CommitSide,
        run: &mut [Outgoing],
        synced_lsn: Lsn,
    ) -> io::Result<()> {
        let CommitSide {
            segment,
            file,
            pages,
            ..
        } = side;
        let write = |at: u32, bytes: &[u8]| file.write_at(at.into(), &[IoSlice::new(bytes)]);
        let length = |batch: &Outgoing| batch.header.framed() as usize;
        pages.reserve(run.iter().map(length).sum());
        for batch in run {
            let header = self.stamp(segment, batch, synced_lsn);
            pages.push(&header, write)?;
            pages.push(&batch.body, write)?;
        }
        pages.finish(write)
    }

    fn stamp(
        &self,
        segment: &Segment,
        batch: &mut Outgoing,
        synced_lsn: Lsn,
    ) -> [u8; BATCH_HEADER as usize] {
        batch.header.synced_lsn = synced_lsn;
        let frame = Frame {
            journal_id: self.journal_id,
            segment: segment.number,
            segment_bytes: segment.bytes,
            offset: batch.place.offset(),
        };
        frame.encode(&batch.header, &batch.body[..batch.header.body as usize])
    }

    /// Syncs the segment and moves the durable watermark to what is written.
    pub(crate) fn sync_segment(&self, side: &mut CommitSide) -> Result<(), Poison> {
        if side.unsynced {
            let segment = side.segment.number;
            self.poison.guard(side.file.sync_data(), "syncing", || {
                FileName::Segment(segment).to_string()
            })?;
            side.unsynced = false;
            self.progress.set_synced(self.watermarks().written, segment);
        }
        Ok(())
    }

    fn enter(&self, side: &mut CommitSide, number: u32) -> Result<(), Poison> {
        let name = || FileName::Segment(number).to_string();
        let gone = || std::io::Error::from(std::io::ErrorKind::NotFound);
        let file = self
            .segments
            .file(number)
            .and_then(|file| file.ok_or_else(gone));
        side.file = self.poison.guard(file, "opening", name)?;
        side.segment =
            self.poison
                .guard(self.segments.get(number).ok_or_else(gone), "opening", name)?;
        side.pages.restart(SEGMENT_DATA);
        Ok(())
    }

    /// Everything in `recent` is written: lets go what is too much, and keeps the buffers.
    fn settle_cache(&self) {
        let mut spare = Vec::new();
        lock(&self.recent).written(|buffer| spare.push(buffer));
        if !spare.is_empty() {
            let mut tail = lock(&self.tail);
            spare.into_iter().for_each(|buffer| tail.reuse(buffer));
        }
    }
}

/// Makes a batch immutable; also says what its buffer costs.
fn freeze(batch: Pending, generation: u32) -> (Outgoing, usize) {
    let Pending {
        place,
        mut body,
        count,
        first_lsn,
        now,
        closing,
    } = batch;
    let len = body.len() as u32;
    body.resize((len + padding(len)) as usize, 0);
    let flags = if closing { FLAG_CLOSING } else { 0 };
    let header = BatchHeader {
        flags,
        body: len,
        generation,
        count,
        first_lsn,
        synced_lsn: Lsn::ZERO,
        now,
    };
    let capacity = body.capacity();
    (
        Outgoing {
            place,
            header,
            body: body.freeze(),
        },
        capacity,
    )
}
