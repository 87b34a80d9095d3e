//! Histories from seeds: a table of operations with weights.

use crate::{
    op::{Back, Consume, Mask, Op, Publish},
    rng::Rng,
    world::grave_name,
};
use std::time::Duration;
use trunkline_model::{Dedupe, Durability, Overflow, Retry, Span, TopicSettings, Unsubscribed};

/// Operations of a history, at least and at most.
const LENGTH: (u64, u64) = (60, 220);

/// What kind of world a seed makes.
#[derive(Clone, Copy, Debug)]
struct Climate {
    topics: u64,
    subs: u64,
    slots: u64,
    /// Payload bytes of most messages, at most.
    bytes: u64,
    /// One so many times smaller is the smallest.
    spread: u64,
    /// One of so many operations ends an engine.
    ends: u64,
    /// Whether writes and syncs fail, and whether the disk runs full.
    fails: bool,
    fills: bool,
    /// One of so many publishes has a group.
    groups: u64,
    /// Whether what is given up goes to a topic for dead letters.
    buries: bool,
    /// Whether somebody sets the clock.
    jumps: bool,
}

type Make = fn(&mut Rng, &Climate) -> Op;

/// How often an operation comes, and how it is made.
const TABLE: &[(u64, Make)] = &[
    (30, publish),
    (24, |_, _| Op::Step),
    (10, |_, _| Op::Settle),
    (12, consume),
    (24, |rng, climate| {
        Op::Ack(slot(rng, climate), mask(rng), rng.once_in(3))
    }),
    (7, |rng, climate| {
        let delay = if rng.once_in(2) {
            rng.within(1, 3_000)
        } else {
            0
        };
        Op::Return(slot(rng, climate), mask(rng), delay)
    }),
    (3, |rng, climate| Op::Reject(slot(rng, climate), mask(rng))),
    (10, |rng, climate| match climate.buries {
        true if rng.once_in(6) => Op::LookAtGrave(rng.below(2) as u8),
        true if rng.once_in(2) => {
            let back = match rng.below(3) {
                0 => Back::Pit,
                1 => Back::Topic(topic(rng, climate)),
                _ => Back::Source,
            };
            Op::Redrive(rng.within(1, 8), back)
        }
        true => Op::Reject(slot(rng, climate), mask(rng)),
        false => Op::Step,
    }),
    (3, |rng, climate| {
        Op::Extend(slot(rng, climate), mask(rng), rng.within(1, 4_000))
    }),
    (4, |rng, climate| {
        let publish = content(rng, climate);
        Op::Batch(slot(rng, climate), mask(rng), topic(rng, climate), publish)
    }),
    (2, |rng, climate| Op::Late(slot(rng, climate))),
    (4, |rng, climate| Op::Cancel(slot(rng, climate))),
    (3, |rng, climate| {
        Op::Credit(slot(rng, climate), rng.below(12) as u32)
    }),
    (10, wait),
    (2, jump),
    (3, |rng, climate| {
        Op::Look(topic(rng, climate), sub(rng, climate))
    }),
    (3, |rng, climate| {
        let topic = topic(rng, climate);
        define(rng, climate, topic)
    }),
    (5, |rng, climate| {
        let from = rng.pick(&[None, None, Some(true), Some(false)]);
        Op::Subscribe(topic(rng, climate), sub(rng, climate), from)
    }),
    (1, |rng, climate| {
        Op::Unsubscribe(topic(rng, climate), sub(rng, climate))
    }),
    (2, |rng, climate| {
        let topic = topic(rng, climate);
        alter(rng, topic)
    }),
    (1, |_, _| Op::Backup),
    (1, |rng, climate| Op::Delete(topic(rng, climate))),
    (1, |rng, climate| {
        let sub = (!rng.once_in(3)).then(|| sub(rng, climate));
        Op::Purge(topic(rng, climate), sub)
    }),
    (4, trouble),
];

