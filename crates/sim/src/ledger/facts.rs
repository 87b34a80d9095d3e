//! What a client knows: of a message, of its standing in a subscription, of a consumer.

use std::{collections::BTreeMap, sync::LazyLock};
use trunkline_model::{Durability, MessageId, Timestamp, TopicOptions};

/// A moment of a history: grows with everything that happens.
pub(crate) type Moment = u64;

/// The place of the messages of a topic without subscriptions.
pub(crate) const KEPT: u8 = u8::MAX;

/// Whether a message was stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stored {
    /// Taken by the engine that runs.
    Taken,
    /// Certainly: it was confirmed, or seen after a restart.
    Yes,
    /// Nobody knows: there was a crash before the answer.
    Unknown,
    /// No: its publish was lost in a crash, or it was in memory.
    No,
    /// There was no subscription, and it wasn't kept.
    Dropped,
    /// Its publish id stood for an earlier message.
    Repeats(usize),
}

/// A message as it was published. Its number in the ledger is in its payload.
#[derive(Clone, Debug)]
pub(crate) struct Sent {
    pub(crate) topic: u8,
    /// Which topic of that name.
    pub(crate) life: u64,
    pub(crate) bytes: u64,
    pub(crate) key: Option<u8>,
    pub(crate) group: Option<u8>,
    pub(crate) priority: u8,
    pub(crate) publish_id: Option<u8>,
    pub(crate) expires_at: Option<Timestamp>,
    pub(crate) deliver_at: Option<Timestamp>,
    pub(crate) at: Timestamp,
    pub(crate) moment: Moment,
    pub(crate) token: u64,
    pub(crate) id: Option<MessageId>,
    pub(crate) stored: Stored,
    pub(crate) is_confirmed: bool,
    /// Its topic is in memory.
    pub(crate) is_memory: bool,
}

impl Sent {
    pub(crate) fn is_over(&self, now: Timestamp) -> bool {
        self.expires_at.is_some_and(|at| at < now)
    }
}

/// What payloads are filled with: the alphabet, as often as the longest needs it.
static FILLING: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let alphabet: Vec<u8> = (b'a'..=b'z').collect();
    alphabet.repeat(4 << 10)
});

/// The payload of a message: its number, and a filling that depends on it.
pub(crate) fn payload(number: usize, bytes: u64) -> Vec<u8> {
    let mut payload = format!("m{number} ").into_bytes();
    let missing = (bytes as usize).saturating_sub(payload.len());
    let from = number % 26;
    let end = (from + missing).min(FILLING.len());
    payload.extend_from_slice(&FILLING[from..end]);
    payload
}

/// The number in a payload.
pub(crate) fn number_in(payload: &[u8]) -> Option<usize> {
    let digits = payload.strip_prefix(b"m")?;
    let end = digits.iter().position(|byte| *byte == b' ')?;
    std::str::from_utf8(&digits[..end]).ok()?.parse().ok()
}

/// Why a message left a subscription.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Why {
    /// It was acknowledged, given up or purged.
    Settled,
    /// A full topic made room.
    Dropped,
    /// A newer version came.
    Replaced(usize),
}

/// Whether a subscription owes a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Owed {
    Certainly,
    Perhaps,
    No { since: Moment, why: Why },
}

/// Where a message is in a subscription.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// Available.
    Waiting { since: Moment },
    /// Returned with a delay.
    Delayed { until: Timestamp },
    /// A consumer has it.
    Held { slot: u8 },
    /// Any of these.
    Unsure,
}

/// A message in a subscription.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Standing {
    pub(crate) owed: Owed,
    pub(crate) place: Place,
    /// Priority and rank, if known.
    pub(crate) position: Option<(u8, u64)>,
    /// The longest delay that was asked for: after a crash and a clock that was set back, it may hold again.
    pub(crate) delay: Option<Timestamp>,
    /// The attempt that was seen last, and when.
    pub(crate) attempt: u32,
    pub(crate) attempt_at: Moment,
    /// Whether every attempt so far was seen.
    pub(crate) is_exact: bool,
    /// The last attempt that is durable.
    pub(crate) floor: u32,
    /// It was owed before this newer version came: one of the two is there.
    pub(crate) or_newer: Option<usize>,
    /// Somebody saw it or asked for its removal.
    pub(crate) is_touched: bool,
}

