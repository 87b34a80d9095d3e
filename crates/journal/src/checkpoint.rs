//! What the log's user left at a clean stop, so that the log need not be read from its start. A checkpoint never replaces any of the
//! log: whatever is wrong with one, the log says the same. Argued in `docs/journal-format.md`, *Checkpoints*.

use std::io::{self, IoSlice};

use crate::chain::Chain;
use crate::directory::Directory;
use crate::disk::Disk;
use crate::error::{OpenError, ReplayError};
use crate::format::{Checkpoint, FileName, STATE_BYTES_MAX};
use crate::lsn::Place;
use crate::pages::Aligned;
use crate::recovery::Replayed;
use crate::walk::SegmentWalk;

/// Who takes what recovery finds.
pub trait Recover {
    /// Takes the state that was given to [`Journal::close_with`](crate::Journal::close_with); only records after it follow. Called before any
    /// record, and again with an older state only if this one is refused.
    ///
    /// # Errors
    /// Why the state is of no use. Nothing of it may remain: the records that led to it are handed out instead.
    fn load(&mut self, state: &[u8]) -> Result<(), ReplayError>;

    /// Takes the next record of the log.
    ///
    /// # Errors
    /// Why it can't be taken; the journal doesn't open then.
    fn record(&mut self, record: Replayed<'_>) -> Result<(), ReplayError>;
}

/// A checkpoint's file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct CheckpointFile {
    pub(crate) number: u32,
    pub(crate) bytes: u64,
    /// Nothing was written to the log after the clean stop that it was part of.
    pub(crate) sealed: bool,
}

impl CheckpointFile {
    pub(crate) fn name(&self) -> FileName {
        match self.sealed {
            true => FileName::Sealed(self.number),
            false => FileName::Checkpoint(self.number),
        }
    }
}

/// Where recovery starts.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Start {
    pub(crate) chain: Chain,
    pub(crate) end: Place,
    /// With the generation of a clean stop after which nobody wrote: if the log ends with its closing batch, there is nothing behind.
    pub(crate) sealed: Option<u32>,
}

/// Loads the newest checkpoint that can be used. Notes in `ignored` why others can't.
pub(crate) fn load(
    disk: &dyn Disk,
    directory: &Directory,
    recover: &mut dyn Recover,
    ignored: &mut Vec<String>,
) -> Option<(Checkpoint, Start)> {
    let journal_id = directory.journal_id()?;
    for file in directory.checkpoints.iter().rev() {
        let mut ignore = |why: String| ignored.push(format!("{}: {why}", file.name()));
        let bytes = match read(disk, file) {
            Ok(bytes) => bytes,
            Err(error) => {
                ignore(error.to_string());
                continue;
            }
        };
        let (checkpoint, state) = match Checkpoint::decode(file.number, journal_id, bytes.bytes()) {
            Ok(decoded) => decoded,
            Err(fault) => {
                ignore(fault.to_string());
                continue;
            }
        };
        let chain = Chain::resumed(checkpoint.lsn, checkpoint.generation, checkpoint.last_now);
        match goes_on(disk, directory, &chain, checkpoint.end) {
            Ok(true) => {}
            Ok(false) => {
                ignore("the log doesn't go on where it ends".into());
                continue;
            }
            Err(error) => {
                ignore(error.to_string());
                continue;
            }
        }
        if let Err(error) = recover.load(state) {
            ignore(error.to_string());
            continue;
        }
        let start = Start {
            chain,
            end: checkpoint.end,
            sealed: file.sealed.then_some(checkpoint.generation),
        };
        return Some((checkpoint, start));
    }
    None
}

/// How many checkpoints are whole, and what is wrong with the others.
pub(crate) fn verify(disk: &dyn Disk, directory: &Directory) -> (usize, Vec<String>) {
    let mut bad = Vec::new();
    let journal_id = directory.journal_id().unwrap_or_default();
    for file in &directory.checkpoints {
        let fault = match read(disk, file) {
            Ok(bytes) => Checkpoint::decode(file.number, journal_id, bytes.bytes())
                .err()
                .map(|fault| fault.to_string()),
            Err(error) => Some(error.to_string()),
        };
        bad.extend(fault.map(|fault| format!("{}: {fault}", file.name())));
    }
    (directory.checkpoints.len() - bad.len(), bad)
}

