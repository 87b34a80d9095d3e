//! What this process knows of its consumers: credit, windows, and which delivery has which tag. Pure.

use super::script::Hold;
use hashbrown::HashMap;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use trunkline_model::{
    ConsumeSpec, ConsumerId, Consuming, Delivery, DeliveryOutbox, DeliveryTag, SubscriptionName,
    TopicName, limits,
};

/// Most messages that one step takes for a consumer.
const TAKE_MAX: u32 = 256;
/// Most bytes of the same, but for one that is larger; fewer where many take from a topic.
const TAKE_BYTES_MAX: u64 = 1 << 20;
/// At least so many may be taken, however many take.
const TAKE_BYTES_MIN: u64 = 64 << 10;
/// What all who take from a topic share.
const TAKE_BYTES_ALL: u64 = 8 << 20;

/// A subscription that a consumer takes from.
#[derive(Debug)]
struct Source {
    topic: TopicName,
    subscription: SubscriptionName,
    /// The subscription's number, once the topic knows of it.
    number: u32,
    /// The topic knows of it.
    attached: bool,
    /// There may be something to take, as far as is known.
    may_have: bool,
    /// What is there is larger than what there was room for.
    starved: bool,
    /// Deliveries of it that are not settled.
    held: u32,
    /// A request that takes from it is under way: so many deliveries and bytes are kept free for it.
    taking: Option<(u32, u64)>,
}

/// A delivery that is not settled.
#[derive(Clone, Copy, Debug)]
struct Held {
    source: u32,
    hold: Hold,
}

#[derive(Debug)]
struct Consumer {
    outbox: Arc<DeliveryOutbox>,
    sources: Vec<Source>,
    credit: u32,
    window: u64,
    /// Bytes handed over and not yet taken, by [`Delivery::weight`].
    in_window: u64,
    auto_ack: bool,
    /// All its sources are attached, and it was told.
    started: bool,
    began: Consuming,
    held: BTreeMap<u64, Held>,
    /// The tag of a delivery by source and ticket.
    tags: HashMap<(u32, u64), u64>,
    last_tag: u64,
}

/// What a request takes for one source of a consumer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Taking {
    pub(super) consumer: ConsumerId,
    pub(super) source: u32,
    pub(super) subscription: SubscriptionName,
    pub(super) count: u32,
    pub(super) bytes: u64,
    /// No step of the topic takes more bytes now.
    pub(super) bytes_max: u64,
    /// One message may be larger than `bytes`.
    pub(super) at_least_one: bool,
    pub(super) auto_ack: bool,
}

/// Somebody to attach to a topic.
#[derive(Clone, Debug)]
pub(super) struct Attaching {
    pub(super) consumer: ConsumerId,
    pub(super) source: u32,
    pub(super) subscription: SubscriptionName,
}

/// What a consumer leaves behind.
pub(super) struct Closed {
    pub(super) outbox: Arc<DeliveryOutbox>,
    /// The topics that it took from.
    pub(super) topics: BTreeSet<TopicName>,
    /// Deliveries that it had not settled.
    pub(super) held: u64,
}

/// How a step about deliveries looks for them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Find {
    /// They stay.
    Keep,
    /// They are settled by that.
    Remove,
}

/// The consumers of this process.
#[derive(Debug, Default)]
pub(super) struct Consumers {
    all: HashMap<ConsumerId, Consumer>,
    by_topic: HashMap<TopicName, BTreeSet<(ConsumerId, u32)>>,
    /// Where taking goes on among those of a topic.
    turns: HashMap<TopicName, (ConsumerId, u32)>,
    last: u64,
}

