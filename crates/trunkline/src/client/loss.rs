use super::RequestError;
use std::sync::Arc;

/// Why a connection, or all that could follow it, is gone.
#[derive(Clone, Debug)]
pub(super) struct Loss {
    pub(super) reason: Arc<str>,
    kind: Kind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// It broke, or the server ended it.
    Lost,
    /// The server ended it because of what this side sent.
    Refused,
    /// This side wanted it so.
    Closed,
}

impl Loss {
    pub(super) fn of(reason: impl Into<Arc<str>>) -> Self {
        Self {
            reason: reason.into(),
            kind: Kind::Lost,
        }
    }

    /// This side closed.
    pub(super) fn wanted() -> Self {
        Self {
            reason: "the connection was closed".into(),
            kind: Kind::Closed,
        }
    }

    /// By the code of the server's close frame (RFC 6455, section 7.4).
    pub(super) fn closed(code: u16, reason: &str) -> Self {
        const BECAUSE_OF_US: [u16; 5] = [1002, 1003, 1007, 1008, 1009];
        let text = match (code, reason) {
            (1001, _) => "the server is shutting down".to_owned(),
            (1009, _) => "it is larger than limits.max_message_bytes (close code 1009)".to_owned(),
            (code, "") => format!("the server closed the connection (close code {code})"),
            (code, reason) => format!("the server closed the connection: {reason} ({code})"),
        };
        Self {
            reason: text.into(),
            kind: match BECAUSE_OF_US.contains(&code) {
                true => Kind::Refused,
                false => Kind::Lost,
            },
        }
    }

    /// Whether what was sent is to blame.
    pub(super) fn is_refusal(&self) -> bool {
        self.kind == Kind::Refused
    }

    /// Whether this side wanted it.
    pub(super) fn is_wanted(&self) -> bool {
        self.kind == Kind::Closed
    }

    /// What requests end with.
    pub(super) fn error(&self) -> RequestError {
        let reason = Arc::clone(&self.reason);
        match self.kind {
            Kind::Refused => RequestError::Refused(reason),
            Kind::Lost | Kind::Closed => RequestError::Lost(reason),
        }
    }
}
