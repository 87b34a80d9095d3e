use std::path::PathBuf;

const EXAMPLES: &str = "\
Examples:
  trunkline demo                        rounds with live traffic until Ctrl-C
  trunkline demo --once                 one round; exit code 0 only if every count agrees
  trunkline demo --input access.log     your own lines";

/// See it work: server, worker and consumer as separate processes, on a real log file
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct DemoArgs {
    /// One round, checked, then end
    #[arg(long)]
    pub(crate) once: bool,
    /// File whose lines are published [default: the first readable log of this machine]
    #[arg(long, value_name = "FILE")]
    pub(crate) input: Option<PathBuf>,
    /// Messages a round; the file's lines are repeated or cut to that number
    #[arg(long, value_name = "N", default_value_t = 1_000_000, value_parser = clap::value_parser!(u64).range(1..=10_000_000))]
    pub(crate) messages: u64,
    /// Calls a round
    #[arg(long, value_name = "N", default_value_t = 40_000, value_parser = clap::value_parser!(u64).range(1..=10_000_000))]
    pub(crate) calls: u64,
}
