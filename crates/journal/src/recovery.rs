//! Finding the log again: walks the segments, hands out the records, judges the end. Changes nothing on disk.
//!
//! A thread of its own reads and verifies; the caller's thread hands out what is verified, a few windows behind. So
//! the sums of what comes next are computed while somebody makes sense of what came before.

use std::collections::BTreeSet;
use std::io;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Mutex, PoisonError};
use std::{mem, panic, thread};

use crate::chain::{Beyond, Chain, Verdict, judge};
use crate::checkpoint::Start;
use crate::directory::{Directory, io_error};
use crate::disk::Disk;
use crate::error::{OpenError, ReplayError};
use crate::format::{
    BATCH_HEADER, BatchFault, BatchHeader, FileName, Records, SEGMENT_DATA, SegmentHeader,
};
use crate::lsn::{Lsn, Place, RecordKind};
use crate::pages::Aligned;
use crate::unsynced::Unsynced;
use crate::walk::{SegmentWalk, WINDOW, Window};

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
    /// The state of which record was loaded from a checkpoint, so that only later ones were handed out; `None` if all of them were.
    pub checkpoint: Option<Lsn>,
    /// Checkpoints that were of no use, and why. The log was read from further back instead.
    pub ignored: Vec<String>,
    /// The first record that was handed out; [`Lsn::ZERO`] if there is none.
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
    /// Bytes of the log that were read: whole batches.
    pub bytes: u64,
}

/// Where the log ends and what follows from it.
#[derive(Debug)]
pub(crate) struct Recovered {
    pub(crate) end: Place,
    /// Where what isn't known to be durable starts.
    pub(crate) unsynced_from: Place,
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

/// How many pieces are read and verified before the first of them is handed out.
const PIECES_AHEAD: usize = 4;

/// What the reading thread hands over, in the order of the log.
enum Piece {
    /// Verified batches that continue the log.
    Batches {
        window: Window,
        /// With their offsets in the segment; all of them lie in the window.
        batches: Vec<(u32, BatchHeader)>,
        segment: u32,
        /// Of all segments before this one.
        bytes_before: u64,
    },
    /// So many bytes of all segments are looked at.
    Done(u64),
}

/// Why the reading thread ended early.
enum Halt {
    Failed(OpenError),
    /// Nobody takes pieces any more: a record could not be replayed, and that is what will be said.
    Unheard,
}

impl From<OpenError> for Halt {
    fn from(error: OpenError) -> Self {
        Self::Failed(error)
    }
}

/// Memory of windows that were handed out, to be read into again.
#[derive(Default)]
struct Buffers(Mutex<Vec<Aligned>>);

impl Buffers {
    fn take(&self) -> Aligned {
        let mut buffers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        buffers.pop().unwrap_or_default()
    }

