//! Power loss at every boundary of the disk during a workload, with several outcomes for
//! what was not synced. After each: no confirmed message lost, no settled and durably
//! answered one back, order kept, nothing invented, identities fresh.

use crate::support::{Bench, Taker, ack, config, publish, text};
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};
use trunkline_journal::fault::{FaultDisk, Plan};
use trunkline_model::{
    Admin, Command, ConsumerId, Delivery, MessageId, Outcome, Priority, SubscriptionSettings,
    TopicName, TopicSettings,
};

const SUBSCRIPTIONS: [&str; 2] = ["a", "b"];
const ROUNDS: u64 = 90;
const SURVIVALS: u64 = 3;

/// A small generator: the workload is the same in every run.
pub(crate) struct Dice(pub(crate) u64);

impl Dice {
    pub(crate) fn roll(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % sides
    }
}

/// What became of a message, as far as the client knows.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sent {
    token: u64,
    pub(crate) confirmed: Option<MessageId>,
    /// By subscription: an ack or purge was asked for, it may be gone.
    may_be_gone: BTreeSet<&'static str>,
    /// By subscription: that was answered, it must be gone.
    is_gone: BTreeSet<&'static str>,
}

/// What the client did and was told.
#[derive(Default)]
pub(crate) struct Ledger {
    pub(crate) messages: BTreeMap<String, Sent>,
    /// Token of an ack or purge, subscription, messages.
    settling: Vec<(u64, &'static str, Vec<String>)>,
    pub(crate) subscribed: BTreeMap<&'static str, u64>,
}

impl Ledger {
    /// Learns what was answered.
    pub(crate) fn read_answers(&mut self, bench: &Bench) {
        let mut confirmed: BTreeMap<u64, Vec<&mut Sent>> = BTreeMap::new();
        for sent in self
            .messages
            .values_mut()
            .filter(|sent| sent.confirmed.is_none())
        {
            confirmed.entry(sent.token).or_default().push(sent);
        }
        for (token, sent) in confirmed {
            if let Some(Ok(Outcome::Done(receipt))) = bench.result(token) {
                assert_eq!(receipt.ids.len(), sent.len());
                let mut ids: Vec<MessageId> = receipt.ids.to_vec();
                ids.sort_unstable();
                // Texts are numbered like messages.
                for (sent, id) in sent.into_iter().zip(ids) {
                    sent.confirmed = Some(id);
                }
            }
        }
        let (answered, waiting): (Vec<_>, Vec<_>) = std::mem::take(&mut self.settling)
            .into_iter()
            .partition(|(token, ..)| matches!(bench.result(*token), Some(Ok(_))));
        self.settling = waiting;
        for (_, subscription, texts) in answered {
            for text in texts {
                if let Some(sent) = self.messages.get_mut(&text) {
                    sent.is_gone.insert(subscription);
                }
            }
        }
    }

