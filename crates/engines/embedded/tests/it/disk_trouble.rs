//! Disks that are full, broken, damaged, in use or read-only.

use crate::support::{Bench, ack, config, publish, tags};
use std::time::Duration;
use trunkline_engine_embedded::{Embedded, EmbeddedConfig, Location};
use trunkline_journal::fault::{FaultDisk, Plan};
use trunkline_model::{Command, ErrorCode, Health, Message, TopicSettings};

const SEGMENT: u64 = 256 << 10;

fn limited(segments: u64) -> FaultDisk {
    FaultDisk::with_plan(Plan {
        capacity: segments * SEGMENT + (64 << 10),
        ..Plan::default()
    })
}

#[test]
fn a_full_disk_refuses_publishes_lets_acks_go_on_and_recovers() {
    let disk = limited(4);
    let bench = Bench::open(&disk);
    let topic = bench.define("t", TopicSettings::default());
    let taker = bench.consume(&topic, "s");
    bench.settle();
    let large = "x".repeat(20_000);
    let mut published = 0;
    let error = loop {
        let token = bench.submit(publish(&topic, &[&large]));
        match bench.finish(token) {
            Ok(_) => published += 1,
            Err(error) => break error,
        }
        assert!(published < 1_000, "the disk must run full");
    };
    assert_eq!(error.code(), ErrorCode::Unavailable);
    assert_eq!(error.data().unwrap()["reason"], "disk_full");
    assert!(
        matches!(bench.health(), Health::ReadOnly(_)),
        "{:?}",
        bench.health()
    );
    let deliveries = taker.take();
    assert_eq!(deliveries.len(), published, "deliveries go on");
    let token = bench.submit(ack(taker.id(), &tags(&deliveries[1..3])));
    assert!(bench.finish(token).is_ok(), "acks go on");
    bench.settle();
    let token = bench.submit(publish(&topic, &[&large]));
    assert!(bench.finish(token).is_err(), "two messages are not enough");
    // Space returns.
    disk.set_plan(Plan::default());
    bench.clock.advance(Duration::from_secs(2));
    bench.engine.tick();
    assert_eq!(bench.health(), Health::Ready);
    let token = bench.submit(publish(&topic, &["after"]));
    assert!(bench.finish(token).is_ok());
    assert_eq!(taker.texts(), ["after"]);
}

/// The first message of each segment would hold it: what is alive is copied into the segment
/// that is kept for that.
#[test]
fn acknowledging_most_makes_space_too() {
    let disk = limited(6);
    let bench = Bench::open(&disk);
    let topic = bench.define("t", TopicSettings::default());
    let taker = bench.consume(&topic, "s");
    bench.settle();
    let large = "x".repeat(20_000);
    let (mut kept, mut published) = (0, 0);
    for round in 0..12 {
        let mut count = 0;
        loop {
            let token = bench.submit(publish(&topic, &[&large]));
            if bench.finish(token).is_err() {
                break;
            }
            count += 1;
        }
        assert!(count >= 10, "round {round}: only {count} went in");
        published += count;
        assert!(matches!(bench.health(), Health::ReadOnly(_)));
        for delivery in taker.take() {
            if delivery.id.sequence % 12 == 3 && kept < 30 {
                kept += 1;
                continue;
            }
            let token = bench.submit(ack(taker.id(), &[delivery.tag]));
            assert!(bench.finish(token).is_ok(), "round {round}: acks go on");
        }
        bench.settle();
        bench.clock.advance(Duration::from_secs(2));
        bench.engine.tick();
        bench.settle();
    }
    assert_eq!(bench.health(), Health::Ready);
    drop((bench, taker));
    let bench = Bench::open(&disk);
    let taker = bench.consume(&topic, "s");
    bench.settle();
    assert_eq!(taker.take().len(), kept, "of {published}");
}

#[test]
fn acknowledging_everything_makes_space() {
    let disk = limited(4);
    let bench = Bench::open(&disk);
    let topic = bench.define("t", TopicSettings::default());
    let taker = bench.consume(&topic, "s");
    bench.settle();
    let large = "x".repeat(20_000);
    for round in 0..200 {
        let token = bench.submit(publish(&topic, &[&large]));
        assert!(bench.finish(token).is_ok(), "round {round}");
        let token = bench.submit(ack(taker.id(), &tags(&taker.take())));
        assert!(bench.finish(token).is_ok(), "round {round}");
    }
    assert_eq!(bench.health(), Health::Ready);
}

