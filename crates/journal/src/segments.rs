//! The segment files: making them ahead of the writer, finding them for readers, freeing and recycling them.

use std::collections::BTreeMap;
use std::io::{self, IoSlice};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::disk::{Disk, DiskFile, is_full};
use crate::error::{FreeError, Refused};
use crate::format::{FileName, SEGMENT_DATA, SegmentHeader};
use crate::pages::PAGE;
use crate::poison::{Poison, PoisonCell};

/// One step of writing zeros ahead of the writer.
const FILL_STEP: u32 = 1 << 20;

/// Zeros that the disk can take as they lie there.
#[repr(align(4096))]
struct Zeros([u8; Zeros::LEN]);

impl Zeros {
    const LEN: usize = 16 << 10;

    /// At most [`FILL_STEP`] of them.
    fn parts(mut len: usize) -> Vec<IoSlice<'static>> {
        static ZEROS: Zeros = Zeros([0; Zeros::LEN]);
        let mut parts = Vec::with_capacity(len.div_ceil(Zeros::LEN));
        while len > 0 {
            let part = &ZEROS.0[..len.min(Zeros::LEN)];
            parts.push(IoSlice::new(part));
            len -= part.len();
        }
        parts
    }
}

const _: () = assert!(align_of::<Zeros>() == PAGE as usize && FILL_STEP.is_multiple_of(PAGE));
const SYNCING_DIRECTORY: &str = "syncing the directory for";
/// Files of older segments that stay open for readers.
const OLD_FILES_MAX: usize = 32;

/// Locks, also after a panic elsewhere: what the locks here protect is changed in one go.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What a segment is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SegmentState {
    /// Part of the log, not written any more.
    Full,
    /// The log ends here.
    Active,
    /// Waits for the log to come.
    Ready,
}

/// A segment, to those who decide what to compact and free.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SegmentInfo {
    /// Its number.
    pub segment: u32,
    /// Size of its file in bytes.
    pub bytes: u32,
    /// What it is for.
    pub state: SegmentState,
}

/// A segment of the log, or one that waits for it.
#[derive(Debug)]
pub(crate) struct Segment {
    pub(crate) number: u32,
    pub(crate) bytes: u32,
    /// Up to here the file's blocks are written once. Zeros go only behind it, data moves it on first.
    filled: Mutex<u32>,
}

impl Segment {
    /// A segment whose blocks are written up to `filled`.
    pub(crate) fn new(number: u32, bytes: u32, filled: u32) -> Arc<Self> {
        Arc::new(Self {
            number,
            bytes,
            filled: Mutex::new(filled),
        })
    }

    /// Keeps zeros away from everything before `end`. To be called before writing there.
    pub(crate) fn keep_zeros_after(&self, end: u32) {
        let mut filled = lock(&self.filled);
        *filled = end.max(*filled);
    }
}

/// A `.free` file.
#[derive(Clone, Copy, Debug)]
pub(crate) struct FreeFile {
    pub(crate) number: u32,
    pub(crate) bytes: u64,
    pub(crate) filled: u32,
}

#[derive(Debug)]
struct Table {
    live: BTreeMap<u32, Arc<Segment>>,
    files: BTreeMap<u32, Arc<dyn DiskFile>>,
    free: Vec<FreeFile>,
    /// Being freed right now.
    leaving: Option<u32>,
    /// By the oldest segment that is to stay: how many ask for that.
    pins: BTreeMap<u32, usize>,
}

impl Table {
    /// The oldest segment, to be freed, if it is before `before` and not pinned. One caller at a time.
    fn leave(&mut self, before: u32) -> Option<Arc<Segment>> {
        let pinned = self.pins.keys().next().copied().unwrap_or(u32::MAX);
        let (number, segment) = self.live.first_key_value()?;
        if *number >= before.min(pinned) || self.leaving.is_some() {
            return None;
        }
        let segment = segment.clone();
        self.leaving = Some(segment.number);
        Some(segment)
    }
}

/// Keeps segments from being freed until it is dropped.
#[derive(Debug)]
pub(crate) struct Pin {
    table: Arc<Mutex<Table>>,
    oldest: u32,
}

impl Pin {
    /// The oldest segment that stays.
    pub(crate) fn oldest(&self) -> u32 {
        self.oldest
    }
}

impl Drop for Pin {
    fn drop(&mut self) {
        let mut table = lock(&self.table);
        if let Some(count) = table.pins.get_mut(&self.oldest) {
            *count -= 1;
            if *count == 0 {
                table.pins.remove(&self.oldest);
            }
        }
    }
}

/// All segment files of a journal.
#[derive(Debug)]
pub(crate) struct Segments {
    disk: Arc<dyn Disk>,
    journal_id: u64,
    generation: u32,
    segment_bytes: u32,
    spare_max: usize,
    table: Arc<Mutex<Table>>,
}

