//! The state of the disk: what programs see, and what is durable.

use std::collections::{BTreeMap, BTreeSet};
use std::io;

use super::Plan;

/// A change of a file that no sync covers yet.
#[derive(Clone, Debug)]
pub(crate) enum Change {
    Write { offset: usize, bytes: Vec<u8> },
    Grow { bytes: usize },
}

impl Change {
    pub(crate) fn apply(&self, to: &mut Vec<u8>) {
        match self {
            Change::Write { offset, bytes } => {
                let end = offset + bytes.len();
                if to.len() < end {
                    to.resize(end, 0);
                }
                to[*offset..end].copy_from_slice(bytes);
            }
            Change::Grow { bytes } => {
                if to.len() < *bytes {
                    to.resize(*bytes, 0);
                }
            }
        }
    }
}

/// A file's content, apart from its names.
#[derive(Clone, Debug, Default)]
pub(crate) struct Inode {
    pub(crate) durable: Vec<u8>,
    pub(crate) current: Vec<u8>,
    pub(crate) unsynced: Vec<Change>,
}

/// A change of the directory that no sync covers yet.
#[derive(Clone, Debug)]
pub(crate) enum DirChange {
    Create {
        name: String,
        inode: usize,
    },
    Rename {
        from: String,
        to: String,
        inode: usize,
    },
    Remove {
        name: String,
    },
}

impl DirChange {
    pub(crate) fn apply(&self, names: &mut BTreeMap<String, usize>) {
        match self {
            DirChange::Create { name, inode } => drop(names.insert(name.clone(), *inode)),
            DirChange::Rename { from, to, inode } => {
                names.remove(from);
                names.insert(to.clone(), *inode);
            }
            DirChange::Remove { name } => drop(names.remove(name)),
        }
    }
}

#[derive(Debug, Default)]
pub(crate) struct World {
    pub(crate) plan: Plan,
    pub(crate) inodes: Vec<Inode>,
    pub(crate) names: BTreeMap<String, usize>,
    pub(crate) durable_names: BTreeMap<String, usize>,
    pub(crate) unsynced_names: Vec<DirChange>,
    pub(crate) locks: BTreeSet<String>,
    pub(crate) boundaries: u64,
    pub(crate) writes: u64,
    pub(crate) syncs: u64,
    pub(crate) reads: u64,
    pub(crate) ids: u64,
}

impl World {
    /// Passes a boundary, unless the power is gone.
    pub(crate) fn boundary(&mut self) -> io::Result<()> {
        self.powered()?;
        self.boundaries += 1;
        self.powered()
    }

    pub(crate) fn powered(&self) -> io::Result<()> {
        match self.plan.power_loss_at {
            Some(at) if self.boundaries >= at => Err(io::Error::other("power loss")),
            _ => Ok(()),
        }
    }

    pub(crate) fn write(&mut self, inode: usize, offset: usize, bytes: Vec<u8>) -> io::Result<()> {
        self.boundary()?;
        self.writes += 1;
        let grows = (offset + bytes.len()).saturating_sub(self.inodes[inode].current.len()) as u64;
        self.take_space(grows)?;
        let fails = self.plan.fail_write == Some(self.writes);
        // A write that fails may have come half the way.
        let bytes = if fails {
            bytes[..bytes.len() / 2].to_vec()
        } else {
            bytes
        };
        self.change(inode, Change::Write { offset, bytes });
        if fails { Err(eio()) } else { Ok(()) }
    }

    pub(crate) fn grow(&mut self, inode: usize, bytes: usize) -> io::Result<()> {
        self.boundary()?;
        self.take_space(bytes.saturating_sub(self.inodes[inode].current.len()) as u64)?;
        self.change(inode, Change::Grow { bytes });
        Ok(())
    }

    fn take_space(&self, bytes: u64) -> io::Result<()> {
        if bytes > self.free_bytes() {
            Err(io::ErrorKind::StorageFull.into())
        } else {
            Ok(())
        }
    }

    pub(crate) fn free_bytes(&self) -> u64 {
        let used: u64 = self
            .names
            .values()
            .map(|&inode| self.inodes[inode].current.len() as u64)
            .sum();
        self.plan.capacity.saturating_sub(used)
    }

    fn change(&mut self, inode: usize, change: Change) {
        let inode = &mut self.inodes[inode];
        change.apply(&mut inode.current);
        inode.unsynced.push(change);
    }

    pub(crate) fn sync(&mut self, inode: usize) -> io::Result<()> {
        self.boundary()?;
        self.syncs += 1;
        if self.plan.fail_sync == Some(self.syncs) {
            // As Linux does it: the pages count as clean afterwards, though they never reached the disk.
            self.inodes[inode].unsynced.clear();
            return Err(eio());
        }
        if !self.plan.ignore_syncs {
            let inode = &mut self.inodes[inode];
            for change in inode.unsynced.drain(..) {
                change.apply(&mut inode.durable);
            }
        }
        Ok(())
    }

    pub(crate) fn change_names(&mut self, change: DirChange) -> io::Result<()> {
        self.boundary()?;
        change.apply(&mut self.names);
        self.unsynced_names.push(change);
        Ok(())
    }

    pub(crate) fn sync_names(&mut self) -> io::Result<()> {
        self.boundary()?;
        self.syncs += 1;
        if self.plan.fail_sync == Some(self.syncs) {
            return Err(eio());
        }
        if !self.plan.ignore_syncs {
            for change in self.unsynced_names.drain(..) {
                change.apply(&mut self.durable_names);
            }
        }
        Ok(())
    }

    pub(crate) fn read(&mut self, inode: usize, offset: usize, out: &mut [u8]) -> io::Result<()> {
        self.powered()?;
        self.reads += 1;
        let fails_from_now_on = self
            .plan
            .fail_reads_from
            .is_some_and(|from| from <= self.reads);
        if fails_from_now_on || self.plan.fail_read == Some(self.reads) {
            return Err(eio());
        }
        let bytes = self.inodes[inode].current.get(offset..offset + out.len());
        out.copy_from_slice(bytes.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }
}

fn eio() -> io::Error {
    io::Error::from_raw_os_error(5)
}
