use super::{HeaderMatch, KeyValue, Moment};
use clap::Subcommand;
use std::path::PathBuf;

const ADD_EXAMPLES: &str = "\
Examples:
  trunkline topic add orders
  trunkline topic add alarms --option priorities=3 --option ttl=1h
  trunkline topic add prices --option dedupe=latest --option durability=interval
  trunkline topic add mails --option max_attempts=5 --option dead_letter=mails.dead

Options: priorities, default_priority, dedupe, dedupe_window, ttl, ack_timeout, max_attempts,
dead_letter, dead_letter_expired, retry, max_messages, max_bytes, overflow, durability, delivery,
unsubscribed, publish_id_window. What each means: docs/topics.md.";

const EDIT_EXAMPLES: &str = "\
Examples:
  trunkline topic edit orders ttl=2h max_attempts=5
  trunkline topic edit orders --unset ttl

It says what was and what is now. What can't change while messages are stored is refused, and said.";

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
    /// Change options of a topic
    #[command(after_help = EDIT_EXAMPLES)]
    Edit {
        /// Topic
        topic: String,
        #[command(flatten)]
        change: ChangeArgs,
    },
    Peek(PeekArgs),
    Redrive(RedriveArgs),
    Export(ExportArgs),
    Import(ImportArgs),
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

/// Options that change.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct ChangeArgs {
    /// Options and their new values
    #[arg(value_name = "OPTION=VALUE", required_unless_present = "unset")]
    pub(crate) options: Vec<KeyValue>,
    /// Option that is to be as if it had never been given; may be given several times
    #[arg(long, value_name = "OPTION")]
    pub(crate) unset: Vec<String>,
}

/// Which messages are meant: those that all of these agree on.
#[derive(Clone, Debug, Default, clap::Args)]
pub(crate) struct FilterArgs {
    /// Only messages with this key
    #[arg(long, value_name = "KEY")]
    pub(crate) key: Option<String>,
    /// Only messages of this group
    #[arg(long, value_name = "GROUP")]
    pub(crate) group: Option<String>,
    /// Only messages with this header, and this value if one is given
    #[arg(long, value_name = "NAME[=VALUE]")]
    pub(crate) header: Option<HeaderMatch>,
    /// Only messages published since then: a time, or how long ago, like 10m
    #[arg(long, value_name = "TIME")]
    pub(crate) since: Option<Moment>,
    /// Only messages published before then
    #[arg(long, value_name = "TIME")]
    pub(crate) until: Option<Moment>,
}

const PEEK_EXAMPLES: &str = "\
Examples:
  trunkline topic peek orders
  trunkline topic peek orders --subscription billing --limit 100
  trunkline topic peek orders --since 10m --header origin=shop
  trunkline --json topic peek orders --follow

Nothing is taken, and no attempt is counted. With --follow, messages are shown as they come, from
now on or from where --from or --since says; one that is consumed at once may be gone before it
is seen (a subscription of its own sees all).";

/// Look at messages without disturbing anything
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = PEEK_EXAMPLES)]
pub(crate) struct PeekArgs {
    /// Topic
    pub(crate) topic: String,
    /// What this subscription would be sent next [default: everything stored]
    #[arg(long, short, value_name = "NAME", conflicts_with = "follow")]
    pub(crate) subscription: Option<String>,
    /// Most messages shown [default: 10; any number with --follow]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) limit: Option<u64>,
    /// Begin with this message id
    #[arg(long, value_name = "ID")]
    pub(crate) from: Option<String>,
    #[command(flatten)]
    pub(crate) filter: FilterArgs,
    /// Go on: show new messages as they come, until Ctrl-C
    #[arg(long, short)]
    pub(crate) follow: bool,
}

const REDRIVE_EXAMPLES: &str = "\
Examples:
  trunkline topic redrive orders.dead --dry-run
  trunkline topic redrive orders.dead
  trunkline topic redrive orders.dead --key order-17 --json-payload --payload '{\"id\":17}'
  trunkline topic redrive orders.dead --to orders.retry --since 1h

