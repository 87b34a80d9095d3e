use crate::Frame;
use std::fmt;
use std::sync::Arc;

/// What went wrong, by the names and numbers that clients of this family use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ErrorCode {
    /// No connection could be made.
    CantConnect = 1,
    /// Reading or writing failed.
    Io = 2,
    /// The server closed.
    ClosedByRemoteHost = 3,
    /// The client closed while operations were not finished.
    ClosedByClient = 4,
    /// The server sent an ERROR, or the operation makes no sense here.
    Operation = 5,
    /// The server sent what it must not send now.
    UnexpectedData = 6,
    /// The server was silent for too long.
    ReadTimedOut = 7,
}

impl ErrorCode {
    /// All codes, from 1 on.
    pub const ALL: [Self; 7] = [
        Self::CantConnect,
        Self::Io,
        Self::ClosedByRemoteHost,
        Self::ClosedByClient,
        Self::Operation,
        Self::UnexpectedData,
        Self::ReadTimedOut,
    ];

    /// Its number, 1 to 7.
    #[must_use]
    pub const fn number(self) -> u8 {
        self as u8
    }

    /// Its name, as in `E_IO`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::CantConnect => "E_CANT_CONN",
            Self::Io => "E_IO",
            Self::ClosedByRemoteHost => "E_CONN_CLOSED_BY_REMOTE_HOST",
            Self::ClosedByClient => "E_CONN_CLOSED_BY_CLIENT",
            Self::Operation => "E_OPRN_ERROR",
            Self::UnexpectedData => "E_UNEXPECTED_DATA",
            Self::ReadTimedOut => "E_READ_TIMEDOUT",
        }
    }
}

/// An error of a connection or of an operation.
#[derive(Clone, PartialEq, Eq)]
pub struct ClientError {
    /// Which.
    pub code: ErrorCode,
    /// Text for people.
    pub message: String,
    /// The ERROR frame, if one came.
    pub frame: Option<Arc<Frame>>,
}

impl ClientError {
    pub(crate) fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
            frame: None,
        }
    }

    /// Of an ERROR frame.
    pub(crate) fn of_frame(frame: Frame) -> Self {
        let message = frame.get("message").filter(|text| !text.is_empty());
        Self {
            code: ErrorCode::Operation,
            message: message.unwrap_or("The server sent an ERROR.").to_owned(),
            frame: Some(Arc::new(frame)),
        }
    }

    /// The same error with another text, for what it did away with.
    pub(crate) fn because(&self, message: String) -> Self {
        Self {
            message,
            ..self.clone()
        }
    }
}

impl fmt::Display for ClientError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl fmt::Debug for ClientError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code.name(), self.message)
    }
}

impl std::error::Error for ClientError {}

/// How a connection ended, as the shell sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Lost {
    /// The server closed it.
    Closed,
    /// Reading or writing failed: why.
    Io(String),
}

impl From<Lost> for ClientError {
    fn from(lost: Lost) -> Self {
        match lost {
            Lost::Closed => Self::new(
                ErrorCode::ClosedByRemoteHost,
                "Connection closed by remote host.",
            ),
            Lost::Io(why) => Self::new(ErrorCode::Io, why),
        }
    }
}
