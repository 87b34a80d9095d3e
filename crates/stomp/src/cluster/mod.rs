//! A client of several servers, of which it uses one at a time, and what becomes of operations
//! when that one is lost.
//!
//! [`ClusterSession`] is here with what the shell calls. What is asked comes in by `asking`; what
//! the session with the active node says is in `session`; which node is next and what is repeated
//! there is in `failover`; the other nodes are looked after in `health`.

mod asking;
mod effect;
mod failover;
mod health;
mod node;
mod operations;
mod session;
mod settings;
mod transactions;

pub use effect::ClusterEffect;
pub use node::{Health, NodeStatus};
pub use settings::{ClusterSettings, ClusterSettingsError, NodeSettings};

use crate::{ClientError, ClientSession, Lost, Operation, OperationId};
use bytes::BytesMut;
use compact_str::CompactString;
use node::Node;
use operations::Operations;
use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::time::Duration;
use transactions::Transactions;
use trunkline_model::Timestamp;

/// A client of a cluster of servers.
///
/// All operations go to the active node: the first is random, the next one is next in the list
/// whenever a connection ends otherwise than by this client. Nothing but an operation or a
/// subscription makes it connect. SEND and SUBSCRIBE are repeated at the next node, in the order in
/// which they were asked and before what was asked later; ACK, NACK, UNSUBSCRIBE and DISCONNECT
/// fail, and so does a transaction, whole. What becomes of each operation is told once, by
/// [`ClusterEffect::Done`] or [`ClusterEffect::Failed`]. A subscription is made again at every next
/// node until it is ended.
///
/// `now` may count from any moment; it must not go back.
pub struct ClusterSession {
    settings: ClusterSettings,
    /// What random choices are made of.
    random: u64,
    publish_prefix: CompactString,
    next_publish: u64,
    nodes: Vec<Node>,
    active: usize,
    link: Option<Link>,
    /// When the next connection is made.
    open_at: Option<Timestamp>,
    /// Connections that ended since one lasted.
    ends_in_row: u32,
    paused_until: Timestamp,
    /// A connection is wanted whether there are operations or not; the attempts that failed.
    connecting: Option<u32>,
    /// Until when it waits for a free moment to move back to the first node.
    returning: Option<Timestamp>,
    operations: Operations,
    transactions: Transactions,
    /// The number of the last message.
    messages: u64,
    late_messages: u64,
    forgotten_messages: u64,
    effects: VecDeque<ClusterEffect>,
}

/// The connection to the active node, or the attempt to make one.
struct Link {
    node: usize,
    session: ClientSession,
    /// Operations and subscriptions by their names in the session.
    names: BTreeMap<OperationId, u64>,
    /// Operations that were handed over and aren't finished.
    sent: usize,
    ready_at: Option<Timestamp>,
    /// The number of the last message before this connection.
    messages_before: u64,
    /// Why it is lost, and what was lost with it.
    error: Option<ClientError>,
    failed: Vec<(u64, ClientError)>,
    tells_end: bool,
    /// An operation was told that the server stops.
    node_stops: bool,
    /// This client has closed it.
    left: bool,
    /// The DISCONNECT with which it moves back to the first node.
    moves: Option<OperationId>,
}

/// Where it stands; what it has to write and to tell are the users' own.
impl fmt::Debug for ClusterSession {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClusterSession")
            .field("nodes", &self.settings.nodes)
            .field("active", &self.active)
            .field("session", &self.link.as_ref().map(|link| &link.session))
            .field("operations", &self.operations.len())
            .finish_non_exhaustive()
    }
}

