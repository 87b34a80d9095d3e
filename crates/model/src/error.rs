use crate::Stage;
use serde_json::{Value, json};
use std::{borrow::Cow, fmt};

/// What went wrong, in the numbers of the wire (PROTOCOL.md §1, "Errors").
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
#[repr(i32)]
pub enum ErrorCode {
    /// Not JSON.
    Parse = -32700,
    /// Not a request.
    InvalidRequest = -32600,
    /// No such method, or no handler offers it.
    MethodNotFound = -32601,
    /// The params don't fit.
    InvalidParams = -32602,
    /// Internal error.
    Internal = -32603,
    /// The handler failed without a code of its own.
    HandlerFailed = -32000,
    /// The deadline passed; `data.stage` is `queued` or `running`.
    Timeout = -32001,
    /// The worker was lost and the call may not be repeated.
    WorkerLost = -32002,
    /// A queue's or topic's bound is reached.
    Overloaded = -32003,
    /// Cancelled.
    Cancelled = -32004,
    /// Not authenticated.
    Unauthenticated = -32005,
    /// Not allowed.
    Forbidden = -32006,
    /// Too large.
    TooLarge = -32007,
    /// The engine is unavailable or read-only.
    Unavailable = -32008,
    /// No such topic, subscription, consumer or tag.
    NotFound = -32009,
    /// The engine can't do that; `data.capability`.
    Unsupported = -32010,
    /// Rate limited; `data.retry_after_ms`.
    RateLimited = -32011,
    /// Shutting down.
    ShuttingDown = -32012,
    /// Declared differently, handler clash, or a delivery no longer held.
    Conflict = -32013,
}

impl ErrorCode {
    /// The number on the wire.
    pub const fn number(self) -> i32 {
        self as i32
    }

    /// The code with this number on the wire.
    pub fn from_number(number: i32) -> Option<Self> {
        const ALL: [ErrorCode; 19] = [
            ErrorCode::Parse,
            ErrorCode::InvalidRequest,
            ErrorCode::MethodNotFound,
            ErrorCode::InvalidParams,
            ErrorCode::Internal,
            ErrorCode::HandlerFailed,
            ErrorCode::Timeout,
            ErrorCode::WorkerLost,
            ErrorCode::Overloaded,
            ErrorCode::Cancelled,
            ErrorCode::Unauthenticated,
            ErrorCode::Forbidden,
            ErrorCode::TooLarge,
            ErrorCode::Unavailable,
            ErrorCode::NotFound,
            ErrorCode::Unsupported,
            ErrorCode::RateLimited,
            ErrorCode::ShuttingDown,
            ErrorCode::Conflict,
        ];
        ALL.into_iter().find(|code| code.number() == number)
    }
}

/// An error that can be shown to a client: a code for programs, a message for people that
/// says what happened, where, and what to do, and data with what a program needs.
#[derive(Clone, Debug, PartialEq)]
pub struct Error {
    code: ErrorCode,
    message: Cow<'static, str>,
    data: Option<Box<Value>>,
}

impl Error {
    /// An error without data.
    pub fn new(code: ErrorCode, message: impl Into<Cow<'static, str>>) -> Self {
        Self {
            code,
            message: message.into(),
            data: None,
        }
    }

    /// Adds one member to `data`.
    #[must_use]
    pub fn with(mut self, member: &str, value: impl Into<Value>) -> Self {
        let data = self.data.get_or_insert_with(|| Box::new(json!({})));
        if let Value::Object(members) = data.as_mut() {
            members.insert(member.to_owned(), value.into());
        }
        self
    }

    /// `-32009`: there is no `kind` (such as "topic") named `name`.
    pub fn not_found(kind: &'static str, name: impl fmt::Display) -> Self {
        Self::new(ErrorCode::NotFound, format!("no {kind} {name:#}")).with(kind, name.to_string())
    }

    /// `-32001`, with how far the call had come.
    pub fn timed_out(stage: Stage) -> Self {
        let message = match stage {
            Stage::Queued => "timed out: no worker took the call in time",
            Stage::Running => "timed out: the worker did not answer in time",
        };
        Self::new(ErrorCode::Timeout, message).with("stage", stage.to_string())
    }

    /// `-32602`.
    pub fn invalid_params(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(ErrorCode::InvalidParams, message)
    }

    /// `-32010`: the engine lacks `capability`.
    pub fn unsupported(capability: &'static str, message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(ErrorCode::Unsupported, message).with("capability", capability)
    }

    /// `-32012`.
    pub fn shutting_down() -> Self {
        Self::new(
            ErrorCode::ShuttingDown,
            "the server is shutting down; connect again later",
        )
    }

    /// `-32603`; the cause belongs in the log, never in the message.
    pub fn internal() -> Self {
        Self::new(ErrorCode::Internal, "internal error")
    }

    /// What a program acts on.
    pub fn code(&self) -> ErrorCode {
        self.code
    }

    /// What a person reads.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// What a program needs besides the code: a JSON object.
    pub fn data(&self) -> Option<&Value> {
        self.data.as_deref()
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Error {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn carries_code_message_and_data() {
        let error = Error::not_found("topic", "orders").with("hint", 1);
        assert_eq!(error.code().number(), -32009);
        assert_eq!(ErrorCode::from_number(-32009), Some(ErrorCode::NotFound));
        assert_eq!(ErrorCode::from_number(-1), None);
        assert_eq!(error.to_string(), "no topic orders");
        assert_eq!(error.data(), Some(&json!({"topic": "orders", "hint": 1})));
    }
}
