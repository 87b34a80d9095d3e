//! Power loss at every boundary: what was reported durable is there, in order, groups are whole, nothing is invented, and later
//! openings see the same log.

use trunkline_journal::fault::{FaultDisk, Plan};
use trunkline_journal::{Class, Journal, Lsn, Urgency};

use crate::log::{Opened, group, open};

/// What a session did before the power went.
#[derive(Default)]
struct Session {
    /// Payloads in the order of the log, group by group.
    groups: Vec<Vec<Vec<u8>>>,
    /// Payloads that the log had before.
    before: Vec<Vec<u8>>,
    first_lsn: Lsn,
    synced: Lsn,
    /// No record before this one may be missed.
    freed_before: Lsn,
    finished: bool,
}

/// A payload that says who it is: session, group, index, size of the group; and is so long that segments fill quickly.
fn payload(session: u64, number: u64, index: u64, of: u64) -> Vec<u8> {
    let mut payload =
        format!("session {session} group {number} record {index} of {of};").into_bytes();
    let len =
        [40, 700, 5_000, 47_000, 90, 110_000][((number * 5 + index * 3 + session) % 6) as usize];
    payload.resize(len, (number % 251) as u8);
    payload
}

/// Appends groups of mixed urgency, commits now and then, prepares, frees, and closes. Stops where the disk does.
fn work(opened: &Opened, session: u64, groups: u64) -> Session {
    let journal = &opened.journal;
    let mut done = Session {
        before: opened.payloads(),
        first_lsn: opened.seen.first().map_or(Lsn(1), |seen| seen.lsn),
        synced: journal.watermarks().synced,
        ..Session::default()
    };
    done.freed_before = done.first_lsn;
    done.finished = run(journal, session, groups, &mut done).is_some();
    done.synced = journal.watermarks().synced;
    done
}

fn run(journal: &Journal, session: u64, groups: u64, done: &mut Session) -> Option<()> {
    let mut starts = Vec::new();
    for number in 0..groups {
        let of = 1 + (number + session) % 3;
        let payloads: Vec<_> = (0..of)
            .map(|index| payload(session, number, index, of))
            .collect();
        let group = group(&payloads);
        journal.admit(group.byte_len(), Class::Growth).ok()?;
        let urgency =
            [Urgency::Commit, Urgency::Lazy, Urgency::Interval][((number + session) % 3) as usize];
        let appended = journal.append(&group, number, urgency).ok()?;
        starts.push((appended.base.segment(), appended.first_lsn));
        done.groups.push(payloads);
        match number % 5 {
            0 | 2 => drop(journal.commit().ok()?),
            3 => drop(journal.sync().ok()?),
            _ => {}
        }
        if number % 4 == 3 {
            journal.prepare().ok()?;
        }
        if number % 7 == 6 {
            // Everything up to two segments ago is no longer needed.
            let keep = starts.last()?.0.saturating_sub(1);
            let first_kept = starts.iter().find(|start| start.0 >= keep)?.1;
            done.freed_before = done.freed_before.max(first_kept);
            journal.free_before(keep).ok()?;
        }
    }
    journal.close().ok()
}

/// Checks a log that was found after `session`. Returns why it isn't one that may be found.
fn check(session: &Session, found: &Opened) -> Result<(), String> {
    let all: Vec<&Vec<u8>> = session
        .before
        .iter()
        .chain(session.groups.iter().flatten())
        .collect();
    let first = found.report.first_lsn;
    let last = found.report.last_lsn;
    if last < session.synced {
        return Err(format!(
            "durable up to {}, found up to {last}",
            session.synced
        ));
    }
    if session.synced >= session.freed_before
        && (first > session.freed_before || first == Lsn::ZERO)
        && session.synced > Lsn::ZERO
    {
        return Err(format!(
            "starts with {first}, nothing from {} on was freed",
            session.freed_before
        ));
    }
    for seen in &found.seen {
        let index = (seen.lsn.0 - session.first_lsn.0) as usize;
        if all
            .get(index)
            .is_none_or(|&payload| *payload != seen.payload)
        {
            return Err(format!(
                "record {} is not what was appended there",
                seen.lsn
            ));
        }
    }
    let mut end = session.first_lsn.0 + session.before.len() as u64;
    let mut ends = vec![end];
    for group in &session.groups {
        end += group.len() as u64;
        ends.push(end);
    }
    let durable_before = session.synced.0 + 1 < ends[0];
    if !durable_before && !ends.contains(&(last.0 + 1)) {
        return Err(format!("the log ends at {last}, inside a group"));
    }
    Ok(())
}

const GROUPS: u64 = 24;
const SEEDS: u64 = 6;

fn boundaries_of_a_whole_run() -> u64 {
    let disk = FaultDisk::new();
    assert!(work(&open(&disk).unwrap(), 0, GROUPS).finished);
    assert!(
        disk.files().len() >= 3,
        "the workload fills, frees and recycles segments: {:?}",
        disk.files()
    );
    disk.boundaries()
}

