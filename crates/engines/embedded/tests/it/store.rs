//! What the store does over time: cold backlogs, back pressure, segments that are freed.

use crate::support::{Bench, ack, config, publish, tags};
use std::sync::Arc;
use tempfile::tempdir;
use trunkline_engine_embedded::{Embedded, EmbeddedConfig, Location};
use trunkline_journal::fault::FaultDisk;
use trunkline_model::{
    Admin, Batch, Caller, Completion, ConsumeSpec, Consuming, Delivery, DeliverySink, Durability,
    Engine, Error, Outcome, Source, SubscriptionSettings, TopicSettings, Wake, oneshot,
};

#[test]
fn a_backlog_that_left_the_cache_comes_in_order() {
    let disk = FaultDisk::new();
    let mut small = config(&disk);
    small.journal.cache_bytes = 32 << 10;
    let bench = Bench::try_open(small).unwrap();
    let topic = bench.define("t", TopicSettings::default());
    let texts: Vec<String> = (0..300)
        .map(|n| format!("{n} {}", "x".repeat(2_000)))
        .collect();
    for chunk in texts.chunks(10) {
        let chunk: Vec<&str> = chunk.iter().map(String::as_str).collect();
        let token = bench.submit(publish(&topic, &chunk));
        assert!(bench.finish(token).is_ok());
    }
    let taker = bench.consume(&topic, "s");
    bench.submit(publish(&topic, &["hot"]));
    bench.settle();
    let got = taker.texts();
    assert_eq!(got.len(), 301);
    assert_eq!(got[..300], texts);
    assert_eq!(got[300], "hot", "what is in memory does not overtake");
    assert!(bench.engine.is_idle());
}

#[test]
fn more_than_may_wait_to_be_written_is_written_by_its_sender() {
    let disk = FaultDisk::new();
    let mut small = config(&disk);
    small.journal.pending_bytes = 64 << 10;
    let bench = Bench::try_open(small).unwrap();
    let topic = bench.define("t", TopicSettings::default());
    let body = "x".repeat(10_000);
    let tokens: Vec<u64> = (0..100)
        .map(|_| bench.submit(publish(&topic, &[&body])))
        .collect();
    assert!(matches!(bench.result(tokens[50]), Some(Ok(_))));
    assert!(bench.finish(tokens[99]).is_ok());
    assert!(
        tokens
            .iter()
            .all(|token| matches!(bench.result(*token), Some(Ok(_))))
    );
}

fn segments(disk: &FaultDisk) -> usize {
    let files = disk.files();
    files
        .iter()
        .filter(|file| disk.content(file).is_some_and(|c| c.len() >= 256 << 10))
        .count()
}

#[test]
fn segments_are_freed_and_nothing_comes_back() {
    let disk = FaultDisk::new();
    let bench = Bench::open(&disk);
    let kept = bench.define(
        "kept",
        TopicSettings {
            priorities: Some(7),
            ..TopicSettings::default()
        },
    );
    let token = bench.admin(Admin::Subscribe {
        topic: kept.clone(),
        subscription: "quiet".parse().unwrap(),
        from: None,
        settings: SubscriptionSettings::default(),
    });
    assert!(bench.finish(token).is_ok());
    let topic = bench.define("t", TopicSettings::default());
    let taker = bench.consume(&topic, "s");
    let body = "x".repeat(10_000);
    let mut last = None;
    for _ in 0..300 {
        let token = bench.submit(publish(&topic, &[&body]));
        match bench.finish(token) {
            Ok(Outcome::Done(receipt)) => last = receipt.ids.last().copied(),
            other => panic!("{other:?}"),
        }
        bench.submit_ignored(ack(taker.id(), &tags(&taker.take())));
    }
    let token = bench.submit(publish(&topic, &["alive"]));
    assert!(bench.finish(token).is_ok());
    bench.settle();
    assert!(
        segments(&disk) <= 6,
        "3 MB went through {} segments",
        segments(&disk)
    );
    drop((taker, bench));
    let bench = Bench::open(&disk);
    let taker = bench.consume(&topic, "s");
    let token = bench.submit(publish(&topic, &["new"]));
    let Ok(Outcome::Done(receipt)) = bench.finish(token) else {
        panic!("published")
    };
    assert!(receipt.ids.last().copied() > last);
    bench.settle();
    assert_eq!(taker.texts(), ["alive", "new"]);
    let token = bench.admin(Admin::Inspect { topic: kept });
    let Ok(Outcome::Topic(info)) = bench.finish(token) else {
        panic!("its definition was in a segment that is gone")
    };
    assert_eq!((info.options.priorities, info.subscriptions.len()), (7, 1));
}

#[test]
fn definitions_that_no_message_follows_survive_freeing_after_freeing() {
    let disk = FaultDisk::new();
    let mut names = Vec::new();
    for round in 0..5 {
        let bench = Bench::open(&disk);
        let name = format!("t{round}");
        bench.define(&name, TopicSettings::default());
        names.push(name);
        let busy = bench.define("busy", TopicSettings::default());
        let taker = bench.consume(&busy, "s");
        bench.settle();
        for _ in 0..40 {
            let token = bench.submit(publish(&busy, &[&"x".repeat(10_000)]));
            assert!(bench.finish(token).is_ok());
            bench.submit_ignored(ack(taker.id(), &tags(&taker.take())));
        }
        bench.settle();
        for name in &names {
            let topic = name.parse().unwrap();
            let token = bench.admin(Admin::Inspect { topic });
            assert!(bench.finish(token).is_ok(), "{name} in round {round}");
        }
    }
}