impl Standing {
    pub(crate) fn waiting(since: Moment, position: Option<(u8, u64)>) -> Self {
        Self {
            owed: Owed::Certainly,
            place: Place::Waiting { since },
            position,
            delay: None,
            attempt: 0,
            attempt_at: since,
            is_exact: true,
            floor: 0,
            or_newer: None,
            is_touched: false,
        }
    }

    pub(crate) fn is_gone(&self) -> bool {
        matches!(self.owed, Owed::No { .. })
    }

    /// It may have left.
    pub(crate) fn doubt(&mut self) {
        (self.owed, self.place, self.is_touched) = (Owed::Perhaps, Place::Unsure, true);
    }

    pub(crate) fn leave(&mut self, since: Moment, why: Why) {
        if !self.is_gone() {
            self.or_newer = match (why, self.owed) {
                (Why::Replaced(newer), Owed::Certainly) => Some(newer),
                _ => None,
            };
            self.owed = Owed::No { since, why };
        }
    }

    /// Notes an attempt.
    pub(crate) fn attempted(&mut self, attempt: u32, at: Moment, durable: Moment) {
        if self.attempt_at <= durable {
            self.floor = self.attempt;
        }
        (self.attempt, self.attempt_at, self.is_exact) = (attempt, at, true);
        self.is_touched = true;
    }

    /// Everything that isn't durable is unknown.
    pub(crate) fn crashed(&mut self, durable: Moment) {
        if self.attempt_at <= durable {
            self.floor = self.attempt.max(self.floor);
        }
        (self.attempt, self.is_exact) = (self.floor, false);
        self.place = Place::Unsure;
        if let Owed::No { since, .. } = self.owed
            && since > durable
        {
            self.owed = Owed::Perhaps;
        }
    }
}

/// A subscription.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sub {
    pub(crate) standings: BTreeMap<usize, Standing>,
    /// A consumer settles at hand-over.
    pub(crate) is_auto: bool,
}

/// A topic.
#[derive(Clone, Debug)]
pub(crate) struct Topic {
    pub(crate) life: u64,
    pub(crate) options: TopicOptions,
    /// The highest bound that it ever had: what was stored under it stays.
    pub(crate) bound: Option<u64>,
    pub(crate) number: Option<u32>,
    pub(crate) subs: BTreeMap<u8, Sub>,
}

impl Topic {
    pub(crate) fn has_subscriptions(&self) -> bool {
        self.subs.keys().any(|sub| *sub != KEPT)
    }

    pub(crate) fn is_memory(&self) -> bool {
        self.options.durability == Durability::Memory
    }
}

/// A delivery that a consumer was given.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Held {
    pub(crate) tag: u64,
    pub(crate) attempt: u32,
    pub(crate) message: usize,
    pub(crate) topic: u8,
    pub(crate) sub: u8,
    /// Its time-out is between these.
    pub(crate) deadline: Option<(Timestamp, Timestamp)>,
    /// It was taken away: timed out, replaced, over.
    pub(crate) is_forgotten: bool,
    /// It may have been taken away.
    pub(crate) is_doubtful: bool,
}

/// A consumer.
#[derive(Clone, Debug, Default)]
pub(crate) struct Consumer {
    pub(crate) sources: Vec<(u8, u8)>,
    /// The highest that it ever was.
    pub(crate) credit: u32,
    pub(crate) is_auto: bool,
    pub(crate) held: Vec<Held>,
    pub(crate) last_tag: u64,
    pub(crate) settled: Vec<u64>,
}

/// What a token stands for.
#[derive(Clone, Debug)]
pub(crate) enum Promise {
    Publish {
        messages: Vec<usize>,
        /// Deliveries that it acknowledges.
        acked: u64,
    },
    Settle {
        moment: Moment,
        /// Of the weakest topic; `None` if nothing is logged.
        durability: Option<Durability>,
        /// How many of the deliveries are held, at least and at most.
        held: (u64, u64),
    },
}

/// A definition that is under way.
#[derive(Clone, Debug)]
pub(crate) enum Defining {
    Grave(u8),
    Topic(u8, Box<TopicOptions>),
    Alter(u8, Box<TopicOptions>),
    Delete(u8),
    Subscribe(u8, u8, Option<bool>),
    Unsubscribe(u8, u8),
    Purge(u8, Option<u8>),
}
