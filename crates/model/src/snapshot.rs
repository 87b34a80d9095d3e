use std::{fmt, io};

/// A file of a [`Snapshot`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SnapshotFile {
    /// Its name, without a directory.
    pub name: String,
    /// Its size in bytes.
    pub bytes: u64,
}

/// A consistent copy of a store, as files: written into an empty directory, they are a store
/// with everything that was confirmed before the copy was asked for.
///
/// The store goes on meanwhile. What the copy needs is kept until it is dropped, so that the
/// store may take more space for so long.
pub trait Snapshot: fmt::Debug + Send + Sync {
    /// The files, in the order in which they are best read.
    fn files(&self) -> &[SnapshotFile];

    /// Reads bytes of a file, by its index, from `offset` on: as many as `into` has room for, or
    /// up to its end. Blocks while the disk reads.
    ///
    /// # Errors
    /// What the operating system says. The copy is then of no use.
    fn read(&self, file: usize, offset: u64, into: &mut [u8]) -> io::Result<usize>;
}
