//! What the server says when somebody connects.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use super::server::CONNECT;
use crate::link::Link;

/// How long a server that may still be starting has for one answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// Whether a server at `address` serves STOMP.
#[must_use]
pub fn is_ready(address: SocketAddr) -> bool {
    greeting(address).is_ok()
}

/// The version of the server at `address`.
///
/// # Errors
/// If nobody serves STOMP there.
pub fn version(address: SocketAddr) -> Result<String> {
    let greeting = greeting(address)?;
    Ok(version_in(&greeting).unwrap_or("unknown").to_owned())
}

/// The CONNECTED frame, without its NUL.
fn greeting(address: SocketAddr) -> Result<String> {
    let mut link = Link::connect_within(address, PATIENCE)?;
    let connect = format!("CONNECT\naccept-version:1.2\nhost:/\n{CONNECT}\n\0");
    link.outgoing.extend_from_slice(connect.as_bytes());
    link.flush()?;
    let end = loop {
        if let Some(end) = memchr::memchr(0, link.arrived()) {
            break end;
        }
        link.fill()?;
    };
    let (frame, _) = link.take(end);
    let frame = std::str::from_utf8(frame).context("a greeting that is no text")?;
    if !frame.starts_with("CONNECTED\n") {
        bail!("RabbitMQ answered CONNECT with {frame}");
    }
    Ok(frame.to_owned())
}

fn version_in(greeting: &str) -> Option<&str> {
    greeting
        .lines()
        .find_map(|line| line.strip_prefix("server:RabbitMQ/"))
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::TcpListener;
    use std::thread;

    use super::*;

    /// Somebody who answers one CONNECT like this.
    fn who_answers(answer: &'static str) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut seen = Vec::new();
            while seen.last() != Some(&0) {
                let mut piece = [0; 256];
                let read = stream.read(&mut piece).unwrap();
                seen.extend_from_slice(&piece[..read]);
            }
            stream.write_all(answer.as_bytes()).unwrap();
        });
        address
    }

    #[test]
    fn the_greeting_tells_the_version() {
        for (answer, version) in [
            (
                "CONNECTED\nserver:RabbitMQ/3.10.8\nversion:1.2\n\n\0\n",
                Some("3.10.8"),
            ),
            ("CONNECTED\nversion:1.2\n\n\0", Some("unknown")),
            ("ERROR\nmessage:Bad CONNECT\n\n\0", None),
            ("", None),
        ] {
            let told = super::version(who_answers(answer)).ok();
            assert_eq!(told.as_deref(), version, "{answer:?}");
        }
    }
}
