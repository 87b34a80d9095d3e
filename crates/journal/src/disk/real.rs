//! A directory of the operating system.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, IoSlice, Read};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::io::Errno;

use super::direct::{self, Direct};
use super::{Disk, DiskFile, FileEntry, LockGuard};

/// More parts than this in one call and Linux says EINVAL.
const PARTS_MAX: usize = 1024;
const ZERO_CHUNK: usize = 64 << 10;

/// A directory of the operating system.
#[derive(Debug)]
pub struct RealDisk {
    directory: PathBuf,
}

impl RealDisk {
    /// Uses the directory, and makes it, durably, if it isn't there.
    ///
    /// # Errors
    /// It can't be made, or it is something else.
    pub fn create(directory: impl Into<PathBuf>) -> io::Result<RealDisk> {
        let directory = directory.into();
        if !directory.is_dir() {
            fs::create_dir_all(&directory)?;
            let parent = directory
                .parent()
                .filter(|parent| !parent.as_os_str().is_empty())
                .unwrap_or(Path::new("."));
            File::open(parent)?.sync_all()?;
        }
        Self::existing(directory)
    }

    /// Uses the directory, which must be there. For tools that only look.
    ///
    /// # Errors
    /// It isn't there, or it is something else.
    pub fn existing(directory: impl Into<PathBuf>) -> io::Result<RealDisk> {
        let directory = directory.into();
        fs::read_dir(&directory)?;
        Ok(RealDisk { directory })
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }
}

impl Disk for RealDisk {
    fn name(&self) -> String {
        self.directory.display().to_string()
    }

    fn list(&self) -> io::Result<Vec<FileEntry>> {
        let mut entries = Vec::new();
        for entry in fs::read_dir(&self.directory)? {
            let entry = entry?;
            let metadata = entry.metadata()?;
            // A name that isn't UTF-8 is none of ours.
            if let (true, Ok(name)) = (metadata.is_file(), entry.file_name().into_string()) {
                entries.push(FileEntry {
                    name,
                    bytes: metadata.len(),
                });
            }
        }
        Ok(entries)
    }

    fn create(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create_new(true)
            .open(self.path(name))?;
        Ok(Arc::new(RealFile::new(file)))
    }

    fn open(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
        let path = self.path(name);
        let file = match OpenOptions::new().read(true).write(true).open(&path) {
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem
                ) =>
            {
                File::open(&path)?
            }
            other => other?,
        };
        Ok(Arc::new(RealFile::new(file)))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        fs::rename(self.path(from), self.path(to))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        fs::remove_file(self.path(name))
    }

    fn sync_dir(&self) -> io::Result<()> {
        File::open(&self.directory)?.sync_all()
    }

    fn lock(&self, name: &str) -> io::Result<LockGuard> {
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(self.path(name))?;
        match file.try_lock() {
            Ok(()) => Ok(Box::new(file)),
            Err(TryLockError::WouldBlock) => Err(io::ErrorKind::WouldBlock.into()),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }

    fn free_bytes(&self) -> io::Result<u64> {
        let stat = rustix::fs::statvfs(&self.directory)?;
        Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
    }

    fn random_id(&self) -> io::Result<u64> {
        let mut bytes = [0; 8];
        File::open("/dev/urandom")?.read_exact(&mut bytes)?;
        Ok(u64::from_le_bytes(bytes))
    }
}

#[derive(Debug)]
struct RealFile {
    file: File,
    direct: Direct,
}

impl RealFile {
    fn new(file: File) -> Self {
        Self {
            file,
            direct: Direct::default(),
        }
    }

    /// For file systems without `fallocate`: zeros, which on most of them means space.
    fn allocate_by_writing(&self, from: u64, to: u64) -> io::Result<()> {
        let zeros = vec![0; ZERO_CHUNK];
        let mut at = from;
        while at < to {
            let len = (to - at).min(ZERO_CHUNK as u64) as usize;
            self.file.write_all_at(&zeros[..len], at)?;
            at += len as u64;
        }
        Ok(())
    }
}

impl DiskFile for RealFile {
    fn bytes(&self) -> io::Result<u64> {
        Ok(self.file.metadata()?.len())
    }

    fn write_at(&self, mut offset: u64, parts: &[IoSlice<'_>]) -> io::Result<()> {
        let mut direct = direct::is_whole_pages(offset, parts.iter().map(|part| &**part))
            .then(|| self.direct.file(&self.file))
            .flatten();
        for run in parts.chunks(PARTS_MAX) {
            let mut run = run.to_vec();
            let mut left = run.as_mut_slice();
            IoSlice::advance_slices(&mut left, 0);
            while !left.is_empty() {
                match rustix::io::pwritev(direct.unwrap_or(&self.file), left, offset) {
                    Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                    Ok(written) => {
                        offset += written as u64;
                        IoSlice::advance_slices(&mut left, written);
                    }
                    Err(Errno::INTR) => {}
                    // Not in this way.
                    Err(Errno::INVAL) if direct.take().is_some() => self.direct.give_up(),
                    Err(error) => return Err(error.into()),
                }
            }
        }
        Ok(())
    }

    fn read_at(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        if direct::is_whole_pages(offset, [&*out])
            && let Some(file) = self.direct.file(&self.file)
        {
            match file.read_exact_at(out, offset) {
                Err(error) if error.raw_os_error() == Some(Errno::INVAL.raw_os_error()) => {
                    self.direct.give_up();
                }
                done => return done,
            }
        }
        self.file.read_exact_at(out, offset)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.file.sync_data()
    }

    fn allocate(&self, bytes: u64) -> io::Result<()> {
        let now = self.bytes()?;
        if now >= bytes {
            return Ok(());
        }
        #[cfg(any(target_os = "linux", target_os = "android", target_os = "freebsd"))]
        loop {
            match rustix::fs::fallocate(&self.file, rustix::fs::FallocateFlags::empty(), 0, bytes) {
                Ok(()) => return Ok(()),
                Err(Errno::INTR) => {}
                Err(Errno::OPNOTSUPP | Errno::NOSYS | Errno::INVAL) => break,
                Err(error) => return Err(error.into()),
            }
        }
        self.allocate_by_writing(now, bytes)
    }
}
