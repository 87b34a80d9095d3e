//! Publishes one at a time, on an engine with threads of its own: whoever is alone writes and syncs by
//! himself, and no promise is weaker for it.

use crate::support::{START, publish};
use std::{
    sync::{Arc, mpsc},
    thread::{self, ThreadId},
    time::{Duration, Instant},
};
use trunkline_engine_embedded::{Embedded, EmbeddedConfig, Location};
use trunkline_journal::fault::{FaultDisk, Plan};
use trunkline_model::{
    Admin, Batch, Caller, Completed, Completion, CompletionQueue, CompletionSink, Durability,
    Engine, Health, ManualClock, Outcome, TopicName, TopicSettings,
};

/// Says which thread ended a command, and how.
struct Ends(mpsc::Sender<(ThreadId, Completed)>);

impl CompletionSink for Ends {
    fn completed(&self, completed: Completed) {
        self.0.send((thread::current().id(), completed)).unwrap();
    }
}

fn ends() -> (Arc<CompletionQueue>, mpsc::Receiver<(ThreadId, Completed)>) {
    let (sender, ends) = mpsc::channel();
    (CompletionQueue::relay(Arc::new(Ends(sender))), ends)
}

fn open(disk: &FaultDisk, clock: Option<Arc<ManualClock>>) -> Arc<Embedded> {
    let mut config = EmbeddedConfig::new(Location::Disk(Arc::new(disk.clone())));
    config.journal.segment_bytes = 256 << 10;
    config.journal.ready_segments = 1;
    if let Some(clock) = clock {
        config.clock = Some(clock);
    }
    Embedded::open(config).unwrap()
}

fn topic() -> TopicName {
    "orders".parse().unwrap()
}

fn stored(engine: &Embedded) -> u64 {
    let (queue, ends) = ends();
    let inspect = Admin::Inspect { topic: topic() };
    engine.admin(&Caller::system(), inspect, Completion::new(queue, 0));
    match ends.recv().unwrap().1.result.unwrap() {
        Outcome::Topic(info) => info.messages,
        other => panic!("{other:?}"),
    }
}

#[test]
fn who_is_alone_is_confirmed_by_himself_and_only_what_is_durable() {
    let disk = FaultDisk::new();
    let clock = Arc::new(ManualClock::new(START));
    let engine = open(&disk, Some(clock.clone()));
    let (queue, ends) = ends();
    // A publish that comes before the writer sleeps again is his: so some are, and others follow.
    let (mut led, mut published) = (0, 0);
    while led < 20 {
        assert!(published < 100_000, "nobody leads");
        clock.advance(Duration::from_millis(1));
        let batch = Batch::of(publish(&topic(), &["a message"]));
        engine.submit(&Caller::system(), batch, Completion::new(queue.clone(), 0));
        let (thread, completed) = ends.recv().unwrap();
        completed.result.unwrap();
        published += 1;
        if thread == thread::current().id() {
            led += 1;
            // The power fails now, and nothing survives that was not synced.
            let survivor = open(&disk.survivor(0), None);
            assert_eq!(stored(&survivor), published);
        }
    }
}

/// Who leads only writes what `interval` topics get, and the writer slept on: without another command
/// it was never synced.
#[test]
fn what_was_led_without_a_sync_is_synced_within_the_interval() {
    let disk = FaultDisk::new();
    let clock = Arc::new(ManualClock::new(START));
    let mut config = EmbeddedConfig::new(Location::Disk(Arc::new(disk.clone())));
    config.journal.segment_bytes = 256 << 10;
    config.journal.ready_segments = 1;
    config.journal.sync_interval = Duration::from_millis(1);
    config.clock = Some(clock.clone());
    let engine = Embedded::open(config).unwrap();
    let (queue, ends) = ends();
    let settings = TopicSettings {
        durability: Some(Durability::Interval),
        ..TopicSettings::default()
    };
    let topic = topic();
    let define = Admin::Define {
        topic: topic.clone(),
        settings,
    };
    engine.admin(&Caller::system(), define, Completion::new(queue.clone(), 0));
    ends.recv().unwrap().1.result.unwrap();
    let (mut led, mut published) = (0, 0);
    while led < 3 {
        assert!(published < 10_000, "nobody leads");
        clock.advance(Duration::from_millis(1));
        let batch = Batch::of(publish(&topic, &["a message"]));
        engine.submit(&Caller::system(), batch, Completion::new(queue.clone(), 0));
        let (thread, completed) = ends.recv().unwrap();
        completed.result.unwrap();
        published += 1;
        led += u32::from(thread == thread::current().id());
        let begun = Instant::now();
        while stored(&open(&disk.survivor(0), None)) < published {
            assert!(begun.elapsed() < Duration::from_secs(20), "never synced");
            thread::yield_now();
        }
    }
}

#[test]
fn who_leads_into_a_failing_disk_is_told_so() {
    let disk = FaultDisk::new();
    let clock = Arc::new(ManualClock::new(START));
    let engine = open(&disk, Some(clock.clone()));
    let (queue, ends) = ends();
    let mut published = 0;
    let mut publish_one = || {
        clock.advance(Duration::from_millis(1));
        let batch = Batch::of(publish(&topic(), &["a message"]));
        engine.submit(&Caller::system(), batch, Completion::new(queue.clone(), 0));
        published += 1;
        assert!(published < 100_000, "nobody leads");
        let (thread, completed) = ends.recv().unwrap();
        (thread == thread::current().id(), completed.result.is_ok())
    };
    while !publish_one().0 {}
    disk.set_plan(Plan {
        fail_sync: Some(disk.syncs() + 1),
        ..disk.plan()
    });
    // The first one meets the failure, whoever leads; then nobody gets as far.
    for _ in 0..3 {
        assert!(!publish_one().1);
    }
    assert!(matches!(*engine.health().borrow(), Health::Failed(_)));
}

#[test]
fn some_who_are_alone_now_and_then_wait_for_nothing_in_vain() {
    let disk = FaultDisk::new();
    let engine = open(&disk, None);
    thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                let (queue, ends) = ends();
                for _ in 0..400 {
                    let batch = Batch::of(publish(&topic(), &["a message"]));
                    engine.submit(&Caller::system(), batch, Completion::new(queue.clone(), 0));
                    ends.recv().unwrap().1.result.unwrap();
                }
            });
        }
    });
    assert_eq!(stored(&open(&disk.survivor(0), None)), 1_200);
}
