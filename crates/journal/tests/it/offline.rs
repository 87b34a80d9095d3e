//! Looking at journals that nobody has open.

use std::ops::ControlFlow;

use trunkline_journal::fault::FaultDisk;
use trunkline_journal::{Class, Disk, DumpEvent, Lsn, OpenError, dump, verify};

use crate::log::{open, put};

fn sample() -> FaultDisk {
    let disk = FaultDisk::new();
    let opened = open(&disk).unwrap();
    for n in 0..5_u8 {
        put(&opened.journal, &[n; 90_000], Class::Growth).unwrap();
    }
    opened.journal.close().unwrap();
    drop(opened);
    disk
}

/// The dump as lines.
fn lines(disk: &FaultDisk) -> Vec<String> {
    let mut lines = Vec::new();
    let mut visit = |event: DumpEvent<'_>| {
        lines.push(match event {
            DumpEvent::Segment { file, .. } => format!("segment {file}"),
            DumpEvent::BadSegment { file, .. } => format!("bad {file}"),
            DumpEvent::Batch { place, first_lsn, count, closing, continues, .. } => {
                format!("batch {place} lsn {first_lsn} count {count} closing {closing} continues {continues}")
            }
            DumpEvent::Record { lsn, payload, .. } => format!("record {lsn} of {} bytes", payload.len()),
            DumpEvent::Gap { place, inside, what, .. } => format!("gap {place} inside {inside}: {what}"),
            _ => String::new(),
        });
        ControlFlow::Continue(())
    };
    dump(disk, &mut visit, &mut |_, _| {}).unwrap();
    lines
}

#[test]
fn verify_tells_what_is_there_and_how_far_it_is() {
    let disk = sample();
    let mut progress = Vec::new();
    let report = verify(&disk, &mut |done, total| progress.push((done, total))).unwrap();
    assert!(report.recovery.clean);
    assert_eq!(
        (report.recovery.first_lsn, report.recovery.last_lsn),
        (Lsn(1), Lsn(5))
    );
    let per_segment: Vec<_> = report
        .segments
        .iter()
        .map(|s| (s.segment, s.batches, s.records, s.first_lsn))
        .collect();
    assert_eq!(
        per_segment[..3],
        [(1, 2, 2, Lsn(1)), (2, 2, 2, Lsn(3)), (3, 2, 1, Lsn(5))]
    );
    assert!(progress.is_sorted());
    let (done, total) = *progress.last().unwrap();
    assert_eq!(done, total);
}

#[test]
fn verify_says_what_opening_would_say() {
    let disk = sample();
    disk.flip("0000000002.seg", 4096 + 5000, 1);
    assert!(matches!(
        verify(&disk, &mut |_, _| {}),
        Err(OpenError::Damaged { file, offset: 4096, lsn: Lsn(3), .. }) if file == "0000000002.seg"
    ));
    let held = sample();
    let _lock = held.lock("journal.lock").unwrap();
    held.set_content("journal.lock", Vec::new());
    assert!(matches!(
        verify(&held, &mut |_, _| {}),
        Err(OpenError::InUse { .. })
    ));
}

#[test]
fn dump_shows_everything_intact_around_the_damage() {
    let disk = sample();
    disk.flip("0000000001.seg", 4096 + 5000, 1);
    disk.flip("0000000002.seg", 20, 1);
    let lines = lines(&disk);
    let expected = [
        "segment 0000000001.seg",
        "gap 1:4096 inside true: a batch whose checksum doesn't hold",
        "batch 1:94208 lsn 2 count 1 closing false continues false",
        "record 2 of 90000 bytes",
        "gap 1:184320 inside false: nothing written",
        "bad 0000000002.seg",
        "segment 0000000003.seg",
        "batch 3:4096 lsn 5 count 1 closing false continues false",
        "record 5 of 90000 bytes",
        "batch 3:94208 lsn 6 count 0 closing true continues true",
        "gap 3:94272 inside false: nothing written",
    ];
    assert_eq!(lines[..expected.len()], expected);
}

#[test]
fn dump_stops_when_it_is_told_to() {
    let mut events = 0;
    let mut visit = |_: DumpEvent<'_>| {
        events += 1;
        if events == 3 {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        }
    };
    dump(&sample(), &mut visit, &mut |_, _| {}).unwrap();
    assert_eq!(events, 3);
}
