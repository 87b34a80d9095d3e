use super::tags::Outstanding;
use super::{AckMode, SubscriptionNumber, Tags};
use crate::Command;
use compact_str::{CompactString, ToCompactString};
use std::collections::BTreeMap;

/// The subscriptions of a session, under their numbers and under the client's names.
#[derive(Debug, Default)]
pub(crate) struct Subscriptions {
    by_number: BTreeMap<u64, Subscription>,
    by_key: BTreeMap<Key, u64>,
    next: u64,
}

/// How a client names a subscription. An id never equals a destination.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Key {
    Id(CompactString),
    /// 1.0 without an id.
    Destination(CompactString),
}

impl Key {
    pub(crate) fn text(&self) -> &str {
        match self {
            Self::Id(text) | Self::Destination(text) => text,
        }
    }
}

/// A subscription.
#[derive(Debug)]
pub(crate) struct Subscription {
    pub(crate) key: Key,
    pub(crate) ack: AckMode,
    /// Whether deliveries may be written.
    pub(crate) started: bool,
    /// The highest tag that was delivered.
    pub(crate) last_tag: u64,
    /// Whether the engine waits for its ACKs.
    pub(crate) settles: bool,
    /// In mode `client` only.
    pub(crate) outstanding: Outstanding,
}

/// What a delivery's name leads to.
pub(crate) enum Named<'a> {
    /// A delivery of this subscription.
    Of(SubscriptionNumber, &'a mut Subscription, u64),
    /// A subscription that has ended.
    Ended,
    /// It was never given out.
    Unknown,
}

impl Subscriptions {
    /// None if the name is taken.
    pub(crate) fn add(&mut self, key: Key, ack: AckMode) -> Option<SubscriptionNumber> {
        if self.by_key.contains_key(&key) {
            return None;
        }
        self.next += 1;
        let subscription = Subscription {
            key: key.clone(),
            ack,
            started: false,
            last_tag: 0,
            settles: true,
            outstanding: Outstanding::default(),
        };
        self.by_key.insert(key, self.next);
        self.by_number.insert(self.next, subscription);
        Some(SubscriptionNumber(self.next))
    }

    pub(crate) fn remove(&mut self, key: &Key) -> Option<SubscriptionNumber> {
        let number = self.by_key.remove(key)?;
        self.by_number.remove(&number);
        Some(SubscriptionNumber(number))
    }

    pub(crate) fn remove_number(&mut self, number: SubscriptionNumber) {
        if let Some(subscription) = self.by_number.remove(&number.0) {
            self.by_key.remove(&subscription.key);
        }
    }

    pub(crate) fn get_mut(&mut self, number: SubscriptionNumber) -> Option<&mut Subscription> {
        self.by_number.get_mut(&number.0)
    }

    pub(crate) fn contains(&self, number: SubscriptionNumber) -> bool {
        self.by_number.contains_key(&number.0)
    }

    pub(crate) fn len(&self) -> usize {
        self.by_number.len()
    }

    /// Looks up a delivery that was named as [`delivery_id`] names it.
    pub(crate) fn named(&mut self, session: &str, id: &str) -> Named<'_> {
        let parse = || {
            let rest = id.strip_prefix(session)?.strip_prefix('-')?;
            let (number, tag) = rest.split_once('-')?;
            Some((canonical(number)?, canonical(tag)?))
        };
        let Some((number, tag)) = parse() else {
            return Named::Unknown;
        };
        let given_out = (1..=self.next).contains(&number);
        match self.by_number.get_mut(&number) {
            Some(it) if (1..=it.last_tag).contains(&tag) => {
                Named::Of(SubscriptionNumber(number), it, tag)
            }
            None if given_out => Named::Ended,
            _ => Named::Unknown,
        }
    }
}

/// A number as it was written, without zeros or signs in front.
fn canonical(text: &str) -> Option<u64> {
    let plain = text.bytes().all(|byte| byte.is_ascii_digit()) && !text.starts_with('0');
    plain.then(|| text.parse().ok()).flatten()
}

impl Subscription {
    /// The deliveries that an ACK or NACK of one covers. None if it covers none any more.
    pub(crate) fn cover(&mut self, tag: u64) -> Cover {
        match self.ack {
            AckMode::Auto => Cover::Nothing,
            _ if !self.settles => Cover::Nothing,
            // Whether it is still held the engine knows.
            AckMode::ClientIndividual => Cover::Held(Tags::one(tag)),
            AckMode::Client if self.outstanding.contains(tag) => {
                Cover::Held(self.outstanding.take_up_to(tag))
            }
            AckMode::Client => Cover::Earlier(self.outstanding.take_up_to(tag)),
        }
    }
}

/// What an ACK or NACK covers.
pub(crate) enum Cover {
    /// The delivery that it names, and perhaps more.
    Held(Tags),
    /// Not the one that it names, which was covered before, but perhaps some before it.
    Earlier(Tags),
    /// Nobody waits for it.
    Nothing,
}

/// What an ACK must name, and in which header.
pub(crate) struct AckName<'a> {
    pub(crate) command: Command,
    pub(crate) id: &'a str,
    /// 1.1: the client's name of the subscription.
    pub(crate) subscription: Option<&'a str>,
    /// The header of MESSAGE that it comes from.
    pub(crate) header: &'static str,
}

/// How a delivery is named to the client: unique among all sessions, because a client may take an
/// id over to its next connection.
pub(crate) fn delivery_id(session: &str, number: SubscriptionNumber, tag: u64) -> CompactString {
    let mut id = CompactString::new(session);
    id.push('-');
    id.push_str(&number.0.to_compact_string());
    id.push('-');
    id.push_str(&tag.to_compact_string());
    id
}