    pub(crate) fn settle(&mut self, token: u64, subscription: &'static str, texts: Vec<String>) {
        for text in &texts {
            if let Some(sent) = self.messages.get_mut(text) {
                sent.may_be_gone.insert(subscription);
            }
        }
        self.settling.push((token, subscription, texts));
    }
}

pub(crate) fn topic() -> TopicName {
    "t".parse().expect("a valid name")
}

/// Runs the workload until its end or until the power is gone; what the client knows.
fn work(disk: &FaultDisk) -> Ledger {
    let mut ledger = Ledger::default();
    let Ok(bench) = Bench::try_open(config(disk)) else {
        return ledger;
    };
    let mut dice = Dice(0x5eed_cafe_f00d_d1ce);
    let settings = TopicSettings {
        priorities: Some(3),
        ..TopicSettings::default()
    };
    let define = bench.admin(Admin::Define {
        topic: topic(),
        settings,
    });
    let first = subscribe(&bench, &mut ledger, "a");
    bench.settle();
    let mut takers = vec![("a", bench.consume(&topic(), "a"))];
    let mut held: BTreeMap<&str, Vec<Delivery>> = BTreeMap::new();
    for round in 0..ROUNDS {
        if round == ROUNDS / 4 {
            subscribe(&bench, &mut ledger, "b");
            bench.settle();
            takers.push(("b", bench.consume(&topic(), "b")));
        }
        send(&bench, &mut ledger, &mut dice, round);
        if dice.roll(3) > 0 {
            bench.settle();
        }
        for (subscription, taker) in &takers {
            let held = held.entry(subscription).or_default();
            held.extend(taker.take());
            settle_some(&bench, &mut ledger, &mut dice, subscription, taker, held);
        }
        if round == ROUNDS / 2 {
            purge(&bench, &mut ledger, &mut takers, &mut held);
        }
        if dice.roll(2) > 0 {
            bench.settle();
        }
        ledger.read_answers(&bench);
    }
    bench.settle();
    ledger.read_answers(&bench);
    let _ = (bench.result(define), bench.result(first));
    ledger
}

pub(crate) fn subscribe(bench: &Bench, ledger: &mut Ledger, subscription: &'static str) -> u64 {
    let token = bench.admin(Admin::Subscribe {
        topic: topic(),
        subscription: subscription.parse().expect("a valid name"),
        from: None,
        settings: SubscriptionSettings::default(),
    });
    bench.settle();
    if matches!(bench.result(token), Some(Ok(_))) {
        ledger
            .subscribed
            .insert(subscription, ledger.messages.len() as u64);
    }
    token
}

pub(crate) fn send(bench: &Bench, ledger: &mut Ledger, dice: &mut Dice, round: u64) {
    let mut command = publish(&topic(), &[]);
    let mut texts = Vec::new();
    if let Command::Publish { messages, .. } = &mut command {
        for n in 0..=dice.roll(3) {
            let length = dice.roll(12_000) as usize;
            let text = format!("{round:03}.{n} {}", "x".repeat(length));
            let message = trunkline_model::Message {
                payload: text.clone().into(),
                priority: Some(Priority(dice.roll(3) as u8)),
                ..Default::default()
            };
            messages.push(message);
            texts.push(text);
        }
    }
    let token = bench.submit(command);
    for text in texts {
        let sent = Sent {
            token,
            ..Sent::default()
        };
        ledger.messages.insert(text, sent);
    }
}

/// Acknowledges most of what is held, returns some of the rest.
pub(crate) fn settle_some(
    bench: &Bench,
    ledger: &mut Ledger,
    dice: &mut Dice,
    subscription: &'static str,
    taker: &Taker,
    held: &mut Vec<Delivery>,
) {
    let (acked, rest): (Vec<_>, Vec<_>) = held.drain(..).partition(|_| dice.roll(4) > 0);
    if !acked.is_empty() {
        let tags: Vec<_> = acked.iter().map(|delivery| delivery.tag).collect();
        let token = bench.submit(ack(taker.id(), &tags));
        ledger.settle(token, subscription, acked.iter().map(text).collect());
    }
    let (given_up, rest): (Vec<_>, Vec<_>) = rest.into_iter().partition(|_| dice.roll(6) == 0);
    if !given_up.is_empty() {
        let token = bench.submit(nack(taker.id(), &given_up, false));
        ledger.settle(token, subscription, given_up.iter().map(text).collect());
    }
    let (back, rest): (Vec<_>, Vec<_>) = rest.into_iter().partition(|_| dice.roll(3) == 0);
    if !back.is_empty() {
        bench.submit(nack(taker.id(), &back, true));
    }
    *held = rest;
}

pub(crate) fn nack(consumer: ConsumerId, deliveries: &[Delivery], requeue: bool) -> Command {
    Command::Nack {
        consumer,
        tags: deliveries.iter().map(|delivery| delivery.tag).collect(),
        requeue,
        delay: Duration::ZERO,
    }
}

/// Ends the consumers, so that all that is left waits, and empties subscription `b`.
fn purge(
    bench: &Bench,
    ledger: &mut Ledger,
    takers: &mut Vec<(&'static str, Taker)>,
    held: &mut BTreeMap<&str, Vec<Delivery>>,
) {
    let subscriptions: Vec<&'static str> = takers.drain(..).map(|(name, _)| name).collect();
    held.clear();
    let token = bench.admin(Admin::Purge {
        topic: topic(),
        subscription: Some("b".parse().expect("a valid name")),
    });
    let all = ledger.messages.keys().cloned().collect();
    ledger.settle(token, "b", all);
    takers.extend(
        subscriptions
            .iter()
            .map(|name| (*name, bench.consume(&topic(), name))),
    );
}

/// Opens what survived and compares it with what the client knows.
pub(crate) fn check(disk: &FaultDisk, ledger: &Ledger, story: &str) {
    let bench = Bench::open(disk);
    let mut newest = None;
    for subscription in SUBSCRIPTIONS {
        let Some(known) = ledger.subscribed.get(subscription) else {
            continue;
        };
        let taker = bench.consume(&topic(), subscription);
        bench.settle();
        let deliveries = taker.take();
        assert!(taker.has_started(), "{story}");
        check_order(&deliveries, story);
        let mut back = BTreeSet::new();
        for delivery in &deliveries {
            let text = text(delivery);
            let label = text.split(' ').next().unwrap_or_default();
            let Some(sent) = ledger.messages.get(&text) else {
                panic!("{story}: {label} was never sent");
            };
            assert!(
                sent.confirmed.is_none_or(|id| id == delivery.id),
                "{story}: {label}"
            );
            assert!(
                !sent.is_gone.contains(subscription),
                "{story}: {label} came back to {subscription}"
            );
            assert!(back.insert(text.clone()), "{story}: {label} is there twice");
            newest = newest.max(Some(delivery.id));
        }
        for (n, (text, sent)) in ledger.messages.iter().enumerate() {
            newest = newest.max(sent.confirmed);
            let label = text.split(' ').next().unwrap_or_default();
            let owed = sent.confirmed.is_some()
                && n as u64 >= *known
                && !sent.may_be_gone.contains(subscription);
            assert!(
                !owed || back.contains(text),
                "{story}: {label} was confirmed and is lost for {subscription}"
            );
        }
    }
    let token = bench.submit(publish(&topic(), &["fresh"]));
    let Ok(Outcome::Done(receipt)) = bench.finish(token) else {
        panic!("{story}: it serves again");
    };
    assert!(
        receipt.ids.first().copied() > newest,
        "{story}: a fresh identity"
    );
}

fn check_order(deliveries: &[Delivery], story: &str) {
    let position = |delivery: &Delivery| (delivery.message.priority, delivery.id);
    assert!(
        deliveries.iter().map(position).is_sorted(),
        "{story}: order"
    );
}

#[test]
fn a_power_loss_anywhere_loses_nothing_confirmed_and_brings_nothing_back() {
    let whole = FaultDisk::new();
    let ledger = work(&whole);
    let confirmed = ledger
        .messages
        .values()
        .filter(|sent| sent.confirmed.is_some());
    assert_eq!(confirmed.count(), ledger.messages.len());
    assert_eq!(ledger.subscribed.len(), SUBSCRIPTIONS.len());
    check(&whole.killed(), &ledger, "without a power loss");
    assert!(
        !whole.files().contains(&"0000000001.seg".to_owned()),
        "the workload frees segments: {:?}",
        whole.files()
    );
    for boundary in 1..=whole.boundaries() {
        let disk = FaultDisk::with_plan(Plan {
            power_loss_at: Some(boundary),
            ..Plan::default()
        });
        let ledger = work(&disk);
        for seed in 0..SURVIVALS {
            let story = format!("power loss at {boundary}, survival {seed}");
            let survivor = disk.survivor(seed);
            if seed == 0 {
                // One that only looked before, and lost its power too, changes nothing.
                drop(Bench::open(&survivor));
                let story = format!("{story}, opened twice");
                check(&survivor.survivor(boundary), &ledger, &story);
            }
            check(&survivor, &ledger, &story);
        }
    }
}

/// The checker must be able to fail: with syncs that do nothing, something that was
/// confirmed is lost somewhere.
#[test]
fn the_checker_finds_a_disk_that_lies_about_syncs() {
    let disk = FaultDisk::with_plan(Plan {
        ignore_syncs: true,
        ..Plan::default()
    });
    let ledger = work(&disk);
    let found = (0..10).any(|seed| {
        let survivor = disk.survivor(seed);
        let checked = std::panic::catch_unwind(|| check(&survivor, &ledger, "a lying disk"));
        checked.is_err()
    });
    assert!(found);
}
