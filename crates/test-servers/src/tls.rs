//! Servers of Redis that speak TLS.

use std::path::{Path, PathBuf};

/// A directory with `ca.pem`, a root, and `server.pem` and `server.key`, a certificate of it for 127.0.0.1.
#[derive(Clone, Debug)]
pub(crate) struct Tls(PathBuf);

impl Tls {
    pub(crate) fn new(certificates: &Path) -> Tls {
        Tls(certificates.to_owned())
    }

    /// Options with their values: TLS on this port, and between servers.
    pub(crate) fn options(&self, port: u16) -> Vec<(&'static str, String)> {
        let file = |name| self.0.join(name).display().to_string();
        vec![
            ("tls-port", port.to_string()),
            ("tls-cert-file", file("server.pem")),
            ("tls-key-file", file("server.key")),
            ("tls-ca-cert-file", file("ca.pem")),
            ("tls-auth-clients", "no".to_owned()),
            ("tls-replication", "yes".to_owned()),
        ]
    }

    /// The same as on a command line.
    pub(crate) fn arguments(&self, port: u16) -> Vec<String> {
        let options = self.options(port).into_iter();
        options
            .flat_map(|(option, value)| [format!("--{option}"), value])
            .collect()
    }
}
