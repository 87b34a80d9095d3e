//! What one run of one workload yields.

use std::fmt;

use serde::Serialize;

use crate::host::Usage;
use crate::load::Load;

/// What a figure counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Unit {
    /// Requests, messages or deliveries per second; more is better.
    PerSecond,
    /// Bytes of resident memory; fewer are better.
    Bytes,
    /// Milliseconds; fewer are better.
    Milliseconds,
}

impl fmt::Display for Unit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Unit::PerSecond => "/s",
            Unit::Bytes => "B",
            Unit::Milliseconds => "ms",
        })
    }
}

/// One run of one workload.
#[derive(Clone, Debug, Serialize)]
pub struct Measure {
    pub(crate) unit: Unit,
    pub(crate) value: f64,
    /// Median latency of one request, where requests were timed.
    pub(crate) p50_us: Option<f64>,
    /// Latency that 99 of 100 requests stay below.
    pub(crate) p99_us: Option<f64>,
    /// Device flushes for every thousand of what `value` counts, where there was a disk to watch.
    pub(crate) flushes_per_thousand: Option<f64>,
    #[serde(flatten)]
    pub(crate) usage: Usage,
    /// Whether this side went before the one that it is compared with; absent without one.
    pub(crate) went_first: Option<bool>,
}

/// All runs of one workload.
#[derive(Debug, Default)]
pub(crate) struct Runs {
    pub(crate) ours: Vec<Measure>,
    /// Of the server compared with, in the same order; empty if there was none.
    #[cfg(feature = "peers")]
    pub(crate) rival: Vec<Measure>,
}

impl Measure {
    /// A rate with latencies.
    pub(crate) fn of_load(load: &Load) -> Measure {
        Measure {
            p50_us: Some(load.latency.quantile_us(0.5)),
            p99_us: Some(load.latency.quantile_us(0.99)),
            ..Measure::of_rate(load.answered, load.per_second(), load.usage.clone())
        }
    }

    /// A rate of `count` things, without latencies.
    pub(crate) fn of_rate(count: u64, per_second: f64, usage: Usage) -> Measure {
        Measure {
            unit: Unit::PerSecond,
            value: per_second,
            p50_us: None,
            p99_us: None,
            flushes_per_thousand: usage
                .device_flushes
                .map(|flushes| flushes as f64 * 1_000.0 / count.max(1) as f64),
            usage,
            went_first: None,
        }
    }

    /// A plain figure.
    pub(crate) fn of_value(unit: Unit, value: f64) -> Measure {
        Measure {
            unit,
            value,
            p50_us: None,
            p99_us: None,
            flushes_per_thousand: None,
            usage: Usage::default(),
            went_first: None,
        }
    }

    /// The same, of a server that was so large at the end.
    pub(crate) fn with_resident(mut self, bytes: u64) -> Measure {
        self.usage.server_rss_bytes = Some(bytes);
        self
    }

    /// The same, of the side that went first or second.
    #[cfg(feature = "peers")]
    pub(crate) fn in_turn(mut self, first: bool) -> Measure {
        self.went_first = Some(first);
        self
    }

    /// CPU time for one of what `value` counts, in microseconds.
    pub(crate) fn per_operation_us(&self, cores: Option<f64>) -> Option<f64> {
        let rate = (self.unit == Unit::PerSecond && self.value > 0.0).then_some(self.value)?;
        Some(cores? / rate * 1e6)
    }
}
