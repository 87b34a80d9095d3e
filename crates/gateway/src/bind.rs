use crate::{GatewayConfig, TlsError, stomp, tls::Identity};
use std::{io, net::SocketAddr, sync::Arc};
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
        "{address} is in use by another process: stop that one, or choose another address with \
         {option} (port 0 takes any free one)"
    )]
    InUse {
        /// Where.
        address: SocketAddr,
        /// What chooses the address.
        option: &'static str,
    },
    /// The operating system refused.
    #[error("can't listen on {address}: {source}")]
    Io {
        /// Where.
        address: SocketAddr,
        /// Why.
        source: io::Error,
    },
    /// Certificate or key can't be used.
    #[error("stomp.tls: {0}")]
    Tls(#[from] TlsError),
}

/// An address that is taken.
#[derive(Debug)]
pub(crate) struct Bound {
    pub(crate) listener: TcpListener,
    /// With the port that was taken, if port 0 was asked for.
    pub(crate) address: SocketAddr,
}

/// All addresses of a gateway.
#[derive(Debug)]
pub(crate) struct Listeners {
    pub(crate) http: Bound,
    pub(crate) stomp: stomp::Listeners,
}

/// Listens on the configured addresses, if that is safe.
pub(crate) async fn listen(config: &GatewayConfig) -> Result<Listeners, BindError> {
    let (plain, tls) = (config.stomp.listen.address(), config.stomp.tls.address());
    let identity = match tls {
        Some(_) => {
            let files = &config.stomp.tls;
            Some(Arc::new(Identity::load(&files.certificate, &files.key)?))
        }
        None => None,
    };
    let at = async |address: Option<SocketAddr>, option| match address {
        Some(address) => bind(address, config.insecure, option).await.map(Some),
        None => Ok(None),
    };
    Ok(Listeners {
        http: bind(config.http, config.insecure, "--http").await?,
        stomp: stomp::Listeners {
            plain: at(plain, "--stomp, or use none with --stomp off").await?,
            tls: at(tls, "stomp.tls.listen").await?.zip(identity),
        },
    })
}

async fn bind(
    address: SocketAddr,
    insecure: bool,
    option: &'static str,
) -> Result<Bound, BindError> {
    if !insecure && !address.ip().to_canonical().is_loopback() {
        return Err(BindError::Public(address));
    }
    let refused = |source: io::Error| match source.kind() {
        io::ErrorKind::AddrInUse => BindError::InUse { address, option },
        _ => BindError::Io { address, source },
    };
    let listener = TcpListener::bind(address).await.map_err(refused)?;
    let address = listener.local_addr().map_err(refused)?;
    Ok(Bound { listener, address })
}
