//! ACK and NACK.

use super::connection::{Step, StompConnection};
use smallvec::SmallVec;
use trunkline_model::{Batch, Command, DeliveryTag};
use trunkline_stomp::{Settle, Tags, Token, Verdict};

/// Deliveries that one ACK settles. After a long silence it may cover many more, which time-outs
/// took back long ago: the latest are those that can still be held.
const TAGS_MAX: u64 = 100_000;

impl StompConnection {
    pub(super) fn settle(&mut self, token: Token, settle: &Settle) -> Step {
        let Some(consumer) = self.consumers.get(settle.subscription) else {
            // It ended, and what it held has returned.
            return Step::Done;
        };
        let consumer = consumer.id();
        let awaited = self.session.is_awaited(token);
        if !awaited && settle.verdict == Verdict::Ack {
            self.gather_ack(consumer, latest(&settle.tags).into_iter());
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

    /// What settles these deliveries; `None` if their subscription has ended.
    pub(super) fn settling(&self, settle: &Settle) -> Option<Command> {
        let consumer = self.consumers.get(settle.subscription)?.id();
        let tags = latest(&settle.tags);
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

fn latest(tags: &Tags) -> SmallVec<[DeliveryTag; 4]> {
    let ranges: SmallVec<[(u64, u64); 1]> = tags.ranges().map(|range| range.into_inner()).collect();
    let (mut room, mut first) = (TAGS_MAX, 0);
    for (low, high) in ranges.iter().rev() {
        let count = (high - low).saturating_add(1);
        if count >= room {
            first = high - (room - 1);
            break;
        }
        room -= count;
    }
    let kept = ranges.iter().filter(|(_, high)| *high >= first);
    kept.flat_map(|(low, high)| (*low).max(first)..=*high)
        .map(DeliveryTag)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_many_deliveries_the_latest_are_settled() {
        assert_eq!(latest(&Tags::one(7))[..], [DeliveryTag(7)]);
        let tags = Tags::from_ranges([1..=5, 10..=TAGS_MAX + 7]);
        let latest = latest(&tags);
        assert_eq!(latest.len() as u64, TAGS_MAX);
        assert_eq!(latest[..3], [4, 5, 10].map(DeliveryTag));
        assert_eq!(latest.last(), Some(&DeliveryTag(TAGS_MAX + 7)));
    }
}
