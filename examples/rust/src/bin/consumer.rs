//! A consumer: every message of a subscription, until its work is done. Ends after as many as it
//! is told.

use trunkline::{Client, StartFrom};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let url = std::env::args().nth(1).ok_or("usage: consumer URL COUNT")?;
    let count: usize = std::env::args().nth(2).unwrap_or_default().parse()?;
    let client = Client::connect(&url).await?;
    let consume = client.consume("lines", "print").from(StartFrom::All);
    let mut consumer = consume.credit(50).await?;
    for _ in 0..count {
        let Some(delivery) = consumer.try_next().await? else {
            break;
        };
        println!("{}", delivery.text()?);
        // Only now, when the work is done.
        if let Err(error) = delivery.ack().await {
            eprintln!("it comes again: {error}");
        }
    }
    Ok(client.close().await?)
}