impl Consumers {
    /// Adds one of which its topics don't know yet.
    pub(super) fn open(&mut self, spec: &ConsumeSpec, outbox: Arc<DeliveryOutbox>) -> ConsumerId {
        self.last += 1;
        let id = ConsumerId(self.last);
        let sources = spec.sources.iter().zip(0..);
        let sources = sources.map(|(source, index)| {
            let topic = self.by_topic.entry(source.topic.clone()).or_default();
            topic.insert((id, index));
            Source {
                topic: source.topic.clone(),
                subscription: source.subscription.clone(),
                number: 0,
                attached: false,
                may_have: true,
                starved: false,
                held: 0,
                taking: None,
            }
        });
        let consumer = Consumer {
            outbox,
            sources: sources.collect(),
            credit: spec.credit.min(limits::CREDIT_MAX),
            window: spec.window_bytes,
            in_window: 0,
            auto_ack: spec.auto_ack,
            started: false,
            began: Consuming::default(),
            held: BTreeMap::new(),
            tags: HashMap::new(),
            last_tag: 0,
        };
        self.all.insert(id, consumer);
        id
    }

    /// A topic knows of a source. The outbox in which the start was left, if that was the last of them.
    pub(super) fn attached(
        &mut self,
        id: ConsumerId,
        source: u32,
        number: u32,
        made: Consuming,
    ) -> Option<Arc<DeliveryOutbox>> {
        let consumer = self.all.get_mut(&id)?;
        let attached = consumer.sources.get_mut(source as usize)?;
        attached.attached = true;
        attached.number = number;
        attached.may_have = true;
        consumer.began.created += made.created;
        consumer.began.released += made.released;
        let all = consumer.sources.iter().all(|source| source.attached);
        if !all || std::mem::replace(&mut consumer.started, true) {
            return None;
        }
        // Here, so that no delivery can be left before.
        consumer.outbox.leave_start(Ok(consumer.began));
        Some(consumer.outbox.clone())
    }

    /// The topics of a consumer.
    pub(super) fn topics_of(&self, id: ConsumerId) -> BTreeSet<TopicName> {
        let sources = self.all.get(&id).map(|consumer| consumer.sources.iter());
        let sources = sources.into_iter().flatten();
        sources.map(|source| source.topic.clone()).collect()
    }

    /// Whether a topic knows of anybody here, or will.
    pub(super) fn has_any(&self, topic: &str) -> bool {
        self.by_topic.contains_key(topic)
    }

    /// Whether a topic should know of somebody here.
    pub(super) fn is_attached(&self, topic: &str) -> bool {
        self.sources_of(topic).any(|(_, source)| source.attached)
    }

    /// The consumers that a topic knew of.
    pub(super) fn attached_to(&self, topic: &str) -> BTreeSet<ConsumerId> {
        let known = self.sources_of(topic).filter(|(_, source)| source.attached);
        known.map(|(id, _)| id).collect()
    }

    /// A topic doesn't know of a source any more.
    pub(super) fn detached(&mut self, id: ConsumerId, index: u32) -> Option<Attaching> {
        let source = self.source(id, index)?;
        source.taking = None;
        let was = std::mem::replace(&mut source.attached, false);
        was.then(|| Attaching {
            consumer: id,
            source: index,
            subscription: source.subscription.clone(),
        })
    }

    /// The name of a consumer's subscription.
    pub(super) fn subscription(
        &self,
        topic: &str,
        id: ConsumerId,
        number: u32,
    ) -> Option<SubscriptionName> {
        let mut sources = self.all.get(&id)?.sources.iter();
        let found = sources.find(|s| s.topic.as_str() == topic && s.number == number)?;
        Some(found.subscription.clone())
    }

    /// Something may have come to a topic.
    pub(super) fn refill(&mut self, topic: &str) {
        for (id, source) in self.by_topic.get(topic).into_iter().flatten() {
            if let Some(consumer) = self.all.get_mut(id) {
                let source = &mut consumer.sources[*source as usize];
                source.may_have = true;
                source.starved = false;
            }
        }
    }

