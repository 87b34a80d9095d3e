use std::fmt;
use std::sync::Arc;

/// A node of a cluster: a name or address, without brackets, and a port. It prints as `host:port`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Node {
    /// Its name or address.
    pub host: Arc<str>,
    /// Its port.
    pub port: u16,
}

impl Node {
    /// A node at a name or address and a port.
    pub fn new(host: &str, port: u16) -> Self {
        Self {
            host: host.into(),
            port,
        }
    }

    /// Reads `host:port` as nodes write it, IPv6 addresses without brackets among them; a host that
    /// is missing or unknown (`?`) is that of the node which said so.
    pub(crate) fn read(text: &str, said_by: &Self) -> Option<Self> {
        let (host, port) = text.rsplit_once(':')?;
        let port = port.parse().ok()?;
        Some(Self::heard(host, port, said_by))
    }

    /// A node as another one names it.
    pub(crate) fn heard(host: &str, port: u16, said_by: &Self) -> Self {
        if host.is_empty() || host == "?" {
            return Self {
                host: said_by.host.clone(),
                port,
            };
        }
        Self::new(host.trim_start_matches('[').trim_end_matches(']'), port)
    }
}

impl fmt::Display for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}
