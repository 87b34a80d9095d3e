//! How long a soak is, and what it saw.

use super::ledger::Sums;
use std::{
    env,
    time::{Duration, Instant},
};

const SEED: u64 = 7;

/// How long, and which.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plan {
    pub(crate) seed: u64,
    kills: u64,
    /// If given, what counts instead of the kills.
    until: Option<Instant>,
    /// Whether somebody looks on.
    pub(crate) long: bool,
}

impl Plan {
    /// The short one, with so many kills, unless the environment asks for more.
    pub(crate) fn from_environment(short: u64) -> Self {
        let number = |name| -> Option<u64> {
            let value = env::var(name).ok()?;
            Some(value.parse().expect("a number"))
        };
        let kills = number("TRUNKLINE_SOAK_KILLS");
        let minutes = number("TRUNKLINE_SOAK_MINUTES");
        Self {
            seed: number("TRUNKLINE_SOAK_SEED").unwrap_or(SEED),
            kills: kills.unwrap_or(short),
            until: minutes.map(|minutes| Instant::now() + Duration::from_secs(minutes * 60)),
            long: kills.is_some() || minutes.is_some(),
        }
    }

    pub(crate) fn is_over(&self, report: &Report) -> bool {
        match self.until {
            Some(until) => Instant::now() >= until,
            None => report.kills >= self.kills,
        }
    }

    /// Events between two ends of the server, at most.
    pub(crate) fn events_max(&self) -> u64 {
        if self.long { 6_000 } else { 1_500 }
    }
}

/// What was seen.
#[derive(Debug, Default)]
pub(crate) struct Report {
    pub(crate) kills: u64,
    pub(crate) stops: u64,
    pub(crate) killed_while_opening: u64,
    pub(crate) killed_programs: u64,
    /// Copies that were made under load and checked, and such that were cut off.
    pub(crate) copies: u64,
    pub(crate) cut_copies: u64,
    /// From the start of the process until it is ready.
    pub(crate) starts: Vec<Duration>,
}

impl Report {
    /// One line, while it goes on.
    pub(crate) fn progress(&self, sums: Sums) -> String {
        format!(
            "soak: {} kills, {} stops; {} confirmed, {} delivered, {} of them again",
            self.kills, self.stops, sums.confirmed, sums.delivered, sums.repeated
        )
    }

    /// All of it, at the end.
    pub(crate) fn summary(&mut self, sums: Sums, again: u64, took: Duration) -> String {
        self.starts.sort();
        let start = |part: usize| {
            let last = self.starts.len().saturating_sub(1);
            self.starts
                .get(last * part / 100)
                .copied()
                .unwrap_or_default()
        };
        format!(
            "{}\n\
             killed while opening: {}; consumers killed or ended: {}\n\
             copies under load: {}, cut off: {}\n\
             acks answered: {}; dead letters: {}; publishes sent again: {again}\n\
             ready after: median {:?}, 90th percentile {:?}, longest {:?}\n\
             no rule was broken in {took:.1?}",
            self.progress(sums),
            self.killed_while_opening,
            self.killed_programs,
            self.copies,
            self.cut_copies,
            sums.settled,
            sums.dead,
            start(50),
            start(90),
            start(100),
        )
    }
}
