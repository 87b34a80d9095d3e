//! One blocking client connection.

use std::error::Error;
use std::fmt;
use std::io::{self, Write};
use std::net::{Shutdown, SocketAddr, TcpStream, ToSocketAddrs};
use std::ops::Range;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;

use super::buffer::ReadBuffer;
use super::frame::{self, Opcode};
use super::handshake;

/// How long a read may wait. Nothing here takes that long, so a lost answer ends the run with an
/// error instead of hanging it.
pub(crate) const SILENCE_MAX: Duration = Duration::from_secs(60);

/// A WebSocket client: reads block, writes are gathered until [`flush`](WebSocket::flush).
pub(crate) struct WebSocket {
    stream: TcpStream,
    incoming: ReadBuffer,
    outgoing: Outgoing,
}

/// The server was silent for too long.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Silence;

impl fmt::Display for Silence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "no answer for {} s", SILENCE_MAX.as_secs())
    }
}

impl Error for Silence {}

/// Nobody takes connections there.
#[derive(Clone, Debug)]
pub(crate) struct Unreachable(String);

impl fmt::Display for Unreachable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Error for Unreachable {}

/// The frames that leave with the next flush.
pub(crate) struct Outgoing {
    bytes: Vec<u8>,
    mask: u32,
}

impl WebSocket {
    /// Connects to `url`, which is `ws://HOST[:PORT][/PATH]`.
    pub(crate) fn connect(url: &str) -> Result<WebSocket> {
        WebSocket::connect_as(url, None)
    }

    /// The same, presenting a token.
    pub(crate) fn connect_as(url: &str, token: Option<&str>) -> Result<WebSocket> {
        let Some((authority, path)) = split_url(url) else {
            bail!("{url} is no ws:// URL, such as ws://127.0.0.1:7400/rpc");
        };
        let stream = connect_tcp(authority)
            .map_err(|error| Unreachable(format!("can't connect to {authority}: {error}")))?;
        let mut socket = WebSocket {
            stream,
            incoming: ReadBuffer::new(),
            outgoing: Outgoing {
                bytes: Vec::new(),
                mask: 0x9E37_79B9,
            },
        };
        let (stream, incoming) = (&mut socket.stream, &mut socket.incoming);
        handshake::request(stream, incoming, authority, path, token)?;
        Ok(socket)
    }

    /// Appends a text frame.
    pub(crate) fn queue(&mut self, text: &[u8]) {
        self.outgoing.queue(text);
    }

    /// Appends a frame as it stands.
    pub(crate) fn queue_frame(&mut self, frame: &[u8]) {
        self.outgoing.queue_frame(frame);
    }

    /// Writes everything queued, in one `write` if the kernel takes it.
    pub(crate) fn flush(&mut self) -> Result<()> {
        if !self.outgoing.bytes.is_empty() {
            self.stream
                .write_all(&self.outgoing.bytes)
                .context("writing to the server")?;
            self.outgoing.bytes.clear();
        }
        Ok(())
    }

    /// Blocks until something has arrived.
    pub(crate) fn fill(&mut self) -> Result<()> {
        match self.incoming.fill(&mut self.stream) {
            Ok(()) => Ok(()),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Err(Silence.into()),
            Err(error) => Err(error).context("reading from the server"),
        }
    }

    /// Whether something arrives before `until`, that has not been read yet.
    pub(crate) fn arrives_by(&self, until: Instant) -> Result<bool> {
        let left = until.saturating_duration_since(Instant::now());
        let patience = Timespec::try_from(left).context("a wait that never ends")?;
        let mut watched = [PollFd::new(&self.stream, PollFlags::IN)];
        match poll(&mut watched, Some(&patience)) {
            Ok(ready) => Ok(ready > 0),
            // A signal: its handler has run, and the caller looks what it said.
            Err(Errno::INTR) => Ok(false),
            Err(error) => Err(error).context("waiting for the server"),
        }
    }

    /// The next message that has arrived, with room for what it makes the caller queue; `None`
    /// if the rest is still under way. Pings are answered, a close is an error.
    pub(crate) fn next_text(&mut self) -> Result<Option<(&[u8], &mut Outgoing)>> {
        Ok(match self.take_text()? {
            Some(range) => Some((self.incoming.payload(range), &mut self.outgoing)),
            None => None,
        })
    }

