use super::{error, waiting::Ask};
use crate::outbox::Outbox;
use trunkline_jsonrpc::{BatchAnswer, Id};
use trunkline_model::{Error, ErrorCode};

/// Writes answers: at once, or into the batch that they belong to.
#[derive(Debug)]
pub(crate) struct Answers {
    batches: Vec<Option<Batch>>,
    free: Vec<usize>,
    /// Largest answer to a batch, in bytes.
    bound: usize,
    /// Answers to batches that wait for the rest, in bytes.
    held: usize,
    /// From so many of them on, no batch is begun.
    held_max: usize,
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
    pub(crate) fn new(bound: usize, held_max: usize) -> Self {
        Self {
            batches: Vec::new(),
            free: Vec::new(),
            bound,
            held: 0,
            held_max,
        }
    }

    /// Whether no batch waits for the rest of its answers.
    pub(crate) fn is_idle(&self) -> bool {
        self.free.len() == self.batches.len()
    }

    /// Whether a batch may begin.
    ///
    /// # Errors
    /// `-32003` if those that have begun hold too much and have to end first.
    pub(crate) fn admit(&self) -> Result<(), Error> {
        if self.held < self.held_max {
            return Ok(());
        }
        let text = "too many batches wait for the last of their answers";
        Err(Error::new(ErrorCode::Overloaded, text).with("limit", self.held_max))
    }

    /// Begins a batch; its number.
    pub(crate) fn open(&mut self) -> usize {
        if let Some(number) = self.free.pop() {
            self.batches[number] = Some(Batch::default());
            return number;
        }
        self.batches.push(Some(Batch::default()));
        self.batches.len() - 1
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
        let mut more = 0;
        if let Some(batch) = self.batch(Some(number)) {
            let before = batch.answer.bytes();
            if before < bound {
                write(batch.answer.entry(), id);
            } else {
                let text = format!("the answers of the batch are larger than {bound} bytes");
                let too_large = Error::new(ErrorCode::TooLarge, text).with("limit", bound);
                error::write(batch.answer.entry(), id, &too_large);
            }
            batch.open -= 1;
            more = batch.answer.bytes() - before;
        }
        self.held += more;
        self.finish(number, out);
    }

    fn batch(&mut self, number: Option<usize>) -> Option<&mut Batch> {
        self.batches.get_mut(number?)?.as_mut()
    }

    fn finish(&mut self, number: usize, out: &mut Outbox) {
        let slot = &mut self.batches[number];
        let Some(batch) = slot.take_if(|batch| batch.sealed && batch.open == 0) else {
            return;
        };
        self.free.push(number);
        self.held -= batch.answer.bytes();
        if self.is_idle() {
            self.batches = Vec::new();
            self.free = Vec::new();
        }
        if let Some(answer) = batch.answer.finish() {
            out.frame(|buffer| buffer.extend_from_slice(&answer));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use trunkline_jsonrpc::encode_result;

    fn answer(answers: &mut Answers, out: &mut Outbox, id: &str, batch: usize) {
        let id = Id::from_json(id).unwrap();
        answers.write(out, id, Some(batch), |buffer, id| {
            encode_result(buffer, id, b"1234567890");
        });
    }

    #[test]
    fn batches_leave_with_their_last_answer_and_within_their_bound() {
        let (mut answers, mut out) = (Answers::new(40, 80), Outbox::bare());
        let numbers = [answers.open(), answers.open()];
        for number in numbers {
            for _ in 0..2 {
                answers.expect(Ask {
                    id: Some(Id::NULL),
                    batch: Some(number),
                });
            }
            answers.seal(number, &mut out);
        }
        assert!(answers.admit().is_ok());
        answer(&mut answers, &mut out, "1", numbers[0]);
        answer(&mut answers, &mut out, "2", numbers[1]);
        assert!(out.pending().is_empty() && !answers.is_idle());
        assert!(answers.admit().is_err(), "together they hold 80 bytes");
        answer(&mut answers, &mut out, "3", numbers[1]);
        assert!(answers.admit().is_ok());
        let text = String::from_utf8_lossy(out.pending()).into_owned();
        assert!(
            text.starts_with(r#"[{"jsonrpc":"2.0","id":2,"result":1234567890},"#),
            "{text}"
        );
        assert!(text.contains(r#""id":3,"error":{"code":-32007,"#), "{text}");
        assert_eq!(answers.open(), numbers[1]);
        assert!(!answers.is_idle());
    }

    #[test]
    fn a_batch_that_wants_no_answer_gets_none() {
        let (mut answers, mut out) = (Answers::new(40, 80), Outbox::bare());
        let number = answers.open();
        answers.seal(number, &mut out);
        assert!(out.pending().is_empty() && answers.is_idle());
    }
}
