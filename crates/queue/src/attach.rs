//! Consumers come, say how much they can take, and go.

use crate::{
    Core, Cost, Effects,
    consumer::{Consumer, Source},
    held::HeldTags,
    leaving::Wait,
    moves::Endings,
};
use trunkline_model::{
    ConsumeSpec, ConsumerId, Consuming, DeliveryTag, Error, SubscriptionSettings, Timestamp, limits,
};

/// The deliveries that a consumer holds.
#[derive(Clone, Copy, Debug)]
pub struct Holdings<'a> {
    /// None if they are settled at hand-over.
    held: Option<&'a HeldTags>,
}

impl Holdings<'_> {
    /// Whether a delivery that was decided still stands: since then it may have been replaced,
    /// have expired or timed out.
    pub fn stands(self, tag: DeliveryTag) -> bool {
        self.held.is_none_or(|held| held.get(tag.0).is_some())
    }
}

impl Core {
    /// Whether [`Core::attach`] can attach a consumer, and what the definitions it makes may
    /// cost.
    ///
    /// # Errors
    /// `InvalidParams` for no source or the same one twice; `NotFound` for a topic that is
    /// not there and may not be made.
    pub fn check_attach(&self, now: Timestamp, spec: &ConsumeSpec) -> Result<Cost, Error> {
        let _ = now;
        if spec.sources.is_empty() {
            return Err(Error::invalid_params(
                "a consumer needs at least one source",
            ));
        }
        let mut queues: Vec<_> = spec
            .sources
            .iter()
            .map(|source| (&source.topic, &source.subscription))
            .collect();
        queues.sort_unstable();
        if let Some(twice) = queues.windows(2).find(|pair| pair[0] == pair[1]) {
            let (topic, subscription) = twice[0];
            return Err(Error::invalid_params(format!(
                "subscription {subscription} of topic {topic} is named twice as a source"
            )));
        }
        let mut cost = Cost::default();
        for source in &spec.sources {
            let options = self.options_of(&source.topic)?;
            let index = self.find(&source.topic);
            if index.is_none() {
                self.cost_of_definition(source.topic.len(), options, &mut cost);
            }
            let names = index.map(|index| &self.topics[index].names);
            if !names.is_some_and(|names| names.contains_key(&source.subscription)) {
                self.cost_of_definition(source.subscription.len(), options, &mut cost);
            }
        }
        Ok(cost)
    }

    /// Attaches a consumer that [`Core::check_attach`] has just allowed, making the topics
    /// and subscriptions that are not there. Nothing is delivered before [`Core::start`].
    pub fn attach(
        &mut self,
        now: Timestamp,
        consumer: ConsumerId,
        spec: ConsumeSpec,
        out: &mut Effects,
    ) -> Consuming {
        let _ = now;
        let mut consuming = Consuming::default();
        let mut sources = Vec::with_capacity(spec.sources.len());
        for source in spec.sources {
            let topic = self.topic_or_make(source.topic, out);
            let mut work = self.work(topic, out);
            let settings = SubscriptionSettings::default();
            let (subscription, created, released) =
                work.subscribe(source.subscription, source.from, settings);
            consuming.created += u32::from(created);
            consuming.released += released;
            sources.push(Source {
                topic,
                subscription,
                desk: work.topic.subscription(subscription).desk,
                in_flight: 0,
                served: 0,
                is_filling: false,
            });
        }
        let index = self.traffic.consumers.insert(Consumer {
            id: consumer,
            sources,
            credit: spec.credit.min(limits::CREDIT_MAX),
            unsettled: 0,
            window: spec.window_bytes,
            in_window: 0,
            auto_ack: spec.auto_ack,
            is_started: false,
            held: HeldTags::default(),
            last_tag: 0,
            parked: Vec::new(),
        });
        for source in &self.traffic.consumers[index].sources {
            self.traffic.desks[source.desk].attached.insert(index);
        }
        let earlier = self.traffic.consumer_ids.insert(consumer, index);
        debug_assert!(earlier.is_none(), "consumer ids are never reused");
        consuming
    }

    /// Deliveries to a consumer may be decided from now on.
    pub fn start(&mut self, consumer: ConsumerId) {
        let Some(index) = self.traffic.consumer_ids.get(&consumer).copied() else {
            return;
        };
        let sources = self.traffic.consumers[index].sources.len();
        if std::mem::replace(&mut self.traffic.consumers[index].is_started, true) {
            return;
        }
        for source in 0..sources {
            let served = self.traffic.stamp();
            let consumer = &mut self.traffic.consumers[index];
            consumer.sources[source].served = served;
            consumer.parked.push(source as u32);
        }
        self.traffic.unpark(index);
    }

    /// The deliveries that a consumer holds; `None` if there is no such consumer.
    pub fn holdings(&self, consumer: ConsumerId) -> Option<Holdings<'_>> {
        let index = self.traffic.consumer_ids.get(&consumer)?;
        let consumer = &self.traffic.consumers[*index];
        Some(Holdings {
            held: (!consumer.auto_ack).then_some(&consumer.held),
        })
    }

    /// Sets the most unsettled deliveries of a consumer (absolute).
    pub fn credit(&mut self, consumer: ConsumerId, credit: u32) {
        if let Some(index) = self.traffic.consumer_ids.get(&consumer).copied() {
            self.traffic.consumers[index].credit = credit.min(limits::CREDIT_MAX);
            self.traffic.unpark(index);
        }
    }

    /// So many payload bytes have left the consumer's window.
    pub fn taken(&mut self, consumer: ConsumerId, bytes: u64) {
        if let Some(index) = self.traffic.consumer_ids.get(&consumer).copied() {
            let consumer = &mut self.traffic.consumers[index];
            consumer.in_window = consumer.in_window.saturating_sub(bytes);
            self.traffic.unpark(index);
        }
    }

    /// Ends a consumer: what it has not settled returns to its place, or is given up after
    /// its last attempt. Returns how many deliveries that were.
    pub fn detach(&mut self, now: Timestamp, consumer: ConsumerId, out: &mut Effects) -> u64 {
        let Some(index) = self.traffic.consumer_ids.remove(&consumer) else {
            return 0;
        };
        let consumer = &mut self.traffic.consumers[index];
        // From here on nothing that it gains makes it queue again.
        consumer.parked.clear();
        let sources = consumer.sources.clone();
        let held: Vec<_> = consumer.held.iter().map(|(_, held)| held).collect();
        for source in &sources {
            let desk = &mut self.traffic.desks[source.desk];
            desk.attached.remove(&index);
            desk.unqueue(source.served, index);
        }
        let mut ends = Endings::default();
        for held in &held {
            let source = sources[held.source as usize];
            let mut work = self.work(source.topic, out);
            let (sequence, number) = (held.sequence, source.subscription);
            work.end_attempt(now, sequence, number, Wait::Nothing, &mut ends);
        }
        ends.log(now, out);
        self.traffic.consumers.remove(index);
        held.len() as u64
    }

    /// Ends every consumer at a desk that is about to close.
    pub(crate) fn end_consumers(
        &mut self,
        now: Timestamp,
        desk: u32,
        reason: &Error,
        out: &mut Effects,
    ) {
        let attached = self.traffic.desks[desk].attached.iter();
        let ids: Vec<_> = attached
            .map(|index| self.traffic.consumers[*index].id)
            .collect();
        for id in ids {
            self.detach(now, id, out);
            out.ended.push((id, reason.clone()));
        }
    }
}
