//! ACK and NACK.

use super::connection::{Step, StompConnection};
use trunkline_model::{Batch, Command, DeliveryTag};
use trunkline_stomp::{Settle, Token, Verdict};

impl StompConnection {
    pub(super) fn settle(&mut self, token: Token, settle: &Settle) -> Step {
        let Some(consumer) = self.consumers.get(settle.subscription) else {
            // It ended, and what it held has returned.
            return Step::Done;
        };
        let (consumer, held_max) = (consumer.id(), consumer.credit);
        let awaited = self.session.is_awaited(token);
        if !awaited && settle.verdict == Verdict::Ack {
            self.gather_ack(consumer, held(settle, held_max));
            return Step::Done;
        }
        let Some(command) = self.settling(settle) else {
            return Step::Done;
        };
        let completion = match awaited {
            true => self.completion(token),
            false => self.unless_failed(),
        };
        self.gather(Batch::of(command), completion);
        match awaited {
            true => Step::Later,
            false => Step::Done,
        }
    }

    /// Whether more deliveries are named than can be held: some of them are not.
    pub(super) fn is_void(&self, settle: &Settle) -> bool {
        let consumer = self.consumers.get(settle.subscription);
        consumer.is_none_or(|consumer| settle.tags.count() > u64::from(consumer.credit))
    }

    /// What settles these deliveries; `None` if their subscription has ended.
    pub(super) fn settling(&self, settle: &Settle) -> Option<Command> {
        let consumer = self.consumers.get(settle.subscription)?;
        let tags = held(settle, consumer.credit).collect();
        let consumer = consumer.id();
        Some(match settle.verdict {
            Verdict::Ack => Command::Ack { consumer, tags },
            Verdict::Nack { requeue, delay } => Command::Nack {
                consumer,
                tags,
                requeue,
                delay,
            },
        })
    }
}

/// The deliveries that can still be held: the latest, because the first to be delivered are the first
/// that a time-out takes back. After a long silence all that it took back are named too, without a bound.
fn held(settle: &Settle, max: u32) -> impl Iterator<Item = DeliveryTag> + '_ {
    settle.tags.highest(max.into()).map(DeliveryTag)
}

#[cfg(test)]
mod tests {
    use super::*;
    use trunkline_stomp::{SubscriptionNumber, Tags};

    #[test]
    fn an_ack_settles_as_many_of_the_latest_as_can_be_held() {
        let of = |ranges: [std::ops::RangeInclusive<u64>; 2]| Settle {
            subscription: SubscriptionNumber(1),
            tags: Tags::from_ranges(ranges),
            verdict: Verdict::Ack,
        };
        let long = of([1..=5, 10..=1 << 60]);
        // All that the largest credit lets a client hold.
        let latest: Vec<_> = held(&long, 1_000_000).collect();
        assert_eq!(latest.len(), 1_000_000);
        assert_eq!(latest.last(), Some(&DeliveryTag(1 << 60)));
        let short = of([1..=5, 10..=12]);
        let latest: Vec<_> = held(&short, 4).collect();
        assert_eq!(latest, [5, 10, 11, 12].map(DeliveryTag));
    }
}
