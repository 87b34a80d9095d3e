//! The smallest WebSocket server there can be: what a round trip costs before anybody thinks.

use std::io::Write;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread;

use anyhow::Result;

use super::frame::{self, Opcode};
use super::handshake;
use crate::net::ReadBuffer;

/// Serves one connection at a free loopback port on a thread of its own, until the client goes.
pub(crate) fn serve_one() -> Result<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    thread::Builder::new()
        .name("echo".to_owned())
        .spawn(move || {
            // The client sees every failure as the end of its connection, and reports it.
            if let Ok((stream, _)) = listener.accept() {
                let _ = serve(stream);
            }
        })?;
    Ok(address)
}

fn serve(mut stream: TcpStream) -> Result<()> {
    stream.set_nodelay(true)?;
    let mut incoming = ReadBuffer::new();
    let mut outgoing = Vec::new();
    handshake::accept(&mut stream, &mut incoming)?;
    loop {
        incoming.fill(&mut stream)?;
        while let Some((opcode, payload)) = frame::take(&mut incoming)? {
            if opcode == Opcode::Text {
                frame::encode(&mut outgoing, opcode, incoming.taken(payload), None);
            }
        }
        stream.write_all(&outgoing)?;
        outgoing.clear();
    }
}

#[cfg(test)]
mod tests {
    use crate::ws::WebSocket;

    #[test]
    fn what_is_sent_comes_back() {
        let address = super::serve_one().unwrap();
        let mut socket = WebSocket::connect(&format!("ws://{address}/")).unwrap();
        let messages = ["a".repeat(10), "b".repeat(300), "c".repeat(70_000)];
        for message in &messages {
            socket.queue(message.as_bytes());
        }
        socket.flush().unwrap();
        let mut seen = Vec::new();
        while seen.len() < messages.len() {
            socket.fill().unwrap();
            while let Some((text, _)) = socket.next_text().unwrap() {
                seen.push(String::from_utf8(text.to_vec()).unwrap());
            }
        }
        assert_eq!(seen, messages);
    }
}
