use trunkline_model::{Atomicity, Capabilities, Durability, limits};

/// What this engine can do. On a cluster nobody knows how many listeners a channel has.
pub(crate) const fn capabilities(cluster: bool) -> Capabilities {
    Capabilities {
        engine: "redis",
        shared: true,
        atomic: Atomicity::Topic,
        priorities: limits::PRIORITIES_MAX,
        dedupe_latest: true,
        dedupe_first: true,
        publish_id: true,
        delay: true,
        nack_delay: true,
        retry: true,
        ttl: true,
        ack_timeout: true,
        extend: true,
        attempts: true,
        front_redelivery: true,
        dead_letter: true,
        groups: true,
        limits: true,
        peek: true,
        backup: false,
        purge: true,
        list: true,
        from_all: true,
        patterns: true,
        receiver_counts: !cluster,
        durability: &[Durability::Memory, Durability::Interval, Durability::Commit],
    }
}
