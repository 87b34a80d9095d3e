use crate::{
    SubscriptionCounts, delays::Delays, lane::Placed, leaving::Leaving, lines::Lines, stock::Stock,
    waiting::Waiting,
};
use std::collections::BTreeMap;
use trunkline_model::{SubscriptionName, SubscriptionOptions, SubscriptionSettings, Timestamp};

/// A named durable queue on a topic. Each of its messages is in exactly one of `waiting`,
/// `delayed`, `flights` and `leaving`.
#[derive(Clone, Debug)]
pub(crate) struct Subscription {
    pub(crate) number: u32,
    /// None for the backlog, and while replaying as for topics.
    pub(crate) name: Option<SubscriptionName>,
    pub(crate) settings: SubscriptionSettings,
    pub(crate) options: SubscriptionOptions,
    pub(crate) waiting: Waiting,
    /// Held back until their time.
    pub(crate) delayed: Delays,
    /// Delivered and not settled, by sequence.
    pub(crate) flights: BTreeMap<u64, Flight>,
    /// Given up and on their way to the dead-letter topic, by sequence.
    pub(crate) leaving: BTreeMap<u64, Leaving>,
    /// When deliveries first failed, of messages that are still here: only where there is a
    /// topic for dead letters, which tell it.
    pub(crate) failed: BTreeMap<u64, Timestamp>,
    /// Where its consumers queue: see [`Traffic`](crate::traffic::Traffic).
    pub(crate) desk: u32,
    pub(crate) counts: SubscriptionCounts,
    /// What waits or is delayed, if it has a bound of its own.
    pub(crate) stock: Option<Stock>,
    /// Its groups in which something must wait for something else.
    pub(crate) lines: Lines,
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
    /// Only of one that is looked for: what leaves doesn't go anywhere else.
    Leaving(Leaving),
}

impl Whereabouts {
    /// The priority under which it stands or stood, and its position.
    pub(crate) fn place(&self) -> (u8, Placed) {
        match self {
            Self::Waiting(lane, placed) => (*lane, *placed),
            Self::Delayed(delayed) => (delayed.lane, delayed.placed),
            Self::Flight(flight) => (flight.lane, flight.placed),
            Self::Leaving(leaving) => (leaving.lane, leaving.placed),
        }
    }
}

impl Subscription {
    /// Whether a message is here and doesn't leave.
    pub(crate) fn has(&self, sequence: u64, usual: (u8, u64)) -> bool {
        self.flights.contains_key(&sequence) || self.queued_place(sequence, usual).is_some()
    }

    /// Takes a message out that doesn't leave; `usual` is its [`Stored::usual_place`](crate::messages::Stored).
    /// The line of its group, `group`, is yet to hear of it.
    pub(crate) fn withdraw(
        &mut self,
        sequence: u64,
        usual: (u8, u64),
        group: u32,
    ) -> Option<Whereabouts> {
        if let Some(flight) = self.flights.remove(&sequence) {
            return Some(Whereabouts::Flight(flight));
        }
        if let Some(delayed) = self.delayed.remove(sequence, usual) {
            self.unstock(delayed.lane, sequence);
            return Some(Whereabouts::Delayed(delayed));
        }
        let (lane, position) = self.waiting.place_of(sequence, usual);
        if !self.waiting.holds((lane, position), sequence) {
            return None;
        }
        let placed = self.waiting.remove(lane, position, group)?;
        self.unstock(lane, sequence);
        Some(Whereabouts::Waiting(lane, placed))
    }

    /// A message neither waits nor is delayed any more.
    pub(crate) fn unstock(&mut self, lane: u8, sequence: u64) {
        if let Some(stock) = &mut self.stock {
            stock.remove(lane, sequence);
        }
    }

    /// Where a message is, if it is here.
    pub(crate) fn whereabouts(&self, sequence: u64, usual: (u8, u64)) -> Option<Whereabouts> {
        if let Some(flight) = self.flights.get(&sequence) {
            return Some(Whereabouts::Flight(*flight));
        }
        if let Some(leaving) = self.leaving.get(&sequence) {
            return Some(Whereabouts::Leaving(*leaving));
        }
        if let Some(delayed) = self.delayed.get(sequence, usual) {
            return Some(Whereabouts::Delayed(delayed));
        }
        let (lane, position) = self.waiting.place_of(sequence, usual);
        let placed = self.waiting.get((lane, position))?;
        (placed.sequence == sequence).then_some(Whereabouts::Waiting(lane, placed))
    }

    /// Priority and position of a message that is not in flight here.
    pub(crate) fn queued_place(&self, sequence: u64, usual: (u8, u64)) -> Option<(u8, u64)> {
        match self.delayed.get(sequence, usual) {
            Some(delayed) => Some((delayed.lane, delayed.placed.position)),
            None => {
                let place = self.waiting.place_of(sequence, usual);
                self.waiting.holds(place, sequence).then_some(place)
            }
        }
    }

    /// While replaying: whether no record has named it so far.
    pub(crate) fn is_orphan(&self) -> bool {
        self.name.is_none() && self.number != crate::topic::BACKLOG
    }

    /// All its messages: waiting in the order of delivery, delayed, in flight, leaving.
    pub(crate) fn sequences(&self) -> Vec<u64> {
        let waiting = self.waiting.iter().map(|(_, placed)| placed.sequence);
        let delayed = self.delayed.sequences();
        waiting
            .chain(delayed)
            .chain(self.flights.keys().copied())
            .chain(self.leaving.keys().copied())
            .collect()
    }
}
