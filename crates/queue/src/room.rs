//! Bounds of topics and subscriptions: who is refused, and what goes to make room.

use crate::{
    Core, Cost,
    check::{FRAME_BYTES, Growth, SETTLE_BYTES, SETTLE_BYTES_MORE},
    moves::{Endings, Move, Moves},
    record::Reason,
    stock::Stock,
    subscription::Subscription,
    topic::{BACKLOG, Topic},
    work::Work,
};
use trunkline_model::{ByteSize, Error, Message, Overflow, Timestamp, TopicOptions, refusal};

/// Most messages that one publish drops: after a bound was set much lower, it is reached
/// little by little.
const DROPS_MAX: u64 = 1_000;

/// A bound, and what counts against it.
#[derive(Clone, Copy)]
struct Bound {
    max_messages: Option<u64>,
    max_bytes: Option<ByteSize>,
    /// Messages and bytes that are there.
    here: (u64, u64),
    /// Of those, what may be dropped.
    idle: (u64, u64),
    overflow: Overflow,
}

impl Bound {
    fn of_topic(options: &TopicOptions, topic: Option<&Topic>) -> Self {
        let stock = topic.and_then(|topic| topic.stock.as_ref());
        Self {
            max_messages: options.max_messages,
            max_bytes: options.max_bytes,
            here: topic.map_or((0, 0), |t| (t.messages.len() as u64, t.bytes)),
            idle: stock.map_or((0, 0), |stock| (stock.len(), stock.bytes())),
            overflow: options.overflow,
        }
    }

    fn of_subscription(subscription: &Subscription) -> Self {
        let options = &subscription.options;
        let stock = subscription.stock.as_ref();
        let waits = stock.map_or((0, 0), |stock| (stock.len(), stock.bytes()));
        Self {
            max_messages: options.max_messages,
            max_bytes: options.max_bytes,
            here: waits,
            idle: waits,
            overflow: options.overflow,
        }
    }

    /// The bound for which so many messages and bytes more are too many, even if all that
    /// may be dropped goes.
    fn refuses(&self, added: (u64, u64)) -> Option<(&'static str, u64)> {
        let stays = match self.overflow {
            Overflow::Reject => self.here,
            Overflow::DropOldest => (self.here.0 - self.idle.0, self.here.1 - self.idle.1),
        };
        let (max_messages, max_bytes) = (self.max_messages, self.max_bytes.map(|max| max.0));
        let over = |stays: u64, added: u64, max: &u64| stays.saturating_add(added) > *max;
        if let Some(max) = max_messages.filter(|max| over(stays.0, added.0, max)) {
            return Some(("max_messages", max));
        }
        let max = max_bytes.filter(|max| over(stays.1, added.1, max))?;
        Some(("max_bytes", max))
    }

    fn is_over(&self) -> bool {
        self.max_messages.is_some_and(|max| self.here.0 > max)
            || self.max_bytes.is_some_and(|max| self.here.1 > max.0)
    }

    /// No fewer than so many publishes, that add so much in all, drop.
    fn drops_max(&self, publishes: u64) -> u64 {
        let all = self.idle.0 + publishes;
        let drops = match (self.overflow, self.max_messages, self.max_bytes) {
            (Overflow::Reject, ..) | (_, None, None) => 0,
            (_, Some(max), None) => (self.here.0 + publishes).saturating_sub(max),
            (_, _, Some(_)) => all,
        };
        drops.min(all).min(DROPS_MAX * publishes)
    }
}

impl Core {
    /// Whether a topic and its subscriptions have room for messages, or can make it.
    pub(crate) fn check_room<'a>(
        &self,
        now: Timestamp,
        name: &'a str,
        options: &TopicOptions,
        messages: &[Message],
        growth: &mut Growth<'a>,
    ) -> Result<(), Error> {
        let topic = self.find(name).map(|index| &self.topics[index]);
        let is_bounded = topic.is_none_or(|topic| topic.is_bounded());
        if !is_bounded {
            return Ok(());
        }
        let added = growth.entry(name).or_default();
        for message in messages {
            let is_repeated = topic.is_some_and(|topic| topic.repeats(now, message).is_some());
            if is_repeated || topic.is_some_and(|topic| topic.drops()) {
                continue;
            }
            let replaced = message
                .key
                .as_ref()
                .and_then(|key| topic.filter(|t| t.dedupes())?.keys.find(key));
            added.0 += u64::from(replaced.is_none());
            added.1 += message.payload.len() as u64;
        }
        let bound = Bound::of_topic(options, topic);
        if let Some((limit, max)) = bound.refuses(*added) {
            return Err(match bound.overflow {
                Overflow::Reject => refusal::full(name, limit, max),
                Overflow::DropOldest => refusal::nothing_to_drop(name, limit, max),
            });
        }
        for subscription in topic.into_iter().flat_map(|t| t.subscriptions.values()) {
            let refused = Bound::of_subscription(subscription).refuses(*added);
            if let (Some((limit, max)), Some(label)) = (refused, &subscription.name) {
                return Err(refusal::subscription_full(name, label, limit, max));
            }
        }
        Ok(())
    }

    /// Adds what dropping for the sake of so many messages may cost.
    pub(crate) fn cost_of_room(&self, topic: &Topic, messages: usize, cost: &mut Cost) {
        if !topic.logs() || !topic.is_bounded() {
            return;
        }
        let of_topic = Bound::of_topic(&topic.options, Some(topic));
        let subscriptions = topic.subscriptions.values().map(Bound::of_subscription);
        for bound in std::iter::once(of_topic).chain(subscriptions) {
            let drops = bound.drops_max(messages as u64) as usize;
            let records = drops.min(messages);
            cost.settle_bytes += records * (SETTLE_BYTES + FRAME_BYTES) + drops * SETTLE_BYTES_MORE;
        }
    }
}

