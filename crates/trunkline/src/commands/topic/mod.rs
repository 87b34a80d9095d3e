mod edit;
mod export;
mod import;
mod lines;
mod pages;
mod peek;
mod redrive;
mod show;

use super::{info::read, options};
use crate::{args::TopicCommand, context::Context, failure::Failure, output::Output, text};
pub(super) use edit::{changes, edit};
use serde_json::{Value, json};
pub(super) use show::subscriptions;
use trunkline::Connection;
use trunkline_model::TopicSettings;

pub(crate) async fn topic(context: &Context, command: TopicCommand) -> Result<(), Failure> {
    let output = context.output;
    match command {
        TopicCommand::Ls => {
            let (client, _pushes) = context.connect().await?;
            show::list(output, &client).await
        }
        TopicCommand::Add { topic, options } => {
            // Mistakes in what was typed are told without a server.
            let options = options::read(&options, TopicSettings::MEMBERS)?;
            let (client, _pushes) = context.connect().await?;
            add(output, &client, &topic, options).await
        }
        TopicCommand::Info { topic } => {
            let (client, _pushes) = context.connect().await?;
            show::info(output, &client, &topic).await
        }
        TopicCommand::Edit { topic, change } => {
            let mut params = changes(&change, TopicSettings::MEMBERS)?;
            params["topic"] = json!(topic);
            edit(context, &topic, &params).await
        }
        TopicCommand::Peek(args) => peek::peek(context, &args).await,
        TopicCommand::Redrive(args) => redrive::redrive(context, &args).await,
        TopicCommand::Export(args) => export::export(context, &args).await,
        TopicCommand::Import(args) => import::import(context, args).await,
        TopicCommand::Purge {
            topic,
            subscription,
        } => {
            let mut params = json!({"topic": topic});
            if let Some(subscription) = subscription {
                params["subscription"] = json!(subscription);
            }
            remove(context, "rpc.topic.purge", params).await
        }
        TopicCommand::Rm { topic } => {
            remove(context, "rpc.topic.delete", json!({"topic": topic})).await
        }
    }
}

async fn add(
    output: Output,
    client: &Connection,
    topic: &str,
    options: Value,
) -> Result<(), Failure> {
    let params = json!({"topic": topic, "options": options});
    let answer = client.request("rpc.topic.declare", &params).await?;
    if output.json {
        output.object(&answer)?;
    } else {
        let created = read::<Value>(&answer)?["created"] == json!(true);
        eprintln!(
            "{topic}: {}",
            if created { "made" } else { "was there already" }
        );
    }
    Ok(())
}

/// Purges or deletes, and shows what the server says.
pub(super) async fn remove(context: &Context, method: &str, params: Value) -> Result<(), Failure> {
    let (client, _pushes) = context.connect().await?;
    let answer = client.request(method, &params).await?;
    if context.output.json {
        return Ok(context.output.object(&answer)?);
    }
    let removed = read::<Value>(&answer)?["purged"]
        .as_u64()
        .unwrap_or_default();
    eprintln!("removed {}", text::counted(removed, "message"));
    Ok(())
}
