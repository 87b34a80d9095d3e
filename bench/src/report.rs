//! Medians and spreads, as a table for people and as JSON for programs.

use std::time::{SystemTime, UNIX_EPOCH};
use std::{env, fmt};

use comfy_table::{CellAlignment, Table, presets};
use serde::Serialize;

use crate::host::Machine;
use crate::measure::{Measure, Runs, Unit};
#[cfg(feature = "peers")]
use crate::peers::Comparison;
use crate::plan::Plan;
use crate::rpc::PAYLOAD_BYTES;
use crate::store_marks::StoreVerdicts;
use crate::workloads::Workload;

/// Everything that was measured, and what it was measured on.
#[derive(Debug, Serialize)]
pub struct Report {
    /// What was typed, and of which state of the sources.
    command: String,
    commit: Option<String>,
    /// Seconds since 1970, at the end.
    measured_at_unix: u64,
    machine: Machine,
    subject: Option<Subject>,
    generator: &'static str,
    payload_bytes: usize,
    quick: bool,
    plan: Plan,
    workloads: Vec<Summary>,
    store_marks: StoreVerdicts,
    not_measured: Vec<Unmeasured>,
    #[cfg(feature = "peers")]
    comparison: Option<Comparison>,
}

/// The server, in its own words (`rpc.info`).
#[derive(Debug, Serialize)]
pub(crate) struct Subject {
    /// Where the server was found, if it was not started for the bench.
    pub(crate) url: Option<String>,
    pub(crate) version: String,
    /// The scheme of the engine's URL.
    pub(crate) engine: String,
    pub(crate) durability: String,
}

/// A workload that was chosen and of which there is nothing to tell.
#[derive(Debug, Serialize)]
struct Unmeasured {
    name: &'static str,
    about: &'static str,
    why: String,
}

/// One workload over all its runs.
#[derive(Debug, Serialize)]
pub struct Summary {
    name: &'static str,
    about: &'static str,
    unit: Unit,
    median: f64,
    min: f64,
    max: f64,
    p50_us: Option<f64>,
    p99_us: Option<f64>,
    server_cores: Option<f64>,
    generator_cores: Option<f64>,
    /// CPU time of each side for one of what is counted.
    server_us_each: Option<f64>,
    generator_us_each: Option<f64>,
    server_rss_bytes: Option<f64>,
    flushes_per_thousand: Option<f64>,
    flushes_per_second: Option<f64>,
    /// Bytes that the server wrote to the disk for each byte of payload.
    written_per_byte: Option<f64>,
    runs: Vec<Measure>,
}

/// Under which circumstances something was measured.
pub(crate) struct Circumstances {
    pub(crate) machine: Machine,
    pub(crate) subject: Option<Subject>,
    pub(crate) plan: Plan,
    pub(crate) quick: bool,
}

/// Where `cargo xtask bench` tells the commit that it builds.
const COMMIT_VARIABLE: &str = "TRUNKLINE_BENCH_COMMIT";

impl Report {
    pub(crate) fn new<'a>(
        circumstances: Circumstances,
        workloads: impl Iterator<Item = (&'a Workload, &'a Runs)> + Clone,
    ) -> Report {
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        Report {
            command: command(env::args().skip(1)),
            commit: env::var(COMMIT_VARIABLE).ok().filter(|it| !it.is_empty()),
            measured_at_unix: now.map_or(0, |time| time.as_secs()),
            machine: circumstances.machine,
            subject: circumstances.subject,
            generator: env!("CARGO_PKG_VERSION"),
            payload_bytes: PAYLOAD_BYTES,
            quick: circumstances.quick,
            plan: circumstances.plan,
            store_marks: StoreVerdicts::new(workloads.clone()),
            not_measured: workloads.clone().filter_map(Unmeasured::new).collect(),
            workloads: workloads
                .filter_map(|(workload, runs)| {
                    Summary::new(workload.name, workload.about, runs.ours.clone())
                })
                .collect(),
            #[cfg(feature = "peers")]
            comparison: None,
        }
    }

    /// The same, with what other servers did.
    #[cfg(feature = "peers")]
    pub(crate) fn compared(self, comparison: Comparison) -> Report {
        Report {
            comparison: Some(comparison),
            ..self
        }
    }
}

