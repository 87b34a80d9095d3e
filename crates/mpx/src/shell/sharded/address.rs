use super::super::RedisAddress;
use crate::Node;
use redis::{ConnectionAddr, IntoConnectionInfo, RedisConnectionInfo, RedisError};
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;
use tokio_rustls::rustls;

const SCHEMES: [(&str, &str); 2] = [
    ("redis-cluster://", "redis://"),
    ("rediss-cluster://", "rediss://"),
];

/// Port of a node, unless told.
const PORT: u16 = 6379;

/// Where a Redis cluster is, and how to log in to each of its nodes:
/// `redis-cluster://[user:password@]host[:port],host[:port]`, `rediss-cluster://` over TLS; `?protocol=resp3`
/// for RESP3. Some nodes are enough: they say who the others are.
#[derive(Clone)]
pub struct ClusterAddress {
    seeds: Vec<Node>,
    settings: RedisConnectionInfo,
    over_tls: bool,
    tls: Option<Arc<rustls::ClientConfig>>,
    client_name: Option<String>,
    timeout: Option<Duration>,
}

/// Why something is no [`ClusterAddress`].
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClusterAddressError {
    /// The beginning says nothing that is known.
    #[error("the URL of a Redis cluster must begin with redis-cluster:// or rediss-cluster://")]
    Scheme,
    /// There is no node.
    #[error("a Redis cluster needs the address of at least one of its nodes")]
    Nodes,
    /// A node is no host, or not one with a port.
    #[error("a node of a Redis cluster must be host or host:port, and [address]:port for IPv6")]
    Node,
    /// It is no URL of a server otherwise.
    #[error("the URL of a Redis cluster can't be read: {0}")]
    Url(#[from] RedisError),
}

impl ClusterAddress {
    /// From the addresses of some nodes, as URLs or whatever else the `redis` crate takes. How to log in and whether to
    /// speak TLS is what the first one says.
    ///
    /// # Errors
    /// There is none, or one is no address over TCP.
    pub fn new(
        nodes: impl IntoIterator<Item = impl IntoConnectionInfo>,
    ) -> Result<Self, ClusterAddressError> {
        let mut address = None;
        for node in nodes {
            let info = node.into_connection_info()?;
            let (node, over_tls) = match info.addr() {
                ConnectionAddr::Tcp(host, port) => (Node::new(host, *port), false),
                ConnectionAddr::TcpTls { host, port, .. } => (Node::new(host, *port), true),
                _ => return Err(ClusterAddressError::Node),
            };
            let address = address.get_or_insert_with(|| Self {
                seeds: Vec::new(),
                settings: info.redis_settings().clone(),
                over_tls,
                tls: None,
                client_name: None,
                timeout: None,
            });
            address.seeds.push(node);
        }
        address.ok_or(ClusterAddressError::Nodes)
    }

    /// How TLS is spoken; without it the roots of the system are trusted.
    #[must_use]
    pub fn with_tls(mut self, config: Arc<rustls::ClientConfig>) -> Self {
        self.tls = Some(config);
        self
    }

    /// How connections are called in `CLIENT LIST`.
    #[must_use]
    pub fn with_client_name(mut self, name: impl Into<String>) -> Self {
        self.client_name = Some(name.into());
        self
    }

    /// Longest wait for a connection that is logged in; 10 s unless told.
    #[must_use]
    pub const fn with_timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    pub(super) fn seeds(&self) -> &[Node] {
        &self.seeds
    }

    /// How a node is reached.
    pub(super) fn node(&self, node: &Node) -> RedisAddress {
        let (host, port) = (node.host.to_string(), node.port);
        let address = if self.over_tls {
            ConnectionAddr::TcpTls {
                host,
                port,
                insecure: false,
                tls_params: None,
            }
        } else {
            ConnectionAddr::Tcp(host, port)
        };
        let info = address.into_connection_info();
        let info = info.expect("an address is one whatever it is");
        let address = RedisAddress::new(info.set_redis_settings(self.settings.clone()));
        let mut address = address.expect("what is known needs no reading");
        if let Some(config) = &self.tls {
            address = address.with_tls(config.clone());
        }
        if let Some(name) = &self.client_name {
            address = address.with_client_name(name);
        }
        match self.timeout {
            Some(timeout) => address.with_timeout(timeout),
            None => address,
        }
    }
}

impl FromStr for ClusterAddress {
    type Err = ClusterAddressError;

    fn from_str(url: &str) -> Result<Self, Self::Err> {
        let scheme = SCHEMES.iter().find_map(|(ours, scheme)| {
            let rest = url.strip_prefix(ours)?;
            Some((scheme, rest))
        });
        let (scheme, rest) = scheme.ok_or(ClusterAddressError::Scheme)?;
        let (place, query) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
        let (login, hosts) = match place.rsplit_once('@') {
            Some((login, hosts)) => (format!("{login}@"), hosts),
            None => (String::new(), place),
        };
        let hosts: Vec<&str> = hosts.split(',').collect();
        let nodes = hosts.into_iter().map(|host| read_host(host, PORT));
        let nodes = nodes.collect::<Option<Vec<_>>>();
        let nodes = nodes.ok_or(ClusterAddressError::Node)?;
        Self::new(
            nodes
                .iter()
                .map(|node| format!("{scheme}{login}{node}{query}")),
        )
    }
}

/// Reads `host`, `host:port`, `[address]` and `[address]:port`.
fn read_host(text: &str, port: u16) -> Option<Node> {
    let (host, rest) = match text.strip_prefix('[') {
        Some(rest) => rest.split_once(']')?,
        None => text.split_at(text.find(':').unwrap_or(text.len())),
    };
    let port = match rest {
        "" => port,
        rest => rest.strip_prefix(':')?.parse().ok()?,
    };
    (!host.is_empty()).then(|| Node::new(host, port))
}

/// The nodes, without credentials.
impl fmt::Display for ClusterAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, node) in self.seeds.iter().enumerate() {
            if place > 0 {
                f.write_str(",")?;
            }
            node.fmt(f)?;
        }
        Ok(())
    }
}

