//! What topics share: consumers, whose turn it is, and what is due when.

use crate::{
    consumer::Consumer,
    heads::Heads,
    leaving::Leaver,
    lines::Listed,
    slab::Slab,
    subscription::{Flight, Subscription, Whereabouts},
};
use hashbrown::HashMap;
use std::collections::{BTreeMap, BTreeSet};
use trunkline_model::{ConsumerId, DeadlineQueue, Timestamp};

/// What happens at a deadline.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Due {
    /// A message expires.
    Expiry { topic: u32, sequence: u64 },
    /// A delivery was not acknowledged in time.
    AckTimeout {
        topic: u32,
        subscription: u32,
        sequence: u64,
    },
    /// The first delayed message of a subscription is available.
    Delay { topic: u32, subscription: u32 },
    /// A subscription goes on looking for what is not behind something of its group.
    Scan { topic: u32, subscription: u32 },
}

/// Where the consumers of one subscription queue for its messages.
#[derive(Clone, Debug)]
pub(crate) struct Desk {
    pub(crate) topic: u32,
    pub(crate) subscription: u32,
    /// Stamp of the last delivery, or of its making.
    pub(crate) served: u64,
    /// Consumers that may take one, least recently served first. One that turns out not
    /// to is parked until it gains something.
    pub(crate) ready: BTreeSet<(u64, u32)>,
    pub(crate) attached: BTreeSet<u32>,
    pub(crate) heads: Heads,
}

impl Desk {
    /// A consumer queues here; `served` is when it was last.
    pub(crate) fn queue(&mut self, served: u64, consumer: u32) {
        self.ready.insert((served, consumer));
        self.heads.queue(consumer, true);
    }

    /// A consumer queues here no longer.
    pub(crate) fn unqueue(&mut self, served: u64, consumer: u32) {
        self.ready.remove(&(served, consumer));
        self.heads.queue(consumer, false);
    }
}

/// See the module.
#[derive(Clone, Debug, Default)]
pub(crate) struct Traffic {
    pub(crate) consumers: Slab<Consumer>,
    pub(crate) consumer_ids: HashMap<ConsumerId, u32>,
    pub(crate) desks: Slab<Desk>,
    /// Desks where something may have become possible, least recently served first.
    pub(crate) turns: BTreeSet<(u64, u32)>,
    pub(crate) timers: DeadlineQueue<Due>,
    /// Messages that leave and whose bodies were not asked for yet, by stamp.
    pub(crate) leaving: BTreeMap<u64, Leaver>,
    /// Logged messages × subscriptions that have not settled them.
    pub(crate) units: u64,
    last_stamp: u64,
}

impl Traffic {
    /// A number greater than all before: orders servings and deliveries.
    pub(crate) fn stamp(&mut self) -> u64 {
        self.last_stamp += 1;
        self.last_stamp
    }

    pub(crate) fn open_desk(&mut self, topic: u32, subscription: u32) -> u32 {
        let served = self.stamp();
        self.desks.insert(Desk {
            topic,
            subscription,
            served,
            ready: BTreeSet::new(),
            attached: BTreeSet::new(),
            heads: Heads::default(),
        })
    }

    pub(crate) fn close_desk(&mut self, desk: u32) {
        if let Some(closed) = self.desks.remove(desk) {
            debug_assert!(
                closed.attached.is_empty(),
                "its consumers were ended before"
            );
            self.turns.remove(&(closed.served, desk));
        }
    }

    /// Notes that a desk was served now; it no longer waits for a turn.
    pub(crate) fn serve(&mut self, desk: u32) -> u64 {
        let stamp = self.stamp();
        let served = std::mem::replace(&mut self.desks[desk].served, stamp);
        self.turns.remove(&(served, desk));
        stamp
    }

    /// Something may have become possible at a desk.
    pub(crate) fn wake(&mut self, desk: u32) {
        let Desk { served, ready, .. } = &self.desks[desk];
        if !ready.is_empty() {
            self.turns.insert((*served, desk));
        }
    }

