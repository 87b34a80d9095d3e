//! What one run of one workload yields.

use std::error::Error;
use std::fmt;

use serde::Serialize;

use crate::host::Usage;
use crate::load::Load;
#[cfg(feature = "peers")]
use crate::peers::RivalRuns;
use crate::rpc::PAYLOAD_BYTES;

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
    /// One size over another; less is better.
    Ratio,
}

impl fmt::Display for Unit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Unit::PerSecond => "/s",
            Unit::Bytes => "B",
            Unit::Milliseconds => "ms",
            Unit::Ratio => "×",
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
    /// Bytes that the server wrote to the disk for each byte of payload, where that is known.
    pub(crate) written_per_byte: Option<f64>,
    /// What the value may be at most, where that depends on the run.
    pub(crate) allowed: Option<f64>,
    #[serde(flatten)]
    pub(crate) usage: Usage,
    /// What the server did a second, where that is more than `value` counts.
    pub(crate) worked_per_second: Option<f64>,
    /// Whether this side went before the one that it is compared with; absent without one.
    pub(crate) went_first: Option<bool>,
    /// What the figure alone doesn't tell.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) note: Option<String>,
}

/// Why there is nothing to measure, although nothing failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct NotMeasured(String);

impl NotMeasured {
    pub(crate) fn new(why: impl Into<String>) -> NotMeasured {
        NotMeasured(why.into())
    }
}

impl fmt::Display for NotMeasured {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Error for NotMeasured {}

/// All runs of one workload.
#[derive(Debug, Default)]
pub(crate) struct Runs {
    pub(crate) ours: Vec<Measure>,
    /// Of each server compared with, in the same order; empty if there was none.
    #[cfg(feature = "peers")]
    pub(crate) rivals: Vec<RivalRuns>,
    /// Why there are none.
    pub(crate) not_measured: Option<NotMeasured>,
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
            written_per_byte: written_per_byte(&usage, count),
            allowed: None,
            usage,
            worked_per_second: None,
            went_first: None,
            note: None,
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
            written_per_byte: None,
            allowed: None,
            usage: Usage::default(),
            worked_per_second: None,
            went_first: None,
            note: None,
        }
    }

    /// The same, with what the figure alone doesn't tell.
    #[cfg(feature = "redis")]
    pub(crate) fn noting(mut self, note: String) -> Measure {
        self.note = Some(note);
        self
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

    /// The same, of the latencies of `count` messages while `all` were published: what was used
    /// is of all of them.
    pub(crate) fn among(self, count: u64, all: u64) -> Measure {
        let per_second = self.value * all as f64 / count.max(1) as f64;
        let of_all = Measure::of_rate(all, per_second, self.usage.clone());
        Measure {
            flushes_per_thousand: of_all.flushes_per_thousand,
            written_per_byte: of_all.written_per_byte,
            worked_per_second: Some(per_second),
            ..self
        }
    }

    /// The same, which may be at most `value`.
    pub(crate) fn allowing(mut self, value: f64) -> Measure {
        self.allowed = Some(value);
        self
    }

    /// CPU time for one of what was done, in microseconds.
    pub(crate) fn per_operation_us(&self, cores: Option<f64>) -> Option<f64> {
        let rate = self.worked_per_second.unwrap_or(self.value);
        let rate = (self.unit == Unit::PerSecond && rate > 0.0).then_some(rate)?;
        Some(cores? / rate * 1e6)
    }
}

/// Bytes written for each byte of payload of so many messages.
fn written_per_byte(usage: &Usage, messages: u64) -> Option<f64> {
    let payload = messages * PAYLOAD_BYTES as u64;
    let written = usage.server_written_bytes?;
    (payload > 0).then(|| written as f64 / payload as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_used_counts_for_all_messages_that_were_published() {
        let usage = Usage {
            server_written_bytes: Some(10 * PAYLOAD_BYTES as u64),
            device_flushes: Some(2),
            ..Usage::default()
        };
        let alone = Measure::of_rate(4, 100.0, usage);
        let among = alone.clone().among(4, 40);
        for (measure, written, flushes, us) in
            [(alone, 2.5, 500.0, 5_000.0), (among, 0.25, 50.0, 500.0)]
        {
            assert_eq!(measure.value, 100.0);
            assert_eq!(measure.written_per_byte, Some(written));
            assert_eq!(measure.flushes_per_thousand, Some(flushes));
            assert_eq!(measure.per_operation_us(Some(0.5)), Some(us));
        }
        let nothing = Measure::of_rate(4, 1.0, Usage::default());
        assert_eq!(nothing.written_per_byte, None);
        assert_eq!(written_per_byte(&nothing.usage, 0), None);
    }
}
