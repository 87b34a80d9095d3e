//! The `trunkline` program: `args` is what was typed, `commands` has one file per verb.

mod args;
mod backup;
mod commands;
mod context;
mod failure;
mod latency;
mod output;
mod process;
mod progress;
mod signal;
mod text;

use args::{Cli, Command};
use clap::Parser;
use context::Context;
use std::process::ExitCode;

fn main() -> ExitCode {
    let cli = Cli::parse();
    let context = Context::new(cli.global);
    let outcome = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(failure::Failure::from)
        .and_then(|runtime| runtime.block_on(run(cli.command, &context)));
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(context.output.json),
    }
}

async fn run(command: Command, context: &Context) -> Result<(), failure::Failure> {
    match command {
        Command::Backup(args) => commands::backup(context, args).await,
        Command::Bench(command) => commands::bench(context, command).await,
        Command::Call(args) => commands::call(context, args).await,
        Command::Channel(command) => commands::channel(context, command).await,
        Command::Completions(args) => commands::completions(context, &args),
        Command::Config(command) => commands::config(context, command),
        Command::Consume(args) => commands::consume(context, args).await,
        Command::Demo(args) => commands::demo(context, args).await,
        Command::DemoWorker => commands::demo_worker(context).await,
        Command::Info => commands::server_info(context).await,
        Command::Journal(command) => commands::journal(context, &command),
        Command::Man(args) => commands::man(context, &args),
        Command::Publish(args) => commands::publish(context, args).await,
        Command::Restore(args) => commands::restore(context, args).await,
        Command::Serve(args) => commands::serve(context, args).await,
        Command::Subscription(command) => commands::subscription(context, command).await,
        Command::Topic(command) => commands::topic(context, command).await,
        Command::Version => commands::version(context),
        Command::Worker(args) => commands::worker(context, args).await,
    }
}