fn read(disk: &dyn Disk, file: &CheckpointFile) -> io::Result<Aligned> {
    let too_long = || io::Error::from(io::ErrorKind::FileTooLarge);
    let len = usize::try_from(file.bytes).map_err(|_| too_long())?;
    if len > Checkpoint::file_len(STATE_BYTES_MAX) {
        return Err(too_long());
    }
    let mut bytes = Aligned::new(len);
    let open = disk.open(&file.name().to_string())?;
    open.read_at(0, bytes.bytes_mut())?;
    Ok(bytes)
}

/// Whether the log goes on after `end`, there or at the start of the next segment, with the record that comes next. So the log that a
/// checkpoint speaks of is there at least up to its end.
fn goes_on(disk: &dyn Disk, directory: &Directory, chain: &Chain, end: Place) -> io::Result<bool> {
    let walk = |number: u32| -> io::Result<Option<SegmentWalk>> {
        let Some(header) = directory.segments.get(&number) else {
            return Ok(None);
        };
        let file = disk.open(&FileName::Segment(number).to_string())?;
        let (id, bytes) = (header.journal_id, header.segment_bytes);
        Ok(Some(SegmentWalk::new(file, id, number, bytes)))
    };
    let Some(mut here) = walk(end.segment())? else {
        return Ok(false);
    };
    if !here.may_start(end.offset()) {
        return Ok(false);
    }
    if let Ok(batch) = here.batch(end.offset())? {
        return Ok(chain.continues(&batch));
    }
    match walk(end.segment().saturating_add(1))? {
        Some(mut next) => {
            let first = next.first()?;
            Ok(first.is_ok_and(|batch| chain.continues_in_next_segment(&batch)))
        }
        None => Ok(false),
    }
}

/// Writes a checkpoint under a number above all others, durably, and removes the others. It is sealed: whoever opens the journal must
/// [break the seal](unseal) before anything is written.
pub(crate) fn write(
    disk: &dyn Disk,
    journal_id: u64,
    describe: impl FnOnce(u32) -> Checkpoint,
    state: &[u8],
) -> io::Result<()> {
    if state.len() > STATE_BYTES_MAX {
        return Err(io::ErrorKind::FileTooLarge.into());
    }
    let mut others = Vec::new();
    let mut newest = 0;
    for entry in disk.list()? {
        let name = FileName::parse(&entry.name);
        if let Some(FileName::Checkpoint(n) | FileName::Sealed(n) | FileName::NewCheckpoint(n)) =
            name
        {
            newest = newest.max(n);
            others.push(entry.name);
        }
    }
    let number = newest
        .checked_add(1)
        .ok_or_else(|| io::Error::other("all numbers of checkpoints are used"))?;
    let temporary = FileName::NewCheckpoint(number).to_string();
    let mut bytes = Aligned::new(Checkpoint::file_len(state.len()));
    describe(number).encode(journal_id, state, bytes.bytes_mut());
    let written = || -> io::Result<()> {
        let file = disk.create(&temporary)?;
        file.write_at(0, &[IoSlice::new(bytes.bytes())])?;
        file.sync_data()
    };
    if let Err(error) = written() {
        // Its space may be needed; if it stays, the next opening removes it.
        drop(disk.remove(&temporary));
        return Err(error);
    }
    disk.rename(&temporary, &FileName::Sealed(number).to_string())?;
    disk.sync_dir()?;
    for name in others {
        disk.remove(&name)?;
    }
    Ok(())
}

/// Breaks the seal of all checkpoints, durably: from now on the log may be written. Removes what was not finished.
pub(crate) fn unseal(disk: &dyn Disk, directory: &Directory) -> Result<(), OpenError> {
    for number in &directory.new_checkpoints {
        let name = FileName::NewCheckpoint(*number).to_string();
        disk.remove(&name)
            .map_err(|cause| crate::directory::io_error(disk, &name, cause))?;
    }
    let mut sealed = directory
        .checkpoints
        .iter()
        .filter(|file| file.sealed)
        .peekable();
    if sealed.peek().is_none() {
        return Ok(());
    }
    for file in sealed {
        let name = file.name().to_string();
        disk.rename(&name, &FileName::Checkpoint(file.number).to_string())
            .map_err(|cause| crate::directory::io_error(disk, &name, cause))?;
    }
    disk.sync_dir()
        .map_err(|cause| crate::directory::io_error(disk, "", cause))
}
