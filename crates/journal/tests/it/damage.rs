//! Bytes that changed by themselves: noticed, named, and never dropped silently.

use trunkline_journal::fault::FaultDisk;
use trunkline_journal::{Class, Lsn, OpenError, Place, ReadError, Urgency};

use crate::log::{group, open, put};

const FIRST: &str = "0000000001.seg";

/// A journal with three durable records, left like after a power loss. Their frames are at 4096, 4224 and 4352.
fn three() -> FaultDisk {
    let disk = FaultDisk::new();
    let opened = open(&disk).unwrap();
    for (payload, offset) in [("first", 4096), ("second", 4224), ("third", 4352)] {
        assert_eq!(
            put(&opened.journal, payload.as_bytes(), Class::Growth).unwrap(),
            Place::new(1, offset + 64)
        );
    }
    disk.survivor(0)
}

#[test]
fn a_flipped_bit_anywhere_in_a_durable_batch_is_refused_with_file_and_offset() {
    let classes = [
        ("magic", 0..4),
        ("crc", 4..8),
        ("version", 8..10),
        ("flags", 10..12),
        ("length", 12..16),
        ("journal id", 16..24),
        ("generation", 24..28),
        ("segment", 28..32),
        ("offset", 32..36),
        ("count", 36..40),
        ("first lsn", 40..48),
        ("synced lsn", 48..56),
        ("now", 56..64),
        ("record", 64..78),
        ("padding", 78..128),
    ];
    for (class, range) in classes {
        for at in range {
            let disk = three();
            // The third batch says that the second was durable.
            assert!(disk.flip(FIRST, 4224 + at, (at % 8) as u8));
            let error = open(&disk).map(|_| ()).unwrap_err();
            let OpenError::Damaged {
                file,
                offset,
                lsn,
                command,
                ..
            } = &error
            else {
                panic!("{class}: {error}")
            };
            assert_eq!(
                (file.as_str(), *offset, *lsn),
                (FIRST, 4224, Lsn(2)),
                "{class}"
            );
            assert_eq!(command, "trunkline journal verify fault-disk");
            let again = open(&disk).map(|_| ()).unwrap_err();
            assert_eq!(
                again.to_string(),
                error.to_string(),
                "nothing is cleaned up"
            );
        }
    }
}

#[test]
fn a_bad_last_batch_is_a_torn_tail_and_is_reported() {
    let disk = three();
    disk.flip(FIRST, 4352 + 70, 3);
    let opened = open(&disk).unwrap();
    assert_eq!(opened.payloads(), [&b"first"[..], b"second"]);
    let torn = opened.report.torn.clone().unwrap();
    assert_eq!(
        (torn.file.as_str(), torn.offset, torn.lsn, torn.batches),
        (FIRST, 4352, Lsn(3), 0)
    );
    assert!(!opened.report.clean);
    put(&opened.journal, b"another third", Class::Growth).unwrap();
    opened.journal.close().unwrap();
    drop(opened);
    let opened = open(&disk).unwrap();
    assert_eq!(
        opened.payloads(),
        [&b"first"[..], b"second", b"another third"]
    );
    assert!(opened.report.clean);
}

#[test]
fn after_a_clean_stop_even_the_last_batch_cannot_go_unnoticed() {
    let disk = three();
    let opened = open(&disk).unwrap();
    opened
        .journal
        .append(&group(&["lazy, until the stop"]), 0, Urgency::Lazy)
        .unwrap();
    opened.journal.close().unwrap();
    drop(opened);
    disk.flip(FIRST, 4480 + 70, 3);
    assert!(matches!(
        open(&disk),
        Err(OpenError::Damaged {
            offset: 4480,
            lsn: Lsn(4),
            ..
        })
    ));
}

#[test]
fn damage_after_a_clean_stop_and_a_new_start_is_damage_too() {
    let disk = three();
    open(&disk).unwrap().journal.close().unwrap();
    let opened = open(&disk).unwrap();
    put(&opened.journal, b"fourth", Class::Growth).unwrap();
    put(&opened.journal, b"fifth", Class::Growth).unwrap();
    drop(opened);
    disk.flip(FIRST, 4352 + 128 + 64 + 66, 0);
    assert!(matches!(
        open(&disk),
        Err(OpenError::Damaged { lsn: Lsn(4), .. })
    ));
}

#[test]
fn valid_batches_after_a_torn_one_are_cut_off_and_stay_cut_off() {
    let disk = FaultDisk::new();
    let opened = open(&disk).unwrap();
    put(&opened.journal, b"durable", Class::Growth).unwrap();
    for payload in ["lost", "kept by the disk"] {
        opened
            .journal
            .append(&group(&[payload]), 0, Urgency::Interval)
            .unwrap();
        opened.journal.commit().unwrap();
    }
    drop(opened);
    // Reordered: the second unsynced write is there, the first isn't.
    let mut bytes = disk.content(FIRST).unwrap();
    bytes[4224..4352].fill(0);
    disk.set_content(FIRST, bytes);
    let opened = open(&disk).unwrap();
    assert_eq!(opened.payloads(), [b"durable"]);
    assert_eq!(opened.report.torn.as_ref().unwrap().batches, 1);
    // The same length as the lost one: the cut-off batch is now exactly next, with the next LSN.
    put(&opened.journal, b"LOST", Class::Growth).unwrap();
    drop(opened);
    let opened = open(&disk).unwrap();
    assert_eq!(opened.payloads(), [&b"durable"[..], b"LOST"]);
}

