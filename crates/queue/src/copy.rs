//! Logging again what is logged already, so that the front of the log can be freed.

use crate::{
    BodyRef, Core, Effects, PutHandle,
    core::{log_count, log_define},
    publish::runs,
    publish_ids::Seen,
    record::{
        Attempt, Backlog, Parts, Placement, PutPlace, RememberedId, Subscribe, encode_copy,
        encode_remember, kind,
    },
    subscription::{Flight, Subscription, Whereabouts},
    topic::Topic,
};
use smallvec::SmallVec;
use trunkline_model::Timestamp;

/// Most publish ids in one record.
const IDS_PER_RECORD: usize = 1_000;

/// Where a message stands that is copied: one entry a subscription.
type Places = SmallVec<[(u32, Whereabouts); 4]>;

/// How far [`Core::define_again`] has come. The default is the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Defined {
    /// The topic that comes next or is being described.
    topic: u32,
    part: Part,
    /// Topics from here on are newer than the first call, and logged by themselves.
    until: u32,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Part {
    #[default]
    Options,
    /// From this number on.
    Subscriptions(u32),
    /// From this ordinal on.
    PublishIds(u64),
    /// The keys of `dedupe: first`, likewise.
    Keys(u64),
}

impl Core {
    /// Logs a stored message again, if its body is still `body`: `record` is the put record
    /// there. Where the message waits, how often it was delivered, until when it is delayed
    /// and that it is in flight goes with it, in records that belong into one unit; replayed,
    /// they win over all before them. The put is listed in [`Effects::puts`], so that
    /// [`Core::set_body`] can say where the body is now. Returns whether anything was logged.
    ///
    /// What is logged is longer than `record` by at most 64 bytes and 128 for each
    /// subscription, without framing.
    pub fn copy(
        &self,
        topic: u32,
        sequence: u64,
        record: &[u8],
        body: BodyRef,
        out: &mut Effects,
    ) -> bool {
        let Some(index) = self.by_number.get(&topic).copied() else {
            return false;
        };
        let topic = &self.topics[index];
        let Some(stored) = topic.messages.get(sequence).filter(|s| s.body == body) else {
            return false;
        };
        let usual = stored.usual_place();
        let standing = topic.subscriptions.iter().filter_map(|(number, s)| {
            let whereabouts = s.whereabouts(sequence, usual)?;
            Some((*number, whereabouts))
        });
        let places: Places = standing.take(stored.unsettled as usize).collect();
        debug_assert_eq!(places.len(), stored.unsettled as usize);
        let is_usual = |(_, was): &&(u32, Whereabouts)| {
            let (lane, placed) = was.place();
            (lane, placed.position, placed.attempts) == (usual.0, usual.1, 0)
        };
        let elsewhere = places.iter().filter(|place| !is_usual(place));
        let place = PutPlace {
            topic: topic.number,
            sequence,
            replaces: None,
            subscriptions: runs(places.iter().filter(is_usual).map(|(number, _)| *number)),
            placements: elsewhere.map(|(subscription, was)| {
                let (lane, placed) = was.place();
                Placement {
                    subscription: *subscription,
                    lane,
                    position: placed.position,
                    attempts: placed.attempts,
                }
            }),
        };
        let put = PutHandle {
            topic: index,
            sequence,
        };
        let logged = out
            .log
            .push(kind::PUT, |bytes| encode_copy(bytes, place, record));
        out.puts.push((put, logged));
        for (number, was) in &places {
            log_absence(topic, *number, sequence, stored.published_at, was, out);
        }
        true
    }

    /// Logs durable definitions again, with their counters and the publish ids in their
    /// window, from where an earlier call came to: about `bytes_max` bytes of records, or one
    /// record. Returns whether all of them are logged. Nothing is lost if the log goes on in
    /// between: what changes is logged by itself.
    ///
    /// Once all that was logged is durable, nothing before the first of it is needed but for
    /// messages that are stored, and what cancels them.
    pub fn define_again(&self, from: &mut Defined, bytes_max: usize, out: &mut Effects) -> bool {
        let full = out.log.byte_len() + bytes_max;
        if *from == Defined::default() {
            from.until = self.next_number;
            log_count(self.next_number, out);
        }
        for (number, index) in self.by_number.range(from.topic..from.until) {
            if *number != from.topic {
                (from.topic, from.part) = (*number, Part::Options);
            }
            let topic = &self.topics[*index];
            if topic.is_durable() && !define_topic(topic, &mut from.part, full, out) {
                return false;
            }
            (from.topic, from.part) = (*number + 1, Part::Options);
        }
        true
    }

    /// Logs every durable definition again; see [`Core::define_again`].
    pub fn definitions(&self, out: &mut Effects) {
        self.define_again(&mut Defined::default(), usize::MAX / 2, out);
    }
}

