//! Which frame does what, and what all frames have in common.

use super::receipts::{Entry, State};
use super::{Effect, Phase, Refusal, SendRequest, ServerSession, Step, Token};
use crate::{Command, Frame};
use compact_str::CompactString;
use trunkline_model::Timestamp;

impl ServerSession {
    /// Does what a frame says.
    pub(super) fn take(&mut self, now: Timestamp, frame: Frame) -> Result<(), Refusal> {
        if let Phase::Waiting(_) = self.phase {
            return self.connect(&frame);
        }
        match frame.command {
            Command::Connect | Command::Stomp => {
                return Err(Refusal::AlreadyConnected(frame.command));
            }
            Command::Send => self.send(now, frame)?,
            Command::Ack | Command::Nack => self.settle(now, &frame)?,
            Command::Subscribe => self.subscribe(frame)?,
            Command::Unsubscribe => self.unsubscribe(frame)?,
            Command::Begin => self.begin(now, &frame)?,
            Command::Commit => self.commit(now, &frame)?,
            Command::Abort => self.abort(now, &frame)?,
            Command::Disconnect => self.disconnect(now, &frame),
            Command::Connected | Command::Message | Command::Receipt | Command::Error => {
                return Err(Refusal::OfServer(frame.command));
            }
        }
        Ok(())
    }

    fn send(&mut self, now: Timestamp, frame: Frame) -> Result<(), Refusal> {
        let destination = required(&frame, "destination")?.into();
        let receipt = receipt(&frame);
        let transaction = frame.get("transaction").map(CompactString::new);
        let send = SendRequest {
            destination,
            headers: frame.headers,
            body: frame.body,
        };
        match transaction {
            Some(id) => {
                self.transactions.add(&id, Step::Send(send))?;
                self.done(now, receipt);
            }
            None => {
                let token = self.pending(receipt);
                self.effects.push_back(Effect::Send { token, send });
            }
        }
        Ok(())
    }

    fn disconnect(&mut self, now: Timestamp, frame: &Frame) {
        let mut entry = Entry::new(State::Done, receipt(frame));
        entry.last = true;
        self.receipts.push(entry);
        self.phase = Phase::Ending(now.after(self.settings.end_timeout));
        self.answer(now);
    }

    /// A header that names something and has to be there.
    pub(super) fn name<'a>(
        &self,
        frame: &'a Frame,
        name: &'static str,
    ) -> Result<&'a str, Refusal> {
        let max = self.settings.name_bytes_max;
        let value = required(frame, name)?;
        if value.len() > max {
            let command = frame.command;
            return Err(Refusal::NameTooLong { command, name, max });
        }
        Ok(value)
    }

    /// A frame that is answered once the shell has completed it.
    pub(super) fn pending(&mut self, receipt: Option<CompactString>) -> Token {
        self.receipts.push(Entry::new(State::Pending, receipt))
    }

    /// A frame that is done, and answered once those before it are.
    pub(super) fn done(&mut self, now: Timestamp, receipt: Option<CompactString>) {
        if receipt.is_some() {
            self.receipts.push(Entry::new(State::Done, receipt));
            self.answer(now);
        }
    }
}

pub(super) fn receipt(frame: &Frame) -> Option<CompactString> {
    frame.get("receipt").map(CompactString::new)
}

pub(super) fn required<'a>(frame: &'a Frame, name: &'static str) -> Result<&'a str, Refusal> {
    frame.get(name).ok_or(Refusal::MissingHeader {
        command: frame.command,
        name,
    })
}
