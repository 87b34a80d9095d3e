//! Topics for dead letters: they are made, and looked at.

use super::{Flaw, World};
use crate::{ledger::Defining, rule::Checked};
use trunkline_model::{Admin, TopicName, TopicSettings};

pub(crate) fn grave_name(grave: u8) -> TopicName {
    let name = format!("d{grave}").parse();
    name.expect("a letter and a number are a name")
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
        if self.flaw == Flaw::HiddenLetter && !shown.is_empty() {
            shown.remove(0);
        }
        self.transcript.event(|| {
            let ids: Vec<String> = shown.iter().map(|peeked| peeked.id.to_string()).collect();
            format!("d{grave} has {}", ids.join(" "))
        });
        self.ledger.grave_looked(grave, &shown)?;
        Ok(true)
    }

    /// Looks at all of them; false if the engine ended meanwhile.
    pub(super) fn look_at_graves(&mut self) -> Checked<bool> {
        for grave in self.ledger.graves() {
            self.look_at_grave(grave)?;
        }
        Ok(!self.has_failed() && !self.is_power_gone())
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
