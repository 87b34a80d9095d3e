use super::cluster::probe_all;
use super::core::Core;
use super::driver::{Shared, drive};
use super::inbox::Room;
use super::session::Session;
use super::socket::Address;
use super::{Client, Event, Events, Node, OnError, OnNodeError, UsageError};
use crate::{
    ClientError, ClientSession, ClientSettings, ClusterSession, ClusterSettings,
    ClusterSettingsError, Command, ErrorCode, FrameLimits, HeartBeat, NodeSettings, StompUrl,
    Version,
};
use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Notify, mpsc};
use trunkline_model::Timestamp;

/// Longest time that can be asked for, and one that never ends in practice.
const SECONDS_MAX: f64 = 1e9;

/// How a [`Client`] is made.
#[derive(Clone)]
#[must_use = "nothing is connected before `build` or `connect`"]
pub struct ClientBuilder {
    host: String,
    port: u16,
    settings: ClientSettings,
    /// Of a cluster.
    nodes: Vec<Node>,
    /// What is said of a cluster beside its nodes and `settings`.
    cluster: ClusterSettings,
    reconnects: bool,
    random: Option<u64>,
    room: Room,
    on_error: Option<OnError>,
    on_node_error: Option<OnNodeError>,
    #[cfg(feature = "tls")]
    tls: Option<super::Tls>,
}

impl Default for ClientBuilder {
    /// Of `localhost`, port 61613.
    fn default() -> Self {
        Self::new(String::new(), 0)
    }
}

impl ClientBuilder {
    /// An empty host and port 0 are the defaults.
    pub(super) fn new(host: String, port: u16) -> Self {
        Self {
            host: match host.is_empty() {
                true => "localhost".into(),
                false => host,
            },
            port: match port {
                0 => 61613,
                port => port,
            },
            settings: ClientSettings::default(),
            nodes: Vec::new(),
            cluster: ClusterSettings::default(),
            reconnects: false,
            random: None,
            room: Room {
                messages: 1_024,
                bytes: 64 << 20,
            },
            on_error: None,
            on_node_error: None,
            #[cfg(feature = "tls")]
            tls: None,
        }
    }

    pub(super) fn of_nodes(nodes: Vec<Node>) -> Result<Self, UsageError> {
        if nodes.is_empty() {
            return Err(UsageError::NoNodes);
        }
        Ok(Self {
            nodes,
            ..Self::default()
        })
    }

    pub(super) fn of_url(url: &StompUrl) -> Result<Self, UsageError> {
        let mut builder = match &url.nodes[..] {
            [only] => {
                let mut builder = Self::new(only.host.clone(), only.port);
                builder.settings.login.clone_from(&only.login);
                builder.settings.passcode.clone_from(&only.passcode);
                let virtual_host = &only.virtual_host;
                builder.settings.virtual_host.clone_from(virtual_host);
                builder
            }
            several => Self::of_nodes(several.iter().cloned().map(Node::from).collect())?,
        };
        for (name, value) in &url.options {
            builder = builder.set(name, value)?;
        }
        Ok(builder)
    }

    /// `login` and `passcode` of CONNECT; not sent by default.
    pub fn login(mut self, login: impl Into<String>, passcode: impl Into<String>) -> Self {
        self.settings.login = Some(login.into());
        self.settings.passcode = Some(passcode.into());
        self
    }

    /// `host` of CONNECT; not sent by default.
    pub fn vhost(mut self, name: impl Into<String>) -> Self {
        self.settings.virtual_host = Some(name.into());
        self
    }

    /// How often the client can send something, and how often it would like to get something, in
    /// milliseconds; 0 is not at all, which is the default for both.
    pub fn heartbeat(mut self, sends_ms: u64, wants_ms: u64) -> Self {
        self.settings.heart_beat = HeartBeat { sends_ms, wants_ms };
        self
    }

    /// Longest wait for a connection, and then as long again for CONNECTED. By default the
    /// system's own for the first, and any time for the second.
    pub fn connection_timeout(mut self, timeout: impl Into<Option<Duration>>) -> Self {
        self.settings.connection_timeout = timeout.into();
        self
    }

    /// How long after the first operation that finds no connection a new one is made; at once by
    /// default. It doesn't hold for the first connection.
    pub fn reconnect_interval(mut self, interval: impl Into<Option<Duration>>) -> Self {
        self.settings.reconnect_interval = interval.into();
        self
    }