impl fmt::Debug for ClusterAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ClusterAddress({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_names_some_nodes_and_one_login() {
        for (url, nodes, over_tls) in [
            ("redis-cluster://a", "a:6379", false),
            ("redis-cluster://a:1,b:2", "a:1,b:2", false),
            (
                "rediss-cluster://user:p%40ss@a:1,[::1]:2/?protocol=resp3",
                "a:1,[::1]:2",
                true,
            ),
        ] {
            let address: ClusterAddress = url.parse().unwrap();
            assert_eq!(
                (address.to_string().as_str(), address.over_tls),
                (nodes, over_tls)
            );
        }
        let address: ClusterAddress = "redis-cluster://user:p%40ss@a,b".parse().unwrap();
        assert_eq!(address.settings.username(), Some("user"));
        assert_eq!(address.settings.password(), Some("p@ss"));
        assert!(!format!("{address:?}").contains("p@ss"));
    }

    #[test]
    fn what_is_none_is_said() {
        for (url, begins) in [
            ("redis://a", "the URL of a Redis cluster must begin"),
            ("redis-cluster://", "a node of a Redis cluster must be"),
            ("redis-cluster://a,,b", "a node of a Redis cluster must be"),
            ("redis-cluster://a:x", "a node of a Redis cluster must be"),
            ("redis-cluster://[::1", "a node of a Redis cluster must be"),
            ("redis-cluster://a/x", "the URL of a Redis cluster can't"),
        ] {
            let error = url.parse::<ClusterAddress>().expect_err(url);
            assert!(error.to_string().starts_with(begins), "{url}: {error}");
        }
        let none = ClusterAddress::new(Vec::<String>::new()).expect_err("none");
        assert!(matches!(none, ClusterAddressError::Nodes));
    }
}