/// On a real directory, with the engine's own threads.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_real_directory_keeps_what_was_confirmed() {
    let directory = tempdir().unwrap();
    let open = || {
        let mut config = EmbeddedConfig::new(Location::Directory(directory.path().join("data")));
        config.journal.segment_bytes = 256 << 10;
        Embedded::open(config).unwrap()
    };
    let engine = open();
    let topic = "t".parse().unwrap();
    let mut waiting = Vec::new();
    for n in 0..500 {
        let (completion, done) = oneshot();
        let batch = Batch::of(publish(&topic, &[&format!("{n} {}", "x".repeat(1_000))]));
        engine.submit(&Caller::system(), batch, completion);
        waiting.push(done);
    }
    for done in waiting {
        assert!(done.await.is_ok());
    }
    drop(engine);
    let engine = open();
    let (completion, done) = oneshot();
    engine.admin(&Caller::system(), Admin::Inspect { topic }, completion);
    let Ok(Outcome::Topic(info)) = done.await else {
        panic!("the topic is there")
    };
    assert_eq!(info.messages, 500);
}

/// With the machine's clock, the engine's own threads notice what is due.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn deadlines_are_met_without_a_command() {
    let engine = Embedded::open(EmbeddedConfig::memory()).unwrap();
    let topic = "t".parse().unwrap();
    let (completion, defined) = oneshot();
    let settings = TopicSettings {
        ack_timeout: Some("20ms".parse().unwrap()),
        ..TopicSettings::default()
    };
    let define = Admin::Define {
        topic: "t".parse().unwrap(),
        settings,
    };
    engine.admin(&Caller::system(), define, completion);
    assert!(defined.await.is_ok());
    let sink = Arc::new(Attempts::default());
    let spec = ConsumeSpec {
        sources: vec![Source {
            topic: "t".parse().unwrap(),
            subscription: "s".parse().unwrap(),
            from: None,
        }],
        credit: 1,
        window_bytes: u64::MAX,
        auto_ack: false,
    };
    let handle = engine.consume(&Caller::system(), spec, sink.clone());
    let batch = Batch::of(publish(&topic, &[""]));
    engine.submit(&Caller::system(), batch, Completion::ignored());
    sink.third.woken().await;
    drop(handle);
}

/// Wakes somebody at the third attempt.
#[derive(Default)]
struct Attempts {
    third: Wake,
}

impl DeliverySink for Attempts {
    fn started(&self, _: Result<Consuming, Error>) {}

    fn deliver(&self, deliveries: Vec<Delivery>) {
        if deliveries.iter().any(|delivery| delivery.attempt == 3) {
            self.third.wake();
        }
    }

    fn ended(&self, _: Error) {}
}

/// Each start reserves what it will give out, durably, before it takes a command.
#[test]
fn identities_in_memory_are_new_after_every_power_loss() {
    let mut disk = FaultDisk::new();
    let mut newest = None;
    for run in 0..4 {
        let bench = Bench::open(&disk);
        let topic = bench.define_with("t", Durability::Memory);
        let token = bench.submit(publish(&topic, &["1", "2"]));
        let Some(Ok(Outcome::Done(receipt))) = bench.result(token) else {
            panic!("a topic in memory answers at once");
        };
        assert!(receipt.ids.first().copied() > newest, "run {run}");
        newest = receipt.ids.last().copied();
        disk = disk.survivor(run);
    }
}

/// After a power loss, other messages got the identities of those that it took, which had been
/// confirmed and delivered.
#[test]
fn identities_that_a_power_loss_took_are_not_given_again() {
    let disk = FaultDisk::new();
    let bench = Bench::open(&disk);
    let topic = bench.define_with("t", Durability::Interval);
    let id = |bench: &Bench| {
        let token = bench.submit(publish(&topic, &["1"]));
        match bench.finish(token) {
            Ok(Outcome::Done(receipt)) => receipt.ids[0],
            other => panic!("{other:?}"),
        }
    };
    let mut last = id(&bench);
    let mut disk = disk.survivor(0);
    for _ in 0..3 {
        let bench = Bench::open(&disk);
        let next = id(&bench);
        assert!(last < next, "{last}, {next}");
        last = next;
        disk = disk.survivor(0);
    }
}

/// What a consumer of two topics holds goes back when the subscription of one of them goes: the
/// records of that were not among what the command was admitted with.
#[test]
fn a_subscription_can_go_whatever_its_consumers_hold_elsewhere() {
    let disk = FaultDisk::new();
    let bench = Bench::open(&disk);
    let (one, other) = (
        bench.define("one", TopicSettings::default()),
        bench.define("other", TopicSettings::default()),
    );
    let taker = bench.consume_all(&[&one, &other], "s");
    bench.settle();
    bench.submit(publish(&one, &["1"; 100]));
    bench.settle();
    assert_eq!(taker.take().len(), 100);
    let token = bench.admin(Admin::Unsubscribe {
        topic: other,
        subscription: "s".parse().unwrap(),
    });
    assert!(bench.finish(token).is_ok());
    assert!(taker.ended().is_some());
    let taker = bench.consume(&one, "s");
    bench.settle();
    assert_eq!(taker.take().len(), 100);
}
