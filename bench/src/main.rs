//! `trunkline-bench`: see `docs/bench.md`.

use std::process::ExitCode;

use clap::Parser;
use trunkline_bench::{Args, run};

fn main() -> ExitCode {
    match run(&Args::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("trunkline-bench: {error:#}");
            ExitCode::FAILURE
        }
    }
}
