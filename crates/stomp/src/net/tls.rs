//! TLS by rustls, with aws-lc-rs.

use super::socket::{Socket, Stream};
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use std::fmt;
use std::sync::Arc;
use tokio_rustls::TlsConnector;

/// Whom a client trusts, and who it says it is: TLS 1.2 and 1.3.
#[derive(Clone)]
pub struct Tls {
    config: Arc<ClientConfig>,
    server_name: Option<ServerName<'static>>,
}

/// Certificates or names can't be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TlsError {
    /// There is no certificate in the text.
    #[error("there is no certificate among the {0}; give some in PEM or DER")]
    NoCertificate(&'static str),
    /// A certificate or key can't be read.
    #[error("the {what} can't be read: {why}")]
    Unreadable {
        /// Which.
        what: &'static str,
        /// Why not.
        why: String,
    },
    /// The server's name is neither a name nor an address.
    #[error("{0:?} is neither the name of a host nor an address")]
    ServerName(String),
}

const ROOTS: &str = "trusted roots";
const OWN: &str = "own certificate";

impl Tls {
    /// Trusts servers whose certificates go back to one of these roots, in PEM.
    ///
    /// # Errors
    /// [`TlsError`] if there is none, or one can't be read.
    pub fn with_roots_pem(roots: &[u8]) -> Result<Self, TlsError> {
        Self::with_roots(certificates(ROOTS, roots)?, None)
    }

    /// Trusts servers whose certificates go back to one of these roots, each in DER.
    ///
    /// # Errors
    /// [`TlsError`] if there is none, or one can't be read.
    pub fn with_roots_der(roots: impl IntoIterator<Item = Vec<u8>>) -> Result<Self, TlsError> {
        let roots = roots.into_iter().map(CertificateDer::from).collect();
        Self::with_roots(roots, None)
    }

    /// Like [`with_roots_pem`](Self::with_roots_pem), and shows the server an own certificate:
    /// its chain and its key, in PEM.
    ///
    /// # Errors
    /// [`TlsError`] if something is missing or can't be read.
    pub fn with_own_certificate_pem(
        roots: &[u8],
        chain: &[u8],
        key: &[u8],
    ) -> Result<Self, TlsError> {
        let chain = certificates(OWN, chain)?;
        let key = PrivateKeyDer::from_pem_slice(key)
            .map_err(|error| unreadable("key of the own certificate", error))?;
        Self::with_roots(certificates(ROOTS, roots)?, Some((chain, key)))
    }

    fn with_roots(
        roots: Vec<CertificateDer<'static>>,
        own: Option<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>)>,
    ) -> Result<Self, TlsError> {
        if roots.is_empty() {
            return Err(TlsError::NoCertificate(ROOTS));
        }
        let mut store = RootCertStore::empty();
        for root in roots {
            store.add(root).map_err(|error| unreadable(ROOTS, error))?;
        }
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| unreadable("versions of TLS", error))?
            .with_root_certificates(store);
        let config = match own {
            Some((chain, key)) => builder
                .with_client_auth_cert(chain, key)
                .map_err(|error| unreadable(OWN, error))?,
            None => builder.with_no_client_auth(),
        };
        Ok(Self {
            config: Arc::new(config),
            server_name: None,
        })
    }

    /// The name that the server's certificate must have; by default the host that is connected
    /// to.
    ///
    /// # Errors
    /// [`TlsError::ServerName`] if that can't be the name of a server.
    pub fn server_name(mut self, name: &str) -> Result<Self, TlsError> {
        self.server_name = Some(parse(name)?);
        Ok(self)
    }

    /// Makes a connection through a stream.
    pub(super) async fn wrap(
        &self,
        stream: impl Stream + 'static,
        host: &str,
    ) -> Result<Socket, String> {
        let name = match &self.server_name {
            Some(name) => name.clone(),
            None => parse(host).map_err(|error| error.to_string())?,
        };
        let connector = TlsConnector::from(Arc::clone(&self.config));
        match connector.connect(name, stream).await {
            Ok(stream) => Ok(Box::new(stream)),
            Err(error) => Err(format!("TLS: {error}")),
        }
    }
}

fn parse(name: &str) -> Result<ServerName<'static>, TlsError> {
    let parsed = ServerName::try_from(name.to_owned());
    parsed.map_err(|_| TlsError::ServerName(name.into()))
}

fn certificates(what: &'static str, pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let read: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    let read = read.map_err(|error| unreadable(what, error))?;
    match read.is_empty() {
        true => Err(TlsError::NoCertificate(what)),
        false => Ok(read),
    }
}

fn unreadable(what: &'static str, why: impl fmt::Display) -> TlsError {
    let why = why.to_string();
    TlsError::Unreadable { what, why }
}

/// Not the key.
impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls")
            .field("server_name", &self.server_name)
            .finish_non_exhaustive()
    }
}