#[test]
fn a_failed_sync_confirms_nothing_and_ends_the_engine() {
    for durable in [true, false] {
        let disk = FaultDisk::new();
        let bench = Bench::open(&disk);
        let topic = bench.define("t", TopicSettings::default());
        let taker = bench.consume(&topic, "s");
        bench.settle();
        let plan = match durable {
            true => Plan {
                fail_sync: Some(disk.syncs() + 1),
                ..Plan::default()
            },
            false => Plan {
                fail_write: Some(disk.writes() + 1),
                ..Plan::default()
            },
        };
        disk.set_plan(plan);
        let token = bench.submit(publish(&topic, &["1"]));
        let error = bench.finish(token).unwrap_err();
        assert_eq!(error.code(), ErrorCode::Unavailable);
        assert!(matches!(bench.health(), Health::Failed(_)));
        assert!(taker.take().is_empty());
        assert_eq!(
            taker.ended().map(|e| e.code()),
            Some(ErrorCode::Unavailable)
        );
        disk.set_plan(Plan::default());
        let token = bench.submit(publish(&topic, &["2"]));
        let error = bench.finish(token).unwrap_err();
        assert_eq!(error.code(), ErrorCode::Unavailable, "no later success");
        assert!(matches!(bench.health(), Health::Failed(_)));
    }
}

#[test]
fn a_directory_serves_one_engine() {
    let directory = tempfile::tempdir().unwrap();
    let open = || {
        Embedded::open(EmbeddedConfig::new(Location::Directory(
            directory.path().into(),
        )))
    };
    let first = open().unwrap();
    let refused = open().unwrap_err().to_string();
    assert!(refused.contains("in use by another process"), "{refused}");
    assert!(
        refused.contains(&directory.path().display().to_string()),
        "{refused}"
    );
    drop(first);
    assert!(open().is_ok());
}

#[test]
fn a_damaged_segment_is_refused_with_its_file_and_offset() {
    let disk = FaultDisk::new();
    let bench = Bench::open(&disk);
    let topic = bench.define("t", TopicSettings::default());
    for text in ["one", "two", "three"] {
        let token = bench.submit(publish(&topic, &[text]));
        assert!(bench.finish(token).is_ok());
    }
    // Without a clean stop, and so without a checkpoint.
    let disk = disk.killed();
    let (file, at) = find(&disk, b"two");
    assert!(disk.flip(&file, at, 0));
    let refused = match Bench::try_open(config(&disk)) {
        Ok(_) => panic!("damage must be refused"),
        Err(error) => error.to_string(),
    };
    for part in [file.as_str(), "offset", "trunkline journal verify"] {
        assert!(refused.contains(part), "{part} in: {refused}");
    }
}

/// The file and offset of some bytes.
fn find(disk: &FaultDisk, bytes: &[u8]) -> (String, usize) {
    let places = disk.files().into_iter().filter_map(|file| {
        let content = disk.content(&file)?;
        let at = content
            .windows(bytes.len())
            .position(|window| window == bytes)?;
        Some((file, at))
    });
    let mut places: Vec<_> = places.collect();
    assert_eq!(places.len(), 1);
    places.remove(0)
}

#[test]
fn a_message_that_cannot_be_read_ends_its_consumer_and_is_not_skipped() {
    let disk = FaultDisk::new();
    let mut small = config(&disk);
    small.journal.cache_bytes = 0;
    let bench = Bench::try_open(small).unwrap();
    let topic = bench.define("t", TopicSettings::default());
    for text in ["first", "second"] {
        let token = bench.submit(publish(&topic, &[text]));
        assert!(bench.finish(token).is_ok());
    }
    disk.set_plan(Plan {
        fail_read: Some(disk.reads() + 1),
        ..Plan::default()
    });
    let taker = bench.consume(&topic, "s");
    bench.settle();
    assert!(taker.take().is_empty());
    let error = taker.ended().expect("it ends");
    assert_eq!(error.code(), ErrorCode::Unavailable);
    assert!(error.message().contains("reading"), "{error}");
    assert_eq!(bench.health(), Health::Ready, "the others go on");
    disk.set_plan(Plan::default());
    let taker = bench.consume(&topic, "s");
    bench.settle();
    assert_eq!(taker.texts(), ["first", "second"], "nothing is lost");
}

