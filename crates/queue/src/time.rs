//! What happens by itself as time passes.

use crate::{Core, Effects, leaving::Wait, moves::Endings, traffic::Due, work::Work};
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
        let mut ends = Endings::default();
        for _ in 0..TICK_MAX {
            let Some((_, due)) = self.traffic.timers.pop_due(now) else {
                break;
            };
            match due {
                Due::Expiry { topic, sequence } => {
                    self.work(topic, out).expire(now, sequence, &mut ends);
                }
                Due::AckTimeout {
                    topic,
                    subscription,
                    sequence,
                } => {
                    let mut work = self.work(topic, out);
                    work.end_attempt(now, sequence, subscription, Wait::Retry, &mut ends);
                }
                Due::Delay {
                    topic,
                    subscription,
                } => self.work(topic, out).end_delay(subscription),
                Due::Scan {
                    topic,
                    subscription,
                } => {
                    // Nobody takes this back when a topic or subscription goes.
                    let topic = self.topics.get(topic);
                    let scanned = topic.and_then(|topic| topic.subscriptions.get(&subscription));
                    if let Some(scanned) = scanned {
                        self.traffic.wake(scanned.desk);
                    }
                }
            }
        }
        ends.log(now, out);
    }
}

impl Work<'_> {
    /// Starts the ack time-out of a delivery anew, if it has one.
    pub(crate) fn extend(&mut self, sequence: u64, number: u32, deadline: Timestamp) {
        let topic = self.index;
        let subscription = self.topic.subscription_mut(number);
        let Some(flight) = subscription.flights.get_mut(&sequence) else {
            return;
        };
        if flight.deadline != Timestamp::MAX {
            let earlier = std::mem::replace(&mut flight.deadline, deadline);
            self.traffic
                .unset_deadline(topic, number, sequence, earlier);
            self.traffic.set_deadline(topic, number, sequence, deadline);
        }
    }
}
