use std::{net::SocketAddr, path::PathBuf};
use trunkline::StompListen;

const EXAMPLES: &str = "\
Examples:
  trunkline serve                                  durable, in ./trunkline-data
  trunkline serve --engine memory:                 nothing on disk, gone at exit
  trunkline serve --engine redis://127.0.0.1       topics and channels on Redis, with others
  trunkline serve --data /var/lib/trunkline --http 127.0.0.1:7401 --stomp off
  trunkline serve --config trunkline.yaml          see `trunkline config default`

With --json, one line on stdout tells that it is ready and where:
  {\"event\":\"ready\",\"http\":\"127.0.0.1:7400\",\"url\":\"ws://127.0.0.1:7400/rpc\",
   \"stomp\":\"127.0.0.1:61613\",…}

Ctrl-C or SIGTERM drains and ends within 10 s; a second one ends at once.";

/// Run the server
#[derive(Clone, Debug, Default, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct ServeArgs {
    /// Configuration file (.yaml, .yml or .toml)
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Engine: `embedded:PATH`, `memory:` or `redis://HOST:PORT` [default: embedded:trunkline-data]
    #[arg(long, value_name = "URL")]
    pub(crate) engine: Option<String>,
    /// Data directory of the embedded engine; short for --engine embedded:DIR
    #[arg(long, value_name = "DIR", conflicts_with = "engine")]
    pub(crate) data: Option<PathBuf>,
    /// Wait for a Redis that doesn't answer at the start, instead of giving up after 5 s
    #[arg(long)]
    pub(crate) wait: bool,
    /// HTTP and WebSocket address; port 0 takes a free one [default: 127.0.0.1:7400]
    #[arg(long, value_name = "ADDR", value_parser = super::address)]
    pub(crate) http: Option<SocketAddr>,
    /// STOMP address, or `off`; port 0 takes a free one [default: 127.0.0.1:61613]
    #[arg(long, value_name = "ADDR")]
    pub(crate) stomp: Option<StompListen>,
    /// Allow an address that others can reach, although nobody has to log in
    #[arg(long)]
    pub(crate) insecure: bool,
}
