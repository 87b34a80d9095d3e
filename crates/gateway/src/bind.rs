use crate::GatewayConfig;
use std::{io, net::SocketAddr};
use tokio::net::TcpListener;

/// Why the gateway can't listen.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BindError {
    /// The address can be reached from other machines, and nobody would have to authenticate.
    #[error(
        "{0} can be reached from other machines, and authentication is not configured: anybody \
         there could do everything. Listen on 127.0.0.1, or say --insecure if the network itself \
         is protected"
    )]
    Public(SocketAddr),
    /// Somebody else listens there.
    #[error(
        "{0} is in use by another process: stop that one, or choose another address with --http \
         (port 0 takes any free one)"
    )]
    InUse(SocketAddr),
    /// The operating system refused.
    #[error("can't listen on {address}: {source}")]
    Io {
        /// Where.
        address: SocketAddr,
        /// Why.
        source: io::Error,
    },
}

/// Listens on the configured address, if that is safe.
pub(crate) async fn listen(config: &GatewayConfig) -> Result<TcpListener, BindError> {
    let address = config.http;
    if !config.insecure && !address.ip().to_canonical().is_loopback() {
        return Err(BindError::Public(address));
    }
    TcpListener::bind(address)
        .await
        .map_err(|source| match source.kind() {
            io::ErrorKind::AddrInUse => BindError::InUse(address),
            _ => BindError::Io { address, source },
        })
}
