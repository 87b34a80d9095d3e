//! What happens when the journal has come further, and how segments are freed.

use crate::{
    log::Freeing,
    outgoing::Outgoing,
    reader::Job,
    state::{Phase, State},
    waits::Waiting,
};
use std::mem;
use trunkline_journal::{Class, Urgency};
use trunkline_model::{Outcome, Timestamp};
use trunkline_queue::Effects;

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
        self.free_segments(now, out);
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

    /// Frees the oldest segments if nothing in them is alive.
    ///
    /// This brings nothing back. Whatever settles, drops or undefines something lies in the
    /// log after what it cancels. Only whole prefixes of the log are freed, so a segment
    /// with a cancellation never goes before the one with what it cancels, and a
    /// cancellation without its object means nothing to replay. What a prefix holds besides
    /// dead messages are definitions and counters: they are appended again first. Those,
    /// and with them every cancellation that made the prefix dead (which lies before
    /// them), are durable before the first file goes.
    pub(crate) fn free_segments(&mut self, now: Timestamp, out: &mut Outgoing) {
        let is_full = self.read_only.is_some();
        if !matches!(self.phase, Phase::Open) {
            return;
        }
        let Some(log) = &mut self.log else {
            return;
        };
        match log.freeing {
            Some(Freeing::Runs) => {}
            Some(Freeing::Waits { lsn, before }) => {
                if lsn <= log.journal.watermarks().synced {
                    log.freeing = Some(Freeing::Runs);
                    out.free_before = Some(before);
                }
            }
            // A copy that is being read would keep them.
            None if log.journal.is_pinned() => {}
            None => {
                if let Some(before) = log.dead_before(is_full) {
                    self.define_again(before, is_full, now);
                }
            }
        }
    }

    /// Appends all definitions again, so that those in the segments before `before` are not
    /// needed. Several groups if they are many: nothing is freed before the last is durable.
    fn define_again(&mut self, before: u32, is_full: bool, now: Timestamp) {
        // Its own, since they may be large: publish ids are among them.
        let mut effects = Effects::default();
        self.core.definitions(&mut effects);
        if let Some(log) = &mut self.log
            && log.weigh(&effects.log, before, is_full)
        {
            match log.append_all(effects.log.iter(), Class::Compaction, Urgency::Commit, now) {
                Ok(lsn) => log.freeing = Some(Freeing::Waits { lsn, before }),
                Err(refused) => {
                    log.give_up(before);
                    tracing::debug!(%refused, "no space to free the segments before {before}");
                }
            }
        }
    }
}
