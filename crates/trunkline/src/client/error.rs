use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::{fmt, sync::Arc};

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
    /// The time for connecting is up.
    #[error("can't connect to {url}: no answer within {seconds} s")]
    TimedOut {
        /// Where to.
        url: String,
        /// How long it was tried, in seconds.
        seconds: u64,
    },
}

/// An error answer: what the server, or a handler behind it, says went wrong.
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
    pub const TIMEOUT: i64 = trunkline_model::ErrorCode::Timeout.number() as i64;
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
    /// The answer is not what this method answers.
    #[error("the server's answer can't be read: {0}")]
    Unreadable(Arc<str>),
}
