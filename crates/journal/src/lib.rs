//! A segmented, checksummed, group-committed log with an opaque payload.
//!
//! Records go in as [`Group`]s, all or nothing; [`Journal::commit`] writes whatever waits with one vectored write and
//! makes it durable with one `fdatasync`; [`Journal::open`] gives back every durable record in order, or says what is damaged.
//! The bytes on disk, and why a crash at any moment is harmless, are in `docs/journal-format.md`.
//!
//! **Invariant:** knows no message, topic or subscription, only bytes. Formats and rules (`format`, `chain`, `schedule`) see
//! no file and no clock: times are passed in, and all I/O goes through [`Disk`]. Only the threads of [`Journal::spawn_writer`]
//! read a monotonic clock. After a failed write or sync no commit succeeds again.
//!
//! ```
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let directory = tempfile::tempdir()?;
//! use std::sync::Arc;
//! use trunkline_journal::{Class, Config, Group, Journal, RealDisk, RecordKind, Urgency};
//!
//! let disk = Arc::new(RealDisk::create(directory.path())?);
//! let (journal, report) = Journal::open(disk, Config::default(), 0, &mut |_record| Ok(()))?;
//! assert!(report.clean);
//!
//! let mut group = Group::new();
//! let slot = group.push(RecordKind(1), &[b"hello, ", b"log"])?;
//! journal.admit(group.byte_len(), Class::Growth)?;
//! let appended = journal.append(&group, 0, Urgency::Commit)?;
//! journal.commit()?;
//! assert!(journal.watermarks().synced >= appended.last_lsn);
//! assert_eq!(journal.read(appended.place(slot))?.payload, &b"hello, log"[..]);
//! journal.close()?;
//! # Ok(())
//! # }
//! ```
//!
//! Start reading at [`Journal`], then `commit.rs` (the way down), `recovery.rs` and `checkpoint.rs` (the way up) and `chain.rs` (what counts as the log).

mod chain;
mod checkpoint;
mod commit;
mod config;
mod directory;
mod disk;
mod error;
#[cfg(any(test, feature = "fault"))]
pub mod fault;
mod format;
mod group;
mod journal;
mod lsn;
mod offline;
mod open;
mod pages;
mod poison;
mod progress;
mod reader;
mod recent;
mod recovery;
mod salvage;
mod scan;
mod schedule;
mod segments;
mod snapshot;
mod tail;
mod unsynced;
mod walk;
mod writer;

pub use checkpoint::Recover;
pub use commit::Committed;
pub use config::{Class, Config, Urgency};
pub use disk::{Disk, DiskFile, FileEntry, LockGuard, RealDisk};
pub use error::{FreeError, OpenError, ReadError, Refused, ReplayError};
pub use format::{BATCH_BYTES_MAX, FileRole, SEGMENT_BYTES_MAX, SEGMENT_BYTES_MIN};
pub use group::{Group, GroupTooLarge, Slot};
pub use journal::{Appended, Journal, RecordBytes};
pub use lsn::{Lsn, Place, RecordKind};
pub use offline::{DumpEvent, SegmentReport, VerifyReport, dump, verify};
pub use poison::Poison;
pub use progress::Watermarks;
pub use recovery::{RecoveryReport, Replayed, TornTail};
pub use salvage::{Loss, SalvageReport, Salvaged, salvage};
pub use scan::SegmentScan;
pub use segments::{SegmentInfo, SegmentState};
pub use snapshot::{Snapshot, SnapshotFile};
pub use writer::WriterHandle;
