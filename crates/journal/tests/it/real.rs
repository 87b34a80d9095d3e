//! The same on the operating system's disk, with its threads.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, mpsc};

use trunkline_journal::fault::{FaultDisk, Plan};
use trunkline_journal::{Class, Lsn, OpenError, RealDisk, Urgency, verify};

use crate::log::{group, open, open_with, put, small};

#[test]
fn a_directory_is_made_filled_closed_and_opened_again() {
    let temp = tempfile::tempdir().unwrap();
    let directory = temp.path().join("made/below");
    let disk = || Arc::new(RealDisk::create(&directory).unwrap());
    let opened = open_with(disk(), small()).unwrap();
    assert!(
        matches!(open_with(disk(), small()), Err(OpenError::InUse { directory: named }) if named.ends_with("made/below"))
    );
    let mut places = Vec::new();
    for n in 0..20_u8 {
        places.push(put(&opened.journal, &vec![n; 50_000], Class::Growth).unwrap());
        while opened.journal.prepare().unwrap() {}
    }
    assert!(opened.journal.free_before(places[10].segment()).unwrap() > 0);
    opened.journal.close().unwrap();
    drop(opened);
    assert!(
        verify(&RealDisk::existing(&directory).unwrap(), &mut |_, _| {})
            .unwrap()
            .recovery
            .clean
    );
    let opened = open_with(disk(), small()).unwrap();
    assert!(opened.report.clean && opened.report.last_lsn == Lsn(20));
    assert_eq!(opened.journal.oldest_segment(), places[10].segment());
    for (n, &place) in places.iter().enumerate().skip(10) {
        assert_eq!(
            opened.journal.read(place).unwrap().payload,
            vec![n as u8; 50_000]
        );
    }
}

#[test]
fn a_directory_that_cannot_be_written_is_named() {
    let temp = tempfile::tempdir().unwrap();
    let disk = Arc::new(RealDisk::create(temp.path()).unwrap());
    // A directory where the lock file belongs can't be opened for writing by anybody, root included.
    std::fs::create_dir(temp.path().join("journal.lock")).unwrap();
    let error = open_with(disk, small()).map(|_| ()).unwrap_err();
    assert!(
        error
            .to_string()
            .contains(&temp.path().display().to_string()),
        "{error}"
    );
    assert!(RealDisk::existing(temp.path().join("nowhere")).is_err());
}

#[test]
fn the_writer_makes_everything_durable_whatever_its_urgency() {
    let temp = tempfile::tempdir().unwrap();
    let disk = Arc::new(RealDisk::create(temp.path()).unwrap());
    let opened = open_with(disk, small()).unwrap();
    let journal = Arc::new(opened.journal);
    let (sender, progress) = mpsc::channel();
    let writer = journal
        .spawn_writer(
            move |marks| sender.send(marks).unwrap(),
            |poison| panic!("{poison}"),
        )
        .unwrap();
    let mut last = Lsn::ZERO;
    for n in 0..300_u64 {
        // Each waits in turn for the writer to wake up for it: a lost wake-up would hang here.
        let urgency = [Urgency::Commit, Urgency::Interval, Urgency::Lazy][(n % 3) as usize];
        let group = group(&[vec![n as u8; 3000]]);
        journal.admit(group.byte_len(), Class::Growth).unwrap();
        last = journal.append(&group, n, urgency).unwrap().last_lsn;
        if n % 3 == 0 || n == 299 {
            while progress.recv().unwrap().synced < last {}
        }
    }
    assert_eq!(journal.watermarks().synced, last);
    writer.stop();
    journal.close().unwrap();
    drop(journal);
    let opened = open_with(Arc::new(RealDisk::create(temp.path()).unwrap()), small()).unwrap();
    assert!(opened.report.clean && opened.report.records == 300);
}

#[test]
fn several_threads_may_lead_commits() {
    let disk = FaultDisk::new();
    let journal = Arc::new(open(&disk).unwrap().journal);
    let appending = std::sync::Mutex::new(());
    let confirmed = AtomicU64::new(0);
    std::thread::scope(|scope| {
        for thread in 0..4_u8 {
            let (journal, appending, confirmed) = (&journal, &appending, &confirmed);
            scope.spawn(move || {
                for _ in 0..100 {
                    let group = group(&[vec![thread; 1000]]);
                    let one_appender = appending.lock().unwrap();
                    journal.admit(group.byte_len(), Class::Growth).unwrap();
                    let appended = journal.append(&group, 0, Urgency::Commit).unwrap();
                    drop(one_appender);
                    journal.commit().unwrap();
                    assert!(
                        journal.watermarks().synced >= appended.last_lsn,
                        "a round that came later ended after it"
                    );
                    assert_eq!(
                        journal.read(appended.base).unwrap().payload,
                        vec![thread; 1000]
                    );
                    confirmed.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
    });
    assert_eq!(
        open(&disk.survivor(0)).unwrap().report.records,
        confirmed.into_inner()
    );
}

#[test]
fn who_appends_quietly_wakes_the_writer_or_writes() {
    let disk = FaultDisk::new();
    let journal = Arc::new(open(&disk).unwrap().journal);
    let (sender, progress) = mpsc::channel();
    let writer = journal
        .spawn_writer(
            move |marks| sender.send(marks).unwrap(),
            |poison| panic!("{poison}"),
        )
        .unwrap();
    let (mut led, mut woken) = (0, 0);
    while led < 50 || woken < 50 {
        let group = group(&[vec![1; 500]]);
        journal.admit(group.byte_len(), Class::Growth).unwrap();
        let (appended, wakes) = journal.append_quietly(&group, 0, Urgency::Commit).unwrap();
        if wakes && led <= woken {
            // Nobody but us is awake, unless the last round's writer is not asleep yet.
            if journal.try_commit().unwrap() {
                led += 1;
            } else {
                journal.wake();
            }
        } else if wakes {
            woken += 1;
            journal.wake();
        }
        while journal.watermarks().synced < appended.last_lsn {
            progress.recv().unwrap();
        }
    }
    writer.stop();
}

#[test]
fn poison_reaches_the_one_who_asked_to_be_told() {
    let disk = FaultDisk::new();
    let journal = Arc::new(open(&disk).unwrap().journal);
    while journal.prepare().unwrap() {}
    let (sender, poisoned) = mpsc::channel();
    let writer = journal
        .spawn_writer(|_| {}, move |poison| sender.send(poison).unwrap())
        .unwrap();
    disk.set_plan(Plan {
        fail_sync: Some(disk.syncs() + 1),
        ..Plan::default()
    });
    journal.append(&group(&["x"]), 0, Urgency::Commit).unwrap();
    assert_eq!(poisoned.recv().unwrap().operation, "syncing");
    assert!(journal.poison().is_some());
    writer.stop();
}
