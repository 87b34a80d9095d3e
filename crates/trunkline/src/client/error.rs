use super::TargetError;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::{fmt, sync::Arc, time::Duration};
use trunkline_model::ErrorCode;

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// Nobody answers at the address.
    #[error("can't connect to {url}: {reason}")]
    Unreachable {
        /// Where to.
        url: String,
        /// What the system said.
        reason: String,
    },
    /// Somebody answers, but not as a Trunkline.
    #[error("{url} answered HTTP {status}, not a WebSocket; is it a trunkline's /rpc?")]
    NotAWebSocket {
        /// Where to.
        url: String,
        /// The HTTP status.
        status: u16,
    },
    /// A Trunkline that can't serve now: it starts, ends, or has too many connections.
    #[error(
        "{url} is not ready (HTTP 503): it recovers its store, shuts down or is full; \
             its /readyz says which. Try again in a moment"
    )]
    NotReady {
        /// Where to.
        url: String,
    },
    /// The server does not let this client in.
    #[error("{url} refuses this client (HTTP {status}); check the token and the URL")]
    NotAllowed {
        /// Where to.
        url: String,
        /// The HTTP status: 401 or 403.
        status: u16,
    },
    /// A WebSocket, but not Trunkline's.
    #[error("{url} is no trunkline: {reason}")]
    NotATrunkline {
        /// Where to.
        url: String,
        /// What it said instead.
        reason: String,
    },
    /// A Trunkline of another time.
    #[error(
        "{url} speaks version {spoken} of the protocol, this client version {wanted}; update the older one"
    )]
    Protocol {
        /// Where to.
        url: String,
        /// The server's version.
        spoken: u64,
        /// The client's version.
        wanted: u64,
    },
    /// The URL or the token is none.
    #[error(transparent)]
    Target(#[from] TargetError),
    /// The time for connecting is up.
    #[error("can't connect to {url}: no answer within {seconds} s")]
    TimedOut {
        /// Where to.
        url: String,
        /// How long it was tried, in seconds.
        seconds: u64,
    },
}

impl ConnectError {
    /// Whether it can help to try again later.
    pub fn is_temporary(&self) -> bool {
        match self {
            Self::Unreachable { .. } | Self::NotReady { .. } | Self::TimedOut { .. } => true,
            Self::NotAWebSocket { status, .. } => (500..600).contains(status),
            Self::NotAllowed { .. }
            | Self::NotATrunkline { .. }
            | Self::Protocol { .. }
            | Self::Target(_) => false,
        }
    }
}

/// An error answer: what the server, or a handler behind it, says went wrong. A method of a
/// [`Worker`](crate::Worker) fails with one, and its caller gets it unchanged.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RpcError {
    /// What a program acts on (PROTOCOL §1, "Errors").
    pub code: i64,
    /// What a person reads.
    pub message: String,
    /// What a program needs besides.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data: Option<Value>,
}

impl RpcError {
    /// The deadline of a call passed.
    pub const TIMEOUT: i64 = ErrorCode::Timeout.number() as i64;
    /// A handler failed without a code of its own.
    pub const FAILED: i64 = ErrorCode::HandlerFailed.number() as i64;

    /// An error with a code of the handler's own.
    pub fn new(code: i64, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
            data: None,
        }
    }

    /// `-32000`: failed without a code of its own. Takes any error, or text.
    pub fn failed(why: impl fmt::Display) -> Self {
        Self::of(ErrorCode::HandlerFailed, why.to_string())
    }

    /// Adds data for programs.
    #[must_use]
    pub fn with_data(mut self, data: impl Into<Value>) -> Self {
        self.data = Some(data.into());
        self
    }

    /// Whether the deadline of the call passed: its code is [`RpcError::TIMEOUT`], or on the wire of rpcprocessor
    /// another one with `data.reason` `timeout`.
    pub fn is_timeout(&self) -> bool {
        let reason = self.data.as_ref().and_then(|data| data.get("reason"));
        self.code == Self::TIMEOUT
            || (self.code == Self::FAILED && reason.is_some_and(|reason| reason == "timeout"))
    }

    /// The code as one of Trunkline's own; `None` if it is a handler's.
    pub fn known_code(&self) -> Option<ErrorCode> {
        ErrorCode::from_number(i32::try_from(self.code).ok()?)
    }

    pub(super) fn of(code: ErrorCode, message: impl Into<String>) -> Self {
        Self::new(code.number().into(), message)
    }
}

impl From<&str> for RpcError {
    fn from(message: &str) -> Self {
        Self::failed(message)
    }
}

impl From<String> for RpcError {
    fn from(message: String) -> Self {
        Self::of(ErrorCode::HandlerFailed, message)
    }
}

impl fmt::Display for RpcError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.message, self.code)
    }
}

impl std::error::Error for RpcError {}

/// Why a request has no result.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RequestError {
    /// The answer is an error.
    #[error(transparent)]
    Answer(#[from] RpcError),
    /// The connection went away first: whether the request was executed is not known.
    #[error("lost the connection: {0}")]
    Lost(Arc<str>),
    /// The server closed the connection because of what was sent: sending it again won't help.
    #[error("the server refused the connection's last message: {0}")]
    Refused(Arc<str>),
    /// The request is larger than what the server takes; it was not sent.
    #[error(
        "the request has {bytes} bytes, the server takes {limit} (limits.max_message_bytes); \
         send less at once"
    )]
    TooLarge {
        /// Of the request.
        bytes: usize,
        /// The server's bound.
        limit: usize,
    },
    /// What was to be sent is no JSON, or not what a request takes; it was not sent.
    #[error("can't send this: {0}")]
    Unsendable(Arc<str>),
    /// The time is up, and the server did not say so itself: it can't be reached.
    #[error("no answer within {0:?}; the server can't be reached")]
    TimedOut(Duration),
    /// The answer is not what this method answers.
    #[error("the server's answer can't be read: {0}")]
    Unreadable(Arc<str>),
}

impl RequestError {
    /// The error that the server, or a handler behind it, answered.
    pub fn answer(&self) -> Option<&RpcError> {
        match self {
            Self::Answer(error) => Some(error),
            _ => None,
        }
    }

    /// The code of the error answer, if it is one of Trunkline's own.
    pub fn code(&self) -> Option<ErrorCode> {
        self.answer()?.known_code()
    }

    pub(super) fn unreadable(why: impl fmt::Display) -> Self {
        Self::Unreadable(why.to_string().into())
    }

    pub(super) fn unsendable(why: impl fmt::Display) -> Self {
        Self::Unsendable(why.to_string().into())
    }
}
