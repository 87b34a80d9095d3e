use super::{error, waiting::Ask};
use crate::outbox::Outbox;
use trunkline_jsonrpc::{BatchAnswer, Id};
use trunkline_model::{Error, ErrorCode};

/// Writes answers: at once, or into the batch that they belong to.
#[derive(Debug)]
pub(crate) struct Answers {
    batches: Vec<Option<Batch>>,
    /// Largest answer to a batch, in bytes.
    bound: usize,
}

#[derive(Debug, Default)]
struct Batch {
    answer: BatchAnswer,
    /// Requests of it that are not answered yet.
    open: usize,
    /// Whether all its entries were executed.
    sealed: bool,
}

impl Answers {
    pub(crate) fn new(bound: usize) -> Self {
        Self {
            batches: Vec::new(),
            bound,
        }
    }

    /// Whether no batch waits for the rest of its answers.
    pub(crate) fn is_idle(&self) -> bool {
        self.batches.iter().all(Option::is_none)
    }

    /// Begins a batch; its number.
    pub(crate) fn open(&mut self) -> usize {
        let free = self.batches.iter().position(Option::is_none);
        let number = free.unwrap_or_else(|| {
            self.batches.push(None);
            self.batches.len() - 1
        });
        self.batches[number] = Some(Batch::default());
        number
    }

    /// One more request of a batch will be answered.
    pub(crate) fn expect(&mut self, ask: Ask<'_>) {
        if let (Some(_), Some(batch)) = (ask.id, self.batch(ask.batch)) {
            batch.open += 1;
        }
    }

    /// All entries of a batch were executed: it leaves with its last answer.
    pub(crate) fn seal(&mut self, number: usize, out: &mut Outbox) {
        if let Some(batch) = self.batch(Some(number)) {
            batch.sealed = true;
        }
        self.finish(number, out);
    }

    /// Writes one answer.
    pub(crate) fn write(
        &mut self,
        out: &mut Outbox,
        id: Id<'_>,
        batch: Option<usize>,
        write: impl FnOnce(&mut Vec<u8>, Id<'_>),
    ) {
        let bound = self.bound;
        let Some(number) = batch else {
            return out.frame(|buffer| write(buffer, id));
        };
        if let Some(batch) = self.batch(Some(number)) {
            if batch.answer.bytes() < bound {
                write(batch.answer.entry(), id);
            } else {
                let text = format!("the answers of the batch are larger than {bound} bytes");
                let too_large = Error::new(ErrorCode::TooLarge, text).with("limit", bound);
                error::write(batch.answer.entry(), id, &too_large);
            }
            batch.open -= 1;
        }
        self.finish(number, out);
    }

    fn batch(&mut self, number: Option<usize>) -> Option<&mut Batch> {
        self.batches.get_mut(number?)?.as_mut()
    }

    fn finish(&mut self, number: usize, out: &mut Outbox) {
        let slot = &mut self.batches[number];
        if slot.as_ref().is_some_and(|b| b.sealed && b.open == 0)
            && let Some(answer) = slot.take().and_then(|batch| batch.answer.finish())
        {
            out.frame(|buffer| buffer.extend_from_slice(&answer));
        }
        while self.batches.last().is_some_and(Option::is_none) {
            self.batches.pop();
        }
    }
}
