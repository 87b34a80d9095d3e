//! Opening: lock, look, recover, and only then touch anything.

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, Condvar, Mutex};

use crate::checkpoint::{self, Recover};
use crate::commit::CommitSide;
use crate::config::Config;
use crate::directory::{Directory, io_error};
use crate::disk::{Disk, DiskFile, LockGuard, is_full};
use crate::error::{OpenError, Refused, ReplayError};
use crate::format::{FileName, LOCK_FILE, SEGMENT_DATA};
use crate::journal::{Journal, group_bytes_max};
use crate::lsn::{Lsn, Place};
use crate::pages::{Aligned, Pages, page_end, page_start};
use crate::poison::PoisonCell;
use crate::progress::Progress;
use crate::reader::Chunks;
use crate::recent::Recent;
use crate::recovery::{Recovered, RecoveryReport, Replayed, Visit, recover};
use crate::segments::{FreeFile, Segment, Segments};
use crate::tail::{Ready, Tail};

pub(crate) type Replay<'a> = &'a mut dyn FnMut(Replayed<'_>) -> Result<(), ReplayError>;

/// Most that is written again at once, in bytes.
const AGAIN_BYTES: usize = 1 << 20;

struct RecoverVisit<'a>(&'a mut dyn Recover);

impl Visit for RecoverVisit<'_> {
    fn record(&mut self, record: Replayed<'_>) -> Result<(), ReplayError> {
        self.0.record(record)
    }
}

/// Somebody who wants every record.
pub(crate) struct FromTheStart<'a>(pub(crate) Replay<'a>);

impl Recover for FromTheStart<'_> {
    fn load(&mut self, _: &[u8]) -> Result<(), ReplayError> {
        Err("all records are wanted".into())
    }

    fn record(&mut self, record: Replayed<'_>) -> Result<(), ReplayError> {
        (self.0)(record)
    }
}

pub(crate) fn open(
    disk: Arc<dyn Disk>,
    config: Config,
    now: u64,
    wanted: &mut dyn Recover,
) -> Result<(Journal, RecoveryReport), OpenError> {
    config.check().map_err(OpenError::Config)?;
    let lock = take_lock(&*disk)?;
    let directory = Directory::load(&*disk)?;
    for &number in &directory.new {
        let name = FileName::New(number).to_string();
        disk.remove(&name)
            .map_err(|cause| io_error(&*disk, &name, cause))?;
    }
    let poison = PoisonCell::default();
    let (segments, journal_id, recovered) = match directory.journal_id() {
        Some(journal_id) => {
            let mut ignored = Vec::new();
            let loaded = checkpoint::load(&*disk, &directory, wanted, &mut ignored);
            let (covered, start) = loaded.map(|(found, start)| (found.lsn, start)).unzip();
            let mut recovered = recover(&*disk, &directory, start, &mut RecoverVisit(wanted))?;
            recovered.report.checkpoint = covered;
            recovered.report.ignored = ignored;
            // Before anything is written.
            checkpoint::unseal(&*disk, &directory)?;
            let segments = segments(&disk, &config, journal_id, recovered.generation);
            segments.adopt(found_segments(&directory), free_files(&directory));
            (segments, journal_id, recovered)
        }
        None => create(&disk, &config, now, &poison)?,
    };
    let journal = assemble(
        &*disk,
        config,
        (segments, journal_id),
        &recovered,
        poison,
        lock,
    )?;
    Ok((journal, recovered.report))
}

/// Takes the directory for this journal alone.
pub(crate) fn take_lock(disk: &dyn Disk) -> Result<LockGuard, OpenError> {
    disk.lock(LOCK_FILE).map_err(|cause| match cause.kind() {
        io::ErrorKind::WouldBlock => OpenError::InUse {
            directory: disk.name(),
        },
        _ => io_error(disk, LOCK_FILE, cause),
    })
}

fn segments(disk: &Arc<dyn Disk>, config: &Config, journal_id: u64, generation: u32) -> Segments {
    Segments::new(
        disk.clone(),
        journal_id,
        generation,
        config.segment_bytes,
        config.ready_segments as usize,
    )
}

/// What was found, with its blocks taken as written: zeros over blocks that may have been used once are not worth a slow start.
fn found_segments(directory: &Directory) -> Vec<Arc<Segment>> {
    directory
        .segments
        .iter()
        .map(|(&number, header)| Segment::new(number, header.segment_bytes, header.segment_bytes))
        .collect()
}

fn free_files(directory: &Directory) -> Vec<FreeFile> {
    directory
        .free
        .iter()
        .map(|&(number, bytes)| FreeFile {
            number,
            bytes,
            filled: u32::try_from(bytes).unwrap_or(u32::MAX),
        })
        .collect()
}

