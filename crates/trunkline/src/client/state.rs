use std::{fmt, sync::Arc, time::Duration};

/// How a [`Client`](crate::Client) stands with its server.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum State {
    /// Requests go out.
    Connected,
    /// The connection was lost; what may wait for the next one waits.
    Reconnecting {
        /// Which attempt comes next, from 1.
        attempt: u32,
        /// When it comes.
        next_in: Duration,
        /// Why the last connection or attempt failed; text for people.
        reason: Arc<str>,
    },
    /// There will be no connection any more.
    Closed {
        /// Why; text for people.
        reason: Arc<str>,
    },
}

impl State {
    /// Whether requests go out.
    pub fn is_connected(&self) -> bool {
        *self == Self::Connected
    }

    /// Whether there will be no connection any more.
    pub fn is_closed(&self) -> bool {
        matches!(self, Self::Closed { .. })
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connected => f.write_str("connected"),
            Self::Reconnecting {
                attempt,
                next_in,
                reason,
            } => write!(f, "{reason}; attempt {attempt} in {next_in:?}"),
            Self::Closed { reason } => write!(f, "closed: {reason}"),
        }
    }
}
