use super::KeyValue;
use trunkline_model::Span;

const EXAMPLES: &str = "\
Examples:
  trunkline publish orders 'first' 'second'
  trunkline publish orders --json-payload '{\"id\":7}' --key 7
  seq 1 200000 | trunkline publish numbers --lines
  trunkline publish reports < report.pdf

It ends once every message is durable. If the server goes away it says `confirmed N of M` and
ends with exit code 1: the first N messages are safe, the others may be. With --retry it connects
again and goes on, and each message is stored once.

Over --url stomp://HOST the messages go to /queue/TOPIC, or to TOPIC if that begins with a slash:
any STOMP server will do. --priority is then 0 to 9, and ids are not told.";

/// Publish messages to a topic
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct PublishArgs {
    /// Topic
    pub(crate) topic: String,
    /// Payloads, one message each; none or `-` reads stdin
    pub(crate) payload: Vec<String>,
    /// Every line of stdin is a message
    #[arg(long)]
    pub(crate) lines: bool,
    /// Connect again and go on if the server goes away
    #[arg(long)]
    pub(crate) retry: bool,
    #[command(flatten)]
    pub(crate) message: MessageArgs,
}

/// What all messages of one command have in common.
#[derive(Clone, Debug, Default, clap::Args)]
pub(crate) struct MessageArgs {
    /// Payloads are JSON, and checked to be
    #[arg(long)]
    pub(crate) json_payload: bool,
    /// Key, for topics that replace or drop messages with the same one
    #[arg(long, value_name = "KEY")]
    pub(crate) key: Option<String>,
    /// Group: its messages go to one consumer at a time, in order
    #[arg(long, value_name = "GROUP")]
    pub(crate) group: Option<String>,
    /// Priority; 0 is most urgent [default: the topic's]
    #[arg(long, value_name = "P")]
    pub(crate) priority: Option<u8>,
    /// Time to live, like 30s or 2d [default: the topic's]
    #[arg(long, value_name = "TIME")]
    pub(crate) ttl: Option<Span>,
    /// Hold back for this time
    #[arg(long, value_name = "TIME")]
    pub(crate) delay: Option<Span>,
    /// Header; may be given several times
    #[arg(long = "header", value_name = "K=V")]
    pub(crate) headers: Vec<KeyValue>,
}
