//! What happens by itself as time passes.

use crate::{
    Core, Effects,
    moves::{Move, Moves},
    traffic::Due,
    work::Work,
};
use std::time::Duration;
use trunkline_model::Timestamp;

/// Most deadlines that one tick serves, so that nobody waits long for the queue.
const TICK_MAX: usize = 10_000;

impl Core {
    /// When [`Core::tick`] has something to do next; `None` if nothing is due ever.
    pub fn next_deadline(&self) -> Option<Timestamp> {
        // Deadlines are over only after their microsecond.
        let next = self.traffic.timers.next()?;
        Some(next.after(Duration::from_micros(1)))
    }

    /// Lets what is due happen: expired messages leave, deliveries whose ack time-out is
    /// over return, delays end. One call serves at most ten thousand; more may be left while
    /// [`Core::next_deadline`] is not later than `now`.
    pub fn tick(&mut self, now: Timestamp, out: &mut Effects) {
        let (mut expired, mut returned) = (Moves::default(), Moves::default());
        for _ in 0..TICK_MAX {
            let Some((_, due)) = self.traffic.timers.pop_due(now) else {
                break;
            };
            match due {
                Due::Expiry { topic, slot } => self.work(topic, out).expire(slot, &mut expired),
                Due::AckTimeout {
                    topic,
                    subscription,
                    slot,
                } => self
                    .work(topic, out)
                    .time_out(slot, subscription, &mut returned),
                Due::Delay {
                    topic,
                    subscription,
                    slot,
                } => self.work(topic, out).end_delay(slot, subscription),
            }
        }
        expired.log_expiries(out);
        returned.log_returns(None, out);
    }
}

impl Work<'_> {
    /// A delivery ends because nobody acknowledged it.
    pub(crate) fn time_out(&mut self, slot: u32, number: u32, returned: &mut Moves) {
        if self.topic.logs() {
            returned.push(Move {
                topic: self.topic.number,
                subscription: number,
                sequence: self.topic.slots[slot].sequence.get(),
                attempt: 0,
            });
        }
        let was_due = self.put_back(slot, number, None);
        debug_assert!(was_due, "the message was in flight");
    }

    /// Starts the ack time-out of a delivery anew, if it has one.
    pub(crate) fn extend(&mut self, slot: u32, number: u32, deadline: Timestamp) {
        let topic = self.index;
        let subscription = self.topic.subscription_mut(number);
        let Some(flight) = subscription.flights.get_mut(&slot) else {
            return;
        };
        if flight.deadline != Timestamp::MAX {
            let earlier = std::mem::replace(&mut flight.deadline, deadline);
            self.traffic.unset_deadline(topic, number, slot, earlier);
            self.traffic.set_deadline(topic, number, slot, deadline);
        }
    }
}
