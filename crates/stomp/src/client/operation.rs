use crate::{AckMode, Command};
use bytes::Bytes;
use compact_str::CompactString;
use std::fmt;
use trunkline_model::Headers;

/// Names an operation of a session: higher than those before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OperationId(pub u64);

/// Names a message that a session received.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MessageTag {
    /// The operation of its SUBSCRIBE.
    pub(crate) subscription: u64,
    /// Grows with every message, also beyond the loss of a connection.
    pub(crate) number: u64,
}

/// Which message an ACK or NACK is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Acked {
    /// The one with this tag.
    Tag(MessageTag),
    /// The one with this `ack` header, or up to 1.1 this `message-id`.
    Id(CompactString),
}

/// Something to send. A header `receipt` asks for a RECEIPT, with which the operation is done;
/// the value `auto` makes up an id. SUBSCRIBE, UNSUBSCRIBE and DISCONNECT ask for one anyway.
/// Other operations are done once they are written.
#[derive(Clone, PartialEq, Eq)]
pub struct Operation {
    pub(crate) command: Command,
    pub(crate) headers: Headers,
    pub(crate) body: Bytes,
    pub(crate) acked: Option<Acked>,
}

impl Operation {
    /// An operation of any command; its headers are up to the caller.
    #[must_use]
    pub fn of(command: Command) -> Self {
        Self {
            command,
            headers: Headers::new(),
            body: Bytes::new(),
            acked: None,
        }
    }

    /// Publishes a body.
    #[must_use]
    pub fn send(destination: &str, body: impl Into<Bytes>) -> Self {
        let mut operation = Self::of(Command::Send).with("destination", destination);
        operation.body = body.into();
        operation
    }

    /// Begins a subscription. It is known by its header `id`, else by its destination.
    #[must_use]
    pub fn subscribe(destination: &str, ack: AckMode) -> Self {
        let operation = Self::of(Command::Subscribe).with("destination", destination);
        operation.with("ack", ack.as_str())
    }

    /// Ends the subscription of the header `id`, else of `destination`.
    #[must_use]
    pub fn unsubscribe() -> Self {
        Self::of(Command::Unsubscribe)
    }

    /// Acknowledges a message; in mode `client` all before it too.
    #[must_use]
    pub fn ack(message: Acked) -> Self {
        let mut operation = Self::of(Command::Ack);
        operation.acked = Some(message);
        operation
    }

    /// Refuses a message; in mode `client` all before it too.
    #[must_use]
    pub fn nack(message: Acked) -> Self {
        let mut operation = Self::of(Command::Nack);
        operation.acked = Some(message);
        operation
    }

    /// Begins a transaction.
    #[must_use]
    pub fn begin(transaction: &str) -> Self {
        Self::of(Command::Begin).with("transaction", transaction)
    }

    /// Applies a transaction.
    #[must_use]
    pub fn commit(transaction: &str) -> Self {
        Self::of(Command::Commit).with("transaction", transaction)
    }

    /// Forgets a transaction.
    #[must_use]
    pub fn abort(transaction: &str) -> Self {
        Self::of(Command::Abort).with("transaction", transaction)
    }

    /// Ends the connection once everything before is processed.
    #[must_use]
    pub fn disconnect() -> Self {
        Self::of(Command::Disconnect)
    }

    /// The same with a header.
    #[must_use]
    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.headers.push(name, value);
        self
    }

    /// The same with a body, which only a SEND has.
    #[must_use]
    pub fn with_body(mut self, body: impl Into<Bytes>) -> Self {
        self.body = body.into();
        self
    }

    /// The same about a message.
    #[must_use]
    pub fn about(mut self, message: Acked) -> Self {
        self.acked = Some(message);
        self
    }

    /// Its command.
    #[must_use]
    pub fn command(&self) -> Command {
        self.command
    }

    pub(crate) fn names_message(&self) -> bool {
        self.acked.is_some()
    }

    /// What it takes of memory while it waits, in bytes.
    pub(crate) fn weight(&self) -> usize {
        let headers = self.headers.iter();
        let headers: usize = headers
            .map(|(name, value)| name.len() + value.len() + 48)
            .sum();
        headers + self.body.len() + 128
    }

    /// How a SUBSCRIBE or UNSUBSCRIBE names its subscription.
    pub(crate) fn key(&self) -> CompactString {
        let key = self.headers.get("id");
        let key = key.or_else(|| self.headers.get("destination"));
        key.unwrap_or_default().into()
    }
}

/// Names of headers and sizes only, as for frames.
impl fmt::Debug for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = self.headers.iter().map(|(name, _)| name).collect();
        f.debug_struct("Operation")
            .field("command", &self.command)
            .field("headers", &names)
            .field("body_bytes", &self.body.len())
            .field("acked", &self.acked)
            .finish()
    }
}
