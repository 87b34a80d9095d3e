//! A client: a call, and a message that is durable before it goes on.

use trunkline::Client;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let url = std::env::args().nth(1).ok_or("usage: client URL")?;
    let client = Client::connect(&url).await?;
    let sum: i64 = client.call("sum", &[1, 2, 3]).await?;
    let id = client.publish("orders", "a book").await?;
    println!("the sum is {sum}, the order is {id}");
    Ok(client.close().await?)
}
