//! The opening handshake (RFC 6455 §4), with the key of the specification's own example.
//!
//! The key only has to keep caches from replaying answers; a load generator on loopback can use
//! the same one each time, and so needs no SHA-1 to know the right answer.

use std::io::{Read, Write};

use anyhow::{Context, Result, bail};

use crate::net::ReadBuffer;

const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

/// Upgrades `stream` as a client. What the server sent after its answer stays in `buffer`.
pub(crate) fn request(
    stream: &mut (impl Read + Write),
    buffer: &mut ReadBuffer,
    authority: &str,
    path: &str,
    token: Option<&str>,
) -> Result<()> {
    let authorization = token.map_or_else(String::new, |token| {
        format!("Authorization: Bearer {token}\r\n")
    });
    let request = format!(
        "GET {path} HTTP/1.1\r\nHost: {authority}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {KEY}\r\n{authorization}\r\n"
    );
    stream.write_all(request.as_bytes())?;
    let head = read_head(stream, buffer)?;
    let status = head.lines().next().unwrap_or_default();
    if !status.starts_with("HTTP/1.1 101") {
        bail!("{authority}{path} is no WebSocket: {status}");
    }
    if !head.contains(ACCEPT) {
        bail!("{authority}{path} answered the WebSocket handshake with a wrong key");
    }
    Ok(())
}

/// Answers a client of this module.
pub(crate) fn accept(stream: &mut (impl Read + Write), buffer: &mut ReadBuffer) -> Result<()> {
    let head = read_head(stream, buffer)?;
    if !head.contains(KEY) {
        bail!("the echo server only knows this generator's key");
    }
    let answer = format!(
        "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Accept: {ACCEPT}\r\n\r\n"
    );
    stream.write_all(answer.as_bytes())?;
    Ok(())
}

fn read_head(stream: &mut impl Read, buffer: &mut ReadBuffer) -> Result<String> {
    loop {
        if let Some(head) = buffer.take_until(b"\r\n\r\n") {
            return Ok(String::from_utf8_lossy(buffer.taken(head)).into_owned());
        }
        buffer
            .fill(stream)
            .context("waiting for the answer to the WebSocket handshake")?;
    }
}
