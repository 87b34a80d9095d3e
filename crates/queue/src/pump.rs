//! Who gets what: deliveries are decided one by one, each for the subscription that was
//! served least recently and there for the consumer that was.

use crate::{
    Core, Deliver, Effects,
    held::Held,
    lines::Place,
    moves::{Endings, Move, Moves},
    record::Reason,
    subscription::{Flight, Holder},
    traffic::Due,
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
    /// Messages that went behind others.
    deferred: usize,
}

/// Most messages that go behind others of their groups in one pump.
const DEFERRED_MAX: usize = 10_000;

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
            let chosen = self.choose(now, desk_index, &mut pumped.deferred, out);
            let Some((place, owner)) = chosen else {
                return false;
            };
            let topic = &self.topics[topic_index];
            let subscription = topic.subscription(number);
            let placed = subscription.waiting.get(place);
            let placed = placed.expect("what is chosen waits");
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
            let desk = &mut self.traffic.desks[desk_index];
            let first = desk.ready.first().map(|(_, consumer)| *consumer);
            let Some(index) = owner.or(first) else {
                return false;
            };
            let consumer = &mut self.traffic.consumers[index];
            let is_here = |source: &crate::consumer::Source| source.desk == desk_index;
            let source = consumer.sources.iter().position(is_here);
            let source = source.expect("only attached consumers queue at a desk") as u32;
            let served = consumer.sources[source as usize].served;
            if consumer.can_take(source, bytes, mode) {
                desk.ready.remove(&(served, index));
                self.hand_over(now, desk_index, (index, source), place, pumped, out);
                return true;
            }
            desk.unqueue(served, index);
            consumer.parked.push(source);
        }
    }

    /// What is to be delivered next at a desk where consumers queue, and to whom, if not to
    /// anybody. Looking for it, messages go behind what they must wait for; after many of
    /// them nobody waits for more, and the look goes on with the next tick.
    fn choose(
        &mut self,
        now: Timestamp,
        desk_index: u32,
        deferred: &mut usize,
        out: &mut Effects,
    ) -> Option<(Place, Option<u32>)> {
        let desk = &self.traffic.desks[desk_index];
        let (topic_index, number) = (desk.topic, desk.subscription);
        loop {
            let topic = &self.topics[topic_index];
            let subscription = topic.subscription(number);
            let heads = &self.traffic.desks[desk_index].heads;
            let (free, owned) = (heads.first_free(), heads.first_owned());
            let open = subscription.waiting.front();
            let open = open.map(|(lane, placed)| ((lane, placed.position), placed.sequence));
            let first = match open {
                Some((place, sequence)) if free.is_none_or(|free| place < free) => {
                    let group = topic.group_of(sequence);
                    if subscription.lines.contains_key(&group) {
                        if *deferred == DEFERRED_MAX {
                            let (topic, subscription) = (topic_index, number);
                            let due = Due::Scan {
                                topic,
                                subscription,
                            };
                            self.traffic.timers.insert(now, due);
                            return None;
                        }
                        *deferred += 1;
                        let work = self.work(topic_index, out);
                        let subscription = work.topic.subscription_mut(number);
                        subscription.waiting.defer(group);
                        work.traffic.list(subscription, group);
                        continue;
                    }
                    Some(place)
                }
                _ => free,
            };
            return match (first, owned) {
                (Some(first), Some((place, _))) if first < place => Some((first, None)),
                (_, Some((place, owner))) => Some((place, Some(owner))),
                (first, None) => first.map(|place| (place, None)),
            };
        }
    }

    /// Hands a message that waits to a consumer that can take it.
    fn hand_over(
        &mut self,
        now: Timestamp,
        desk: u32,
        (consumer_index, source): (u32, u32),
        (lane, position): Place,
        pumped: &mut Pumped,
        out: &mut Effects,
    ) {
        let stamp = self.traffic.serve(desk);
        let desk_entry = &mut self.traffic.desks[desk];
        desk_entry.ready.insert((stamp, consumer_index));
        let (topic_index, number) = (desk_entry.topic, desk_entry.subscription);

        let topic = &mut self.topics[topic_index];
        let (index, logs) = (topic.number, topic.logs());
        let placed = topic.subscription(number).waiting.get((lane, position));
        let mut placed = placed.expect("the caller saw a message there");
        let group = topic.group_of(placed.sequence);
        let subscription = topic.subscription_mut(number);
        subscription.waiting.remove(lane, position, group);
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
