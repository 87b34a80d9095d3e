//! Running a batch that was checked.

use crate::{
    Core, Effects,
    consumer::Source,
    leaving::Wait,
    moves::{Endings, Move, Moves},
    record::Reason,
    work::Work,
};
use smallvec::SmallVec;
use std::time::Duration;
use trunkline_model::{Batch, Command, ConsumerId, DeliveryTag, Message, Receipt, Timestamp};

/// What becomes of deliveries.
#[derive(Clone, Copy, Debug)]
enum Verdict {
    Ack,
    Reject,
    Requeue(Wait),
    Extend { deadline: Timestamp },
}

impl Core {
    /// Runs a batch that [`Core::check`] has just allowed at the same `now`: puts, settles
    /// and returns at once. Deliveries are decided by [`Core::pump`].
    pub fn apply(&mut self, now: Timestamp, batch: Batch, out: &mut Effects) -> Receipt {
        let mut receipt = Receipt::default();
        for command in batch.commands {
            match command {
                Command::Publish { topic, messages } => {
                    let index = self.topic_or_make(topic, out);
                    self.publish(now, index, messages, &mut receipt, out);
                }
                Command::PublishIfSubscribed { topic, messages } => {
                    if let Some(index) = self.subscribed(&topic) {
                        self.publish(now, index, messages, &mut receipt, out);
                    }
                }
                Command::Ack { consumer, tags } => {
                    let done = self.judge(now, consumer, &tags, Verdict::Ack, out);
                    receipt.acked += done;
                    receipt.skipped += tags.len() as u64 - done;
                }
                Command::Nack {
                    consumer,
                    tags,
                    requeue,
                    delay,
                } => {
                    let wait = match delay {
                        Duration::ZERO => Wait::Retry,
                        delay => Wait::Until(now.after(delay)),
                    };
                    let verdict = match requeue {
                        true => Verdict::Requeue(wait),
                        false => Verdict::Reject,
                    };
                    let done = self.judge(now, consumer, &tags, verdict, out);
                    receipt.nacked += done;
                    receipt.skipped += tags.len() as u64 - done;
                }
                Command::Extend { consumer, tags, by } => {
                    let deadline = now.after(by);
                    let done = self.judge(now, consumer, &tags, Verdict::Extend { deadline }, out);
                    receipt.extended += done;
                    receipt.skipped += tags.len() as u64 - done;
                }
            }
        }
        receipt
    }

    fn publish(
        &mut self,
        now: Timestamp,
        index: u32,
        messages: SmallVec<[Message; 1]>,
        receipt: &mut Receipt,
        out: &mut Effects,
    ) {
        let mut work = self.work(index, out);
        let ids = messages.into_iter().map(|m| work.publish(now, m));
        receipt.ids.extend(ids);
        let class = self.topics[index].options.durability;
        receipt.durability = receipt.durability.max(Some(class));
    }

    /// Does the same with many deliveries of a consumer; returns how many were still held.
    fn judge(
        &mut self,
        now: Timestamp,
        consumer: ConsumerId,
        tags: &[DeliveryTag],
        verdict: Verdict,
        out: &mut Effects,
    ) -> u64 {
        let (mut done, mut acked, mut ends) = (0, Moves::default(), Endings::default());
        for tag in tags {
            match self.held(now, consumer, *tag) {
                Some((source, sequence)) => {
                    let mut work = self.work(source.topic, out);
                    match verdict {
                        Verdict::Ack => work.ack(source, sequence, &mut acked),
                        Verdict::Reject => {
                            let number = source.subscription;
                            work.give_up(now, sequence, number, Reason::Rejected, &mut ends);
                        }
                        Verdict::Requeue(wait) => {
                            let number = source.subscription;
                            work.end_attempt(now, sequence, number, wait, &mut ends);
                        }
                        Verdict::Extend { deadline } => {
                            work.extend(sequence, source.subscription, deadline);
                        }
                    }
                    done += 1;
                }
                None => self.count_late(consumer, *tag),
            }
        }
        acked.log_acks(out);
        ends.log(now, out);
        done
    }

    /// The message behind a tag, if the consumer still holds it at `now`: neither settled
    /// nor expired nor timed out, though [`Core::tick`] may not have noticed yet.
    pub(crate) fn held(
        &self,
        now: Timestamp,
        consumer: ConsumerId,
        tag: DeliveryTag,
    ) -> Option<(Source, u64)> {
        let index = self.traffic.consumer_ids.get(&consumer)?;
        let consumer = &self.traffic.consumers[*index];
        let held = consumer.held.get(tag.0)?;
        let source = consumer.sources[held.source as usize];
        let topic = &self.topics[source.topic];
        let flight = &topic.subscription(source.subscription).flights[&held.sequence];
        let in_time = flight.deadline >= now && !topic.messages.is_expired(held.sequence, now);
        in_time.then_some((source, held.sequence))
    }

    /// A tag was named that is not held. Where a consumer has several sources, nobody
    /// knows any more from which one the delivery was.
    fn count_late(&mut self, consumer: ConsumerId, tag: DeliveryTag) {
        let Some(index) = self.traffic.consumer_ids.get(&consumer) else {
            return;
        };
        let consumer = &self.traffic.consumers[*index];
        if let ([source], true) = (&consumer.sources[..], tag.0 <= consumer.last_tag) {
            let topic = &mut self.topics[source.topic];
            topic.subscription_mut(source.subscription).counts.late += 1;
        }
    }
}

impl Work<'_> {
    fn ack(&mut self, source: Source, sequence: u64, acked: &mut Moves) {
        let number = source.subscription;
        if self.topic.logs() {
            acked.push(Move::of(self.topic.number, number, sequence));
        }
        self.settle(sequence, number);
        self.topic.subscription_mut(number).counts.acked += 1;
    }
}
