//! Disks that say no: full, broken, taken.

use trunkline_journal::fault::{FaultDisk, Plan};
use trunkline_journal::{Class, Lsn, OpenError, Refused, Urgency};

use crate::log::{group, open, put};

const SEGMENT: u64 = 256 << 10;

fn limited(segments: u64) -> FaultDisk {
    FaultDisk::with_plan(Plan {
        capacity: segments * SEGMENT,
        ..Plan::default()
    })
}

#[test]
fn a_full_disk_refuses_growth_takes_acks_and_recovers() {
    let disk = limited(4);
    let opened = open(&disk).unwrap();
    let journal = &opened.journal;
    journal.set_reserve(10_000);
    let mut published = 0;
    let refused = loop {
        match put(journal, &[1; 10_000], Class::Growth) {
            Ok(_) => published += 1,
            Err(refused) => break refused,
        }
    };
    assert!(matches!(refused, Refused::DiskFull));
    assert!(
        published >= 70,
        "four segments less one for compaction and 40 kB of reserve: {published}"
    );

    let mut acked = 0;
    while put(journal, &[2; 24], Class::Reserve).is_ok() {
        acked += 1;
    }
    assert!(
        acked >= 10_000 / 32,
        "each 32 bytes of reserve are one lone ack: {acked}"
    );
    let whole = journal.group_bytes_max() - 8;
    put(journal, &vec![3; whole], Class::Compaction)
        .expect("a whole segment is left for compaction");
    assert!(journal.poison().is_none());

    // Space returns when the old segments are freed.
    assert!(journal.free_before(u32::MAX).unwrap() >= 2);
    put(journal, &[4; 10_000], Class::Growth).expect("space returned");
    drop(opened);
    assert_eq!(
        open(&disk).unwrap().payloads().last().unwrap(),
        &vec![4; 10_000]
    );
}

#[test]
fn no_space_for_the_first_segment_is_said_when_opening_and_leaves_nothing() {
    let disk = limited(0);
    assert!(matches!(open(&disk), Err(OpenError::DiskFull { .. })));
    disk.set_plan(Plan::default());
    open(&disk).unwrap();
    assert_eq!(disk.files(), ["0000000001.seg"]);
}

#[test]
fn a_failed_sync_or_write_poisons_and_nothing_succeeds_after_it() {
    for (what, plan) in [
        (
            "syncing",
            Plan {
                fail_sync: Some(5),
                ..Plan::default()
            },
        ),
        (
            "writing",
            Plan {
                fail_write: Some(3),
                ..Plan::default()
            },
        ),
    ] {
        let disk = FaultDisk::new();
        let opened = open(&disk).unwrap();
        let journal = &opened.journal;
        journal.prepare().unwrap();
        let durable = journal.watermarks();
        disk.set_plan(Plan {
            fail_sync: plan.fail_sync.map(|_| disk.syncs() + 1),
            fail_write: plan.fail_write.map(|_| disk.writes() + 1),
            ..plan
        });
        journal
            .append(&group(&["doubtful"]), 0, Urgency::Commit)
            .unwrap();
        let poison = journal.commit().unwrap_err();
        assert_eq!(
            (poison.operation, poison.file.as_str()),
            (what, "0000000001.seg")
        );
        assert!(
            poison.to_string().contains("os error 5")
                || poison.to_string().contains("Input/output"),
            "{poison}"
        );
        disk.set_plan(Plan::default());
        assert_eq!(
            journal.commit().unwrap_err().to_string(),
            poison.to_string()
        );
        assert!(journal.sync().is_err() && journal.close().is_err());
        assert!(matches!(
            journal.admit(1, Class::Reserve),
            Err(Refused::Poisoned(_))
        ));
        assert!(matches!(
            journal.append(&group(&["late"]), 0, Urgency::Lazy),
            Err(Refused::Poisoned(_))
        ));
        assert!(journal.free_before(1).is_err());
        assert_eq!(journal.watermarks().synced, durable.synced);
        drop(opened);
        // Opening again is the way out; the doubtful record is there or not, as the disk decided.
        assert!(open(&disk.survivor(0)).unwrap().seen.is_empty());
    }
}

#[test]
fn a_disk_that_cannot_be_read_is_an_error_and_not_an_empty_log() {
    let disk = FaultDisk::new();
    let opened = open(&disk).unwrap();
    put(&opened.journal, b"there", Class::Growth).unwrap();
    drop(opened);
    for read in 1..=3 {
        disk.set_plan(Plan {
            // One alone may be that of a look ahead, which is then done again.
            fail_reads_from: Some(disk.reads() + read),
            ..Plan::default()
        });
        assert!(
            matches!(open(&disk), Err(OpenError::Io { .. })),
            "read {read}"
        );
    }
    disk.set_plan(Plan::default());
    assert_eq!(open(&disk).unwrap().payloads(), [b"there"]);
}

#[test]
fn a_directory_belongs_to_one_journal_at_a_time() {
    let disk = FaultDisk::new();
    let opened = open(&disk).unwrap();
    let error = open(&disk).map(|_| ()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "fault-disk is in use by another process; one process per directory"
    );
    drop(opened);
    open(&disk).unwrap();
}

#[test]
fn what_waits_to_be_written_is_bounded() {
    let disk = FaultDisk::new();
    let config = trunkline_journal::Config {
        pending_bytes: 1000,
        ..crate::log::small()
    };
    let opened = crate::log::open_with(std::sync::Arc::new(disk), config).unwrap();
    let journal = &opened.journal;
    journal
        .admit(5000, Class::Growth)
        .expect("alone, anything may pass");
    journal
        .append(&group(&[[0; 900]]), 0, Urgency::Commit)
        .unwrap();
    assert!(matches!(
        journal.admit(500, Class::Growth),
        Err(Refused::Backlog { bytes: 908 })
    ));
    journal
        .admit(500, Class::Reserve)
        .expect("acks pass a little longer");
    journal.commit().unwrap();
    assert_eq!(journal.pending_bytes(), 0);
    journal.admit(500, Class::Growth).unwrap();
}

#[test]
fn a_closed_journal_takes_nothing_and_still_reads() {
    let disk = FaultDisk::new();
    let opened = open(&disk).unwrap();
    let place = put(&opened.journal, b"before", Class::Growth).unwrap();
    opened
        .journal
        .append(&group(&["lazy"]), 0, Urgency::Lazy)
        .unwrap();
    opened.journal.close().unwrap();
    opened.journal.close().unwrap();
    assert_eq!(opened.journal.watermarks().synced, Lsn(2));
    assert!(matches!(
        opened.journal.admit(1, Class::Compaction),
        Err(Refused::Closed)
    ));
    assert!(matches!(
        opened.journal.append(&group(&["after"]), 0, Urgency::Lazy),
        Err(Refused::Closed)
    ));
    assert_eq!(opened.journal.read(place).unwrap().payload, &b"before"[..]);
    assert!(open(&disk.survivor(0)).unwrap().report.clean);
}
