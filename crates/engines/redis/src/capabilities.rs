use trunkline_model::{Atomicity, Capabilities};

/// What this engine can do. On a cluster nobody knows how many listeners a channel has.
pub(crate) const fn capabilities(cluster: bool) -> Capabilities {
    Capabilities {
        engine: "redis",
        shared: true,
        atomic: Atomicity::Topic,
        backup: false,
        receiver_counts: !cluster,
        ..Capabilities::ALL
    }
}
