use std::ffi::OsString;
use trunkline_model::Span;

const EXAMPLES: &str = "\
Examples:
  trunkline worker --handler text --method upper -- tr a-z A-Z
  trunkline worker --handler tools --method wc --method lines --concurrency 4 -- ./tool.sh
  trunkline worker --engine redis://127.0.0.1 --wire consumer-groups --category mt5 \
    --handler mt5 --method mt5_password -- ./mt5.pl

The program gets the params (JSON) on stdin. What it prints is the result: JSON if it is JSON,
else a JSON string without its last newline. An exit code other than 0 is an error, with the end
of stderr in its data. In its environment: TRUNKLINE_METHOD, and TRUNKLINE_DEADLINE (RFC 3339).
At the deadline it is killed, with everything that it started.

With --engine there is no Trunkline server in between: the program answers calls of whatever
gateways speak the wire on that Redis, and goes on when a lost connection is back. At the end,
running calls are finished and their answers written.";

/// Options of a worker without a server.
const DIRECT: &str = "Without a server";

/// A way that calls take.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum WireName {
    /// Trunkline's own, over topics and channels
    Native,
    /// Streams with consumer groups
    ConsumerGroups,
    /// Lists
    Rpcprocessor,
}

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
    /// Redis or Valkey on which it works, without a Trunkline server: redis://[USER:PASSWORD@]HOST[:PORT]
    #[arg(long, value_name = "URL", help_heading = DIRECT)]
    pub(crate) engine: Option<String>,
    /// How calls are written there
    #[arg(long, value_name = "NAME", help_heading = DIRECT, requires = "engine", value_enum, default_value_t = WireName::Native)]
    pub(crate) wire: WireName,
    /// consumer-groups: name of the consumer, with the index; of processes with the same name one at
    /// a time may run [default: a name that nobody else has]
    #[arg(long, value_name = "HOST", help_heading = DIRECT, requires = "engine")]
    pub(crate) consumer_host: Option<String>,
    /// consumer-groups: tells workers of one host apart
    #[arg(long, value_name = "N", help_heading = DIRECT, requires = "consumer_host", default_value_t = 0)]
    pub(crate) consumer_index: u32,
    /// rpcprocessor: read requests from a queue for each method, not ids from that of the handler
    #[arg(long, help_heading = DIRECT, requires = "engine")]
    pub(crate) by_method: bool,
    /// rpcprocessor: note what runs in a list of this name, and run it again after a crash
    #[arg(long, value_name = "NAME", help_heading = DIRECT, requires = "engine", conflicts_with = "by_method")]
    pub(crate) processing: Option<String>,
    /// rpcprocessor: longest time that a call may run, like 500ms or 5m, as this wire names no deadline
    /// [default: 30s]
    #[arg(long, value_name = "TIME", help_heading = DIRECT, requires = "engine")]
    pub(crate) call_timeout: Option<Span>,
    /// Program to run for each call, with its arguments
    #[arg(last = true, required = true, value_name = "CMD")]
    pub(crate) command: Vec<OsString>,
}
