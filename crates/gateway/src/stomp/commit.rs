//! COMMIT: all frames of a transaction as one batch.

use super::{
    call::Calling,
    connection::{Step, StompConnection},
    failure,
    jobs::Job,
};
use smallvec::SmallVec;
use trunkline_model::{Batch, ChannelMessage, Command, Error, ErrorCode};
use trunkline_stomp::{Failure, Step as Part, Token};

/// What goes out once a transaction is durable.
pub(super) type Afterwards = Vec<Afterward>;

/// What is no part of a batch.
#[derive(Debug)]
pub(super) enum Afterward {
    /// For whoever listens.
    Channel(Box<ChannelMessage>),
    /// A call.
    Call(Box<Calling>),
}

impl StompConnection {
    pub(super) fn commit(&mut self, token: Token, steps: Vec<Part>) -> Result<Step, Failure> {
        let mut commands = SmallVec::<[Command; 1]>::with_capacity(steps.len());
        let mut afterwards = Afterwards::new();
        for step in steps {
            match step {
                Part::Send(send) => {
                    let sending = self.read_send(send)?;
                    commands.extend(sending.command);
                    afterwards.extend(sending.afterward);
                }
                Part::Settle(settle) if self.is_void(&settle) => return Err(gone()),
                Part::Settle(settle) => {
                    let command = self.settling(&settle).ok_or_else(gone)?;
                    commands.push(command);
                }
            }
        }
        if commands.is_empty() {
            self.go_on(afterwards);
            return Ok(Step::Done);
        }
        let strict = true;
        let completion = match afterwards.is_empty() {
            true => self.completion(token),
            false => self.job(Job::Commit(token, afterwards)),
        };
        self.gather(Batch { commands, strict }, completion);
        Ok(Step::Later)
    }

    /// What a SEND, or a transaction that is durable, does besides.
    pub(super) fn go_on(&mut self, afterwards: impl IntoIterator<Item = Afterward>) {
        for afterward in afterwards {
            match afterward {
                Afterward::Channel(message) => self.publish_channel(*message),
                Afterward::Call(calling) => self.call(*calling),
            }
        }
    }
}

/// A subscription ended in the moment of the COMMIT, or time-outs took deliveries back.
fn gone() -> Failure {
    let text =
        "the transaction acknowledges a delivery that is no longer held; nothing of it was applied";
    failure::of(&Error::new(ErrorCode::Conflict, text))
}
