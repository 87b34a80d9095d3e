//! Why a frame, or an entry of it, is refused.

/// The error codes that this crate itself gives out (JSON-RPC 2.0 §5.1, and Trunkline's own).
pub mod code {
    /// The frame is not JSON.
    pub const PARSE_ERROR: i32 = -32700;
    /// The JSON is not a request.
    pub const INVALID_REQUEST: i32 = -32600;
    /// The params don't fit the method.
    pub const INVALID_PARAMS: i32 = -32602;
    /// A bound on size is exceeded.
    pub const TOO_LARGE: i32 = -32007;
}

/// The whole frame is refused. It is answered once, with id null.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ParseError {
    /// The bytes are not UTF-8.
    #[error("the frame is not UTF-8")]
    NotUtf8,
    /// The text is not JSON; says what was expected, at which line and column.
    #[error("not JSON: {0}")]
    NotJson(String),
    /// Arrays and objects are nested deeper than [`Limits::max_depth`](crate::Limits::max_depth).
    #[error("nested deeper than {max} levels")]
    TooDeep {
        /// The bound.
        max: usize,
    },
}

impl ParseError {
    /// The JSON-RPC error code of the answer.
    #[must_use]
    pub fn code(&self) -> i32 {
        match self {
            Self::NotUtf8 | Self::NotJson(_) => code::PARSE_ERROR,
            Self::TooDeep { .. } => code::INVALID_REQUEST,
        }
    }
}

/// One entry of a frame is JSON, but neither a request nor an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidReason {
    /// A number, string, array … in the place of a request.
    #[error("a request must be a JSON object")]
    NotAnObject,
    /// An object that can't be read, such as one with a lone surrogate in a member's name.
    #[error("the object's member names can't be read")]
    Unreadable,
    /// `[]`.
    #[error("a batch must have at least one entry")]
    EmptyBatch,
    /// More entries than [`Limits::max_batch`](crate::Limits::max_batch).
    #[error("a batch may have at most {max} entries")]
    BatchTooLarge {
        /// The bound.
        max: usize,
    },
    /// The same member twice: which of them counts would depend on the reader.
    #[error("member \"{0}\" is there twice")]
    DuplicateMember(&'static str),
    /// `jsonrpc` is missing or not `"2.0"`.
    #[error("member \"jsonrpc\" must be \"2.0\"")]
    Version,
    /// `id` is an object, an array or a boolean.
    #[error("member \"id\" must be a string, a number or null")]
    IdType,
    /// `id` is longer than [`Limits::max_id_bytes`](crate::Limits::max_id_bytes).
    #[error("member \"id\" is longer than {max} bytes")]
    IdTooLong {
        /// The bound, in bytes.
        max: usize,
    },
    /// Neither `method` nor `result` nor `error`.
    #[error("member \"method\" is missing")]
    MethodMissing,
    /// `method` is not a string.
    #[error("member \"method\" must be a string")]
    MethodType,
    /// `params` is neither object nor array.
    #[error("member \"params\" must be an object or an array")]
    ParamsType,
    /// An answer with `result` and `error`.
    #[error("an answer must have \"result\" or \"error\", not both")]
    ResultAndError,
}

impl InvalidReason {
    /// The JSON-RPC error code of the answer.
    #[must_use]
    pub fn code(&self) -> i32 {
        match self {
            Self::BatchTooLarge { .. } => code::TOO_LARGE,
            _ => code::INVALID_REQUEST,
        }
    }
}
