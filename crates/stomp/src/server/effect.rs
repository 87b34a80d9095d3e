use super::Tags;
use crate::Version;
use bytes::Bytes;
use compact_str::CompactString;
use std::fmt;
use std::time::Duration;
use trunkline_model::Headers;

/// Names a command that was handed on, in [`ServerSession::complete`](super::ServerSession::complete).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Token(pub u64);

/// Names a subscription of a session. Never reused within it, unlike the client's own ids.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SubscriptionNumber(pub u64);

impl fmt::Display for SubscriptionNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Which MESSAGE an ACK covers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum AckMode {
    /// `auto`: settled when sent.
    #[default]
    Auto,
    /// `client`: it and all before it on its subscription.
    Client,
    /// `client-individual`: it alone.
    ClientIndividual,
}

impl AckMode {
    /// As the header `ack` writes it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Client => "client",
            Self::ClientIndividual => "client-individual",
        }
    }

    /// The mode of that name.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Auto, Self::Client, Self::ClientIndividual]
            .into_iter()
            .find(|mode| mode.as_str() == text)
    }
}

/// What the shell has to do. What is to be written is not among it: see
/// [`ServerSession::take_output`](super::ServerSession::take_output).
///
/// Whatever has a token is completed once, with success or failure; the session answers in the
/// order of the frames, whatever the order of completion.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Somebody wants a session: [`accept`](super::ServerSession::accept) or
    /// [`refuse`](super::ServerSession::refuse). No frame is read before that.
    Connect(Box<ConnectRequest>),
    /// Publish.
    Send {
        /// Names the command.
        token: Token,
        /// What.
        send: SendRequest,
    },
    /// Begin a subscription, but hand nothing out before [`Effect::Start`].
    Subscribe {
        /// Names the command.
        token: Token,
        /// What.
        subscribe: Box<SubscribeRequest>,
    },
    /// The subscription's RECEIPT, if there is one, is written: deliveries may follow.
    Start(SubscriptionNumber),
    /// End a subscription: what is unsettled of it returns. What is still delivered to it is
    /// refused.
    Unsubscribe {
        /// Names the command.
        token: Token,
        /// Which; none if the headers name a durable subscription (see
        /// [`durable_name`](crate::durable_name)) that this session has not taken up.
        subscription: Option<SubscriptionNumber>,
        /// All headers of the frame.
        headers: Headers,
    },
    /// Acknowledge, or the contrary. What is no longer held is skipped and counted.
    Settle {
        /// Names the command.
        token: Token,
        /// What.
        settle: Settle,
    },
    /// Do all of this in order, or, if a delivery is no longer held, none of it and fail.
    Commit {
        /// Names the command.
        token: Token,
        /// What; at least one step.
        steps: Vec<Step>,
    },
    /// Write what output there is, then close: half-close and a short wait let the last frame
    /// arrive. Whatever is unsettled returns. Nothing follows.
    Close(CloseReason),
}

/// A CONNECT or STOMP frame.
#[derive(Clone, PartialEq, Eq)]
pub struct ConnectRequest {
    /// The version that both sides know.
    pub version: Version,
    /// The user.
    pub login: Option<CompactString>,
    /// The user's secret.
    pub passcode: Option<CompactString>,
    /// The virtual host, or whatever name the client dialled.
    pub host: Option<CompactString>,
    /// Prefix of the names of durable subscriptions.
    pub client_id: Option<CompactString>,
}

/// The passcode is not shown.
impl fmt::Debug for ConnectRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConnectRequest")
            .field("version", &self.version)
            .field("login", &self.login)
            .field("passcode", &self.passcode.as_ref().map(|_| "…"))
            .field("host", &self.host)
            .field("client_id", &self.client_id)
            .finish()
    }
}

/// A SEND frame.
#[derive(Clone, PartialEq, Eq)]
pub struct SendRequest {
    /// Where to; see [`Destination`](crate::Destination).
    pub destination: CompactString,
    /// All headers of the frame; see [`SendOptions`](crate::SendOptions).
    pub headers: Headers,
    /// The body.
    pub body: Bytes,
}

/// Names of headers and the size of the body, as for frames.
impl fmt::Debug for SendRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = self.headers.iter().map(|(name, _)| name).collect();
        f.debug_struct("SendRequest")
            .field("destination", &self.destination)
            .field("headers", &names)
            .field("body_bytes", &self.body.len())
            .finish()
    }
}

/// A SUBSCRIBE frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SubscribeRequest {
    /// Names the subscription from here on.
    pub subscription: SubscriptionNumber,
    /// The client's own name for it; none only in 1.0.
    pub id: Option<CompactString>,
    /// Where from; see [`Destination`](crate::Destination).
    pub destination: CompactString,
    /// Which MESSAGE an ACK covers.
    pub ack: AckMode,
    /// All headers of the frame; see [`SubscribeOptions`](crate::SubscribeOptions).
    pub headers: Headers,
}

/// An ACK or NACK, with what it covers worked out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settle {
    /// Of which subscription.
    pub subscription: SubscriptionNumber,
    /// Which deliveries; at least one. After a long silence there may be many that time-outs have
    /// taken back long ago.
    pub tags: Tags,
    /// What becomes of them.
    pub verdict: Verdict,
}

/// What becomes of a delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is done.
    Ack,
    /// It is not.
    Nack {
        /// True: it is delivered again; false: it is a dead letter.
        requeue: bool,
        /// Again only after this time.
        delay: Duration,
    },
}

/// One frame of a transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Publish.
    Send(SendRequest),
    /// Acknowledge, or the contrary.
    Settle(Settle),
}

/// Why a session ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CloseReason {
    /// The client asked for it.
    Disconnect,
    /// An ERROR was sent: its text.
    Error(String),
    /// The client asked for it, but commands before it did not complete in time.
    EndTimeout,
}
