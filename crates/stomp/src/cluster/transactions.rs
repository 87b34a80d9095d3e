//! Transactions are of one connection: with it they are lost, whole.

use crate::{ClientError, Command, ErrorCode};
use compact_str::CompactString;
use std::collections::BTreeMap;

/// The transactions that are open, or lost and not ended by the user.
#[derive(Debug, Default)]
pub(super) struct Transactions {
    by_name: BTreeMap<CompactString, u64>,
    all: BTreeMap<u64, Transaction>,
    next: u64,
}

#[derive(Debug)]
struct Transaction {
    name: CompactString,
    state: State,
    /// COMMIT or ABORT was asked: the name is free again.
    ended: bool,
    /// Operations of it that are not finished.
    unfinished: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Nothing of it was sent.
    Waiting,
    /// BEGIN was sent on this connection.
    Started,
    Lost,
}

impl Transactions {
    /// The transaction that an operation belongs to; none if it names one that was never begun,
    /// which is for the server to say.
    pub(super) fn admit(
        &mut self,
        command: Command,
        name: &str,
        max: usize,
    ) -> Result<Option<u64>, ClientError> {
        let known = self.by_name.get(name).copied();
        if command == Command::Begin {
            return self.begin(known, name, max).map(Some);
        }
        let Some(number) = known else {
            return Ok(None);
        };
        let is_end = matches!(command, Command::Commit | Command::Abort);
        if is_end {
            self.by_name.remove(name);
        }
        let Some(transaction) = self.all.get_mut(&number) else {
            return Ok(None);
        };
        transaction.ended |= is_end;
        if transaction.state == State::Lost {
            self.forget_if_over(number);
            let text = format!("Unexpected {command} sent: transaction \"{name}\" is lost.");
            return Err(ClientError::new(ErrorCode::Operation, text));
        }
        transaction.unfinished += 1;
        Ok(Some(number))
    }

    fn begin(&mut self, known: Option<u64>, name: &str, max: usize) -> Result<u64, ClientError> {
        let misuse = |text| Err(ClientError::new(ErrorCode::Operation, text));
        if let Some(number) = known {
            let old = self.all.get_mut(&number);
            if old.as_ref().is_some_and(|old| old.state != State::Lost) {
                return misuse(format!("Transaction \"{name}\" is open already."));
            }
            if let Some(old) = old {
                old.ended = true;
            }
            self.by_name.remove(name);
            self.forget_if_over(number);
        }
        if self.all.len() >= max {
            return misuse(format!("More than {max} transactions are open."));
        }
        self.next += 1;
        self.by_name.insert(name.into(), self.next);
        let transaction = Transaction {
            name: name.into(),
            state: State::Waiting,
            ended: false,
            unfinished: 1,
        };
        self.all.insert(self.next, transaction);
        Ok(self.next)
    }

    pub(super) fn start(&mut self, number: u64) {
        if let Some(transaction) = self.all.get_mut(&number) {
            transaction.state = State::Started;
        }
    }

    /// An operation of it is finished.
    pub(super) fn finish(&mut self, number: u64) {
        if let Some(transaction) = self.all.get_mut(&number) {
            transaction.unfinished -= 1;
        }
        self.forget_if_over(number);
    }

    pub(super) fn lose(&mut self, number: u64) {
        if let Some(transaction) = self.all.get_mut(&number) {
            transaction.state = State::Lost;
        }
    }

    /// The connection has ended.
    pub(super) fn lose_started(&mut self) {
        for transaction in self.all.values_mut() {
            if transaction.state == State::Started {
                transaction.state = State::Lost;
            }
        }
    }

    pub(super) fn is_lost(&self, number: u64) -> bool {
        self.is(number, State::Lost)
    }

    pub(super) fn is_started(&self, number: u64) -> bool {
        self.is(number, State::Started)
    }

    pub(super) fn any_started(&self) -> bool {
        self.all.values().any(|it| it.state == State::Started)
    }

    /// What an operation of a lost transaction fails with.
    pub(super) fn loss(&self, number: u64, command: Command, error: &ClientError) -> ClientError {
        let name = self.all.get(&number).map_or("", |it| it.name.as_str());
        let unknown = match command {
            Command::Commit => " Whether it was applied is not known.",
            _ => "",
        };
        let why = &error.message;
        let text = format!(
            "Operation \"{command}\" aborted: transaction \"{name}\" is lost: {why}{unknown}"
        );
        error.because(text)
    }

    fn is(&self, number: u64, state: State) -> bool {
        self.all.get(&number).is_some_and(|it| it.state == state)
    }

    fn forget_if_over(&mut self, number: u64) {
        let over = |it: &Transaction| it.ended && it.unfinished == 0;
        if self.all.get(&number).is_some_and(over) {
            self.all.remove(&number);
        }
    }
}
