//! What a comparison should show: the marks to pass and the goals beyond them.

use serde::Serialize;

/// One line of the comparison.
pub(super) struct Mark {
    /// How people call it.
    pub(super) id: &'static str,
    /// The workload that it judges.
    pub(super) workload: &'static str,
    pub(super) judged: Judged,
    /// What must be reached; in the unit of what is judged.
    pub(super) mark: f64,
    /// Where we want to stand.
    pub(super) goal: f64,
}

/// What of a workload is judged, and whether more of it is better.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Judged {
    /// Our rate over the rival's: more is better.
    Rate,
    /// Our median latency over the rival's: less is better.
    Latency,
    /// Our figure by itself, in bytes or milliseconds: less is better. The rival's stands beside
    /// it.
    Figure,
    /// Our figure over the rival's: less is better.
    Ratio,
}

const KIB: f64 = 1024.0;
const MIB: f64 = 1024.0 * KIB;

/// In the order of the workloads. All need durability `commit` where something is durable.
#[rustfmt::skip] // One line each: this is a table.
pub(super) const ALL: &[Mark] = &[
    mark("P1", "publish-1", Judged::Latency, 1.15, 0.9),
    mark("P2", "publish-512", Judged::Rate, 2.0, 4.0),
    mark("P3", "publish-16x256", Judged::Rate, 1.2, 2.4),
    mark("E1", "end-to-end-1", Judged::Rate, 1.6, 3.4),
    mark("E2", "end-to-end-16", Judged::Rate, 1.2, 2.5),
    mark("F1", "fan-out-1000", Judged::Rate, 0.6, 1.0),
    mark("F2", "fan-out-20", Judged::Rate, 0.6, 1.0),
    mark("S1", "stomp-publish-512", Judged::Rate, 5.0, 15.0),
    mark("S2", "stomp-end-to-end-1", Judged::Rate, 6.0, 15.0),
    mark("F1", "stomp-fan-out-1000", Judged::Rate, 0.6, 1.0),
    mark("F2", "stomp-fan-out-20", Judged::Rate, 0.6, 1.0),
    mark("R1", "calls-1", Judged::Latency, 1.0, 0.5),
    mark("R2", "calls-64", Judged::Rate, 1.4, 2.3),
    mark("R3", "calls-1000", Judged::Rate, 1.0, 1.9),
    mark("R4", "calls-64x1", Judged::Rate, 1.0, 1.3),
    mark("M1", "memory-idle", Judged::Figure, 15.0 * MIB, 8.0 * MIB),
    mark("M2", "memory-message", Judged::Figure, 100.0, 50.0),
    mark("M3", "start-empty", Judged::Figure, 50.0, 15.0),
    mark("M4", "start-backlog", Judged::Ratio, 2.0, 0.7),
    #[cfg(feature = "redis")] mark("Q1", "redis-streams-1", Judged::Latency, 1.5, 1.1),
    #[cfg(feature = "redis")] mark("Q2", "redis-streams-64", Judged::Rate, 0.8, 1.0),
    #[cfg(feature = "redis")] mark("Q3", "redis-streams-1000", Judged::Rate, 0.8, 1.0),
    #[cfg(feature = "redis")] mark("Q4", "redis-lists-1", Judged::Latency, 1.5, 1.1),
    #[cfg(feature = "redis")] mark("Q5", "redis-lists-64", Judged::Rate, 0.8, 1.0),
    #[cfg(feature = "redis")] mark("Q6", "redis-lists-1000", Judged::Rate, 0.8, 1.0),
    #[cfg(feature = "redis")] mark("Q7", "redis-fan-out", Judged::Rate, 0.8, 1.0),
    #[cfg(feature = "redis")] mark("Q8", "redis-publish-everysec-1", Judged::Latency, 3.0, 1.5),
    #[cfg(feature = "redis")] mark("Q9", "redis-publish-everysec-512", Judged::Rate, 0.3, 0.6),
    #[cfg(feature = "redis")] mark("Q10", "redis-publish-always-1", Judged::Latency, 3.0, 1.5),
    #[cfg(feature = "redis")] mark("Q11", "redis-publish-always-512", Judged::Rate, 0.3, 0.6),
    #[cfg(feature = "redis")] mark("Q12", "redis-end-to-end-everysec", Judged::Rate, 0.3, 0.6),
    #[cfg(feature = "redis")] mark("Q13", "redis-end-to-end-always", Judged::Rate, 0.3, 0.6),
    mark("M5", "memory-connection", Judged::Figure, 20.0 * KIB, 11.0 * KIB),
];

/// A mark that is not measured.
#[derive(Clone, Copy, Debug, Serialize)]
pub(super) struct Missing {
    pub(super) id: &'static str,
    pub(super) what: &'static str,
    pub(super) why: &'static str,
}

/// What nothing can be compared in as long as the server doesn't offer it.
#[rustfmt::skip] // One line each: this is a table.
pub(super) const NOT_MEASURED: &[Missing] = &[
    Missing { id: "R5", what: "calls of a durable category, 64 in flight", why: "not offered yet: `calls.categories` has no durability" },
];

const fn mark(
    id: &'static str,
    workload: &'static str,
    judged: Judged,
    mark: f64,
    goal: f64,
) -> Mark {
    Mark {
        id,
        workload,
        judged,
        mark,
        goal,
    }
}

impl Judged {
    /// How far `value` is from `limit`, as a share of the limit; `None` if it is reached.
    pub(super) fn shortfall(self, value: f64, limit: f64) -> Option<f64> {
        let short = match self {
            Judged::Rate => 1.0 - value / limit,
            Judged::Latency | Judged::Figure | Judged::Ratio => value / limit - 1.0,
        };
        (short > 0.0).then_some(short)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workloads;

    #[test]
    fn every_mark_judges_a_workload_and_its_goal_is_beyond_it() {
        for mark in ALL {
            let known = |workload: &workloads::Workload| workload.name == mark.workload;
            assert!(workloads::ALL.iter().any(known), "{}", mark.id);
            let short = mark.judged.shortfall(mark.mark, mark.goal);
            assert!(short.is_some(), "{}", mark.id);
        }
    }

    #[test]
    fn what_is_measured_is_not_said_to_be_missing() {
        for missing in NOT_MEASURED {
            assert!(
                ALL.iter().all(|mark| mark.id != missing.id),
                "{}",
                missing.id
            );
        }
    }

    #[test]
    fn more_or_less_is_better() {
        for (judged, value, limit, short) in [
            (Judged::Rate, 2.0, 2.0, None),
            (Judged::Rate, 1.0, 4.0, Some(0.75)),
            (Judged::Latency, 0.5, 1.0, None),
            (Judged::Latency, 1.5, 1.0, Some(0.5)),
            (Judged::Figure, 150.0, 100.0, Some(0.5)),
            (Judged::Ratio, 3.0, 2.0, Some(0.5)),
            (Judged::Ratio, 0.6, 0.7, None),
        ] {
            assert_eq!(judged.shortfall(value, limit), short, "{judged:?} {value}");
        }
    }
}
