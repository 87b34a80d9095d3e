//! How much of everything a run does.

use std::time::Duration;

use serde::{Serialize, Serializer};

/// The sizes of one run of each workload.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Plan {
    /// Load before it counts.
    #[serde(rename = "warm_up_s", serialize_with = "seconds")]
    pub(crate) warm_up: Duration,
    /// Load that counts, of the workloads that run for a time.
    #[serde(rename = "measure_s", serialize_with = "seconds")]
    pub(crate) measure: Duration,
    /// Messages that count, of the workloads that run until all are settled.
    pub(crate) messages: u64,
    /// Waiting messages of the workloads with a backlog.
    pub(crate) backlog: u64,
    /// Connections of the memory workload.
    pub(crate) idle_connections: u32,
    /// Size of a segment of the store in the workloads that must fill many; the server's default
    /// without it.
    pub(crate) segment_bytes: Option<u32>,
}

impl Plan {
    /// Figures to be quoted.
    pub(crate) fn full() -> Plan {
        Plan {
            warm_up: Duration::from_millis(500),
            measure: Duration::from_secs(3),
            messages: 300_000,
            backlog: 1_000_000,
            idle_connections: 1_000,
            segment_bytes: None,
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
            segment_bytes: Some(1 << 20),
        }
    }

    /// Messages of a subscription that is far behind: much more than any cache holds.
    pub(crate) fn far_behind(&self) -> u64 {
        self.backlog * 10
    }
}

fn seconds<S: Serializer>(time: &Duration, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_f64(time.as_secs_f64())
}
