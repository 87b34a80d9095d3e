//! Consumers: how they begin, what they are handed, how they end.

use super::body;
use super::consumers::{Attaching, Taking};
use super::job::{Job, Order, Outgoing, Then};
use super::script::{Step, Taken};
use super::{FOREVER, Topics};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::time::Instant;
use trunkline_model::{
    ConsumeSpec, ConsumerHandle, ConsumerId, Consuming, Delivery, DeliveryOutbox, DeliverySink,
    DeliveryTag, Error, ErrorCode, MessageId, StartFrom, TopicName,
};

impl Topics {
    /// Starts a consumer.
    pub(crate) fn consume(
        self: &Arc<Self>,
        spec: &ConsumeSpec,
        sink: Arc<dyn DeliverySink>,
    ) -> Box<dyn ConsumerHandle> {
        let outbox = DeliveryOutbox::new(sink);
        let checked = self.serves().and_then(|()| self.room.check());
        if let Err(error) = checked.and_then(|()| check(spec)) {
            outbox.leave_start(Err(error));
            outbox.flush();
            return Box::new(Handle::new(self.clone(), outbox, ConsumerId(0)));
        }
        let id = self.consumers().open(spec, outbox.clone());
        for (source, index) in spec.sources.iter().zip(0..) {
            let attaching = Attaching {
                consumer: id,
                source: index,
                subscription: source.subscription.clone(),
            };
            let job = self.attach_job(attaching, source.from, true);
            self.push(&source.topic, job);
        }
        Box::new(Handle::new(self.clone(), outbox, id))
    }

    /// A step that tells a topic of a consumer; with `create` it makes what isn't there.
    pub(super) fn attach_job(
        &self,
        attaching: Attaching,
        from: Option<StartFrom>,
        create: bool,
    ) -> Job {
        let Attaching {
            consumer,
            source,
            subscription,
        } = attaching;
        let step = Step::Attach {
            consumer: consumer.0,
            subscription: subscription.clone(),
            from,
            create,
        };
        let then = Then::Attach {
            consumer,
            source,
            subscription,
        };
        self.job(step, create, then)
    }

    /// A step that can't be refused for want of room.
    pub(super) fn job(&self, step: Step, makes: bool, then: Then) -> Job {
        let order = Order {
            makes,
            bytes: 0,
            deadline: Instant::now() + self.patience.publish,
            told: false,
            check: None,
            then,
            _room: self.room.take(0),
        };
        Job { step, order }
    }

    /// A topic knows of a source of a consumer.
    pub(super) fn attached(
        &self,
        consumer: ConsumerId,
        source: u32,
        number: u32,
        made: Consuming,
        out: &mut Outgoing,
    ) {
        let mut consumers = self.consumers();
        out.outboxes
            .extend(consumers.attached(consumer, source, number, made));
        out.nudges.extend(consumers.topics_of(consumer));
    }

    /// Hands over what was taken for a source.
    pub(super) fn deliver(
        self: &Arc<Self>,
        topic: &TopicName,
        taking: &Taking,
        number: u32,
        taken: Vec<Taken>,
        more: bool,
        out: &mut Outgoing,
    ) {
        let mut deliveries = Vec::with_capacity(taken.len());
        for one in taken {
            let id = MessageId {
                topic: number,
                sequence: one.message.sequence,
            };
            let Some(message) = body::message(one.message) else {
                tracing::error!(%topic, %id, "a message can't be read; its consumer ends");
                return self.end_consumer(taking.consumer, unreadable(topic, id), out);
            };
            let delivery = Delivery {
                tag: DeliveryTag(0),
                id,
                topic: topic.clone(),
                attempt: one.attempt,
                message,
            };
            deliveries.push((one.hold, delivery));
        }
        let (outbox, nudges) = self.consumers().taken(taking, more, deliveries);
        out.outboxes.extend(outbox);
        out.nudges.extend(nudges);
    }

