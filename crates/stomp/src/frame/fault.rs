use crate::Command;
use compact_str::CompactString;

/// Why bytes are not a frame. The text is one for the peer: what is wrong, then what to do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Fault {
    /// The first line is too long to be a command.
    #[error(
        "a command of more than {max} bytes; a frame begins with a line like SEND or SUBSCRIBE"
    )]
    CommandTooLong {
        /// The bound, in bytes.
        max: usize,
    },
    /// The first line is not a command of any version.
    #[error("unknown command {0}; commands are written in upper case and without blanks")]
    UnknownCommand(String),
    /// A line of a header is too long.
    #[error("a header line of more than {max} bytes; send what is long in the body")]
    HeaderTooLong {
        /// The bound, in bytes.
        max: usize,
    },
    /// Too many headers.
    #[error("more than {max} headers in a frame; send fewer")]
    TooManyHeaders {
        /// The bound.
        max: usize,
    },
    /// The headers together are too long.
    #[error("the headers of a frame take more than {max} bytes; send what is long in the body")]
    HeadersTooLong {
        /// The bound, in bytes.
        max: usize,
    },
    /// A header without a colon.
    #[error(
        "the header line that begins with {0} has no colon; headers are name:value and end with an empty line"
    )]
    NoColon(String),
    /// A header without a name.
    #[error("a header line begins with its colon; headers are name:value")]
    NoName,
    /// A NUL before the body.
    #[error("a NUL among the headers; an empty line ends them, then comes the body, then the NUL")]
    NulInHeaders,
    /// A header that is not UTF-8.
    #[error("the header line that begins with {0} is not UTF-8; encode it")]
    NotUtf8(String),
    /// A backslash that stands for nothing in this version.
    #[error("undefined escape {escape} in header {name}; this version knows {known}")]
    UndefinedEscape {
        /// The backslash and what follows it.
        escape: String,
        /// The name of the header.
        name: String,
        /// The escapes that there are.
        known: &'static str,
    },
    /// `content-length` is not a number.
    #[error("content-length {0} is not a number; send the bytes of the body in decimal digits")]
    BadContentLength(String),
    /// The body doesn't end where `content-length` says.
    #[error(
        "no NUL after the {length} bytes of content-length; count bytes, not characters, and end the frame with a NUL"
    )]
    LengthMismatch {
        /// What `content-length` says, in bytes.
        length: usize,
    },
    /// The body is too large.
    #[error("a body of more than {max} bytes; send it in parts")]
    BodyTooLarge {
        /// The bound, in bytes.
        max: usize,
    },
    /// A body where there is none.
    #[error("{0} with a body; only SEND, MESSAGE and ERROR have one")]
    StrayBody(Command),
}

/// A frame that can't be read. Nothing after it can be read either.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{fault}")]
pub struct DecodeError {
    /// What is wrong.
    pub fault: Fault,
    /// The frame's command, if that was read.
    pub command: Option<Command>,
    /// The frame's `receipt`, if that was read: the ERROR has it as `receipt-id`.
    pub receipt: Option<CompactString>,
}
