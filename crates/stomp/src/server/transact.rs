//! BEGIN, COMMIT and ABORT.

use super::frames::{receipt, required};
use super::{Effect, Refusal, ServerSession};
use crate::Frame;
use crate::excerpt::excerpt;
use trunkline_model::Timestamp;

impl ServerSession {
    pub(super) fn begin(&mut self, now: Timestamp, frame: &Frame) -> Result<(), Refusal> {
        let id = self.name(frame, "transaction")?;
        self.transactions.begin(id)?;
        self.done(now, receipt(frame));
        Ok(())
    }

    pub(super) fn commit(&mut self, now: Timestamp, frame: &Frame) -> Result<(), Refusal> {
        let id = required(frame, "transaction")?;
        let transaction = self.transactions.end(id)?;
        let lost = transaction.lost;
        if let Some(lost) = lost.or_else(|| self.ended_since(&transaction.steps)) {
            return Err(Refusal::LostAck {
                transaction: excerpt(id),
                id: excerpt(&lost),
            });
        }
        if transaction.steps.is_empty() {
            self.done(now, receipt(frame));
            return Ok(());
        }
        let token = self.pending(receipt(frame));
        let steps = transaction.steps;
        self.effects.push_back(Effect::Commit { token, steps });
        Ok(())
    }

    pub(super) fn abort(&mut self, now: Timestamp, frame: &Frame) -> Result<(), Refusal> {
        let transaction = self.transactions.end(required(frame, "transaction")?)?;
        self.put_back(&transaction.steps);
        self.done(now, receipt(frame));
        Ok(())
    }
}
