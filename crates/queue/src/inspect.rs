//! Looking without disturbing.

use crate::{
    BodyRef, Core, Peeked, messages::Stored, refusal, subscription::Subscription, topic::Topic,
};
use std::ops::Bound;
use trunkline_model::{
    Error, MessageId, PeekFrom, SubscriptionInfo, Timestamp, TopicInfo, TopicName,
};

impl Core {
    /// What can be seen of a topic.
    ///
    /// # Errors
    /// `NotFound`.
    pub fn info(&self, topic: &str) -> Result<TopicInfo, Error> {
        let topic = &self.topics[self.require(topic)?];
        let name = topic.name.clone().ok_or_else(Error::internal)?;
        Ok(self.info_of(name, topic))
    }

    /// Up to `limit` topics by name, those after a name, without Trunkline's own.
    pub fn list(&self, after: Option<&TopicName>, limit: usize) -> Vec<TopicInfo> {
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        let topics = self
            .in_order
            .range::<TopicName, _>((from, Bound::Unbounded));
        topics
            .map(|(name, index)| (name, &self.topics[*index]))
            .filter(|(name, topic)| topic.is_durable() && !name.is_reserved())
            .take(limit)
            .map(|(name, topic)| self.info_of(name.clone(), topic))
            .collect()
    }

    fn info_of(&self, name: TopicName, topic: &Topic) -> TopicInfo {
        let subscriptions = topic.names.iter().map(|(name, number)| {
            let subscription = topic.subscription(*number);
            let delayed = subscription.delayed.len() as u64;
            SubscriptionInfo {
                name: name.clone(),
                options: subscription.options.clone(),
                waiting: subscription.waiting.len() + delayed,
                delayed,
                by_priority: Vec::new(),
                oldest_at: None,
                in_flight: subscription.flights.len() as u64,
                consumers: self.traffic.desks[subscription.desk].attached.len() as u32,
                acked: subscription.counts.acked,
                redelivered: subscription.counts.redelivered,
                late: subscription.counts.late,
                dead: 0,
            }
        });
        TopicInfo {
            name,
            number: topic.number,
            options: topic.options.clone(),
            messages: topic.messages.len() as u64,
            bytes: topic.bytes,
            oldest_at: oldest(topic),
            published: topic.counts.published,
            expired: topic.counts.expired,
            dropped: topic.counts.dropped,
            replaced: topic.counts.replaced,
            dead: 0,
            subscriptions: subscriptions.collect(),
        }
    }

    /// Looks at messages: those that a subscription would be sent, in that order, or
    /// everything stored, by sequence. From an id, only messages with at least its sequence.
    ///
    /// # Errors
    /// `NotFound`; `InvalidParams` for an id of another topic.
    pub fn peek(
        &self,
        now: Timestamp,
        topic: &str,
        subscription: Option<&str>,
        limit: usize,
        from: PeekFrom,
    ) -> Result<Vec<Peeked>, Error> {
        let index = self.require(topic)?;
        let stored = &self.topics[index];
        let from = match from {
            PeekFrom::Front => 0,
            PeekFrom::After(_) => return Err(refusal::not_offered("peek", "a cursor")),
            PeekFrom::Id(id) if id.topic == stored.number => id.sequence,
            PeekFrom::Id(id) => {
                return Err(Error::invalid_params(format!(
                    "message {id} is not one of topic {topic}; its ids start with {}-",
                    stored.number
                )));
            }
        };
        let visible = |message: &Stored| {
            message.sequence >= from && !message.is_expired(now) && message.body != BodyRef::UNSET
        };
        let peeked = |message: Stored| Peeked {
            id: stored.id(message.sequence),
            body: message.body,
            durability: stored.options.durability,
        };
        Ok(match subscription {
            Some(name) => {
                let number = self.require_subscription(index, name)?;
                let waiting = stored.subscription(number).waiting.iter();
                let messages = waiting.map(|(_, placed)| stored.messages.at(placed.sequence));
                messages.filter(visible).take(limit).map(peeked).collect()
            }
            None => {
                let messages = stored.messages.iter();
                messages.filter(visible).take(limit).map(peeked).collect()
            }
        })
    }

    /// The unsettled deliveries of a subscription, in the order in which they were made,
    /// each with its attempt.
    ///
    /// # Errors
    /// `NotFound`.
    pub fn in_flight(
        &self,
        topic: &str,
        subscription: &str,
    ) -> Result<Vec<(MessageId, u32)>, Error> {
        let index = self.require(topic)?;
        let number = self.require_subscription(index, subscription)?;
        let topic = &self.topics[index];
        let mut flights: Vec<_> = topic.subscription(number).flights.iter().collect();
        flights.sort_unstable_by_key(|(_, flight)| flight.order);
        let listed = flights.into_iter();
        Ok(listed
            .map(|(sequence, f)| (topic.id(*sequence), f.placed.attempts))
            .collect())
    }
}

/// When the oldest stored message was published. It stands first in a lane of some
/// subscription, or is delayed or in flight there.
fn oldest(topic: &Topic) -> Option<Timestamp> {
    let candidates = |subscription: &Subscription| {
        let fronts = subscription.waiting.fronts().map(|placed| placed.sequence);
        let delayed = subscription.delayed.keys().copied();
        let in_flight = subscription.flights.keys().copied();
        let sequences = fronts.chain(delayed).chain(in_flight);
        sequences
            .map(|sequence| topic.messages.at(sequence).published_at)
            .min()
    };
    topic.subscriptions.values().filter_map(candidates).min()
}
