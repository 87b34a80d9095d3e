//! The log stays short for what is alive in it, however messages come and go, and nothing is
//! lost by that.

use crate::{
    crash::{Dice, Ledger, check, nack, send, subscribe, topic},
    support::{Bench, ack, config, publish, tags, text},
};
use std::collections::BTreeMap;
use trunkline_journal::fault::{FaultDisk, Plan};
use trunkline_model::{Admin, Command, Delivery, Engine, Health, Message, Outcome, TopicSettings};

const SEGMENT: u64 = 256 << 10;

/// Bytes of the segments that the log is in; one more is ready.
fn log_bytes(disk: &FaultDisk) -> u64 {
    let segments = disk.files().into_iter();
    (segments.filter(|file| file.ends_with(".seg")).count() as u64 - 1) * SEGMENT
}

/// Takes deliveries off what is owed: bytes of messages, and to how many.
fn settled(owed: &mut BTreeMap<u64, (u64, u32)>, deliveries: &[Delivery]) {
    for delivery in deliveries {
        let sequence = delivery.id.sequence;
        let (_, left) = owed.get_mut(&sequence).expect("it is owed");
        *left -= 1;
        if *left == 0 {
            owed.remove(&sequence);
        }
    }
}

/// One subscription is far behind and takes a little now and then, another is up to date,
/// and a third acknowledges at random. With one part of the work after each publish, and
/// not a step more.
#[test]
fn disk_use_stays_within_three_times_what_is_alive() {
    for seed in 1..4_u64 {
        let disk = FaultDisk::new();
        let bench = Bench::open(&disk);
        let topic = bench.define("t", TopicSettings::default());
        let mut dice = Dice(seed << 32 | 0x5eed);
        let prompt = bench.consume(&topic, "prompt");
        let random = bench.consume(&topic, "random");
        bench.settle();
        let mut alive = BTreeMap::new();
        let mut held: Vec<Delivery> = Vec::new();
        let (mut longest, mut worst) = (0, 0.0_f64);
        for round in 0..6_000_u64 {
            let length = 200 + dice.roll(4_000);
            let token = bench.submit(publish(&topic, &[&"x".repeat(length as usize)]));
            bench.engine.step();
            assert!(matches!(bench.result(token), Some(Ok(_))), "round {round}");
            bench.forget(token);
            let new = prompt.take();
            held.extend(random.take());
            for delivery in &new {
                alive.insert(delivery.id.sequence, (length, 2));
            }
            bench.submit_ignored(ack(prompt.id(), &tags(&new)));
            settled(&mut alive, &new);
            // Most of what is held goes in bursts; some stays for ever.
            if dice.roll(200) == 0 {
                let stays = dice.roll(30) + 2;
                let (kept, gone): (Vec<_>, Vec<_>) = held
                    .drain(..)
                    .partition(|d| d.id.sequence.is_multiple_of(stays));
                settled(&mut alive, &gone);
                bench.submit_ignored(ack(random.id(), &tags(&gone)));
                held = kept;
            }
            let bytes: u64 = alive.values().map(|(bytes, _)| bytes).sum();
            let log = log_bytes(&disk);
            longest = longest.max(log);
            worst = worst.max(log.saturating_sub(2 * SEGMENT) as f64 / bytes.max(1) as f64);
            // A burst of acks makes much dead at once: that takes some parts.
            if round % 50 == 49 {
                bench.settle();
                let log = log_bytes(&disk);
                assert!(
                    log <= 3 * bytes + 2 * SEGMENT,
                    "seed {seed}, round {round}: {log} bytes of log for {bytes}"
                );
            }
        }
        assert!(longest >= 5 * SEGMENT, "seed {seed}: {longest}, {worst}");
        assert!(
            !disk.files().contains(&"0000000001.seg".to_owned()),
            "seed {seed}: segments were freed"
        );
        let free = disk.files().into_iter().filter(|f| f.ends_with(".free"));
        assert!(free.count() <= 1, "seed {seed}: spare files are bounded");
        // All that is owed is there, in order, after a kill.
        let again = Bench::open(&disk.killed());
        let taker = again.consume(&topic, "random");
        again.settle();
        let found: Vec<u64> = taker.take().iter().map(|d| d.id.sequence).collect();
        assert_eq!(
            found,
            alive.keys().copied().collect::<Vec<_>>(),
            "seed {seed}"
        );
    }
}

