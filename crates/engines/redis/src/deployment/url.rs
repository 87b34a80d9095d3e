//! Where Redis is, as a URL says it. Pure.

use super::url_text::Reader;
use compact_str::CompactString;
use redis::{ConnectionAddr, ConnectionInfo, ProtocolVersion};
use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

/// Where a server listens: a name or address, without brackets, and a port.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Host {
    pub(crate) name: CompactString,
    pub(crate) port: u16,
}

/// What there is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// One server.
    Tcp(Host),
    /// One server on this machine.
    Unix(PathBuf),
    /// A master that these watch.
    Sentinel {
        sentinels: Vec<Host>,
        service: String,
    },
    /// Masters that share the slots; some nodes of theirs.
    Cluster(Vec<Host>),
}

/// A user and a password. Neither is ever printed.
#[derive(Clone, Default, PartialEq, Eq)]
pub(super) struct Login {
    pub(super) user: Option<String>,
    pub(super) password: Option<String>,
}

/// What must have happened to a write, besides Redis' own answer, before it is confirmed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wait {
    /// So many replicas have it in memory.
    Replicas(u32),
    /// It is on the disk of the master (1) or not (0), and on that of so many replicas.
    Disk { local: u32, replicas: u32 },
}

/// Where a Redis or Valkey deployment is, how to log in, and how to use it:
///
/// - `redis://[user:password@]host[:port][/database]`, `rediss://` over TLS, port 6379 unless told
///   (`valkey://` and `valkeys://` are the same);
/// - `redis+unix:///path/of/the/socket`;
/// - `redis-sentinel://[user:password@]host[:port],host[:port]/service`, port 26379 unless told;
/// - `redis-cluster://[user:password@]host[:port],host[:port]`.
///
/// Options, after `?` and with `&` between them: `protocol=resp3`; `tls=true` (of Sentinel and clusters);
/// `ca=FILE` (PEM, instead of the system's roots); `database=N` (of sockets and Sentinel);
/// `prefix=NAME` (begin of the keys of topics, `tl` unless told); `wait=N`, `wait_aof=LOCAL,REPLICAS`
/// and `wait_timeout=5s` (see below); `connect_timeout=5s`; `answer_timeout=10s`; `user=`, `password=`,
/// `sentinel_user=`, `sentinel_password=`. What has a meaning in URLs is written as `%` and two hex digits.
///
/// With `wait`, a write is confirmed when so many replicas have it in memory (`WAIT`); with `wait_aof`
/// when it is on the disks of `LOCAL` (0 or 1) masters and of so many replicas (`WAITAOF`, from Redis
/// 7.2 on). After `wait_timeout` it fails, though it may be stored.
///
/// It prints without user and password.
#[derive(Clone, PartialEq, Eq)]
pub struct RedisUrl {
    pub(super) place: Place,
    pub(super) login: Login,
    pub(super) sentinel_login: Login,
    pub(super) database: u32,
    pub(super) resp3: bool,
    pub(super) tls: bool,
    pub(super) ca: Option<PathBuf>,
    pub(super) prefix: CompactString,
    pub(super) wait: Option<Wait>,
    pub(super) wait_timeout: Duration,
    pub(super) connect_timeout: Duration,
    pub(super) answer_timeout: Duration,
}

