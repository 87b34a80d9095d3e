use crate::LinkError;
use std::future::Future;
use std::pin::Pin;
use tokio::io::{AsyncRead, AsyncWrite};

/// A connection to a Redis server, as bytes.
pub trait Transport: AsyncRead + AsyncWrite + Send + Unpin + 'static {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin + 'static> Transport for T {}

/// A connection that is being made. Dropping it gives up.
pub type Connecting = Pin<Box<dyn Future<Output = Result<Box<dyn Transport>, LinkError>> + Send>>;

/// Makes connections: for the first one, and whenever one is lost. Only one is alive at a time.
///
/// A connection that is handed over speaks RESP2 or RESP3 and is logged in already, and nothing
/// on it is unanswered. [`RedisAddress`](crate::RedisAddress) does that for a URL; closures that
/// return a future do as well.
pub trait Connect: Send + Sync + 'static {
    /// Begins to make one.
    fn connect(&self) -> Connecting;
}

impl<C, F> Connect for C
where
    C: Fn() -> F + Send + Sync + 'static,
    F: Future<Output = Result<Box<dyn Transport>, LinkError>> + Send + 'static,
{
    fn connect(&self) -> Connecting {
        Box::pin(self())
    }
}
