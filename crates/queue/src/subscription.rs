use crate::{SubscriptionCounts, lane::Placed, waiting::Waiting};
use std::collections::BTreeMap;
use trunkline_model::{SubscriptionName, SubscriptionOptions, SubscriptionSettings, Timestamp};

/// A named durable queue on a topic. Each of its messages is in exactly one of `waiting`,
/// `delayed` and `flights`.
#[derive(Clone, Debug)]
pub(crate) struct Subscription {
    pub(crate) number: u32,
    /// None for the backlog, and while replaying as for topics.
    pub(crate) name: Option<SubscriptionName>,
    pub(crate) settings: SubscriptionSettings,
    pub(crate) options: SubscriptionOptions,
    pub(crate) waiting: Waiting,
    /// Returned with a delay, by sequence.
    pub(crate) delayed: BTreeMap<u64, Delayed>,
    /// Delivered and not settled, by sequence.
    pub(crate) flights: BTreeMap<u64, Flight>,
    /// Where its consumers queue: see [`Traffic`](crate::traffic::Traffic).
    pub(crate) desk: u32,
    pub(crate) counts: SubscriptionCounts,
}

/// A message that is not available before a time.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Delayed {
    pub(crate) until: Timestamp,
    pub(crate) lane: u8,
    pub(crate) placed: Placed,
}

/// A delivery that is not settled.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Flight {
    pub(crate) lane: u8,
    /// With this delivery counted in its attempts.
    pub(crate) placed: Placed,
    /// [`Timestamp::MAX`] for never.
    pub(crate) deadline: Timestamp,
    /// None if the consumer was one of an earlier run.
    pub(crate) holder: Option<Holder>,
    /// Grows with every delivery.
    pub(crate) order: u64,
}

/// Who holds a delivery.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Holder {
    pub(crate) consumer: u32,
    pub(crate) source: u32,
    pub(crate) tag: u64,
}

/// Where a message was in a subscription that it left.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Whereabouts {
    Waiting(u8, Placed),
    Delayed(Delayed),
    Flight(Flight),
}

impl Whereabouts {
    /// The priority under which it stands or stood, and its position.
    pub(crate) fn place(&self) -> (u8, Placed) {
        match self {
            Self::Waiting(lane, placed) => (*lane, *placed),
            Self::Delayed(delayed) => (delayed.lane, delayed.placed),
            Self::Flight(flight) => (flight.lane, flight.placed),
        }
    }
}

impl Subscription {
    /// Takes a message out; `usual` is its [`Stored::usual_place`](crate::messages::Stored).
    pub(crate) fn withdraw(&mut self, sequence: u64, usual: (u8, u64)) -> Option<Whereabouts> {
        if let Some(flight) = self.flights.remove(&sequence) {
            return Some(Whereabouts::Flight(flight));
        }
        if let Some(delayed) = self.delayed.remove(&sequence) {
            return Some(Whereabouts::Delayed(delayed));
        }
        let (lane, position) = self.waiting.place_of(sequence, usual);
        let placed = self.waiting.remove(lane, position)?;
        debug_assert_eq!(placed.sequence, sequence);
        Some(Whereabouts::Waiting(lane, placed))
    }

    /// Where a message is, if it is here.
    pub(crate) fn whereabouts(&self, sequence: u64, usual: (u8, u64)) -> Option<Whereabouts> {
        if let Some(flight) = self.flights.get(&sequence) {
            return Some(Whereabouts::Flight(*flight));
        }
        if let Some(delayed) = self.delayed.get(&sequence) {
            return Some(Whereabouts::Delayed(*delayed));
        }
        let (lane, position) = self.waiting.place_of(sequence, usual);
        let placed = self.waiting.get((lane, position))?;
        (placed.sequence == sequence).then_some(Whereabouts::Waiting(lane, placed))
    }

    /// Priority and position of a message that is not in flight here.
    pub(crate) fn queued_place(&self, sequence: u64, usual: (u8, u64)) -> Option<(u8, u64)> {
        match self.delayed.get(&sequence) {
            Some(delayed) => Some((delayed.lane, delayed.placed.position)),
            None => {
                let place = self.waiting.place_of(sequence, usual);
                self.waiting.contains(place).then_some(place)
            }
        }
    }

    /// While replaying: whether no record has named it so far.
    pub(crate) fn is_orphan(&self) -> bool {
        self.name.is_none() && self.number != crate::topic::BACKLOG
    }

    /// All its messages: waiting in the order of delivery, delayed, in flight.
    pub(crate) fn sequences(&self) -> Vec<u64> {
        let waiting = self.waiting.iter().map(|(_, placed)| placed.sequence);
        let delayed = self.delayed.keys().copied();
        waiting
            .chain(delayed)
            .chain(self.flights.keys().copied())
            .collect()
    }
}