    /// What a request to a topic takes, in at most so many steps; the next one goes on behind them.
    pub(super) fn takes(&mut self, topic: &TopicName, max: usize) -> Vec<Taking> {
        let mut takes = Vec::new();
        let Some(sources) = self.by_topic.get(topic) else {
            return takes;
        };
        let share = TAKE_BYTES_ALL / sources.len().max(1) as u64;
        let bytes_max = share.clamp(TAKE_BYTES_MIN, TAKE_BYTES_MAX);
        let turn = self.turns.get(topic).copied();
        let from = turn.unwrap_or((ConsumerId(0), 0));
        for (id, source) in sources.range(from..).chain(sources.range(..from)) {
            if takes.len() == max {
                self.turns.insert(topic.clone(), (*id, *source));
                return takes;
            }
            let taking = self
                .all
                .get_mut(id)
                .and_then(|c| c.take(*id, *source, bytes_max));
            takes.extend(taking);
        }
        takes
    }

    /// A request that takes was not sent.
    pub(super) fn give_back(&mut self, takings: &[Taking]) {
        for taking in takings {
            if let Some(source) = self.source(taking.consumer, taking.source) {
                source.taking = None;
            }
        }
    }

    /// What a request has taken for a source; `more` if there may be more for it. The outbox in
    /// which deliveries were left, and the topics of which more may be taken by that.
    pub(super) fn taken(
        &mut self,
        taking: &Taking,
        more: bool,
        got: Vec<(Hold, Delivery)>,
    ) -> (Option<Arc<DeliveryOutbox>>, Vec<TopicName>) {
        let Some(consumer) = self.all.get_mut(&taking.consumer) else {
            return (None, Vec::new());
        };
        if consumer.in_window == 0 {
            // It was another request's room that was missing.
            consumer.sources.iter_mut().for_each(|s| s.starved = false);
        }
        consumer.sources[taking.source as usize].taking = None;
        // What came meanwhile may be room enough.
        let room = consumer.free().1.min(taking.bytes_max);
        let has_more = room > taking.bytes || (consumer.is_empty() && !taking.at_least_one);
        let source = &mut consumer.sources[taking.source as usize];
        source.may_have = more || got.len() >= taking.count as usize;
        source.starved = more && got.is_empty() && !has_more;
        if got.is_empty() {
            return (None, consumer.thirsty());
        }
        let mut deliveries = Vec::with_capacity(got.len());
        for (hold, mut delivery) in got {
            consumer.last_tag += 1;
            let tag = consumer.last_tag;
            delivery.tag = DeliveryTag(tag);
            consumer.in_window = consumer.in_window.saturating_add(delivery.weight());
            if !consumer.auto_ack {
                let source = taking.source;
                consumer.held.insert(tag, Held { source, hold });
                consumer.sources[source as usize].held += 1;
                consumer.tags.insert((source, hold.ticket), tag);
            }
            deliveries.push(delivery);
        }
        consumer.outbox.leave(deliveries.into_iter());
        (Some(consumer.outbox.clone()), consumer.thirsty())
    }

    /// Sets a credit. The topics where that may bring something.
    pub(super) fn credit(&mut self, id: ConsumerId, credit: u32) -> Vec<TopicName> {
        let Some(consumer) = self.all.get_mut(&id) else {
            return Vec::new();
        };
        consumer.credit = credit.min(limits::CREDIT_MAX);
        consumer.thirsty()
    }

    /// So many bytes have left a window. The topics where that may bring something.
    pub(super) fn room(&mut self, id: ConsumerId, bytes: u64) -> Vec<TopicName> {
        let Some(consumer) = self.all.get_mut(&id) else {
            return Vec::new();
        };
        consumer.in_window = consumer.in_window.saturating_sub(bytes);
        consumer.sources.iter_mut().for_each(|s| s.starved = false);
        consumer.thirsty()
    }

    /// A delivery that is held: its topic, and what the topic calls it.
    pub(super) fn held(
        &mut self,
        id: ConsumerId,
        tag: DeliveryTag,
        find: Find,
    ) -> Option<(TopicName, Hold)> {
        let consumer = self.all.get_mut(&id)?;
        let held = *consumer.held.get(&tag.0)?;
        if find == Find::Remove {
            consumer.forget(tag.0);
        }
        let source = &consumer.sources[held.source as usize];
        Some((source.topic.clone(), held.hold))
    }

