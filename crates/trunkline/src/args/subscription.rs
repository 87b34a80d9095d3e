use super::{ChangeArgs, KeyValue, StartAt};
use clap::Subcommand;

/// What to do with subscriptions.
#[derive(Clone, Debug, Subcommand)]
pub(crate) enum SubscriptionCommand {
    /// List the subscriptions of a topic
    Ls {
        /// Topic
        topic: String,
    },
    /// Make a durable subscription; the same again is fine
    Add {
        /// Topic
        topic: String,
        /// Subscription
        name: String,
        /// Where it starts: with all that is stored, or with the next new message [default: all for a
        /// topic's first, else new]
        #[arg(long, value_name = "WHERE")]
        from: Option<StartAt>,
        /// Option that differs from the topic's: ack_timeout, max_attempts, dead_letter,
        /// dead_letter_expired, delivery, retry, max_messages, max_bytes, overflow
        #[arg(long = "option", short, value_name = "K=V")]
        options: Vec<KeyValue>,
    },
    /// Change options that a subscription has of its own
    Edit {
        /// Topic
        topic: String,
        /// Subscription
        name: String,
        #[command(flatten)]
        change: ChangeArgs,
    },
    /// Remove a subscription and free its messages
    Rm {
        /// Topic
        topic: String,
        /// Subscription
        name: String,
    },
}
