use super::StartAt;
use std::ffi::OsString;
use trunkline_model::Span;

const EXAMPLES: &str = "\
Examples:
  trunkline consume orders --subscription billing
  trunkline consume numbers --subscription audit --from all --idle-timeout 2s > numbers.txt
  trunkline consume orders --subscription mail --exec ./send-mail.sh

A message is acknowledged once its payload and a newline are written to stdout, or once the
program of --exec ended with exit code 0. With another one it goes back to the queue, and comes again
after the wait that the option `retry` of the subscription or its topic says; without one after 100 ms,
twice as long after each further failure, at most 10 s. Several consumers of one subscription share its
messages. If the server goes away it ends with exit
code 1; with --retry it connects again and goes on, and what it had handled is not handled twice.

Over --url stomp://HOST the messages come from /queue/TOPIC if NAME is `queue`, from
/subscription/TOPIC/NAME otherwise, or from TOPIC if that begins with a slash: any STOMP server
will do. --from can't be said there.";

/// Take messages from a subscription of a topic and print them
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct ConsumeArgs {
    /// Topic
    pub(crate) topic: String,
    /// Subscription; made if it isn't there
    #[arg(long, short, value_name = "NAME")]
    pub(crate) subscription: String,
    /// Where a new subscription starts: with all that is stored, or with the next new message
    /// [default: all for a topic's first, else new]
    #[arg(long, value_name = "WHERE")]
    pub(crate) from: Option<StartAt>,
    /// End after so many messages
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) count: Option<u64>,
    /// End when nothing came for so long, like 2s; exit code 4 if --count wasn't reached
    #[arg(long, value_name = "TIME")]
    pub(crate) idle_timeout: Option<Span>,
    /// Look only: nothing is acknowledged, everything goes back at the end
    #[arg(long)]
    pub(crate) no_ack: bool,
    /// Connect again and go on if the server goes away
    #[arg(long, conflicts_with = "no_ack")]
    pub(crate) retry: bool,
    /// Most messages taken and not yet acknowledged [default: 1000; 1 with --exec]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub(crate) credit: Option<u32>,
    /// Run a program for each message, with the payload on stdin (takes the rest of the line)
    #[arg(long, value_name = "CMD", num_args = 1.., allow_hyphen_values = true)]
    pub(crate) exec: Option<Vec<OsString>>,
}