/// A message that was copied is what it was: its content, its attempts, its delay, its place.
#[test]
fn a_copied_message_is_what_it_was() {
    let disk = FaultDisk::new();
    let bench = Bench::open(&disk);
    let topic = bench.define(
        "t",
        TopicSettings {
            priorities: Some(3),
            ..TopicSettings::default()
        },
    );
    let taker = bench.consume(&topic, "s");
    bench.settle();
    let mut special = Message {
        payload: "special".into(),
        content_type: "text/plain".into(),
        priority: Some(trunkline_model::Priority(2)),
        publish_id: Some("id".into()),
        traceparent: Some("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".into()),
        ..Message::default()
    };
    special.headers.push("name", "value");
    let special = |payload: &str| Message {
        payload: payload.to_owned().into(),
        publish_id: Some(payload.into()),
        ..special.clone()
    };
    let messages = ["returned", "held"].map(special).into_iter().collect();
    let command = Command::Publish {
        topic: topic.clone(),
        messages,
    };
    bench.submit(command);
    bench.settle();
    let first = taker.take();
    bench.submit(nack(taker.id(), &first[..1], true));
    bench.settle();
    let again = taker.take();
    assert_eq!((again[0].attempt, text(&again[0])), (2, "returned".into()));
    // Traffic that dies moves them along, several times.
    for _ in 0..1_000 {
        let token = bench.submit(publish(&topic, &[&"x".repeat(5_000)]));
        assert!(bench.finish(token).is_ok());
        bench.submit_ignored(ack(taker.id(), &tags(&taker.take())));
    }
    bench.settle();
    assert!(log_bytes(&disk) <= 3 * SEGMENT, "{:?}", disk.files());
    let bench = Bench::open(&disk.killed());
    let taker = bench.consume(&topic, "s");
    bench.settle();
    let found = taker.take();
    let attempts: Vec<_> = found.iter().map(|d| (text(d), d.attempt)).collect();
    assert_eq!(attempts, [("returned".into(), 3), ("held".into(), 2)]);
    for (delivery, before) in found.iter().zip(&first) {
        assert_eq!(delivery.message, before.message);
        assert_eq!(delivery.id, before.id);
    }
}

/// A delivery that is on its way reads the body where it was: its segment waits for it.
#[test]
fn a_body_that_is_being_read_keeps_its_segment() {
    let disk = FaultDisk::new();
    let mut settings = config(&disk);
    settings.journal.cache_bytes = 0;
    let bench = Bench::try_open(settings).expect("it opens");
    let topic = bench.define("t", TopicSettings::default());
    let token = bench.admin(Admin::Subscribe {
        topic: topic.clone(),
        subscription: "slow".parse().expect("a valid name"),
        from: None,
        settings: Default::default(),
    });
    assert!(bench.finish(token).is_ok());
    let taker = bench.consume(&topic, "s");
    bench.settle();
    for n in 0..400 {
        let token = bench.submit(publish(&topic, &[&format!("{n} {}", "x".repeat(3_000))]));
        assert!(bench.finish(token).is_ok());
        bench.submit_ignored(ack(taker.id(), &tags(&taker.take())));
    }
    // Consumed while the front is copied: whichever place a delivery has, it can be read.
    let slow = bench.consume(&topic, "slow");
    let mut found = Vec::new();
    for round in 0..2_000 {
        let new = slow.take();
        found.extend(new.iter().map(text));
        let gone: Vec<_> = new
            .into_iter()
            .filter(|d| !d.id.sequence.is_multiple_of(7))
            .collect();
        bench.submit_ignored(ack(slow.id(), &tags(&gone)));
        if round % 3 == 0 {
            bench.submit(publish(&topic, &[&"y".repeat(2_000)]));
            bench.submit_ignored(ack(taker.id(), &tags(&taker.take())));
        }
        bench.engine.step();
    }
    assert!(slow.ended().is_none(), "{:?}", slow.ended());
    let numbers = found.iter().filter_map(|text| text.split_once(" x"));
    let numbers: Vec<u32> = numbers.filter_map(|(n, _)| n.parse().ok()).collect();
    assert!(numbers.into_iter().eq(0..400));
}

/// Sparse remains in every segment, held for ever or returned now and then.
fn work(disk: &FaultDisk) -> Ledger {
    let mut ledger = Ledger::default();
    let Ok(bench) = Bench::try_open(config(disk)) else {
        return ledger;
    };
    let mut dice = Dice(0xbad_cafe_f00d);
    let define = Admin::Define {
        topic: topic(),
        settings: TopicSettings {
            priorities: Some(3),
            ..TopicSettings::default()
        },
    };
    bench.admin(define);
    for subscription in ["a", "b"] {
        subscribe(&bench, &mut ledger, subscription);
    }
    let takers = ["a", "b"].map(|name| (name, bench.consume(&topic(), name)));
    bench.settle();
    let mut kept: Vec<Delivery> = Vec::new();
    for round in 0..110 {
        send(&bench, &mut ledger, &mut dice, round);
        if dice.roll(3) > 0 {
            bench.settle();
        }
        for (subscription, taker) in &takers {
            let stays = |d: &Delivery| *subscription == "b" && d.id.sequence.is_multiple_of(9);
            let (stay, go): (Vec<_>, Vec<_>) = taker.take().into_iter().partition(stays);
            let token = bench.submit(ack(taker.id(), &tags(&go)));
            ledger.settle(token, subscription, go.iter().map(text).collect());
            kept.extend(stay);
        }
        // An ack in the middle of compaction, and a message that comes back.
        if dice.roll(6) == 0 && kept.len() > 8 {
            let gone = kept.remove(dice.roll(4) as usize);
            let token = bench.submit(ack(takers[1].1.id(), &[gone.tag]));
            ledger.settle(token, "b", vec![text(&gone)]);
            let back = kept.remove(0);
            bench.submit(nack(takers[1].1.id(), std::slice::from_ref(&back), true));
        }
        bench.engine.step();
        ledger.read_answers(&bench);
    }
    bench.settle();
    ledger.read_answers(&bench);
    ledger
}

