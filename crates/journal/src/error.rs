//! What can go wrong, as a caller can act on it.

use std::io;

use thiserror::Error;

use crate::lsn::{Lsn, Place};
use crate::poison::Poison;

/// What a replay callback says when it can't take a record.
pub type ReplayError = Box<dyn std::error::Error + Send + Sync>;

/// Why a journal doesn't open. Nothing on disk was changed, except for names that a crash had left half done.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum OpenError {
    /// Another process, or another journal of this one, has the directory open.
    #[error("{directory} is in use by another process; one process per directory")]
    InUse {
        /// The directory.
        directory: String,
    },
    /// The directory or a file in it can't be written.
    #[error("{directory} can't be written: {cause}. The journal needs to write there")]
    ReadOnly {
        /// The directory.
        directory: String,
        /// What the operating system said.
        cause: io::Error,
    },
    /// No space for the first segment.
    #[error("{directory}: no space for a segment of {segment_bytes} bytes: {cause}")]
    DiskFull {
        /// The directory.
        directory: String,
        /// What was asked for.
        segment_bytes: u32,
        /// What the operating system said.
        cause: io::Error,
    },
    /// A part of the log that was durable isn't there, or isn't what was written.
    #[error(
        "{directory}/{file} is damaged at offset {offset} (record {lsn}): {what}. Nothing was changed. Look at it with: {command}; what is intact is taken over by: trunkline journal repair {directory}"
    )]
    Damaged {
        /// The directory.
        directory: String,
        /// The file in it.
        file: String,
        /// Where in the file, in bytes.
        offset: u32,
        /// The first record that is missing.
        lsn: Lsn,
        /// What was found.
        what: String,
        /// What to run.
        command: String,
    },
    /// A segment's header is damaged, or the segment belongs elsewhere.
    #[error(
        "{directory}/{file} is not usable: {what}. Nothing was changed. What is intact is taken over by: trunkline journal repair {directory}"
    )]
    BadSegment {
        /// The directory.
        directory: String,
        /// The file in it.
        file: String,
        /// What is wrong with it.
        what: String,
    },
    /// A segment was written by a newer version, or with features that this one doesn't have.
    #[error("{directory}/{file}: {what}. Use a newer version")]
    Unsupported {
        /// The directory.
        directory: String,
        /// The file in it.
        file: String,
        /// Both versions.
        what: String,
    },
    /// A segment file is missing between others.
    #[error(
        "{directory}/{file} is missing, though there are older and newer segments. Nothing was changed. Put it back; if it is lost, what is left is taken over by: trunkline journal repair {directory}"
    )]
    Missing {
        /// The directory.
        directory: String,
        /// The file that should be there.
        file: String,
    },
    /// A value of the configuration is out of bounds.
    #[error("{0}")]
    Config(String),
    /// The callback refused a record.
    #[error("record {lsn} can't be replayed: {cause}")]
    Replay {
        /// The record.
        lsn: Lsn,
        /// What the callback said.
        cause: ReplayError,
    },
    /// Anything else that the operating system said.
    #[error("{directory}/{file}: {cause}")]
    Io {
        /// The directory.
        directory: String,
        /// The file in it.
        file: String,
        /// What the operating system said.
        cause: io::Error,
    },
}

/// Why an append is refused. Nothing was appended.
#[derive(Clone, Debug, Error)]
#[non_exhaustive]
pub enum Refused {
    /// No space for this class now. Works again when there is space.
    #[error("the disk is full")]
    DiskFull,
    /// Too much is waiting to be written. Works again after the next commit.
    #[error("{bytes} bytes wait to be written")]
    Backlog {
        /// How much waits.
        bytes: usize,
    },
    /// Longer than a batch in a segment can be.
    #[error("{bytes} bytes in one group; this journal takes at most {max}")]
    TooLarge {
        /// What was asked for.
        bytes: usize,
        /// See [`Journal::group_bytes_max`](crate::Journal::group_bytes_max).
        max: usize,
    },
    /// A segment could not be made, for another reason than space. Worth another try.
    #[error("no new segment: {0}")]
    NoSegment(String),
    /// The journal stopped after a failed write or sync.
    #[error(transparent)]
    Poisoned(Poison),
    /// The journal was closed.
    #[error("the journal is closed")]
    Closed,
}

/// Why a record can't be read.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ReadError {
    /// The segment was freed, or never was.
    #[error("no record at {0}: there is no such segment")]
    NoSegment(Place),
    /// Nothing is written there yet, or the place is past the end of its segment.
    #[error("no record at {0}: nothing is written there")]
    NotWritten(Place),
    /// The checksum doesn't hold: damage, or no record's place.
    #[error("{file} is damaged at offset {}: the checksum of the record doesn't hold", place.offset())]
    Damaged {
        /// The file.
        file: String,
        /// The place.
        place: Place,
    },
    /// What the operating system said.
    #[error("reading {file}: {cause}")]
    Io {
        /// The file.
        file: String,
        /// What the operating system said.
        cause: io::Error,
    },
}

/// Why segments were not freed. Those before the one named are.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum FreeError {
    /// The journal stopped after a failed write or sync.
    #[error(transparent)]
    Poisoned(Poison),
    /// The file could not be renamed. It is still a segment.
    #[error("freeing {file}: {cause}")]
    Io {
        /// The file.
        file: String,
        /// What the operating system said.
        cause: io::Error,
    },
}
