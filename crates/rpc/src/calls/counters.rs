use serde::Serialize;
use std::sync::atomic::{AtomicU64, Ordering};

/// What happened to calls and answers since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct CallCounters {
    /// Calls asked for, refused ones included.
    pub calls: u64,
    /// Ended by their handler's answer, result or error.
    pub answered: u64,
    /// Ended by `-32001`.
    pub timed_out: u64,
    /// Ended by `-32004`.
    pub cancelled: u64,
    /// Refused with `-32003`.
    pub overloaded: u64,
    /// Refused with `-32601`.
    pub not_offered: u64,
    /// Refused with `-32602`.
    pub invalid_params: u64,
    /// Calls with an `idempotency_key` that got the answer of an earlier one.
    pub repeated: u64,
    /// Answers of workers that came after their caller had given up.
    pub late_answers: u64,
    /// Answers to what is no running call: given twice, or to somebody else's.
    pub unknown_answers: u64,
}

#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub calls: AtomicU64,
    pub answered: AtomicU64,
    pub timed_out: AtomicU64,
    pub cancelled: AtomicU64,
    pub overloaded: AtomicU64,
    pub not_offered: AtomicU64,
    pub invalid_params: AtomicU64,
    pub repeated: AtomicU64,
    pub late_answers: AtomicU64,
    pub unknown_answers: AtomicU64,
}

/// Counts one.
pub(crate) fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

impl Counters {
    /// `late_here`: answers from other processes that the wire brought too late.
    pub(crate) fn snapshot(&self, late_here: u64) -> CallCounters {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        CallCounters {
            calls: read(&self.calls),
            answered: read(&self.answered),
            timed_out: read(&self.timed_out),
            cancelled: read(&self.cancelled),
            overloaded: read(&self.overloaded),
            not_offered: read(&self.not_offered),
            invalid_params: read(&self.invalid_params),
            repeated: read(&self.repeated),
            late_answers: read(&self.late_answers) + late_here,
            unknown_answers: read(&self.unknown_answers),
        }
    }
}
