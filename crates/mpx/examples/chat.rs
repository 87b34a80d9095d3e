//! A chat over WebSocket, one subscription a socket: `+NAME` joins a channel, `-NAME` leaves it, `?`
//! lists those joined, `!` does nothing, `q` stops the multiplexer and `r` restarts it. What comes is a JSON string:
//! a message, `*Disconnected*` or `*Activated: [NAME]*`.
//!
//! `cargo run -p trunkline-mpx --example chat [URL [LISTEN]]`, then a WebSocket client on
//! `ws://127.0.0.1:7778/ws`, and `redis-cli publish NAME hello`.

use futures_util::{SinkExt, StreamExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_websockets::{Message, ServerBuilder};
use trunkline_mpx::{Event, Multiplexer, QueueOptions};

type Failure = Box<dyn std::error::Error + Send + Sync>;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Failure> {
    let mut arguments = std::env::args().skip(1);
    let url = arguments.next();
    let url = url.unwrap_or_else(|| "redis://127.0.0.1/".to_owned());
    let listen = arguments.next();
    let listen = listen.unwrap_or_else(|| "127.0.0.1:7778".to_owned());
    let mpx = Multiplexer::open(url)?;
    let listener = TcpListener::bind(listen).await?;
    println!("ws://{}/ws", listener.local_addr()?);
    loop {
        let (stream, peer) = listener.accept().await?;
        let mpx = mpx.clone();
        tokio::spawn(async move {
            if let Err(error) = chat(stream, mpx).await {
                eprintln!("{peer}: {error}");
            }
        });
    }
}

async fn chat(stream: TcpStream, mpx: Multiplexer) -> Result<(), Failure> {
    let (request, mut socket) = ServerBuilder::new().accept(stream).await?;
    if request.uri().path() != "/ws" {
        return Err("the chat is at /ws".into());
    }
    let (room, mut events) = mpx.channels_stream(QueueOptions::default());
    loop {
        tokio::select! {
            event = events.next() => {
                let Some(event) = event else {
                    return Ok(());
                };
                if let Some(text) = heard(&event) {
                    socket.send(say(&text)?).await?;
                }
            }
            frame = socket.next() => {
                let Some(frame) = frame.transpose()? else {
                    return Ok(());
                };
                match frame.as_text().and_then(|text| text.split_at_checked(1)) {
                    Some(("+", name)) => room.add([name.to_owned()])?,
                    Some(("-", name)) => room.remove([name.to_owned()])?,
                    Some(("?", _)) => {
                        let mut names: Vec<_> = room
                            .channels()
                            .map(|name| name.escape_ascii().to_string())
                            .collect();
                        names.sort();
                        socket.send(say(&names.join(" "))?).await?;
                    }
                    Some(("q", _)) => mpx.stop().await?,
                    Some(("r", _)) => mpx.restart()?,
                    _ => {}
                }
            }
        }
    }
}

fn heard(event: &Event) -> Option<String> {
    match event {
        Event::Message { payload, .. } => Some(String::from_utf8_lossy(payload).into_owned()),
        Event::Active { name, .. } => Some(format!("*Activated: [{}]*", name.escape_ascii())),
        Event::Lost { .. } => Some("*Disconnected*".to_owned()),
        _ => None,
    }
}

fn say(text: &str) -> Result<Message, serde_json::Error> {
    serde_json::to_string(text).map(Message::text)
}
