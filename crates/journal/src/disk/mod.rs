//! The seam to the file system: one directory and its files.

mod direct;
mod real;

use std::any::Any;
use std::fmt::Debug;
use std::io::{self, IoSlice};
use std::sync::Arc;

pub use real::RealDisk;

/// Releases the lock of a directory when dropped.
pub type LockGuard = Box<dyn Any + Send + Sync>;

/// A file of a directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileEntry {
    /// Name, without the directory.
    pub name: String,
    /// Length in bytes.
    pub bytes: u64,
}

/// One directory, which belongs to one journal. Names are plain file names.
///
/// A change of the directory (create, rename, remove) is durable only after [`sync_dir`](Disk::sync_dir), a change of a file only
/// after [`sync_data`](DiskFile::sync_data). Until then a power loss may undo any part of it.
pub trait Disk: Debug + Send + Sync + 'static {
    /// The directory as people name it, for messages.
    fn name(&self) -> String;

    /// The plain files, in any order.
    fn list(&self) -> io::Result<Vec<FileEntry>>;

    /// Makes an empty file; fails if there is one of this name.
    fn create(&self, name: &str) -> io::Result<Arc<dyn DiskFile>>;

    /// Opens a file for reading and, if the directory allows it, writing.
    fn open(&self, name: &str) -> io::Result<Arc<dyn DiskFile>>;

    /// Renames a file. There is none called `to`.
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;

    /// Removes a file.
    fn remove(&self, name: &str) -> io::Result<()>;

    /// Makes all changes of the directory durable.
    fn sync_dir(&self) -> io::Result<()>;

    /// Takes the exclusive lock `name`. [`io::ErrorKind::WouldBlock`] if another holder has it.
    fn lock(&self, name: &str) -> io::Result<LockGuard>;

    /// Bytes that can still be allocated.
    fn free_bytes(&self) -> io::Result<u64>;

    /// A number that nobody can guess, for the id of a new journal.
    fn random_id(&self) -> io::Result<u64>;
}

/// An open file. Reads and writes name their offset; several threads may do them at once.
///
/// What is a whole number of pages, in the file and in memory (offset, addresses and lengths are multiples of 4096), may go past
/// the operating system's cache; nobody can tell but by the time it takes.
pub trait DiskFile: Debug + Send + Sync + 'static {
    /// Length in bytes.
    fn bytes(&self) -> io::Result<u64>;

    /// Writes all of `parts`, one after the other, from `offset` on.
    fn write_at(&self, offset: u64, parts: &[IoSlice<'_>]) -> io::Result<()>;

    /// Fills `out` from `offset` on; fails at the end of the file.
    fn read_at(&self, offset: u64, out: &mut [u8]) -> io::Result<()>;

    /// `fdatasync`: makes everything written so far durable, the length included.
    fn sync_data(&self) -> io::Result<()>;

    /// Makes the file at least `bytes` long, with space that later writes need not ask for. New bytes read as zeros.
    fn allocate(&self, bytes: u64) -> io::Result<()>;
}

/// Whether an error means that there is no space, now.
pub(crate) fn is_full(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge
    )
}
