use crate::{failure::Failure, output::Output, text};
use serde_json::json;
use std::time::Duration;
use trunkline_bench::{Latency, LoadPlan, LoadResult, Shape};

/// What of the latency is told.
const QUANTILES: [(&str, &str, f64); 4] = [
    ("p50", "p50", 0.5),
    ("p90", "p90", 0.9),
    ("p99", "p99", 0.99),
    ("p99.9", "p99_9", 0.999),
];

/// Width of the longest bar.
const BAR: usize = 40;

/// The result on stdout.
pub(super) fn show(
    output: Output,
    plan: &LoadPlan,
    (bench, unit): (&str, &str),
    result: &LoadResult,
    stopped: bool,
) -> Result<(), Failure> {
    if output.json {
        return Ok(output.object(&object(plan, (bench, unit), result, stopped))?);
    }
    let latency = &result.latency;
    let mut rows = vec![
        ("count", text::count(result.count)),
        ("time", text::time(result.elapsed)),
        ("rate", text::rate(result.count, result.elapsed)),
    ];
    for (name, _, quantile) in QUANTILES {
        rows.push((name, time(latency.quantile_us(quantile))));
    }
    rows.push(("max", time(latency.max_us())));
    rows.push(("generator cores", format!("{:.2}", result.generator_cores)));
    let rows = rows.into_iter();
    let rows = rows.map(|(name, value)| vec![name.to_owned(), value]);
    output.table(&[bench, &format!(">{unit}")], rows.collect())?;
    if stopped {
        eprintln!("ended early");
    }
    Ok(output.bytes(chart(latency).as_bytes())?)
}

fn object(
    plan: &LoadPlan,
    (bench, unit): (&str, &str),
    result: &LoadResult,
    stopped: bool,
) -> serde_json::Value {
    let (latency, seconds) = (&result.latency, result.elapsed.as_secs_f64());
    let mut latency_us = json!({
        "min": latency.min_us(), "mean": latency.mean_us(), "max": latency.max_us(),
    });
    for (_, name, quantile) in QUANTILES {
        latency_us[name] = json!(latency.quantile_us(quantile));
    }
    let mut object = json!({
        "bench": bench, "counted": unit, "count": result.count, "elapsed_ms": seconds * 1e3,
        "per_second": result.count as f64 / seconds.max(1e-6), "latency_us": latency_us,
        "payload_bytes": plan.payload_bytes, "connections": plan.connections,
        "window": plan.window, "rate": plan.rate, "stopped": stopped,
        "generator_cores": result.generator_cores,
    });
    if let Shape::FanOut { listeners } = plan.shape {
        object["listeners"] = json!(listeners);
    }
    object
}

fn time(us: f64) -> String {
    match us < 100.0 {
        true => format!("{us:.1} µs"),
        false => text::time(Duration::from_secs_f64(us / 1e6)),
    }
}

/// How many took how long, a line for each doubling.
fn chart(latency: &Latency) -> String {
    let rows = latency.doublings();
    let all = latency.count() as f64;
    let most = rows.iter().map(|(_, count)| *count).max().unwrap_or(0);
    let mut chart = String::from("\n");
    for (limit_us, count) in rows {
        // Whatever is there gets at least one mark.
        let marks = (count as f64 / most as f64 * BAR as f64).ceil() as usize;
        let limit = text::time(Duration::from_micros(limit_us));
        let share = count as f64 * 100.0 / all;
        let bar = "#".repeat(marks);
        chart += &format!("≤ {limit:>9}  {bar:<BAR$}  {share:>6.2} %\n");
    }
    chart
}
