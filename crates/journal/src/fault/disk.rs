//! The disk as the journal and the tests see it.

use std::io::{self, IoSlice};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::survivor::survivor;
use super::world::{DirChange, Inode, World};
use crate::disk::{Disk, DiskFile, FileEntry, LockGuard};

/// What is to go wrong. Counts are from 1 and over the disk's life.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The power goes when this boundary is reached: its operation doesn't happen.
    pub power_loss_at: Option<u64>,
    /// This write comes half the way and fails with EIO.
    pub fail_write: Option<u64>,
    /// This sync (of a file or the directory) fails with EIO; what it should have made durable never is.
    pub fail_sync: Option<u64>,
    /// This read fails with EIO.
    pub fail_read: Option<u64>,
    /// This read and all later ones fail with EIO.
    pub fail_reads_from: Option<u64>,
    /// Syncs report success and do nothing, like a disk that lies, or a journal that forgets to sync.
    pub ignore_syncs: bool,
    /// Bytes that all files together may have.
    pub capacity: u64,
}

impl Default for Plan {
    fn default() -> Self {
        Self {
            power_loss_at: None,
            fail_write: None,
            fail_sync: None,
            fail_read: None,
            fail_reads_from: None,
            ignore_syncs: false,
            capacity: u64::MAX,
        }
    }
}

/// A directory in memory that fails as planned. Clones are the same disk.
#[derive(Clone, Debug, Default)]
pub struct FaultDisk {
    world: Arc<Mutex<World>>,
}

impl FaultDisk {
    /// An empty disk on which nothing goes wrong.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// An empty disk with a plan.
    #[must_use]
    pub fn with_plan(plan: Plan) -> Self {
        let disk = Self::new();
        disk.set_plan(plan);
        disk
    }

    /// Changes the plan. Counts go on.
    pub fn set_plan(&self, plan: Plan) {
        self.world().plan = plan;
    }

    /// The plan.
    #[must_use]
    pub fn plan(&self) -> Plan {
        self.world().plan.clone()
    }

    /// Writes, syncs, allocations and directory changes so far.
    #[must_use]
    pub fn boundaries(&self) -> u64 {
        self.world().boundaries
    }

    /// Writes so far.
    #[must_use]
    pub fn writes(&self) -> u64 {
        self.world().writes
    }

    /// Syncs so far, of files and of the directory.
    #[must_use]
    pub fn syncs(&self) -> u64 {
        self.world().syncs
    }

    /// Reads so far.
    #[must_use]
    pub fn reads(&self) -> u64 {
        self.world().reads
    }

    /// The disk that the next boot finds if the power goes now (or went as planned): a new disk, with nothing planned and nobody's lock.
    /// What survives of unsynced changes depends on the seed; see the [module](super).
    #[must_use]
    pub fn survivor(&self, seed: u64) -> FaultDisk {
        FaultDisk {
            world: Arc::new(Mutex::new(survivor(&self.world(), seed))),
        }
    }

    /// The disk after `kill -9`: everything written is there, synced or not, and nobody has the lock.
    #[must_use]
    pub fn killed(&self) -> FaultDisk {
        self.survivor(1)
    }

    /// The names of all files, in order.
    #[must_use]
    pub fn files(&self) -> Vec<String> {
        self.world().names.keys().cloned().collect()
    }

    /// The content of a file as programs see it; `None` if there is no such file.
    #[must_use]
    pub fn content(&self, name: &str) -> Option<Vec<u8>> {
        let world = self.world();
        world
            .names
            .get(name)
            .map(|&inode| world.inodes[inode].current.clone())
    }

    /// Makes or replaces a file, durably and outside the plan.
    pub fn set_content(&self, name: &str, bytes: Vec<u8>) {
        let mut world = self.world();
        let inode = world.inodes.len();
        world.inodes.push(Inode {
            durable: bytes.clone(),
            current: bytes,
            unsynced: Vec::new(),
        });
        world.names.insert(name.to_owned(), inode);
        world.durable_names.insert(name.to_owned(), inode);
    }

