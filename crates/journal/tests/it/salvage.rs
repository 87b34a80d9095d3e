//! What can be taken out of damaged journals.

use trunkline_journal::fault::FaultDisk;
use trunkline_journal::{Class, Loss, Lsn, OpenError, SalvageReport, Salvaged, salvage, verify};

use crate::log::{open, put};

const RECORDS: u64 = 120;

fn payload(n: u64) -> Vec<u8> {
    let mut bytes = vec![n as u8; 40 + (n * 7_919 % 20_000) as usize];
    bytes[..8].copy_from_slice(&n.to_le_bytes());
    bytes
}

/// A journal of several segments that was closed; where each record is.
fn closed() -> (FaultDisk, Vec<(String, usize)>) {
    let disk = FaultDisk::new();
    let journal = open(&disk).unwrap().journal;
    let mut places = Vec::new();
    for n in 0..RECORDS {
        let place = put(&journal, &payload(n), Class::Growth).unwrap();
        places.push((
            format!("{:010}.seg", place.segment()),
            place.offset() as usize,
        ));
    }
    journal.close().unwrap();
    (disk, places)
}

struct Found {
    records: Vec<u64>,
    losses: Vec<Loss>,
    report: SalvageReport,
}

fn salvaged(disk: &FaultDisk) -> Found {
    let (mut records, mut losses) = (Vec::new(), Vec::new());
    let before: Vec<_> = disk.files().into_iter().map(|f| disk.content(&f)).collect();
    let report = salvage(
        disk,
        &mut |part| {
            match part {
                Salvaged::Batch { records: some, .. } => {
                    for (_, bytes) in some {
                        let n = u64::from_le_bytes(bytes[..8].try_into().unwrap());
                        assert_eq!(*bytes, payload(n), "records come whole");
                        records.push(n);
                    }
                }
                Salvaged::Loss(loss) => losses.push(loss.clone()),
                _ => {}
            }
            Ok(())
        },
        &mut |_, _| {},
    )
    .unwrap();
    let after: Vec<_> = disk.files().into_iter().map(|f| disk.content(&f)).collect();
    assert!(before == after, "nothing was changed");
    assert_eq!(report.records, records.len() as u64);
    assert_eq!(report.losses, losses.len() as u64);
    Found {
        records,
        losses,
        report,
    }
}

#[test]
fn of_an_intact_journal_everything() {
    let (disk, _) = closed();
    let found = salvaged(&disk);
    assert!(found.records.into_iter().eq(0..RECORDS));
    assert_eq!((found.losses.len(), found.report.torn), (0, false));
}

/// Every kind of byte that means something: none is changed unnoticed, what is durable is
/// never silently cut, and everything else comes back.
#[test]
fn a_flipped_bit_anywhere_is_found_and_costs_one_batch() {
    let (disk, places) = closed();
    for victim in [0, 50, RECORDS as usize - 1] {
        let (file, record) = &places[victim];
        let batch = record - 64;
        // Magic, CRC, version, flags, length, journal id, generation, segment, offset, count,
        // LSN, synced LSN, time; the record's CRC, length, kind; its payload.
        let offsets = [
            0, 4, 8, 10, 12, 16, 24, 28, 32, 36, 40, 48, 56, 64, 68, 71, 72, 90,
        ];
        for at in offsets {
            for bit in [0, 7] {
                let damaged = disk.survivor(0);
                assert!(damaged.flip(file, batch + at, bit));
                let story = format!("record {victim}, byte {at} of its batch, bit {bit}");
                let refused = open(&damaged).err().unwrap_or_else(|| panic!("{story}"));
                let OpenError::Damaged {
                    file: named,
                    offset,
                    lsn,
                    ..
                } = &refused
                else {
                    panic!("{story}: {refused}");
                };
                assert_eq!((named, *offset as usize), (file, batch), "{story}");
                assert_eq!(*lsn, Lsn(victim as u64 + 1), "{story}");
                assert!(verify(&damaged, &mut |_, _| {}).is_err(), "{story}");
                let found = salvaged(&damaged);
                let expected = (0..RECORDS).filter(|n| *n != victim as u64);
                assert!(found.records.into_iter().eq(expected), "{story}");
                let [loss] = &found.losses[..] else {
                    panic!("{story}: {:?}", found.losses);
                };
                assert_eq!((&loss.file, loss.offset as usize), (file, batch), "{story}");
                assert_eq!((loss.first, loss.last), (Some(*lsn), *lsn), "{story}");
                assert!(!loss.why.is_empty());
            }
        }
    }
}

#[test]
fn a_damaged_header_costs_nothing_but_is_refused() {
    let (disk, places) = closed();
    let last = &places.last().unwrap().0;
    for file in ["0000000001.seg", "0000000002.seg", last] {
        // Magic, version, CRC, id, number, generation, size, features, time.
        for at in [0, 8, 12, 16, 24, 28, 32, 40, 56] {
            let damaged = disk.survivor(0);
            assert!(damaged.flip(file, at, 1));
            assert!(open(&damaged).is_err(), "{file}, byte {at}");
            let found = salvaged(&damaged);
            assert!(
                found.records.into_iter().eq(0..RECORDS),
                "{file}, byte {at}"
            );
            assert_eq!(found.report.bad_headers, [file], "byte {at}");
        }
    }
}

#[test]
fn missing_segments_cost_what_was_in_them() {
    let (disk, places) = closed();
    let in_file = |n: u64, file: &str| places[n as usize].0 == file;
    for file in ["0000000001.seg", "0000000003.seg"] {
        let damaged = disk.survivor(0);
        damaged.lose(file);
        let found = salvaged(&damaged);
        let expected: Vec<u64> = (0..RECORDS).filter(|n| !in_file(*n, file)).collect();
        assert_eq!(found.records, expected, "{file}");
        if file == "0000000003.seg" {
            let [loss] = &found.losses[..] else {
                panic!("{:?}", found.losses);
            };
            assert_eq!(loss.records(), Some(RECORDS - expected.len() as u64));
            assert!(loss.why.contains(file), "{}", loss.why);
        }
    }
}

/// What a crash left is no damage, and what an earlier opening cut off does not come back.
#[test]
fn an_unfinished_end_is_left_out() {
    let disk = FaultDisk::new();
    let journal = open(&disk).unwrap().journal;
    for n in 0..20 {
        put(&journal, &payload(n), Class::Growth).unwrap();
    }
    for n in 20..24 {
        let group = crate::log::group(&[payload(n)]);
        journal
            .append(&group, 0, trunkline_journal::Urgency::Interval)
            .unwrap();
        journal.commit().unwrap();
    }
    drop(journal);
    for seed in 0..20 {
        let torn = disk.survivor(seed);
        let opened = open(&torn).unwrap();
        let kept = opened.seen.len() as u64;
        let found = salvaged_closed(opened, &torn);
        assert!(found.records.into_iter().eq(0..kept), "seed {seed}");
        assert!(found.losses.is_empty(), "seed {seed}: {:?}", found.losses);
    }
}

fn salvaged_closed(opened: crate::log::Opened, disk: &FaultDisk) -> Found {
    drop(opened);
    salvaged(disk)
}
