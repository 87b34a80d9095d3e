//! TLS: certificates from files, taken up anew on demand.

use rustls::{
    ServerConfig,
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, PrivateKeyDer, pem, pem::PemObject},
};
use std::{
    fmt, io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard},
};
use tokio_rustls::TlsAcceptor;

/// Why the files of a TLS listener can't be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TlsError {
    /// A file can't be read.
    #[error("can't read {what} {}: {source}; give the path of a PEM file that the server may read", file.display())]
    Unreadable {
        /// What should be in it.
        what: &'static str,
        /// The file.
        file: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file has something else in it.
    #[error("no {what} in {}; it must be a PEM file with {wants}", file.display())]
    Absent {
        /// What should be in it.
        what: &'static str,
        /// The file.
        file: PathBuf,
        /// What PEM calls it.
        wants: &'static str,
    },
    /// Certificate and key can't be used, or not together.
    #[error(
        "certificate {} and key {} can't be used: {reason}; give a certificate and the key that \
         it was made for", certificate.display(), key.display()
    )]
    Unusable {
        /// The certificate's file.
        certificate: PathBuf,
        /// The key's file.
        key: PathBuf,
        /// What is wrong.
        reason: String,
    },
}

const CERTIFICATE: (&str, &str) = ("certificate", "BEGIN CERTIFICATE");
const KEY: (&str, &str) = ("private key", "BEGIN PRIVATE KEY");

/// A certificate and its key, as they are in their files or were when last read.
pub(crate) struct Identity {
    certificate: PathBuf,
    key: PathBuf,
    config: Mutex<Arc<ServerConfig>>,
}

/// Keys are not shown.
impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity")
            .field("certificate", &self.certificate)
            .field("key", &self.key)
            .finish_non_exhaustive()
    }
}

impl Identity {
    pub(crate) fn load(certificate: &Path, key: &Path) -> Result<Self, TlsError> {
        Ok(Self {
            config: Mutex::new(Arc::new(read(certificate, key)?)),
            certificate: certificate.to_owned(),
            key: key.to_owned(),
        })
    }

    /// Reads the files again, for connections to come; what was stays if they can't be used.
    pub(crate) fn reload(&self) -> Result<(), TlsError> {
        let config = read(&self.certificate, &self.key)?;
        *self.config() = Arc::new(config);
        Ok(())
    }

    pub(crate) fn acceptor(&self) -> TlsAcceptor {
        TlsAcceptor::from(self.config().clone())
    }

    fn config(&self) -> MutexGuard<'_, Arc<ServerConfig>> {
        self.config
            .lock()
            .expect("no code panics while it holds the configuration")
    }
}

fn read(certificate: &Path, key: &Path) -> Result<ServerConfig, TlsError> {
    let chain = CertificateDer::pem_file_iter(certificate)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .and_then(|chain| match chain.is_empty() {
            true => Err(pem::Error::NoItemsFound),
            false => Ok(chain),
        })
        .map_err(|error| trouble(error, CERTIFICATE, certificate))?;
    let private = PrivateKeyDer::from_pem_file(key).map_err(|error| trouble(error, KEY, key))?;
    let unusable = |error: rustls::Error| TlsError::Unusable {
        certificate: certificate.to_owned(),
        key: key.to_owned(),
        reason: error.to_string(),
    };
    ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(unusable)?
        .with_no_client_auth()
        .with_single_cert(chain, private)
        .map_err(unusable)
}

fn trouble(
    error: pem::Error,
    (what, wants): (&'static str, &'static str),
    file: &Path,
) -> TlsError {
    let file = file.to_owned();
    match error {
        pem::Error::Io(source) => TlsError::Unreadable { what, file, source },
        _ => TlsError::Absent { what, file, wants },
    }
}
