use crate::{Command, DecodeError, HeartBeat, Version};
use bytes::BufMut;
use compact_str::CompactString;
use std::time::Duration;

/// What an ERROR frame says. The session ends with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    message: String,
    headers: Vec<(CompactString, CompactString)>,
}

impl Failure {
    /// A failure with a text for people. What is wrong comes first; what to do may follow a
    /// semicolon, and stands in the body only.
    #[must_use]
    pub fn new(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            headers: Vec::new(),
        }
    }

    /// The same with a further header, for programs.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<CompactString>) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// The text.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.message
    }

    pub(crate) fn write(
        &self,
        out: &mut impl BufMut,
        receipt: Option<&str>,
        version: Option<Version>,
    ) {
        let mut frame = crate::Writer::begin(out, Command::Error, version);
        let summary = self.message.split("; ").next().unwrap_or_default();
        frame.header("message", summary);
        if let Some(receipt) = receipt {
            frame.header("receipt-id", receipt);
        }
        frame.header("content-type", "text/plain");
        for (name, value) in &self.headers {
            frame.header(name, value);
        }
        frame.body(self.message.as_bytes());
    }
}

/// A frame that the session itself refuses.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// The bytes are not a frame.
    #[error(transparent)]
    Decode(#[from] DecodeError),
    /// A frame before CONNECT.
    #[error("{0} before CONNECT; the first frame is CONNECT or STOMP")]
    NotConnected(Command),
    /// A second CONNECT.
    #[error("{0} on a connection that has a session already; open another connection")]
    AlreadyConnected(Command),
    /// No CONNECT in time.
    #[error("no CONNECT within {0:?}; send it first")]
    ConnectTimeout(Duration),
    /// No version in common.
    #[error("no version in common; this server speaks {0}")]
    Version(String),
    /// A header that can't be read.
    #[error(transparent)]
    HeartBeat(#[from] crate::ParseHeartBeatError),
    /// The client was silent.
    #[error(
        "nothing came for {silence:?}; the client said that it sends something every {agreed:?}"
    )]
    Silent {
        /// For how long.
        silence: Duration,
        /// What was agreed.
        agreed: Duration,
    },
    /// A frame that servers send.
    #[error("a client must not send {0}; only servers do")]
    OfServer(Command),
    /// A command that the version doesn't have.
    #[error("STOMP {version} has no {command}; connect with a later accept-version")]
    NotInVersion {
        /// The command.
        command: Command,
        /// The version that was agreed.
        version: Version,
    },
    /// A header is missing.
    #[error("{command} without header {name}; add it")]
    MissingHeader {
        /// The command.
        command: Command,
        /// The header.
        name: &'static str,
    },
    /// A name that is too long to be kept.
    #[error("header {name} of {command} has more than {max} bytes; choose a shorter one")]
    NameTooLong {
        /// The command.
        command: Command,
        /// The header.
        name: &'static str,
        /// The bound, in bytes.
        max: usize,
    },
    /// A header that can't be taken as it is.
    #[error(transparent)]
    Option(#[from] crate::OptionError),
    /// The id is taken.
    #[error("there is a subscription {0} on this connection already; give each its own id")]
    DuplicateSubscription(String),
    /// No such subscription.
    #[error(
        "there is no subscription {0} on this connection; UNSUBSCRIBE names the id of its SUBSCRIBE"
    )]
    UnknownSubscription(String),
    /// Too many subscriptions.
    #[error("more than {0} subscriptions on a connection; use several connections")]
    TooManySubscriptions(usize),
    /// An ACK or NACK of what was never delivered.
    #[error(
        "{command} of {id}, which was never delivered here; name the {header} of a MESSAGE of this connection"
    )]
    NeverIssued {
        /// The command.
        command: Command,
        /// What it names.
        id: String,
        /// The header of MESSAGE that has to be named.
        header: &'static str,
    },
    /// The id is taken.
    #[error("there is an open transaction {0} already; give each its own name")]
    DuplicateTransaction(String),
    /// No such transaction.
    #[error("there is no open transaction {0}; send BEGIN first")]
    UnknownTransaction(String),
    /// Too many transactions.
    #[error("more than {0} open transactions on a connection; COMMIT or ABORT some")]
    TooManyTransactions(usize),
    /// Too much in transactions.
    #[error("transaction {id} has more than {max} {unit}; COMMIT more often")]
    TransactionTooLarge {
        /// The transaction.
        id: String,
        /// The bound.
        max: usize,
        /// Of what.
        unit: &'static str,
    },
    /// A COMMIT of an ACK or NACK that can't take effect.
    #[error(
        "transaction {transaction} acknowledges {id}, which is no longer held; nothing of it was applied"
    )]
    LostAck {
        /// The transaction.
        transaction: String,
        /// The delivery.
        id: String,
    },
}

impl From<&Refusal> for Failure {
    fn from(refusal: &Refusal) -> Self {
        let failure = Self::new(refusal.to_string());
        match refusal {
            Refusal::Version(ours) => failure.with("version", ours.as_str()),
            _ => failure,
        }
    }
}

/// What the agreement says about the client's beats.
pub(crate) fn agreed_receive(ours: HeartBeat, client: HeartBeat) -> Duration {
    ours.agree(client).receive_every.unwrap_or_default()
}
