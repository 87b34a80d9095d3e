//! How much of everything a run does.

use std::time::Duration;

/// The sizes of one run of each workload.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    /// Load before it counts.
    pub(crate) warm_up: Duration,
    /// Load that counts, of the workloads that run for a time.
    pub(crate) measure: Duration,
    /// Messages that count, of the workloads that run until all are settled.
    pub(crate) messages: u64,
    /// Waiting messages of the memory workload.
    pub(crate) backlog: u64,
    /// Connections of the memory workload.
    pub(crate) idle_connections: u32,
}

impl Plan {
    /// Figures to be quoted.
    pub(crate) fn full() -> Plan {
        Plan {
            warm_up: Duration::from_millis(500),
            measure: Duration::from_secs(3),
            messages: 300_000,
            backlog: 200_000,
            idle_connections: 1_000,
        }
    }

    /// A first impression in well under a minute.
    pub(crate) fn quick() -> Plan {
        Plan {
            warm_up: Duration::from_millis(100),
            measure: Duration::from_millis(500),
            messages: 30_000,
            backlog: 50_000,
            idle_connections: 200,
        }
    }
}
