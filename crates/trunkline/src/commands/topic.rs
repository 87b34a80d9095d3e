use super::{
    info::{Subscription, Topic, read},
    options,
};
use crate::{
    args::{PeekArgs, TopicCommand},
    context::Context,
    failure::Failure,
    output::Output,
    text,
};
use serde::Deserialize;
use serde_json::{Value, json, value::RawValue};
use trunkline::{Connection, Received};
use trunkline_model::TopicSettings;

pub(crate) async fn topic(context: &Context, command: TopicCommand) -> Result<(), Failure> {
    // Mistakes in what was typed are told without a server.
    let settings = match &command {
        TopicCommand::Add { options, .. } => options::read(options, TopicSettings::MEMBERS)?,
        _ => Value::Null,
    };
    let (client, _pushes) = context.connect().await?;
    let output = context.output;
    match command {
        TopicCommand::Ls => list(output, &client).await,
        TopicCommand::Add { topic, .. } => add(output, &client, &topic, settings).await,
        TopicCommand::Info { topic } => info(output, &client, &topic).await,
        TopicCommand::Peek(args) => peek(output, &client, &args).await,
        TopicCommand::Purge {
            topic,
            subscription,
        } => {
            let mut params = json!({"topic": topic});
            if let Some(subscription) = subscription {
                params["subscription"] = json!(subscription);
            }
            remove(output, &client, "rpc.topic.purge", params).await
        }
        TopicCommand::Rm { topic } => {
            remove(output, &client, "rpc.topic.delete", json!({"topic": topic})).await
        }
    }
}

/// All topics, page by page.
pub(super) async fn all(client: &Connection) -> Result<Vec<Box<RawValue>>, Failure> {
    const PAGE: usize = 1_000;
    #[derive(Deserialize)]
    struct Page {
        topics: Vec<Box<RawValue>>,
    }
    let mut topics: Vec<Box<RawValue>> = Vec::new();
    loop {
        let mut params = json!({"limit": PAGE});
        if let Some(last) = topics.last() {
            params["after"] = json!(read::<Topic>(last)?.name);
        }
        let page: Page = client.ask("rpc.topic.list", &params).await?;
        let full = page.topics.len() >= PAGE;
        topics.extend(page.topics);
        if !full {
            return Ok(topics);
        }
    }
}

async fn list(output: Output, client: &Connection) -> Result<(), Failure> {
    let topics = all(client).await?;
    if output.json {
        for topic in &topics {
            output.object(topic)?;
        }
        return Ok(());
    }
    let mut rows = Vec::with_capacity(topics.len());
    for topic in &topics {
        let topic: Topic = read(topic)?;
        let durability = topic.options["durability"].as_str().unwrap_or_default();
        rows.push(vec![
            topic.name,
            text::count(topic.messages),
            text::bytes(topic.bytes),
            text::count(topic.published),
            text::count(topic.subscriptions.len() as u64),
            durability.to_owned(),
        ]);
    }
    if rows.is_empty() {
        eprintln!("no topics yet; make one with `trunkline topic add NAME`, or publish");
        return Ok(());
    }
    let head = [
        "TOPIC",
        ">MESSAGES",
        ">BYTES",
        ">PUBLISHED",
        ">SUBSCRIPTIONS",
        "DURABILITY",
    ];
    Ok(output.table(&head, rows)?)
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

async fn info(output: Output, client: &Connection, topic: &str) -> Result<(), Failure> {
    let answer = client
        .request("rpc.topic.inspect", &json!({"topic": topic}))
        .await?;
    if output.json {
        return Ok(output.object(&answer)?);
    }
    let topic: Topic = read(&answer)?;
    let mut rows = vec![
        vec!["messages".to_owned(), text::count(topic.messages)],
        vec!["bytes".to_owned(), text::bytes(topic.bytes)],
        vec!["published".to_owned(), text::count(topic.published)],
        vec!["expired".to_owned(), text::count(topic.expired)],
        vec!["dropped".to_owned(), text::count(topic.dropped)],
        vec!["replaced".to_owned(), text::count(topic.replaced)],
    ];
    for (name, value) in topic.options.as_object().into_iter().flatten() {
        let value = value
            .as_str()
            .map_or_else(|| value.to_string(), str::to_owned);
        rows.push(vec![name.clone(), value]);
    }
    output.table(&["TOPIC", &topic.name], rows)?;
    if !topic.subscriptions.is_empty() {
        output.line("")?;
        let rows = topic.subscriptions.iter().map(Subscription::row).collect();
        output.table(&Subscription::HEAD, rows)?;
    }
    Ok(())
}

/// A message as peek shows it.
#[derive(Deserialize)]
struct Peeked {
    id: String,
    #[serde(default)]
    priority: u8,
    #[serde(default)]
    published_at: Value,
}

async fn peek(output: Output, client: &Connection, args: &PeekArgs) -> Result<(), Failure> {
    #[derive(Deserialize)]
    struct Messages {
        messages: Vec<Box<RawValue>>,
    }
    let mut params = json!({"topic": args.topic, "limit": args.limit});
    for (name, value) in [("subscription", &args.subscription), ("from", &args.from)] {
        if let Some(value) = value {
            params[name] = json!(value);
        }
    }
    let Messages { messages } = client.ask("rpc.topic.peek", &params).await?;
    if output.json {
        for message in &messages {
            output.object(message)?;
        }
        return Ok(());
    }
    let mut rows = Vec::with_capacity(messages.len());
    for raw in &messages {
        let message: Peeked = read(raw)?;
        let published = match message.published_at {
            Value::String(text) => text,
            other => other.to_string(),
        };
        rows.push(vec![
            message.id,
            message.priority.to_string(),
            published,
            preview(raw)?,
        ]);
    }
    if rows.is_empty() {
        eprintln!("{}: no messages", args.topic);
        return Ok(());
    }
    Ok(output.table(&["ID", ">PRIORITY", "PUBLISHED", "PAYLOAD"], rows)?)
}

/// The beginning of a payload, on one line.
fn preview(raw: &RawValue) -> Result<String, Failure> {
    const CHARS_MAX: usize = 60;
    let received: Received<'_> =
        serde_json::from_str(raw.get()).map_err(|error| Failure::failed(error.to_string()))?;
    let bytes = received
        .bytes()
        .map_err(|error| Failure::failed(error.to_string()))?;
    let Ok(text) = str::from_utf8(&bytes) else {
        return Ok(format!("({})", text::counted(bytes.len() as u64, "byte")));
    };
    let mut shown: String = text.chars().take(CHARS_MAX).collect();
    if shown.len() < text.len() {
        shown.push('…');
    }
    Ok(shown.escape_debug().to_string().replace("\\\"", "\""))
}

/// Purges or deletes, and shows what the server says.
pub(super) async fn remove(
    output: Output,
    client: &Connection,
    method: &str,
    params: Value,
) -> Result<(), Failure> {
    let answer = client.request(method, &params).await?;
    if output.json {
        return Ok(output.object(&answer)?);
    }
    let removed = read::<Value>(&answer)?["purged"]
        .as_u64()
        .unwrap_or_default();
    eprintln!("removed {}", text::counted(removed, "message"));
    Ok(())
}
