//! What was typed.

use std::path::PathBuf;

use clap::Parser;

/// Measures a Trunkline server next to what the machine alone can do.
///
/// Without --url it starts the server of $TRUNKLINE_BIN for every workload of every run, with an
/// empty data directory that is removed afterwards.
#[derive(Clone, Debug, Parser)]
#[command(name = "trunkline-bench", version)]
pub struct Args {
    /// The server's binary.
    #[arg(long, env = "TRUNKLINE_BIN", value_name = "FILE")]
    pub binary: Option<PathBuf>,

    /// Measure the running server at this ws:// URL instead of starting one.
    #[arg(long, value_name = "URL")]
    pub url: Option<String>,

    /// The process of the server at --url, to see its CPU and memory.
    #[arg(long, requires = "url", value_name = "PID")]
    pub pid: Option<u32>,

    /// Where the server at --url speaks STOMP, such as 127.0.0.1:61613; without it, workloads over
    /// STOMP are left out.
    #[arg(long, requires = "url", value_name = "HOST:PORT")]
    pub stomp: Option<String>,

    /// Workloads or groups of them, separated by commas; all without this. See --list.
    #[arg(long, value_delimiter = ',', value_name = "LIST")]
    pub workloads: Vec<String>,

    /// How often each workload runs; the table shows medians.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    pub runs: u32,

    /// Short runs: a first impression, no figures to quote.
    #[arg(long)]
    pub quick: bool,

    /// Messages of the workloads with a backlog, instead of 1,000,000; those that are far behind have
    /// ten times as many.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub backlog: Option<u64>,

    /// Also write everything measured to this file.
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,

    /// Also write the tables to NAME.txt and everything measured to NAME.json: a run to be kept,
    /// such as bench/runs/2026-11-20-first.
    #[arg(long, value_name = "NAME")]
    pub save: Option<PathBuf>,

    /// Where data directories are made. Must be on the disk that is to be measured, not on tmpfs.
    #[arg(long, default_value = "target/bench", value_name = "DIR")]
    pub data_root: PathBuf,

    /// What to compare with.
    #[cfg(feature = "peers")]
    #[command(flatten)]
    pub peers: crate::peers::PeerArgs,

    /// Print the workloads and end.
    #[arg(long)]
    pub list: bool,
}
