//! The floor under every durable figure: overwrite the same bytes in a preallocated file, make
//! them durable, repeat.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::time::{Duration, Instant};

use anyhow::Result;

use super::Context;
use crate::host::Meter;
use crate::load::Latency;
use crate::measure::Measure;

/// A journal's record of a 256-byte payload with its identity, framed and aligned to 64 bytes.
const RECORD_BYTES: usize = 320;

/// Larger than any device cache that would flatter the figure by holding all of it.
const FILE_BYTES: usize = 64 << 20;

/// Writes `records` records at a time and syncs them; the rate is of records.
pub(super) fn run(context: &Context<'_>, records: usize) -> Result<Measure> {
    let file = preallocated(context)?;
    let batch = vec![0x5A; RECORD_BYTES * records];
    let meter = Meter::new(None, Some(context.scratch));
    let mut place = 0;
    rounds(&file, &batch, &mut place, context.plan.warm_up)?;

    let before = meter.read()?;
    let (latency, elapsed) = rounds(&file, &batch, &mut place, context.plan.measure)?;
    let usage = meter.read()?.since(&before);
    let count = latency.count() * records as u64;
    Ok(Measure {
        p50_us: Some(latency.quantile_us(0.5)),
        p99_us: Some(latency.quantile_us(0.99)),
        ..Measure::of_rate(count, count as f64 / elapsed.as_secs_f64(), usage)
    })
}

/// A file whose blocks have been written once, so that an overwrite changes no metadata.
fn preallocated(context: &Context<'_>) -> Result<File> {
    let file = tempfile::tempfile_in(context.scratch)?;
    let zeros = vec![0; 1 << 20];
    for place in (0..FILE_BYTES).step_by(zeros.len()) {
        file.write_all_at(&zeros, place as u64)?;
    }
    file.sync_all()?;
    Ok(file)
}

fn rounds(
    file: &File,
    batch: &[u8],
    place: &mut usize,
    time: Duration,
) -> Result<(Latency, Duration)> {
    let mut latency = Latency::new();
    let started = Instant::now();
    let mut now = started;
    while now - started < time {
        if *place + batch.len() > FILE_BYTES {
            *place = 0;
        }
        file.write_all_at(batch, *place as u64)?;
        file.sync_data()?;
        *place += batch.len();
        let after = Instant::now();
        latency.record(after - now);
        now = after;
    }
    Ok((latency, now - started))
}
