use super::KeyValue;
use clap::Subcommand;

const ADD_EXAMPLES: &str = "\
Examples:
  trunkline topic add orders
  trunkline topic add alarms --option priorities=3 --option ttl=1h
  trunkline topic add prices --option dedupe=latest --option durability=interval

Options: priorities, default_priority, dedupe, dedupe_window, ttl, ack_timeout, max_attempts,
dead_letter, retry, max_messages, max_bytes, overflow, durability, delivery, unsubscribed,
publish_id_window. What each means: docs/configuration.md.";

/// What to do with topics.
#[derive(Clone, Debug, Subcommand)]
pub(crate) enum TopicCommand {
    /// List topics
    Ls,
    /// Make a topic; the same options again are fine
    #[command(after_help = ADD_EXAMPLES)]
    Add {
        /// Topic
        topic: String,
        /// Option; may be given several times
        #[arg(long = "option", short, value_name = "K=V")]
        options: Vec<KeyValue>,
    },
    /// Show one topic with its options and subscriptions
    Info {
        /// Topic
        topic: String,
    },
    Peek(PeekArgs),
    /// Remove the waiting messages of a topic, or of one subscription
    Purge {
        /// Topic
        topic: String,
        /// Only this subscription
        #[arg(long, short, value_name = "NAME")]
        subscription: Option<String>,
    },
    /// Remove a topic with its subscriptions and messages
    Rm {
        /// Topic
        topic: String,
    },
}

/// Look at messages without disturbing anything
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct PeekArgs {
    /// Topic
    pub(crate) topic: String,
    /// What this subscription would be sent next [default: everything stored]
    #[arg(long, short, value_name = "NAME")]
    pub(crate) subscription: Option<String>,
    /// Most messages shown
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=1_000))]
    pub(crate) limit: u64,
    /// Begin with this message id
    #[arg(long, value_name = "ID")]
    pub(crate) from: Option<String>,
}
