//! A clean stop leaves a checkpoint, from which the next start goes on; whatever becomes of
//! the checkpoint, the store is the same.

use crate::{
    crash::Dice,
    support::{Bench, ack, config, publish, tags, text},
};
use std::collections::BTreeMap;
use trunkline_journal::fault::{FaultDisk, Plan};
use trunkline_model::{Delivery, TopicName, TopicSettings};

fn topic() -> TopicName {
    "t".parse().expect("a valid name")
}

/// Opens the store and takes all that waits: text and attempt, in order.
fn waiting(disk: &FaultDisk) -> (Bench, Vec<(String, u32)>) {
    let bench = Bench::open(disk);
    let taker = bench.consume(&topic(), "s");
    bench.settle();
    let told = |delivery: &Delivery| (text(delivery), delivery.attempt);
    let told = taker.take().iter().map(told).collect();
    (bench, told)
}

/// How many records opening replayed, and whether it started from a checkpoint.
fn effort(bench: &Bench) -> (u64, bool) {
    let report = bench.engine.recovery().expect("there is a journal");
    (report.records, report.checkpoint.is_some())
}

/// A store that was stopped properly with some acknowledged, some in flight, some untouched.
fn stopped() -> FaultDisk {
    let disk = FaultDisk::new();
    let bench = Bench::open(&disk);
    let topic = bench.define("t", TopicSettings::default());
    let taker = bench.consume(&topic, "s");
    for n in 0..60 {
        let text = format!("{n:02} {}", "x".repeat(n * 100));
        let token = bench.submit(publish(&topic, &[&text]));
        assert!(bench.finish(token).is_ok());
    }
    bench.settle();
    let held = taker.take();
    let token = bench.submit(ack(taker.id(), &tags(&held[..20])));
    assert!(bench.finish(token).is_ok());
    drop(bench);
    disk
}

fn checkpoint_of(disk: &FaultDisk) -> String {
    let mut files = disk.files().into_iter();
    let found = files.find(|file| file.contains(".ckpt"));
    found.expect("there is a checkpoint")
}

#[test]
fn a_start_after_a_clean_stop_replays_nothing() {
    let disk = stopped();
    assert_eq!(checkpoint_of(&disk), "0000000001.ckpt-sealed");
    let without = disk.survivor(0);
    without.lose("0000000001.ckpt-sealed");
    let (plain, all) = waiting(&without);
    assert_eq!(all.len(), 40);
    assert!(all.iter().all(|(_, attempt)| *attempt == 2));
    assert!(!effort(&plain).1);

    let (bench, same) = waiting(&disk);
    assert_eq!(same, all);
    assert_eq!(effort(&bench), (0, true));
    assert_eq!(
        checkpoint_of(&disk),
        "0000000001.ckpt",
        "the log may be written"
    );
    drop(bench);
    assert_eq!(checkpoint_of(&disk), "0000000002.ckpt-sealed");
    let checkpoints = disk.files().into_iter().filter(|f| f.contains("ckpt"));
    assert_eq!(checkpoints.count(), 1, "older ones go");
}

#[test]
fn after_a_kill_only_what_came_since_the_clean_stop_is_replayed() {
    let disk = stopped();
    let (bench, before) = waiting(&disk);
    let token = bench.submit(publish(&topic(), &["later"]));
    assert!(bench.finish(token).is_ok());
    let killed = disk.killed();
    let (again, after) = waiting(&killed);
    let (records, from_checkpoint) = effort(&again);
    assert!(from_checkpoint && (1..=10).contains(&records), "{records}");
    let texts = |all: &[(String, u32)]| all.iter().map(|(text, _)| text.clone()).collect();
    let (mut expected, found): (Vec<String>, Vec<String>) = (texts(&before), texts(&after));
    expected.push("later".to_owned());
    assert_eq!(found, expected);
}

/// Every byte that means something and a sample of the rest: the checkpoint is ignored, the
/// log says the same, and the next clean stop leaves a good one.
#[test]
fn a_damaged_checkpoint_is_ignored() {
    let disk = stopped();
    let name = checkpoint_of(&disk);
    let length = disk.content(&name).expect("it is there").len();
    let (_, expected) = waiting(&disk.survivor(0));
    let places = (0..96).chain((4096..length).step_by(97));
    for (n, at) in places.enumerate() {
        let damaged = disk.survivor(0);
        assert!(damaged.flip(&name, at, (n % 8) as u8));
        let (bench, found) = waiting(&damaged);
        assert_eq!(found, expected, "byte {at}");
        let report = bench.engine.recovery().expect("there is a journal");
        // What pads the last page means nothing.
        if report.checkpoint.is_none() {
            assert_eq!(report.ignored.len(), 1, "byte {at}");
            assert!(report.ignored[0].starts_with(&name), "{:?}", report.ignored);
            assert!(report.records > 0);
        } else {
            assert!(at > 4096, "byte {at} counts");
        }
    }
    for length in [0, 1, 95, 4096, 4097] {
        let short = disk.survivor(0);
        let mut bytes = short.content(&name).expect("it is there");
        bytes.truncate(length);
        short.set_content(&name, bytes);
        let (bench, found) = waiting(&short);
        assert_eq!(found, expected, "{length} bytes");
        assert!(!effort(&bench).1);
    }
}

