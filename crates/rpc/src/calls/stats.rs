//! What the workers of one handler did here.

use crate::lock::lock;
use hdrhistogram::Histogram;
use std::{
    sync::{Arc, Mutex},
    time::Duration,
};
use trunkline_model::{CallOutcome, ErrorCode, HandlerStats, Timestamp};

/// Longest time that the histogram tells apart, in microseconds: an hour.
const TIME_US_MAX: u64 = 3_600_000_000;

/// Counters of one handler.
#[derive(Debug)]
pub(crate) struct Stats(Mutex<Counted>);

#[derive(Debug)]
struct Counted {
    stats: HandlerStats,
    times: Histogram<u32>,
}

/// How a call ended on the worker's side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    Succeeded,
    Failed,
    /// Answered after its asker had given up; counted when that happened.
    Late,
    Lost,
    /// Failed without having been run, as far as is known.
    Refused,
}

impl End {
    pub(crate) fn of(outcome: &CallOutcome) -> Self {
        match outcome {
            CallOutcome::Result(_) => Self::Succeeded,
            CallOutcome::HandlerError(_) | CallOutcome::Failed(_) => Self::Failed,
        }
    }

    /// The same for who asked over a wire, and sees the wire's failures, too.
    fn as_seen_by_asker(outcome: &CallOutcome) -> Self {
        match outcome {
            CallOutcome::Failed(error) => match error.code() {
                // What came was no answer.
                ErrorCode::Internal => Self::Failed,
                ErrorCode::WorkerLost => Self::Lost,
                ErrorCode::Cancelled => Self::Late,
                _ => Self::Refused,
            },
            answered => Self::of(answered),
        }
    }
}

/// A call that was sent over a wire where nobody else counts what becomes of it.
#[derive(Debug)]
pub(crate) struct Asked {
    stats: Arc<Stats>,
    at: Timestamp,
}

impl Asked {
    /// It is sent now.
    pub(crate) fn begin(stats: Arc<Stats>, now: Timestamp) -> Self {
        stats.began(now, 1);
        Self { stats, at: now }
    }

    pub(crate) fn timed_out(&self) {
        self.stats.timed_out();
        self.stats.ended(End::Late, Duration::ZERO);
    }

    pub(crate) fn ended(&self, outcome: &CallOutcome, now: Timestamp) {
        let end = End::as_seen_by_asker(outcome);
        self.stats.ended(end, now.since(self.at));
    }
}

impl Stats {
    pub(crate) fn new() -> Self {
        Self(Mutex::new(Counted {
            stats: HandlerStats::default(),
            times: Histogram::new_with_bounds(1, TIME_US_MAX, 2).expect("the bounds are valid"),
        }))
    }

    /// Calls were handed to a worker.
    pub(crate) fn began(&self, now: Timestamp, calls: u32) {
        let stats = &mut lock(&self.0).stats;
        stats.calls += u64::from(calls);
        stats.running += calls;
        stats.last_activity_ms = now.as_millis();
    }

    /// The asker of a running call waited as long as it could.
    pub(crate) fn timed_out(&self) {
        lock(&self.0).stats.timed_out += 1;
    }

    /// A call does not run any more.
    pub(crate) fn ended(&self, end: End, took: Duration) {
        let counted = &mut *lock(&self.0);
        let stats = &mut counted.stats;
        stats.running = stats.running.saturating_sub(1);
        match end {
            End::Succeeded => stats.succeeded += 1,
            End::Failed | End::Refused => stats.failed += 1,
            End::Lost => stats.lost += 1,
            End::Late => {}
        }
        if matches!(end, End::Succeeded | End::Failed) {
            let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
            counted.times.saturating_record(micros.max(1));
        }
    }

    /// All of it.
    pub(crate) fn snapshot(&self) -> HandlerStats {
        let counted = lock(&self.0);
        let quantile = |q| {
            if counted.times.is_empty() {
                0
            } else {
                counted.times.value_at_quantile(q)
            }
        };
        HandlerStats {
            average_us: counted.times.mean() as u64,
            p50_us: quantile(0.5),
            p95_us: quantile(0.95),
            p99_us: quantile(0.99),
            ..counted.stats.clone()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_and_measures() {
        let stats = Stats::new();
        assert_eq!(stats.snapshot(), HandlerStats::default());
        stats.began(Timestamp::from_millis(5), 4);
        stats.ended(End::Succeeded, Duration::from_micros(100));
        stats.ended(End::Failed, Duration::from_micros(300));
        stats.timed_out();
        stats.ended(End::Late, Duration::from_secs(9));
        let seen = stats.snapshot();
        assert_eq!((seen.calls, seen.running, seen.last_activity_ms), (4, 1, 5));
        assert_eq!((seen.succeeded, seen.failed, seen.timed_out), (1, 1, 1));
        assert!((198..=202).contains(&seen.average_us), "{seen:?}");
        assert!((99..=101).contains(&seen.p50_us), "{seen:?}");
        assert!((297..=303).contains(&seen.p99_us), "{seen:?}");
    }
}
