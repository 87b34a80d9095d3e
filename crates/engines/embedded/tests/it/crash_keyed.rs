//! Power loss at every boundary of the disk under a topic with `dedupe: latest`. After each:
//! at most one message a key, never one older than the latest confirmed, none that is
//! missing without an ack, none back whose ack was answered.

use crate::{
    crash::Dice,
    support::{Bench, Taker, ack, config, text},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};
use trunkline_journal::fault::{FaultDisk, Plan};
use trunkline_model::{
    Admin, Command, Dedupe, Delivery, Message, MessageFilter, Outcome, PeekFrom, Priority,
    SubscriptionSettings, TopicName, TopicSettings,
};

const ROUNDS: u64 = 80;
const KEYS: u64 = 6;
const SURVIVALS: u64 = 3;

/// A version of what a key stands for, as far as the client knows.
#[derive(Debug)]
struct Version {
    key: u64,
    token: u64,
    is_confirmed: bool,
    /// Tokens of acks that were asked for.
    acks: Vec<u64>,
    /// One of them was answered with success: it is gone for good.
    is_gone: bool,
}

/// All versions in the order in which they were published, and which text is which.
#[derive(Default)]
struct Ledger {
    versions: Vec<Version>,
    by_text: BTreeMap<String, usize>,
}

impl Ledger {
    fn read_answers(&mut self, bench: &Bench) {
        for version in &mut self.versions {
            if !version.is_confirmed {
                version.is_confirmed = matches!(bench.result(version.token), Some(Ok(_)));
            }
            version.is_gone |= version.acks.iter().any(|token| {
                matches!(bench.result(*token), Some(Ok(Outcome::Done(receipt))) if receipt.acked == 1)
            });
        }
    }

    fn of_key(&self, key: u64) -> impl DoubleEndedIterator<Item = (usize, &Version)> {
        let all = self.versions.iter().enumerate();
        all.filter(move |(_, version)| version.key == key)
    }
}

fn topic() -> TopicName {
    "k".parse().expect("a valid name")
}

fn prepare(bench: &Bench) {
    bench.admin(Admin::Define {
        topic: topic(),
        settings: TopicSettings {
            priorities: Some(3),
            dedupe: Some(Dedupe::Latest),
            ..TopicSettings::default()
        },
    });
    bench.admin(Admin::Subscribe {
        topic: topic(),
        subscription: "s".parse().expect("a valid name"),
        from: None,
        settings: SubscriptionSettings::default(),
    });
    bench.settle();
}

/// Runs the workload until its end or until the power is gone. `look` sees the engine
/// whenever nobody consumes and nothing is under way.
fn work(disk: &FaultDisk, look: impl Fn(&Bench)) -> Ledger {
    let mut ledger = Ledger::default();
    let Ok(bench) = Bench::try_open(config(disk)) else {
        return ledger;
    };
    prepare(&bench);
    let mut dice = Dice(0x0dd_ba11_cafe_5eed);
    let mut taker: Option<Taker> = None;
    let mut held: Vec<Delivery> = Vec::new();
    for round in 0..ROUNDS {
        send(&bench, &mut ledger, &mut dice, round);
        if dice.roll(3) > 0 {
            bench.settle();
        }
        if let Some(taker) = &taker {
            held.extend(taker.take());
            settle_some(&bench, &mut ledger, &mut dice, taker, &mut held);
        }
        if dice.roll(4) == 0 {
            held.clear();
            taker = match taker {
                Some(_) => None,
                None => Some(bench.consume(&topic(), "s")),
            };
        }
        if dice.roll(2) > 0 {
            bench.settle();
            if taker.is_none() {
                look(&bench);
            }
        }
        ledger.read_answers(&bench);
    }
    drop(taker);
    bench.settle();
    look(&bench);
    ledger.read_answers(&bench);
    ledger
}

fn send(bench: &Bench, ledger: &mut Ledger, dice: &mut Dice, round: u64) {
    let (mut messages, mut sent) = (Vec::new(), Vec::new());
    for n in 0..=dice.roll(3) {
        let key = dice.roll(KEYS);
        let filling = "x".repeat(dice.roll(12_000) as usize);
        let text = format!("{round:03}.{n} of {key} {filling}");
        messages.push(Message {
            payload: text.clone().into(),
            key: Some(key.to_string().into()),
            priority: Some(Priority(dice.roll(3) as u8)),
            ..Message::default()
        });
        sent.push((text, key));
    }
    let token = bench.submit(Command::Publish {
        topic: topic(),
        messages: messages.into_iter().collect(),
    });
    for (text, key) in sent {
        ledger.by_text.insert(text, ledger.versions.len());
        ledger.versions.push(Version {
            key,
            token,
            is_confirmed: false,
            acks: Vec::new(),
            is_gone: false,
        });
    }
}

