//! A publisher that loses nothing when its server goes away: many messages in flight, confirmed
//! later, sent again on the next connection and stored once. Publishes the lines of its standard
//! input.

use tokio::io::{AsyncBufReadExt, BufReader, stdin};
use tokio::sync::mpsc;
use trunkline::{Client, Confirmation, RequestError};

const IN_FLIGHT: usize = 1_000;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let url = std::env::args().nth(1).ok_or("usage: publisher URL")?;
    let client = Client::builder(&url).in_flight(IN_FLIGHT).wait_for_server();
    let client = client.connect().await?;
    tokio::spawn(tell(client.clone()));

    let (sent, sending) = mpsc::channel(IN_FLIGHT);
    let counted = tokio::spawn(count(sending));
    let mut lines = BufReader::new(stdin()).lines();
    while let Some(line) = lines.next_line().await? {
        let confirmation = client.send("lines", line).await?;
        if sent.send(confirmation).await.is_err() {
            break;
        }
    }
    drop(sent);
    println!("confirmed {}", counted.await??);
    Ok(client.close().await?)
}

/// Waits for confirmations, in the order in which the messages were sent.
async fn count(mut sending: mpsc::Receiver<Confirmation>) -> Result<u64, RequestError> {
    let mut confirmed = 0;
    while let Some(confirmation) = sending.recv().await {
        confirmation.await?;
        confirmed += 1;
    }
    Ok(confirmed)
}

async fn tell(client: Client) {
    let mut state = client.state();
    while state.changed().await.is_ok() {
        eprintln!("{}", *state.borrow_and_update());
    }
}
