//! Copies of a store that goes on: what is restored from one is compared with what the
//! clients were told.

use crate::{
    crash::Dice,
    support::{Bench, ack, publish, text},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};
use trunkline_engine_embedded::EmbeddedConfig;
use trunkline_journal::fault::FaultDisk;
use trunkline_model::{
    Admin, Delivery, Engine, ErrorCode, Outcome, Snapshot, TopicName, TopicSettings,
};

/// What the clients know.
#[derive(Clone, Default)]
struct Ledger {
    /// Tokens of publishes by text; none once it is confirmed.
    published: BTreeMap<String, Option<u64>>,
    /// Tokens of acks, with their texts.
    acking: Vec<(u64, Vec<String>)>,
    asked: BTreeSet<String>,
    settled: BTreeSet<String>,
}

impl Ledger {
    fn read_answers(&mut self, bench: &Bench) {
        for token in self.published.values_mut() {
            if token.is_some_and(|token| matches!(bench.result(token), Some(Ok(_)))) {
                *token = None;
            }
        }
        for (token, texts) in std::mem::take(&mut self.acking) {
            match bench.result(token) {
                Some(Ok(_)) => self.settled.extend(texts),
                _ => self.acking.push((token, texts)),
            }
        }
    }
}

/// A store under load, one step of it at a time.
struct Load {
    bench: Bench,
    topic: TopicName,
    taker: crate::support::Taker,
    held: Vec<Delivery>,
    dice: Dice,
    ledger: Ledger,
    round: u32,
}

impl Load {
    fn new(disk: &FaultDisk, seed: u64) -> Self {
        let bench = Bench::open(disk);
        let topic = bench.define("t", TopicSettings::default());
        let taker = bench.consume(&topic, "s");
        bench.settle();
        Self {
            bench,
            topic,
            taker,
            held: Vec::new(),
            dice: Dice(0x00c0_ffee ^ seed << 20),
            ledger: Ledger::default(),
            round: 0,
        }
    }

    fn step(&mut self) {
        self.round += 1;
        for n in 0..=self.dice.roll(3) {
            let length = self.dice.roll(9_000) as usize;
            let text = format!("{}.{n} {}", self.round, "x".repeat(length));
            let token = self.bench.submit(publish(&self.topic, &[&text]));
            self.ledger.published.insert(text, Some(token));
        }
        if self.dice.roll(3) > 0 {
            self.bench.settle();
        }
        self.held.extend(self.taker.take());
        let count = self.dice.roll(self.held.len() as u64 + 1) as usize;
        let some: Vec<Delivery> = self.held.drain(..count).collect();
        let tags: Vec<_> = some.iter().map(|delivery| delivery.tag).collect();
        let token = self.bench.submit(ack(self.taker.id(), &tags));
        let texts: Vec<String> = some.iter().map(text).collect();
        self.ledger.asked.extend(texts.iter().cloned());
        self.ledger.acking.push((token, texts));
        if self.dice.roll(2) > 0 {
            self.bench.settle();
        }
        self.ledger.read_answers(&self.bench);
    }

    fn back_up(&mut self) -> Arc<dyn Snapshot> {
        let token = self.bench.admin(Admin::Backup);
        let answer = self.bench.finish(token);
        self.bench.forget(token);
        match answer {
            Ok(Outcome::Snapshot(snapshot)) => snapshot,
            other => panic!("{other:?}"),
        }
    }
}

/// Reads a copy in pieces, while the load goes on.
fn read(snapshot: &dyn Snapshot, load: &mut Load) -> FaultDisk {
    let restored = FaultDisk::new();
    let mut piece = vec![0; 50_000];
    for (index, file) in snapshot.files().iter().enumerate() {
        let mut bytes = Vec::new();
        while (bytes.len() as u64) < file.bytes {
            let count = snapshot.read(index, bytes.len() as u64, &mut piece);
            bytes.extend_from_slice(&piece[..count.expect("the disk is well")]);
            load.step();
        }
        restored.set_content(&file.name, bytes);
    }
    restored
}

#[test]
fn what_is_restored_has_everything_confirmed_and_nothing_settled() {
    for seed in 0..4 {
        let disk = FaultDisk::new();
        let mut load = Load::new(&disk, seed);
        for round in 0..4 {
            (0..25).for_each(|_| load.step());
            let before = load.ledger.clone();
            let snapshot = load.back_up();
            load.ledger.read_answers(&load.bench);
            let after = load.ledger.clone();
            let restored = read(&*snapshot, &mut load);
            drop(snapshot);

            let story = format!("seed {seed}, copy {round}");
            let bench = Bench::open(&restored);
            let taker = bench.consume(&load.topic, "s");
            bench.settle();
            let found: BTreeSet<String> = taker.texts().into_iter().collect();
            for (text, token) in &before.published {
                let owed = token.is_none() && !after.asked.contains(text);
                let label = text.split(' ').next().unwrap_or_default();
                assert!(!owed || found.contains(text), "{story}: {label} is lost");
            }
            for text in &found {
                let label = text.split(' ').next().unwrap_or_default();
                assert!(after.published.contains_key(text), "{story}: {label}");
                assert!(!before.settled.contains(text), "{story}: {label} is back");
            }
            let token = bench.submit(publish(&load.topic, &["fresh"]));
            assert!(bench.finish(token).is_ok(), "{story}");
        }
        // Once no copy needs them, segments are freed again.
        let oldest = |disk: &FaultDisk| {
            let files = disk.files().into_iter();
            files.filter(|file| file.ends_with(".seg")).min()
        };
        let pinned = oldest(&disk);
        (0..40).for_each(|_| load.step());
        assert!(oldest(&disk) > pinned, "seed {seed}");
    }
}

#[test]
fn a_store_that_keeps_nothing_has_no_copy() {
    let bench = Bench::try_open(EmbeddedConfig::memory()).expect("it opens");
    let token = bench.admin(Admin::Backup);
    let error = bench.finish(token).expect_err("there is nothing to copy");
    assert_eq!(error.code(), ErrorCode::Unsupported);
    let disk = FaultDisk::new();
    let bench = Bench::open(&disk);
    bench.engine.close(Duration::ZERO);
    let token = bench.admin(Admin::Backup);
    assert_eq!(
        bench.finish(token).expect_err("it is closed").code(),
        ErrorCode::ShuttingDown
    );
}
