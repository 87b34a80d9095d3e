//! Dead letters where the disk is full, can't be read, or the store was closed meanwhile.

use crate::support::{Bench, Taker, config, publish, tags};
use std::time::Duration;
use trunkline_journal::fault::{FaultDisk, Plan};
use trunkline_model::{
    Admin, Command, Delivery, Engine, Health, Outcome, Retry, Span, TopicInfo, TopicName,
    TopicSettings,
};

const SEGMENT: u64 = 256 << 10;

fn with_dead_letter() -> TopicSettings {
    TopicSettings {
        dead_letter: "d".parse().ok(),
        ..TopicSettings::default()
    }
}

fn info(bench: &Bench, topic: &TopicName) -> TopicInfo {
    let topic = topic.clone();
    match bench.finish(bench.admin(Admin::Inspect { topic })) {
        Ok(Outcome::Topic(info)) => *info,
        other => panic!("{other:?}"),
    }
}

fn reject(bench: &Bench, taker: &Taker, deliveries: &[Delivery]) {
    let command = Command::Nack {
        consumer: taker.id(),
        tags: tags(deliveries).into_iter().collect(),
        requeue: false,
        delay: Duration::ZERO,
    };
    assert!(bench.finish(bench.submit(command)).is_ok());
}

/// Letters in `d`, and messages on their way from `t`.
fn counts(bench: &Bench, topic: &TopicName) -> (u64, u64) {
    let own = info(bench, topic);
    (own.dead, own.subscriptions[0].in_flight)
}

#[test]
fn dead_letters_wait_for_space_on_a_full_disk() {
    let disk = FaultDisk::with_plan(Plan {
        capacity: 4 * SEGMENT + (64 << 10),
        ..Plan::default()
    });
    let bench = Bench::open(&disk);
    let topic = bench.define("t", with_dead_letter());
    let taker = bench.consume(&topic, "s");
    bench.settle();
    let large = "x".repeat(20_000);
    while bench
        .finish(bench.submit(publish(&topic, &[&large])))
        .is_ok()
    {}
    assert!(matches!(bench.health(), Health::ReadOnly(_)));
    let deliveries = taker.take();
    reject(&bench, &taker, &deliveries);
    bench.settle();
    let all = deliveries.len() as u64;
    assert_eq!(counts(&bench, &topic), (0, all), "given up, and not gone");
    assert!(bench.engine.is_idle(), "nothing is tried again and again");
    // Still so when it is looked at again.
    bench.clock.advance(Duration::from_secs(2));
    bench.engine.tick();
    assert_eq!(counts(&bench, &topic), (0, all));
    disk.set_plan(Plan::default());
    bench.clock.advance(Duration::from_secs(2));
    bench.engine.tick();
    bench.settle();
    assert_eq!(counts(&bench, &topic), (all, 0));
    let undertaker = bench.consume(&"d".parse().unwrap(), "s");
    bench.settle();
    assert_eq!(undertaker.take().len() as u64, all);
}

#[test]
fn what_cannot_be_read_stays_and_is_tried_again_at_the_next_start() {
    let disk = FaultDisk::new();
    let mut small = config(&disk);
    small.journal.cache_bytes = 0;
    let bench = Bench::try_open(small).unwrap();
    let topic = bench.define("t", with_dead_letter());
    let taker = bench.consume(&topic, "s");
    // So many that the first is no longer among what was read ahead.
    let large = "x".repeat(20_000);
    for _ in 0..40 {
        assert!(
            bench
                .finish(bench.submit(publish(&topic, &[&large])))
                .is_ok()
        );
    }
    bench.settle();
    let deliveries = taker.take();
    assert_eq!(deliveries.len(), 40);
    disk.set_plan(Plan {
        fail_read: Some(disk.reads() + 1),
        ..Plan::default()
    });
    reject(&bench, &taker, &deliveries[..1]);
    reject(&bench, &taker, &deliveries[1..]);
    bench.settle();
    assert_eq!(counts(&bench, &topic), (39, 1), "the others go on");
    assert!(bench.engine.is_idle());
    disk.set_plan(Plan::default());
    let bench = Bench::open(&disk.killed());
    bench.settle();
    assert_eq!(counts(&bench, &topic), (40, 0));
}

#[test]
fn a_clean_stop_keeps_waits_and_what_leaves() {
    let disk = FaultDisk::new();
    let bench = Bench::open(&disk);
    let ten = Span(Duration::from_secs(10));
    let settings = TopicSettings {
        retry: Some(Retry { min: ten, max: ten }),
        ..with_dead_letter()
    };
    let topic = bench.define("t", settings);
    let taker = bench.consume(&topic, "s");
    let token = bench.submit(publish(&topic, &["waits", "goes"]));
    assert!(bench.finish(token).is_ok());
    let deliveries = taker.take();
    let later = Command::Nack {
        consumer: taker.id(),
        tags: tags(&deliveries[..1]).into_iter().collect(),
        requeue: true,
        delay: Duration::ZERO,
    };
    bench.submit_ignored(later);
    reject(&bench, &taker, &deliveries[1..]);
    drop(taker);
    bench.engine.close(Duration::from_secs(1));
    let bench = Bench::open(&disk);
    let report = bench.engine.recovery().expect("it has a journal");
    assert!(report.clean && report.checkpoint.is_some());
    bench.settle();
    assert_eq!(info(&bench, &topic).subscriptions[0].delayed, 1);
    let letters = bench.consume(&"d".parse().unwrap(), "s");
    bench.settle();
    assert_eq!(letters.texts(), ["goes"]);
    let taker = bench.consume(&topic, "s");
    bench.settle();
    assert!(taker.take().is_empty());
    bench.clock.advance(Duration::from_secs(11));
    bench.engine.tick();
    bench.settle();
    assert_eq!(taker.texts(), ["waits"]);
}
