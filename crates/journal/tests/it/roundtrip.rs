//! Whatever goes in comes out: live, from the cache, from disk, and after opening again.

use std::sync::Arc;

use proptest::collection::vec;
use proptest::prelude::*;
use trunkline_journal::fault::FaultDisk;
use trunkline_journal::{Class, Group, Lsn, Place, RecordKind, Urgency};

use crate::log::{Seen, open, open_with, small};

#[derive(Clone, Debug)]
enum Step {
    Append { lens: Vec<usize>, urgency: Urgency },
    Commit,
    Sync,
    Prepare,
    Reopen { clean: bool },
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let len = prop_oneof![4 => 0..300_usize, 2 => 0..20_000_usize, 1 => 0..100_000_usize];
    let urgency = prop_oneof![
        Just(Urgency::Lazy),
        Just(Urgency::Interval),
        Just(Urgency::Commit)
    ];
    let step = prop_oneof![
        8 => (vec(len, 1..5), urgency).prop_map(|(lens, urgency)| Step::Append { lens, urgency }),
        4 => Just(Step::Commit),
        1 => Just(Step::Sync),
        1 => Just(Step::Prepare),
        1 => any::<bool>().prop_map(|clean| Step::Reopen { clean }),
    ];
    vec(step, 1..40)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn groups_round_trip_over_segment_boundaries(steps in steps()) {
        let disk = FaultDisk::new();
        let mut opened = open(&disk).unwrap();
        let mut log: Vec<Seen> = Vec::new();
        for step in steps {
            match step {
                Step::Append { lens, urgency } => {
                    let mut group = Group::new();
                    let payloads: Vec<Vec<u8>> = lens.iter().map(|&len| vec![log.len() as u8 ^ len as u8; len]).collect();
                    let slots: Vec<_> = payloads.iter().map(|payload| {
                        let (a, b) = payload.split_at(payload.len() / 3);
                        group.push(RecordKind(9), &[a, b])
                    }).collect::<Result<_, _>>().unwrap();
                    if group.byte_len() > opened.journal.group_bytes_max() {
                        prop_assert!(opened.journal.admit(group.byte_len(), Class::Growth).is_err());
                        continue;
                    }
                    opened.journal.admit(group.byte_len(), Class::Growth).unwrap();
                    let appended = opened.journal.append(&group, 5, urgency).unwrap();
                    for (slot, payload) in slots.into_iter().zip(payloads) {
                        let (lsn, place) = (appended.lsn(slot), appended.place(slot));
                        prop_assert_eq!(opened.journal.try_read(place).unwrap().payload, &payload[..]);
                        log.push(Seen { lsn, place, payload });
                    }
                    prop_assert_eq!(appended.last_lsn, Lsn(log.len() as u64));
                }
                Step::Commit => drop(opened.journal.commit().unwrap()),
                Step::Sync => drop(opened.journal.sync().unwrap()),
                Step::Prepare => drop(opened.journal.prepare().unwrap()),
                Step::Reopen { clean } => {
                    if clean {
                        opened.journal.close().unwrap();
                    }
                    log.truncate(opened.journal.watermarks().written.0 as usize);
                    drop(opened);
                    opened = open(&disk).unwrap();
                    prop_assert!(opened.report.clean || !clean);
                    prop_assert_eq!(&opened.report.torn, &None);
                    prop_assert_eq!(&opened.seen, &log);
                }
            }
            for seen in log.iter().rev().take(3).chain(log.first()) {
                prop_assert_eq!(opened.journal.read(seen.place).unwrap().payload, &seen.payload[..]);
            }
        }
    }
}

#[test]
fn one_round_is_one_write_and_one_sync_however_many_groups_wait() {
    let disk = FaultDisk::new();
    let opened = open(&disk).unwrap();
    let (writes, syncs) = (disk.writes(), disk.syncs());
    for n in 0..500_u32 {
        let urgency = if n == 250 {
            Urgency::Commit
        } else {
            Urgency::Lazy
        };
        opened
            .journal
            .append(&crate::log::group(&[n.to_le_bytes()]), 0, urgency)
            .unwrap();
    }
    let committed = opened.journal.commit().unwrap().unwrap();
    assert_eq!((committed.records, committed.synced), (500, true));
    assert_eq!(
        (committed.watermarks.written, committed.watermarks.synced),
        (Lsn(500), Lsn(500))
    );
    assert_eq!((disk.writes() - writes, disk.syncs() - syncs), (1, 1));
    assert_eq!(opened.journal.commit().unwrap(), None);
    assert_eq!((disk.writes() - writes, disk.syncs() - syncs), (1, 1));
}

#[test]
fn lazy_and_interval_records_are_written_without_a_sync() {
    let disk = FaultDisk::new();
    let opened = open(&disk).unwrap();
    for urgency in [Urgency::Lazy, Urgency::Interval] {
        opened
            .journal
            .append(&crate::log::group(&["x"]), 0, urgency)
            .unwrap();
        assert!(!opened.journal.commit().unwrap().unwrap().synced);
    }
    let marks = opened.journal.watermarks();
    assert_eq!((marks.written, marks.synced), (Lsn(2), Lsn::ZERO));
    assert!(opened.journal.sync().unwrap().unwrap().synced);
    assert_eq!(opened.journal.sync().unwrap(), None);
}

#[test]
fn a_consumer_that_keeps_up_never_reads_the_disk_and_a_backlog_is_read_in_chunks() {
    let disk = FaultDisk::new();
    let opened = open(&disk).unwrap();
    let mut places: Vec<Place> = Vec::new();
    let reads = disk.reads();
    for n in 0..1000_u32 {
        places.push(crate::log::put(&opened.journal, &[n as u8; 200], Class::Growth).unwrap());
        opened.journal.read(places[n as usize]).unwrap();
    }
    assert_eq!(disk.reads(), reads);
    drop(opened);
    let opened = open(&disk).unwrap();
    let reads = disk.reads();
    for (n, &place) in places.iter().enumerate() {
        assert_eq!(
            opened.journal.read(place).unwrap().payload,
            vec![n as u8; 200]
        );
    }
    // 320 bytes a frame, 16 KiB a chunk.
    assert!(disk.reads() - reads <= 25, "{} reads", disk.reads() - reads);
}

#[test]
fn zeros_written_ahead_never_touch_data() {
    let disk = FaultDisk::new();
    let config = trunkline_journal::Config {
        segment_bytes: 4 << 20,
        ..small()
    };
    let opened = open_with(Arc::new(disk.clone()), config.clone()).unwrap();
    let mut payloads = Vec::new();
    for n in 0..60_u8 {
        crate::log::put(&opened.journal, &vec![n; 100_000], Class::Growth).unwrap();
        payloads.push(vec![n; 100_000]);
        if n % 9 == 0 {
            opened.journal.prepare().unwrap();
        }
    }
    while opened.journal.prepare().unwrap() {}
    drop(opened);
    assert_eq!(
        open_with(Arc::new(disk), config).unwrap().payloads(),
        payloads
    );
}