/// Acknowledges some of what was delivered, whether or not it was replaced meanwhile,
/// returns some.
fn settle_some(
    bench: &Bench,
    ledger: &mut Ledger,
    dice: &mut Dice,
    taker: &Taker,
    held: &mut Vec<Delivery>,
) {
    for delivery in std::mem::take(held) {
        match dice.roll(5) {
            0 | 1 => {
                let token = bench.submit(ack(taker.id(), &[delivery.tag]));
                let version = ledger.by_text[&text(&delivery)];
                ledger.versions[version].acks.push(token);
            }
            2 => {
                bench.submit(Command::Nack {
                    consumer: taker.id(),
                    tags: [delivery.tag].into_iter().collect(),
                    requeue: true,
                    delay: Duration::ZERO,
                });
            }
            _ => held.push(delivery),
        }
    }
}

/// Opens what survived and compares it with what the client knows.
fn check(disk: &FaultDisk, ledger: &Ledger, story: &str) {
    let bench = Bench::open(disk);
    // Perhaps the power went before it was there.
    prepare(&bench);
    let taker = bench.consume(&topic(), "s");
    bench.settle();
    let mut there: BTreeMap<u64, usize> = BTreeMap::new();
    for delivery in taker.take() {
        let Some(&index) = ledger.by_text.get(&text(&delivery)) else {
            panic!("{story}: something was never sent");
        };
        let key = ledger.versions[index].key;
        let earlier = there.insert(key, index);
        assert_eq!(earlier, None, "{story}: two of key {key}");
    }
    for key in 0..KEYS {
        let confirmed = ledger
            .of_key(key)
            .rfind(|(_, version)| version.is_confirmed)
            .map(|(index, _)| index);
        match there.get(&key) {
            Some(&index) => {
                let version = &ledger.versions[index];
                assert!(!version.is_gone, "{story}: {index} of key {key} is back");
                assert!(
                    confirmed <= Some(index),
                    "{story}: {index} of key {key}, but {confirmed:?} replaced it"
                );
            }
            None => {
                let mut since = ledger.of_key(key).filter(|(n, _)| Some(*n) >= confirmed);
                assert!(
                    confirmed.is_none() || since.any(|(_, version)| !version.acks.is_empty()),
                    "{story}: {confirmed:?} of key {key} is lost"
                );
            }
        }
    }
}

/// What a subscription shows, in its order.
fn peek(bench: &Bench) -> Vec<String> {
    let token = bench.admin(Admin::Peek {
        topic: topic(),
        subscription: Some("s".parse().expect("a valid name")),
        limit: 1_000,
        from: PeekFrom::Front,
        filter: MessageFilter::default(),
    });
    match bench.finish(token) {
        Ok(Outcome::Peeked(page)) => page
            .messages
            .iter()
            .map(|peeked| String::from_utf8_lossy(&peeked.message.payload).into_owned())
            .collect(),
        other => panic!("{other:?}"),
    }
}

fn attempts(bench: &Bench) -> Vec<(String, u32)> {
    let taker = bench.consume(&topic(), "s");
    bench.settle();
    let taken = taker.take();
    taken.iter().map(|d| (text(d), d.attempt)).collect()
}

#[test]
fn a_kill_changes_neither_places_nor_attempts() {
    let disk = FaultDisk::new();
    let ledger = work(&disk, |bench| {
        let lives = peek(bench);
        let distinct: BTreeSet<&String> = lives.iter().collect();
        assert_eq!(distinct.len(), lives.len());
        assert_eq!(peek(&Bench::open(&disk.killed())), lives);
        let again = attempts(&Bench::open(&disk.killed()));
        // Recovery of a recovered store: its own records are as good as the first ones.
        let twice = disk.killed();
        drop(Bench::open(&twice));
        assert_eq!(attempts(&Bench::open(&twice.killed())), again);
    });
    check(&disk.killed(), &ledger, "without a power loss");
    assert!(
        !disk.files().contains(&"0000000001.seg".to_owned()),
        "the workload frees segments: {:?}",
        disk.files()
    );
    // Attempts go on after a kill as they would without.
    let killed = Bench::open(&disk.killed());
    let lives = Bench::open(&disk.killed());
    drop(lives.consume(&topic(), "s"));
    let _ = attempts(&lives);
    lives.settle();
    let later = attempts(&lives);
    let first: Vec<_> = attempts(&killed);
    assert!(
        later
            .iter()
            .zip(&first)
            .all(|(b, a)| b.0 == a.0 && b.1 > a.1)
    );
}

#[test]
fn a_power_loss_anywhere_leaves_the_latest_of_every_key() {
    let whole = FaultDisk::new();
    work(&whole, |_| {});
    for boundary in 1..=whole.boundaries() {
        let disk = FaultDisk::with_plan(Plan {
            power_loss_at: Some(boundary),
            ..Plan::default()
        });
        let ledger = work(&disk, |_| {});
        for seed in 0..SURVIVALS {
            let story = format!("power loss at {boundary}, survival {seed}");
            check(&disk.survivor(seed), &ledger, &story);
        }
    }
}