impl ClusterSession {
    /// A client of a cluster. It doesn't connect. `random` is any uniformly distributed number; no
    /// other client of these servers may have the same, because publish ids are made of it.
    ///
    /// # Errors
    /// [`ClusterSettingsError`] if there is no node.
    pub fn new(mut settings: ClusterSettings, random: u64) -> Result<Self, ClusterSettingsError> {
        let mut nodes: Vec<NodeSettings> = Vec::with_capacity(settings.nodes.len());
        for node in settings.nodes {
            let same = |it: &NodeSettings| it.host == node.host && it.port == node.port;
            if !nodes.iter().any(same) {
                nodes.push(node);
            }
        }
        if nodes.is_empty() {
            return Err(ClusterSettingsError::NoNodes);
        }
        settings.nodes = nodes;
        let mut session = Self {
            random,
            publish_prefix: settings::publish_prefix(random),
            next_publish: 0,
            nodes: vec![Node::new(); settings.nodes.len()],
            active: 0,
            link: None,
            open_at: None,
            ends_in_row: 0,
            paused_until: Timestamp::ZERO,
            connecting: None,
            returning: None,
            operations: Operations::default(),
            transactions: Transactions::default(),
            messages: 0,
            late_messages: 0,
            forgotten_messages: 0,
            effects: VecDeque::new(),
            settings,
        };
        if !session.settings.fail_back {
            session.active = session.random_below(session.nodes.len());
        }
        Ok(session)
    }

    /// Does an operation, or lets it wait for a node. `watched` tells it the errors of nodes that
    /// it meets, by [`ClusterEffect::NodeError`].
    pub fn execute(&mut self, now: Timestamp, operation: Operation, watched: bool) -> OperationId {
        let id = self.operations.number();
        if let Err(error) = self.ask(id, operation, watched) {
            self.effects.push_back(ClusterEffect::Failed {
                operation: OperationId(id),
                error,
            });
        }
        self.go_on(now);
        OperationId(id)
    }

    /// Connects without an operation. If as many nodes fail as an operation would be tried at,
    /// [`ClusterEffect::NotConnected`] says so.
    pub fn connect(&mut self, now: Timestamp) {
        if !self.is_ready() {
            self.connecting = Some(0);
        }
        self.go_on(now);
    }

    /// Ends a subscription for good, with its header `id`, and whatever happens to nodes meanwhile:
    /// nobody takes its messages any more.
    pub fn abandon(&mut self, now: Timestamp, subscription: OperationId) {
        self.drop_subscription(subscription.0);
        self.go_on(now);
    }

    /// Says that the connection is made that [`ClusterEffect::Open`] asked for.
    pub fn opened(&mut self, now: Timestamp) {
        self.with_session(now, |session| session.opened(now));
    }

    /// Says that no connection could be made.
    pub fn open_failed(&mut self, now: Timestamp, why: &str) {
        self.with_session(now, |session| session.open_failed(now, why));
    }

    /// Says that the connection has ended.
    pub fn lost(&mut self, now: Timestamp, lost: Lost) {
        self.with_session(now, |session| session.lost(now, lost));
    }

    /// Takes frames out of what was read. What is left in `input` is the beginning of a frame:
    /// hand it in again with what is read next. A new connection begins with an empty one.
    pub fn receive(&mut self, now: Timestamp, input: &mut BytesMut) {
        if self.link.is_none() {
            input.clear();
        }
        self.with_session(now, |session| session.receive(now, input));
    }

    /// Says that reading pauses because the user doesn't take messages: the server's silence is
    /// not its own then. To be said before every [`tick`](Self::tick) in that time.
    pub fn paused(&mut self, now: Timestamp) {
        if let Some(link) = &mut self.link {
            link.session.paused(now);
        }
    }

    /// Says that all output that was taken is written.
    pub fn written(&mut self, now: Timestamp) {
        self.with_session(now, ClientSession::written);
    }

    /// Closes at once: unfinished operations fail, subscriptions end without a word. The next
    /// operation connects again.
    pub fn force_disconnect(&mut self, now: Timestamp) {
        match &mut self.link {
            Some(link) => {
                link.left = true;
                link.moves = None;
                link.session.force_disconnect();
            }
            None => self.leave(),
        }
        self.go_on(now);
    }

