use std::ffi::OsString;

const EXAMPLES: &str = "\
Examples:
  trunkline worker --handler text --method upper -- tr a-z A-Z
  trunkline worker --handler tools --method wc --method lines --concurrency 4 -- ./tool.sh

The program gets the params (JSON) on stdin. What it prints is the result: JSON if it is JSON,
else a JSON string without its last newline. An exit code other than 0 is an error, with the end
of stderr in its data. In its environment: TRUNKLINE_METHOD, and TRUNKLINE_DEADLINE (RFC 3339).
At the deadline it is killed, with everything that it started.";

/// Make any program a worker
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct WorkerArgs {
    /// Name of the handler: the set of methods that this program offers
    #[arg(long, value_name = "NAME")]
    pub(crate) handler: String,
    /// Method that it answers; may be given several times
    #[arg(long = "method", value_name = "METHOD", required = true)]
    pub(crate) methods: Vec<String>,
    /// Programs running at once
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub(crate) concurrency: u32,
    /// A call may be repeated on another worker if this one is lost
    #[arg(long)]
    pub(crate) idempotent: bool,
    /// Class of the calls: time-out and bounds as configured for it
    #[arg(long, value_name = "NAME")]
    pub(crate) category: Option<String>,
    /// Program to run for each call, with its arguments
    #[arg(last = true, required = true, value_name = "CMD")]
    pub(crate) command: Vec<OsString>,
}
