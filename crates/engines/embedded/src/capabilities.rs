use trunkline_model::{Atomicity, Capabilities, Durability};

/// What this engine can do.
pub(crate) const fn capabilities(durable: bool) -> Capabilities {
    Capabilities {
        engine: if durable { "embedded" } else { "memory" },
        shared: false,
        atomic: Atomicity::All,
        priorities: trunkline_model::limits::PRIORITIES_MAX,
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
        backup: durable,
        purge: true,
        list: true,
        from_all: true,
        patterns: true,
        receiver_counts: true,
        durability: if durable {
            &[Durability::Memory, Durability::Interval, Durability::Commit]
        } else {
            &[Durability::Memory]
        },
    }
}
