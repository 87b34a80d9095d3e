//! Taking out of a damaged journal what is intact. Changes nothing: whoever gets it writes another journal.

use std::collections::BTreeMap;

use crate::directory::{io_error, read_header};
use crate::disk::{Disk, FileEntry};
use crate::error::OpenError;
use crate::format::{BATCH_MAGIC, BatchHeader, FileName, Records, SEGMENT_DATA, le};
use crate::lsn::{Lsn, Place, RecordKind};
use crate::offline::lock_if_there;
use crate::walk::SegmentWalk;

/// A part of the log that is not there any more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Loss {
    /// The segment file in which the log breaks off.
    pub file: String,
    /// Where in it, in bytes.
    pub offset: u32,
    /// Where it goes on: file and offset; `None` if it doesn't.
    pub until: Option<(String, u32)>,
    /// The first record that is missing; `None` if nobody knows how many there were: the start of the log is missing.
    pub first: Option<Lsn>,
    /// The last record that is missing.
    pub last: Lsn,
    /// What is there instead.
    pub why: String,
}

impl Loss {
    /// How many records are missing, if that is known.
    #[must_use]
    pub fn records(&self) -> Option<u64> {
        self.first
            .map(|first| (self.last.0 + 1).saturating_sub(first.0))
    }
}

/// What [`salvage`] hands out, in the order of the log.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum Salvaged<'a> {
    /// Records that belong together, all or none.
    Batch {
        /// The time that they recorded.
        now: u64,
        /// Kind and payload of each.
        records: &'a [(RecordKind, &'a [u8])],
    },
    /// Records are missing here.
    Loss(&'a Loss),
}

/// What [`salvage`] found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SalvageReport {
    /// Records that were handed out.
    pub records: u64,
    /// Places where records are missing.
    pub losses: u64,
    /// A crash had left an unfinished end; none of it was durable, and it was left out.
    pub torn: bool,
    /// Segment files whose headers are damaged; what is in them was looked at all the same.
    pub bad_headers: Vec<String>,
}

/// What is known of all batches before any is handed out.
#[derive(Debug, Default)]
struct Known {
    /// The highest record that was durable, as batches say.
    durable: Lsn,
    /// By generation, the first record of the first batch that is there.
    starts: BTreeMap<u32, Lsn>,
}

impl Known {
    fn add(&mut self, batch: &BatchHeader) {
        self.durable = self.durable.max(batch.synced_lsn);
        let start = self
            .starts
            .entry(batch.generation)
            .or_insert(batch.first_lsn);
        *start = batch.first_lsn.min(*start);
    }

    /// Whether a later opening cut a batch off: it went on in its place.
    fn is_cut_off(&self, batch: &BatchHeader) -> bool {
        let later = self.starts.range(batch.generation.saturating_add(1)..);
        later
            .into_iter()
            .any(|(_, start)| *start <= batch.first_lsn)
    }
}

struct Salvage<'a> {
    disk: &'a dyn Disk,
    files: BTreeMap<u32, FileEntry>,
    journal_id: u64,
    known: Known,
    /// Where the log goes on, as far as it is handed out.
    end: Place,
    next: Option<Lsn>,
    report: SalvageReport,
}