#[test]
fn power_loss_at_every_boundary_loses_nothing_durable_and_invents_nothing() {
    let boundaries = boundaries_of_a_whole_run();
    assert!(boundaries > 80, "only {boundaries} boundaries");
    for at in 1..=boundaries {
        let disk = FaultDisk::with_plan(Plan {
            power_loss_at: Some(at),
            ..Plan::default()
        });
        let session = match open(&disk) {
            Ok(opened) => work(&opened, 0, GROUPS),
            Err(_) => Session {
                first_lsn: Lsn(1),
                ..Session::default()
            },
        };
        assert!(!session.finished);
        for seed in 0..SEEDS {
            let case = format!("power loss at boundary {at}, seed {seed}");
            let survivor = disk.survivor(seed);
            let found = open(&survivor).unwrap_or_else(|error| panic!("{case}: {error}"));
            check(&session, &found).unwrap_or_else(|what| panic!("{case}: {what}"));
            let log = found.payloads();
            drop(found);
            // Opening cuts nothing new and brings nothing back, with or without writing.
            let again = open(&survivor).unwrap();
            assert_eq!(again.payloads(), log, "{case}: second opening");
            let more = work(&again, 1, 2);
            assert!(more.finished, "{case}");
            drop(again);
            let last = open(&survivor).unwrap();
            let expected: Vec<_> = log
                .into_iter()
                .chain(more.groups.into_iter().flatten())
                .collect();
            assert!(
                last.payloads() == expected && last.report.clean,
                "{case}: third opening"
            );
        }
    }
}

/// A cut-off batch must not come back when the log grows over its place again, however often the power goes.
#[test]
fn crash_after_crash_the_log_stays_one_log() {
    for world in 0..60_u64 {
        let mut disk = FaultDisk::new();
        for round in 0..6_u64 {
            let seed = world * 100 + round;
            // Between a few operations after opening and a whole session.
            let lifetime = 1 + seed.wrapping_mul(0x9E37_79B9) % 45;
            disk.set_plan(Plan {
                power_loss_at: Some(disk.boundaries() + lifetime),
                ..Plan::default()
            });
            let session = match open(&disk) {
                Ok(opened) => work(&opened, round, 12),
                Err(_) => {
                    disk = disk.survivor(seed);
                    continue;
                }
            };
            disk = disk.survivor(seed);
            let case = format!("world {world}, round {round}");
            let found = open(&disk).unwrap_or_else(|error| panic!("{case}: {error}"));
            check(&session, &found).unwrap_or_else(|what| panic!("{case}: {what}"));
        }
    }
}

/// The checks above are worth something only if they notice a journal that doesn't sync.
#[test]
fn the_checks_notice_a_disk_that_ignores_syncs() {
    let disk = FaultDisk::new();
    drop(open(&disk).unwrap());
    disk.set_plan(Plan {
        ignore_syncs: true,
        ..Plan::default()
    });
    let session = work(&open(&disk).unwrap(), 0, 5);
    assert!(session.synced > Lsn::ZERO);
    let noticed = (0..SEEDS).any(|seed| match open(&disk.survivor(seed)) {
        Ok(found) => check(&session, &found).is_err(),
        Err(_) => true,
    });
    assert!(noticed);
}

#[test]
fn kill_minus_nine_keeps_everything_that_was_written() {
    let disk = FaultDisk::new();
    let opened = open(&disk).unwrap();
    for text in ["one", "two"] {
        opened
            .journal
            .append(&group(&[text]), 0, Urgency::Interval)
            .unwrap();
        opened.journal.commit().unwrap();
    }
    assert_eq!(opened.journal.watermarks().synced, Lsn::ZERO);
    opened
        .journal
        .append(&group(&["never written"]), 0, Urgency::Lazy)
        .unwrap();
    let found = open(&disk.killed()).unwrap();
    assert_eq!(found.payloads(), [b"one", b"two"]);
    assert!(!found.report.clean && found.report.torn.is_none());
    assert!(open(&disk.survivor(0)).unwrap().seen.is_empty());
}

/// Somebody may act on what recovery hands out, so it must not vanish in the next power loss.
#[test]
fn what_was_replayed_is_durable_even_if_its_writer_never_synced_it() {
    let disk = FaultDisk::new();
    let opened = open(&disk).unwrap();
    opened
        .journal
        .append(&group(&["written"]), 0, Urgency::Interval)
        .unwrap();
    opened.journal.commit().unwrap();
    drop(opened);
    let opened = open(&disk).unwrap();
    assert_eq!(opened.payloads(), [b"written"]);
    assert_eq!(opened.journal.watermarks().synced, Lsn(1));
    assert_eq!(open(&disk.survivor(0)).unwrap().payloads(), [b"written"]);
}

/// A sync fails, and the process is started again on the same machine: it reads what it wrote, from the page cache, and the disk
/// doesn't have it. A second sync said that all was well, and the next power loss left a hole in the log.
#[test]
fn what_a_failed_sync_left_in_the_page_cache_is_written_again() {
    let disk = FaultDisk::new();
    let opened = open(&disk).unwrap();
    let append = |journal: &Journal, text: &str, urgency| {
        journal.append(&group(&[text]), 0, urgency).unwrap();
        journal.commit()
    };
    append(&opened.journal, "durable", Urgency::Commit).unwrap();
    append(&opened.journal, "written", Urgency::Interval).unwrap();
    disk.set_plan(Plan {
        fail_sync: Some(disk.syncs() + 1),
        ..Plan::default()
    });
    assert!(append(&opened.journal, "failed", Urgency::Commit).is_err());
    drop(opened);
    let opened = open(&disk).unwrap();
    let all: [&[u8]; 3] = [b"durable", b"written", b"failed"];
    assert_eq!(opened.payloads(), all);
    assert_eq!(open(&disk.survivor(0)).unwrap().payloads(), all);
    append(&opened.journal, "later", Urgency::Commit).unwrap();
    let after = open(&disk.survivor(0)).unwrap();
    assert_eq!(after.payloads()[..3], all);
    assert_eq!(after.payloads()[3], b"later");
}