    /// Ends a consumer from below; its topics are told.
    pub(super) fn end_consumer(
        self: &Arc<Self>,
        id: ConsumerId,
        reason: Error,
        out: &mut Outgoing,
    ) {
        let closed = self.consumers().close(id);
        let Some(closed) = closed else {
            return;
        };
        closed.outbox.leave_end(reason);
        out.outboxes.push(closed.outbox);
        self.detach(id, closed.topics);
    }

    /// A topic isn't there any more: who took from it ends.
    pub(super) fn end_attached(
        self: &Arc<Self>,
        topic: &TopicName,
        reason: &Error,
        out: &mut Outgoing,
    ) {
        let ids = self.consumers().attached_to(topic);
        for id in ids {
            self.end_consumer(id, reason.clone(), out);
        }
    }

    /// A topic or subscription was removed here: who took from it ends.
    pub(super) fn end_consumers(
        self: &Arc<Self>,
        topic: &TopicName,
        subscription: Option<&str>,
        reason: &Error,
    ) {
        let mut out = Outgoing::default();
        let ids = self.consumers().of(topic, subscription);
        for id in ids {
            self.end_consumer(id, reason.clone(), &mut out);
        }
        out.hand_over(self);
    }

    /// Ends a consumer from above: how much it held.
    fn cancel(self: &Arc<Self>, id: ConsumerId) -> u64 {
        let closed = self.consumers().close(id);
        closed.map_or(0, |closed| {
            self.detach(id, closed.topics);
            closed.held
        })
    }

    fn detach(self: &Arc<Self>, id: ConsumerId, topics: impl IntoIterator<Item = TopicName>) {
        for topic in topics {
            let mut job = self.job(Step::Detach { consumer: id.0 }, false, Then::Nothing);
            job.order.deadline = Instant::now() + FOREVER;
            self.push(&topic, job);
        }
    }
}

fn check(spec: &ConsumeSpec) -> Result<(), Error> {
    if spec.sources.is_empty() {
        return Err(Error::invalid_params(
            "a consumer needs at least one source",
        ));
    }
    let sources = spec.sources.iter();
    let mut queues: Vec<_> = sources.map(|s| (&s.topic, &s.subscription)).collect();
    queues.sort_unstable();
    match queues.windows(2).find(|pair| pair[0] == pair[1]) {
        Some(twice) => {
            let (topic, subscription) = twice[0];
            Err(Error::invalid_params(format!(
                "subscription {subscription} of topic {topic} is named twice as a source"
            )))
        }
        None => Ok(()),
    }
}

fn unreadable(topic: &TopicName, id: MessageId) -> Error {
    let text = format!(
        "message {id} of topic {topic} can't be read: its body in Redis was not written by this version of Trunkline"
    );
    Error::new(ErrorCode::Internal, text).with("topic", topic.as_str())
}

/// Controls a consumer; dropping it ends the consumer.
struct Handle {
    topics: Arc<Topics>,
    outbox: Arc<DeliveryOutbox>,
    id: ConsumerId,
    cancelled: AtomicBool,
}

impl Handle {
    fn new(topics: Arc<Topics>, outbox: Arc<DeliveryOutbox>, id: ConsumerId) -> Self {
        Self {
            topics,
            outbox,
            id,
            cancelled: AtomicBool::new(false),
        }
    }
}

impl ConsumerHandle for Handle {
    fn id(&self) -> ConsumerId {
        self.id
    }

    fn credit(&self, credit: u32) {
        let thirsty = self.topics.consumers().credit(self.id, credit);
        thirsty.iter().for_each(|topic| self.topics.nudge(topic));
    }

    fn taken(&self, bytes: u64) {
        let thirsty = self.topics.consumers().room(self.id, bytes);
        thirsty.iter().for_each(|topic| self.topics.nudge(topic));
    }

    fn cancel(&self) -> u64 {
        if self.cancelled.swap(true, Ordering::Relaxed) {
            return 0;
        }
        self.outbox.cancel();
        self.topics.cancel(self.id)
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.cancel();
    }
}
