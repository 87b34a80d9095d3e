use super::{Refusal, Step};
use crate::excerpt::excerpt;
use compact_str::CompactString;
use std::collections::BTreeMap;

/// What a frame in a transaction takes besides its text, in bytes.
const STEP_BYTES: usize = 128;

/// The open transactions of a session. What is in them has no effect until COMMIT.
#[derive(Debug)]
pub(crate) struct Transactions {
    open: BTreeMap<CompactString, Transaction>,
    bytes: usize,
    open_max: usize,
    frames_max: usize,
    bytes_max: usize,
}

/// An open transaction.
#[derive(Debug, Default)]
pub(crate) struct Transaction {
    pub(crate) steps: Vec<Step>,
    /// The first delivery that was not held any more when it was acknowledged.
    pub(crate) lost: Option<CompactString>,
    bytes: usize,
}

impl Transactions {
    pub(crate) fn new(open_max: usize, frames_max: usize, bytes_max: usize) -> Self {
        Self {
            open: BTreeMap::new(),
            bytes: 0,
            open_max,
            frames_max,
            bytes_max,
        }
    }

    pub(crate) fn begin(&mut self, id: &str) -> Result<(), Refusal> {
        if self.open.contains_key(id) {
            return Err(Refusal::DuplicateTransaction(excerpt(id)));
        }
        if self.open.len() >= self.open_max {
            return Err(Refusal::TooManyTransactions(self.open_max));
        }
        self.open.insert(id.into(), Transaction::default());
        Ok(())
    }

    pub(crate) fn check(&self, id: &str) -> Result<(), Refusal> {
        match self.open.contains_key(id) {
            true => Ok(()),
            false => Err(Refusal::UnknownTransaction(excerpt(id))),
        }
    }

    pub(crate) fn add(&mut self, id: &str, step: Step) -> Result<(), Refusal> {
        let transaction = self.get_mut(id)?;
        let too_large = |max, unit| {
            let id = excerpt(id);
            Err(Refusal::TransactionTooLarge { id, max, unit })
        };
        let bytes = weight(&step);
        let frames = transaction.steps.len();
        if frames >= self.frames_max {
            return too_large(self.frames_max, "frames");
        }
        if self.bytes + bytes > self.bytes_max {
            return too_large(self.bytes_max, "bytes, with all that are open");
        }
        self.bytes += bytes;
        let transaction = self.get_mut(id)?;
        transaction.bytes += bytes;
        transaction.steps.push(step);
        Ok(())
    }

    /// Remembers that a delivery was not held any more: the transaction can't be applied.
    pub(crate) fn lose(&mut self, id: &str, delivery: &str) -> Result<(), Refusal> {
        let transaction = self.get_mut(id)?;
        transaction.lost.get_or_insert_with(|| delivery.into());
        Ok(())
    }

    pub(crate) fn end(&mut self, id: &str) -> Result<Transaction, Refusal> {
        let ended = self.open.remove(id);
        let ended = ended.ok_or_else(|| Refusal::UnknownTransaction(excerpt(id)))?;
        self.bytes -= ended.bytes;
        Ok(ended)
    }

    pub(crate) fn clear(&mut self) {
        self.open.clear();
        self.bytes = 0;
    }

    fn get_mut(&mut self, id: &str) -> Result<&mut Transaction, Refusal> {
        let found = self.open.get_mut(id);
        found.ok_or_else(|| Refusal::UnknownTransaction(excerpt(id)))
    }
}

/// What a step takes of memory, in bytes.
fn weight(step: &Step) -> usize {
    let own = match step {
        Step::Send(send) => {
            let headers = send.headers.iter();
            let headers: usize = headers
                .map(|(name, value)| name.len() + value.len() + 48)
                .sum();
            headers + send.body.len()
        }
        Step::Settle(settle) => 16 * settle.tags.ranges().count(),
    };
    own + STEP_BYTES
}