impl Unmeasured {
    /// `None` if it was measured.
    fn new((workload, runs): (&Workload, &Runs)) -> Option<Unmeasured> {
        Some(Unmeasured {
            name: workload.name,
            about: workload.about,
            why: runs.not_measured.as_ref()?.to_string(),
        })
    }
}

impl Summary {
    /// `None` without runs.
    pub(crate) fn new(
        name: &'static str,
        about: &'static str,
        runs: Vec<Measure>,
    ) -> Option<Summary> {
        let unit = runs.first()?.unit;
        let over = |member: fn(&Measure) -> Option<f64>| median(runs.iter().filter_map(member));
        let values = || runs.iter().map(|run| run.value);
        Some(Summary {
            name,
            about,
            unit,
            median: median(values())?,
            min: values().fold(f64::INFINITY, f64::min),
            max: values().fold(f64::NEG_INFINITY, f64::max),
            p50_us: over(|run| run.p50_us),
            p99_us: over(|run| run.p99_us),
            server_cores: over(|run| run.usage.server_cores),
            generator_cores: over(|run| {
                (run.unit == Unit::PerSecond).then_some(run.usage.generator_cores)
            }),
            server_us_each: over(|run| run.per_operation_us(run.usage.server_cores)),
            generator_us_each: over(|run| run.per_operation_us(Some(run.usage.generator_cores))),
            server_rss_bytes: over(|run| run.usage.server_rss_bytes.map(|bytes| bytes as f64)),
            flushes_per_thousand: over(|run| run.flushes_per_thousand),
            flushes_per_second: over(|run| run.usage.device_flushes_per_second),
            written_per_byte: over(|run| run.written_per_byte),
            runs,
        })
    }
}

/// The middle value, or the mean of the two in the middle.
pub(crate) fn median(values: impl Iterator<Item = f64>) -> Option<f64> {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    let upper = *values.get(middle)?;
    if values.len() % 2 == 1 {
        return Some(upper);
    }
    Some((values[middle - 1] + upper) / 2.0)
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Trunkline {}", self.version)?;
        match &self.url {
            Some(url) => write!(f, " at {url}"),
            None => Ok(()),
        }
    }
}

impl fmt::Display for Unmeasured {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Unmeasured { name, about, why } = self;
        write!(f, "{name:<22}not measured: {about} ({why})")
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "commit     {}, {}",
            self.commit.as_deref().unwrap_or("unknown"),
            self.command
        )?;
        let machine = &self.machine;
        writeln!(
            f,
            "machine    {} × {}, {} GiB, Linux {}",
            machine.cores,
            machine.cpu,
            machine.memory_bytes >> 30,
            machine.kernel
        )?;
        writeln!(f, "data on    {}", machine.data_file_system)?;
        if let Some(subject) = &self.subject {
            writeln!(f, "server     {subject}")?;
            writeln!(
                f,
                "engine     {}, durability {}",
                subject.engine, subject.durability
            )?;
        }
        writeln!(
            f,
            "payload    {} B, one message a request",
            self.payload_bytes
        )?;
        if self.quick {
            writeln!(f, "quick      too short to be quoted")?;
        }
        write!(f, "\n{}", summary_table(&self.workloads))?;
        for summary in &self.workloads {
            for (run, measure) in summary.runs.iter().enumerate() {
                if let Some(note) = &measure.note {
                    write!(f, "\n{}, run {}: {note}", summary.name, run + 1)?;
                }
            }
        }
        if !self.store_marks.is_empty() {
            write!(f, "\n\n{}", self.store_marks)?;
        }
        for (number, unmeasured) in self.not_measured.iter().enumerate() {
            f.write_str(if number == 0 { "\n\n" } else { "\n" })?;
            write!(f, "{unmeasured}")?;
        }
        #[cfg(feature = "peers")]
        if let Some(comparison) = &self.comparison {
            write!(f, "\n\n{comparison}")?;
        }
        Ok(())
    }
}

/// One line a workload.
pub(crate) fn summary_table(summaries: &[Summary]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::ASCII_MARKDOWN);
    table.set_header([
        "workload",
        "what",
        "median",
        "spread",
        "p50 µs",
        "p99 µs",
        "server\ncores",
        "generator\ncores",
        "server\nµs each",
        "generator\nµs each",
        "server\nMiB",
        "flushes\n/ 1,000",
        "flushes\n/ s",
        "written\nB / B",
    ]);
    for summary in summaries {
        table.add_row(summary.cells());
    }
    for column in table.column_iter_mut().skip(2) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}