    /// A tag that isn't held any more: the topic and number of the subscription that it was of. Of a consumer with
    /// several sources nobody knows that any more.
    pub(super) fn late(&self, id: ConsumerId, tag: DeliveryTag) -> Option<(TopicName, u32)> {
        let consumer = self.all.get(&id)?;
        match &consumer.sources[..] {
            [source] if (1..=consumer.last_tag).contains(&tag.0) => {
                Some((source.topic.clone(), source.number))
            }
            _ => None,
        }
    }

    /// Deliveries are settled.
    pub(super) fn settled(&mut self, id: ConsumerId, tags: &[DeliveryTag]) {
        if let Some(consumer) = self.all.get_mut(&id) {
            tags.iter().for_each(|tag| consumer.forget(tag.0));
        }
    }

    /// A topic took a delivery back.
    pub(super) fn forgotten(&mut self, topic: &str, id: ConsumerId, hold: Hold) {
        let Some(consumer) = self.all.get_mut(&id) else {
            return;
        };
        let sources = consumer.sources.iter().zip(0..);
        let mut sources = sources.filter(|(source, _)| source.topic.as_str() == topic);
        let tag = sources.find_map(|(_, source)| consumer.tags.get(&(source, hold.ticket)));
        if let Some(tag) = tag.copied() {
            consumer.forget(tag);
        }
    }

    /// A topic took everything back and forgot who takes from it: those are to be attached again.
    pub(super) fn lost(&mut self, topic: &str) -> Vec<Attaching> {
        let sources = self.by_topic.get(topic).into_iter().flatten();
        let mut again = Vec::new();
        for (id, index) in sources {
            let Some(consumer) = self.all.get_mut(id) else {
                continue;
            };
            let held = consumer.held.iter();
            let held = held.filter(|(_, held)| held.source == *index);
            let tags: Vec<u64> = held.map(|(tag, _)| *tag).collect();
            tags.into_iter().for_each(|tag| consumer.forget(tag));
            let source = &mut consumer.sources[*index as usize];
            if std::mem::replace(&mut source.attached, false) {
                again.push(Attaching {
                    consumer: *id,
                    source: *index,
                    subscription: source.subscription.clone(),
                });
            }
        }
        again
    }

    /// The consumers that take from a topic, or from one subscription of it.
    pub(super) fn of(&self, topic: &str, subscription: Option<&str>) -> BTreeSet<ConsumerId> {
        let sources = self.sources_of(topic);
        let asked = |source: &Source| subscription.is_none_or(|s| *source.subscription == *s);
        let asked = sources.filter(|(_, source)| asked(source));
        asked.map(|(id, _)| id).collect()
    }

    /// Ends a consumer.
    pub(super) fn close(&mut self, id: ConsumerId) -> Option<Closed> {
        let consumer = self.all.remove(&id)?;
        let held = consumer.held.len() as u64;
        let mut topics = BTreeSet::new();
        for (source, index) in consumer.sources.into_iter().zip(0..) {
            if let Some(sources) = self.by_topic.get_mut(&source.topic) {
                sources.remove(&(id, index));
                if sources.is_empty() {
                    self.by_topic.remove(&source.topic);
                    self.turns.remove(&source.topic);
                }
            }
            topics.insert(source.topic);
        }
        Some(Closed {
            outbox: consumer.outbox,
            topics,
            held,
        })
    }

    /// All of them.
    pub(super) fn ids(&self) -> Vec<ConsumerId> {
        self.all.keys().copied().collect()
    }

    /// Whether nothing that was taken waits for a sink.
    pub(super) fn is_idle(&self) -> bool {
        self.all.values().all(|consumer| consumer.outbox.is_idle())
    }

    fn sources_of(&self, topic: &str) -> impl Iterator<Item = (ConsumerId, &Source)> {
        let sources = self.by_topic.get(topic).into_iter().flatten();
        sources.filter_map(|(id, source)| {
            let consumer = self.all.get(id)?;
            Some((*id, consumer.sources.get(*source as usize)?))
        })
    }

