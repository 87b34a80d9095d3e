//! What a comparison shows: our figures over the rival's, against the marks.

use std::fmt;

use comfy_table::{CellAlignment, Table, presets};
use serde::Serialize;

use super::Rival;
use super::marks::{self, Judged, Mark, Missing};
use crate::measure::{Measure, Runs, Unit};
use crate::report::{Summary, grouped, median, summary_table, with_unit};
use crate::workloads::Workload;

/// All verdicts, and whom they compare with.
#[derive(Debug, Serialize)]
pub(crate) struct Comparison {
    rivals: Vec<Rival>,
    marks: Vec<Verdict>,
    not_measured: &'static [Missing],
    /// The rivals' own figures, as in the main table.
    workloads: Vec<Summary>,
}

/// One mark.
#[derive(Debug, Serialize)]
struct Verdict {
    id: &'static str,
    workload: &'static str,
    judged: Judged,
    ours: Side,
    rival: Option<Side>,
    ratio: Option<Ratio>,
    mark: f64,
    goal: f64,
    /// How far from the mark, as a share of it; absent if it is passed.
    short_of_mark: Option<f64>,
    /// The same for the goal.
    short_of_goal: Option<f64>,
}

/// The median of one side: a latency in microseconds, or a figure in its unit.
#[derive(Clone, Copy, Debug, Serialize)]
struct Side {
    median: f64,
    /// `None` for a latency.
    unit: Option<Unit>,
}

/// Ours over the rival's, run by run.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
struct Ratio {
    median: f64,
    min: f64,
    max: f64,
}

impl Comparison {
    pub(crate) fn new<'a>(
        rivals: Vec<Rival>,
        results: impl Iterator<Item = (&'a Workload, &'a Runs)> + Clone,
    ) -> Comparison {
        let verdict = |mark: &Mark| {
            let mut all = results.clone();
            let (_, runs) = all.find(|(workload, _)| workload.name == mark.workload)?;
            Verdict::new(mark, runs)
        };
        Comparison {
            rivals,
            marks: marks::ALL.iter().filter_map(verdict).collect(),
            not_measured: marks::NOT_MEASURED,
            workloads: results
                .flat_map(|(workload, runs)| runs.rivals.iter().map(move |its| (workload, its)))
                .filter_map(|(workload, its)| {
                    Summary::new(workload.name, its.counterpart.form, its.runs.clone())
                })
                .collect(),
        }
    }
}

impl Verdict {
    /// `None` without a value to judge.
    fn new(mark: &Mark, runs: &Runs) -> Option<Verdict> {
        let ours = Side::of(&runs.ours, mark.judged)?;
        let judged = runs.rivals.iter().find(|its| its.counterpart.is_judged);
        let rival = judged.map_or(&[][..], |its| &its.runs);
        let ratio = Ratio::of(&runs.ours, rival, mark.judged);
        let value = match mark.judged {
            Judged::Rate | Judged::Latency | Judged::Ratio => ratio?.median,
            Judged::Figure => ours.median,
        };
        Some(Verdict {
            id: mark.id,
            workload: mark.workload,
            judged: mark.judged,
            ours,
            rival: Side::of(rival, mark.judged),
            ratio,
            mark: mark.mark,
            goal: mark.goal,
            short_of_mark: mark.judged.shortfall(value, mark.mark),
            short_of_goal: mark.judged.shortfall(value, mark.goal),
        })
    }

    fn cells(&self) -> [String; 9] {
        [
            self.id.to_owned(),
            self.workload.to_owned(),
            self.ours.to_string(),
            self.rival.map_or_else(dash, |rival| rival.to_string()),
            self.ratio
                .map_or_else(dash, |ratio| format!("{:.2}×", ratio.median)),
            self.ratio
                .map_or_else(dash, |ratio| format!("{:.0} %", ratio.spread() * 100.0)),
            self.limit(self.mark),
            self.limit(self.goal),
            self.outcome(),
        ]
    }

    fn limit(&self, limit: f64) -> String {
        match (self.judged, self.ours.unit) {
            (Judged::Rate, _) => format!("≥ {limit:.2}×"),
            (Judged::Figure, Some(unit)) => format!("≤ {}", with_unit(limit, unit)),
            (Judged::Latency | Judged::Figure | Judged::Ratio, _) => format!("≤ {limit:.2}×"),
        }
    }

    fn outcome(&self) -> String {
        match (self.short_of_mark, self.short_of_goal) {
            (Some(short), _) => format!("MISSED by {:.0} %", short * 100.0),
            (None, Some(short)) => format!("passed; {:.0} % to the goal", short * 100.0),
            (None, None) => "goal reached".to_owned(),
        }
    }
}

impl Side {
    fn of(runs: &[Measure], judged: Judged) -> Option<Side> {
        Some(Side {
            median: median(values(runs, judged))?,
            unit: match judged {
                Judged::Latency => None,
                Judged::Rate | Judged::Figure | Judged::Ratio => Some(runs.first()?.unit),
            },
        })
    }
}

