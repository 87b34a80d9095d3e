//! Publishes, consumes and calls with the feature `client` alone: nothing of the server is built.

use trunkline::{Client, Message};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let url = std::env::args()
        .nth(1)
        .unwrap_or("ws://127.0.0.1:7400".into());
    let client = Client::connect(&url).await?;
    let id = client
        .publish("orders", Message::json(&("book", 3))?)
        .await?;
    println!("published {id}");
    let mut consumer = client.consume("orders", "shop").await?;
    if let Some(delivery) = consumer.try_next().await? {
        let (what, count): (String, u32) = delivery.json()?;
        println!("{count} × {what}");
        delivery.ack().await?;
    }
    println!("served by {}", client.info().await?.version);
    Ok(client.close().await?)
}