    /// A consumer can take more than before: it queues again where it was parked.
    pub(crate) fn unpark(&mut self, index: u32) {
        let consumer = &mut self.consumers[index];
        for source in consumer.parked.drain(..) {
            let source = &consumer.sources[source as usize];
            let desk = &mut self.desks[source.desk];
            desk.queue(source.served, index);
            self.turns.insert((desk.served, source.desk));
        }
    }

    /// The holder of a delivery no longer holds it.
    pub(crate) fn release(&mut self, flight: &Flight) {
        let Some(holder) = flight.holder else {
            return;
        };
        let consumer = &mut self.consumers[holder.consumer];
        let held = consumer.held.remove(holder.tag);
        debug_assert!(held.is_some(), "a flight's holder holds its tag");
        consumer.sources[holder.source as usize].in_flight -= 1;
        consumer.unsettled -= 1;
        self.unpark(holder.consumer);
    }

    /// The head of a group is listed otherwise at a desk.
    pub(crate) fn relist(
        &mut self,
        desk: u32,
        group: u32,
        earlier: Option<Listed>,
        listed: Option<Listed>,
    ) {
        let Desk { heads, ready, .. } = &mut self.desks[desk];
        let consumers = &self.consumers;
        let queues = |index: u32| {
            let consumer = consumers.get(index);
            let mut sources = consumer.into_iter().flat_map(|c| &c.sources);
            let source = sources.find(|source| source.desk == desk);
            source.is_some_and(|source| ready.contains(&(source.served, index)))
        };
        heads.relist(group, earlier, listed, queues);
        if listed.is_some() {
            self.wake(desk);
        }
    }

    /// Takes a message out of a subscription and sees to what waited for it there; `usual` is
    /// its [`usual_place`](crate::messages::Stored::usual_place), `group` its group.
    pub(crate) fn withdraw(
        &mut self,
        topic: u32,
        subscription: &mut Subscription,
        sequence: u64,
        usual: (u8, u64),
        group: u32,
    ) -> Option<Whereabouts> {
        let before = subscription.delayed.first();
        let was = subscription.withdraw(sequence, usual, group)?;
        self.retime(topic, subscription, before);
        self.forget(topic, subscription.number, sequence, was);
        self.leave_line(subscription, group, &was);
        Some(was)
    }

    /// Delays of a subscription have changed, of which `before` was the first.
    pub(crate) fn retime(
        &mut self,
        topic: u32,
        subscription: &Subscription,
        before: Option<(Timestamp, u64)>,
    ) {
        let time = |first: Option<(Timestamp, u64)>| first.map(|(until, _)| until);
        let (before, after) = (time(before), time(subscription.delayed.first()));
        if before == after {
            return;
        }
        let due = Due::Delay {
            topic,
            subscription: subscription.number,
        };
        if let Some(until) = before {
            self.timers.remove(until, due);
        }
        if let Some(until) = after {
            self.timers.insert(until, due);
        }
    }

    /// A message left a subscription: nothing waits for it there any more.
    fn forget(&mut self, topic: u32, subscription: u32, sequence: u64, was: Whereabouts) {
        match was {
            Whereabouts::Waiting(..) | Whereabouts::Delayed(..) | Whereabouts::Leaving(..) => {}
            Whereabouts::Flight(flight) => {
                self.unset_deadline(topic, subscription, sequence, flight.deadline);
                self.release(&flight);
            }
        }
    }

    pub(crate) fn set_deadline(
        &mut self,
        topic: u32,
        subscription: u32,
        sequence: u64,
        at: Timestamp,
    ) {
        if at != Timestamp::MAX {
            let due = Due::AckTimeout {
                topic,
                subscription,
                sequence,
            };
            self.timers.insert(at, due);
        }
    }

    pub(crate) fn unset_deadline(
        &mut self,
        topic: u32,
        subscription: u32,
        sequence: u64,
        at: Timestamp,
    ) {
        if at != Timestamp::MAX {
            let due = Due::AckTimeout {
                topic,
                subscription,
                sequence,
            };
            self.timers.remove(at, due);
        }
    }
}