/// What was typed, as it can be typed again.
fn command(arguments: impl Iterator<Item = String>) -> String {
    let mut text = "cargo xtask bench".to_owned();
    for argument in arguments {
        text.push(' ');
        text.push_str(&argument);
    }
    text
}

impl Summary {
    fn cells(&self) -> [String; 14] {
        let spread = (self.max - self.min) / self.median * 100.0;
        [
            self.name.to_owned(),
            self.about.to_owned(),
            with_unit(self.median, self.unit),
            format!("{spread:.0} %"),
            optional(self.p50_us, grouped),
            optional(self.p99_us, grouped),
            optional(self.server_cores, |cores| format!("{cores:.2}")),
            optional(self.generator_cores, |cores| format!("{cores:.2}")),
            optional(self.server_us_each, |each| format!("{each:.2}")),
            optional(self.generator_us_each, |each| format!("{each:.2}")),
            optional(self.server_rss_bytes, |bytes| {
                format!("{:.1}", bytes / f64::from(1 << 20))
            }),
            optional(self.flushes_per_thousand, grouped),
            optional(self.flushes_per_second, grouped),
            optional(self.written_per_byte, |bytes| format!("{bytes:.2}")),
        ]
    }
}

/// Bytes in the unit that suits their number, everything else in its own.
pub(crate) fn with_unit(value: f64, unit: Unit) -> String {
    const KIB: f64 = 1024.0;
    match unit {
        Unit::Bytes if value >= KIB * KIB => format!("{} MiB", grouped(value / KIB / KIB)),
        Unit::Bytes if value >= 10.0 * KIB => format!("{} KiB", grouped(value / KIB)),
        Unit::Ratio => format!("{value:.2}×"),
        _ => format!("{} {unit}", grouped(value)),
    }
}

fn optional(value: Option<f64>, format: impl Fn(f64) -> String) -> String {
    value.map_or_else(|| "–".to_owned(), format)
}

/// Thousands separated; one decimal below 100.
pub(crate) fn grouped(value: f64) -> String {
    if value.abs() < 100.0 {
        return format!("{value:.1}");
    }
    let digits = format!("{value:.0}");
    let (sign, digits) = match digits.strip_prefix('-') {
        Some(rest) => ("-", rest),
        None => ("", digits.as_str()),
    };
    let mut text = sign.to_owned();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians() {
        for (values, expected) in [
            (&[][..], None),
            (&[3.0], Some(3.0)),
            (&[9.0, 1.0, 5.0], Some(5.0)),
            (&[4.0, 1.0, 2.0, 9.0], Some(3.0)),
        ] {
            assert_eq!(median(values.iter().copied()), expected);
        }
    }

    #[test]
    fn numbers_for_people() {
        for (value, text) in [
            (0.25, "0.2"),
            (99.94, "99.9"),
            (100.0, "100"),
            (1_234.4, "1,234"),
            (1_234_567.0, "1,234,567"),
            (-4_321.0, "-4,321"),
        ] {
            assert_eq!(grouped(value), text);
        }
    }

    #[test]
    fn bytes_for_people() {
        for (value, text) in [
            (48.0, "48.0 B"),
            (4_096.0, "4,096 B"),
            (10_752.0, "10.5 KiB"),
            (8.5 * 1_048_576.0, "8.5 MiB"),
        ] {
            assert_eq!(with_unit(value, Unit::Bytes), text);
        }
        assert_eq!(with_unit(2_048.0, Unit::PerSecond), "2,048 /s");
        assert_eq!(with_unit(2.344, Unit::Ratio), "2.34×");
    }

    #[test]
    fn a_summary_takes_the_median_of_each_column() {
        let run = |value: f64, p50: f64| Measure {
            p50_us: Some(p50),
            ..Measure::of_value(Unit::PerSecond, value)
        };
        let runs = vec![run(100.0, 9.0), run(300.0, 7.0), run(200.0, 8.0)];
        let summary = Summary::new("name", "about", runs).unwrap();
        assert_eq!(
            (summary.median, summary.min, summary.max),
            (200.0, 100.0, 300.0)
        );
        assert_eq!(summary.p50_us, Some(8.0));
        assert_eq!(summary.p99_us, None);
        assert_eq!(summary.cells()[2..4], ["200 /s", "100 %"]);
        assert!(Summary::new("name", "about", Vec::new()).is_none());
    }
}