#[test]
fn a_directory_that_cannot_be_written_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("file");
    std::fs::write(&file, "").unwrap();
    for path in [file, "/proc/self".into()] {
        let error = match Embedded::open(EmbeddedConfig::new(Location::Directory(path.clone()))) {
            Ok(_) => panic!("{} is no data directory", path.display()),
            Err(error) => error.to_string(),
        };
        assert!(error.contains(&path.display().to_string()), "{error}");
    }
}

#[test]
fn what_was_confirmed_survives_kill_9_and_a_drop() {
    let disk = FaultDisk::new();
    let bench = Bench::open(&disk);
    let topic = bench.define("t", TopicSettings::default());
    let token = bench.submit(publish(&topic, &["1"]));
    assert!(bench.finish(token).is_ok());
    let killed = disk.killed();
    drop(bench);
    for disk in [killed, disk] {
        let bench = Bench::open(&disk);
        let taker = bench.consume(&topic, "s");
        bench.settle();
        assert_eq!(taker.texts(), ["1"]);
    }
}

/// With many publish ids, definitions are longer than a segment: writing them again must not
/// be a reason to write them again.
#[test]
fn freeing_segments_costs_less_than_it_frees_however_long_the_definitions_are() {
    let disk = FaultDisk::new();
    let bench = Bench::open(&disk);
    let topic = bench.define("t", TopicSettings::default());
    let taker = bench.consume(&topic, "s");
    bench.settle();
    for round in 0..60 {
        let message = |n: u32| Message {
            payload: vec![b'x'; 2_000].into(),
            publish_id: Some(format!("{round:0>90}-{n:0>90}").into()),
            ..Message::default()
        };
        let token = bench.submit(Command::Publish {
            topic: topic.clone(),
            messages: (0..100).map(message).collect(),
        });
        assert!(bench.finish(token).is_ok());
        let token = bench.submit(ack(taker.id(), &tags(&taker.take())));
        assert!(bench.finish(token).is_ok());
    }
    let files = disk.files();
    assert!(
        !files.contains(&"0000000001.seg".to_owned()),
        "segments are freed all the same: {files:?}"
    );
    let (before, rounds) = (disk.writes(), 100);
    for _ in 0..rounds {
        let token = bench.submit(publish(&topic, &["y"]));
        assert!(bench.finish(token).is_ok());
        let token = bench.submit(ack(taker.id(), &tags(&taker.take())));
        assert!(bench.finish(token).is_ok());
    }
    let written = disk.writes() - before;
    assert!(
        written < 3 * rounds,
        "{written} writes for {rounds} messages"
    );
}

/// The log of a store may start anywhere, so that only this tells that its start is missing.
#[test]
fn messages_whose_topic_was_never_defined_are_not_dropped() {
    let disk = FaultDisk::new();
    let bench = Bench::open(&disk);
    let topic = bench.define("t", TopicSettings::default());
    let large = "x".repeat(100_000);
    for _ in 0..8 {
        let token = bench.submit(publish(&topic, &[&large]));
        assert!(bench.finish(token).is_ok());
    }
    // Without a clean stop, and so without a checkpoint.
    let killed = disk.killed();
    killed.lose("0000000001.seg");
    let error = Bench::try_open(config(&killed)).err();
    let text = error.expect("it is refused").to_string();
    assert!(
        text.contains("6 messages") && text.contains("trunkline journal repair"),
        "{text}"
    );
    // A checkpoint knows what was in it.
    drop(bench);
    disk.lose("0000000001.seg");
    let error = Bench::try_open(config(&disk)).err();
    let text = error.expect("it is refused").to_string();
    assert!(
        text.contains("2 messages") && text.contains("oldest segments"),
        "{text}"
    );
}
