use super::settings::NodeSettings;
use trunkline_model::Timestamp;

/// A node, as the cluster knows it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Node {
    /// It failed, and isn't chosen before this time if another can be.
    pub(super) rests_until: Timestamp,
    pub(super) health: Health,
    /// A probe is under way.
    pub(super) probing: bool,
    pub(super) probe_at: Option<Timestamp>,
}

impl Node {
    pub(super) fn new() -> Self {
        Self {
            rests_until: Timestamp::ZERO,
            health: Health::Unknown,
            probing: false,
            probe_at: None,
        }
    }
}

/// What is known of a node from its last connection or probe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Health {
    /// Nothing yet.
    Unknown,
    /// It accepted the login.
    Up,
    /// It could not be reached, refused the login, or the connection was lost.
    Down,
}

/// A node of a cluster and how it does.
#[derive(Clone, Copy, Debug)]
pub struct NodeStatus<'a> {
    /// Where it is.
    pub settings: &'a NodeSettings,
    /// Whether operations go to it.
    pub active: bool,
    /// Whether a connection to it has accepted the login.
    pub connected: bool,
    /// What is known of it.
    pub health: Health,
}
