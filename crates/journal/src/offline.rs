//! Looking at a journal that nobody has open. Changes nothing.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use crate::chain::Chain;
use crate::directory::{Directory, io_error, read_header};
use crate::disk::{Disk, LockGuard};
use crate::error::{OpenError, ReplayError};
use crate::format::{
    BATCH_HEADER, BatchHeader, FileName, LOCK_FILE, Records, SEGMENT_DATA, SegmentHeader,
};
use crate::lsn::{Lsn, Place, RecordKind};
use crate::open::take_lock;
use crate::recovery::{RecoveryReport, Replayed, Visit, recover};
use crate::walk::SegmentWalk;

/// What [`verify`] found in one segment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SegmentReport {
    /// Its number.
    pub segment: u32,
    /// Size of its file in bytes.
    pub bytes: u32,
    /// Bytes of batches of the log.
    pub used: u64,
    /// Batches of the log.
    pub batches: u64,
    /// Records of the log.
    pub records: u64,
    /// The first record in it; [`Lsn::ZERO`] if there is none.
    pub first_lsn: Lsn,
}

/// What [`verify`] found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerifyReport {
    /// What opening the journal would report.
    pub recovery: RecoveryReport,
    /// Each segment, the oldest first; those without batches are ready for the log.
    pub segments: Vec<SegmentReport>,
    /// Files that wait to be used again.
    pub free_files: usize,
    /// Checkpoints that are whole.
    pub checkpoints: usize,
    /// Checkpoints that are not, each with what is wrong with it. They do no harm: a start ignores them and reads more of the log.
    pub bad_checkpoints: Vec<String>,
}

struct VerifyVisit<'a> {
    segments: BTreeMap<u32, SegmentReport>,
    total: u64,
    progress: &'a mut dyn FnMut(u64, u64),
}

impl Visit for VerifyVisit<'_> {
    fn record(&mut self, _: Replayed<'_>) -> Result<(), ReplayError> {
        Ok(())
    }

    fn batch(&mut self, segment: u32, batch: &BatchHeader) {
        let report = self.segments.entry(segment).or_default();
        if report.records == 0 && batch.count > 0 {
            report.first_lsn = batch.first_lsn;
        }
        report.batches += 1;
        report.used += u64::from(batch.framed());
        report.records += u64::from(batch.count);
    }

    fn bytes_done(&mut self, done: u64) {
        (self.progress)(done, self.total);
    }
}

/// Reads the whole journal as [`Journal::open`](crate::Journal::open) would, every checksum included. `progress` is told bytes done and bytes in all.
///
/// # Errors
/// What opening would say: [`OpenError::Damaged`] with file and offset, and so on; [`OpenError::InUse`] if a process has it open.
pub fn verify(
    disk: &dyn Disk,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<VerifyReport, OpenError> {
    let _lock = lock_if_there(disk)?;
    let directory = Directory::load(disk)?;
    let report = |(&segment, header): (&u32, &SegmentHeader)| {
        (
            segment,
            SegmentReport {
                segment,
                bytes: header.segment_bytes,
                ..SegmentReport::default()
            },
        )
    };
    let segments = directory.segments.iter().map(report).collect();
    let total = directory
        .segments
        .values()
        .map(|header| u64::from(header.segment_bytes))
        .sum();
    let mut visit = VerifyVisit {
        segments,
        total,
        progress,
    };
    let recovery = if directory.segments.is_empty() {
        RecoveryReport {
            clean: true,
            ..RecoveryReport::default()
        }
    } else {
        recover(disk, &directory, None, &mut visit)?.report
    };
    let (whole, bad_checkpoints) = crate::checkpoint::verify(disk, &directory);
    Ok(VerifyReport {
        checkpoints: whole,
        bad_checkpoints,
        recovery,
        segments: visit.segments.into_values().collect(),
        free_files: directory.free.len(),
    })
}

/// Something that [`dump`] meets, in the order of files and offsets.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum DumpEvent<'a> {
    /// A segment with a good header.
    Segment {
        /// File name.
        file: &'a str,
        /// Its number.
        segment: u32,
        /// Size in bytes.
        bytes: u32,
        /// The opening that made it.
        generation: u32,
        /// When it was made, in the writer's unit.
        created: u64,
    },
    /// A segment file that can't be read.
    BadSegment {
        /// File name.
        file: &'a str,
        /// Why.
        error: &'a OpenError,
    },
    /// An intact batch. Its records follow.
    Batch {
        /// Where it starts.
        place: Place,
        /// The opening that wrote it.
        generation: u32,
        /// Its first record, or the next one if it has none.
        first_lsn: Lsn,
        /// Number of records.
        count: u32,
        /// Known durable when it was written.
        synced_lsn: Lsn,
        /// The time it recorded.
        now: u64,
        /// Written by a clean stop.
        closing: bool,
        /// It continues the batch before it. If not, something is missing before it or it was cut off.
        continues: bool,
    },
    /// A record of the batch before.
    Record {
        /// Its ordinal.
        lsn: Lsn,
        /// Where it is.
        place: Place,
        /// What it is.
        kind: RecordKind,
        /// What it says.
        payload: &'a [u8],
    },
    /// Bytes between intact batches, or after the last one of a segment, that are no batch.
    Gap {
        /// Where it starts.
        place: Place,
        /// Its length.
        bytes: u32,
        /// Why no batch starts there.
        what: &'a str,
        /// Whether an intact batch follows in this segment.
        inside: bool,
    },
}