    /// Does what is due; see [`next_deadline`](Self::next_deadline).
    pub fn tick(&mut self, now: Timestamp) {
        if self.open_at.is_some_and(|at| at <= now) {
            self.open_at = None;
            self.open(now);
        }
        self.probe_what_is_due(now);
        if self.returning.is_some_and(|until| until <= now) {
            self.stop_returning();
        }
        self.with_session(now, |session| session.tick(now));
    }

    /// When to call [`tick`](Self::tick), unless something happens before.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Timestamp> {
        let session = self.link.as_ref().map(|link| &link.session);
        let probes = self.nodes.iter().filter_map(|node| node.probe_at).min();
        [
            self.open_at,
            self.returning,
            probes,
            session.and_then(ClientSession::next_deadline),
        ]
        .into_iter()
        .flatten()
        .min()
    }

    /// What is to be written, in order. Say [`written`](Self::written) when it is.
    pub fn take_output(&mut self) -> BytesMut {
        let session = self.link.as_mut().map(|link| &mut link.session);
        session.map_or_else(BytesMut::new, ClientSession::take_output)
    }

    /// The next thing to do or to tell.
    pub fn next_effect(&mut self) -> Option<ClusterEffect> {
        self.effects.pop_front()
    }

    /// How it behaves; of nodes that were named twice, one is left.
    #[must_use]
    pub fn settings(&self) -> &ClusterSettings {
        &self.settings
    }

    /// The nodes in their order, and how each does.
    pub fn nodes(&self) -> impl ExactSizeIterator<Item = NodeStatus<'_>> {
        let ready = self.is_ready();
        let nodes = self.settings.nodes.iter().zip(&self.nodes).enumerate();
        nodes.map(move |(number, (settings, node))| NodeStatus {
            settings,
            active: number == self.active,
            connected: number == self.active && ready,
            health: node.health,
        })
    }

    /// Settings for a session of one's own with a node, as a probe needs them.
    ///
    /// # Panics
    /// If there is no such node.
    #[must_use]
    pub fn probe_settings(&self, node: usize) -> crate::ClientSettings {
        self.settings.client_of(node)
    }

    /// The one to which operations go.
    #[must_use]
    pub fn active(&self) -> usize {
        self.active
    }

    /// Whether there is neither a connection nor one on its way.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.link.is_none() && self.open_at.is_none()
    }

    /// From the next connection on.
    pub fn set_connection_timeout(&mut self, timeout: Option<Duration>) {
        self.settings.client.connection_timeout = timeout;
    }

    /// From the next failure of a node on.
    pub fn set_reconnect_interval(&mut self, interval: Option<Duration>) {
        self.settings.client.reconnect_interval = interval;
    }

    /// Whether the active node has accepted the login.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        let session = self.link.as_ref().map(|link| &link.session);
        session.is_some_and(ClientSession::is_ready)
    }

    /// Operations that are not finished, and subscriptions.
    #[must_use]
    pub fn unfinished(&self) -> usize {
        self.operations.len()
    }

    /// Messages that came after the end of their subscription, and were dropped.
    #[must_use]
    pub fn late_messages(&self) -> u64 {
        let link = self.link.as_ref();
        self.late_messages + link.map_or(0, |link| link.session.late_messages())
    }

    /// Messages that can't be acknowledged by themselves any more, because too many came.
    #[must_use]
    pub fn forgotten_messages(&self) -> u64 {
        let link = self.link.as_ref();
        self.forgotten_messages + link.map_or(0, |link| link.session.forgotten_messages())
    }

    fn with_session(&mut self, now: Timestamp, act: impl FnOnce(&mut ClientSession)) {
        if let Some(link) = &mut self.link {
            act(&mut link.session);
        }
        self.go_on(now);
    }

    /// Uniform below a bound (splitmix64).
    fn random_below(&mut self, bound: usize) -> usize {
        let below = (u128::from(self.random_number()) * bound as u128) >> 64;
        usize::try_from(below).unwrap_or(0)
    }

    fn random_number(&mut self) -> u64 {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.random;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}
