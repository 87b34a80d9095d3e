use clap::Subcommand;

/// What to do with channels.
#[derive(Clone, Debug, Subcommand)]
pub(crate) enum ChannelCommand {
    Publish(PublishArgs),
    Listen(ListenArgs),
}

/// Send a message to whoever listens now, and print how many that were
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct PublishArgs {
    /// Channel
    pub(crate) name: String,
    /// Payload; `-` reads stdin
    pub(crate) payload: String,
    /// The payload is JSON, and checked to be
    #[arg(long)]
    pub(crate) json_payload: bool,
}

const LISTEN_EXAMPLES: &str = "\
Examples:
  trunkline channel listen ticks
  trunkline channel listen --pattern 'news.*' --pattern 'sport.[a-m]*' --json";

/// Print messages of channels as they come
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = LISTEN_EXAMPLES)]
pub(crate) struct ListenArgs {
    /// Channels; none with --pattern alone
    pub(crate) names: Vec<String>,
    /// Pattern of channel names: `*`, `?`, `[a-c]`, `[^x]`, `\` before a literal
    #[arg(long = "pattern", value_name = "P")]
    pub(crate) patterns: Vec<String>,
    /// End after so many messages
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) count: Option<u64>,
}
