//! Finding the log again: walks the segments, hands out the records, judges the end. Changes nothing on disk.

use std::io;

use crate::chain::{Beyond, Chain, Verdict, judge};
use crate::directory::{Directory, io_error};
use crate::disk::Disk;
use crate::error::{OpenError, ReplayError};
use crate::format::{
    BATCH_HEADER, BatchFault, BatchHeader, FileName, Records, SEGMENT_DATA, SegmentHeader,
};
use crate::lsn::{Lsn, Place, RecordKind};
use crate::walk::SegmentWalk;

/// A record that recovery hands out, in the order of the log.
#[derive(Clone, Copy, Debug)]
pub struct Replayed<'a> {
    /// Its ordinal.
    pub lsn: Lsn,
    /// Where it is, for [`Journal::read`](crate::Journal::read).
    pub place: Place,
    /// What it is.
    pub kind: RecordKind,
    /// What it says.
    pub payload: &'a [u8],
    /// The time that its batch recorded, as given to [`Journal::append`](crate::Journal::append).
    pub recorded_now: u64,
}

/// A write that a crash cut short. None of it was durable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TornTail {
    /// The segment file with the end of the log.
    pub file: String,
    /// Where the log ends in it, in bytes.
    pub offset: u32,
    /// The first record that was cut off.
    pub lsn: Lsn,
    /// Whole batches that lay after the end.
    pub batches: u64,
}

/// What opening found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RecoveryReport {
    /// The first record of the log; [`Lsn::ZERO`] if there is none.
    pub first_lsn: Lsn,
    /// The last record of the log.
    pub last_lsn: Lsn,
    /// Records handed out.
    pub records: u64,
    /// The latest time recorded, as given to [`Journal::append`](crate::Journal::append).
    pub last_now: u64,
    /// The journal is new, or was closed properly.
    pub clean: bool,
    /// What a crash left at the end, and was cut off.
    pub torn: Option<TornTail>,
    /// Segments of the log, ready ones included.
    pub segments: usize,
    /// Bytes of the log: whole batches.
    pub bytes: u64,
}

/// Where the log ends and what follows from it.
#[derive(Debug)]
pub(crate) struct Recovered {
    pub(crate) end: Place,
    pub(crate) next_lsn: Lsn,
    /// Above everything seen.
    pub(crate) generation: u32,
    pub(crate) report: RecoveryReport,
}

/// What recovery tells on the way.
pub(crate) trait Visit {
    /// A record of the log.
    fn record(&mut self, record: Replayed<'_>) -> Result<(), ReplayError>;
    /// A batch of the log, after its records.
    fn batch(&mut self, segment: u32, batch: &BatchHeader) {
        let _ = (segment, batch);
    }
    /// So many bytes of all segments are looked at.
    fn bytes_done(&mut self, done: u64) {
        let _ = done;
    }
}

/// Walks the log of a directory that has at least one segment.
pub(crate) fn recover(
    disk: &dyn Disk,
    directory: &Directory,
    visit: &mut dyn Visit,
) -> Result<Recovered, OpenError> {
    let oldest = directory.segments.keys().next().copied().unwrap_or(1);
    let report = RecoveryReport {
        segments: directory.segments.len(),
        ..RecoveryReport::default()
    };
    let end = Place::new(oldest, SEGMENT_DATA);
    let mut recovery = Recovery {
        disk,
        directory,
        chain: Chain::start(oldest),
        end,
        stopped_by: BatchFault::Blank,
        next_start: None,
        bytes_before: 0,
        report,
    };
    recovery.walk_log(visit)?;
    let beyond = recovery.look_beyond(visit)?;
    recovery.finish(&beyond)
}

struct Recovery<'a> {
    disk: &'a dyn Disk,
    directory: &'a Directory,
    chain: Chain,
    end: Place,
    /// What is at the end instead of a batch that continues the log.
    stopped_by: BatchFault,
    /// What is at the start of the segment after the end.
    next_start: Option<BatchFault>,
    bytes_before: u64,
    report: RecoveryReport,
}

