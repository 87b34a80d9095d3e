//! The marks that need no other server beside ours: those of the store, and of what is kept and
//! comes back over Redis.

use std::fmt;

use comfy_table::{CellAlignment, Table, presets};
use serde::Serialize;

use crate::measure::{Measure, Runs, Unit};
use crate::report::{median, with_unit};
use crate::workloads::Workload;

/// One line of the table.
struct StoreMark {
    what: &'static str,
    workload: &'static str,
    judged: Judged,
}

/// What of a workload is judged; less of it is better.
#[derive(Clone, Copy)]
enum Judged {
    /// Its value, which may be at most this.
    Value(f64),
    /// Its value, which may be at most what the run said.
    Allowed,
    /// Its p99 over that of another workload, run by run, which may be at most this.
    P99Over(&'static str, f64),
}

#[rustfmt::skip] // One line each: this is a table.
const ALL: &[StoreMark] = &[
    mark("p99 of publishes while compacting / while quiet", "compaction-busy", Judged::P99Over("compaction-quiet", 3.0)),
    mark("log / live records, 3 and two segments", "disk-mixed", Judged::Allowed),
    mark("resident per waiting message", "memory-message", Judged::Value(100.0)),
    mark("resident per message far behind", "memory-backlog", Judged::Value(100.0)),
    mark("resident per delayed message", "memory-delayed", Judged::Value(100.0)),
    #[cfg(feature = "redis")] mark("growth over rounds of promises", "redis-promises-growth", Judged::Allowed),
    #[cfg(feature = "redis")] mark("10,000 names back, worst, since the connection", "redis-resubscribe-accepted", Judged::Value(200.0)),
    #[cfg(feature = "redis")] mark("the same since PING is answered", "redis-resubscribe-ping", Judged::Value(200.0)),
];

const fn mark(what: &'static str, workload: &'static str, judged: Judged) -> StoreMark {
    StoreMark {
        what,
        workload,
        judged,
    }
}

/// What became of the marks whose workloads were chosen.
#[derive(Debug, Serialize)]
#[serde(transparent)]
pub(crate) struct StoreVerdicts(Vec<StoreVerdict>);

/// What became of one mark.
#[derive(Debug, Serialize)]
struct StoreVerdict {
    what: &'static str,
    workload: &'static str,
    /// The median, and what it may be; absent if nothing was measured.
    outcome: Option<Outcome>,
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
struct Outcome {
    value: f64,
    limit: f64,
    unit: Unit,
    passed: bool,
}

impl StoreVerdicts {
    pub(crate) fn new<'a>(
        results: impl Iterator<Item = (&'a Workload, &'a Runs)> + Clone,
    ) -> StoreVerdicts {
        let runs = |name| {
            let mut all = results
                .clone()
                .map(|(workload, runs)| (workload.name, runs));
            Some(&*all.find(|(workload, _)| *workload == name)?.1.ours)
        };
        let verdicts = ALL.iter().filter_map(|mark| StoreVerdict::new(mark, runs));
        StoreVerdicts(verdicts.collect())
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl StoreVerdict {
    /// `None` if the workload wasn't chosen, or the one it is compared with.
    fn new<'a>(
        mark: &StoreMark,
        runs: impl Fn(&'static str) -> Option<&'a [Measure]>,
    ) -> Option<StoreVerdict> {
        let its = runs(mark.workload)?;
        let value = median(its.iter().map(|run| run.value));
        let judged = match mark.judged {
            Judged::Value(limit) => value.map(|value| (value, limit)),
            Judged::Allowed => value.zip(median(its.iter().filter_map(|run| run.allowed))),
            Judged::P99Over(other, limit) => {
                let ratios = its.iter().zip(runs(other)?);
                let ratios = ratios.filter_map(|(run, other)| Some(run.p99_us? / other.p99_us?));
                median(ratios).map(|ratio| (ratio, limit))
            }
        };
        let unit = match mark.judged {
            Judged::P99Over(..) => Unit::Ratio,
            Judged::Value(_) | Judged::Allowed => its.first().map_or(Unit::Ratio, |run| run.unit),
        };
        Some(StoreVerdict {
            what: mark.what,
            workload: mark.workload,
            outcome: judged.map(|(value, limit)| Outcome {
                value,
                limit,
                unit,
                passed: value <= limit,
            }),
        })
    }

    fn cells(&self) -> [String; 5] {
        let dash = || "–".to_owned();
        let (value, limit, outcome) = match &self.outcome {
            Some(it) => (
                with_unit(it.value, it.unit),
                format!("≤ {}", with_unit(it.limit, it.unit)),
                it.to_string(),
            ),
            None => (dash(), dash(), "not measured".to_owned()),
        };
        let (what, workload) = (self.what.to_owned(), self.workload.to_owned());
        [what, workload, value, limit, outcome]
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.passed {
            f.write_str("passed")
        } else {
            let short = self.value / self.limit - 1.0;
            write!(f, "MISSED by {:.0} %", short * 100.0)
        }
    }
}

impl fmt::Display for StoreVerdicts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut table = Table::new();
        table.load_style(presets::ASCII_MARKDOWN);
        table.set_header(["own mark", "workload", "ours", "must be", "outcome"]);
        for verdict in &self.0 {
            table.add_row(verdict.cells());
        }
        for column in table.column_iter_mut().skip(2).take(2) {
            column.set_cell_alignment(CellAlignment::Right);
        }
        write!(f, "{table}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workloads;

    fn measures(unit: Unit, values: &[f64]) -> Vec<Measure> {
        let measure = |value: &f64| Measure {
            p99_us: Some(value * 10.0),
            ..Measure::of_value(unit, *value).allowing(4.0)
        };
        values.iter().map(measure).collect()
    }

    /// The last three cells of the mark of `workload`, of which there are these runs.
    fn cells(workload: &str, its: &[Measure], other: &[Measure]) -> [String; 3] {
        let mark = ALL.iter().find(|mark| mark.workload == workload).unwrap();
        let runs = |name| Some(if name == workload { its } else { other });
        let [_, _, cells @ ..] = StoreVerdict::new(mark, runs).unwrap().cells();
        cells
    }

    #[test]
    fn every_mark_judges_workloads_that_there_are() {
        let known = |name| workloads::ALL.iter().any(|workload| workload.name == name);
        for mark in ALL {
            assert!(known(mark.workload), "{}", mark.workload);
            if let Judged::P99Over(other, _) = mark.judged {
                assert!(known(other), "{other}");
            }
        }
    }

    #[test]
    fn figures_are_judged_by_their_medians() {
        for (workload, unit, values, expected) in [
            (
                "memory-message",
                Unit::Bytes,
                &[36.0, 120.0, 40.0][..],
                ["40.0 B", "≤ 100 B", "passed"],
            ),
            (
                "memory-delayed",
                Unit::Bytes,
                &[150.0],
                ["150 B", "≤ 100 B", "MISSED by 50 %"],
            ),
            (
                "disk-mixed",
                Unit::Ratio,
                &[3.9, 4.0, 4.2],
                ["4.00×", "≤ 4.00×", "passed"],
            ),
            (
                "memory-backlog",
                Unit::Bytes,
                &[],
                ["–", "–", "not measured"],
            ),
        ] {
            assert_eq!(cells(workload, &measures(unit, values), &[]), expected);
        }
    }

    #[test]
    fn latencies_are_compared_run_by_run() {
        // The machine was ten times as slow in the last run, for both.
        let quiet = measures(Unit::PerSecond, &[1.0, 2.0, 10.0]);
        let busy = measures(Unit::PerSecond, &[3.5, 4.0, 25.0]);
        let judged = cells("compaction-busy", &busy, &quiet);
        assert_eq!(judged, ["2.50×", "≤ 3.00×", "passed"]);
    }

    #[test]
    fn what_was_not_chosen_is_not_judged() {
        let mark = &ALL[0];
        assert!(StoreVerdict::new(mark, |_| None).is_none());
        let only_busy = |name| (name == mark.workload).then_some(&[][..]);
        assert!(StoreVerdict::new(mark, only_busy).is_none());
    }
}
