//! A listener: what is said on channels now, and what may have been missed. Ends with "bye".

use trunkline::{Client, ListenerEvent};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let url = std::env::args().nth(1).ok_or("usage: listener URL")?;
    let client = Client::connect(&url).await?;
    let listen = client.listen().channel("status").pattern("news.*");
    let mut listener = listen.await?;
    println!("listening");
    while let Some(event) = listener.try_next().await? {
        match event {
            ListenerEvent::Message(message) => {
                let text = message.text()?;
                println!("{}: {text}", message.channel);
                if text == "bye" {
                    break;
                }
            }
            ListenerEvent::Dropped(count) => println!("missed {count}: too slow"),
            ListenerEvent::Lost => println!("messages may be missed from here"),
            ListenerEvent::Active { gap } => println!("listening again after {gap:?}"),
            _ => {}
        }
    }
    Ok(client.close().await?)
}
