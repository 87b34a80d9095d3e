//! Dead letters go back: they are read away from the lock and moved one by one.

use crate::{
    bodies::BodyAt,
    consumer::Body,
    log::{Log, Needs},
    look::READ_MAX,
    outgoing::Outgoing,
    reader::{self, Job},
    shared::Shared,
    state::State,
    submit::{Denied, urgency},
};
use std::collections::VecDeque;
use trunkline_journal::Journal;
use trunkline_model::{
    Admin, Completion, Durability, Error, MessageFilter, Outcome, PeekCursor, RedriveEdit,
    RedriveTo, Redriven, StoredMessage, Timestamp,
};
use trunkline_queue::Peeked;

/// Most bytes that one redrive reads, but for a first message that is larger.
const BYTES_MAX: usize = 16 << 20;

/// A redrive under way.
#[derive(Debug)]
pub(crate) struct Redrive {
    pub(crate) completion: Completion,
    filter: MessageFilter,
    to: RedriveTo,
    edit: RedriveEdit,
    limit: u64,
    /// What was found and not looked at so far. The places are kept until then.
    letters: VecDeque<(Peeked, Body)>,
    /// Behind the last of them.
    next: Option<PeekCursor>,
    /// The last one that was looked at.
    last: Option<PeekCursor>,
    /// The strongest class of what was moved.
    durability: Durability,
    done: Redriven,
}

/// What became of one dead letter.
enum Step {
    Moved(Durability),
    Left,
    /// The journal has too much to write.
    Again,
    /// None can be moved for now.
    Refused(Error),
}

impl State {
    /// Finds the dead letters that a redrive may be about; without a journal, moves them.
    pub(crate) fn redrive(
        &mut self,
        now: Timestamp,
        command: Admin,
        completion: Completion,
        out: &mut Outgoing,
    ) {
        let checked = self.core.check_admin(now, &command);
        let Admin::Redrive {
            topic,
            filter,
            to,
            edit,
            from,
            limit,
        } = command
        else {
            return;
        };
        let look = trunkline_queue::Look {
            topic: &topic,
            subscription: None,
            from,
            filter: &filter,
            limit: READ_MAX,
        };
        let page = match checked.and_then(|_| self.core.peek(now, &look)) {
            Ok(page) => page,
            Err(error) => return out.answer(completion, Err(error)),
        };
        let found = page.messages.into_iter();
        let letters = found.filter_map(|peeked| {
            let body = match (BodyAt::of(peeked.body), &mut self.log) {
                (BodyAt::Memory(slot), _) => Body::Held(self.slab.get(slot)?.clone()),
                (BodyAt::Journal(place), Some(log)) => {
                    log.live.pin(place);
                    Body::At(place)
                }
                (BodyAt::Journal(_), None) => return None,
            };
            Some((peeked, body))
        });
        let mut redrive = Redrive {
            letters: letters.collect(),
            completion,
            filter,
            to,
            edit,
            limit: limit as u64,
            next: page.next,
            last: None,
            durability: Durability::Memory,
            done: Redriven::default(),
        };
        if self.log.is_some() {
            out.reads.push(Job::Redrive(Box::new(redrive)));
            return;
        }
        while let Some((peeked, body)) = redrive.take() {
            if let Body::Held(letter) = body
                && redrive.filter.matches(peeked.id, &letter)
            {
                let step = self.move_letter(now, &redrive, &peeked, &letter, out);
                redrive.note(&step);
            }
        }
        self.end_redrive(redrive, None, out);
        self.pump(now, out);
    }

