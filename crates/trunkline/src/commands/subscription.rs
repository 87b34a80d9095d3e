use super::{
    info::{Topic, read},
    options,
    topic::{changes, edit, remove, subscriptions},
};
use crate::{args::SubscriptionCommand, context::Context, failure::Failure, text};
use serde::Deserialize;
use serde_json::{Value, json, value::RawValue};
use trunkline_model::SubscriptionSettings;

pub(crate) async fn subscription(
    context: &Context,
    command: SubscriptionCommand,
) -> Result<(), Failure> {
    let settings = match &command {
        SubscriptionCommand::Add { options, .. } => {
            options::read(options, SubscriptionSettings::MEMBERS)?
        }
        _ => Value::Null,
    };
    match command {
        SubscriptionCommand::Ls { topic } => list(context, &topic).await,
        SubscriptionCommand::Add {
            topic, name, from, ..
        } => {
            let mut params = json!({"topic": topic, "subscription": name, "options": settings});
            if let Some(from) = from {
                params["from"] = json!(from.start());
            }
            add(context, &name, params).await
        }
        SubscriptionCommand::Edit {
            topic,
            name,
            change,
        } => {
            let mut params = changes(&change, SubscriptionSettings::MEMBERS)?;
            params["topic"] = json!(topic);
            params["subscription"] = json!(name);
            edit(context, &name, &params).await
        }
        SubscriptionCommand::Rm { topic, name } => {
            let params = json!({"topic": topic, "subscription": name});
            remove(context, "rpc.topic.unsubscribe", params).await
        }
    }
}

async fn list(context: &Context, topic: &str) -> Result<(), Failure> {
    #[derive(Deserialize)]
    struct Raw {
        #[serde(default)]
        subscriptions: Vec<Box<RawValue>>,
    }
    let (client, _pushes) = context.connect().await?;
    let answer = client
        .request("rpc.topic.inspect", &json!({"topic": topic}))
        .await?;
    if context.output.json {
        for subscription in read::<Raw>(&answer)?.subscriptions {
            context.output.object(&subscription)?;
        }
        return Ok(());
    }
    let topic: Topic = read(&answer)?;
    if topic.subscriptions.is_empty() {
        eprintln!(
            "{}: no subscriptions; messages are kept for the first one",
            topic.name
        );
        return Ok(());
    }
    subscriptions(context.output, &topic)
}

async fn add(context: &Context, name: &str, params: Value) -> Result<(), Failure> {
    #[derive(Deserialize)]
    struct Subscribed {
        created: bool,
        released: Option<u64>,
    }
    let (client, _pushes) = context.connect().await?;
    let answer = client.request("rpc.topic.subscribe", &params).await?;
    if context.output.json {
        return Ok(context.output.object(&answer)?);
    }
    let Subscribed { created, released } = read(&answer)?;
    eprintln!(
        "{name}: {}",
        if created { "made" } else { "was there already" }
    );
    if let Some(released @ 1..) = released {
        eprintln!(
            "released {} that no subscription waits for",
            text::counted(released, "message")
        );
    }
    Ok(())
}
