//! Subscribes to `mychannel` and prints what comes. Publish something, as with
//! `redis-cli publish mychannel hello`.
//!
//! `cargo run -p trunkline-mpx --example simple [URL]`

use trunkline_mpx::{Event, Multiplexer};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let url = std::env::args().nth(1);
    let url = url.unwrap_or_else(|| "redis://127.0.0.1/".to_owned());
    let mpx = Multiplexer::open(url)?;
    let subscription = mpx.channels(|event| match event {
        Event::Active { name, .. } => println!("active: {}", name.escape_ascii()),
        Event::Message { channel, payload } => println!(
            "channel: [{}] msg: [{}]",
            channel.escape_ascii(),
            payload.escape_ascii()
        ),
        Event::Lost { error } => println!("lost: {error}"),
        other => println!("{other:?}"),
    });
    subscription.add(["mychannel"])?;
    tokio::signal::ctrl_c().await?;
    Ok(())
}
