//! Topics for dead letters: they are made, and looked at.

use super::{Flaw, World, operate::topic_name};
use crate::{
    ledger::{Defining, PIT},
    op::Back,
    rule::{Checked, hold},
};
use trunkline_model::{
    Admin, Error, ErrorCode, MessageFilter, Outcome, PeekFrom, RedriveEdit, RedriveTo, TopicName,
    TopicSettings,
};

pub(crate) fn grave_name(grave: u8) -> TopicName {
    let name = format!("d{grave}").parse();
    name.expect("a letter and a number are a name")
}

fn redrive(filter: MessageFilter, to: RedriveTo, edit: RedriveEdit, limit: usize) -> Admin {
    Admin::Redrive {
        topic: grave_name(0),
        filter,
        to,
        edit,
        from: PeekFrom::Front,
        limit,
    }
}

impl World {
    pub(super) fn make_grave(&mut self, grave: u8) -> Checked {
        if self.ledger.has_grave(grave) {
            return Ok(());
        }
        let command = Admin::Define {
            topic: grave_name(grave),
            settings: TopicSettings::default(),
        };
        self.carry_out(&format!("grave d{grave}"), command, Defining::Grave(grave))
    }

    /// Compares what a topic for dead letters shows; false if the engine is gone or something
    /// can't be read.
    pub(super) fn look_at_grave(&mut self, grave: u8) -> Checked<bool> {
        if !self.ledger.has_grave(grave) {
            return Ok(true);
        }
        let Some(mut shown) = self.peek_at(grave_name(grave), None)? else {
            return Ok(false);
        };
        if self.flaw == Flaw::HiddenLetter && grave != PIT && !shown.is_empty() {
            shown.remove(0);
        }
        self.transcript.event(|| {
            let ids: Vec<String> = shown.iter().map(|peeked| peeked.id.to_string()).collect();
            format!("d{grave} has {}", ids.join(" "))
        });
        match grave {
            PIT => self.ledger.pit_looked(&shown)?,
            _ => self.ledger.grave_looked(grave, &shown)?,
        }
        Ok(true)
    }

    /// Looks at all of them; false if the engine ended meanwhile.
    pub(super) fn look_at_graves(&mut self) -> Checked<bool> {
        for grave in self.ledger.graves() {
            self.look_at_grave(grave)?;
        }
        Ok(!self.has_failed() && !self.is_power_gone())
    }

    /// Drives dead letters back, after a look at them.
    pub(super) fn redrive(&mut self, count: u64, back: Back) -> Checked {
        if !self.ledger.has_grave(0) || !self.look_at_grave(0)? {
            return Ok(());
        }
        let into = match back {
            Back::Pit => return self.redrive_to_pit(count),
            Back::Topic(topic) if !self.ledger.has_topic(topic) => return Ok(()),
            Back::Topic(topic) => Some(topic),
            Back::Source => None,
        };
        let to = into.map_or(RedriveTo::Source, |topic| {
            RedriveTo::Topic(topic_name(topic))
        });
        for id in self.ledger.letters_there().into_iter().take(count as usize) {
            let Some(plan) = self.ledger.plan_return(id, into) else {
                continue;
            };
            let (payload, limit) = (self.ledger.payload_of(&plan), 1);
            let edit = RedriveEdit {
                payload: Some((payload.into(), Default::default())),
                ..RedriveEdit::default()
            };
            let filter = MessageFilter {
                id: Some(id),
                ..MessageFilter::default()
            };
            let message = plan.message;
            self.ledger.returns(plan);
            match self.ask(redrive(filter, to.clone(), edit, limit))? {
                None => return self.collect(),
                Some(answer) => {
                    let moved = self.moved(answer)?;
                    self.transcript.event(|| match moved {
                        0 => format!("{id} stays"),
                        _ => format!("{id} is m{message} now"),
                    });
                    let may_stay = self.may_refuse() || self.disk.plan().fail_read.is_some();
                    self.ledger.returned(moved > 0, may_stay)?;
                    self.collect()?;
                }
            }
        }
        Ok(())
    }

    /// How many dead letters a redrive says that it moved.
    fn moved(&self, answer: Result<Outcome, Error>) -> Checked<u64> {
        match answer {
            Ok(Outcome::Redriven(done)) => Ok(done.moved),
            Ok(_) => Ok(0),
            Err(error) => {
                let is_gone = error.code() == ErrorCode::NotFound;
                let is_right = is_gone || self.may_refuse();
                hold!(is_right, Answers, "a redrive was refused: {error}");
                Ok(0)
            }
        }
    }

    /// By one command, as they are; what left is where it went.
    fn redrive_to_pit(&mut self, count: u64) -> Checked {
        if !self.ledger.has_grave(PIT) {
            return Ok(());
        }
        let gone = self.ledger.letters_gone();
        self.ledger.goes_to_pit();
        let to = RedriveTo::Topic(grave_name(PIT));
        let command = redrive(
            MessageFilter::default(),
            to,
            RedriveEdit::default(),
            count as usize,
        );
        let Some(answer) = self.ask(command)? else {
            return self.collect();
        };
        let moved = self.moved(answer)?;
        self.transcript.event(|| format!("{moved} moved"));
        if self.look_at_grave(0)? {
            let left = self.ledger.letters_gone() - gone;
            hold!(
                left == moved,
                Answers,
                "{left} dead letters left, and {moved} were said to"
            );
            self.look_at_grave(PIT)?;
        }
        self.collect()
    }

    /// After a start, if dead letters are certainly on their way: lets them arrive, unless the disk
    /// is in their way.
    pub(super) fn await_letters(&mut self) -> Checked {
        if !self.ledger.awaits_letters() || self.is_damaged || self.may_refuse() {
            return Ok(());
        }
        self.wait(0, true);
        while self.step() {}
        self.collect()?;
        if self.look_at_graves()? {
            self.ledger.check_letters()?;
        }
        Ok(())
    }
}