/// A new journal: its first segment.
fn create(
    disk: &Arc<dyn Disk>,
    config: &Config,
    now: u64,
    poison: &PoisonCell,
) -> Result<(Segments, u64, Recovered), OpenError> {
    let journal_id = disk
        .random_id()
        .map_err(|cause| io_error(&**disk, "", cause))?;
    let segments = segments(disk, config, journal_id, 1);
    let name = FileName::Segment(1).to_string();
    segments
        .make(now, poison)
        .map_err(|refused| match refused {
            Refused::DiskFull => OpenError::DiskFull {
                directory: disk.name(),
                segment_bytes: config.segment_bytes,
                cause: io::ErrorKind::StorageFull.into(),
            },
            Refused::Poisoned(poison) if is_full(&poison.cause) => OpenError::DiskFull {
                directory: disk.name(),
                segment_bytes: config.segment_bytes,
                cause: poison.cause.kind().into(),
            },
            other => OpenError::Io {
                directory: disk.name(),
                file: name,
                cause: io::Error::other(other),
            },
        })?;
    let report = RecoveryReport {
        clean: true,
        segments: 1,
        ..RecoveryReport::default()
    };
    let end = Place::new(1, SEGMENT_DATA);
    Ok((
        segments,
        journal_id,
        Recovered {
            end,
            unsynced_from: end,
            next_lsn: Lsn(1),
            generation: 1,
            report,
        },
    ))
}

/// Writes the end of the log once more, the same bytes.
fn write_again(file: &dyn DiskFile, recovered: &Recovered) -> io::Result<()> {
    let (from, end) = (recovered.unsynced_from, recovered.end);
    if from >= end {
        return Ok(());
    }
    let (mut at, end) = (page_start(from.offset()), page_end(end.offset()));
    let mut memory = Aligned::new(((end - at) as usize).min(AGAIN_BYTES));
    while at < end {
        let len = ((end - at) as usize).min(memory.len());
        let bytes = &mut memory.bytes_mut()[..len];
        file.read_at(at.into(), bytes)?;
        file.write_at(at.into(), &[IoSlice::new(bytes)])?;
        at += len as u32;
    }
    Ok(())
}

fn assemble(
    disk: &dyn Disk,
    config: Config,
    (segments, journal_id): (Segments, u64),
    recovered: &Recovered,
    poison: PoisonCell,
    lock: LockGuard,
) -> Result<Journal, OpenError> {
    let number = recovered.end.segment();
    let name = FileName::Segment(number).to_string();
    let gone = || io::Error::from(io::ErrorKind::NotFound);
    let io = |cause| io_error(disk, &name, cause);
    let file = segments
        .file(number)
        .and_then(|file| file.ok_or_else(gone))
        .map_err(io)?;
    let active = segments.get(number).ok_or_else(gone).map_err(io)?;
    // What was replayed was perhaps only in the page cache, and a sync that failed may have left it there as if it were
    // on the disk: see the format document, "Recovery".
    write_again(&*file, recovered).map_err(io)?;
    file.sync_data().map_err(io)?;
    let end = recovered.end.offset();
    let mut head = vec![0; (end - page_start(end)) as usize];
    file.read_at(page_start(end).into(), &mut head)
        .map_err(io)?;
    let all = segments.list();
    let ready: VecDeque<_> = all
        .into_iter()
        .filter(|&(n, _)| n > number)
        .map(|(number, bytes)| Ready { number, bytes })
        .collect();
    // Ready segments of a smaller size, from an earlier configuration, bound what can be appended, too.
    let segment_bytes = ready
        .iter()
        .map(|ready| ready.bytes)
        .min()
        .map_or(config.segment_bytes, |least| {
            least.min(config.segment_bytes)
        });
    let here = Ready {
        number,
        bytes: active.bytes,
    };
    let tail = Tail::new(
        here,
        end,
        ready,
        recovered.next_lsn,
        recovered.report.last_now,
        config.segment_bytes,
    );
    Ok(Journal {
        journal_id,
        generation: recovered.generation,
        group_bytes_max: group_bytes_max(segment_bytes),
        segments,
        poison,
        progress: Progress::new(Lsn(recovered.next_lsn.0 - 1), recovered.end),
        tail: Mutex::new(tail),
        wake_writer: Condvar::new(),
        committing: Mutex::new(CommitSide {
            segment: active,
            file,
            pages: Pages::new(end, &head),
            unsynced: false,
        }),
        recent: Mutex::new(Recent::new(config.cache_bytes)),
        chunks: Mutex::new(Chunks::default()),
        unwritten: AtomicUsize::new(0),
        making: Mutex::new(()),
        wake_preparer: Condvar::new(),
        preparer: Mutex::default(),
        _lock: lock,
        config,
    })
}