/// Hands out everything of a journal that is intact and was not cut off by an earlier opening, and says what is missing: what recovery proves
/// to be damaged is left out, whether it is a batch, a segment file or a header. Checkpoints are left out, too: they say nothing that the
/// log doesn't. `visit` ends it with an error; `progress` is told bytes done and bytes in all.
///
/// # Errors
/// The directory or a file can't be read, a process has it open, a newer version wrote it, there is no journal; or what `visit` says.
pub fn salvage(
    disk: &dyn Disk,
    visit: &mut dyn FnMut(Salvaged<'_>) -> Result<(), OpenError>,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<SalvageReport, OpenError> {
    let _lock = lock_if_there(disk)?;
    let mut files = BTreeMap::new();
    for entry in disk.list().map_err(|cause| io_error(disk, "", cause))? {
        if let Some(FileName::Segment(number)) = FileName::parse(&entry.name) {
            files.insert(number, entry);
        }
    }
    let mut report = SalvageReport::default();
    let journal_id = find_id(disk, &files, &mut report)?;
    let first = files.keys().next().copied().unwrap_or(1);
    let mut salvage = Salvage {
        disk,
        files,
        journal_id,
        known: Known::default(),
        end: Place::new(first, SEGMENT_DATA),
        next: (first == 1).then_some(Lsn(1)),
        report,
    };
    salvage.run(visit, progress)?;
    Ok(salvage.report)
}

/// The journal's id: from a header, or else from a batch.
fn find_id(
    disk: &dyn Disk,
    files: &BTreeMap<u32, FileEntry>,
    report: &mut SalvageReport,
) -> Result<u64, OpenError> {
    let mut ids: BTreeMap<u64, u32> = BTreeMap::new();
    for (&number, entry) in files {
        match read_header(disk, number, &entry.name, entry.bytes) {
            Ok(header) => *ids.entry(header.journal_id).or_default() += 1,
            Err(error @ OpenError::Unsupported { .. }) => return Err(error),
            Err(_) => report.bad_headers.push(entry.name.clone()),
        }
    }
    for entry in files.values().filter(|_| ids.is_empty()) {
        let file = disk.open(&entry.name);
        let mut start = [0; 24];
        let read = file.and_then(|file| file.read_at(SEGMENT_DATA.into(), &mut start));
        if read.is_ok() && start[..BATCH_MAGIC.len()] == BATCH_MAGIC {
            return Ok(le::u64(&start, 16));
        }
    }
    let most = ids.into_iter().max_by_key(|(_, count)| *count);
    most.map(|(id, _)| id).ok_or_else(|| OpenError::BadSegment {
        directory: disk.name(),
        file: files
            .values()
            .next()
            .map_or_else(String::new, |entry| entry.name.clone()),
        what: "no segment is readable, and no batch says which journal it belongs to".into(),
    })
}

impl Salvage<'_> {
    fn run(
        &mut self,
        visit: &mut dyn FnMut(Salvaged<'_>) -> Result<(), OpenError>,
        progress: &mut dyn FnMut(u64, u64),
    ) -> Result<(), OpenError> {
        let files: Vec<(u32, FileEntry)> = self.files.clone().into_iter().collect();
        let total = 2 * files.iter().map(|(_, entry)| entry.bytes).sum::<u64>();
        let mut done = 0;
        for (number, entry) in &files {
            let mut walk = self.walk(*number, entry)?;
            let known = &mut self.known;
            let searched = walk.search_all(SEGMENT_DATA, |batch| known.add(batch));
            searched.map_err(|cause| io_error(self.disk, &entry.name, cause))?;
            done += entry.bytes;
            progress(done, total);
        }
        for (number, entry) in &files {
            if !self.segment(*number, entry, visit)? {
                self.report.torn = true;
                return Ok(());
            }
            done += entry.bytes;
            progress(done, total);
        }
        let next = self.next.unwrap_or(Lsn(1));
        if next <= self.known.durable {
            self.lose(self.known.durable, None, visit)?;
        }
        Ok(())
    }

    /// Whatever its header says: name and length of the file are its number and size.
    fn walk(&self, number: u32, entry: &FileEntry) -> Result<SegmentWalk, OpenError> {
        let file = self.disk.open(&entry.name);
        let file = file.map_err(|cause| io_error(self.disk, &entry.name, cause))?;
        let bytes = u32::try_from(entry.bytes).unwrap_or(u32::MAX);
        Ok(SegmentWalk::new(file, self.journal_id, number, bytes))
    }

    /// Hands out what is intact in a segment; false if the log ends in it.
    fn segment(
        &mut self,
        number: u32,
        entry: &FileEntry,
        visit: &mut dyn FnMut(Salvaged<'_>) -> Result<(), OpenError>,
    ) -> Result<bool, OpenError> {
        let mut walk = self.walk(number, entry)?;
        let (disk, mut offset) = (self.disk, SEGMENT_DATA);
        let io = |cause| io_error(disk, &entry.name, cause);
        while let Some((at, batch)) = walk.search(offset).map_err(io)? {
            offset = at + batch.framed();
            let next = self.next.unwrap_or(batch.first_lsn);
            if self.known.is_cut_off(&batch) || batch.first_lsn < next {
                continue;
            }
            let is_headless = self.next.is_none() && at > SEGMENT_DATA;
            if batch.first_lsn > next || is_headless {
                if next > self.known.durable && !is_headless {
                    return Ok(false);
                }
                let last = Lsn(batch.first_lsn.0.saturating_sub(1));
                self.lose(last, Some((entry.name.clone(), at)), visit)?;
            }
            let body = walk.body(at, &batch).map_err(io)?;
            let records: Result<Vec<_>, _> = Records::new(body)
                .map(|record| record.map(|(_, kind, payload)| (kind, payload)))
                .collect();
            // Its checksum holds, so somebody wrote it like this: nothing of it can be trusted.
            let Ok(records) = records else { continue };
            self.report.records += records.len() as u64;
            self.next = Some(batch.next_lsn());
            self.end = Place::new(number, offset);
            if !records.is_empty() {
                visit(Salvaged::Batch {
                    now: batch.now,
                    records: &records,
                })?;
            }
        }
        Ok(true)
    }

    /// Says that everything up to `last` is missing.
    fn lose(
        &mut self,
        last: Lsn,
        until: Option<(String, u32)>,
        visit: &mut dyn FnMut(Salvaged<'_>) -> Result<(), OpenError>,
    ) -> Result<(), OpenError> {
        let number = self.end.segment();
        let entry = self.files.get(&number).cloned();
        let why = match &entry {
            None => "the file is missing".to_owned(),
            Some(entry) => {
                let mut walk = self.walk(number, entry)?;
                let found = walk.batch(self.end.offset());
                let found = found.map_err(|cause| io_error(self.disk, &entry.name, cause))?;
                match found {
                    Err(fault) => fault.to_string(),
                    Ok(_) => "a batch that doesn't continue the log".to_owned(),
                }
            }
        };
        let missing = (number + 1..)
            .take_while(|_| until.is_some())
            .find(|n| !self.files.contains_key(n))
            .map(|n| FileName::Segment(n).to_string())
            .filter(|name| until.as_ref().is_some_and(|(file, _)| name < file));
        let loss = Loss {
            file: FileName::Segment(number).to_string(),
            offset: self.end.offset(),
            until,
            first: self.next,
            last,
            why: match missing {
                Some(name) => format!("{why}; {name} is missing"),
                None => why,
            },
        };
        self.report.losses += 1;
        visit(Salvaged::Loss(&loss))
    }
}
