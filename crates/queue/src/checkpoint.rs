//! The state in one piece, so that recovery need not repeat what led to it.
//!
//! A checkpoint is the definitions as records, as [`Core::definitions`] logs them, and then,
//! for each topic that logs, its messages and who has not settled them. Deliveries are in it
//! without their consumers: like a log that is replayed, it brings them back in flight, and
//! [`Core::recovered`] returns them. Messages that are in memory only are not in it.

use crate::{
    BodyRef, Core, Effects, Record, RecordError, ReplayError,
    lane::Placed,
    leaving::Leaving,
    messages::{Messages, NO_GROUP, NO_KEY},
    record::{Reader, Reason, text, varint},
    subscription::{Delayed, Flight, Subscription, Whereabouts},
    topic::Topic,
    traffic::Due,
    waiting::Waiting,
    work::Work,
};
use compact_str::CompactString;
use hashbrown::{HashMap, hash_map::Entry};
use std::collections::BTreeMap;
use trunkline_model::Timestamp;

/// The version that is written, and the only one that is read: who doesn't know a
/// checkpoint's version replays the log instead.
const VERSION: u64 = 2;

/// Why a checkpoint is of no use. What it would have saved is to be had from the log.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CheckpointError {
    /// Another version of the program wrote it.
    #[error("it has version {0}; this program reads version {VERSION}")]
    Version(u64),
    /// It is not what [`Core::save`] writes.
    #[error("its {0} don't add up")]
    Invalid(&'static str),
    /// A definition in it is not a record.
    #[error("a definition: {0}")]
    Record(#[from] RecordError),
    /// Definitions in it contradict each other.
    #[error(transparent)]
    Replay(#[from] ReplayError),
}

use CheckpointError::Invalid;

impl Core {
    /// Appends everything that replaying the log would bring back, a few bytes a message.
    pub fn save(&self, out: &mut Vec<u8>) {
        varint(out, VERSION);
        let mut definitions = Effects::default();
        self.definitions(&mut definitions);
        varint(out, definitions.log.len() as u64);
        for (kind, record) in definitions.log.iter() {
            varint(out, kind.into());
            varint(out, record.len() as u64);
            out.extend_from_slice(record);
        }
        let topics = || {
            let topics = self.by_number.values().map(|index| &self.topics[*index]);
            topics.filter(|topic| topic.logs() && topic.name.is_some())
        };
        varint(out, topics().count() as u64);
        topics().for_each(|topic| save_topic(topic, out));
    }

    /// Makes the state that was [saved](Core::save), in a core without topics; then, records
    /// that were logged later may be [replayed](Core::replay).
    ///
    /// # Errors
    /// [`CheckpointError`] if it can't be used; the core is then good for nothing.
    pub fn load(&mut self, bytes: &[u8]) -> Result<(), CheckpointError> {
        debug_assert_eq!(self.topics.iter().count(), 0);
        let mut reader = Reader(bytes);
        match reader.varint().ok_or(Invalid("first bytes"))? {
            VERSION => {}
            other => return Err(CheckpointError::Version(other)),
        }
        for _ in 0..reader.varint().ok_or(Invalid("definitions"))? {
            let (kind, record) = record(&mut reader).ok_or(Invalid("definitions"))?;
            self.replay(Record::decode(kind, record)?, BodyRef::UNSET)?;
        }
        let mut out = std::mem::take(&mut self.scratch);
        for _ in 0..reader.varint().ok_or(Invalid("topics"))? {
            let number: Option<u32> = reader.small();
            let index = number.and_then(|number| self.by_number.get(&number).copied());
            let mut work = self.work(index.ok_or(Invalid("topics"))?, &mut out);
            let owed = work.load_messages(&mut reader)?;
            work.load_subscriptions(&mut reader, owed)?;
            work.topic.count_stock();
            let numbers: Vec<u32> = work.topic.subscriptions.keys().copied().collect();
            for number in numbers {
                work.topic.count_waiting(number);
            }
        }
        out.clear();
        self.scratch = out;
        match reader.0 {
            [] => Ok(()),
            _ => Err(Invalid("last bytes")),
        }
    }
}

fn record<'a>(reader: &mut Reader<'a>) -> Option<(u8, &'a [u8])> {
    Some((reader.small()?, reader.bytes()?))
}

fn save_topic(topic: &Topic, out: &mut Vec<u8>) {
    varint(out, topic.number.into());
    topic.messages.save(out);
    let mut keys: Vec<(&str, u64)> = topic.keys.iter().collect();
    keys.sort_unstable_by_key(|(_, sequence)| *sequence);
    varint(out, keys.len() as u64);
    for (key, sequence) in keys {
        varint(out, sequence);
        varint(out, key.len() as u64);
        out.extend_from_slice(key.as_bytes());
    }
    save_groups(topic, out);
    varint(out, topic.subscriptions.len() as u64);
    for subscription in topic.subscriptions.values() {
        save_subscription(subscription, &topic.messages, out);
    }
}

/// The names of the groups in the order of their first messages, then each message of one.
fn save_groups(topic: &Topic, out: &mut Vec<u8>) {
    varint(out, topic.groups.len() as u64);
    if topic.groups.is_empty() {
        return;
    }
    let grouped = || topic.messages.iter().filter(|m| m.group != NO_GROUP);
    let mut numbers: HashMap<u32, u64> = HashMap::with_capacity(topic.groups.len());
    for stored in grouped() {
        let number = numbers.len() as u64;
        if let (Entry::Vacant(entry), Some(name)) =
            (numbers.entry(stored.group), topic.groups.text(stored.group))
        {
            entry.insert(number);
            text(out, name);
        }
    }
    varint(out, grouped().count() as u64);
    let mut last = 0;
    for stored in grouped() {
        varint(out, stored.sequence - last);
        varint(out, numbers[&stored.group]);
        last = stored.sequence;
    }
}

fn save_subscription(subscription: &Subscription, messages: &Messages, out: &mut Vec<u8>) {
    varint(out, subscription.number.into());
    subscription.waiting.save(out);
    varint(out, subscription.delayed.len() as u64);
    for delayed in subscription.delayed.iter(messages) {
        varint(out, delayed.until.as_micros());
        varint(out, delayed.lane.into());
        delayed.placed.save(out);
    }
    varint(out, subscription.leaving.len() as u64);
    let mut leaving: Vec<&Leaving> = subscription.leaving.values().collect();
    leaving.sort_unstable_by_key(|leaving| (leaving.at, leaving.placed.sequence));
    for leaving in leaving {
        varint(out, leaving.at.as_micros());
        varint(out, leaving.lane.into());
        leaving.placed.save(out);
        varint(out, leaving.failed_at.as_micros());
        varint(out, leaving.reason as u64);
    }
    varint(out, subscription.failed.len() as u64);
    for (sequence, at) in &subscription.failed {
        varint(out, *sequence);
        varint(out, at.as_micros());
    }
    let mut flights: Vec<&Flight> = subscription.flights.values().collect();
    flights.sort_unstable_by_key(|flight| flight.order);
    varint(out, flights.len() as u64);
    for flight in flights {
        varint(out, flight.deadline.as_micros());
        varint(out, flight.lane.into());
        flight.placed.save(out);
    }
}

/// A message that is not available now: since or until when, its lane, its place.
fn away(reader: &mut Reader<'_>, messages: &Messages) -> Option<(Timestamp, u8, Placed)> {
    let at = Timestamp::from_micros(reader.varint()?);
    Some((at, reader.small()?, Placed::load(reader, messages)?))
}

impl Work<'_> {
    /// Reads the messages; returns how many acks they wait for.
    fn load_messages(&mut self, reader: &mut Reader<'_>) -> Result<u64, CheckpointError> {
        if self.topic.messages.len() > 0 || !self.topic.logs() {
            return Err(Invalid("topics"));
        }
        let (messages, totals) = Messages::load(reader).ok_or(Invalid("messages"))?;
        self.topic.messages = messages;
        self.topic.bytes = totals.bytes;
        self.traffic.units += totals.unsettled;
        for stored in self.topic.messages.expiring() {
            let (topic, sequence) = (self.index, stored.sequence);
            let due = Due::Expiry { topic, sequence };
            self.traffic.timers.insert(stored.expires_at, due);
        }
        for _ in 0..reader.varint().ok_or(Invalid("keys"))? {
            let (sequence, key) = key(reader).ok_or(Invalid("keys"))?;
            let is_new = self.topic.keys.find(key).is_none();
            let stored = self.topic.messages.get(sequence);
            if !is_new || stored.is_none_or(|stored| stored.key != NO_KEY) {
                return Err(Invalid("keys"));
            }
            let id = self.topic.keys.insert(CompactString::from(key), sequence);
            self.topic
                .messages
                .change(sequence, |stored| stored.key = id);
        }
        self.load_groups(reader).ok_or(Invalid("groups"))?;
        Ok(totals.unsettled)
    }

    fn load_groups(&mut self, reader: &mut Reader<'_>) -> Option<()> {
        let count: usize = reader.small()?;
        if count == 0 {
            return Some(());
        }
        // No name is shorter than its length.
        let mut names = Vec::with_capacity(count.min(reader.0.len()));
        for _ in 0..count {
            names.push(reader.text()?);
        }
        let mut sequence = 0u64;
        for _ in 0..reader.varint()? {
            let distance = reader.varint().filter(|distance| *distance > 0)?;
            sequence = sequence.checked_add(distance)?;
            let name = names.get(reader.small::<usize>()?)?;
            if !self.topic.messages.contains(sequence) {
                return None;
            }
            let group = self.topic.groups.join(name);
            self.topic
                .messages
                .change(sequence, |stored| stored.group = group);
        }
        (self.topic.groups.len() == count).then_some(())
    }

    fn load_subscriptions(
        &mut self,
        reader: &mut Reader<'_>,
        mut owed: u64,
    ) -> Result<(), CheckpointError> {
        for _ in 0..reader.varint().ok_or(Invalid("subscriptions"))? {
            let count = self
                .load_subscription(reader)
                .ok_or(Invalid("subscriptions"))?;
            owed = owed.checked_sub(count).ok_or(Invalid("subscriptions"))?;
        }
        match owed {
            0 => Ok(()),
            _ => Err(Invalid("subscriptions")),
        }
    }

    /// Reads a subscription; returns how many messages it has.
    fn load_subscription(&mut self, reader: &mut Reader<'_>) -> Option<u64> {
        let number: u32 = reader.small()?;
        if number == crate::topic::BACKLOG {
            self.open_backlog();
        }
        let messages = &self.topic.messages;
        let waiting = Waiting::load(reader, messages)?;
        let mut count = waiting.len();
        let mut delayed = Vec::new();
        for _ in 0..reader.varint()? {
            delayed.push(away(reader, messages)?);
        }
        let mut leaving = Vec::new();
        for _ in 0..reader.varint()? {
            let (at, lane, placed) = away(reader, messages)?;
            let failed_at = Timestamp::from_micros(reader.varint()?);
            let reason = Reason::of(reader.small()?)?;
            leaving.push(Leaving {
                lane,
                placed,
                reason,
                failed_at,
                at,
                stamp: self.traffic.stamp(),
                is_parked: false,
            });
        }
        let mut failed = BTreeMap::new();
        for _ in 0..reader.varint()? {
            let (sequence, at) = (reader.varint()?, reader.varint()?);
            failed.insert(sequence, Timestamp::from_micros(at));
        }
        let mut flights = Vec::new();
        for _ in 0..reader.varint()? {
            flights.push(away(reader, messages)?);
        }
        let subscription = self.topic.subscriptions.get_mut(&number)?;
        if subscription.waiting.len() > 0 || !subscription.flights.is_empty() {
            return None;
        }
        subscription.waiting = waiting;
        subscription.failed = failed;
        count += (delayed.len() + flights.len() + leaving.len()) as u64;
        for (until, lane, placed) in delayed {
            let usual = messages.usual_place(placed.sequence)?;
            if subscription.delayed.get(placed.sequence, usual).is_some() {
                return None;
            }
            let delayed = Delayed {
                until,
                lane,
                placed,
            };
            subscription.delayed.insert(delayed, usual);
            let group = messages.group_of(placed.sequence);
            let at = Whereabouts::Delayed(delayed);
            self.traffic.join_line(subscription, group, &at);
        }
        self.traffic.retime(self.index, subscription, None);
        for leaving in leaving {
            let known = &self.topic.subscription(number).leaving;
            if known.contains_key(&leaving.placed.sequence) {
                return None;
            }
            self.add_leaving(number, leaving);
        }
        for (deadline, lane, placed) in flights {
            let known = &self.topic.subscription(number).flights;
            if known.contains_key(&placed.sequence) {
                return None;
            }
            let flight = Flight {
                lane,
                placed,
                deadline,
                holder: None,
                order: self.traffic.stamp(),
            };
            self.depart(number, placed.sequence, flight);
        }
        Some(count)
    }
}

fn key<'a>(reader: &mut Reader<'a>) -> Option<(u64, &'a str)> {
    Some((reader.varint()?, reader.text()?))
}