    /// Those of long batches are given back at once.
    fn give(&self, buffer: Aligned) {
        if buffer.len() <= WINDOW {
            let mut buffers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            buffers.push(buffer);
        }
    }
}

/// Walks the log of a directory that has at least one segment: all of it, or from a checkpoint on.
pub(crate) fn recover(
    disk: &dyn Disk,
    directory: &Directory,
    start: Option<Start>,
    visit: &mut dyn Visit,
) -> Result<Recovered, OpenError> {
    let oldest = directory.segments.keys().next().copied().unwrap_or(1);
    let start = start.unwrap_or_else(|| Start {
        chain: Chain::start(oldest),
        end: Place::new(oldest, SEGMENT_DATA),
        sealed: None,
    });
    let before = directory.segments.range(..start.end.segment());
    let bytes_before = before.map(|(_, header)| u64::from(header.segment_bytes));
    let report = RecoveryReport {
        segments: directory.segments.len(),
        ..RecoveryReport::default()
    };
    let buffers = Buffers::default();
    let blank = Mutex::default();
    let (pieces, received) = sync_channel(PIECES_AHEAD);
    let recovery = Recovery {
        disk,
        directory,
        buffers: &buffers,
        blank: &blank,
        pieces,
        chain: start.chain,
        end: start.end,
        unsynced: Unsynced::default(),
        sealed: start.sealed,
        verified: Vec::new(),
        stopped_by: BatchFault::Blank,
        next_start: None,
        bytes_before: bytes_before.sum(),
        report,
    };
    thread::scope(|scope| {
        let reading = thread::Builder::new()
            .name("journal-scan".into())
            .spawn_scoped(scope, || recovery.run())
            .map_err(|cause| io_error(disk, "", cause))?;
        // If it can't be had, the reading thread looks at everything itself.
        if start.sealed.is_none() {
            let looking = thread::Builder::new().name("journal-look".into());
            drop(looking.spawn_scoped(scope, || look_ahead(disk, directory, &blank)));
        }
        let handed_out = hand_out(received, &buffers, visit);
        let found = match reading.join() {
            Ok(found) => found,
            Err(panicked) => panic::resume_unwind(panicked),
        };
        // A record that can't be replayed comes before whatever ended the reading.
        handed_out?;
        match found {
            Ok(recovered) => Ok(recovered),
            Err(Halt::Failed(error)) => Err(error),
            Err(Halt::Unheard) => unreachable!("all pieces were taken until the last one"),
        }
    })
}

/// Looks for batches in the segments after the log, while the log is being read: the newest first, up to one that has
/// any. Notes those that have none. Whatever stops it is met again by the reading thread, if it matters.
fn look_ahead(disk: &dyn Disk, directory: &Directory, blank: &Mutex<BTreeSet<u32>>) {
    // The oldest one is where the log starts.
    for (&number, header) in directory.segments.iter().skip(1).rev() {
        let Ok(file) = disk.open(&FileName::Segment(number).to_string()) else {
            return;
        };
        let mut walk = SegmentWalk::new(file, header.journal_id, number, header.segment_bytes);
        match walk.search(SEGMENT_DATA) {
            Ok(None) => blank
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .insert(number),
            _ => return,
        };
    }
}

/// Gives all records of all pieces to `visit`.
fn hand_out(
    received: Receiver<Piece>,
    buffers: &Buffers,
    visit: &mut dyn Visit,
) -> Result<(), OpenError> {
    for piece in received {
        let (window, batches, segment, bytes_before) = match piece {
            Piece::Batches {
                window,
                batches,
                segment,
                bytes_before,
            } => (window, batches, segment, bytes_before),
            Piece::Done(bytes) => {
                visit.bytes_done(bytes);
                continue;
            }
        };
        for (offset, batch) in &batches {
            let body = window
                .slice(offset + BATCH_HEADER, batch.body as usize)
                .expect("a piece holds its batches");
            replay(Place::new(segment, *offset), batch, body, visit)?;
            visit.batch(segment, batch);
            visit.bytes_done(bytes_before + u64::from(offset + batch.framed()));
        }
        buffers.give(window.into_memory());
    }
    Ok(())
}

/// Gives the records of a verified batch to `visit`.
fn replay(
    place: Place,
    batch: &BatchHeader,
    body: &[u8],
    visit: &mut dyn Visit,
) -> Result<(), OpenError> {
    let base = place.advance(BATCH_HEADER);
    let mut lsn = batch.first_lsn;
    for (offset, kind, payload) in Records::verified(body) {
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
        lsn = lsn.next();
    }
    Ok(())
}

struct Recovery<'a> {
    disk: &'a dyn Disk,
    directory: &'a Directory,
    buffers: &'a Buffers,
    /// Segments without any batch.
    blank: &'a Mutex<BTreeSet<u32>>,
    pieces: SyncSender<Piece>,
    chain: Chain,
    end: Place,
    unsynced: Unsynced,
    /// See [`Start::sealed`].
    sealed: Option<u32>,
    /// Batches of the window of now that are not handed over yet.
    verified: Vec<(u32, BatchHeader)>,
    /// What is at the end instead of a batch that continues the log.
    stopped_by: BatchFault,
    /// What is at the start of the segment after the end.
    next_start: Option<BatchFault>,
    bytes_before: u64,
    report: RecoveryReport,
}