    fn source(&mut self, id: ConsumerId, source: u32) -> Option<&mut Source> {
        self.all.get_mut(&id)?.sources.get_mut(source as usize)
    }
}

impl Consumer {
    fn forget(&mut self, tag: u64) {
        if let Some(held) = self.held.remove(&tag) {
            self.tags.remove(&(held.source, held.hold.ticket));
            self.sources[held.source as usize].held -= 1;
        }
    }

    /// Deliveries and bytes that may come, beside those that are kept free for requests under way.
    fn free(&self) -> (u32, u64) {
        let under_way = self.sources.iter().filter_map(|source| source.taking);
        let (count, bytes) = under_way.fold((0, 0u64), |(count, bytes), taking| {
            (count + taking.0, bytes.saturating_add(taking.1))
        });
        let held = u32::try_from(self.held.len()).unwrap_or(u32::MAX);
        let credit = match self.auto_ack {
            true if self.credit > 0 => TAKE_MAX,
            _ => self.credit.saturating_sub(held).saturating_sub(count),
        };
        let room = self.window.saturating_sub(self.in_window);
        (credit, room.saturating_sub(bytes))
    }

    /// Whether one delivery of any size may come: nothing is in the window, or on its way there.
    fn is_empty(&self) -> bool {
        self.in_window == 0 && self.sources.iter().all(|source| source.taking.is_none())
    }

    fn waits(source: &Source) -> bool {
        source.attached && source.may_have && !source.starved && source.taking.is_none()
    }

    /// How much more of the credit is a source's, while others wait to be asked, are being asked, or are to be
    /// attached again.
    fn turn(&self, index: u32) -> u32 {
        let is_active =
            |source: &&Source| Self::waits(source) || source.taking.is_some() || !source.attached;
        let active = self.sources.iter().filter(is_active);
        match u32::try_from(active.count()).unwrap_or(u32::MAX) {
            0 | 1 => u32::MAX,
            _ if self.auto_ack => u32::MAX,
            active => {
                let share = self.credit.div_ceil(active);
                share.saturating_sub(self.sources[index as usize].held)
            }
        }
    }

    /// What may be taken from a source: its share of what is free.
    fn take(&mut self, id: ConsumerId, index: u32, bytes_max: u64) -> Option<Taking> {
        if !self.started || !Self::waits(&self.sources[index as usize]) {
            return None;
        }
        let others = self.sources.iter().filter(|source| Self::waits(source));
        let waiting = others.count().max(1);
        let (credit, room) = self.free();
        let at_least_one = self.is_empty();
        if credit == 0 || (!at_least_one && room < limits::DELIVERY_BYTES_MIN) {
            return None;
        }
        let count = credit.min(TAKE_MAX).min(self.turn(index));
        if count == 0 {
            return None;
        }
        let bytes = room.div_ceil(waiting as u64).min(bytes_max);
        let source = &mut self.sources[index as usize];
        source.taking = Some((if self.auto_ack { 0 } else { count }, bytes));
        Some(Taking {
            consumer: id,
            source: index,
            subscription: source.subscription.clone(),
            count,
            bytes,
            bytes_max,
            at_least_one,
            auto_ack: self.auto_ack,
        })
    }

