//! `cargo xtask sim`: runs seeded worlds; see `docs/simulation.md`.

use clap::Parser;
use std::{
    ops::Range,
    process::ExitCode,
    time::{Duration, Instant},
};
use trunkline_sim::{Failure, Flaw, Tally, Transcript, history, run, run_seed, shrink};

/// How often a long run says how far it is.
const SAYS_EVERY: Duration = Duration::from_secs(5);

#[derive(Parser)]
#[command(
    bin_name = "cargo xtask sim",
    about = "Runs the durable store through seeded histories of crashes and disk failures"
)]
struct Arguments {
    /// Runs one seed and prints its history
    #[arg(long, conflicts_with_all = ["seeds", "minutes"])]
    seed: Option<u64>,
    /// Runs the seeds A..B
    #[arg(long, value_parser = seeds, value_name = "A..B")]
    seeds: Option<Range<u64>>,
    /// Runs seeds for so many minutes, from the first of --seeds, or from one that the clock gives
    #[arg(long)]
    minutes: Option<u64>,
}

fn seeds(text: &str) -> Result<Range<u64>, String> {
    let wrong = || format!("{text:?} is not a range of seeds; write it like 0..500");
    let (first, end) = text.split_once("..").ok_or_else(wrong)?;
    let first = first.parse().map_err(|_| wrong())?;
    let end = end.parse().map_err(|_| wrong())?;
    if first < end {
        Ok(first..end)
    } else {
        Err(wrong())
    }
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match arguments.seed {
        Some(seed) => one(seed),
        None => many(&arguments),
    }
}

/// One seed, told.
fn one(seed: u64) -> ExitCode {
    match run(&history(seed), Flaw::None, Transcript::kept()) {
        Ok((tally, transcript)) => {
            for line in transcript.lines() {
                println!("{line}");
            }
            println!("{}", summary(1, tally));
            ExitCode::SUCCESS
        }
        Err(failure) => {
            for line in failure.transcript.lines() {
                println!("{line}");
            }
            report(seed, &failure)
        }
    }
}

/// Seeds one after the other, until one fails, none is left, or the time is over.
fn many(arguments: &Arguments) -> ExitCode {
    let started = Instant::now();
    let until = arguments.minutes.map(|m| Duration::from_secs(m * 60));
    let range = arguments.seeds.clone().unwrap_or(match until {
        None => 0..500,
        Some(_) => 0..u64::MAX,
    });
    let (mut tally, mut count, mut said) = (Tally::default(), 0, Duration::ZERO);
    for seed in range {
        match run_seed(seed) {
            Ok(run) => tally.add(run),
            Err(failure) => return report(seed, &failure),
        }
        count += 1;
        let elapsed = started.elapsed();
        if elapsed >= said + SAYS_EVERY {
            said = elapsed;
            eprintln!("seed {seed}: {}", rates(count, tally, elapsed));
        }
        if until.is_some_and(|until| elapsed >= until) {
            break;
        }
    }
    println!("{}", summary(count, tally));
    println!("{}", rates(count, tally, started.elapsed()));
    ExitCode::SUCCESS
}

fn summary(seeds: u64, tally: Tally) -> String {
    let Tally {
        operations,
        published,
        delivered,
        starts,
        buried,
        freed,
    } = tally;
    format!(
        "{seeds} seeds kept every promise: {operations} operations, {published} messages, {delivered} deliveries, {buried} dead letters, {starts} starts, {freed} segments freed"
    )
}

fn rates(seeds: u64, tally: Tally, elapsed: Duration) -> String {
    let secs = elapsed.as_secs_f64().max(0.001);
    format!(
        "{:.1} seeds/s, {:.0} operations/s, {:.0} starts/s",
        seeds as f64 / secs,
        tally.operations as f64 / secs,
        tally.starts as f64 / secs
    )
}

fn report(seed: u64, failure: &Failure) -> ExitCode {
    println!("seed {seed} breaks a promise: {}", failure.violation);
    println!(
        "It shows after {} operations. Shrinking ...",
        failure.history.len()
    );
    let shortest = shrink(failure, Flaw::None);
    println!(
        "The shortest history found has {} operations: {}\n",
        shortest.history.len(),
        shortest.violation
    );
    for line in shortest.transcript.lines() {
        println!("{line}");
    }
    println!("\nAs a story, for crates/sim/tests/stories.rs:\n");
    for op in &shortest.history {
        println!("        {op}");
    }
    println!("\nAgain, with everything that happened: cargo xtask sim --seed {seed}");
    ExitCode::FAILURE
}