    fn move_letter(
        &mut self,
        now: Timestamp,
        redrive: &Redrive,
        peeked: &Peeked,
        letter: &StoredMessage,
        out: &mut Outgoing,
    ) -> Step {
        if let Err(error) = self.serves() {
            return Step::Refused(error);
        }
        let Redrive { to, edit, .. } = redrive;
        let checked = self.core.check_redrive(now, peeked.id, letter, to, edit);
        let cost = match checked {
            Ok(cost) => cost,
            Err(error) => {
                tracing::debug!(%error, id = %peeked.id, "a dead letter stays where it is");
                return Step::Left;
            }
        };
        match self.admit(&cost, out) {
            Ok(()) => {
                let urgency = urgency(cost.durability, true);
                let mut effects = self.effects();
                let message = letter.clone();
                self.core
                    .redrive(now, peeked.id, message, to, edit, &mut effects);
                self.record_moved(&mut effects, now, urgency, out);
                self.recycle(effects);
                match self.serves() {
                    Ok(()) => Step::Moved(cost.durability),
                    Err(error) => Step::Refused(error),
                }
            }
            Err(Denied::Backlog) => Step::Again,
            Err(Denied::Error(error)) if self.read_only.is_some() => Step::Refused(error),
            Err(Denied::Error(_)) => Step::Left,
        }
    }

    /// Answers a redrive; what it did not come to is let go of.
    fn end_redrive(&mut self, redrive: Redrive, refused: Option<Error>, out: &mut Outgoing) {
        let mut done = redrive.done;
        done.next = match (redrive.letters.is_empty(), &refused) {
            (true, None) => redrive.next,
            _ => redrive.last,
        };
        for (_, body) in redrive.letters {
            if let Body::At(place) = body {
                self.unpin(place);
            }
        }
        match refused {
            Some(error) if done.moved + done.left == 0 => {
                out.answer(redrive.completion, Err(error));
            }
            _ => {
                let log = self.log.as_ref();
                let needs = |log: &Log| log.needs_of_growth(redrive.durability);
                let needs = log.map_or(Needs::Nothing, needs);
                self.answer(needs, redrive.completion, Outcome::Redriven(done), out);
            }
        }
    }
}

impl Redrive {
    /// The next one to look at, unless enough were moved.
    fn take(&mut self) -> Option<(Peeked, Body)> {
        if self.done.moved >= self.limit {
            return None;
        }
        let (peeked, body) = self.letters.pop_front()?;
        self.last = Some(peeked.cursor);
        Some((peeked, body))
    }

    fn note(&mut self, step: &Step) {
        match step {
            Step::Moved(durability) => {
                self.done.moved += 1;
                self.durability = self.durability.max(*durability);
            }
            Step::Left => self.done.left += 1,
            Step::Again | Step::Refused(_) => {}
        }
    }
}

impl Shared {
    /// Reads dead letters and moves those that are wanted.
    pub(crate) fn redrive(&self, mut redrive: Box<Redrive>, journal: Option<&Journal>) {
        let (mut bytes, mut refused) = (0, None);
        while bytes < BYTES_MAX
            && refused.is_none()
            && let before = redrive.last
            && let Some((peeked, body)) = redrive.take()
        {
            let place = match body {
                Body::At(place) => Some(place),
                _ => None,
            };
            let body = match (place, journal) {
                (Some(place), Some(journal)) => reader::fetch(journal, place),
                _ => body,
            };
            match body {
                Body::Held(letter) if redrive.filter.matches(peeked.id, &letter) => {
                    bytes += letter.payload.len();
                    match self.move_letter(&redrive, &peeked, &letter) {
                        Step::Refused(error) => {
                            redrive.last = before;
                            refused = Some(error);
                        }
                        step => redrive.note(&step),
                    }
                }
                Body::Held(letter) => bytes += letter.payload.len(),
                Body::Broken(error) => {
                    tracing::error!(%error, id = %peeked.id, "a dead letter can't be read; it stays where it is");
                    redrive.note(&Step::Left);
                }
                Body::At(_) => redrive.note(&Step::Left),
            }
            if let Some(place) = place {
                self.locked(|state, _, _| state.unpin(place));
            }
        }
        self.locked(|state, now, out| {
            state.end_redrive(*redrive, refused, out);
            state.pump(now, out);
        });
    }

    fn move_letter(&self, redrive: &Redrive, peeked: &Peeked, letter: &StoredMessage) -> Step {
        loop {
            let step =
                self.locked(|state, now, out| state.move_letter(now, redrive, peeked, letter, out));
            match step {
                Step::Again => self.commit(),
                step => return step,
            };
        }
    }
}
