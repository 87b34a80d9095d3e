//! The journal as its user sees it.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};

use bytes::Bytes;

use crate::commit::CommitSide;
use crate::config::{Class, Config, Urgency};
use crate::disk::LockGuard;
use crate::error::{FreeError, OpenError, ReadError, Refused, ReplayError};
use crate::format::{BATCH_BYTES_MAX, BATCH_HEADER};
use crate::group::{Group, Slot};
use crate::lsn::{Lsn, Place, RecordKind};
use crate::poison::{Poison, PoisonCell};
use crate::progress::{Progress, Watermarks};
use crate::reader::Chunks;
use crate::recent::Recent;
use crate::recovery::{RecoveryReport, Replayed};
use crate::segments::{SegmentInfo, SegmentState, Segments, lock};
use crate::tail::{Landed, Ready, Tail};

/// Where a group is in the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Appended {
    /// LSN of the group's first record.
    pub first_lsn: Lsn,
    /// LSN of the group's last record: once the watermark is here, all of it is written or durable.
    pub last_lsn: Lsn,
    /// Place of the group's first record.
    pub base: Place,
}

impl Appended {
    /// The LSN of a record of the group.
    #[must_use]
    pub fn lsn(&self, slot: Slot) -> Lsn {
        Lsn(self.first_lsn.0 + u64::from(slot.index))
    }

    /// The place of a record of the group.
    #[must_use]
    pub fn place(&self, slot: Slot) -> Place {
        self.base.advance(slot.offset)
    }
}

/// A record that was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordBytes {
    /// What it is.
    pub kind: RecordKind,
    /// What it says. Usually shares memory with its neighbours: copy it to keep it for long.
    pub payload: Bytes,
}

/// A segmented, checksummed, group-committed log.
///
/// Any thread may call anything. Two rules are the caller's: one thread at a time does [`admit`](Journal::admit) followed by
/// [`append`](Journal::append), and places are only read as long as their segment isn't freed.
///
/// Dropping a journal without [`close`](Journal::close) is like killing the process: what was not written is lost.
/// The directory's lock is held until the journal is dropped.
#[derive(Debug)]
pub struct Journal {
    pub(crate) config: Config,
    pub(crate) journal_id: u64,
    pub(crate) generation: u32,
    pub(crate) group_bytes_max: usize,
    pub(crate) segments: Segments,
    pub(crate) poison: PoisonCell,
    pub(crate) progress: Progress,
    pub(crate) tail: Mutex<Tail>,
    /// Wakes the writer thread, with `tail`.
    pub(crate) wake_writer: Condvar,
    /// One commit at a time.
    pub(crate) committing: Mutex<CommitSide>,
    pub(crate) recent: Mutex<Recent>,
    pub(crate) chunks: Mutex<Chunks>,
    /// Bytes appended and not yet written.
    pub(crate) unwritten: AtomicUsize,
    /// One maker of segments at a time, so that they become ready in order.
    pub(crate) making: Mutex<()>,
    pub(crate) wake_preparer: Condvar,
    /// With `wake_preparer`.
    pub(crate) preparer: Mutex<crate::writer::PreparerState>,
    pub(crate) _lock: LockGuard,
}

