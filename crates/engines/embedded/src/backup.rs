//! Copies of the store, as the engine's users see them.

use crate::{error::poisoned, shared::Shared};
use std::{io, sync::Arc};
use trunkline_journal::{Journal, Snapshot as JournalSnapshot};
use trunkline_model::{Completion, Error, Outcome, Snapshot, SnapshotFile};

/// The journal as it was when the copy was asked for; see [`JournalSnapshot`].
#[derive(Debug)]
struct Backup {
    journal: JournalSnapshot,
    files: Vec<SnapshotFile>,
}

impl Backup {
    fn new(journal: JournalSnapshot) -> Self {
        let described = journal.files().iter().map(|file| SnapshotFile {
            name: file.name.clone(),
            bytes: file.bytes.into(),
        });
        Self {
            files: described.collect(),
            journal,
        }
    }
}

impl Snapshot for Backup {
    fn files(&self) -> &[SnapshotFile] {
        &self.files
    }

    fn read(&self, file: usize, offset: u64, into: &mut [u8]) -> io::Result<usize> {
        self.journal.read(file, offset, into)
    }
}

impl Shared {
    /// Takes a copy of the store, away from the lock: there is a sync in it.
    pub(crate) fn back_up(&self, journal: Option<Arc<Journal>>, completion: Completion) {
        let Some(journal) = journal else {
            return completion.complete(Err(Error::shutting_down()));
        };
        match journal.snapshot() {
            Ok(snapshot) => {
                // Its sync may be what others wait for.
                self.release();
                completion.complete(Ok(Outcome::Snapshot(Arc::new(Backup::new(snapshot)))));
            }
            Err(poison) => {
                self.poisoned(&poison);
                completion.complete(Err(poisoned(&poison)));
            }
        }
    }
}
