use std::io;
use trunkline_journal::{Poison, Refused};
use trunkline_model::{Error, ErrorCode};

/// Why an engine doesn't open. The text is for people: what, where, and what to do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The directory can't be made or read.
    #[error("the data directory {path} can't be used: {cause}")]
    Directory {
        /// The directory.
        path: String,
        /// What the operating system said.
        cause: io::Error,
    },
    /// The journal doesn't open: in use, damaged, not writable, of a newer format, …
    #[error(transparent)]
    Journal(#[from] trunkline_journal::OpenError),
    /// There are messages of topics or subscriptions that are not defined: the segments
    /// with their definitions are gone.
    #[error(
        "damaged: the start of the log in {directory} is missing, and with it the definitions that {messages} messages belong to. Put back the segment files that were moved away, or take over what is left with: trunkline journal repair {directory}"
    )]
    Orphaned {
        /// The directory.
        directory: String,
        /// How many messages belong nowhere.
        messages: u64,
    },
    /// Messages are waiting whose segments are gone.
    #[error(
        "damaged: the oldest segments in {directory} are missing, and with them {messages} messages that wait. Put back the segment files that were moved away, or take over what is left with: trunkline journal repair {directory}"
    )]
    Lost {
        /// The directory.
        directory: String,
        /// How many messages are missing.
        messages: u64,
    },
    /// The default options of topics don't fit together.
    #[error("default options of topics: {0}")]
    Defaults(String),
    /// A thread can't be started.
    #[error("a thread of the engine can't be started: {0}")]
    Thread(io::Error),
}

/// Why a command can't be logged, as its sender is told. A backlog is not among it: that is
/// waited for.
pub(crate) fn refusal(refused: &Refused) -> Error {
    match refused {
        Refused::DiskFull => Error::new(
            ErrorCode::Unavailable,
            "the disk is full: nothing can be published or defined until there is space; consuming and acknowledging go on",
        )
        .with("reason", "disk_full"),
        Refused::TooLarge { bytes, max } => Error::new(
            ErrorCode::TooLarge,
            format!("a batch of {bytes} bytes exceeds the limit of {max}; split it"),
        )
        .with("limit", *max),
        Refused::Poisoned(poison) => poisoned(poison),
        Refused::Closed => Error::shutting_down(),
        other => Error::new(ErrorCode::Unavailable, format!("the journal refuses: {other}"))
            .with("reason", "journal"),
    }
}

/// What every command gets after the journal failed.
pub(crate) fn poisoned(poison: &Poison) -> Error {
    Error::new(ErrorCode::Unavailable, poison.to_string()).with("reason", "journal_failed")
}
