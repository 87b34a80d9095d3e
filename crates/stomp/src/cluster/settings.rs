use crate::ClientSettings;
use compact_str::CompactString;
use std::fmt;
use std::time::Duration;
use trunkline_model::Backoff;

/// Longest wait for a free moment to move back to the preferred node.
pub(super) const RETURN_WITHIN: Duration = Duration::from_secs(10);

/// A connection that was ready for so long ends a row of failures.
pub(super) const STABLE_AFTER: Duration = Duration::from_secs(1);

/// The waits between the rounds in which every node failed.
pub(super) const PAUSES: Backoff = Backoff::RECONNECT;

/// How often an operation may be lost with its node if it may wait for nodes.
const PATIENT_ATTEMPTS: u32 = 10;

/// Operations that are written at once, in bytes; the others wait until those are written.
pub(super) const WRITTEN_AT_ONCE: usize = 1 << 20;

/// A node of a cluster, and what is its own. What is none is as for all nodes.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct NodeSettings {
    /// Name or address.
    pub host: String,
    /// Port.
    pub port: u16,
    /// `login` of CONNECT.
    pub login: Option<String>,
    /// `passcode` of CONNECT.
    pub passcode: Option<String>,
    /// `host` of CONNECT.
    pub virtual_host: Option<String>,
}

impl NodeSettings {
    /// A node with nothing of its own.
    #[must_use]
    pub fn new(host: &str, port: u16) -> Self {
        Self {
            host: host.into(),
            port,
            ..Self::default()
        }
    }

    /// `HOST:PORT`; an IPv6 address is in brackets.
    #[must_use]
    pub fn peer(&self) -> String {
        let (host, port) = (&self.host, self.port);
        match host.contains(':') {
            true => format!("[{host}]:{port}"),
            false => format!("{host}:{port}"),
        }
    }
}

/// The passcode is not shown.
impl fmt::Debug for NodeSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NodeSettings")
            .field("peer", &self.peer())
            .field("login", &self.login)
            .field("passcode", &self.passcode.as_ref().map(|_| "…"))
            .field("virtual_host", &self.virtual_host)
            .finish()
    }
}

/// How a cluster session behaves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClusterSettings {
    /// The nodes in their order. Of several with the same host and port the first counts.
    pub nodes: Vec<NodeSettings>,
    /// What holds for every node. `peer` and `lazy` mean nothing here: the cluster connects at the
    /// first operation. A node that failed rests for `reconnect_interval`. The bounds of
    /// operations and of their bytes hold for everything that isn't finished, and for the
    /// subscriptions.
    pub client: ClientSettings,
    /// How often in a row an operation may fail before its error is told. None: once a node; with
    /// a `reconnect_interval` at least twice, with `wait_for_nodes` at least ten times.
    pub attempts_max: Option<u32>,
    /// While no node can be reached, what can be repeated waits instead of failing; such attempts
    /// aren't counted. Rounds are apart by 8 ms to 512 ms.
    pub wait_for_nodes: bool,
    /// Begin at the first node instead of at a random one, and move back to it when a probe finds
    /// it up and nothing is unfinished; for that, operations wait up to 10 s.
    pub fail_back: bool,
    /// How often the nodes that are not in use are probed; none is never. With `fail_back` none is
    /// 30 s, and only the first node is probed.
    pub probe_interval: Option<Duration>,
    /// A SEND that asks for a receipt gets a `publish-id`, unless it has one: repeated, it is
    /// stored once by a server that knows the header.
    pub publish_ids: bool,
    /// The error of a node is told again for every operation that it fails, not only for those
    /// that asked for it.
    pub node_errors_per_operation: bool,
    /// Most transactions that are open or lost and not ended; beyond, BEGIN fails.
    pub transactions_max: usize,
}

impl Default for ClusterSettings {
    /// No node, which is an error; else as a client's, with publish ids, without fail-back and
    /// probes; 1,000 transactions.
    fn default() -> Self {
        Self {
            nodes: Vec::new(),
            client: ClientSettings::default(),
            attempts_max: None,
            wait_for_nodes: false,
            fail_back: false,
            probe_interval: None,
            publish_ids: true,
            node_errors_per_operation: false,
            transactions_max: 1_000,
        }
    }
}

impl ClusterSettings {
    /// For these nodes.
    #[must_use]
    pub fn of(nodes: impl IntoIterator<Item = NodeSettings>) -> Self {
        Self {
            nodes: nodes.into_iter().collect(),
            ..Self::default()
        }
    }

    /// How often in a row an operation may fail.
    pub(super) fn attempts(&self) -> u32 {
        let nodes = u32::try_from(self.nodes.len()).unwrap_or(u32::MAX);
        let least = match self.client.reconnect_interval {
            _ if self.wait_for_nodes => PATIENT_ATTEMPTS,
            Some(_) => 2,
            None => 1,
        };
        self.attempts_max.unwrap_or(nodes.max(least)).max(1)
    }

    /// What a session with a node is made of.
    pub(super) fn client_of(&self, node: usize) -> ClientSettings {
        let of_node = &self.nodes[node];
        let mut client = self.client.clone();
        client.peer = of_node.peer();
        client.lazy = false;
        client.reconnect_interval = None;
        // They are added when an operation is asked.
        client.default_headers = trunkline_model::Headers::new();
        client.command_headers.clear();
        for (own, shared) in [
            (&of_node.login, &mut client.login),
            (&of_node.passcode, &mut client.passcode),
            (&of_node.virtual_host, &mut client.virtual_host),
        ] {
            if own.is_some() {
                shared.clone_from(own);
            }
        }
        // Operations are counted and weighed before they get there.
        client.operations_max = usize::MAX;
        client.unwritten_bytes_max = usize::MAX;
        client
    }
}

/// A cluster can't be made of these settings.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ClusterSettingsError {
    /// The list of nodes is empty.
    #[error("Specified empty list of nodes")]
    NoNodes,
}

/// The prefix of the publish ids of a client: no other client has it.
pub(super) fn publish_prefix(random: u64) -> CompactString {
    compact_str::format_compact!("{random:016x}")
}
