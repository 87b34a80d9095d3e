use super::{KeyValue, StartAt};
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
        /// Option that differs from the topic's: ack_timeout, max_attempts, dead_letter, delivery, retry
        #[arg(long = "option", short, value_name = "K=V")]
        options: Vec<KeyValue>,
    },
    /// Remove a subscription and free its messages
    Rm {
        /// Topic
        topic: String,
        /// Subscription
        name: String,
    },
}
