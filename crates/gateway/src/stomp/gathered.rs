//! Batches of the frames that were read together: they go to the engine together, because one
//! visit to it costs little more for many of them than for one.

use super::StompConnection;
use smallvec::SmallVec;
use trunkline_model::{Batch, Command, Completion, ConsumerId, DeliveryTag};

/// From so many batches on, the frames that follow are not waited for: the journal begins while
/// the next ones are read.
const BATCHES_MAX: usize = 256;

/// What has gathered; the buffer is kept.
#[derive(Default)]
pub(super) struct Gathered {
    batches: Vec<(Batch, Completion)>,
    /// The last batch is an acknowledgement of this consumer's deliveries that nobody waits for:
    /// the next one can join it.
    open: Option<ConsumerId>,
}

impl StompConnection {
    /// Runs a batch with the next [`StompConnection::submit_gathered`].
    pub(super) fn gather(&mut self, batch: Batch, completion: Completion) {
        self.gathered.open = None;
        self.gathered.batches.push((batch, completion));
        if self.gathered.batches.len() >= BATCHES_MAX {
            self.submit_gathered();
        }
    }

    /// Acknowledges deliveries without anybody waiting for it.
    pub(super) fn gather_ack(
        &mut self,
        consumer: ConsumerId,
        acked: impl Iterator<Item = DeliveryTag>,
    ) {
        if self.gathered.open == Some(consumer)
            && let Some((batch, _)) = self.gathered.batches.last_mut()
            && let [Command::Ack { tags, .. }] = &mut batch.commands[..]
        {
            tags.extend(acked);
            return;
        }
        let tags: SmallVec<_> = acked.collect();
        let batch = Batch::of(Command::Ack { consumer, tags });
        let completion = self.unless_failed();
        self.gather(batch, completion);
        self.gathered.open = Some(consumer);
    }

    /// Passes on everything that has gathered. Comes before any command that may have to do
    /// with it, and before anything is waited for.
    pub(super) fn submit_gathered(&mut self) {
        self.gathered.open = None;
        if !self.gathered.batches.is_empty() {
            let engine = &self.shared.services.engine;
            engine.submit_all(&self.caller, &mut self.gathered.batches);
        }
    }
}