/// A checkpoint says where bodies are, not what they say: each is verified when it is read.
#[test]
fn damage_before_a_checkpoint_is_found_by_who_reads_it_and_by_verify() {
    let disk = stopped();
    let flipped = disk.files().into_iter().any(|file| {
        let content = disk.content(&file).expect("it is there");
        let at = content.windows(8).position(|bytes| bytes == b"30 xxxxx");
        file.ends_with(".seg") && at.is_some_and(|at| disk.flip(&file, at + 4, 0))
    });
    assert!(flipped);
    assert!(trunkline_journal::verify(&disk, &mut |_, _| {}).is_err());
    let bench = Bench::open(&disk);
    let taker = bench.consume(&topic(), "s");
    bench.settle();
    assert!(taker.texts().iter().all(|text| !text.starts_with("30")));
    assert!(taker.ended().is_some(), "it is said, never skipped");
}

/// What a client was told, over several openings and stops.
#[derive(Default)]
struct Told {
    confirmed: BTreeMap<String, bool>,
    settled: Vec<String>,
    asked: Vec<String>,
}

/// Some openings, each with some publishes and acks; most end with a clean stop, and one in
/// the middle with a kill.
fn cycles(disk: &FaultDisk, told: &mut Told) -> Option<FaultDisk> {
    let mut dice = Dice(0x0dd_ba11);
    for cycle in 0..4 {
        let Ok(bench) = Bench::try_open(config(disk)) else {
            return None;
        };
        if cycle == 0 {
            let define = trunkline_model::Admin::Define {
                topic: topic(),
                settings: TopicSettings::default(),
            };
            bench.admin(define);
            bench.settle();
        }
        let taker = bench.consume(&topic(), "s");
        for n in 0..6 {
            let text = format!("{cycle}.{n} {}", "x".repeat(dice.roll(9_000) as usize));
            told.confirmed.insert(text.clone(), false);
            let token = bench.submit(publish(&topic(), &[&text]));
            if dice.roll(3) > 0 {
                bench.settle();
            }
            let held = taker.take();
            let acked: Vec<_> = held.into_iter().filter(|_| dice.roll(2) > 0).collect();
            let texts: Vec<String> = acked.iter().map(text_of).collect();
            told.asked.extend(texts.clone());
            let settle = bench.submit(ack(taker.id(), &tags(&acked)));
            bench.settle();
            if matches!(bench.result(token), Some(Ok(_))) {
                told.confirmed.insert(text, true);
            }
            if matches!(bench.result(settle), Some(Ok(_))) {
                told.settled.extend(texts);
            }
        }
        if cycle == 2 && disk.plan().power_loss_at.is_none() {
            // The process dies; the disk goes on.
            return Some(disk.killed());
        }
    }
    None
}

fn text_of(delivery: &Delivery) -> String {
    text(delivery)
}

fn check(disk: &FaultDisk, told: &Told, story: &str) {
    let bench = Bench::open(disk);
    let taker = bench.consume(&topic(), "s");
    bench.settle();
    let found = taker.texts();
    for text in &found {
        let label = text.split(' ').next().unwrap_or_default();
        assert!(told.confirmed.contains_key(text), "{story}: {label}");
        assert!(!told.settled.contains(text), "{story}: {label} came back");
    }
    for (text, confirmed) in &told.confirmed {
        let label = text.split(' ').next().unwrap_or_default();
        let owed = *confirmed && !told.asked.contains(text);
        assert!(!owed || found.contains(text), "{story}: {label} is lost");
    }
    let token = bench.submit(publish(&topic(), &["fresh"]));
    assert!(bench.finish(token).is_ok(), "{story}");
}

#[test]
fn a_power_loss_anywhere_in_starts_and_stops_loses_nothing_and_brings_nothing_back() {
    let whole = FaultDisk::new();
    let mut told = Told::default();
    let killed = cycles(&whole, &mut told).expect("a kill is part of it");
    check(&killed, &told, "killed");
    for boundary in 1..=whole.boundaries() + 40 {
        let disk = FaultDisk::with_plan(Plan {
            power_loss_at: Some(boundary),
            ..Plan::default()
        });
        let mut told = Told::default();
        cycles(&disk, &mut told);
        for seed in 0..3 {
            let story = format!("power loss at {boundary}, survival {seed}");
            let survivor = disk.survivor(seed);
            // Three starts in a row, of which the first has no time to do anything.
            drop(Bench::try_open(config(&survivor.survivor(seed))));
            check(&survivor, &told, &story);
            let mut after = told.confirmed.clone();
            after.insert("fresh".to_owned(), true);
            let told = Told {
                confirmed: after,
                settled: told.settled.clone(),
                asked: told.asked.clone(),
            };
            check(&survivor, &told, &format!("{story}, stopped and started"));
        }
    }
}