#[test]
fn a_power_loss_anywhere_in_compaction_loses_nothing_and_brings_nothing_back() {
    let whole = FaultDisk::new();
    let ledger = work(&whole);
    check(&whole.killed(), &ledger, "without a power loss");
    assert!(
        whole
            .files()
            .iter()
            .all(|file| file.as_str() > "0000000003" || !file.ends_with(".seg")),
        "sparse segments are compacted: {:?}",
        whole.files()
    );
    for boundary in 1..=whole.boundaries() {
        let disk = FaultDisk::with_plan(Plan {
            power_loss_at: Some(boundary),
            ..Plan::default()
        });
        let ledger = work(&disk);
        let story = format!("power loss at {boundary}");
        check(&disk.survivor(boundary), &ledger, &story);
    }
}

/// A message in `kept` that can't be read where it lies, in a segment that nobody has looked at since:
/// a checkpoint is behind it. Returns the message and where the damage is.
fn damaged(disk: &FaultDisk) -> (String, usize) {
    let stays = format!("stays {}", "z".repeat(4_000));
    let bench = Bench::open(disk);
    let kept = bench.define("kept", TopicSettings::default());
    let token = bench.submit(publish(&kept, &[&stays]));
    assert!(bench.finish(token).is_ok());
    traffic(&bench, 10);
    drop(bench);
    let content = disk.content(FIRST).expect("it is there");
    let at = content.windows(9).position(|bytes| bytes == b"stays zzz");
    let at = at.expect("it is in it") + 7;
    assert!(disk.flip(FIRST, at, 3));
    (stays, at)
}

const FIRST: &str = "0000000001.seg";

/// Damage in a segment stops its compaction: what is in it is neither dropped nor passed on.
#[test]
fn what_cannot_be_read_stays_where_it_is() {
    let disk = FaultDisk::new();
    let (stays, at) = damaged(&disk);
    let kept = "kept".parse().expect("a valid name");
    let bench = Bench::open(&disk);
    traffic(&bench, 300);
    assert!(disk.files().contains(&FIRST.to_owned()));
    drop(bench);
    assert!(disk.flip(FIRST, at, 3), "it is put right");
    let bench = Bench::open(&disk);
    let taker = bench.consume(&kept, "s");
    bench.settle();
    assert_eq!(taker.texts(), std::slice::from_ref(&stays));
    traffic(&bench, 100);
    assert!(!disk.files().contains(&FIRST.to_owned()), "it was stuck");
    assert_eq!(taker.handle.cancel(), 1);
    let taker = bench.consume(&kept, "s");
    bench.settle();
    assert_eq!(taker.texts(), [stays]);
}

/// A log that grows because a part of it can't be compacted was only said once, in the log of the
/// server.
#[test]
fn a_segment_that_cannot_be_compacted_is_told_until_it_is_gone() {
    let disk = FaultDisk::new();
    damaged(&disk);
    let bench = Bench::open(&disk);
    let health = bench.engine.health();
    assert_eq!(*health.borrow(), Health::Ready);
    traffic(&bench, 300);
    let told = health.borrow().clone();
    assert!(
        matches!(&told, Health::Degraded(why) if why.starts_with("segment 1 of the log")),
        "{told:?}"
    );
    // Whatever needs it goes, and so does the segment.
    let token = bench.admin(Admin::Delete {
        topic: "kept".parse().expect("a valid name"),
    });
    assert!(bench.finish(token).is_ok());
    traffic(&bench, 300);
    assert!(!disk.files().contains(&FIRST.to_owned()));
    assert_eq!(*health.borrow(), Health::Ready);
}

/// Messages that go as they come.
fn traffic(bench: &Bench, count: usize) {
    let topic = bench.define("traffic", TopicSettings::default());
    let taker = bench.consume(&topic, "s");
    for _ in 0..count {
        let token = bench.submit(publish(&topic, &[&"x".repeat(5_000)]));
        assert!(matches!(bench.finish(token), Ok(Outcome::Done(_))));
        bench.submit_ignored(ack(taker.id(), &tags(&taker.take())));
    }
    bench.settle();
}
