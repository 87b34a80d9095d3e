//! Copies of a journal that goes on meanwhile.

use std::io;
use std::sync::Arc;

use trunkline_journal::fault::{FaultDisk, Plan};
use trunkline_journal::{Class, Journal, Lsn, Snapshot};

use crate::log::{open, put};

fn payload(n: u64) -> Vec<u8> {
    vec![n as u8; 20 + (n * 7_919 % 30_000) as usize]
}

/// A directory made of a snapshot, read in pieces of `step` bytes; `meanwhile` is run between them.
fn restored(snapshot: &Snapshot, step: usize, mut meanwhile: impl FnMut()) -> FaultDisk {
    let copy = FaultDisk::new();
    for (index, file) in snapshot.files().iter().enumerate() {
        let mut bytes = Vec::new();
        let mut piece = vec![0xEE; step];
        loop {
            let read = snapshot
                .read(index, bytes.len() as u64, &mut piece)
                .unwrap();
            if read == 0 {
                break;
            }
            bytes.extend_from_slice(&piece[..read]);
            meanwhile();
        }
        assert_eq!(bytes.len(), file.bytes as usize);
        assert!(bytes[file.used as usize..].iter().all(|byte| *byte == 0));
        copy.set_content(&file.name, bytes);
    }
    copy
}

#[test]
fn it_holds_what_was_written_when_it_was_taken_however_the_log_goes_on() {
    let disk = FaultDisk::new();
    let journal = Arc::new(open(&disk).unwrap().journal);
    let mut written = 0;
    let mut more = |journal: &Journal, count: u64| {
        for _ in 0..count {
            put(journal, &payload(written), Class::Growth).unwrap();
            written += 1;
        }
        written
    };
    more(&journal, 100);
    journal.free_before(3).unwrap();
    let first = journal.oldest_segment();
    let taken = more(&journal, 1);
    let snapshot = journal.snapshot().unwrap();
    assert_eq!(snapshot.last_lsn(), Lsn(taken));
    let copy = restored(&snapshot, 70_001, || {
        more(&journal, 3);
        assert_eq!(journal.free_before(u32::MAX).unwrap(), 0, "it is pinned");
    });
    assert!(journal.is_pinned());

    let opened = open(&copy).unwrap();
    assert_eq!(opened.report.torn, None);
    assert_eq!(opened.report.last_lsn, Lsn(taken));
    assert_eq!(opened.seen[0].place.segment(), first);
    let lsn = opened.seen[0].lsn.0;
    assert!(
        opened
            .payloads()
            .into_iter()
            .eq((lsn - 1..taken).map(payload))
    );
    // It is a journal like any other.
    put(&opened.journal, b"after", Class::Growth).unwrap();
    drop(opened);
    assert_eq!(open(&copy).unwrap().payloads().pop().unwrap(), b"after");

    drop(snapshot);
    assert!(!journal.is_pinned());
    assert!(journal.free_before(u32::MAX).unwrap() > 5);
}

#[test]
fn it_can_be_taken_at_any_moment() {
    let disk = FaultDisk::new();
    let journal = Arc::new(open(&disk).unwrap().journal);
    for n in 0..60 {
        let copy = restored(&journal.snapshot().unwrap(), 100_000, || {});
        let opened = open(&copy).unwrap();
        assert!(opened.payloads().into_iter().eq((0..n).map(payload)), "{n}");
        assert_eq!(opened.report.torn, None, "{n}");
        put(&journal, &payload(n), Class::Growth).unwrap();
    }
}

#[test]
fn each_one_keeps_its_segments() {
    let disk = FaultDisk::new();
    let journal = Arc::new(open(&disk).unwrap().journal);
    let fill = || {
        for n in 0..40 {
            put(&journal, &payload(n), Class::Growth).unwrap();
        }
    };
    fill();
    let early = journal.snapshot().unwrap();
    fill();
    let late = journal.snapshot().unwrap();
    drop(early);
    assert_eq!(
        journal.free_before(u32::MAX).unwrap(),
        0,
        "the other one too"
    );
    drop(late);
    assert!(journal.free_before(u32::MAX).unwrap() > 0);
}

#[test]
fn it_says_when_the_journal_is_gone_or_failed() {
    let disk = FaultDisk::new();
    let journal = Arc::new(open(&disk).unwrap().journal);
    put(&journal, b"x", Class::Growth).unwrap();
    let snapshot = journal.snapshot().unwrap();
    let mut byte = [0];
    assert_eq!(snapshot.read(0, 0, &mut byte).unwrap(), 1);
    assert_eq!(
        snapshot.read(1, 0, &mut byte).unwrap_err().kind(),
        io::ErrorKind::NotFound
    );
    disk.set_plan(Plan {
        fail_sync: Some(disk.syncs() + 1),
        ..Plan::default()
    });
    assert!(put(&journal, b"y", Class::Growth).is_err());
    assert!(journal.snapshot().is_err(), "nobody knows what is durable");
    drop(journal);
    assert_eq!(
        snapshot.read(0, 0, &mut byte).unwrap_err().kind(),
        io::ErrorKind::NotConnected
    );
}