    /// Takes the next frame if it is `frame`, byte for byte, and has arrived as a whole: the
    /// cheapest way to read a message that is known beforehand.
    pub(crate) fn take_exact(&mut self, frame: &[u8]) -> bool {
        self.incoming.take_exact(frame)
    }

    /// A second handle that ends the connection, and so whoever blocks on it.
    pub(crate) fn closer(&self) -> Result<Closer> {
        Ok(Closer(self.stream.try_clone()?))
    }

    fn take_text(&mut self) -> Result<Option<Range<usize>>> {
        while let Some((opcode, range)) = self.incoming.take_frame()? {
            match opcode {
                Opcode::Text => return Ok(Some(range)),
                Opcode::Pong => {}
                Opcode::Ping => {
                    let echo = self.incoming.payload(range);
                    self.outgoing.encode(Opcode::Pong, echo);
                }
                Opcode::Close => bail!(
                    "the server closed the connection: {}",
                    describe_close(self.incoming.payload(range))
                ),
            }
        }
        Ok(None)
    }
}

impl Outgoing {
    /// Appends a text frame.
    pub(crate) fn queue(&mut self, text: &[u8]) {
        self.encode(Opcode::Text, text);
    }

    /// Appends a frame as it stands.
    pub(crate) fn queue_frame(&mut self, frame: &[u8]) {
        self.bytes.extend_from_slice(frame);
    }

    fn encode(&mut self, opcode: Opcode, payload: &[u8]) {
        // A new key per frame as RFC 6455 §5.3 wants it; a Weyl sequence is random enough for a
        // peer that is no browser.
        self.mask = self.mask.wrapping_add(0x9E37_79B9);
        frame::encode(
            &mut self.bytes,
            opcode,
            payload,
            Some(self.mask.to_ne_bytes()),
        );
    }
}

/// Ends a connection from another thread.
pub(crate) struct Closer(TcpStream);

impl Closer {
    pub(crate) fn close(&self) {
        // An error means that it is already closed.
        let _ = self.0.shutdown(Shutdown::Both);
    }
}

fn connect_tcp(authority: &str) -> io::Result<TcpStream> {
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    for address in addresses(authority)? {
        match TcpStream::connect(address) {
            Ok(stream) => {
                stream.set_nodelay(true)?;
                stream.set_read_timeout(Some(SILENCE_MAX))?;
                return Ok(stream);
            }
            Err(error) => last = error,
        }
    }
    Err(last)
}

/// Without a port, that of `ws://`: 80.
fn addresses(authority: &str) -> io::Result<std::vec::IntoIter<SocketAddr>> {
    let after_host = authority
        .rsplit_once(']')
        .map_or(authority, |(_, rest)| rest);
    if after_host.contains(':') {
        authority.to_socket_addrs()
    } else {
        let host = authority.trim_start_matches('[').trim_end_matches(']');
        (host, 80).to_socket_addrs()
    }
}

/// `ws://HOST:PORT/PATH` → (`HOST:PORT`, `/PATH`).
fn split_url(url: &str) -> Option<(&str, &str)> {
    let rest = url.strip_prefix("ws://")?;
    let (authority, path) = match rest.find('/') {
        Some(slash) => rest.split_at(slash),
        None => (rest, "/rpc"),
    };
    (!authority.is_empty()).then_some((authority, path))
}

fn describe_close(payload: &[u8]) -> String {
    match payload.split_first_chunk::<2>() {
        None => "no code".to_owned(),
        Some((code, reason)) => format!(
            "code {} {}",
            u16::from_be_bytes(*code),
            String::from_utf8_lossy(reason)
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_port_is_80_if_none_is_named() {
        for (authority, address) in [
            ("127.0.0.1", "127.0.0.1:80"),
            ("127.0.0.1:7400", "127.0.0.1:7400"),
            ("[::1]", "[::1]:80"),
            ("[::1]:7400", "[::1]:7400"),
        ] {
            let first = addresses(authority).unwrap().next().unwrap();
            assert_eq!(first.to_string(), address);
        }
    }

    #[test]
    fn urls() {
        assert_eq!(
            split_url("ws://127.0.0.1:7400/rpc"),
            Some(("127.0.0.1:7400", "/rpc"))
        );
        assert_eq!(split_url("ws://[::1]:80"), Some(("[::1]:80", "/rpc")));
        assert_eq!(split_url("ws://host/x?y"), Some(("host", "/x?y")));
        assert_eq!(split_url("ws:///rpc"), None);
        assert_eq!(split_url("http://127.0.0.1:7400/rpc"), None);
    }
}
