//! The way of a command: check, admit, apply, append, bodies, deliveries, answer.

use crate::{
    bodies::BodyAt,
    error::refusal,
    log::{Log, Needs},
    look::{Look, READ_MAX, Shown, Wanted, peeked_message},
    outgoing::Outgoing,
    reader::Job,
    state::State,
    waits::Waiting,
};
use std::iter;
use trunkline_journal::{Class, Refused, Urgency};
use trunkline_model::{Admin, Batch, Command, Completion, Durability, Error, Outcome, Timestamp};
use trunkline_queue::{Cost, Peeked};

/// A command that is given back because the journal has too much to write: to be submitted
/// again once something was written. `None` if it was taken.
pub(crate) type GivenBack<T> = Option<(T, Completion)>;

/// Batches that are run while others wait for the lock.
const AT_ONCE: usize = 64;

/// Why a command is not carried out now.
pub(crate) enum Denied {
    Backlog,
    Error(Error),
}

impl From<Error> for Denied {
    fn from(error: Error) -> Self {
        Self::Error(error)
    }
}

impl State {
    /// Runs a batch.
    pub(crate) fn submit(
        &mut self,
        now: Timestamp,
        batch: Batch,
        completion: Completion,
        out: &mut Outgoing,
    ) -> GivenBack<Batch> {
        self.submit_some(now, &mut iter::once((batch, completion)), out)
    }

    /// Runs batches in order, at most [`AT_ONCE`], up to one that is given back; then decides
    /// the deliveries that all of them lead to.
    pub(crate) fn submit_some(
        &mut self,
        now: Timestamp,
        batches: &mut impl Iterator<Item = (Batch, Completion)>,
        out: &mut Outgoing,
    ) -> GivenBack<Batch> {
        let (mut given_back, mut changed) = (None, false);
        for (batch, completion) in batches.take(AT_ONCE) {
            self.note_command();
            given_back = self.run(now, batch, completion, &mut changed, out);
            if given_back.is_some() {
                break;
            }
        }
        if changed {
            self.pump(now, out);
        }
        given_back
    }

    /// Runs a batch, but for the deliveries that it leads to; `changed` if it leads to any.
    fn run(
        &mut self,
        now: Timestamp,
        batch: Batch,
        completion: Completion,
        changed: &mut bool,
        out: &mut Outgoing,
    ) -> GivenBack<Batch> {
        let checked = self.serves().and_then(|()| self.core.check(now, &batch));
        let cost = match self.admitted(checked, out) {
            Ok(cost) => cost,
            Err(Denied::Backlog) => return Some((batch, completion)),
            Err(Denied::Error(error)) => {
                out.answer(completion, Err(error));
                return None;
            }
        };
        let grows = batch.commands.iter().any(is_publish);
        let urgency = urgency(cost.durability, grows || completion.is_awaited());
        let mut effects = self.effects();
        let receipt = self.core.apply(now, batch, &mut effects);
        let puts = !effects.puts.is_empty();
        let appended = self.record(&mut effects, now, urgency, out);
        self.recycle(effects);
        match appended {
            Ok(appended) => {
                if let (Some(log), Some(appended), true) = (&mut self.log, &appended, grows) {
                    log.note_growth(appended, puts);
                }
                let needs = match (&self.log, appended) {
                    (Some(_), Some(appended)) => Needs::of(cost.durability, appended.last_lsn),
                    // A publish that was seen before waits for the first one.
                    (Some(log), None) if grows => log.needs_of_growth(cost.durability),
                    _ => Needs::Nothing,
                };
                self.answer(needs, completion, Outcome::Done(receipt), out);
                *changed = true;
            }
            Err(error) => out.answer(completion, Err(error)),
        }
        None
    }

    /// Looks or manages.
    pub(crate) fn admin(
        &mut self,
        now: Timestamp,
        command: Admin,
        completion: Completion,
        out: &mut Outgoing,
    ) -> GivenBack<Admin> {
        let answer = match (self.serves(), command) {
            (Err(error), _) => Err(error),
            (Ok(()), Admin::Backup) if self.log.is_some() => {
                out.reads.push(Job::Backup(completion));
                return None;
            }
            (Ok(()), Admin::Inspect { topic }) => {
                let info = self.core.info(&topic);
                info.map(|info| Outcome::Topic(Box::new(info)))
            }
            (Ok(()), Admin::List { after, limit }) => {
                Ok(Outcome::Topics(self.core.list(after.as_ref(), limit)))
            }
            (
                Ok(()),
                Admin::Peek {
                    topic,
                    subscription,
                    limit,
                    from,
                    filter,
                },
            ) => {
                let look = trunkline_queue::Look {
                    topic: &topic,
                    subscription: subscription.as_deref(),
                    from,
                    filter: &filter,
                    limit: match filter.needs_content() {
                        true => READ_MAX,
                        false => limit,
                    },
                };
                match self.core.peek(now, &look) {
                    Ok(page) => {
                        let next = page.next;
                        let wanted = Wanted {
                            filter,
                            limit,
                            next,
                        };
                        self.look(&page.messages, wanted, completion, out);
                        return None;
                    }
                    Err(error) => Err(error),
                }
            }
            (Ok(()), command @ Admin::Redrive { .. }) => {
                self.redrive(now, command, completion, out);
                return None;
            }
            (Ok(()), command) => return self.manage(now, command, completion, out),
        };
        out.answer(completion, answer);
        None
    }