impl Segments {
    pub(crate) fn new(
        disk: Arc<dyn Disk>,
        journal_id: u64,
        generation: u32,
        segment_bytes: u32,
        spare_max: usize,
    ) -> Self {
        let table = Arc::new(Mutex::new(Table {
            live: BTreeMap::new(),
            files: BTreeMap::new(),
            free: Vec::new(),
            leaving: None,
            pins: BTreeMap::new(),
        }));
        Self {
            disk,
            journal_id,
            generation,
            segment_bytes,
            spare_max,
            table,
        }
    }

    pub(crate) fn disk(&self) -> &dyn Disk {
        &*self.disk
    }

    /// Takes over what recovery found.
    pub(crate) fn adopt(&self, live: impl IntoIterator<Item = Arc<Segment>>, free: Vec<FreeFile>) {
        let mut table = lock(&self.table);
        table
            .live
            .extend(live.into_iter().map(|segment| (segment.number, segment)));
        table.free = free;
    }

    pub(crate) fn get(&self, number: u32) -> Option<Arc<Segment>> {
        lock(&self.table).live.get(&number).cloned()
    }

    /// Every segment, in order.
    pub(crate) fn list(&self) -> Vec<(u32, u32)> {
        lock(&self.table)
            .live
            .values()
            .map(|segment| (segment.number, segment.bytes))
            .collect()
    }

    pub(crate) fn oldest(&self) -> u32 {
        lock(&self.table).live.keys().next().copied().unwrap_or(0)
    }

    /// The open file of a segment; `None` if there is no such segment.
    pub(crate) fn file(&self, number: u32) -> io::Result<Option<Arc<dyn DiskFile>>> {
        let mut table = lock(&self.table);
        if !table.live.contains_key(&number) {
            return Ok(None);
        }
        if let Some(file) = table.files.get(&number) {
            return Ok(Some(file.clone()));
        }
        let file = self.disk.open(&FileName::Segment(number).to_string())?;
        if table.files.len() >= OLD_FILES_MAX {
            table.files.pop_first();
        }
        table.files.insert(number, file.clone());
        Ok(Some(file))
    }

    /// Makes the next segment, out of a free file if there is one. One caller at a time.
    pub(crate) fn make(&self, now: u64, poison: &PoisonCell) -> Result<Arc<Segment>, Refused> {
        poison.check().map_err(Refused::Poisoned)?;
        let number = lock(&self.table)
            .live
            .keys()
            .next_back()
            .map_or(Some(1), |last| last.checked_add(1));
        let number =
            number.ok_or_else(|| Refused::NoSegment("all segment numbers are used".into()))?;
        let (from, file, filled) = match self.recycled() {
            Some(recycled) => recycled,
            None => self.allocated(number)?,
        };
        let name = FileName::Segment(number).to_string();
        if let Err((operation, cause)) = self.publish(number, now, &file, &from, &name) {
            if is_full(&cause) && operation != SYNCING_DIRECTORY {
                // A file system that copies on write. The file isn't part of the log yet, and its space is needed.
                drop(self.disk.remove(&from));
                return Err(Refused::DiskFull);
            }
            let failed = poison.guard::<()>(Err(cause), operation, || name.clone());
            return Err(Refused::Poisoned(failed.expect_err("it failed")));
        }
        let segment = Segment::new(number, self.segment_bytes, filled);
        let mut table = lock(&self.table);
        table.live.insert(number, segment.clone());
        table.files.insert(number, file);
        Ok(segment)
    }

    /// A free file of the right size, opened. Others are of no use and go.
    fn recycled(&self) -> Option<(String, Arc<dyn DiskFile>, u32)> {
        loop {
            let free = lock(&self.table).free.pop()?;
            let name = FileName::Free(free.number).to_string();
            match self.disk.open(&name) {
                Ok(file) if free.bytes == u64::from(self.segment_bytes) => {
                    return Some((name, file, free.filled));
                }
                // Whatever is wrong with it, the log doesn't need it; if it can't be removed, the next opening meets it again.
                _ => drop(self.disk.remove(&name)),
            }
        }
    }

    /// A new file whose space is its own.
    fn allocated(&self, number: u32) -> Result<(String, Arc<dyn DiskFile>, u32), Refused> {
        let name = FileName::New(number).to_string();
        let refuse = |cause: io::Error| {
            if is_full(&cause) {
                Refused::DiskFull
            } else {
                Refused::NoSegment(format!("{name}: {cause}"))
            }
        };
        if self.disk.free_bytes().map_err(refuse)? < u64::from(self.segment_bytes) {
            return Err(Refused::DiskFull);
        }
        let file = match self.disk.create(&name) {
            // Left by an attempt whose removal failed, too.
            Err(cause) if cause.kind() == io::ErrorKind::AlreadyExists => self.disk.open(&name),
            other => other,
        };
        let file = file.map_err(refuse)?;
        if let Err(cause) = file.allocate(u64::from(self.segment_bytes)) {
            drop(file);
            // Gives back what was allocated so far. Not being able to is no worse than not having tried.
            drop(self.disk.remove(&name));
            return Err(refuse(cause));
        }
        Ok((name, file, SEGMENT_DATA))
    }

