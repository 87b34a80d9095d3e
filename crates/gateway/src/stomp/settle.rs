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
        let consumer = consumer.id();
        let awaited = self.session.is_awaited(token);
        if !awaited && settle.verdict == Verdict::Ack {
            self.gather_ack(consumer, settle.tags.iter().map(DeliveryTag));
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
        let tags = settle.tags.iter().map(DeliveryTag).collect();
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