/// Logs that a copied message is not available in a subscription, if it isn't.
fn log_absence(
    topic: &Topic,
    number: u32,
    sequence: u64,
    published_at: Timestamp,
    was: &Whereabouts,
    out: &mut Effects,
) {
    let parts = Parts::of(topic.number, number);
    let one = std::iter::once(sequence);
    let subscription = topic.subscription(number);
    let failed_at = match was {
        Whereabouts::Leaving(leaving) => Some(leaving.failed_at),
        _ => subscription.failed.get(&sequence).copied(),
    };
    match was {
        Whereabouts::Delayed(delayed) => {
            let parts = parts.at(Some(delayed.until)).failed(failed_at);
            out.log.push(kind::RETURN, |bytes| parts.encode(bytes, one));
            return;
        }
        _ if failed_at.is_some() => {
            let parts = Parts::of(topic.number, number).failed(failed_at);
            out.log.push(kind::RETURN, |bytes| parts.encode(bytes, one));
        }
        _ => {}
    }
    match was {
        Whereabouts::Waiting(..) | Whereabouts::Delayed(..) => {}
        Whereabouts::Leaving(leaving) => {
            let attempt = leaving.placed.attempts;
            let parts = parts.at(Some(leaving.at)).because(leaving.reason);
            out.log.push(kind::LEAVE, |bytes| {
                let attempts = std::iter::once(Attempt { sequence, attempt });
                parts.encode(bytes, attempts);
            });
        }
        Whereabouts::Flight(Flight {
            placed, deadline, ..
        }) => {
            let timeout = subscription.options.ack_timeout.0;
            let timeout = u64::try_from(timeout.as_micros()).unwrap_or(u64::MAX);
            let at = match *deadline {
                Timestamp::MAX => published_at,
                deadline => Timestamp::from_micros(deadline.as_micros().saturating_sub(timeout)),
            };
            let attempt = placed.attempts;
            out.log.push(kind::DELIVER, |bytes| {
                let attempts = std::iter::once(Attempt { sequence, attempt });
                parts.at(Some(at)).encode(bytes, attempts);
            });
        }
    }
}

/// Logs a subscription, unless it is the backlog or not defined yet.
pub(crate) fn log_subscription(topic: &Topic, subscription: &Subscription, out: &mut Effects) {
    let Some(name) = subscription.name.clone() else {
        return;
    };
    let subscribe = Subscribe {
        topic: topic.number,
        subscription: subscription.number,
        name,
        settings: subscription.settings.clone(),
        backlog: Backlog::Untouched,
        counts: subscription.counts,
    };
    out.log
        .push(kind::SUBSCRIBE, |bytes| subscribe.encode(bytes));
}

/// Logs what is left of a topic's definitions; false if that is more than fits.
fn define_topic(topic: &Topic, part: &mut Part, full: usize, out: &mut Effects) -> bool {
    if *part == Part::Options {
        if !has_room(full, out) {
            return false;
        }
        log_define(topic, out);
        *part = Part::Subscriptions(0);
    }
    if let Part::Subscriptions(from) = *part {
        for (number, subscription) in topic.subscriptions.range(from..) {
            if subscription.name.is_some() && !has_room(full, out) {
                *part = Part::Subscriptions(*number);
                return false;
            }
            log_subscription(topic, subscription, out);
        }
        *part = Part::PublishIds(0);
    }
    if !topic.logs() {
        return true;
    }
    if let Part::PublishIds(from) = *part {
        let seen = topic.publish_ids.iter_from(from);
        if let Some(ordinal) = log_seen(kind::REMEMBER, topic, seen, full, out) {
            *part = Part::PublishIds(ordinal);
            return false;
        }
        *part = Part::Keys(0);
    }
    if let Part::Keys(from) = *part {
        let seen = topic.first_keys.iter_from(from);
        if let Some(ordinal) = log_seen(kind::REMEMBER_KEYS, topic, seen, full, out) {
            *part = Part::Keys(ordinal);
            return false;
        }
    }
    true
}

/// Logs ids or keys; returns the ordinal of the first for which there is no room.
fn log_seen<'a>(
    kind: u8,
    topic: &Topic,
    seen: impl Iterator<Item = (u64, &'a Seen)>,
    full: usize,
    out: &mut Effects,
) -> Option<u64> {
    let mut seen = seen.peekable();
    while let Some((ordinal, _)) = seen.peek() {
        if !has_room(full, out) {
            return Some(*ordinal);
        }
        let some = seen.by_ref().take(IDS_PER_RECORD).map(remembered);
        out.log.push(kind, |bytes| {
            encode_remember(bytes, topic.number, some);
        });
    }
    None
}

fn remembered((_, seen): (u64, &Seen)) -> RememberedId<'_> {
    RememberedId {
        id: &seen.id,
        at: seen.at,
        sequence: seen.sequence,
    }
}

/// Whether another record may come; the first one always may.
fn has_room(full: usize, out: &Effects) -> bool {
    out.log.byte_len() < full || out.log.is_empty()
}
