//! Several closed loops at once, one blocking thread each.

use std::sync::Barrier;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use super::closed_loop::{self, Exchange, Tally, Until};
use super::latency::Latency;
use crate::host::{Meter, Usage};

/// What all loops together did while it counted.
pub(crate) struct Load {
    pub(crate) answered: u64,
    /// From the first start to the last answer.
    pub(crate) elapsed: Duration,
    pub(crate) latency: Latency,
    pub(crate) usage: Usage,
}

impl Load {
    /// What loops did that ran at the same time.
    pub(crate) fn of(tallies: &[Tally], usage: Usage) -> Result<Load> {
        let started = tallies.iter().map(|tally| tally.started).min();
        let ended = tallies.iter().map(|tally| tally.ended).max();
        let (started, ended) = started.zip(ended).context("a load of no connections")?;
        let mut latency = Latency::new();
        for tally in tallies {
            latency.merge(&tally.latency);
        }
        Ok(Load {
            answered: tallies.iter().map(|tally| tally.answered).sum(),
            elapsed: ended - started,
            latency,
            usage,
        })
    }

    pub(crate) fn per_second(&self) -> f64 {
        self.answered as f64 / self.elapsed.as_secs_f64()
    }
}

/// Runs every exchange with `window` requests in flight: first for `warm_up`, not counted, then,
/// all at the same moment, for `measure`.
pub(crate) fn run<E: Exchange>(
    exchanges: Vec<E>,
    window: u32,
    warm_up: Duration,
    measure: Duration,
    meter: &Meter,
) -> Result<Load> {
    let start = Barrier::new(exchanges.len() + 1);
    let (tallies, usage) = thread::scope(|scope| {
        let loops: Vec<_> = exchanges
            .into_iter()
            .map(|mut exchange| {
                let start = &start;
                scope.spawn(move || -> Result<Tally> {
                    let end = Until::Time(Instant::now() + warm_up);
                    let warm = closed_loop::run(&mut exchange, window, end);
                    // Whoever failed comes to the barrier too: the others wait for it.
                    start.wait();
                    warm?;
                    let end = Until::Time(Instant::now() + measure);
                    closed_loop::run(&mut exchange, window, end)
                })
            })
            .collect();
        start.wait();
        let before = meter.read()?;
        let tallies = loops
            .into_iter()
            .map(|each| each.join().expect("a load thread returns its errors"))
            .collect::<Result<Vec<Tally>>>()?;
        anyhow::Ok((tallies, meter.read()?.since(&before)))
    })?;
    Load::of(&tallies, usage)
}