impl Recovery<'_> {
    /// The reading thread: from the start of the log to the end of the last segment.
    fn run(mut self) -> Result<Recovered, Halt> {
        self.walk_log()?;
        let beyond = match self.nothing_follows() {
            true => Beyond::default(),
            false => self.look_beyond()?,
        };
        Ok(self.finish(&beyond)?)
    }

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

    fn send(&self, piece: Piece) -> Result<(), Halt> {
        self.pieces.send(piece).map_err(|_| Halt::Unheard)
    }

    /// Hands over what is verified, and with it the window that it lies in.
    fn hand_over(&mut self, walk: &mut SegmentWalk) -> Result<(), Halt> {
        if self.verified.is_empty() {
            return Ok(());
        }
        let window = walk.take_window(self.buffers.take());
        let batches = mem::take(&mut self.verified);
        self.send(Piece::Batches {
            window,
            batches,
            segment: self.end.segment(),
            bytes_before: self.bytes_before,
        })
    }

    /// Follows the chain to its end.
    fn walk_log(&mut self) -> Result<(), Halt> {
        let directory = self.directory;
        let mut segments = directory.segments.range(self.end.segment()..).peekable();
        while let Some((&number, header)) = segments.next() {
            let mut walk = self.open(number, header)?;
            if number != self.end.segment() {
                self.end = Place::new(number, SEGMENT_DATA);
                self.unsynced.enter_segment();
            }
            let walked = self.walk_segment(&mut walk);
            // What is before a fault is the log all the same.
            self.hand_over(&mut walk)?;
            walked?;
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

    fn walk_segment(&mut self, walk: &mut SegmentWalk) -> Result<(), Halt> {
        let segment = self.end.segment();
        loop {
            let offset = self.end.offset();
            if !walk.covers(offset) {
                self.hand_over(walk)?;
            }
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
            // All or nothing also here: nothing is handed out before the whole batch is known to be well-formed.
            if !adds_up(&batch, body) {
                let what = "the batch is intact but its records don't add up";
                return Err(self.damaged(batch.first_lsn, what).into());
            }
            self.verified.push((offset, batch));
            self.unsynced.add(self.end, &batch);
            self.chain.advance(&batch);
            if self.report.first_lsn == Lsn::ZERO && batch.count > 0 {
                self.report.first_lsn = batch.first_lsn;
            }
            self.report.records += u64::from(batch.count);
            self.end = self.end.advance(batch.framed());
            self.report.bytes += u64::from(batch.framed());
        }
    }

    /// Whether the log ends with the closing batch of a sealed stop: then nothing was written after it.
    fn nothing_follows(&self) -> bool {
        self.chain.is_closed()
            && self.sealed == Some(self.chain.generation())
            && !self.is_cut_short()
    }

    /// Whether the end looks like a write that a crash cut short.
    fn is_cut_short(&self) -> bool {
        let cut_short = |fault| matches!(fault, BatchFault::Checksum { generation } if !self.chain.is_stale(generation));
        cut_short(self.stopped_by) || self.next_start.is_some_and(cut_short)
    }

    /// Searches everything after the end for valid batches.
    fn look_beyond(&self) -> Result<Beyond, Halt> {
        let mut beyond = Beyond::default();
        let mut done = self.bytes_before;
        for (&number, header) in self.directory.segments.range(self.end.segment()..) {
            if !self.is_blank(number) {
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
            }
            done += u64::from(header.segment_bytes);
            self.send(Piece::Done(done))?;
        }
        Ok(beyond)
    }

    /// Whether it is known already that no batch is in a segment.
    fn is_blank(&self, number: u32) -> bool {
        let blank = self.blank.lock().unwrap_or_else(PoisonError::into_inner);
        blank.contains(&number)
    }

    fn finish(mut self, beyond: &Beyond) -> Result<Recovered, OpenError> {
        let next_lsn = self.chain.next_lsn();
        if judge(&self.chain, beyond) == Verdict::Damaged {
            return Err(self.missing(next_lsn));
        }
        let torn = self.is_cut_short() || beyond.fresh > 0;
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
            unsynced_from: self.unsynced.start().unwrap_or(self.end),
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

/// Whether the body of a verified batch is as many whole records as its header says.
fn adds_up(batch: &BatchHeader, body: &[u8]) -> bool {
    let mut records = 0;
    Records::new(body).all(|record| {
        records += 1;
        record.is_ok()
    }) && records == batch.count
}
