//! How a server is reached and logged in to.

use super::switches::{Switches, Watch};
use super::url::{Host, Login, Place, RedisUrl, RedisUrlError};
use redis::{ConnectionAddr, IntoConnectionInfo, ProtocolVersion, RedisConnectionInfo};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio_rustls::rustls::{self, RootCertStore};
use trunkline_model::Count;
use trunkline_mpx::RedisAddress;

/// Makes addresses of a deployment's servers.
#[derive(Debug)]
pub(super) struct Dialer {
    /// Over TLS, if at all.
    tls: Option<Arc<rustls::ClientConfig>>,
    settings: RedisConnectionInfo,
    sentinel_settings: RedisConnectionInfo,
    timeout: Duration,
    /// With sentinels: what they tell.
    switches: Option<Switches>,
    connections: Count,
}

impl Dialer {
    /// # Errors
    /// The certificates can't be used.
    pub(super) fn new(url: &RedisUrl) -> Result<Self, RedisUrlError> {
        let roots = url.ca.as_deref().map(read_roots).transpose()?;
        let tls = url.tls.then(|| tls_config(roots));
        Ok(Self {
            tls: tls.transpose()?,
            settings: settings(url, &url.login).set_db(i64::from(url.database)),
            sentinel_settings: settings(url, &url.sentinel_login),
            timeout: url.connect_timeout,
            switches: match &url.place {
                Place::Sentinel { sentinels, service } => {
                    Some(Switches::new(sentinels.clone(), service))
                }
                _ => None,
            },
            connections: Count::default(),
        })
    }

    /// What is said first on a connection to a server.
    pub(super) const fn settings(&self) -> &RedisConnectionInfo {
        &self.settings
    }

    /// The same for a sentinel.
    pub(super) const fn sentinel_settings(&self) -> &RedisConnectionInfo {
        &self.sentinel_settings
    }

    /// Counts connections for commands.
    pub(super) const fn connections(&self) -> &Count {
        &self.connections
    }

    /// Longest wait for a connection.
    pub(super) const fn timeout(&self) -> Duration {
        self.timeout
    }

    /// Has sentinels tell of another master from now on, if there are any.
    pub(super) fn watch(&self) -> Option<Watch> {
        self.switches.as_ref().map(|switches| switches.watch(self))
    }

    /// The address of a server.
    pub(super) fn host(&self, host: &Host) -> RedisAddress {
        self.address(self.place(host), &self.settings)
    }

    /// The address of a sentinel.
    pub(super) fn sentinel(&self, host: &Host) -> RedisAddress {
        self.address(self.place(host), &self.sentinel_settings)
    }

    fn place(&self, host: &Host) -> ConnectionAddr {
        let name = host.name.to_string();
        match &self.tls {
            None => ConnectionAddr::Tcp(name, host.port),
            Some(_) => ConnectionAddr::TcpTls {
                host: name,
                port: host.port,
                insecure: false,
                tls_params: None,
            },
        }
    }

    pub(super) fn socket(&self, path: &Path) -> RedisAddress {
        self.address(ConnectionAddr::Unix(path.to_owned()), &self.settings)
    }

    fn address(&self, address: ConnectionAddr, settings: &RedisConnectionInfo) -> RedisAddress {
        let info = address.into_connection_info();
        let info = info.expect("an address is one whatever it is");
        let address = RedisAddress::new(info.set_redis_settings(settings.clone()));
        let address = address.expect("what is known needs no reading");
        let address = address.with_timeout(self.timeout);
        match &self.tls {
            Some(config) => address.with_tls(config.clone()),
            None => address,
        }
    }
}

fn settings(url: &RedisUrl, login: &Login) -> RedisConnectionInfo {
    let mut settings = RedisConnectionInfo::default();
    // A version before 7.2 doesn't know what that would be.
    settings = settings.set_skip_set_lib_name();
    if url.resp3 {
        settings = settings.set_protocol(ProtocolVersion::RESP3);
    }
    if let Some(user) = &login.user {
        settings = settings.set_username(user);
    }
    if let Some(password) = &login.password {
        settings = settings.set_password(password);
    }
    settings
}

fn read_roots(file: &Path) -> Result<RootCertStore, RedisUrlError> {
    use rustls_pki_types::CertificateDer;
    use rustls_pki_types::pem::PemObject;
    let failed = |reason: String| RedisUrlError::Ca {
        file: file.display().to_string(),
        reason,
    };
    let mut roots = RootCertStore::empty();
    let found = CertificateDer::pem_file_iter(file).map_err(|error| failed(error.to_string()))?;
    for certificate in found {
        let certificate = certificate.map_err(|error| failed(error.to_string()))?;
        let added = roots.add(certificate);
        added.map_err(|error| failed(error.to_string()))?;
    }
    if roots.is_empty() {
        return Err(failed("there is none in it".to_owned()));
    }
    Ok(roots)
}

/// With these roots, or those of the system.
fn tls_config(roots: Option<RootCertStore>) -> Result<Arc<rustls::ClientConfig>, RedisUrlError> {
    let roots = roots.unwrap_or_else(|| {
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        roots
    });
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| RedisUrlError::Ca {
            file: "TLS".to_owned(),
            reason: error.to_string(),
        })?;
    let config = builder.with_root_certificates(roots).with_no_client_auth();
    Ok(Arc::new(config))
}

/// Where one server is, if there is but one.
pub(super) fn only(dialer: &Dialer, place: &Place) -> Option<RedisAddress> {
    match place {
        Place::Tcp(host) => Some(dialer.host(host)),
        Place::Unix(path) => Some(dialer.socket(path)),
        Place::Sentinel { .. } | Place::Cluster(_) => None,
    }
}
