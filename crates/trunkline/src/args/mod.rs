//! What was typed. What it means is decided in `commands`.

mod backup;
mod bench;
mod call;
mod channel;
mod completions;
mod config;
mod consume;
mod demo;
mod journal;
mod man;
mod publish;
mod restore;
mod serve;
mod subscription;
mod topic;
mod value;
mod worker;

pub(crate) use backup::BackupArgs;
pub(crate) use bench::BenchCommand;
pub(crate) use call::CallArgs;
pub(crate) use channel::{ChannelCommand, ListenArgs, PublishArgs as ChannelPublishArgs};
pub(crate) use completions::CompletionsArgs;
pub(crate) use config::{ConfigCommand, ConfigFormat};
pub(crate) use consume::ConsumeArgs;
pub(crate) use demo::DemoArgs;
pub(crate) use journal::JournalCommand;
pub(crate) use man::ManArgs;
pub(crate) use publish::{MessageArgs, PublishArgs};
pub(crate) use restore::RestoreArgs;
pub(crate) use serve::ServeArgs;
pub(crate) use subscription::SubscriptionCommand;
pub(crate) use topic::{
    ChangeArgs, ExportArgs, FilterArgs, ImportArgs, PeekArgs, RedriveArgs, TopicCommand,
};
use value::address;
pub(crate) use value::{HeaderMatch, KeyValue, Moment, StartAt};
pub(crate) use worker::{WireName, WorkerArgs};

use clap::{Parser, Subcommand};

const EXIT_CODES: &str = "\
Exit codes: 0 done, 1 the operation failed, 2 wrong usage or configuration,
            3 can't connect, 4 timed out.

Try it: trunkline demo";

/// Flags of every command stand below those of the command itself.
const GLOBAL: &str = "Global options";

/// Calls, queues and channels in one binary.
#[derive(Debug, Parser)]
#[command(name = "trunkline", version, after_help = EXIT_CODES, max_term_width = 100)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// Flags that every command takes.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Global {
    /// Server to talk to; for publish, consume and bench also stomp://[LOGIN:PASSCODE@]HOST[:PORT]
    #[arg(
        long,
        global = true,
        help_heading = GLOBAL,
        value_name = "URL",
        env = "TRUNKLINE_URL",
        default_value = "ws://127.0.0.1:7400/rpc",
        hide_env_values = true
    )]
    pub(crate) url: String,
    /// Token to present, as `Authorization: Bearer`
    #[arg(
        long,
        global = true,
        help_heading = GLOBAL,
        value_name = "TOKEN",
        env = "TRUNKLINE_TOKEN",
        hide_env_values = true
    )]
    pub(crate) token: Option<String>,
    /// Print one JSON object per line
    #[arg(long, global = true, help_heading = GLOBAL)]
    pub(crate) json: bool,
}

/// The verbs.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Serve(ServeArgs),
    Demo(DemoArgs),
    Call(CallArgs),
    Worker(WorkerArgs),
    Publish(PublishArgs),
    Consume(ConsumeArgs),
    /// Send to a channel, or listen to channels (transient: whoever listens now gets it)
    #[command(subcommand)]
    Channel(ChannelCommand),
    /// Look at and manage topics
    #[command(subcommand)]
    Topic(TopicCommand),
    /// Look at and manage durable subscriptions of a topic
    #[command(subcommand)]
    Subscription(SubscriptionCommand),
    /// Check a configuration, or print the default one
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Offline tools for the embedded store
    #[command(subcommand)]
    Journal(JournalCommand),
    Backup(BackupArgs),
    Restore(RestoreArgs),
    #[command(subcommand)]
    Bench(BenchCommand),
    /// Show what a server is, what its engine can do, and its limits
    Info,
    Completions(CompletionsArgs),
    Man(ManArgs),
    /// Print the version
    Version,
    /// The demo's worker, in a process of its own
    #[command(hide = true)]
    DemoWorker,
}
