//! A journal whose files were damaged.

use std::ops::ControlFlow;
use std::sync::Arc;
use trunkline_journal::fault::FaultDisk;
use trunkline_journal::{
    Class, Config, Group, Journal, OpenError, RecordKind, RecoveryReport, Urgency, dump, salvage,
    verify,
};

/// Bytes of one change of a file: which file, where, how, with what.
const CHANGE_BYTES: usize = 6;

/// Every six bytes are a change: the file and the manner, three bytes of place, two of value.
///
/// # Panics
/// If a tool panics, if opening and verifying disagree, if what opened once doesn't open again with the same records, or if
/// salvaging what is intact fails where opening doesn't.
pub fn journal(input: &[u8]) {
    let disk = sample();
    for change in input.chunks_exact(CHANGE_BYTES).take(16) {
        damage(&disk, change);
    }
    drop(dump(
        &disk,
        &mut |_| ControlFlow::Continue(()),
        &mut |_, _| {},
    ));
    let mut salvaged = 0_u64;
    let saved = salvage(
        &disk,
        &mut |_| {
            salvaged += 1;
            Ok(())
        },
        &mut |_, _| {},
    );
    let verdict = verify(&disk, &mut |_, _| {}).map(|report| report.recovery);
    match (read(&disk), verdict) {
        (Ok((records, report)), Ok(verdict)) => {
            // Opening an empty directory makes a journal; there is nothing to salvage in it.
            if verdict.segments > 0 {
                assert_eq!(report, verdict);
                assert!(saved.is_ok(), "{saved:?} of what opens");
            }
            assert_eq!(report.records, records.len() as u64);
            assert!(salvaged >= records.len() as u64);
            let (again, _) = read(&disk).expect("it opened before");
            assert_eq!(again, records);
        }
        (Err(error), Err(verdict)) => assert_eq!(error.to_string(), verdict.to_string()),
        (opened, verdict) => panic!("{opened:?}, but {verdict:?}"),
    }
}

/// A log over more than a segment, with records of all sizes, some not synced.
fn sample() -> FaultDisk {
    let disk = FaultDisk::new();
    let (journal, _) =
        Journal::open(Arc::new(disk.clone()), small(), 0, &mut |_| Ok(())).expect("a new journal");
    for n in 0..24_u8 {
        let payload = vec![n; [20, 300, 30_000][usize::from(n % 3)]];
        let mut group = Group::new();
        group.push(RecordKind(1), &[&payload]).expect("it fits");
        journal
            .admit(group.byte_len(), Class::Growth)
            .expect("there is room");
        let urgency = match n % 5 {
            4 => Urgency::Interval,
            _ => Urgency::Commit,
        };
        journal.append(&group, u64::from(n), urgency).expect("open");
        journal.commit().expect("a sound disk");
    }
    disk
}

fn small() -> Config {
    Config {
        segment_bytes: 256 << 10,
        cache_bytes: 64 << 10,
        read_ahead_bytes: 16 << 10,
        ready_segments: 1,
        ..Config::default()
    }
}

fn damage(disk: &FaultDisk, change: &[u8]) {
    let &[how, high, middle, low, first, second] = change else {
        return;
    };
    let files = disk.files();
    if files.is_empty() {
        return;
    }
    let name = &files[usize::from(how >> 3) % files.len()];
    let Some(mut bytes) = disk.content(name) else {
        return;
    };
    let place = usize::from(high) << 16 | usize::from(middle) << 8 | usize::from(low);
    let at = place % bytes.len().max(1);
    let end = |length: usize| (at + length).min(bytes.len());
    match how & 7 {
        0 => disk.lose(name),
        1 => bytes.truncate(at),
        2 => bytes[at..]
            .iter_mut()
            .take(2)
            .for_each(|byte| *byte = first),
        3 => {
            let end = end(usize::from(first) * 64 + 1);
            bytes[at..end].fill(second);
        }
        4 => {
            let from = usize::from(first) << 8 | usize::from(second);
            let from = from % bytes.len().max(1);
            let length = (bytes.len() - from.max(at)).min(512);
            bytes.copy_within(from..from + length, at);
        }
        _ => bytes[at..]
            .iter_mut()
            .zip([first, second])
            .for_each(|(byte, value)| *byte = value),
    }
    if how & 7 != 0 {
        disk.set_content(name, bytes);
    }
}

type Records = Vec<(u16, u64, Vec<u8>)>;

fn read(disk: &FaultDisk) -> Result<(Records, RecoveryReport), OpenError> {
    let mut records = Vec::new();
    let disk = disk.clone();
    let (journal, report) = Journal::open(Arc::new(disk), small(), 0, &mut |record| {
        records.push((record.kind.0.into(), record.lsn.0, record.payload.to_vec()));
        Ok(())
    })?;
    drop(journal);
    Ok((records, report))
}