impl Recovery<'_> {
    fn open(&self, number: u32, header: &SegmentHeader) -> Result<SegmentWalk, OpenError> {
        let name = FileName::Segment(number).to_string();
        let file = self
            .disk
            .open(&name)
            .map_err(|cause| io_error(self.disk, &name, cause))?;
        Ok(SegmentWalk::new(
            file,
            header.journal_id,
            number,
            header.segment_bytes,
        ))
    }

    fn io<T>(&self, number: u32, result: io::Result<T>) -> Result<T, OpenError> {
        result.map_err(|cause| io_error(self.disk, &FileName::Segment(number).to_string(), cause))
    }

    /// Follows the chain to its end.
    fn walk_log(&mut self, visit: &mut dyn Visit) -> Result<(), OpenError> {
        let directory = self.directory;
        let mut segments = directory.segments.iter().peekable();
        while let Some((&number, header)) = segments.next() {
            let mut walk = self.open(number, header)?;
            self.end = Place::new(number, SEGMENT_DATA);
            self.walk_segment(&mut walk, visit)?;
            let Some(&(next, next_header)) = segments.peek() else {
                break;
            };
            let next = *next;
            let mut next_walk = self.open(next, next_header)?;
            match self.io(next, next_walk.first())? {
                Ok(batch) if self.chain.continues_in_next_segment(&batch) => {}
                other => {
                    self.next_start = other.err();
                    break;
                }
            }
            self.bytes_before += u64::from(header.segment_bytes);
        }
        Ok(())
    }

    fn walk_segment(
        &mut self,
        walk: &mut SegmentWalk,
        visit: &mut dyn Visit,
    ) -> Result<(), OpenError> {
        let segment = self.end.segment();
        loop {
            let offset = self.end.offset();
            let batch = match self.io(segment, walk.batch(offset))? {
                Ok(batch) if self.chain.continues(&batch) => batch,
                Ok(_) => {
                    self.stopped_by = BatchFault::Elsewhere;
                    return Ok(());
                }
                Err(fault) => {
                    self.stopped_by = fault;
                    return Ok(());
                }
            };
            let body = self.io(segment, walk.body(offset, &batch))?;
            self.replay(&batch, body, visit)?;
            self.chain.advance(&batch);
            visit.batch(segment, &batch);
            self.end = self.end.advance(batch.framed());
            self.report.bytes += u64::from(batch.framed());
            visit.bytes_done(self.bytes_before + u64::from(self.end.offset()));
        }
    }

    fn replay(
        &mut self,
        batch: &BatchHeader,
        body: &[u8],
        visit: &mut dyn Visit,
    ) -> Result<(), OpenError> {
        let base = self.end.advance(BATCH_HEADER);
        // All or nothing also here: nothing is handed out before the whole batch is known to be well-formed.
        if Records::new(body).filter(Result::is_ok).count() as u64 != u64::from(batch.count)
            || Records::new(body).any(|record| record.is_err())
        {
            return Err(self.damaged(
                batch.first_lsn,
                "the batch is intact but its records don't add up",
            ));
        }
        let mut lsn = batch.first_lsn;
        for (offset, kind, payload) in Records::new(body).flatten() {
            let record = Replayed {
                lsn,
                place: base.advance(offset),
                kind,
                payload,
                recorded_now: batch.now,
            };
            visit
                .record(record)
                .map_err(|cause| OpenError::Replay { lsn, cause })?;
            if self.report.first_lsn == Lsn::ZERO {
                self.report.first_lsn = lsn;
            }
            self.report.records += 1;
            lsn = lsn.next();
        }
        Ok(())
    }

    /// Searches everything after the end for valid batches.
    fn look_beyond(&self, visit: &mut dyn Visit) -> Result<Beyond, OpenError> {
        let mut beyond = Beyond::default();
        let mut done = self.bytes_before;
        for (&number, header) in self.directory.segments.range(self.end.segment()..) {
            let mut walk = self.open(number, header)?;
            let from = if number == self.end.segment() {
                self.end.offset()
            } else {
                SEGMENT_DATA
            };
            self.io(
                number,
                walk.search_all(from, |batch| beyond.add(&self.chain, batch)),
            )?;
            done += u64::from(header.segment_bytes);
            visit.bytes_done(done);
        }
        Ok(beyond)
    }

    fn finish(mut self, beyond: &Beyond) -> Result<Recovered, OpenError> {
        let next_lsn = self.chain.next_lsn();
        if judge(&self.chain, beyond) == Verdict::Damaged {
            return Err(self.missing(next_lsn));
        }
        let cut_short = |fault| matches!(fault, BatchFault::Checksum { generation } if !self.chain.is_stale(generation));
        let torn = cut_short(self.stopped_by)
            || self.next_start.is_some_and(cut_short)
            || beyond.fresh > 0;
        self.report.torn = torn.then(|| TornTail {
            file: FileName::Segment(self.end.segment()).to_string(),
            offset: self.end.offset(),
            lsn: next_lsn,
            batches: beyond.fresh,
        });
        let fresh = self
            .directory
            .generation()
            .max(self.chain.generation())
            .max(beyond.generation);
        self.report.clean = !torn && (self.chain.is_closed() || self.report.bytes == 0);
        self.report.last_lsn = Lsn(next_lsn.0 - 1);
        self.report.last_now = self.chain.last_now();
        Ok(Recovered {
            end: self.end,
            next_lsn,
            generation: fresh.saturating_add(1),
            report: self.report,
        })
    }

    /// The error for a durable batch that isn't there: at the end of what was read, or else, if only there is something like it, at the
    /// start of the next segment.
    fn missing(&mut self, lsn: Lsn) -> OpenError {
        let like_a_batch = |fault| {
            !matches!(
                fault,
                BatchFault::Blank | BatchFault::Elsewhere | BatchFault::SegmentEnd
            )
        };
        if let Some(fault) = self
            .next_start
            .filter(|&fault| like_a_batch(fault) && !like_a_batch(self.stopped_by))
        {
            self.stopped_by = fault;
            self.end = Place::new(self.end.segment() + 1, SEGMENT_DATA);
        }
        let what = match self.stopped_by {
            BatchFault::Elsewhere => "a batch that doesn't continue the log".to_owned(),
            fault => fault.to_string(),
        };
        self.damaged(lsn, &format!("found {what}, where a durable batch must be"))
    }

    fn damaged(&self, lsn: Lsn, what: &str) -> OpenError {
        let directory = self.disk.name();
        OpenError::Damaged {
            file: FileName::Segment(self.end.segment()).to_string(),
            offset: self.end.offset(),
            lsn,
            what: what.to_owned(),
            command: format!("trunkline journal verify {directory}"),
            directory,
        }
    }
}