    /// Connects at the first operation instead of at once; a cluster always does.
    pub fn lazy(mut self, lazy: bool) -> Self {
        self.settings.lazy = lazy;
        self
    }

    /// The versions on offer; all by default.
    pub fn versions(mut self, versions: &[Version]) -> Self {
        self.settings.versions = versions.into();
        self
    }

    /// A header of all operations that don't have it. CONNECT doesn't get it.
    pub fn default_header(mut self, name: &str, value: &str) -> Self {
        self.settings.default_headers.push(name, value);
        self
    }

    /// A header of the operations of a command that don't have it; it goes before the defaults.
    pub fn command_header(mut self, command: Command, name: &str, value: &str) -> Self {
        let headers = self.settings.command_headers.entry(command);
        headers.or_default().push(name, value);
        self
    }

    /// Headers of operations by the names of commands, in any case.
    ///
    /// # Errors
    /// [`UsageError::CommandHeadersNotAMap`] if there is no command of that name.
    pub fn command_headers<'a>(
        mut self,
        headers: impl IntoIterator<Item = (&'a str, &'a [(&'a str, &'a str)])>,
    ) -> Result<Self, UsageError> {
        for (command, headers) in headers {
            let name = command.to_ascii_uppercase();
            let command = Command::parse(name.as_bytes());
            let command = command.ok_or(UsageError::CommandHeadersNotAMap)?;
            for (name, value) in headers {
                self = self.command_header(command, name, value);
            }
        }
        Ok(self)
    }

    /// What one frame of the server may take.
    pub fn frame_limits(mut self, limits: FrameLimits) -> Self {
        self.settings.frame = limits;
        self
    }

    /// Most operations that are not finished, and most bytes of those that are not written; beyond,
    /// they fail at once with code 5. 100,000 and 64 MiB by default.
    pub fn operations_max(mut self, operations: usize, unwritten_bytes: usize) -> Self {
        self.settings.operations_max = operations;
        self.settings.unwritten_bytes_max = unwritten_bytes;
        self
    }

    /// Most messages of a subscription, and most bytes of them, that wait to be taken; then
    /// nothing more is read from the connection until half of that is free. One read may go
    /// beyond. At least one message; 1,024 and 64 MiB by default: a Trunkline server sends at
    /// most 1,000 that are not acknowledged.
    pub fn subscription_room(mut self, messages: usize, bytes: usize) -> Self {
        self.room = Room {
            messages: messages.max(1),
            bytes: bytes.max(1),
        };
        self
    }

    /// A function for errors of the connection, and of operations for which nobody waits. By
    /// default they are written to stderr, if nobody takes [`Client::events`].
    pub fn on_error(mut self, on_error: impl Fn(&ClientError) + Send + Sync + 'static) -> Self {
        self.on_error = Some(Arc::new(on_error));
        self
    }

    /// Connects again when the connection is lost, and goes on: SEND and SUBSCRIBE are repeated,
    /// and wait as long as the server can't be reached. It is a [cluster](Client::cluster) of one
    /// server with [`wait_for_nodes`](Self::wait_for_nodes).
    pub fn reconnect(mut self, reconnect: bool) -> Self {
        self.reconnects = reconnect;
        self.wait_for_nodes(reconnect)
    }

    /// Of a cluster: while no node can be reached, what can be repeated waits instead of failing
    /// once each was tried. Rounds of attempts are apart by 8 ms to 512 ms.
    pub fn wait_for_nodes(mut self, wait: bool) -> Self {
        self.cluster.wait_for_nodes = wait;
        self
    }

    /// Of a cluster: how often in a row an operation may fail with its node before its error is
    /// told; by default once a node, with a reconnect interval at least twice, with
    /// [`wait_for_nodes`](Self::wait_for_nodes) at least ten times.
    pub fn attempts_max(mut self, attempts: impl Into<Option<u32>>) -> Self {
        self.cluster.attempts_max = attempts.into();
        self
    }

    /// Of a cluster: begins at the first node instead of at a random one, and moves back to it when
    /// it is up again and nothing is unfinished.
    pub fn fail_back(mut self, fail_back: bool) -> Self {
        self.cluster.fail_back = fail_back;
        self
    }

    /// Of a cluster: how often the nodes that are not in use are probed, while one is; never by
    /// default. With [`fail_back`](Self::fail_back) the first is probed, every 30 s by default.
    pub fn probe_interval(mut self, interval: impl Into<Option<Duration>>) -> Self {
        self.cluster.probe_interval = interval.into();
        self
    }

    /// Of a cluster: whether a SEND that asks for a receipt gets a `publish-id`, unless it has one,
    /// so that a Trunkline server stores it once though it is repeated. It does by default; other
    /// servers hand the header on.
    pub fn publish_ids(mut self, publish_ids: bool) -> Self {
        self.cluster.publish_ids = publish_ids;
        self
    }

    /// Of a cluster: tells the error of a node for every operation that it fails, too, not only for
    /// those with a function of their own.
    pub fn node_errors_per_operation(mut self, per_operation: bool) -> Self {
        self.cluster.node_errors_per_operation = per_operation;
        self
    }

    /// Of a cluster: what random choices, and publish ids, are made of. No two clients of the same
    /// servers may have the same; by default none has.
    pub fn random(mut self, random: u64) -> Self {
        self.random = Some(random);
        self
    }

    /// Of a cluster: a function for errors of nodes, with host and port of the node. It is called
    /// once for each connection that is lost or can't be made.
    pub fn on_node_error(
        mut self,
        on_node_error: impl Fn(&ClientError, &str, u16) + Send + Sync + 'static,
    ) -> Self {
        self.on_node_error = Some(Arc::new(on_node_error));
        self
    }

    /// Connects through TLS.
    #[cfg(feature = "tls")]
    pub fn tls(mut self, tls: super::Tls) -> Self {
        self.tls = Some(tls);
        self
    }

    /// An option as it stands in a URL or a file, by the names that clients of this family use:
    /// `host`, `port`, `login`, `passcode`, `vhost`, `heartbeat` (two numbers of milliseconds
    /// with a comma between), `connection_timeout` and `reconnect_interval` (seconds, with or
    /// without a fraction), `lazy` (`1`, `0`, `true`, `false`); of a cluster also
    /// `wait_for_nodes`, `fail_back`, `publish_ids` (flags as well), `probe_interval` (seconds)
    /// and `attempts_max`; `reconnect` (a flag).
    ///
    /// # Errors
    /// [`UsageError`] if the value makes no sense, or there is no such option.
    pub fn set(mut self, name: &str, value: &str) -> Result<Self, UsageError> {
        match name {
            "host" => self.host = value.into(),
            "port" => {
                let port: Option<u16> = value.parse().ok();
                self.port = port.filter(|port| *port > 0).ok_or(UsageError::NotAPort)?;
            }
            "login" => self.settings.login = Some(value.into()),
            "passcode" => self.settings.passcode = Some(value.into()),
            "vhost" => self.settings.virtual_host = Some(value.into()),
            "heartbeat" => {
                if value.split(',').count() != 2 {
                    return Err(UsageError::HeartBeatNotAPair);
                }
                let beat = HeartBeat::parse(value);
                self.settings.heart_beat = beat.map_err(|_| UsageError::HeartBeatNotIntegers)?;
            }
            "connection_timeout" => {
                self.settings.connection_timeout = Some(seconds("connection_timeout", value)?);
            }
            "reconnect_interval" => {
                self.settings.reconnect_interval = Some(seconds("reconnect_interval", value)?);
            }
            "lazy" => self.settings.lazy = flag("lazy", value)?,
            "reconnect" => self = self.reconnect(flag("reconnect", value)?),
            "wait_for_nodes" => self.cluster.wait_for_nodes = flag("wait_for_nodes", value)?,
            "fail_back" => self.cluster.fail_back = flag("fail_back", value)?,
            "publish_ids" => self.cluster.publish_ids = flag("publish_ids", value)?,
            "probe_interval" => {
                self.cluster.probe_interval = Some(seconds("probe_interval", value)?);
            }
            "attempts_max" => {
                let attempts = value.parse().ok().filter(|attempts| *attempts > 0);
                let attempts = attempts.ok_or(UsageError::NotAPositiveNumber("attempts_max"))?;
                self.cluster.attempts_max = Some(attempts);
            }
            "command_headers" => return Err(UsageError::CommandHeadersNotAMap),
            _ => return Err(UsageError::UnknownOption(name.into())),
        }
        Ok(self)
    }

    /// The client, which connects by itself now, or if it is lazy at its first operation.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    #[must_use]
    pub fn build(self) -> Client {
        self.begin().0
    }

    /// The client, once the server has accepted the login. It connects at once, lazy or not.
    ///
    /// # Errors
    /// [`ClientError`] if no connection can be made, or the server refuses the login.
    pub async fn connect(mut self) -> Result<Client, ClientError> {
        self.settings.lazy = false;
        let (client, mut events) = self.begin();
        client.shared().with(Core::connect);
        while let Some(event) = events.next().await {
            match event {
                Event::Ready { .. } => return Ok(client),
                Event::Error(error) => return Err(error),
                _ => {}
            }
        }
        let text = "The client ended before it was connected.";
        Err(ClientError::new(ErrorCode::ClosedByClient, text))
    }

    /// The client, and all its events from the first one on.
    #[expect(
        clippy::disallowed_methods,
        reason = "the shell around the session is a task"
    )]
    fn begin(self) -> (Client, Events) {
        let on_error = self.on_error.clone();
        let on_node_error = self.on_node_error.clone();
        let room = self.room;
        let (session, addresses) = self.session();
        let changed = Arc::new(Notify::new());
        let mut core = Core::new(session, addresses, room, Arc::clone(&changed));
        core.set_on_error(on_error);
        core.set_on_node_error(on_node_error);
        let (probes, to_probe) = mpsc::unbounded_channel();
        core.set_prober(probes);
        let events = core.listen();
        let shared = Shared::new(core, changed);
        tokio::spawn(drive(Arc::clone(&shared)));
        tokio::spawn(probe_all(Arc::downgrade(&shared), to_probe));
        (Client::of(shared), events)
    }

    /// What decides, and where its servers are.
    fn session(mut self) -> (Session, Vec<Address>) {
        if self.reconnects && self.nodes.is_empty() {
            self.nodes.push(Node::new(&self.host, self.port));
        }
        let address = |host: String, port: u16| Address {
            host,
            port,
            #[cfg(feature = "tls")]
            tls: self.tls.clone(),
            timeout: None,
        };
        let mut settings = self.settings;
        settings.peer = NodeSettings::new(&self.host, self.port).peer();
        let alone = (self.host.clone(), self.port);
        let mut cluster = self.cluster;
        cluster.client = settings.clone();
        cluster.nodes = self.nodes.iter().map(|it| it.settings.clone()).collect();
        let random = self.random.unwrap_or_else(random_number);
        match ClusterSession::new(cluster, random) {
            Ok(session) => {
                let addresses = session.settings().nodes.iter().map(|node| {
                    #[cfg_attr(not(feature = "tls"), expect(unused_mut, reason = "TLS is its own"))]
                    let mut address = address(node.host.clone(), node.port);
                    #[cfg(feature = "tls")]
                    {
                        let same = |it: &&Node| it.settings == *node;
                        let own = self.nodes.iter().find(same).and_then(|it| it.tls.clone());
                        address.tls = own.or(address.tls);
                    }
                    address
                });
                let addresses = addresses.collect();
                (Session::Cluster(session), addresses)
            }
            Err(ClusterSettingsError::NoNodes) => {
                let session = ClientSession::new(settings, Timestamp::ZERO);
                (Session::One(session), vec![address(alone.0, alone.1)])
            }
        }
    }
}

/// Another number in every run and at every call.
fn random_number() -> u64 {
    // The keys of the standard library's hash maps are random.
    RandomState::new().hash_one(std::process::id())
}

fn flag(name: &'static str, value: &str) -> Result<bool, UsageError> {
    match value {
        "1" | "true" => Ok(true),
        "0" | "false" => Ok(false),
        _ => Err(UsageError::NotAFlag(name)),
    }
}

/// A number of seconds; larger ones than make sense are as good as for ever.
fn seconds(name: &'static str, value: &str) -> Result<Duration, UsageError> {
    let number: Option<f64> = value.parse().ok();
    let number = number.filter(|number| number.is_finite() && *number >= 0.0);
    let number = number.ok_or(UsageError::NotAPositiveNumber(name))?;
    Ok(Duration::from_secs_f64(number.min(SECONDS_MAX)))
}

/// The passcode is not shown.
impl fmt::Debug for ClientBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientBuilder")
            .field("host", &self.host)
            .field("port", &self.port)
            .field("settings", &self.settings)
            .field("nodes", &self.nodes)
            .field("room", &self.room)
            .finish_non_exhaustive()
    }
}