impl Topic {
    /// Whether it or one of its subscriptions has a bound.
    pub(crate) fn is_bounded(&self) -> bool {
        let bounded = |subscription: &Subscription| subscription.stock.is_some();
        self.stock.is_some() || self.subscriptions.values().any(bounded)
    }

    /// Counts anew what may be dropped, if its options set a bound.
    pub(crate) fn count_stock(&mut self) {
        let options = &self.options;
        self.stock = stock(options.max_messages, options.max_bytes);
        if self.stock.is_some() {
            let sequences: Vec<u64> = self.messages.sequences().collect();
            sequences
                .into_iter()
                .for_each(|sequence| self.restock(sequence));
        }
    }

    /// Notes whether a message may be dropped now: not while it is in flight or leaves
    /// anywhere.
    pub(crate) fn restock(&mut self, sequence: u64) {
        if self.stock.is_none() {
            return;
        }
        let is_idle = self.is_idle(sequence);
        if let (Some(stock), Some(stored)) = (&mut self.stock, self.messages.get(sequence)) {
            match is_idle {
                true => stock.insert(stored.priority.0, sequence, stored.bytes),
                false => stock.remove(stored.priority.0, sequence),
            }
        }
    }

    /// The same for everything that waits in a subscription.
    pub(crate) fn count_waiting(&mut self, number: u32) {
        let Some(subscription) = self.subscriptions.get_mut(&number) else {
            return;
        };
        let options = &subscription.options;
        let Some(mut stock) = stock(options.max_messages, options.max_bytes) else {
            subscription.stock = None;
            return;
        };
        let waiting = subscription.waiting.iter();
        let waiting = waiting.map(|(lane, placed)| (lane, placed.sequence));
        let delayed = subscription.delayed.iter(&self.messages);
        let delayed = delayed.map(|delayed| (delayed.lane, delayed.placed.sequence));
        for (lane, sequence) in waiting.chain(delayed) {
            stock.insert(lane, sequence, self.messages.at(sequence).bytes);
        }
        subscription.stock = Some(stock);
    }
}

fn stock(max_messages: Option<u64>, max_bytes: Option<ByteSize>) -> Option<Stock> {
    let is_bounded = max_messages.is_some() || max_bytes.is_some();
    is_bounded.then(|| Stock::new(max_bytes.is_some()))
}

impl Work<'_> {
    /// Drops and logs what is too much after a publish, where that is asked for.
    pub(crate) fn make_room(&mut self) {
        if !self.topic.is_bounded() {
            return;
        }
        self.make_room_in_topic();
        let bounded = self.topic.subscriptions.values().filter(|s| {
            s.options.overflow == Overflow::DropOldest && Bound::of_subscription(s).is_over()
        });
        let numbers: Vec<u32> = bounded.map(|subscription| subscription.number).collect();
        for number in numbers {
            self.make_room_in(number);
        }
    }

    fn make_room_in_topic(&mut self) {
        if self.topic.options.overflow != Overflow::DropOldest {
            return;
        }
        let mut dropped = Moves::default();
        for _ in 0..DROPS_MAX {
            let bound = Bound::of_topic(&self.topic.options, Some(self.topic));
            let victim = self.topic.stock.as_ref().and_then(Stock::victim);
            let Some(victim) = victim.filter(|_| bound.is_over()) else {
                break;
            };
            self.discard(victim);
            self.topic.counts.dropped += 1;
            dropped.push(Move::of(self.topic.number, BACKLOG, victim));
        }
        if self.topic.logs() {
            dropped.log_drops(Reason::Overflow, self.out);
        }
    }

    fn make_room_in(&mut self, number: u32) {
        let mut ends = Endings::default();
        for _ in 0..DROPS_MAX {
            let subscription = self.topic.subscription(number);
            let is_over = Bound::of_subscription(subscription).is_over();
            let victim = subscription.stock.as_ref().and_then(Stock::victim);
            let Some(victim) = victim.filter(|_| is_over) else {
                break;
            };
            self.settle(victim, number);
            self.topic.counts.dropped += 1;
            ends.dropped.push(Move {
                reason: Reason::Overflow,
                ..Move::of(self.topic.number, number, victim)
            });
        }
        if self.topic.logs() {
            ends.log(Timestamp::ZERO, self.out);
        }
    }
}