/// Shows everything intact in a journal, damaged or not. Stops when `visit` breaks. `progress` is told bytes done and bytes in all.
///
/// # Errors
/// The directory or a file can't be read, or a process has the journal open.
pub fn dump(
    disk: &dyn Disk,
    visit: &mut dyn FnMut(DumpEvent<'_>) -> ControlFlow<()>,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<(), OpenError> {
    let _lock = lock_if_there(disk)?;
    let mut segments = BTreeMap::new();
    for entry in disk.list().map_err(|cause| io_error(disk, "", cause))? {
        if let Some(FileName::Segment(number)) = FileName::parse(&entry.name) {
            segments.insert(number, entry);
        }
    }
    let total = segments.values().map(|entry| entry.bytes).sum();
    let mut chain = Chain::start(segments.keys().next().copied().unwrap_or(1));
    let mut done = 0;
    for (&number, entry) in &segments {
        progress(done, total);
        let flow = match read_header(disk, number, &entry.name, entry.bytes) {
            Ok(header) => dump_segment(disk, &entry.name, &header, &mut chain, visit)?,
            Err(error) => visit(DumpEvent::BadSegment {
                file: &entry.name,
                error: &error,
            }),
        };
        if flow.is_break() {
            return Ok(());
        }
        done += entry.bytes;
    }
    progress(done, total);
    Ok(())
}

fn dump_segment(
    disk: &dyn Disk,
    name: &str,
    header: &SegmentHeader,
    chain: &mut Chain,
    visit: &mut dyn FnMut(DumpEvent<'_>) -> ControlFlow<()>,
) -> Result<ControlFlow<()>, OpenError> {
    let io = |cause| io_error(disk, name, cause);
    let SegmentHeader {
        segment,
        segment_bytes: bytes,
        generation,
        now: created,
        ..
    } = *header;
    if visit(DumpEvent::Segment {
        file: name,
        segment,
        bytes,
        generation,
        created,
    })
    .is_break()
    {
        return Ok(ControlFlow::Break(()));
    }
    let mut walk = SegmentWalk::new(
        disk.open(name).map_err(io)?,
        header.journal_id,
        segment,
        bytes,
    );
    let mut offset = SEGMENT_DATA;
    while offset < bytes {
        let flow = match walk.batch(offset).map_err(io)? {
            Ok(batch) => {
                let place = Place::new(segment, offset);
                let body = walk.body(offset, &batch).map_err(io)?;
                offset += batch.framed();
                dump_batch(place, &batch, body, chain, visit)
            }
            Err(fault) => {
                let next = walk.search(offset).map_err(io)?.map(|(at, _)| at);
                let place = Place::new(segment, offset);
                let end = next.unwrap_or(bytes);
                let gap = DumpEvent::Gap {
                    place,
                    bytes: end - offset,
                    what: &fault.to_string(),
                    inside: next.is_some(),
                };
                offset = end;
                visit(gap)
            }
        };
        if flow.is_break() {
            return Ok(flow);
        }
    }
    Ok(ControlFlow::Continue(()))
}

fn dump_batch(
    place: Place,
    batch: &BatchHeader,
    body: &[u8],
    chain: &mut Chain,
    visit: &mut dyn FnMut(DumpEvent<'_>) -> ControlFlow<()>,
) -> ControlFlow<()> {
    let continues = chain.continues(batch);
    chain.resume(batch);
    visit(DumpEvent::Batch {
        place,
        generation: batch.generation,
        first_lsn: batch.first_lsn,
        count: batch.count,
        synced_lsn: batch.synced_lsn,
        now: batch.now,
        closing: batch.is_closing(),
        continues,
    })?;
    let mut lsn = batch.first_lsn;
    for (offset, kind, payload) in Records::new(body).flatten() {
        visit(DumpEvent::Record {
            lsn,
            place: place.advance(BATCH_HEADER + offset),
            kind,
            payload,
        })?;
        lsn = lsn.next();
    }
    ControlFlow::Continue(())
}

/// Locks a journal's directory, but leaves no lock file in one that has none (a copy, say), and reads where it may not write.
pub(crate) fn lock_if_there(disk: &dyn Disk) -> Result<Option<LockGuard>, OpenError> {
    let there = disk
        .list()
        .map_err(|cause| io_error(disk, "", cause))?
        .iter()
        .any(|entry| entry.name == LOCK_FILE);
    match there.then(|| take_lock(disk)).transpose() {
        Err(OpenError::ReadOnly { .. }) => Ok(None),
        other => other,
    }
}