/// The history of a seed.
#[must_use]
pub fn history(seed: u64) -> Vec<Op> {
    let mut rng = Rng::new(seed);
    let climate = Climate {
        topics: rng.within(1, 3),
        subs: rng.within(1, 3),
        slots: rng.within(1, 4),
        bytes: rng.pick(&[300, 6_000, 24_000, 50_000, 70_000]),
        // Few differ little, so that the log is long.
        spread: rng.pick(&[2, 100, 100_000]),
        ends: rng.pick(&[8, 16, 40]),
        fails: rng.once_in(3),
        fills: rng.once_in(4),
        groups: rng.pick(&[2, 6, 1_000, 1_000]),
        jumps: rng.once_in(3),
        buries: rng.once_in(3),
    };
    let length = rng.within(LENGTH.0, LENGTH.1);
    let mut ops = Vec::new();
    if climate.buries {
        ops.push(Op::Grave(0));
        ops.push(Op::Grave(1));
    }
    for number in 0..climate.topics as u8 {
        ops.push(define(&mut rng, &climate, number));
        ops.push(Op::Subscribe(number, 0, None));
    }
    let total: u64 = TABLE.iter().map(|(weight, _)| weight).sum();
    while (ops.len() as u64) < length {
        let op = match rng.once_in(climate.ends) {
            true => end(&mut rng),
            false => {
                let mut at = rng.below(total);
                let found = TABLE.iter().find(|(weight, _)| {
                    let is_here = at < *weight;
                    at = at.saturating_sub(*weight);
                    is_here
                });
                match found {
                    Some((_, make)) => make(&mut rng, &climate),
                    None => Op::Step,
                }
            }
        };
        ops.push(op);
    }
    ops
}

fn topic(rng: &mut Rng, climate: &Climate) -> u8 {
    rng.below(climate.topics) as u8
}

fn sub(rng: &mut Rng, climate: &Climate) -> u8 {
    rng.below(climate.subs) as u8
}

fn slot(rng: &mut Rng, climate: &Climate) -> u8 {
    rng.below(climate.slots) as u8
}

fn mask(rng: &mut Rng) -> Mask {
    match rng.once_in(2) {
        true => Mask::all(),
        false => Mask::new(rng.any() as u8, rng.within(1, 6) as u8),
    }
}

fn publish(rng: &mut Rng, climate: &Climate) -> Op {
    let publish = content(rng, climate);
    Op::Publish(topic(rng, climate), publish)
}

fn content(rng: &mut Rng, climate: &Climate) -> Publish {
    let few = [0, 0, 1, 1, 2, 5];
    Publish {
        count: 1 + rng.pick(&few),
        bytes: rng.within(climate.bytes / climate.spread, climate.bytes),
        priority: (!rng.once_in(3)).then(|| rng.below(4) as u8),
        key: rng.once_in(2).then(|| rng.below(4) as u8),
        group: rng.once_in(climate.groups).then(|| rng.below(3) as u8),
        ttl: rng.once_in(6).then(|| rng.within(1, 4_000)),
        delay: rng.once_in(6).then(|| rng.within(1, 3_000)),
        id: rng.once_in(6).then(|| rng.below(6) as u8),
    }
}

fn consume(rng: &mut Rng, climate: &Climate) -> Op {
    let mut sources = vec![(topic(rng, climate), sub(rng, climate))];
    if rng.once_in(4) {
        sources.push((topic(rng, climate), sub(rng, climate)));
    }
    let consume = Consume {
        credit: rng.pick(&[1, 2, 5, 20, 1_000, 1_000]),
        window: rng.once_in(4).then(|| rng.within(1, 20_000)),
        auto: rng.once_in(12),
    };
    Op::Consume(slot(rng, climate), sources, consume)
}

fn wait(rng: &mut Rng, _: &Climate) -> Op {
    let ms = match rng.below(12) {
        0 => 61_000,
        1 => 121_000,
        2..6 => rng.within(1_000, 4_000),
        _ => rng.within(1, 600),
    };
    Op::Wait {
        ms,
        tick: !rng.once_in(4),
    }
}

