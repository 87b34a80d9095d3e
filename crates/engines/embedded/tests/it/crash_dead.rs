//! Power loss at every boundary of the disk while messages are given up, expire, are delayed
//! and driven back. After each: whatever was confirmed and not acknowledged is there exactly
//! once, in its topic or in the one for dead letters.

use crate::{
    crash::Dice,
    support::{Bench, Taker, ack, config, publish, text},
};
use std::{collections::BTreeMap, time::Duration};
use trunkline_journal::fault::{FaultDisk, Plan};
use trunkline_model::{
    Admin, Clock, Command, Message, MessageFilter, Outcome, PeekFrom, RedriveEdit, RedriveTo, Span,
    TopicName, TopicSettings, When, dead_letter,
};

const ROUNDS: u64 = 30;
const SURVIVALS: u64 = 2;
const STEP: Duration = Duration::from_millis(20);

/// What the client knows of a message.
#[derive(Clone, Debug, Default)]
struct Sent {
    token: u64,
    confirmed: bool,
    expires: bool,
    /// Acks of it that were asked for.
    acks: Vec<u64>,
    acked: bool,
    /// Rejects of it that were asked for, and whether the last one was answered.
    rejects: Vec<u64>,
    rejected: bool,
}

type Ledger = BTreeMap<String, Sent>;

fn name(text: &str) -> TopicName {
    text.parse().expect("a valid name")
}

fn read_answers(bench: &Bench, ledger: &mut Ledger) {
    let is_done = |token: &u64| matches!(bench.result(*token), Some(Ok(Outcome::Done(_))));
    for sent in ledger.values_mut() {
        sent.confirmed |= is_done(&sent.token);
        sent.acked |= sent.acks.iter().any(is_done);
        sent.rejected |= sent.rejects.iter().any(is_done);
    }
}

fn send(bench: &Bench, ledger: &mut Ledger, dice: &mut Dice, round: u64) {
    let mut command = publish(&name("t"), &[]);
    let mut sent = Vec::new();
    if let Command::Publish { messages, .. } = &mut command {
        for n in 0..=dice.roll(3) {
            let text = format!("{round:03}.{n} {}", "x".repeat(dice.roll(9_000) as usize));
            let expires = dice.roll(4) == 0;
            messages.push(Message {
                payload: text.clone().into(),
                expires: expires.then_some(When::After(STEP * 3)),
                deliver: (dice.roll(4) == 0).then_some(When::After(STEP * 2)),
                ..Message::default()
            });
            sent.push((text, expires));
        }
    }
    let token = bench.submit(command);
    for (text, expires) in sent {
        let sent = Sent {
            token,
            expires,
            ..Sent::default()
        };
        ledger.insert(text, sent);
    }
}

fn settle_some(bench: &Bench, ledger: &mut Ledger, dice: &mut Dice, taker: &Taker) {
    for delivery in taker.take() {
        let Some(sent) = ledger.get_mut(&text(&delivery)) else {
            panic!("{} was never sent", delivery.id);
        };
        let at = delivery.message.deliver_at;
        assert!(at.is_none_or(|at| at < bench.clock.now()), "too early");
        let nack = |requeue| Command::Nack {
            consumer: taker.id(),
            tags: [delivery.tag].into_iter().collect(),
            requeue,
            delay: Duration::ZERO,
        };
        match dice.roll(6) {
            0 | 1 => sent
                .acks
                .push(bench.submit(ack(taker.id(), &[delivery.tag]))),
            2 => sent.rejects.push(bench.submit(nack(false))),
            3 | 4 => {
                bench.submit(nack(true));
            }
            _ => {}
        }
    }
}

fn redrive(bench: &Bench) -> u64 {
    bench.admin(Admin::Redrive {
        topic: name("d"),
        filter: MessageFilter::default(),
        to: RedriveTo::Source,
        edit: RedriveEdit::default(),
        from: PeekFrom::Front,
        limit: 3,
    })
}