    /// The topics from which something may be taken now.
    fn thirsty(&self) -> Vec<TopicName> {
        let (credit, room) = self.free();
        if !self.started || credit == 0 || !(self.is_empty() || room >= limits::DELIVERY_BYTES_MIN)
        {
            return Vec::new();
        }
        let waiting = self.sources.iter().filter(|source| Self::waits(source));
        waiting.map(|source| source.topic.clone()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use trunkline_model::{
        DeliverySink, Error, MessageId, Priority, Source, StoredMessage, Timestamp,
    };

    struct Nobody;

    impl DeliverySink for Nobody {
        fn started(&self, _: Result<Consuming, Error>) {}
        fn deliver(&self, _: Vec<Delivery>) {}
        fn ended(&self, _: Error) {}
    }

    fn topic(name: &str) -> TopicName {
        name.parse().unwrap()
    }

    /// A consumer of the subscription `s` of topics, which all know of it.
    fn consumer(
        consumers: &mut Consumers,
        topics: &[&str],
        credit: u32,
        window: u64,
    ) -> ConsumerId {
        let source = |name: &&str| Source {
            topic: topic(name),
            subscription: "s".parse().unwrap(),
            from: None,
        };
        let spec = ConsumeSpec {
            sources: topics.iter().map(source).collect(),
            credit,
            window_bytes: window,
            auto_ack: false,
        };
        let id = consumers.open(&spec, DeliveryOutbox::new(Arc::new(Nobody)));
        for index in 0..topics.len() {
            let started = consumers.attached(id, index as u32, 1, Consuming::default());
            assert_eq!(started.is_some(), index + 1 == topics.len());
        }
        id
    }

    fn takes(consumers: &mut Consumers, name: &str) -> Vec<Taking> {
        consumers.takes(&topic(name), 9)
    }

    fn deliveries(payloads: &[(u64, usize)]) -> Vec<(Hold, Delivery)> {
        let one = |(ticket, bytes): &(u64, usize)| {
            let hold = Hold {
                subscription: 1,
                sequence: *ticket,
                ticket: *ticket,
            };
            let message = StoredMessage {
                payload: vec![0; *bytes].into(),
                content_type: "".into(),
                key: None,
                group: None,
                publish_id: None,
                priority: Priority(0),
                published_at: Timestamp::ZERO,
                expires_at: None,
                deliver_at: None,
                headers: Default::default(),
                traceparent: None,
            };
            let delivery = Delivery {
                tag: DeliveryTag(0),
                id: MessageId {
                    topic: 1,
                    sequence: *ticket,
                },
                topic: topic("a"),
                attempt: 1,
                message,
            };
            (hold, delivery)
        };
        payloads.iter().map(one).collect()
    }

    #[test]
    fn sources_share_what_is_free_and_give_back_what_they_do_not_use() {
        let mut consumers = Consumers::default();
        consumer(&mut consumers, &["a", "b"], 5, 1 << 20);
        let a = takes(&mut consumers, "a").remove(0);
        assert_eq!((a.count, a.at_least_one), (3, true));
        assert!(takes(&mut consumers, "a").is_empty(), "one is under way");
        let b = takes(&mut consumers, "b").remove(0);
        assert_eq!((b.count, b.at_least_one), (2, false));
        let (_, thirsty) = consumers.taken(&a, false, Vec::new());
        assert!(thirsty.is_empty(), "b is being asked, a is empty");
        let (_, thirsty) = consumers.taken(&b, true, deliveries(&[(1, 0), (2, 0)]));
        assert_eq!(thirsty, [topic("b")]);
        assert_eq!(takes(&mut consumers, "b")[0].count, 3);
        consumers.refill("a");
        assert!(
            takes(&mut consumers, "a").is_empty(),
            "all is kept free for b"
        );
    }

    /// A topic that answered fast took the whole credit before the other one was asked at all.
    #[test]
    fn a_fast_source_does_not_take_the_share_of_one_that_was_not_asked_so_far() {
        let mut consumers = Consumers::default();
        consumer(&mut consumers, &["a", "b"], 4, 1 << 20);
        let b = takes(&mut consumers, "b").remove(0);
        consumers.taken(&b, true, deliveries(&[(1, 0), (2, 0)]));
        assert!(takes(&mut consumers, "b").is_empty());
        let a = takes(&mut consumers, "a").remove(0);
        assert_eq!(a.count, 2);
        let (_, thirsty) = consumers.taken(&a, false, Vec::new());
        assert_eq!(thirsty, [topic("b")]);
        assert_eq!(takes(&mut consumers, "b")[0].count, 2, "a has nothing");
    }

    #[test]
    fn a_source_that_is_attached_again_keeps_its_share() {
        let mut consumers = Consumers::default();
        let id = consumer(&mut consumers, &["a", "b"], 4, 1 << 20);
        let b = takes(&mut consumers, "b").remove(0);
        consumers.taken(&b, true, deliveries(&[(1, 0), (2, 0)]));
        assert_eq!(consumers.lost("a").len(), 1);
        assert!(takes(&mut consumers, "b").is_empty());
        consumers.attached(id, 0, 1, Consuming::default());
        assert_eq!(takes(&mut consumers, "a")[0].count, 2);
    }

    #[test]
    fn credit_and_window_bound_what_is_taken() {
        let mut consumers = Consumers::default();
        let id = consumer(&mut consumers, &["a"], 2, 1_000);
        let taking = takes(&mut consumers, "a").remove(0);
        assert_eq!((taking.count, taking.bytes), (2, 1_000));
        consumers.taken(&taking, true, deliveries(&[(1, 600)]));
        assert!(
            takes(&mut consumers, "a").is_empty(),
            "144 bytes are no room"
        );
        assert_eq!(consumers.credit(id, 9), []);
        assert_eq!(consumers.room(id, 856), [topic("a")]);
        assert_eq!(takes(&mut consumers, "a")[0].count, 8);
        assert!(consumers.held(id, DeliveryTag(1), Find::Remove).is_some());
        assert!(consumers.held(id, DeliveryTag(1), Find::Remove).is_none());
        assert_eq!(consumers.credit(id, 0), []);
    }

    #[test]
    fn what_is_too_large_for_now_is_not_asked_for_again_and_again() {
        let mut consumers = Consumers::default();
        let id = consumer(&mut consumers, &["a"], 9, 1_000);
        let taking = takes(&mut consumers, "a").remove(0);
        consumers.taken(&taking, true, deliveries(&[(1, 0)]));
        let taking = takes(&mut consumers, "a").remove(0);
        assert!(!taking.at_least_one);
        consumers.taken(&taking, true, Vec::new());
        assert!(takes(&mut consumers, "a").is_empty());
        assert_eq!(consumers.room(id, 256), [topic("a")]);
        assert!(takes(&mut consumers, "a")[0].at_least_one);
    }

    #[test]
    fn what_a_topic_takes_back_is_no_longer_held() {
        let mut consumers = Consumers::default();
        let id = consumer(&mut consumers, &["a", "b"], 9, 1 << 20);
        let taking = takes(&mut consumers, "a").remove(0);
        let got = deliveries(&[(1, 0), (2, 0), (3, 0)]);
        let first = got[0].0;
        consumers.taken(&taking, false, got);
        consumers.forgotten("b", id, first);
        assert!(consumers.held(id, DeliveryTag(1), Find::Keep).is_some());
        consumers.forgotten("a", id, first);
        assert!(consumers.held(id, DeliveryTag(1), Find::Keep).is_none());
        assert!(consumers.is_attached("a"));
        let again = consumers.lost("a");
        assert_eq!((again.len(), again[0].source), (1, 0));
        assert!(consumers.held(id, DeliveryTag(2), Find::Keep).is_none());
        assert!(!consumers.is_attached("a") && consumers.is_attached("b"));
        assert!(consumers.lost("a").is_empty(), "it is being attached");
        let closed = consumers.close(id).unwrap();
        assert_eq!((closed.held, closed.topics.len()), (0, 2));
        assert!(!consumers.has_any("a") && consumers.ids().is_empty());
    }

    #[test]
    fn many_sources_of_a_topic_take_turns() {
        let mut consumers = Consumers::default();
        for _ in 0..5 {
            consumer(&mut consumers, &["a"], 1, 1 << 20);
        }
        let ids = |takes: &[Taking]| takes.iter().map(|t| t.consumer.0).collect::<Vec<_>>();
        let first = consumers.takes(&topic("a"), 2);
        let second = consumers.takes(&topic("a"), 2);
        assert_eq!((ids(&first), ids(&second)), (vec![1, 2], vec![3, 4]));
        consumers.give_back(&first);
        assert_eq!(ids(&consumers.takes(&topic("a"), 2)), [5, 1]);
    }
}