    /// Removes a file, durably and outside the plan.
    pub fn lose(&self, name: &str) {
        let mut world = self.world();
        world.names.remove(name);
        world.durable_names.remove(name);
    }

    /// Flips bit `bit` (0–7) of the byte at `offset`, durably. Returns whether there is such a byte.
    pub fn flip(&self, name: &str, offset: usize, bit: u8) -> bool {
        let Some(mut bytes) = self.content(name).filter(|bytes| offset < bytes.len()) else {
            return false;
        };
        bytes[offset] ^= 1 << bit;
        self.set_content(name, bytes);
        true
    }

    fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn file(&self, inode: usize) -> Arc<dyn DiskFile> {
        Arc::new(FaultFile {
            disk: self.clone(),
            inode,
        })
    }
}

impl Disk for FaultDisk {
    fn name(&self) -> String {
        "fault-disk".to_owned()
    }

    fn list(&self) -> io::Result<Vec<FileEntry>> {
        let world = self.world();
        world.powered()?;
        let entry = |(name, &inode): (&String, &usize)| FileEntry {
            name: name.clone(),
            bytes: world.inodes[inode].current.len() as u64,
        };
        Ok(world.names.iter().map(entry).collect())
    }

    fn create(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
        let mut world = self.world();
        if world.names.contains_key(name) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        let inode = world.inodes.len();
        world.change_names(DirChange::Create {
            name: name.to_owned(),
            inode,
        })?;
        world.inodes.push(Inode::default());
        drop(world);
        Ok(self.file(inode))
    }

    fn open(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
        let world = self.world();
        world.powered()?;
        let inode = *world.names.get(name).ok_or(io::ErrorKind::NotFound)?;
        drop(world);
        Ok(self.file(inode))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let mut world = self.world();
        let inode = *world.names.get(from).ok_or(io::ErrorKind::NotFound)?;
        world.change_names(DirChange::Rename {
            from: from.to_owned(),
            to: to.to_owned(),
            inode,
        })
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        let mut world = self.world();
        if !world.names.contains_key(name) {
            return Err(io::ErrorKind::NotFound.into());
        }
        world.change_names(DirChange::Remove {
            name: name.to_owned(),
        })
    }

    fn sync_dir(&self) -> io::Result<()> {
        self.world().sync_names()
    }

    fn lock(&self, name: &str) -> io::Result<LockGuard> {
        let mut world = self.world();
        world.powered()?;
        if !world.locks.insert(name.to_owned()) {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        Ok(Box::new(HeldLock {
            disk: self.clone(),
            name: name.to_owned(),
        }))
    }

    fn free_bytes(&self) -> io::Result<u64> {
        Ok(self.world().free_bytes())
    }

    fn random_id(&self) -> io::Result<u64> {
        let mut world = self.world();
        world.ids += 1;
        Ok(world.ids.wrapping_mul(0x9E37_79B9_7F4A_7C15))
    }
}

#[derive(Debug)]
struct HeldLock {
    disk: FaultDisk,
    name: String,
}

impl Drop for HeldLock {
    fn drop(&mut self) {
        self.disk.world().locks.remove(&self.name);
    }
}

#[derive(Debug)]
struct FaultFile {
    disk: FaultDisk,
    inode: usize,
}

impl DiskFile for FaultFile {
    fn bytes(&self) -> io::Result<u64> {
        Ok(self.disk.world().inodes[self.inode].current.len() as u64)
    }

    fn write_at(&self, offset: u64, parts: &[IoSlice<'_>]) -> io::Result<()> {
        let bytes = parts
            .iter()
            .map(|part| &**part)
            .collect::<Vec<_>>()
            .concat();
        self.disk.world().write(self.inode, offset as usize, bytes)
    }

    fn read_at(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.disk.world().read(self.inode, offset as usize, out)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.disk.world().sync(self.inode)
    }

    fn allocate(&self, bytes: u64) -> io::Result<()> {
        self.disk.world().grow(self.inode, bytes as usize)
    }
}