Each goes back to the topic that it came from, there only to the subscription that gave it up, and
its attempts begin anew; with --to it is a new message for all subscriptions of that topic. It
leaves the one topic and is stored in the other in one step. Exit code 1 if some had to stay: where
they came from is gone or has no room, or a consumer holds them.";

/// Move dead letters back to where they came from, or to another topic
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = REDRIVE_EXAMPLES)]
pub(crate) struct RedriveArgs {
    /// Topic that has the dead letters
    pub(crate) topic: String,
    /// Topic that they go to [default: where each came from]
    #[arg(long, value_name = "TOPIC")]
    pub(crate) to: Option<String>,
    #[command(flatten)]
    pub(crate) filter: FilterArgs,
    /// Only this message
    #[arg(long, value_name = "ID")]
    pub(crate) id: Option<String>,
    /// Most messages moved [default: all]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) limit: Option<u64>,
    /// Only say what there is, by where it came from
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// New payload for all of them
    #[arg(long, value_name = "PAYLOAD")]
    pub(crate) payload: Option<String>,
    /// The new payload is JSON, and checked to be
    #[arg(long, requires = "payload")]
    pub(crate) json_payload: bool,
    /// New priority
    #[arg(long, value_name = "P")]
    pub(crate) priority: Option<u8>,
    /// Header to set; may be given several times
    #[arg(long, value_name = "NAME=VALUE")]
    pub(crate) set_header: Vec<KeyValue>,
    /// Header to remove; may be given several times
    #[arg(long, value_name = "NAME")]
    pub(crate) unset_header: Vec<String>,
}

const EXPORT_EXAMPLES: &str = "\
Examples:
  trunkline topic export orders > orders.jsonl
  trunkline topic export --all --out topics.jsonl

One JSON object a line: for each topic its options and subscriptions, its messages in the order in
which they were published, and an end. It disturbs nothing. While others publish and consume it is
not one point in time: for that, and for what each subscription still waits for, make a backup.";

/// Write topics with all their messages as lines of JSON
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = EXPORT_EXAMPLES)]
pub(crate) struct ExportArgs {
    /// Topics
    #[arg(
        value_name = "TOPIC",
        required_unless_present = "all",
        conflicts_with = "all"
    )]
    pub(crate) topics: Vec<String>,
    /// All topics
    #[arg(long)]
    pub(crate) all: bool,
    /// File to write, complete or not at all [default: stdout]
    #[arg(long, short, value_name = "FILE")]
    pub(crate) out: Option<PathBuf>,
}

const IMPORT_EXAMPLES: &str = "\
Examples:
  trunkline topic import orders.jsonl
  trunkline topic export orders | trunkline --url ws://other:7400/rpc topic import
  trunkline topic import orders.jsonl --topic orders.copy

Topics and subscriptions that aren't there are made; options that differ are refused. Every message
gets a new id and time and goes to all subscriptions. An import that was interrupted may be repeated:
within the topic's publish_id_window (2 minutes by default) each message is stored once; later, go on
behind what was confirmed with --skip.";

/// Publish what an export wrote
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = IMPORT_EXAMPLES)]
pub(crate) struct ImportArgs {
    /// File of an export; none or `-` reads stdin
    pub(crate) file: Option<PathBuf>,
    /// Topic that everything goes to [default: those of the export]
    #[arg(long, value_name = "NAME")]
    pub(crate) topic: Option<String>,
    /// Take topics that are there as they are, with other options and without the export's
    /// subscriptions
    #[arg(long)]
    pub(crate) as_is: bool,
    /// Leave out so many messages of the beginning
    #[arg(long, value_name = "N", default_value_t = 0, hide_default_value = true)]
    pub(crate) skip: u64,
    /// Connect again and go on if the server goes away
    #[arg(long)]
    pub(crate) retry: bool,
}
