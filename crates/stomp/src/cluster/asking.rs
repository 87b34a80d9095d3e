//! Operations on their way in.

use super::operations::{Entry, State};
use super::{ClusterEffect, ClusterSession};
use crate::{Acked, ClientError, Command, ErrorCode, Operation, OperationId};
use trunkline_model::Timestamp;

impl ClusterSession {
    /// Takes an operation into the table, or says why not.
    pub(super) fn ask(
        &mut self,
        id: u64,
        mut operation: Operation,
        watched: bool,
    ) -> Result<(), ClientError> {
        self.settings.client.add_headers(&mut operation);
        let command = operation.command();
        if matches!(command, Command::Ack | Command::Nack) {
            self.check_message(&operation)?;
        }
        if command == Command::Disconnect && self.link.is_none() && self.open_at.is_none() {
            self.effects.push_back(ClusterEffect::Done {
                operation: OperationId(id),
                receipt: None,
            });
            return Ok(());
        }
        if self.wants_publish_id(&operation) {
            self.next_publish += 1;
            let (prefix, number) = (&self.publish_prefix, self.next_publish);
            let name = compact_str::format_compact!("{prefix}-{number}");
            operation.headers.push("publish-id", name);
        }
        self.check_room(&operation)?;
        let transaction = match operation.headers.get("transaction") {
            Some(name) => {
                let max = self.settings.transactions_max;
                self.transactions.admit(command, name, max)?
            }
            None => None,
        };
        let entry = Entry {
            operation,
            state: State::Waiting,
            watched,
            told: false,
            abandoned: false,
            failures: 0,
            transaction,
        };
        self.operations.add(id, entry);
        Ok(())
    }

    /// Ends a subscription that nobody wants any more.
    pub(super) fn drop_subscription(&mut self, id: u64) {
        let Some(entry) = self.operations.get_mut(id) else {
            return;
        };
        entry.abandoned = true;
        let (state, told) = (entry.state, entry.told);
        let unsubscribe = match entry.operation.headers.get("id") {
            Some(name) => Operation::unsubscribe().with("id", name),
            None => {
                let destination = entry.operation.headers.get("destination");
                Operation::unsubscribe().with("destination", destination.unwrap_or_default())
            }
        };
        match (state, told) {
            (State::Waiting, true) => self.end_subscription(id),
            (State::Waiting, false) => self.fail(
                id,
                ClientError::new(ErrorCode::ClosedByClient, "Nobody wants the subscription."),
            ),
            (State::Sent(_) | State::Active(_), _) => {
                let number = self.operations.number();
                // Without room for it the subscription ends with the connection.
                let _ = self.ask(number, unsubscribe, false);
            }
        }
    }

    /// Only what may be sent twice, and is waited for.
    fn wants_publish_id(&self, operation: &Operation) -> bool {
        let has = |name| operation.headers.get(name).is_some();
        self.settings.publish_ids
            && operation.command() == Command::Send
            && has("receipt")
            && !has("transaction")
            && !has("publish-id")
    }

    fn check_room(&self, operation: &Operation) -> Result<(), ClientError> {
        let max = self.settings.client.operations_max;
        if self.operations.len() >= max {
            return Err(misuse(format!(
                "More than {max} operations are unfinished."
            )));
        }
        let max = self.settings.client.unwritten_bytes_max;
        if self.operations.bytes() + operation.weight() > max {
            let text = format!("More than {max} bytes of operations are unfinished.");
            return Err(misuse(text));
        }
        Ok(())
    }

    /// A message of a connection that is no more can't be acknowledged.
    fn check_message(&self, operation: &Operation) -> Result<(), ClientError> {
        let link = self.link.as_ref();
        let link = link.filter(|link| link.session.is_ready() && link.moves.is_none());
        let is_lost = match (&operation.acked, link) {
            (Some(Acked::Tag(tag)), Some(link)) => tag.number <= link.messages_before,
            (_, link) => link.is_none(),
        };
        match is_lost {
            true => Err(lost_message(operation.command())),
            false => Ok(()),
        }
    }

    /// Hands over what waits to the session, as long as it takes more. Whether it took anything.
    pub(super) fn hand_over(&mut self, now: Timestamp) -> bool {
        let (mut any, mut last) = (false, 0);
        while let Some(link) = &self.link
            && link.session.is_ready()
            && link.moves.is_none()
            && link.session.unwritten_bytes() < super::settings::WRITTEN_AT_ONCE
            && let Some(id) = self.operations.waiting_after(last)
        {
            last = id;
            if self.returning.is_none() || self.goes_before_return(id) {
                self.hand(now, id);
                any = true;
            }
        }
        any
    }

    /// What has to be said to this node before it is left: the rest of its transactions, and what
    /// becomes of its messages.
    fn goes_before_return(&self, id: u64) -> bool {
        self.operations.get(id).is_some_and(|entry| {
            let transaction = entry.transaction;
            let started = transaction.is_some_and(|it| self.transactions.is_started(it));
            let settles = matches!(entry.command(), Command::Ack | Command::Nack);
            started || (settles && transaction.is_none())
        })
    }

    fn hand(&mut self, now: Timestamp, id: u64) {
        let (Some(entry), Some(link)) = (self.operations.get(id), &mut self.link) else {
            return;
        };
        let mut operation = entry.operation.clone();
        if let Some(Acked::Tag(tag)) = &mut operation.acked {
            let subscription = self.operations.get(tag.subscription);
            let name = match subscription.map(|entry| entry.state) {
                Some(State::Sent(name) | State::Active(name)) => name,
                Some(State::Waiting) | None => OperationId(0),
            };
            tag.subscription = name.0;
            tag.number -= link.messages_before;
        }
        if let (Command::Begin, Some(number)) = (entry.command(), entry.transaction) {
            self.transactions.start(number);
        }
        let name = link.session.execute(now, operation);
        link.names.insert(name, id);
        link.sent += 1;
        self.operations.sent(id, name);
    }
}

/// What an ACK or NACK of a message of another connection fails with.
pub(super) fn lost_message(command: Command) -> ClientError {
    misuse(format!(
        "Unexpected {command} sent: message belongs to a lost session."
    ))
}

/// The caller's own mistake.
fn misuse(text: String) -> ClientError {
    ClientError::new(ErrorCode::Operation, text)
}