fn jump(rng: &mut Rng, climate: &Climate) -> Op {
    let spans = [-86_400_000, -60_000, -900, 700, 30_000, 3_600_000];
    match climate.jumps {
        true => Op::Jump(rng.pick(&spans)),
        false => Op::Step,
    }
}

fn define(rng: &mut Rng, climate: &Climate, topic: u8) -> Op {
    let buries = climate.buries && !rng.once_in(4);
    let gives_up = if buries {
        rng.once_in(2)
    } else {
        rng.once_in(8)
    };
    let span = |ms| Some(Span(Duration::from_millis(ms)));
    let durabilities = [
        None,
        None,
        None,
        None,
        Some(Durability::Commit),
        Some(Durability::Interval),
        Some(Durability::Interval),
        Some(Durability::Memory),
    ];
    let settings = TopicSettings {
        priorities: rng.once_in(2).then(|| rng.within(1, 4) as u16),
        dedupe: rng.pick(&[
            None,
            None,
            None,
            Some(Dedupe::Latest),
            Some(Dedupe::Latest),
            Some(Dedupe::First),
        ]),
        ttl: span(rng.within(500, 8_000)).filter(|_| rng.once_in(6)),
        ack_timeout: span(rng.within(200, 3_000)).filter(|_| rng.once_in(2)),
        retry: rng.once_in(4).then(|| retry(rng)),
        max_messages: rng.once_in(4).then(|| rng.within(1, 30)),
        durability: rng.pick(&durabilities),
        unsubscribed: rng.pick(&[
            None,
            None,
            None,
            Some(Unsubscribed::Drop),
            Some(Unsubscribed::Reject),
        ]),
        overflow: rng.once_in(2).then_some(Overflow::DropOldest),
        max_attempts: gives_up.then(|| rng.within(1, 4) as u32),
        dead_letter: buries.then(|| grave_name(0)),
        dead_letter_expired: (buries && rng.once_in(2)).then_some(true),
        ..TopicSettings::default()
    };
    Op::Topic(topic, Box::new(settings))
}

fn retry(rng: &mut Rng) -> Retry {
    let min = Duration::from_millis(rng.within(1, 1_000));
    Retry {
        min: Span(min),
        max: Span(min * rng.within(1, 8) as u32),
    }
}

/// What can be altered whatever a topic holds.
fn alter(rng: &mut Rng, topic: u8) -> Op {
    let span = |ms| Some(Span(Duration::from_millis(ms)));
    let mut settings = TopicSettings::default();
    match rng.below(4) {
        0 => settings.ttl = span(rng.within(500, 8_000)),
        1 => settings.ack_timeout = span(rng.within(0, 3_000)),
        2 => settings.retry = Some(retry(rng)),
        _ => settings.max_messages = Some(rng.within(1, 60)),
    }
    Op::Alter(topic, Box::new(settings))
}

/// Something is about to go wrong with the disk, or gets well again.
fn trouble(rng: &mut Rng, climate: &Climate) -> Op {
    match rng.below(6) {
        0 if climate.fails => Op::FailWrite(rng.below(6)),
        1 if climate.fails => Op::FailSync(rng.below(4)),
        2 if climate.fails => Op::FailRead(rng.below(6)),
        3 if climate.fills => Op::Full(rng.below(600)),
        4 if climate.fills => Op::Space,
        _ => Op::Step,
    }
}

/// An engine ends.
fn end(rng: &mut Rng) -> Op {
    match rng.below(12) {
        0..3 => Op::Power(0, survival(rng)),
        3..7 => Op::Power(rng.within(1, 12), survival(rng)),
        7..9 => Op::Kill,
        9 | 10 => Op::Stop,
        _ => Op::Flip(rng.any() >> 40),
    }
}

/// What survives a power loss: nothing, everything, or something.
fn survival(rng: &mut Rng) -> u64 {
    match rng.below(6) {
        few @ 0..2 => few,
        _ => 2 + rng.below(10_000),
    }
}
