use crate::reader::Job;
use smallvec::SmallVec;
use std::{iter, sync::Arc};
use trunkline_model::{Completed, Completion, CompletionQueue, DeliveryOutbox, Error, Outcome};

/// What leaves the engine's lock, to be handed over after it is released. Empty ones
/// allocate nothing.
#[derive(Debug, Default)]
pub(crate) struct Outgoing {
    /// Outboxes in which something was left.
    pub(crate) outboxes: SmallVec<[Arc<DeliveryOutbox>; 2]>,
    /// Commands that have ended.
    pub(crate) answers: SmallVec<[(Completion, Result<Outcome, Error>); 1]>,
    /// Bodies to be read from the disk.
    pub(crate) reads: SmallVec<[Job; 1]>,
    /// There may be something to free or to compact.
    pub(crate) clean: bool,
}

impl Outgoing {
    pub(crate) fn answer(&mut self, completion: Completion, result: Result<Outcome, Error>) {
        self.answers.push((completion, result));
    }

    /// Something was left in an outbox.
    pub(crate) fn flush(&mut self, outbox: &Arc<DeliveryOutbox>) {
        if !self
            .outboxes
            .last()
            .is_some_and(|last| Arc::ptr_eq(last, outbox))
        {
            self.outboxes.push(outbox.clone());
        }
    }

    /// Hands over deliveries, then answers: who waits for an answer finds what came before
    /// it.
    pub(crate) fn hand_over(&mut self) {
        for outbox in self.outboxes.drain(..) {
            outbox.flush();
        }
        let mut answers = self.answers.drain(..);
        match (answers.next(), answers.len()) {
            (None, _) => {}
            (Some((completion, result)), 0) => completion.complete(result),
            (Some(first), _) => answer_all(iter::once(first).chain(answers)),
        }
    }
}

/// Answers many at once: one wake-up for every queue among them.
fn answer_all(answers: impl Iterator<Item = (Completion, Result<Outcome, Error>)>) {
    let parts = answers.filter_map(|(completion, result)| completion.into_parts(result));
    let mut parts: Vec<(Arc<CompletionQueue>, Completed)> = parts.collect();
    // Stable: the order within a queue stays.
    parts.sort_by_key(|(queue, _)| Arc::as_ptr(queue).addr());
    let mut parts = parts.into_iter().peekable();
    while let Some((queue, first)) = parts.next() {
        let same = |(other, _): &(Arc<CompletionQueue>, Completed)| Arc::ptr_eq(other, &queue);
        let rest = iter::from_fn(|| parts.next_if(same).map(|(_, completed)| completed));
        queue.extend(iter::once(first).chain(rest));
    }
}