    fn manage(
        &mut self,
        now: Timestamp,
        command: Admin,
        completion: Completion,
        out: &mut Outgoing,
    ) -> GivenBack<Admin> {
        self.note_command();
        let checked = self.core.check_admin(now, &command);
        let cost = match self.admitted(checked, out) {
            Ok(cost) => cost,
            Err(Denied::Backlog) => return Some((command, completion)),
            Err(Denied::Error(error)) => {
                out.answer(completion, Err(error));
                return None;
            }
        };
        let mut effects = self.effects();
        let outcome = self.core.manage(now, command, &mut effects);
        let appended = self.record(&mut effects, now, urgency(cost.durability, true), out);
        self.recycle(effects);
        match appended {
            Ok(appended) => {
                if let (Some(log), Some(appended)) = (&mut self.log, &appended) {
                    log.note_definition(appended);
                }
                self.pump(now, out);
                // Also when it made nothing: what it found may have been made a moment ago.
                let log = self.log.as_ref();
                let needs = log.map_or(Needs::Nothing, Log::needs_of_definitions);
                self.answer(needs, completion, outcome, out);
            }
            Err(error) => out.answer(completion, Err(error)),
        }
        None
    }

    /// What a command costs, if it is right and there is space for it.
    fn admitted(
        &mut self,
        checked: Result<Cost, Error>,
        out: &mut Outgoing,
    ) -> Result<Cost, Denied> {
        let cost = checked?;
        self.admit(&cost, out)?;
        Ok(cost)
    }

    /// Asks for the space that a command may need.
    pub(crate) fn admit(&mut self, cost: &Cost, out: &mut Outgoing) -> Result<(), Denied> {
        if !cost.logs {
            return Ok(());
        }
        let units = self.core.waiting_units();
        let Some(log) = &mut self.log else {
            return Ok(());
        };
        let grows = cost.growth_bytes > 0;
        let class = if grows { Class::Growth } else { Class::Reserve };
        if grows {
            log.reserve(units);
        }
        let bytes = cost.growth_bytes + cost.settle_bytes;
        match log.admit(bytes, class) {
            Ok(()) => {
                log.admitted = bytes;
                if grows {
                    self.read_only = None;
                }
                Ok(())
            }
            Err(Refused::Backlog { .. }) => Err(Denied::Backlog),
            Err(refused) => {
                let error = refusal(&refused);
                if matches!(refused, Refused::DiskFull | Refused::NoSegment(_)) {
                    self.read_only = Some(error.message().to_owned());
                }
                // While it made room: nobody else would notice before the next round.
                if matches!(refused, Refused::Poisoned(_)) {
                    self.fail(error.clone(), out);
                }
                Err(Denied::Error(error))
            }
        }
    }

    /// Answers once the journal is far enough.
    pub(crate) fn answer(
        &mut self,
        needs: Needs,
        completion: Completion,
        outcome: Outcome,
        out: &mut Outgoing,
    ) {
        if needs == Needs::Nothing {
            return out.answer(completion, Ok(outcome));
        }
        let marks = self.marks();
        let waiting = Waiting::Answer(completion, outcome);
        if let Some(Waiting::Answer(completion, outcome)) = self.waits.add(needs, marks, waiting) {
            out.answer(completion, Ok(outcome));
        }
    }

    /// Shows messages once all of them are as durable as their topic promises.
    fn look(
        &mut self,
        found: &[Peeked],
        wanted: Wanted,
        completion: Completion,
        out: &mut Outgoing,
    ) {
        let mut look = Look {
            completion,
            messages: Vec::with_capacity(found.len()),
            wanted: Box::new(wanted),
        };
        let mut needs = Needs::Nothing;
        for peeked in found.iter().copied() {
            match (BodyAt::of(peeked.body), &mut self.log) {
                (BodyAt::Memory(slot), _) => {
                    let message = self.slab.get(slot).cloned();
                    let shown = message.map(|message| peeked_message(&peeked, message));
                    let shown = shown.map(|shown| Shown::Held(Box::new(shown)));
                    look.messages.extend(shown);
                }
                (BodyAt::Journal(place), Some(log)) => {
                    log.live.pin(place);
                    // All are of one topic, so that either all are to be synced or none.
                    needs = match (needs, log.needs_of(place, peeked.durability)) {
                        (Needs::Synced(a), Needs::Synced(b)) => Needs::Synced(a.max(b)),
                        (Needs::Written(a), Needs::Written(b)) => Needs::Written(a.max(b)),
                        (needs, Needs::Nothing) => needs,
                        (_, needs) => needs,
                    };
                    look.messages.push(Shown::At(peeked, place));
                }
                (BodyAt::Journal(_), None) => debug_assert!(false, "a place without a journal"),
            }
        }
        let marks = self.marks();
        if let Some(waiting) = self.waits.add(needs, marks, Waiting::Look(look)) {
            self.go_on(waiting, out);
        }
    }
}

const fn is_publish(command: &Command) -> bool {
    matches!(
        command,
        Command::Publish { .. } | Command::PublishIfSubscribed { .. }
    )
}

/// What starts a flush: somebody waits, or a consumer does. An ack that nobody waits for
/// never does.
pub(crate) const fn urgency(durability: Durability, hurry: bool) -> Urgency {
    match (durability, hurry) {
        (_, false) | (Durability::Memory, _) => Urgency::Lazy,
        (Durability::Interval, true) => Urgency::Interval,
        (Durability::Commit, true) => Urgency::Commit,
    }
}
