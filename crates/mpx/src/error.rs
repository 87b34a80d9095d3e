use std::io;
use std::sync::Arc;

/// Why a connection could not be made, or ended.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LinkError {
    /// It could not be made.
    #[error("can't connect to {address}: {source}")]
    Connect {
        /// Where to, without credentials.
        address: String,
        /// Why not.
        source: Arc<io::Error>,
    },
    /// Making it took too long.
    #[error("can't connect to {address}: no answer for {after_ms} ms")]
    ConnectTimeout {
        /// Where to.
        address: String,
        /// How long it was waited, in milliseconds.
        after_ms: u64,
    },
    /// It was made, but TLS could not be spoken over it.
    #[error("can't speak TLS with {address}: {source}")]
    Tls {
        /// Where to.
        address: String,
        /// Why not: the certificate, or what listens there.
        source: Arc<io::Error>,
    },
    /// Reading or writing failed.
    #[error("the connection to Redis failed: {0}")]
    Io(Arc<io::Error>),
    /// The server closed it.
    #[error("Redis closed the connection")]
    Closed,
    /// Nothing came for twice the ping time-out.
    #[error("redis: ping timeout")]
    PingTimeout,
    /// The server said no: the user, the password, the database, or something unasked.
    #[error("Redis refused: {0}")]
    Server(String),
    /// What came is no RESP.
    #[error("{0}")]
    Decode(String),
    /// What came is RESP, but not what a subscriber is told.
    #[error("Redis said what a subscriber can't expect: {0}")]
    Protocol(&'static str),
}

impl LinkError {
    pub(crate) fn server(text: &[u8]) -> Self {
        Self::Server(String::from_utf8_lossy(text).into_owned())
    }
}

impl From<io::Error> for LinkError {
    fn from(error: io::Error) -> Self {
        if error.kind() == io::ErrorKind::UnexpectedEof {
            Self::Closed
        } else {
            Self::Io(Arc::new(error))
        }
    }
}

/// Why a request to a multiplexer was not done. Nothing has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The subscription is closed.
    #[error("tried to use a closed subscription")]
    Closed,
    /// The promise subscription's pattern is not active on the current connection.
    #[error("the subscription is currently inactive")]
    Inactive,
    /// A pattern or a name of more than 1 MiB, or a pattern without a character.
    #[error("a name is empty or longer than 1 MiB")]
    Name,
    /// Stopped twice.
    #[error("called stop on a multiplexer that was already stopped")]
    AlreadyStopped,
    /// Restarted without having been stopped.
    #[error("called restart on a multiplexer that was not stopped")]
    NotStopped,
}