impl fmt::Display for Side {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.unit {
            Some(unit) => f.write_str(&with_unit(self.median, unit)),
            None => write!(f, "{} µs", grouped(self.median)),
        }
    }
}

impl Ratio {
    /// A machine that is slower in one run is so for both sides: so each run has a ratio of its
    /// own, and the median is taken of them.
    fn of(ours: &[Measure], rival: &[Measure], judged: Judged) -> Option<Ratio> {
        let ratios = values(ours, judged)
            .zip(values(rival, judged))
            .map(|(ours, rival)| ours / rival);
        Some(Ratio {
            median: median(ratios.clone())?,
            min: ratios.clone().fold(f64::INFINITY, f64::min),
            max: ratios.fold(f64::NEG_INFINITY, f64::max),
        })
    }

    fn spread(&self) -> f64 {
        (self.max - self.min) / self.median
    }
}

/// What is judged, run by run.
fn values(runs: &[Measure], judged: Judged) -> impl Iterator<Item = f64> + Clone {
    runs.iter().filter_map(move |run| match judged {
        Judged::Latency => run.p50_us,
        Judged::Rate | Judged::Figure | Judged::Ratio => Some(run.value),
    })
}

fn dash() -> String {
    "–".to_owned()
}

impl fmt::Display for Comparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for rival in &self.rivals {
            writeln!(
                f,
                "rival      {} {}, durability {}",
                rival.peer, rival.version, rival.durability
            )?;
        }
        let mut table = Table::new();
        table.load_style(presets::ASCII_MARKDOWN);
        table.set_header([
            "mark", "workload", "ours", "rival", "ratio", "spread", "must be", "goal", "outcome",
        ]);
        for verdict in &self.marks {
            table.add_row(verdict.cells());
        }
        for column in table.column_iter_mut().skip(2).take(4) {
            column.set_cell_alignment(CellAlignment::Right);
        }
        writeln!(f, "\n{}\n\n{table}\n", summary_table(&self.workloads))?;
        for missing in self.not_measured {
            writeln!(
                f,
                "{:<4} not measured: {} ({})",
                missing.id, missing.what, missing.why
            )?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::peers::{Counterpart, RivalRuns};

    fn measures(unit: Unit, values: &[f64]) -> Vec<Measure> {
        values
            .iter()
            .map(|value| Measure {
                p50_us: Some(1_000.0 / value),
                ..Measure::of_value(unit, *value)
            })
            .collect()
    }

    fn verdict(id: &str, unit: Unit, ours: &[f64], rival: &[f64]) -> Option<Verdict> {
        let mark = marks::ALL.iter().find(|mark| mark.id == id).unwrap();
        let rival_runs = |is_judged, values: &[f64]| RivalRuns {
            counterpart: Counterpart::for_a_test(is_judged),
            runs: measures(unit, values),
        };
        let runs = Runs {
            ours: measures(unit, ours),
            rivals: vec![rival_runs(false, &[1e9; 3]), rival_runs(true, rival)],
            not_measured: None,
        };
        Verdict::new(mark, &runs)
    }

    #[test]
    fn ratios_are_taken_run_by_run() {
        // The machine was twice as fast in the second run, for both.
        let verdict = verdict(
            "P2",
            Unit::PerSecond,
            &[30.0, 60.0, 30.0],
            &[10.0, 20.0, 12.0],
        );
        let ratio = verdict.unwrap().ratio.unwrap();
        assert_eq!((ratio.median, ratio.min, ratio.max), (3.0, 2.5, 3.0));
    }

    #[test]
    fn outcomes() {
        for (id, unit, ours, rival, outcome) in [
            ("P2", Unit::PerSecond, 40.0, 10.0, "goal reached"),
            (
                "P2",
                Unit::PerSecond,
                20.0,
                10.0,
                "passed; 50 % to the goal",
            ),
            ("P2", Unit::PerSecond, 10.0, 10.0, "MISSED by 50 %"),
            ("R1", Unit::PerSecond, 20.0, 10.0, "goal reached"),
            ("R1", Unit::PerSecond, 10.0, 20.0, "MISSED by 100 %"),
            ("M2", Unit::Bytes, 75.0, 48.0, "passed; 50 % to the goal"),
        ] {
            let verdict = verdict(id, unit, &[ours], &[rival]).unwrap();
            assert_eq!(verdict.outcome(), outcome, "{id} {ours} {rival}");
        }
    }

    #[test]
    fn a_ratio_needs_a_rival_and_a_figure_does_not() {
        assert!(verdict("P2", Unit::PerSecond, &[40.0], &[]).is_none());
        let memory = verdict("M1", Unit::Bytes, &[9e6], &[]).unwrap();
        assert_eq!(memory.cells()[3..5], ["–", "–"]);
        assert_eq!(memory.cells()[6], "≤ 15.0 MiB");
    }
}
