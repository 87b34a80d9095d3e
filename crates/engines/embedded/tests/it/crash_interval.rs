//! Power loss at every boundary of the disk under a topic with `durability: interval`, next
//! to one with `commit`. A kill loses nothing that was confirmed; a power loss takes at most
//! the end of the log, and nothing that a confirmed commit followed.

use crate::{
    crash::Dice,
    support::{Bench, Taker, ack, config, publish, text},
};
use std::collections::BTreeSet;
use trunkline_journal::fault::{FaultDisk, Plan};
use trunkline_model::{Admin, Delivery, Durability, Outcome, TopicName, TopicSettings};

const ROUNDS: u64 = 100;
const SURVIVALS: u64 = 4;
/// With this seed everything that was written survives: a kill.
const KILL: u64 = 1;

#[derive(Debug)]
struct Sent {
    text: String,
    token: u64,
    is_confirmed: bool,
    ack: Option<u64>,
    is_acked: bool,
}

/// Tokens grow with every command, so they say what came before what.
#[derive(Default)]
struct Ledger {
    sent: Vec<Sent>,
    commits: Vec<u64>,
    /// The last commit that was confirmed: all commands before it are durable.
    synced: u64,
}

impl Ledger {
    fn read_answers(&mut self, bench: &Bench) {
        for sent in &mut self.sent {
            sent.is_confirmed |= matches!(bench.result(sent.token), Some(Ok(_)));
            if let Some(token) = sent.ack {
                sent.is_acked |= matches!(
                    bench.result(token),
                    Some(Ok(Outcome::Done(receipt))) if receipt.acked == 1
                );
            }
        }
        let confirmed = |token: &&u64| matches!(bench.result(**token), Some(Ok(_)));
        let newest = self.commits.iter().filter(confirmed).max();
        self.synced = self.synced.max(newest.copied().unwrap_or(0));
    }
}

fn topics(bench: &Bench) -> Option<(TopicName, TopicName)> {
    let names = ["i", "c"].map(|name| name.parse().expect("a valid name"));
    let [interval, commit]: [TopicName; 2] = names;
    for (topic, durability) in [
        (&interval, Durability::Interval),
        (&commit, Durability::Commit),
    ] {
        let token = bench.admin(Admin::Define {
            topic: topic.clone(),
            settings: TopicSettings {
                durability: Some(durability),
                ..TopicSettings::default()
            },
        });
        bench.settle();
        if !matches!(bench.result(token), Some(Ok(_))) {
            return None;
        }
    }
    Some((interval, commit))
}

/// Runs the workload until its end or until the power is gone; what the client knows.
fn work(disk: &FaultDisk) -> Ledger {
    let mut ledger = Ledger::default();
    let Ok(bench) = Bench::try_open(config(disk)) else {
        return ledger;
    };
    let Some((interval, commit)) = topics(&bench) else {
        return ledger;
    };
    let mut dice = Dice(0xbead_5eed_0fc0_ffee);
    let taker = bench.consume(&interval, "s");
    bench.settle();
    let mut held: Vec<Delivery> = Vec::new();
    for round in 0..ROUNDS {
        let text = format!("{round:03} {}", "x".repeat(dice.roll(20_000) as usize));
        let token = bench.submit(publish(&interval, &[&text]));
        ledger.sent.push(Sent {
            text,
            token,
            is_confirmed: false,
            ack: None,
            is_acked: false,
        });
        if dice.roll(2) > 0 {
            bench.settle();
        }
        held.extend(taker.take());
        ack_some(&bench, &mut ledger, &mut dice, &taker, &mut held);
        if dice.roll(6) == 0 {
            ledger.commits.push(bench.submit(publish(&commit, &["c"])));
        }
        if dice.roll(2) > 0 {
            bench.settle();
        }
        if round % 10 == 0 {
            // Nobody takes them, and they would keep their segments.
            bench.admin(Admin::Purge {
                topic: commit.clone(),
                subscription: None,
            });
        }
        ledger.read_answers(&bench);
    }
    bench.settle();
    ledger.read_answers(&bench);
    ledger
}

fn ack_some(
    bench: &Bench,
    ledger: &mut Ledger,
    dice: &mut Dice,
    taker: &Taker,
    held: &mut Vec<Delivery>,
) {
    for delivery in std::mem::take(held) {
        if dice.roll(3) == 0 {
            held.push(delivery);
            continue;
        }
        let token = bench.submit(ack(taker.id(), &[delivery.tag]));
        let text = text(&delivery);
        let sent = ledger.sent.iter_mut().find(|sent| sent.text == text);
        sent.expect("it was sent").ack = Some(token);
    }
}

/// Opens what survived and compares it with what the client knows.
fn check(disk: &FaultDisk, ledger: &Ledger, is_kill: bool, story: &str) {
    let bench = Bench::open(disk);
    let Some((interval, _)) = topics(&bench) else {
        panic!("{story}: it serves again");
    };
    let taker = bench.consume(&interval, "s");
    bench.settle();
    let deliveries = taker.take();
    assert!(
        deliveries.iter().map(|d| d.id).is_sorted(),
        "{story}: order"
    );
    let back: BTreeSet<String> = deliveries.iter().map(text).collect();
    assert_eq!(back.len(), deliveries.len(), "{story}: twice");
    let is_known = |text: &String| ledger.sent.iter().any(|sent| sent.text == *text);
    assert!(back.iter().all(is_known), "{story}: invented");
    let mut first_lost = None;
    for (n, sent) in ledger.sent.iter().enumerate() {
        let is_back = back.contains(&sent.text);
        let must_be_gone = match sent.ack {
            Some(token) => token < ledger.synced || (is_kill && sent.is_acked),
            None => false,
        };
        assert!(!(is_back && must_be_gone), "{story}: {n} is back");
        let must_be_there =
            sent.ack.is_none() && (sent.token < ledger.synced || (is_kill && sent.is_confirmed));
        assert!(is_back || !must_be_there, "{story}: {n} is lost");
        // What is lost is the end, not something in between.
        if sent.ack.is_none() && !is_back {
            first_lost = first_lost.or(Some(n));
        }
        assert!(
            !is_back || first_lost.is_none(),
            "{story}: {n} is there without {first_lost:?}"
        );
    }
}

#[test]
fn a_power_loss_takes_at_most_what_was_not_synced_and_a_kill_nothing() {
    let whole = FaultDisk::new();
    let ledger = work(&whole);
    assert!(ledger.sent.iter().all(|sent| sent.is_confirmed));
    check(&whole.killed(), &ledger, true, "without a power loss");
    assert!(
        !whole.files().contains(&"0000000001.seg".to_owned()),
        "the workload frees segments: {:?}",
        whole.files()
    );
    let mut lost_some = false;
    for boundary in 1..=whole.boundaries() {
        let disk = FaultDisk::with_plan(Plan {
            power_loss_at: Some(boundary),
            ..Plan::default()
        });
        let ledger = work(&disk);
        lost_some |= ledger
            .sent
            .iter()
            .any(|sent| sent.is_confirmed && sent.token > ledger.synced);
        for seed in 0..SURVIVALS {
            let story = format!("power loss at {boundary}, survival {seed}");
            check(&disk.survivor(seed), &ledger, seed == KILL, &story);
        }
    }
    assert!(lost_some, "something is confirmed before it is synced");
}
