//! What happens when the journal has come further.

use crate::{outgoing::Outgoing, reader::Job, state::State, waits::Waiting};
use std::mem;
use trunkline_model::{Outcome, Timestamp};

impl State {
    /// Lets out what waited for the journal, as far as it is now.
    pub(crate) fn release(&mut self, now: Timestamp, out: &mut Outgoing) {
        let Some(log) = &mut self.log else {
            return;
        };
        log.leading.round_ended(now);
        let marks = log.settle();
        let mut started = false;
        while let Some(waiting) = self.waits.pop(marks) {
            started |= matches!(waiting, Waiting::Start(..));
            self.go_on(waiting, out);
        }
        let mut listed = mem::take(&mut self.listed);
        for id in listed.drain(..) {
            if let Some(consumer) = self.consumers.get_mut(&id) {
                consumer.listed = false;
                self.advance(id, now, out);
            }
        }
        // Those still waiting have listed themselves again.
        if self.listed.is_empty() {
            self.listed = listed;
        }
        if started || self.has_room {
            self.pump(now, out);
        }
        if let Some(log) = &self.log {
            out.clean |= log.is_cleaning_due();
        }
    }

    /// One thing waits no longer.
    pub(crate) fn go_on(&mut self, waiting: Waiting, out: &mut Outgoing) {
        match waiting {
            Waiting::Answer(completion, outcome) => out.answer(completion, Ok(outcome)),
            Waiting::Look(look) => match look.held() {
                Ok((completion, shown)) => out.answer(completion, shown.map(Outcome::Peeked)),
                Err(look) => out.reads.push(Job::Look(look)),
            },
            Waiting::Start(id, consuming) => {
                if let Some(consumer) = self.consumers.get(&id) {
                    consumer.outbox.leave_start(Ok(consuming));
                    out.flush(&consumer.outbox);
                    self.core.start(id);
                }
            }
        }
    }
}
