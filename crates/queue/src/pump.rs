//! Who gets what: deliveries are decided one by one, each for the subscription that was
//! served least recently and there for the consumer that was.

use crate::{
    Core, Deliver, Effects,
    held::Held,
    moves::{Endings, Move, Moves},
    record::Reason,
    subscription::{Flight, Holder},
};
use smallvec::SmallVec;
use trunkline_model::{Delivery, DeliveryMode, DeliveryTag, Timestamp};

/// What a pump did, to be logged at its end.
#[derive(Default)]
struct Pumped {
    delivered: Moves,
    acked: Moves,
    ends: Endings,
    /// Consumers and sources whose batch is being filled.
    filling: SmallVec<[(u32, u32); 4]>,
}

impl Core {
    /// Decides deliveries until no consumer can take any that are there: bounded by credits
    /// and windows. The bodies of everything put must be set before.
    pub fn pump(&mut self, now: Timestamp, out: &mut Effects) {
        let mut pumped = Pumped::default();
        while let Some((_, desk)) = self.traffic.turns.pop_first() {
            while self.serve(now, desk, &mut pumped, out) {
                // Alone, a subscription need not queue behind itself.
                if !self.traffic.turns.is_empty() {
                    self.traffic.wake(desk);
                    break;
                }
            }
        }
        for (consumer, source) in pumped.filling {
            self.traffic.consumers[consumer].sources[source as usize].is_filling = false;
        }
        pumped.ends.log(now, out);
        pumped.delivered.log_deliveries(now, out);
        pumped.acked.log_acks(out);
    }

    /// One delivery at a desk; false if none is possible.
    fn serve(
        &mut self,
        now: Timestamp,
        desk_index: u32,
        pumped: &mut Pumped,
        out: &mut Effects,
    ) -> bool {
        let desk = &self.traffic.desks[desk_index];
        let (topic_index, number) = (desk.topic, desk.subscription);
        loop {
            if self.traffic.desks[desk_index].ready.is_empty() {
                return false;
            }
            let topic = &self.topics[topic_index];
            let subscription = topic.subscription(number);
            let Some((_, placed)) = subscription.waiting.front() else {
                return false;
            };
            let stored = topic.messages.at(placed.sequence);
            if stored.is_expired(now) {
                let mut work = self.work(topic_index, out);
                work.expire(now, placed.sequence, &mut pumped.ends);
                continue;
            }
            let max = subscription.options.max_attempts;
            if max > 0 && placed.attempts >= max {
                // The bound was set lower meanwhile, or a return was not logged.
                let (sequence, ends) = (placed.sequence, &mut pumped.ends);
                let mut work = self.work(topic_index, out);
                work.give_up(now, sequence, number, Reason::Exhausted, ends);
                continue;
            }
            let (bytes, mode) = (stored.bytes, subscription.options.delivery);
            let ready = &mut self.traffic.desks[desk_index].ready;
            let Some(&(served, index)) = ready.first() else {
                return false;
            };
            let consumer = &mut self.traffic.consumers[index];
            let is_here = |source: &crate::consumer::Source| source.desk == desk_index;
            let source = consumer.sources.iter().position(is_here);
            let source = source.expect("only attached consumers queue at a desk") as u32;
            ready.remove(&(served, index));
            if consumer.can_take(source, bytes, mode) {
                self.hand_over(now, desk_index, index, source, pumped, out);
                return true;
            }
            consumer.parked.push(source);
        }
    }

    /// Hands the front of a subscription to a consumer that can take it.
    fn hand_over(
        &mut self,
        now: Timestamp,
        desk: u32,
        consumer_index: u32,
        source: u32,
        pumped: &mut Pumped,
        out: &mut Effects,
    ) {
        let stamp = self.traffic.serve(desk);
        let desk_entry = &mut self.traffic.desks[desk];
        desk_entry.ready.insert((stamp, consumer_index));
        let (topic_index, number) = (desk_entry.topic, desk_entry.subscription);

        let topic = &mut self.topics[topic_index];
        let (index, logs) = (topic.number, topic.logs());
        let subscription = topic.subscription_mut(number);
        let (lane, mut placed) = subscription
            .waiting
            .front()
            .expect("the caller saw a message at the front");
        subscription.waiting.remove(lane, placed.position);
        placed.attempts = placed.attempts.saturating_add(1);
        subscription.counts.redelivered += u64::from(placed.attempts > 1);
        let (timeout, mode) = (
            subscription.options.ack_timeout.0,
            subscription.options.delivery,
        );
        let stored = topic.messages.at(placed.sequence);

        let consumer = &mut self.traffic.consumers[consumer_index];
        consumer.last_tag += 1;
        consumer.in_window += Delivery::weight_of(stored.bytes.into());
        let tag = consumer.last_tag;
        out.deliveries.push(Deliver {
            consumer: consumer.id,
            tag: DeliveryTag(tag),
            id: topic.id(stored.sequence),
            topic: topic
                .name
                .clone()
                .expect("only defined topics have consumers"),
            attempt: placed.attempts,
            body: stored.body,
            durability: topic.options.durability,
        });
        let step = Move {
            attempt: placed.attempts,
            ..Move::of(index, number, stored.sequence)
        };
        let source_entry = &mut consumer.sources[source as usize];
        source_entry.served = stamp;
        let auto_ack = consumer.auto_ack;
        if !auto_ack {
            source_entry.in_flight += 1;
            consumer.unsettled += 1;
            let sequence = placed.sequence;
            consumer.held.push(tag, Held { source, sequence });
            if mode == DeliveryMode::Batch && !source_entry.is_filling {
                source_entry.is_filling = true;
                pumped.filling.push((consumer_index, source));
            }
        }
        if logs && auto_ack {
            pumped.acked.push(step);
        } else if logs {
            pumped.delivered.push(step);
        }
        let flight = Flight {
            lane,
            placed,
            deadline: match timeout.is_zero() || auto_ack {
                true => Timestamp::MAX,
                false => now.after(timeout),
            },
            holder: (!auto_ack).then_some(Holder {
                consumer: consumer_index,
                source,
                tag,
            }),
            order: stamp,
        };
        let mut work = self.work(topic_index, out);
        work.depart(number, placed.sequence, flight);
        if auto_ack {
            work.settle(placed.sequence, number);
            work.topic.subscription_mut(number).counts.acked += 1;
        }
    }
}
