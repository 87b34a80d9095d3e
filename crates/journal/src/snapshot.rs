//! A copy of a journal that goes on meanwhile.

use std::io;
use std::sync::{Arc, Weak};

use crate::format::FileName;
use crate::journal::Journal;
use crate::lsn::{Lsn, Place};
use crate::pages::{Aligned, PAGE, page_end, page_start};
use crate::poison::Poison;
use crate::segments::{Pin, lock};

/// Most that is read at once, in bytes.
const STEP: u32 = 1 << 20;

const _: () = assert!(STEP.is_multiple_of(PAGE));

/// A file of a [`Snapshot`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SnapshotFile {
    /// Its name in the directory.
    pub name: String,
    /// Its size in bytes, the part that no record is in included.
    pub bytes: u32,
    /// Up to here it holds the log; what follows reads as zeros.
    pub used: u32,
}

/// Everything in a journal that was written when it was taken, to be read at leisure: these files in an empty directory are a
/// journal, as after a power loss at that moment.
///
/// Its segments are not freed until it is dropped, so the disk use of the journal may grow for so long. It keeps neither the journal
/// open nor its directory locked: reading fails once the journal is dropped.
#[derive(Debug)]
pub struct Snapshot {
    journal: Weak<Journal>,
    first_segment: u32,
    end: Place,
    last_lsn: Lsn,
    files: Vec<SnapshotFile>,
    _pin: Pin,
}

impl Journal {
    /// Takes a snapshot: makes what is written durable, and keeps the segments that hold it. Waits for a round of the writer that runs, and
    /// for a sync.
    ///
    /// # Errors
    /// The journal is poisoned, now or before.
    pub fn snapshot(self: &Arc<Self>) -> Result<Snapshot, Poison> {
        self.sync()?;
        // First, so that whatever made earlier segments dispensable lies before the end.
        let pin = self.segments.pin();
        let (end, last_lsn) = self.durable_end()?;
        let file = |(number, bytes): (u32, u32)| SnapshotFile {
            name: FileName::Segment(number).to_string(),
            bytes,
            used: if number == end.segment() {
                end.offset()
            } else {
                bytes
            },
        };
        let first_segment = pin.oldest();
        let segments = self.segments.list().into_iter();
        let files = segments
            .filter(|(number, _)| (first_segment..=end.segment()).contains(number))
            .map(file)
            .collect();
        Ok(Snapshot {
            journal: Arc::downgrade(self),
            first_segment,
            end,
            last_lsn,
            files,
            _pin: pin,
        })
    }

    /// Makes everything that is written durable; where it ends, and its last record.
    fn durable_end(&self) -> Result<(Place, Lsn), Poison> {
        self.poison.check()?;
        let mut side = lock(&self.committing);
        self.note_poison(self.sync_segment(&mut side))?;
        // Nobody writes as long as this side is held.
        Ok((self.progress.written_end(), self.watermarks().synced))
    }
}

impl Snapshot {
    /// The segment files, the oldest first.
    #[must_use]
    pub fn files(&self) -> &[SnapshotFile] {
        &self.files
    }

    /// The last record in it.
    #[must_use]
    pub fn last_lsn(&self) -> Lsn {
        self.last_lsn
    }

    /// Fills `into` with bytes of a file, by its index, from `offset` on, up to the end of the file. Returns how many bytes that are.
    /// Holds no lock while the disk reads.
    ///
    /// # Errors
    /// What the operating system says; [`io::ErrorKind::NotConnected`] if the journal is gone.
    pub fn read(&self, file: usize, offset: u64, into: &mut [u8]) -> io::Result<usize> {
        let described = self
            .files
            .get(file)
            .ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))?;
        let left = u64::from(described.bytes).saturating_sub(offset);
        let len = usize::try_from(left).map_or(into.len(), |left| left.min(into.len()));
        let (mut at, into) = (offset as u32, &mut into[..len]);
        let in_log = described.used.saturating_sub(at) as usize;
        let (mut data, zeros) = into.split_at_mut(in_log.min(len));
        zeros.fill(0);
        while !data.is_empty() {
            let step = data.len().min((page_start(at) + STEP - at) as usize);
            let (now, later) = data.split_at_mut(step);
            self.read_pages(self.first_segment + file as u32, at, now)?;
            at += step as u32;
            data = later;
        }
        Ok(len)
    }

    /// Reads bytes of the log by whole pages, as they are written. What of the last page is behind the end may change meanwhile; the rest doesn't.
    fn read_pages(&self, segment: u32, at: u32, out: &mut [u8]) -> io::Result<()> {
        let gone = || io::Error::new(io::ErrorKind::NotConnected, "the journal was closed");
        let journal = self.journal.upgrade().ok_or_else(gone)?;
        let file = journal.segments.file(segment)?.ok_or_else(gone)?;
        let from = page_start(at);
        let mut pages = Aligned::new((page_end(at + out.len() as u32) - from) as usize);
        file.read_at(from.into(), pages.bytes_mut())?;
        let skipped = (at - from) as usize;
        out.copy_from_slice(&pages.bytes()[skipped..skipped + out.len()]);
        debug_assert!(segment <= self.end.segment());
        Ok(())
    }
}
