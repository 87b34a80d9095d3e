//! A million promises at once, all of which time out.

use std::process;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use trunkline_bench_peers::redis::Durability;
use trunkline_mpx::{Multiplexer, Outcome};

use super::{Server, start_runtime};
use crate::host::resident_bytes;
use crate::measure::{Measure, Unit};
use crate::report::with_unit;
use crate::workloads::Context;

/// From the first promise of a round until all end together: longer than making them takes, or the
/// round is begun again with twice that.
const LIFE: Duration = Duration::from_secs(3);
/// The longest.
const LIFE_MAX: Duration = Duration::from_secs(60);
/// Rounds over which memory must not grow.
const ROUNDS: usize = 4;
/// What it may differ by from round to round: a hundredth of what a million take.
const GROWTH_BYTES_MAX: f64 = 8.0 * 1024.0 * 1024.0;

/// How many are made and ended in a second of the work that this is.
pub(super) fn rate(context: &Context<'_>) -> Result<Measure> {
    let rounds = run(context, 1)?;
    let count = context.plan.backlog as f64;
    let (made, ended) = (rounds.making.as_secs_f64(), rounds.ending.as_secs_f64());
    let note = format!(
        "{:.0}/s made, {:.0}/s ended; {} more at the peak",
        count / made,
        count / ended,
        with_unit((rounds.peak - rounds.before) as f64, Unit::Bytes),
    );
    let measure = Measure::of_value(Unit::PerSecond, count / (made + ended));
    Ok(measure.noting(note))
}

/// How much larger this process is after the last round than after the first.
pub(super) fn growth(context: &Context<'_>) -> Result<Measure> {
    let rounds = run(context, ROUNDS)?;
    let after = || rounds.after.iter().map(|bytes| *bytes as f64);
    let first = after().next().unwrap_or_default();
    let growth = (after().next_back().unwrap_or_default() - first).max(0.0);
    let text = |bytes| with_unit(bytes, Unit::Bytes);
    let note = format!(
        "{} before, {} at the peak, then {}",
        text(rounds.before as f64),
        text(rounds.peak as f64),
        after().map(text).collect::<Vec<_>>().join(", "),
    );
    let measure = Measure::of_value(Unit::Bytes, growth).allowing(GROWTH_BYTES_MAX);
    Ok(measure.noting(note))
}

/// What rounds of promises came to; bytes are resident ones of this process.
struct Rounds {
    before: u64,
    peak: u64,
    /// When all of a round had ended.
    after: Vec<u64>,
    making: Duration,
    /// From when they were due.
    ending: Duration,
}

fn run(context: &Context<'_>, count: usize) -> Result<Rounds> {
    let server = Server::start(context, Durability::Memory)?;
    let runtime = start_runtime()?;
    let inside = runtime.enter();
    let mpx = Multiplexer::open(server.url())?;
    let promises = mpx.promises("p:")?;
    let active = runtime.block_on(promises.wait_for_activation());
    ensure!(active, "the pattern was closed");
    let resident = || resident_bytes(process::id());
    let mut rounds = Rounds {
        before: resident()?,
        peak: 0,
        after: Vec::new(),
        making: Duration::ZERO,
        ending: Duration::ZERO,
    };
    let mut life = LIFE;
    while rounds.after.len() < count {
        let number = rounds.after.len();
        let began = Instant::now();
        let due = began + life;
        let made = (0..context.plan.backlog).map(|n| {
            let left = due.saturating_duration_since(Instant::now());
            promises.promise(format!("{number}-{n}"), left)
        });
        let made = made.collect::<Result<Vec<_>, _>>()?;
        let making = began.elapsed();
        if making > life.mul_f64(0.9) {
            life *= 2;
            ensure!(life <= LIFE_MAX, "making them took {making:?}");
            continue;
        }
        rounds.making += making;
        rounds.peak = rounds.peak.max(resident()?);
        thread::sleep(due.saturating_duration_since(Instant::now()));
        runtime.block_on(async {
            for promise in made {
                let outcome = promise.await;
                ensure!(
                    outcome == Outcome::TimedOut,
                    "a promise ended as {outcome:?}"
                );
            }
            Ok(())
        })?;
        rounds.ending += due.elapsed();
        ensure!(promises.waiting() == 0, "a promise never ended");
        rounds.after.push(resident()?);
    }
    drop((promises, mpx, inside));
    runtime.shutdown_timeout(Duration::from_secs(1));
    Ok(rounds)
}
