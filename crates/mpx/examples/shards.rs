//! Subscribes to shard channels of a cluster, wherever their slots are, and prints what comes and where the names are heard.
//! Publish something, as with `redis-cli -c spublish news:1 hello`; move a slot or end a node meanwhile.
//!
//! `cargo run -p trunkline-mpx --example shards [URL [NAME…]]`

use trunkline_mpx::{Event, ShardedMultiplexer};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let url = arguments.next();
    let url = url.unwrap_or_else(|| "redis-cluster://127.0.0.1:7000".to_owned());
    let mut names: Vec<String> = arguments.collect();
    if names.is_empty() {
        names = (1..=6).map(|n| format!("news:{n}")).collect();
    }
    let mpx = ShardedMultiplexer::open(&url)?;
    let subscription = mpx.shards(|event| match event {
        Event::Active { name, gap: None } => println!("active: {}", name.escape_ascii()),
        Event::Active {
            name,
            gap: Some(gap),
        } => println!("active again: {} after {gap:?}", name.escape_ascii()),
        Event::Message { channel, payload } => println!(
            "channel: [{}] msg: [{}]",
            channel.escape_ascii(),
            payload.escape_ascii()
        ),
        Event::Withdrawn { name } => println!("its slot moves: {}", name.escape_ascii()),
        Event::Lost { error } => println!("lost: {error}"),
        other => println!("{other:?}"),
    });
    subscription.add(names)?;
    tokio::signal::ctrl_c().await?;
    for (node, counters) in mpx.shard_counters() {
        println!("{node}: {} messages", counters.messages);
    }
    Ok(())
}
