use trunkline_model::{Capabilities, Durability};

/// What this engine can do.
pub(crate) const fn capabilities(durable: bool) -> Capabilities {
    let all = Capabilities::ALL;
    Capabilities {
        engine: if durable { "embedded" } else { "memory" },
        backup: durable,
        durability: if durable {
            all.durability
        } else {
            &[Durability::Memory]
        },
        ..all
    }
}
