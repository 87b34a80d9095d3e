//! What the tests share: small journals, and logs as lists of payloads.

use std::sync::Arc;

use trunkline_journal::fault::FaultDisk;
use trunkline_journal::{
    Class, Config, Disk, Group, Journal, Lsn, OpenError, Place, RecordKind, RecoveryReport,
    Refused, Urgency,
};

/// The smallest segments, and one ready.
pub(crate) fn small() -> Config {
    Config {
        segment_bytes: 256 << 10,
        cache_bytes: 64 << 10,
        read_ahead_bytes: 16 << 10,
        ready_segments: 1,
        ..Config::default()
    }
}

/// A record as it was replayed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) lsn: Lsn,
    pub(crate) place: Place,
    pub(crate) payload: Vec<u8>,
}

/// An open journal, what it replayed, and what it said.
pub(crate) struct Opened {
    pub(crate) journal: Journal,
    pub(crate) seen: Vec<Seen>,
    pub(crate) report: RecoveryReport,
}

impl Opened {
    pub(crate) fn payloads(&self) -> Vec<Vec<u8>> {
        self.seen.iter().map(|seen| seen.payload.clone()).collect()
    }
}

pub(crate) fn open_with(disk: Arc<dyn Disk>, config: Config) -> Result<Opened, OpenError> {
    let mut seen = Vec::new();
    let (journal, report) = Journal::open(disk, config, 0, &mut |record| {
        seen.push(Seen {
            lsn: record.lsn,
            place: record.place,
            payload: record.payload.to_vec(),
        });
        Ok(())
    })?;
    assert!(
        seen.windows(2)
            .all(|pair| pair[0].lsn.next() == pair[1].lsn && pair[0].place < pair[1].place)
    );
    assert_eq!(report.records, seen.len() as u64);
    Ok(Opened {
        journal,
        seen,
        report,
    })
}

pub(crate) fn open(disk: &FaultDisk) -> Result<Opened, OpenError> {
    open_with(Arc::new(disk.clone()), small())
}

/// A group of one record per payload.
pub(crate) fn group<P: AsRef<[u8]>>(payloads: &[P]) -> Group {
    let mut group = Group::new();
    for payload in payloads {
        group.push(RecordKind(1), &[payload.as_ref()]).unwrap();
    }
    group
}

/// Asks, appends and commits one record.
pub(crate) fn put(journal: &Journal, payload: &[u8], class: Class) -> Result<Place, Refused> {
    let group = group(&[payload]);
    journal.admit(group.byte_len(), class)?;
    let appended = journal.append(&group, 7, Urgency::Commit)?;
    journal.commit().map_err(Refused::Poisoned)?;
    Ok(appended.base)
}
