//! `cargo xtask …`: one entry for everything a developer or a CI machine does with this
//! repository. Run it without arguments for the list.

mod bench;
mod fuzz;
mod process;
mod sim;
mod soak;
mod tally;
mod test;
mod test_env;
mod tidy;
mod workspace;

use std::process::{Command, ExitCode};

use clap::{Parser, Subcommand};

use crate::workspace::Workspace;

#[derive(Parser)]
#[command(
    bin_name = "cargo xtask",
    about = "Everything a developer or a CI machine does here"
)]
struct Arguments {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Run all tests, after installing what they need
    Test {
        /// Handed on to `cargo test --workspace`
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
    /// Check what a machine can: crate graph, lengths, links, leftovers
    Tidy,
    /// Measure a release build
    Bench {
        /// Handed on to the load generator
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
    /// Kill a server under load again and again, and compare it with independent ledgers
    Soak(soak::Soak),
    /// Run the durable store through seeded histories of crashes and disk failures
    Sim {
        /// Handed on to the simulator; `--release` first builds it for release
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
    /// Try inputs that a fuzzer makes up on what reads bytes of others; needs cargo-fuzz
    Fuzz(fuzz::Fuzz),
    /// Run what CI runs: .ci/run
    Ci,
}

fn main() -> ExitCode {
    match run(Arguments::parse().task) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(task: Task) -> anyhow::Result<ExitCode> {
    let workspace = Workspace::load()?;
    match task {
        Task::Test { arguments } => test::run(&workspace, &arguments),
        Task::Tidy => tidy::run(&workspace),
        Task::Bench { arguments } => bench::run(&workspace, &arguments),
        Task::Soak(soak) => soak::run(&workspace, &soak),
        Task::Sim { arguments } => sim::run(&workspace, &arguments),
        Task::Fuzz(fuzz) => fuzz::run(&workspace, &fuzz),
        Task::Ci => process::exit_code(&mut Command::new(workspace.root.join(".ci/run"))),
    }
}
