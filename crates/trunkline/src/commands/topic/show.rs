//! Tables of topics, and one topic in detail.

use crate::{
    commands::info::{Subscription, Topic, read},
    commands::options,
    failure::Failure,
    output::Output,
    text,
};
use serde::Deserialize;
use serde_json::{json, value::RawValue};
use trunkline::Connection;

/// All topics, page by page.
pub(in crate::commands) async fn all(client: &Connection) -> Result<Vec<Box<RawValue>>, Failure> {
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

pub(super) async fn list(output: Output, client: &Connection) -> Result<(), Failure> {
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
        let sum = |one: fn(&Subscription) -> u64| topic.subscriptions.iter().map(one).sum();
        rows.push(vec![
            text::shortened(&topic.name, 24),
            topic.durability().to_owned(),
            text::count(topic.messages),
            text::bytes(topic.bytes),
            topic.age(),
            text::count(sum(|subscription| subscription.delayed)),
            text::count(sum(|subscription| subscription.in_flight)),
            text::count(topic.dead),
            text::count(topic.subscriptions.len() as u64),
        ]);
    }
    if rows.is_empty() {
        eprintln!("no topics yet; make one with `trunkline topic add NAME`, or publish");
        return Ok(());
    }
    let head = [
        "TOPIC",
        "DURABILITY",
        ">MESSAGES",
        ">BYTES",
        ">OLDEST",
        ">DELAYED",
        ">IN FLIGHT",
        ">DEAD",
        ">SUBS",
    ];
    Ok(output.table(&head, rows)?)
}

pub(super) async fn info(output: Output, client: &Connection, topic: &str) -> Result<(), Failure> {
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
        vec!["oldest".to_owned(), topic.age()],
        vec!["published".to_owned(), text::count(topic.published)],
        vec!["duplicates".to_owned(), text::count(topic.duplicates)],
        vec!["replaced".to_owned(), text::count(topic.replaced)],
        vec!["expired".to_owned(), text::count(topic.expired)],
        vec!["dropped".to_owned(), text::count(topic.dropped)],
        vec!["dead".to_owned(), text::count(topic.dead)],
    ];
    for (name, value) in topic.options.as_object().into_iter().flatten() {
        rows.push(vec![name.clone(), options::shown(value)]);
    }
    output.table(&["TOPIC", &topic.name], rows)?;
    if topic.subscriptions.is_empty() {
        return Ok(());
    }
    output.line("")?;
    subscriptions(output, &topic)
}

/// The subscriptions of a topic as a table.
pub(in crate::commands) fn subscriptions(output: Output, topic: &Topic) -> Result<(), Failure> {
    let rows = topic.subscriptions.iter().map(Subscription::row).collect();
    output.table(&Subscription::HEAD, rows)?;
    let depths = topic.subscriptions.iter().filter_map(|subscription| {
        let name = text::shortened(&subscription.name, 24);
        Some(vec![name, subscription.by_priority()?])
    });
    let depths: Vec<_> = depths.collect();
    if !depths.is_empty() {
        output.line("")?;
        output.table(&["SUBSCRIPTION", "WAITING BY PRIORITY"], depths)?;
    }
    Ok(())
}
