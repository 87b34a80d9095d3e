//! Looking without disturbing.

use crate::{Core, subscription::Subscription, topic::Topic};
use std::ops::Bound;
use trunkline_model::{Error, MessageId, SubscriptionInfo, Timestamp, TopicInfo, TopicName};

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

    /// Numbers and names of all topics that are defined.
    pub fn topic_names(&self) -> impl Iterator<Item = (u32, String)> {
        let topics = self.topics.iter();
        topics.filter_map(|(_, topic)| Some((topic.number, topic.name.as_ref()?.to_string())))
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
                by_priority: subscription.waiting.by_priority(),
                oldest_at: oldest_of(topic, subscription),
                in_flight: (subscription.flights.len() + subscription.leaving.len()) as u64,
                consumers: self.traffic.desks[subscription.desk].attached.len() as u32,
                acked: subscription.counts.acked,
                redelivered: subscription.counts.redelivered,
                late: subscription.counts.late,
                dead: subscription.counts.dead,
            }
        });
        TopicInfo {
            name,
            number: topic.number,
            options: topic.options.clone(),
            messages: topic.messages.len() as u64,
            bytes: topic.bytes,
            oldest_at: topic.messages.iter().next().map(|first| first.published_at),
            published: topic.counts.published,
            expired: topic.counts.expired,
            dropped: topic.counts.dropped,
            replaced: topic.counts.replaced,
            duplicates: topic.counts.duplicates,
            dead: topic.counts.dead,
            subscriptions: subscriptions.collect(),
        }
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

/// When the oldest message that a subscription has not settled was published, as far as it can
/// be told without going through all of them.
fn oldest_of(topic: &Topic, subscription: &Subscription) -> Option<Timestamp> {
    let waiting = subscription.waiting.fronts().map(|placed| placed.sequence);
    let delayed = subscription.delayed.sequences().next();
    let in_flight = subscription.flights.keys().next().copied();
    let leaving = subscription.leaving.keys().next().copied();
    let others = delayed.into_iter().chain(in_flight).chain(leaving);
    let oldest = waiting.chain(others).min()?;
    Some(topic.messages.at(oldest).published_at)
}
