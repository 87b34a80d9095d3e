//! Logs that are longer than what recovery reads at once, and than what it reads ahead.

use std::sync::Arc;

use trunkline_journal::fault::FaultDisk;
use trunkline_journal::{Class, Config, Journal, Lsn, OpenError};

use crate::log::{Opened, open_with, put, small};

const RECORDS: u64 = 1_200;

fn long() -> Config {
    Config {
        segment_bytes: 1 << 20,
        ..small()
    }
}

/// Every size from a frame to a few kilobytes, and now and then more than is read at once.
fn payload(n: u64) -> Vec<u8> {
    let len = match n {
        n if n % 400 == 399 => 600_000,
        n => 40 + n * 37 % 9_000,
    };
    vec![n as u8; len as usize]
}

/// A log of more than six segments, each record a batch of its own, not closed.
fn filled() -> FaultDisk {
    let disk = FaultDisk::new();
    let opened = open_with(Arc::new(disk.clone()), long()).unwrap();
    for n in 0..RECORDS {
        put(&opened.journal, &payload(n), Class::Growth).unwrap();
    }
    assert!(opened.journal.segments().len() > 6);
    disk
}

fn reopen(disk: &FaultDisk) -> Result<Opened, OpenError> {
    open_with(Arc::new(disk.clone()), long())
}

#[test]
fn every_record_comes_back_in_order_wherever_what_is_read_at_once_ends() {
    let disk = filled();
    let opened = reopen(&disk).unwrap();
    assert!(opened.payloads().into_iter().eq((0..RECORDS).map(payload)));
}

#[test]
fn damage_anywhere_hands_out_exactly_what_is_before_it() {
    for victim in [3, 60, 398, 399, 400, 700, RECORDS - 2] {
        let disk = filled();
        let places: Vec<_> = reopen(&disk).unwrap().seen;
        let place = places[victim as usize].place;
        let file = format!("{:010}.seg", place.segment());
        assert!(disk.flip(&file, place.offset() as usize + 20, 1));
        let mut handed_out = 0;
        let opened = Journal::open(Arc::new(disk), long(), 0, &mut |record| {
            assert_eq!(record.payload, payload(handed_out));
            handed_out += 1;
            Ok(())
        });
        let Err(OpenError::Damaged {
            lsn, file: named, ..
        }) = opened
        else {
            panic!("record {victim} was durable: {opened:?}");
        };
        assert_eq!((lsn, named), (Lsn(victim + 1), file));
        assert_eq!(handed_out, victim);
    }
}

#[test]
fn a_record_that_cannot_be_replayed_ends_opening_at_once() {
    let disk = filled();
    for victim in [1, 500, RECORDS] {
        let mut last = Lsn::ZERO;
        let opened = Journal::open(Arc::new(disk.clone()), long(), 0, &mut |record| {
            last = record.lsn;
            match record.lsn {
                Lsn(lsn) if lsn == victim => Err("not this one".into()),
                _ => Ok(()),
            }
        });
        assert!(matches!(opened, Err(OpenError::Replay { lsn, .. }) if lsn == Lsn(victim)));
        assert_eq!(last, Lsn(victim));
    }
    assert_eq!(reopen(&disk).unwrap().report.records, RECORDS);
}
