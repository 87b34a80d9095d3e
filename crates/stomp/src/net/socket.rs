//! Connections, as they are made.

#[cfg(feature = "tls")]
use super::tls::Tls;
use std::fmt;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::timeout;

/// A connection, whatever lies below.
pub(crate) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

pub(crate) type Socket = Box<dyn Stream>;

/// Where to connect to, and how.
#[derive(Clone)]
pub(crate) struct Address {
    pub(crate) host: String,
    pub(crate) port: u16,
    /// Through TLS.
    #[cfg(feature = "tls")]
    pub(crate) tls: Option<Tls>,
    /// Longest wait for the connection, TLS included; the system's own if there is none.
    pub(crate) timeout: Option<Duration>,
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.host, self.port)
    }
}

/// Connects; an error says why not, and not where to.
#[expect(
    clippy::disallowed_methods,
    reason = "this is where the client waits for the network"
)]
pub(crate) async fn open(address: Address) -> Result<Socket, String> {
    match address.timeout {
        Some(span) => match timeout(span, connect(&address)).await {
            Ok(result) => result,
            Err(_) => Err("Connection timed out".into()),
        },
        None => connect(&address).await,
    }
}

#[expect(
    clippy::disallowed_types,
    reason = "this is where the client meets the network"
)]
async fn connect(address: &Address) -> Result<Socket, String> {
    let stream = tokio::net::TcpStream::connect((&*address.host, address.port)).await;
    let stream = stream.map_err(|error| why(&error))?;
    stream.set_nodelay(true).map_err(|error| why(&error))?;
    #[cfg(feature = "tls")]
    if let Some(tls) = &address.tls {
        return tls.wrap(stream, &address.host).await;
    }
    Ok(Box::new(stream))
}

/// In words, without the number that the system gives it.
fn why(error: &std::io::Error) -> String {
    let text = error.to_string();
    match text.find(" (os error") {
        Some(end) => text[..end].to_owned(),
        None => text,
    }
}