    /// Writes the header and gives the file its name, each durably.
    fn publish(
        &self,
        segment: u32,
        now: u64,
        file: &Arc<dyn DiskFile>,
        from: &str,
        to: &str,
    ) -> Result<(), (&'static str, io::Error)> {
        let header = SegmentHeader {
            journal_id: self.journal_id,
            segment,
            generation: self.generation,
            segment_bytes: self.segment_bytes,
            required: 0,
            optional: 0,
            now,
        };
        let mut block = [0; SEGMENT_DATA as usize];
        block[..SegmentHeader::LEN].copy_from_slice(&header.encode());
        file.write_at(0, &[IoSlice::new(&block)])
            .map_err(|cause| ("writing", cause))?;
        file.sync_data().map_err(|cause| ("syncing", cause))?;
        self.disk
            .rename(from, to)
            .map_err(|cause| ("renaming", cause))?;
        self.disk
            .sync_dir()
            .map_err(|cause| (SYNCING_DIRECTORY, cause))
    }

    /// Writes one step of zeros into the first segment from `active` on that needs them. False if none does.
    pub(crate) fn fill(&self, active: u32, poison: &PoisonCell) -> Result<bool, Poison> {
        let unfilled = |segment: &&Arc<Segment>| *lock(&segment.filled) < segment.bytes;
        let Some(segment) = lock(&self.table)
            .live
            .range(active..)
            .map(|(_, segment)| segment)
            .find(unfilled)
            .cloned()
        else {
            return Ok(false);
        };
        let name = || FileName::Segment(segment.number).to_string();
        let Some(file) = poison.guard(self.file(segment.number), "opening", name)? else {
            return Ok(true);
        };
        {
            // The writer waits here if it gets as far; it moves the mark before it writes.
            let mut filled = lock(&segment.filled);
            let len = FILL_STEP.min(segment.bytes - *filled);
            poison.guard(
                file.write_at(u64::from(*filled), &Zeros::parts(len as usize)),
                "writing",
                name,
            )?;
            *filled += len;
        }
        poison.guard(file.sync_data(), "syncing", name)?;
        Ok(true)
    }

    /// Keeps all segments from now on, but for one that is being freed.
    pub(crate) fn pin(&self) -> Pin {
        let mut table = lock(&self.table);
        let stays = |number: &&u32| Some(**number) != table.leaving;
        let oldest = table.live.keys().find(stays).copied().unwrap_or(0);
        *table.pins.entry(oldest).or_default() += 1;
        Pin {
            table: self.table.clone(),
            oldest,
        }
    }

    /// Whether a segment is kept though nobody may need it.
    pub(crate) fn is_pinned(&self) -> bool {
        !lock(&self.table).pins.is_empty()
    }

    /// Frees the oldest segments up to, and without, `before`, as far as none of them is pinned. Returns how many.
    pub(crate) fn free_before(&self, before: u32, poison: &PoisonCell) -> Result<usize, FreeError> {
        let mut freed = 0;
        loop {
            poison.check().map_err(FreeError::Poisoned)?;
            let Some(segment) = lock(&self.table).leave(before) else {
                return Ok(freed);
            };
            let left = self.free(&segment, poison);
            lock(&self.table).leaving = None;
            left?;
            freed += 1;
        }
    }

    fn free(&self, segment: &Segment, poison: &PoisonCell) -> Result<(), FreeError> {
        let name = FileName::Segment(segment.number).to_string();
        let free_name = FileName::Free(segment.number).to_string();
        self.disk
            .rename(&name, &free_name)
            .map_err(|cause| FreeError::Io {
                file: name.clone(),
                cause,
            })?;
        let filled = *lock(&segment.filled);
        let spare = {
            let mut table = lock(&self.table);
            table.live.remove(&segment.number);
            table.files.remove(&segment.number);
            table.free.len() < self.spare_max
        };
        // Before anything else happens to the file: see "Freeing" in the format document.
        poison
            .guard(self.disk.sync_dir(), SYNCING_DIRECTORY, || {
                free_name.clone()
            })
            .map_err(FreeError::Poisoned)?;
        if spare {
            lock(&self.table).free.push(FreeFile {
                number: segment.number,
                bytes: u64::from(segment.bytes),
                filled,
            });
        } else {
            drop(self.disk.remove(&free_name));
        }
        Ok(())
    }
}
