use super::handshake::{Login, log_in};
use super::{Connect, Connecting, Transport};
use crate::LinkError;
use redis::{ConnectionAddr, ConnectionInfo, IntoConnectionInfo, ProtocolVersion, RedisError};
use rustls_pki_types::ServerName;
use std::fmt;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::net::{TcpStream, UnixStream};
use tokio_rustls::{TlsConnector, rustls};

/// Longest wait for a connection, unless told otherwise.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// What is to be tried where somebody listens who doesn't answer to TLS.
const NO_TLS: &str = "if this is its port without TLS, use redis://";

/// Where a Redis server is, and how to log in: `redis://[user:password@]host[:port]`,
/// `rediss://` over TLS, `redis+unix:///path`; `?protocol=resp3` for RESP3.
///
/// The database of a URL means nothing for pub/sub.
#[derive(Clone)]
pub struct RedisAddress {
    info: ConnectionInfo,
    tls: Option<Arc<rustls::ClientConfig>>,
    client_name: Option<String>,
    timeout: Duration,
}

impl RedisAddress {
    /// From a URL, or whatever else the `redis` crate takes.
    ///
    /// # Errors
    /// That it is none.
    pub fn new(address: impl IntoConnectionInfo) -> Result<Self, RedisError> {
        Ok(Self {
            info: address.into_connection_info()?,
            tls: None,
            client_name: None,
            timeout: CONNECT_TIMEOUT,
        })
    }

    /// How TLS is spoken; without it `rediss://` trusts the roots of the system.
    #[must_use]
    pub fn with_tls(mut self, config: Arc<rustls::ClientConfig>) -> Self {
        self.tls = Some(config);
        self
    }

    /// How the connection is called in `CLIENT LIST`.
    #[must_use]
    pub fn with_client_name(mut self, name: impl Into<String>) -> Self {
        self.client_name = Some(name.into());
        self
    }

    /// Longest wait for a connection that is logged in; 10 s unless told.
    #[must_use]
    pub const fn with_timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// A connection on which nothing was said yet: not logged in.
    ///
    /// # Errors
    /// It can't be made, or not within the time for a connection.
    pub async fn dial(&self) -> Result<Box<dyn Transport>, LinkError> {
        let in_handshake = AtomicBool::new(false);
        self.in_time(&in_handshake, self.reach(&in_handshake)).await
    }

    async fn make(self) -> Result<Box<dyn Transport>, LinkError> {
        let in_handshake = AtomicBool::new(false);
        let connecting = async { self.log_in(self.reach(&in_handshake).await?).await };
        self.in_time(&in_handshake, connecting).await
    }

    async fn in_time<T>(
        &self,
        in_handshake: &AtomicBool,
        connecting: impl Future<Output = Result<T, LinkError>>,
    ) -> Result<T, LinkError> {
        if let Ok(connected) = tokio::time::timeout(self.timeout, connecting).await {
            return connected;
        }
        let after_ms = self.timeout.as_millis().try_into().unwrap_or(u64::MAX);
        if in_handshake.load(Ordering::Relaxed) {
            let text = format!("no answer for {after_ms} ms; {NO_TLS}");
            return Err(self.no_tls(io::Error::new(io::ErrorKind::TimedOut, text)));
        }
        Err(LinkError::ConnectTimeout {
            address: self.to_string(),
            after_ms,
        })
    }

    async fn reach(&self, in_handshake: &AtomicBool) -> Result<Box<dyn Transport>, LinkError> {
        let failed = |source: io::Error| LinkError::Connect {
            address: self.to_string(),
            source: Arc::new(source),
        };
        match self.info.addr() {
            ConnectionAddr::Tcp(host, port) => {
                let stream = tcp(host, *port).await.map_err(failed)?;
                Ok(Box::new(stream))
            }
            ConnectionAddr::TcpTls { host, port, .. } => {
                let config = self.tls_config().map_err(failed)?;
                let name = ServerName::try_from(host.clone());
                let name = name.map_err(|error| failed(io::Error::other(error)))?;
                let stream = tcp(host, *port).await.map_err(failed)?;
                in_handshake.store(true, Ordering::Relaxed);
                let stream = TlsConnector::from(config).connect(name, stream).await;
                let stream = stream.map_err(|error| self.no_tls(explained(error)))?;
                in_handshake.store(false, Ordering::Relaxed);
                Ok(Box::new(stream))
            }
            ConnectionAddr::Unix(path) => {
                let stream = UnixStream::connect(path).await.map_err(failed)?;
                Ok(Box::new(stream))
            }
            _ => Err(failed(io::Error::other(
                "this sort of address is not known",
            ))),
        }
    }

    async fn log_in(
        &self,
        mut stream: Box<dyn Transport>,
    ) -> Result<Box<dyn Transport>, LinkError> {
        let settings = self.info.redis_settings();
        let login = Login {
            resp3: settings.protocol() == ProtocolVersion::RESP3,
            user: settings.username(),
            password: settings.password(),
            client_name: self.client_name.as_deref(),
        };
        log_in(&mut stream, login).await?;
        Ok(stream)
    }

    fn no_tls(&self, source: io::Error) -> LinkError {
        LinkError::Tls {
            address: self.to_string(),
            source: Arc::new(source),
        }
    }

    fn tls_config(&self) -> io::Result<Arc<rustls::ClientConfig>> {
        if let Some(config) = &self.tls {
            return Ok(config.clone());
        }
        let mut roots = rustls::RootCertStore::empty();
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(io::Error::other)?;
        let config = builder.with_root_certificates(roots).with_no_client_auth();
        Ok(Arc::new(config))
    }
}

impl Connect for RedisAddress {
    fn connect(&self) -> Connecting {
        Box::pin(self.clone().make())
    }
}

/// The address without credentials.
impl fmt::Display for RedisAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.info.addr().fmt(f)
    }
}

impl fmt::Debug for RedisAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RedisAddress({self})")
    }
}

/// What came is no TLS: says what that means.
fn explained(error: io::Error) -> io::Error {
    let source = error.get_ref().and_then(|source| source.downcast_ref());
    match source {
        Some(rustls::Error::InvalidMessage(_)) => {
            io::Error::new(error.kind(), format!("{error}; {NO_TLS}"))
        }
        _ => error,
    }
}

async fn tcp(host: &str, port: u16) -> io::Result<TcpStream> {
    let stream = TcpStream::connect((host, port)).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}
