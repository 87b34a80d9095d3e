use compact_str::CompactString;
use std::{fmt, net::SocketAddr};

/// Who somebody is, once known.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Principal {
    /// The server itself.
    System,
    /// Nobody in particular: authentication is not configured.
    Anonymous,
    /// A named user.
    User(CompactString),
}

impl Principal {
    /// Its name, as [`Display`](fmt::Display) prints it.
    pub fn name(&self) -> CompactString {
        match self {
            Self::System => CompactString::const_new("_system"),
            Self::Anonymous => CompactString::const_new("anonymous"),
            Self::User(name) => name.clone(),
        }
    }
}

impl fmt::Display for Principal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name())
    }
}

/// A connection of this process; never reused within a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnectionId(pub u64);

/// The front through which a command came in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Protocol {
    /// From inside the process.
    Internal,
    /// JSON-RPC over WebSocket.
    WebSocket,
    /// JSON-RPC over `POST`.
    Http,
    /// STOMP over TCP or WebSocket.
    Stomp,
}

/// Who asks: goes with every command.
///
/// Aligned to cache lines, so that reading it never waits for a neighbour that another thread
/// writes.
#[derive(Clone, Debug, PartialEq, Eq)]
#[repr(align(64))]
pub struct Caller {
    /// Who it is.
    pub principal: Principal,
    /// On which connection.
    pub connection: ConnectionId,
    /// Through which front.
    pub protocol: Protocol,
    /// From which address; `None` inside the process.
    pub peer: Option<SocketAddr>,
    /// The W3C `traceparent` of what is being done, if the client sent one.
    pub trace: Option<CompactString>,
}

impl Caller {
    /// The server itself.
    pub const fn system() -> Self {
        Self {
            principal: Principal::System,
            connection: ConnectionId(0),
            protocol: Protocol::Internal,
            peer: None,
            trace: None,
        }
    }
}
