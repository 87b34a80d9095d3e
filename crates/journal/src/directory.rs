//! What lies in the journal's directory, before anything of the log is read.

use std::collections::BTreeMap;
use std::io;

use crate::checkpoint::CheckpointFile;
use crate::disk::Disk;
use crate::error::OpenError;
use crate::format::{FileName, HeaderFault, SegmentHeader};

/// The files of a journal, sorted and with their headers checked.
#[derive(Debug)]
pub(crate) struct Directory {
    pub(crate) segments: BTreeMap<u32, SegmentHeader>,
    /// Numbers and lengths of the free files.
    pub(crate) free: Vec<(u32, u64)>,
    /// Numbers of files that were being made.
    pub(crate) new: Vec<u32>,
    /// Oldest first.
    pub(crate) checkpoints: Vec<CheckpointFile>,
    /// Numbers of checkpoints that were being made.
    pub(crate) new_checkpoints: Vec<u32>,
}

impl Directory {
    /// Lists the directory and checks that the segments belong together.
    pub(crate) fn load(disk: &dyn Disk) -> Result<Directory, OpenError> {
        let mut directory = Directory {
            segments: BTreeMap::new(),
            free: Vec::new(),
            new: Vec::new(),
            checkpoints: Vec::new(),
            new_checkpoints: Vec::new(),
        };
        let mut names = BTreeMap::new();
        for entry in disk.list().map_err(|cause| io_error(disk, "", cause))? {
            match FileName::parse(&entry.name) {
                Some(FileName::Segment(number)) => drop(names.insert(number, entry)),
                Some(FileName::Free(number)) => directory.free.push((number, entry.bytes)),
                Some(FileName::New(number)) => directory.new.push(number),
                Some(name @ (FileName::Checkpoint(number) | FileName::Sealed(number))) => {
                    directory.checkpoints.push(CheckpointFile {
                        number,
                        bytes: entry.bytes,
                        sealed: matches!(name, FileName::Sealed(_)),
                    });
                }
                Some(FileName::NewCheckpoint(number)) => directory.new_checkpoints.push(number),
                None => {}
            }
        }
        directory.free.sort_unstable();
        directory.checkpoints.sort_unstable();
        let mut journal_id = None;
        for (number, entry) in names {
            let header = read_header(disk, number, &entry.name, entry.bytes)?;
            if *journal_id.get_or_insert(header.journal_id) != header.journal_id {
                return Err(bad_segment(
                    disk,
                    &entry.name,
                    "it belongs to another journal than the segments before it".into(),
                ));
            }
            directory.segments.insert(number, header);
        }
        directory.check_gaps(disk)?;
        Ok(directory)
    }

    /// The journal's id; `None` if there is no journal yet.
    pub(crate) fn journal_id(&self) -> Option<u64> {
        self.segments
            .values()
            .next()
            .map(|header| header.journal_id)
    }

    /// The highest generation that made a segment.
    pub(crate) fn generation(&self) -> u32 {
        self.segments
            .values()
            .map(|header| header.generation)
            .max()
            .unwrap_or(0)
    }

    fn check_gaps(&self, disk: &dyn Disk) -> Result<(), OpenError> {
        let missing = |number: u32| {
            Err(OpenError::Missing {
                directory: disk.name(),
                file: FileName::Segment(number).to_string(),
            })
        };
        let mut expected = None;
        for &number in self.segments.keys() {
            if expected.is_some_and(|expected| expected != number) {
                return missing(expected.unwrap_or(number));
            }
            expected = number.checked_add(1);
        }
        // A file is only freed while a newer segment is there.
        match self.free.iter().map(|&(number, _)| number).max() {
            Some(newest) if self.segments.is_empty() => missing(newest.saturating_add(1)),
            _ => Ok(()),
        }
    }
}

/// Reads and checks the header of one segment file.
pub(crate) fn read_header(
    disk: &dyn Disk,
    number: u32,
    name: &str,
    bytes: u64,
) -> Result<SegmentHeader, OpenError> {
    let file = disk
        .open(name)
        .map_err(|cause| io_error(disk, name, cause))?;
    let mut start = [0; SegmentHeader::LEN];
    match file.read_at(0, &mut start) {
        Err(cause) if cause.kind() == io::ErrorKind::UnexpectedEof => {
            return Err(bad_segment(
                disk,
                name,
                format!("it has only {bytes} bytes"),
            ));
        }
        other => other.map_err(|cause| io_error(disk, name, cause))?,
    }
    let header = SegmentHeader::decode(&start).map_err(|fault| match fault {
        HeaderFault::Version(_) | HeaderFault::Features(..) => OpenError::Unsupported {
            directory: disk.name(),
            file: name.to_owned(),
            what: fault.to_string(),
        },
        _ => bad_segment(disk, name, fault.to_string()),
    })?;
    if header.segment != number {
        return Err(bad_segment(
            disk,
            name,
            format!("its header says that it is segment {}", header.segment),
        ));
    }
    if bytes < u64::from(header.segment_bytes) {
        return Err(bad_segment(
            disk,
            name,
            format!(
                "it has {bytes} bytes; its header says {}",
                header.segment_bytes
            ),
        ));
    }
    Ok(header)
}

fn bad_segment(disk: &dyn Disk, file: &str, what: String) -> OpenError {
    OpenError::BadSegment {
        directory: disk.name(),
        file: file.to_owned(),
        what,
    }
}

/// An error of the operating system, with the words for the common ones.
pub(crate) fn io_error(disk: &dyn Disk, file: &str, cause: io::Error) -> OpenError {
    let directory = disk.name();
    match cause.kind() {
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
            OpenError::ReadOnly { directory, cause }
        }
        _ => OpenError::Io {
            directory,
            file: file.to_owned(),
            cause,
        },
    }
}
