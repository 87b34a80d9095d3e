//! A worker on Redis, without a server in between: existing gateways on streams with consumer groups call it,
//! and so does it.

use std::time::Duration;
use trunkline::{CallPeer, ConsumerGroupsOptions, Failure, Handler, HandlerContext};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let url = std::env::args().nth(1).ok_or("usage: redis_worker URL")?;
    let options = ConsumerGroupsOptions::default();
    let peer = CallPeer::consumer_groups(&url, options, "general").await?;
    let math = Handler::new("math").concurrency(8).method("sum", sum);
    let _serving = peer.serve(math)?;
    println!("{}", peer.call::<i64>("sum", &[1, 2, 3]).await?);
    tokio::signal::ctrl_c().await?;
    peer.close(Duration::from_secs(10)).await;
    Ok(())
}

async fn sum(numbers: Vec<i64>, _: HandlerContext) -> Result<i64, Failure> {
    Ok(numbers.iter().sum())
}