#[test]
fn a_missing_segment_a_foreign_one_and_a_bad_header_are_named() {
    let disk = FaultDisk::new();
    let opened = open(&disk).unwrap();
    for _ in 0..6 {
        put(&opened.journal, &[1; 120_000], Class::Growth).unwrap();
    }
    drop(opened);
    let damaged = |damage: &dyn Fn(&FaultDisk)| {
        let copy = disk.survivor(0);
        damage(&copy);
        open(&copy).map(|_| ()).unwrap_err()
    };
    let second = "0000000002.seg";
    assert!(
        matches!(damaged(&|disk| disk.lose(second)), OpenError::Missing { file, .. } if file == second)
    );
    assert!(
        matches!(damaged(&|disk| assert!(disk.flip(second, 30, 1))), OpenError::BadSegment { file, .. } if file == second)
    );
    assert!(matches!(
        damaged(&|disk| disk.set_content(second, vec![0; 10])),
        OpenError::BadSegment { .. }
    ));
    assert!(matches!(
        damaged(&|disk| disk.set_content(second, disk.content(FIRST).unwrap())),
        OpenError::BadSegment { .. }
    ));
    // The oldest segment of a journal that freed some starts with a durable batch.
    let headless = damaged(&|disk| {
        disk.lose(FIRST);
        disk.flip(second, 4096 + 20, 1);
    });
    assert!(matches!(headless, OpenError::Damaged { file, offset: 4096, .. } if file == second));
    let other = FaultDisk::new();
    drop(trunkline_journal::Disk::random_id(&other));
    drop(open(&other).unwrap());
    let foreign = other.content(FIRST).unwrap();
    assert!(matches!(
        damaged(&|disk| disk.set_content(FIRST, foreign.clone())),
        OpenError::BadSegment { .. }
    ));
}

#[test]
fn stale_bytes_of_a_recycled_segment_are_never_data() {
    let disk = FaultDisk::new();
    let opened = open(&disk).unwrap();
    let mut payloads = Vec::new();
    for n in 0..40_u8 {
        // As if freed segments were of no use any more, at once.
        let place = put(&opened.journal, &vec![n; 60_000], Class::Growth).unwrap();
        payloads.push(vec![n; 60_000]);
        opened.journal.free_before(place.segment()).unwrap();
        opened.journal.prepare().unwrap();
        let found = open(&disk.killed()).unwrap();
        assert_eq!(found.report.last_lsn, Lsn(u64::from(n) + 1));
        assert!(payloads.ends_with(&found.payloads()));
        assert_eq!(found.report.torn, None);
    }
    assert!(
        disk.files().len() <= 5,
        "segments are recycled: {:?}",
        disk.files()
    );
}

#[test]
fn a_message_that_looks_like_a_batch_is_a_message() {
    let disk = three();
    let copy = disk.content(FIRST).unwrap()[4096..4480].to_vec();
    let opened = open(&disk).unwrap();
    // Aligned like batches: 64 - 8 bytes bring the copy to a multiple of 64.
    let payload = [vec![0; 56], copy].concat();
    put(&opened.journal, &payload, Class::Growth).unwrap();
    drop(opened);
    disk.flip(FIRST, 4480 + 64 + 9, 1);
    let opened = open(&disk).unwrap();
    assert_eq!(opened.report.last_lsn, Lsn(3));
    assert_eq!(opened.report.torn.unwrap().batches, 0);
}

#[test]
fn a_damaged_record_is_not_handed_out() {
    let disk = FaultDisk::new();
    let opened = open(&disk).unwrap();
    let place = put(&opened.journal, b"payload", Class::Growth).unwrap();
    drop(opened);
    let opened = open(&disk).unwrap();
    assert_eq!(opened.journal.read(place).unwrap().payload, &b"payload"[..]);
    drop(opened);
    let opened = open(&disk).unwrap();
    assert!(matches!(
        opened.journal.read(Place::new(1, place.offset() + 1)),
        Err(ReadError::Damaged { .. })
    ));
    assert!(matches!(
        opened.journal.read(Place::new(1, 200_000)),
        Err(ReadError::NotWritten(_))
    ));
    assert!(matches!(
        opened.journal.read(Place::new(9, 4160)),
        Err(ReadError::NoSegment(_))
    ));
    assert!(matches!(
        opened.journal.read(Place::NONE),
        Err(ReadError::NoSegment(_))
    ));
}
