//! Names in the journal's directory.

use std::fmt;

/// The name of the lock file.
pub(crate) const LOCK_FILE: &str = "journal.lock";

/// What a file in a journal's directory is to whoever copies the journal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum FileRole {
    /// Part of the log: the journal is nothing without it.
    Log,
    /// The lock file, empty.
    Lock,
    /// A checkpoint, spare space or something unfinished: a copy can do without.
    Spare,
}

impl FileRole {
    /// By a file's name; `None` if no journal has a file of that name.
    #[must_use]
    pub fn of(name: &str) -> Option<FileRole> {
        match (name, FileName::parse(name)) {
            (LOCK_FILE, _) => Some(FileRole::Lock),
            (_, Some(FileName::Segment(_))) => Some(FileRole::Log),
            (_, Some(_)) => Some(FileRole::Spare),
            (_, None) => None,
        }
    }
}

/// A file of the journal, by what its name says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum FileName {
    /// Part of the log, or ready to be.
    Segment(u32),
    /// Space to be used again.
    Free(u32),
    /// Being made.
    New(u32),
    /// A state of the log's user.
    Checkpoint(u32),
    /// The same, from a clean stop after which the log was not written.
    Sealed(u32),
    /// The same, being made.
    NewCheckpoint(u32),
}

impl FileName {
    /// Parses a name; `None` for anything that isn't exactly one of ours.
    pub(crate) fn parse(name: &str) -> Option<FileName> {
        let (digits, extension) = name.split_once('.')?;
        if digits.len() != 10 || !digits.bytes().all(|b| b.is_ascii_digit()) {
            return None;
        }
        let number = digits.parse::<u32>().ok().filter(|&n| n > 0)?;
        match extension {
            "seg" => Some(FileName::Segment(number)),
            "free" => Some(FileName::Free(number)),
            "new" => Some(FileName::New(number)),
            "ckpt" => Some(FileName::Checkpoint(number)),
            "ckpt-sealed" => Some(FileName::Sealed(number)),
            "ckpt-new" => Some(FileName::NewCheckpoint(number)),
            _ => None,
        }
    }
}

impl fmt::Display for FileName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            FileName::Segment(n) => write!(f, "{n:010}.seg"),
            FileName::Free(n) => write!(f, "{n:010}.free"),
            FileName::New(n) => write!(f, "{n:010}.new"),
            FileName::Checkpoint(n) => write!(f, "{n:010}.ckpt"),
            FileName::Sealed(n) => write!(f, "{n:010}.ckpt-sealed"),
            FileName::NewCheckpoint(n) => write!(f, "{n:010}.ckpt-new"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_needs_the_segments() {
        for (name, role) in [
            ("0000000001.seg", Some(FileRole::Log)),
            (LOCK_FILE, Some(FileRole::Lock)),
            ("0000000001.ckpt-sealed", Some(FileRole::Spare)),
            ("0000000001.free", Some(FileRole::Spare)),
            ("notes.txt", None),
        ] {
            assert_eq!(FileRole::of(name), role, "{name}");
        }
    }

    #[test]
    fn names_round_trip_and_foreign_names_are_nobody() {
        for name in [
            FileName::Segment(1),
            FileName::Free(77),
            FileName::New(u32::MAX),
            FileName::Checkpoint(2),
            FileName::Sealed(3),
            FileName::NewCheckpoint(4),
        ] {
            assert_eq!(FileName::parse(&name.to_string()), Some(name));
        }
        for foreign in [
            "",
            ".",
            "1.seg",
            "0000000000.seg",
            "9999999999.seg",
            "0000000001.SEG",
            "+000000001.seg",
            LOCK_FILE,
            "0000000001.seg.bak",
        ] {
            assert_eq!(FileName::parse(foreign), None, "{foreign}");
        }
    }
}
