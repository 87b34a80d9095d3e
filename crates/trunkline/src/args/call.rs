use trunkline_model::Span;

const EXAMPLES: &str = "\
Examples:
  trunkline call add '[1,2]'
  echo '{\"text\":\"hello\"}' | trunkline call upper -
  trunkline call ping --repeat 10000 --concurrency 64     latency summary";

/// Call a method and print its result
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct CallArgs {
    /// Method to call
    pub(crate) method: String,
    /// Params: a JSON object or array; `-` reads them from stdin
    pub(crate) params: Option<String>,
    /// Longest wait for the answer, like 500ms or 5s [default: the method's own]
    #[arg(long, value_name = "TIME")]
    pub(crate) timeout: Option<Span>,
    /// Show progress that the worker reports, on stderr
    #[arg(long)]
    pub(crate) progress: bool,
    /// Call so many times and print a latency summary
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) repeat: u64,
    /// Calls in flight at once, with --repeat
    #[arg(long, value_name = "C", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=4096))]
    pub(crate) concurrency: u16,
    /// Give this key to calls that mean the same: a repeated one gets the first one's answer
    #[arg(long, value_name = "KEY", conflicts_with = "repeat")]
    pub(crate) idempotency_key: Option<String>,
}
