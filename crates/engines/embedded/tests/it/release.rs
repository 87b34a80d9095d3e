//! What leaves when: nothing before it is as durable as its topic promises, and nothing
//! later than it must.

use crate::support::{Bench, ack, publish, tags};
use std::time::Duration;
use trunkline_engine_embedded::EmbeddedConfig;
use trunkline_journal::fault::FaultDisk;
use trunkline_model::{
    Admin, Command, Dedupe, Durability, Engine, ErrorCode, Health, Message, MessageFilter, Outcome,
    PeekFrom, Span, SubscriptionSettings, TopicName, TopicSettings, When,
};

#[test]
fn commit_confirms_and_delivers_after_the_sync() {
    let disk = FaultDisk::new();
    let bench = Bench::open(&disk);
    let topic = bench.define("t", TopicSettings::default());
    let taker = bench.consume(&topic, "s");
    assert!(!taker.has_started(), "its subscription is not durable yet");
    bench.settle();
    assert!(taker.has_started());
    let syncs = disk.syncs();
    let tokens = [
        bench.submit(publish(&topic, &["1"])),
        bench.submit(publish(&topic, &["2", "3"])),
    ];
    assert!(tokens.iter().all(|token| bench.result(*token).is_none()));
    assert!(taker.take().is_empty());
    bench.engine.step();
    assert_eq!(disk.syncs(), syncs + 1, "one sync for all that waited");
    assert!(
        tokens
            .iter()
            .all(|token| matches!(bench.result(*token), Some(Ok(_))))
    );
    assert_eq!(taker.texts(), ["1", "2", "3"]);
}

#[test]
fn interval_confirms_and_delivers_after_the_write() {
    let disk = FaultDisk::new();
    let bench = Bench::open(&disk);
    let topic = bench.define_with("t", Durability::Interval);
    let taker = bench.consume(&topic, "s");
    bench.settle();
    let syncs = disk.syncs();
    let token = bench.submit(publish(&topic, &["1"]));
    assert!(bench.result(token).is_none() && taker.take().is_empty());
    bench.engine.step();
    assert!(bench.result(token).is_some());
    assert_eq!(taker.texts(), ["1"]);
    let look = bench.admin(Admin::Peek {
        topic: topic.clone(),
        subscription: None,
        limit: 10,
        from: PeekFrom::Front,
        filter: MessageFilter::default(),
    });
    assert!(
        matches!(bench.result(look), Some(Ok(Outcome::Peeked(shown))) if shown.messages.len() == 1),
        "who looks waits no longer than who consumes"
    );
    assert_eq!(disk.syncs(), syncs);
    // It survives the process.
    let bench = Bench::open(&disk.killed());
    let taker = bench.consume(&topic, "s");
    bench.settle();
    assert_eq!(taker.texts(), ["1"]);
}

#[test]
fn memory_confirms_and_delivers_at_once_and_never_touches_the_disk() {
    let disk = FaultDisk::new();
    let bench = Bench::open(&disk);
    let topic = bench.define_with("t", Durability::Memory);
    let taker = bench.consume(&topic, "s");
    bench.settle();
    let boundaries = disk.boundaries();
    let token = bench.submit(publish(&topic, &["1", "2"]));
    assert!(matches!(bench.result(token), Some(Ok(_))));
    let deliveries = taker.take();
    assert_eq!(deliveries.len(), 2);
    let token = bench.submit(ack(taker.id(), &tags(&deliveries)));
    assert!(matches!(bench.result(token), Some(Ok(_))));
    assert!(!bench.engine.step(), "nothing was appended");
    assert_eq!(disk.boundaries(), boundaries);
}

#[test]
fn a_consumer_keeps_its_order_when_a_later_delivery_is_durable_earlier() {
    let disk = FaultDisk::new();
    let bench = Bench::open(&disk);
    let commit = bench.define_with("commit", Durability::Commit);
    let memory = bench.define_with("memory", Durability::Memory);
    let both = bench.consume_all(&[&commit, &memory], "both");
    let other = bench.consume(&memory, "other");
    bench.settle();
    bench.submit(publish(&commit, &["1"]));
    let second = bench.submit(publish(&memory, &["2"]));
    assert!(bench.result(second).is_some(), "it is confirmed");
    assert_eq!(other.texts(), ["2"], "another consumer does not wait");
    assert!(both.take().is_empty());
    bench.settle();
    assert_eq!(both.texts(), ["1", "2"]);
}

#[test]
fn an_ack_takes_effect_at_once_and_is_answered_when_durable() {
    let disk = FaultDisk::new();
    let bench = Bench::open(&disk);
    let topic = bench.define("t", TopicSettings::default());
    let taker = bench.consume(&topic, "s");
    bench.settle();
    bench.submit(publish(&topic, &["1", "2"]));
    bench.settle();
    let deliveries = taker.take();
    let token = bench.submit(ack(taker.id(), &tags(&deliveries[..1])));
    assert!(bench.result(token).is_none());
    assert_eq!(taker.handle.cancel(), 1, "the other one");
    assert!(bench.finish(token).is_ok());
}