impl Journal {
    /// Opens the journal in `disk`'s directory, or makes one, and hands every record of the log to `replay`, in order.
    /// `now` (in the caller's unit, as for [`append`](Journal::append)) only dates new segments.
    ///
    /// Does not wait for segments to be prepared; [`prepare`](Journal::prepare) or the threads of [`spawn_writer`](Journal::spawn_writer) do that.
    ///
    /// # Errors
    /// See [`OpenError`]. A log that misses anything that was durable is refused and left as it is.
    pub fn open(
        disk: Arc<dyn crate::Disk>,
        config: Config,
        now: u64,
        replay: &mut dyn FnMut(Replayed<'_>) -> Result<(), ReplayError>,
    ) -> Result<(Journal, RecoveryReport), OpenError> {
        crate::open::open(disk, config, now, &mut crate::open::FromTheStart(replay))
    }

    /// The same, from the newest state that was given to [`close_with`](Journal::close_with), if it can be used: then only what
    /// follows it in the log is read and handed out.
    ///
    /// # Errors
    /// See [`OpenError`]. What is damaged before the state's place in the log is found when it is [read](Journal::read), and by [`verify`](crate::verify).
    pub fn open_with(
        disk: Arc<dyn crate::Disk>,
        config: Config,
        now: u64,
        recover: &mut dyn crate::Recover,
    ) -> Result<(Journal, RecoveryReport), OpenError> {
        crate::open::open(disk, config, now, recover)
    }

    /// Asks whether a group of `bytes` ([`Group::byte_len`]) may be appended. After `Ok`, an append of at most so much by the
    /// same appender doesn't fail for lack of space. Makes a segment if none is ready, which takes a few milliseconds.
    ///
    /// # Errors
    /// Any [`Refused`]. Poison comes first.
    pub fn admit(&self, bytes: usize, class: Class) -> Result<(), Refused> {
        self.poison.check().map_err(Refused::Poisoned)?;
        if bytes > self.group_bytes_max {
            return Err(Refused::TooLarge {
                bytes,
                max: self.group_bytes_max,
            });
        }
        let backlog_max = if class == Class::Growth {
            self.config.pending_bytes
        } else {
            self.config.pending_bytes.saturating_mul(2)
        };
        let backlog = self.pending_bytes();
        if backlog > 0 && backlog.saturating_add(bytes) > backlog_max {
            return Err(Refused::Backlog { bytes: backlog });
        }
        loop {
            {
                let tail = lock(&self.tail);
                if tail.closed {
                    return Err(Refused::Closed);
                }
                if tail.admits(bytes, class) {
                    return Ok(());
                }
            }
            // Ends: each round adds a segment or fails.
            self.make_segment(|tail| !tail.admits(bytes, class))?;
        }
    }

    /// Makes one more segment if, once it is this thread's turn, `needed` still says so.
    pub(crate) fn make_segment(&self, needed: impl FnOnce(&Tail) -> bool) -> Result<bool, Refused> {
        let _turn = lock(&self.making);
        let now = {
            let tail = lock(&self.tail);
            if !needed(&tail) {
                return Ok(false);
            }
            tail.last_now()
        };
        let made = self.note_poison(self.segments.make(now, &self.poison))?;
        lock(&self.tail).add_ready(Ready {
            number: made.number,
            bytes: made.bytes,
        });
        Ok(true)
    }

    /// Sets how many bytes of records [`Class::Growth`] must leave for [`Class::Reserve`]. The journal keeps four times as much,
    /// since a lone small record travels in a frame of its own; and, besides, one whole segment for [`Class::Compaction`].
    pub fn set_reserve(&self, bytes: u64) {
        lock(&self.tail).set_reserve(bytes);
    }

    /// The size of the segments that it makes, in bytes.
    #[must_use]
    pub fn segment_bytes(&self) -> u32 {
        self.config.segment_bytes
    }

    /// The longest group this journal takes, in bytes: 16 MiB or what fits a segment, less the frame.
    #[must_use]
    pub fn group_bytes_max(&self) -> usize {
        self.group_bytes_max
    }

    /// Appends a group, in memory. The order of calls is the order of the log; all records of a group are in one batch.
    /// `now` is the caller's time in a unit of its choice (microseconds since the epoch, say); recovery gives it back.
    ///
    /// # Errors
    /// [`Refused::Poisoned`], [`Refused::Closed`], [`Refused::TooLarge`]; without a preceding [`admit`](Journal::admit) also [`Refused::DiskFull`].
    pub fn append(&self, group: &Group, now: u64, urgency: Urgency) -> Result<Appended, Refused> {
        let (appended, wakes) = self.append_quietly(group, now, urgency)?;
        if wakes {
            self.wake();
        }
        Ok(appended)
    }

    /// The same, but leaves the writer thread asleep. Where it says `true`, the caller's next step is [`wake`](Journal::wake), or
    /// [`try_commit`](Journal::try_commit): else nobody writes what was appended.
    ///
    /// # Errors
    /// As for [`append`](Journal::append).
    pub fn append_quietly(
        &self,
        group: &Group,
        now: u64,
        urgency: Urgency,
    ) -> Result<(Appended, bool), Refused> {
        self.append_by(group, |tail| tail.append(group, now, urgency))
    }

    /// The same for a group that was admitted as [`Class::Compaction`] because it lets segments be freed. Until some are, as much less is
    /// kept for more of it: so [`Class::Reserve`] is not refused for what compaction uses.
    ///
    /// # Errors
    /// As for [`append`](Journal::append).
    pub fn append_copies(
        &self,
        group: &Group,
        now: u64,
        urgency: Urgency,
    ) -> Result<(Appended, bool), Refused> {
        self.append_by(group, |tail| tail.append_copies(group, now, urgency))
    }

    fn append_by(
        &self,
        group: &Group,
        append: impl FnOnce(&mut Tail) -> Option<Landed>,
    ) -> Result<(Appended, bool), Refused> {
        self.poison.check().map_err(Refused::Poisoned)?;
        if group.byte_len() > self.group_bytes_max {
            return Err(Refused::TooLarge {
                bytes: group.byte_len(),
                max: self.group_bytes_max,
            });
        }
        let mut tail = lock(&self.tail);
        if tail.closed {
            return Err(Refused::Closed);
        }
        if group.is_empty() {
            let last = tail.last_lsn();
            let nothing = Appended {
                first_lsn: last.next(),
                last_lsn: last,
                base: Place::NONE,
            };
            return Ok((nothing, false));
        }
        let (segment, waited) = (tail.segment(), tail.waiting());
        let landed = append(&mut tail).ok_or(Refused::DiskFull)?;
        self.unwritten
            .fetch_add(group.byte_len(), Ordering::Relaxed);
        let moved_on = tail.segment() != segment;
        let wakes = tail.writer_sleeps && tail.waiting() != waited;
        drop(tail);
        if moved_on {
            self.poke_preparer();
        }
        let appended = Appended {
            first_lsn: landed.first_lsn,
            last_lsn: Lsn(landed.first_lsn.0 + group.len() as u64 - 1),
            base: landed.base,
        };
        Ok((appended, wakes))
    }

    /// Lets the writer thread look at what waits.
    pub fn wake(&self) {
        if std::mem::take(&mut lock(&self.tail).writer_sleeps) {
            self.wake_writer.notify_one();
        }
    }

    /// How far the log is written and durable. Never takes a lock.
    #[must_use]
    pub fn watermarks(&self) -> Watermarks {
        self.progress.watermarks()
    }

    /// Bytes of records that are appended and not yet written. Bounded by [`Config::pending_bytes`] as far as [`admit`](Journal::admit) is asked.
    #[must_use]
    pub fn pending_bytes(&self) -> usize {
        self.unwritten.load(Ordering::Relaxed)
    }

    /// The failure that stopped the journal, if one did.
    #[must_use]
    pub fn poison(&self) -> Option<Poison> {
        self.poison.check().err()
    }

    /// The record at `place` if it is in memory: waiting, on its way to the disk, or in the cache. No I/O. Shares the batch's
    /// memory, except for a batch that still waits.
    #[must_use]
    pub fn try_read(&self, place: Place) -> Option<RecordBytes> {
        // A batch leaves the tail and enters `recent` under the tail's lock: it is always in one of them.
        if let Some((kind, payload)) = lock(&self.tail).get(place) {
            return Some(RecordBytes {
                kind,
                payload: Bytes::copy_from_slice(payload),
            });
        }
        lock(&self.recent).get(place)
    }

    /// The record at `place`, from memory or from disk, verified. Reads ahead, so that records in order come at the disk's speed.
    ///
    /// # Errors
    /// See [`ReadError`]. A place that never was a record's gives [`ReadError::Damaged`], not a wrong record.
    pub fn read(&self, place: Place) -> Result<RecordBytes, ReadError> {
        match self.try_read(place) {
            Some(record) => Ok(record),
            None => self.read_cold(place),
        }
    }

    /// All segments, the oldest first.
    #[must_use]
    pub fn segments(&self) -> Vec<SegmentInfo> {
        let active = lock(&self.tail).segment();
        let state = |number: u32| match number.cmp(&active) {
            std::cmp::Ordering::Less => SegmentState::Full,
            std::cmp::Ordering::Equal => SegmentState::Active,
            std::cmp::Ordering::Greater => SegmentState::Ready,
        };
        self.segments
            .list()
            .into_iter()
            .map(|(segment, bytes)| SegmentInfo {
                segment,
                bytes,
                state: state(segment),
            })
            .collect()
    }

    /// Whether so many bytes, frames included, can be appended as [`Class::Compaction`]; makes segments for that if need be.
    #[must_use]
    pub fn make_room(&self, bytes: u64) -> bool {
        while lock(&self.tail).room() < bytes {
            if self.make_segment(|tail| tail.room() < bytes).is_err() {
                return false;
            }
        }
        true
    }

    /// The number of the segment with the end of the log, what waits to be written included.
    #[must_use]
    pub fn active_segment(&self) -> u32 {
        lock(&self.tail).segment()
    }

    /// The number of the oldest segment.
    #[must_use]
    pub fn oldest_segment(&self) -> u32 {
        self.segments.oldest()
    }

    /// Whether a [`Snapshot`](crate::Snapshot) keeps segments, so that freeing may free less than it is asked to.
    #[must_use]
    pub fn is_pinned(&self) -> bool {
        self.segments.is_pinned()
    }

    /// Frees all segments older than `segment`: none of their records may be needed any more, and whatever replaces them must be durable.
    /// Never frees the segment of the newest durable batch or a later one, nor what a [`Snapshot`](crate::Snapshot) keeps. Returns how many
    /// were freed; they will be recycled. While another thread frees, nothing is freed.
    ///
    /// # Errors
    /// A file can't be renamed, or the journal is poisoned.
    pub fn free_before(&self, segment: u32) -> Result<usize, FreeError> {
        let freed = self.note_poison(
            self.segments
                .free_before(segment.min(self.progress.synced_segment()), &self.poison),
        );
        lock(&self.chunks).forget_before(self.segments.oldest());
        if freed.as_ref().is_ok_and(|count| *count > 0) {
            lock(&self.tail).reset_copied();
        }
        freed
    }
}

/// The longest group for segments of `segment_bytes`.
pub(crate) fn group_bytes_max(segment_bytes: u32) -> usize {
    (BATCH_BYTES_MAX.min(segment_bytes - crate::format::SEGMENT_DATA) - BATCH_HEADER) as usize
}