/// Why a text is no [`RedisUrl`]. The text names what is wrong, and never a password.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RedisUrlError {
    /// The beginning says nothing that is known.
    #[error(
        "the URL of Redis must begin with redis://, rediss://, redis+unix://, redis-sentinel:// or redis-cluster://"
    )]
    Scheme,
    /// A host is missing or none.
    #[error(
        "the URL of Redis has no host where one must be: write host or host:port, [address]:port for IPv6"
    )]
    Host,
    /// More than one host where there can be one.
    #[error("{0}:// takes one host; several are for redis-sentinel:// and redis-cluster://")]
    Hosts(&'static str),
    /// A port is no number.
    #[error(
        "a port in the URL of Redis is no number from 1 to 65535; in a password, / is written as %2F, ? as %3F and @ as %40"
    )]
    Port,
    /// The path of a socket is missing.
    #[error("redis+unix:// needs the whole path of a socket: redis+unix:///run/redis/redis.sock")]
    Socket,
    /// The name of the master is missing.
    #[error(
        "redis-sentinel:// needs the name under which the sentinels watch the master: redis-sentinel://host/mymaster"
    )]
    Service,
    /// The database is no number, or there is none.
    #[error("the database in the URL of Redis is no number; a cluster has none but 0")]
    Database,
    /// A percent sign without two hex digits, or what is written with them is no UTF-8.
    #[error(
        "the URL of Redis has a % that is not followed by two hex digits of UTF-8; a percent sign itself is %25"
    )]
    Escape,
    /// An option that is not known.
    #[error("the URL of Redis has the unknown option {0:?}")]
    UnknownOption(String),
    /// An option whose value can't be.
    #[error("the option {option} in the URL of Redis must be {must}")]
    Option {
        /// Which.
        option: &'static str,
        /// What it can be.
        must: &'static str,
    },
    /// The file with the roots can't be read or holds no certificate.
    #[error("the certificates in {file} can't be used: {reason}")]
    Ca {
        /// Which file.
        file: String,
        /// Why not.
        reason: String,
    },
}

impl RedisUrl {
    /// At a place, with everything else as it is unless told.
    pub(super) fn at(place: Place) -> Self {
        Self {
            place,
            login: Login::default(),
            sentinel_login: Login::default(),
            database: 0,
            resp3: false,
            tls: false,
            ca: None,
            prefix: "tl".into(),
            wait: None,
            wait_timeout: Duration::from_secs(5),
            connect_timeout: Duration::from_secs(5),
            answer_timeout: Duration::from_secs(10),
        }
    }

    /// The begin of the keys of Trunkline's own topics.
    #[must_use]
    pub fn prefix(&self) -> &str {
        &self.prefix
    }

    /// Whether keys have owners of their own: no command may use keys of two slots.
    #[must_use]
    pub const fn is_cluster(&self) -> bool {
        matches!(self.place, Place::Cluster(_))
    }
}

/// What the client library knows of a server; an error if that sort of address is not known.
impl TryFrom<&ConnectionInfo> for RedisUrl {
    type Error = RedisUrlError;

    fn try_from(info: &ConnectionInfo) -> Result<Self, RedisUrlError> {
        let host = |name: &str, port| Host {
            name: name.into(),
            port,
        };
        let (place, tls) = match info.addr() {
            ConnectionAddr::Tcp(name, port) => (Place::Tcp(host(name, *port)), false),
            ConnectionAddr::TcpTls {
                host: name, port, ..
            } => (Place::Tcp(host(name, *port)), true),
            ConnectionAddr::Unix(path) => (Place::Unix(path.clone()), false),
            _ => return Err(RedisUrlError::Scheme),
        };
        let settings = info.redis_settings();
        let database = u32::try_from(settings.db());
        Ok(Self {
            login: Login {
                user: settings.username().map(ToOwned::to_owned),
                password: settings.password().map(ToOwned::to_owned),
            },
            database: database.map_err(|_| RedisUrlError::Database)?,
            resp3: settings.protocol() == ProtocolVersion::RESP3,
            tls,
            ..Self::at(place)
        })
    }
}

impl FromStr for RedisUrl {
    type Err = RedisUrlError;

    fn from_str(text: &str) -> Result<Self, RedisUrlError> {
        Reader::new(text)?.read()
    }
}

impl fmt::Display for RedisUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hosts = |hosts: &[Host]| {
            let hosts: Vec<_> = hosts.iter().map(ToString::to_string).collect();
            hosts.join(",")
        };
        match &self.place {
            Place::Tcp(host) if self.tls => write!(f, "rediss://{host}"),
            Place::Tcp(host) => write!(f, "redis://{host}"),
            Place::Unix(path) => write!(f, "redis+unix://{}", path.display()),
            Place::Sentinel { sentinels, service } => {
                write!(f, "redis-sentinel://{}/{service}", hosts(sentinels))
            }
            Place::Cluster(nodes) => write!(f, "redis-cluster://{}", hosts(nodes)),
        }
    }
}

impl fmt::Debug for RedisUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RedisUrl({self})")
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, port } = self;
        if name.contains(':') {
            write!(f, "[{name}]:{port}")
        } else {
            write!(f, "{name}:{port}")
        }
    }
}