#[test]
fn a_repeated_publish_waits_for_the_first_one() {
    let disk = FaultDisk::new();
    let bench = Bench::open(&disk);
    let topic = bench.define("t", TopicSettings::default());
    let identified = || {
        let mut command = publish(&topic, &["1"]);
        if let trunkline_model::Command::Publish { messages, .. } = &mut command {
            messages[0].publish_id = Some("p".into());
        }
        command
    };
    let (first, again) = (bench.submit(identified()), bench.submit(identified()));
    assert!(bench.result(first).is_none() && bench.result(again).is_none());
    bench.engine.step();
    assert!(bench.result(first).is_some() && bench.result(again).is_some());
    let late = bench.submit(identified());
    assert!(bench.result(late).is_some(), "the first one is durable");
}

#[test]
fn without_a_journal_what_asks_for_durability_is_refused() {
    let bench = Bench::try_open(EmbeddedConfig::memory()).unwrap();
    let topic = bench.define("t", TopicSettings::default());
    let settings = TopicSettings {
        durability: Some(Durability::Commit),
        ..TopicSettings::default()
    };
    let token = bench.admin(trunkline_model::Admin::Define { topic, settings });
    let error = bench.finish(token).unwrap_err();
    assert_eq!(error.code(), ErrorCode::Unsupported);
    assert_eq!(error.data().unwrap()["capability"], "durability");
    let mut config = EmbeddedConfig::memory();
    config.defaults.durability = Some(Durability::Interval);
    assert!(Bench::try_open(config).is_err());
}

#[test]
fn closing_answers_what_it_took() {
    let disk = FaultDisk::new();
    let bench = Bench::open(&disk);
    let topic = bench.define("t", TopicSettings::default());
    let token = bench.submit(publish(&topic, &["1"]));
    bench.engine.close(std::time::Duration::from_secs(1));
    assert!(matches!(bench.result(token), Some(Ok(_))));
    assert_eq!(bench.health(), Health::Closed);
    let again = Bench::open(&disk);
    assert!(again.engine.recovery().unwrap().clean);
    let taker = again.consume(&topic, "s");
    again.settle();
    assert_eq!(taker.texts(), ["1"]);
}

/// Who finds what somebody else has just made is told as late as that one: it could be gone after
/// a power loss otherwise. And nobody waits for messages that are in no hurry.
#[test]
fn what_was_made_a_moment_ago_is_there_for_all_at_the_same_time() {
    let disk = FaultDisk::new();
    let bench = Bench::open(&disk);
    let topic: TopicName = "t".parse().unwrap();
    let define = || Admin::Define {
        topic: topic.clone(),
        settings: TopicSettings {
            durability: Some(Durability::Interval),
            ..TopicSettings::default()
        },
    };
    let subscribe = || Admin::Subscribe {
        topic: topic.clone(),
        subscription: "s".parse().unwrap(),
        from: None,
        settings: SubscriptionSettings::default(),
    };
    let tokens = [define(), define(), subscribe(), subscribe()].map(|command| bench.admin(command));
    let taker = bench.consume(&topic, "s");
    assert!(tokens.iter().all(|token| bench.result(*token).is_none()));
    assert!(!taker.has_started());
    bench.engine.step();
    assert!(tokens.iter().all(|token| bench.result(*token).is_some()));
    assert!(taker.has_started());
    // Written, and not synced for a while.
    bench.submit(publish(&topic, &["1"]));
    bench.engine.step();
    let again = bench.admin(define());
    assert!(bench.result(again).is_some());
}

/// Deliveries that waited for the disk while their message expired, timed out or was replaced
/// used to leave all the same.
#[test]
fn what_does_not_stand_any_more_does_not_leave() {
    let disk = FaultDisk::new();
    let bench = Bench::open(&disk);
    let settings = TopicSettings {
        dedupe: Some(Dedupe::Latest),
        ack_timeout: Some(Span(Duration::from_secs(60))),
        ..TopicSettings::default()
    };
    let topic = bench.define("t", settings);
    let (first, second) = (bench.consume(&topic, "s"), bench.consume(&topic, "s"));
    bench.settle();
    let message = |text: &'static str, key: Option<&str>, ttl: Option<u64>| Message {
        payload: text.into(),
        key: key.map(Into::into),
        expires: ttl.map(|ms| When::After(Duration::from_millis(ms))),
        ..Message::default()
    };
    let send = |message: Message| {
        bench.submit(Command::Publish {
            topic: topic.clone(),
            messages: [message].into_iter().collect(),
        });
    };
    let taken = || [first.texts(), second.texts()].concat();
    send(message("old", Some("k"), None));
    send(message("new", Some("k"), None));
    send(message("over", None, Some(5)));
    bench.clock.advance(Duration::from_millis(6));
    bench.settle();
    assert_eq!(taken(), ["new"]);
    send(message("late", None, None));
    bench.clock.advance(Duration::from_secs(61));
    bench.engine.tick();
    bench.settle();
    let mut taken = taken();
    taken.sort_unstable();
    assert_eq!(taken, ["late", "new"], "each once");
}

/// Room in a window that an expired delivery had is used at once.
#[test]
fn what_did_not_leave_takes_no_room() {
    let disk = FaultDisk::new();
    let bench = Bench::open(&disk);
    let topic = bench.define("t", TopicSettings::default());
    let taker = bench.consume_within(&topic, "s", 1);
    bench.settle();
    let brief = Message {
        payload: "over".into(),
        expires: Some(When::After(Duration::from_millis(5))),
        ..Message::default()
    };
    bench.submit(Command::Publish {
        topic: topic.clone(),
        messages: [brief].into_iter().collect(),
    });
    bench.submit(publish(&topic, &["next"]));
    bench.clock.advance(Duration::from_millis(6));
    bench.settle();
    assert_eq!(taker.texts(), ["next"]);
}