/// Runs the workload until its end or until the power is gone; what the client knows, and how
/// many dead letters it was told to be back.
fn work(disk: &FaultDisk) -> (Ledger, u64) {
    let (mut ledger, mut redrives) = (Ledger::new(), Vec::new());
    let Ok(bench) = Bench::try_open(config(disk)) else {
        return (ledger, 0);
    };
    let mut dice = Dice(0xdead_1e77_e25e_ed01);
    let settings = TopicSettings {
        dead_letter: Some(name("d")),
        dead_letter_expired: Some(true),
        max_attempts: Some(2),
        ack_timeout: Some(Span(STEP * 4)),
        ..TopicSettings::default()
    };
    bench.admin(Admin::Define {
        topic: name("t"),
        settings,
    });
    let mut taker = bench.consume(&name("t"), "s");
    bench.settle();
    for round in 0..ROUNDS {
        send(&bench, &mut ledger, &mut dice, round);
        if dice.roll(2) > 0 {
            bench.settle();
        }
        settle_some(&bench, &mut ledger, &mut dice, &taker);
        bench.clock.advance(STEP);
        bench.engine.tick();
        if round % 7 == 5 {
            redrives.push(redrive(&bench));
            // What was in flight counts as an attempt.
            taker = bench.consume(&name("t"), "s");
        }
        if dice.roll(2) > 0 {
            bench.settle();
        }
        read_answers(&bench, &mut ledger);
    }
    bench.settle();
    read_answers(&bench, &mut ledger);
    let moved = |token: &u64| match bench.result(*token) {
        Some(Ok(Outcome::Redriven(done))) => done.moved,
        _ => 0,
    };
    let driven = redrives.iter().map(moved).sum();
    (ledger, driven)
}

/// Opens what survived and compares it with what the client knows.
fn check(disk: &FaultDisk, ledger: &Ledger, story: &str) {
    let bench = Bench::open(disk);
    for _ in 0..3 {
        bench.clock.advance(Duration::from_secs(60));
        bench.engine.tick();
        bench.settle();
    }
    let mut places: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    // Both stay: who goes away ends an attempt.
    let takers = ["t", "d"].map(|topic| bench.consume(&name(topic), "s"));
    bench.settle();
    for delivery in takers[0].take() {
        places.entry(text(&delivery)).or_default().push("t");
    }
    for delivery in takers[1].take() {
        let headers = &delivery.message.headers;
        assert_eq!(headers.get(dead_letter::TOPIC), Some("t"), "{story}");
        places.entry(text(&delivery)).or_default().push("d");
    }
    for (text, at) in &places {
        let label = text.split(' ').next().unwrap_or_default();
        let Some(sent) = ledger.get(text) else {
            panic!("{story}: {label} was never sent");
        };
        assert_eq!(at.len(), 1, "{story}: {label} is in {at:?}");
        assert!(!sent.acked, "{story}: {label} came back to {at:?}");
    }
    for (text, sent) in ledger {
        let label = text.split(' ').next().unwrap_or_default();
        let at = places.get(text).map(|at| at[0]);
        let owed = sent.confirmed && sent.acks.is_empty();
        assert!(!owed || at.is_some(), "{story}: {label} is lost: {sent:?}");
        let expired = sent.expires && sent.rejects.is_empty() && sent.acks.is_empty();
        assert!(
            !expired || at != Some("t"),
            "{story}: {label} is over and still in its topic"
        );
    }
    let messages =
        |topic: &str| match bench.finish(bench.admin(Admin::Inspect { topic: name(topic) })) {
            Ok(Outcome::Topic(info)) => info.messages as usize,
            _ => 0,
        };
    let stored = messages("t") + messages("d");
    assert_eq!(stored, places.len(), "{story}: nothing else is stored");
}

#[test]
fn a_power_loss_anywhere_leaves_every_message_in_one_place() {
    let whole = FaultDisk::new();
    let (ledger, driven) = work(&whole);
    assert!(driven > 0, "some went back");
    assert!(ledger.values().all(|sent| sent.confirmed));
    assert!(ledger.values().any(|sent| sent.rejected && !sent.acked));
    check(&whole.killed(), &ledger, "without a power loss");
    for boundary in 1..=whole.boundaries() {
        let disk = FaultDisk::with_plan(Plan {
            power_loss_at: Some(boundary),
            ..Plan::default()
        });
        let (ledger, _) = work(&disk);
        for seed in 0..SURVIVALS {
            let story = format!("power loss at {boundary}, survival {seed}");
            check(&disk.survivor(seed), &ledger, &story);
        }
    }
}
