//! One blocking connection, whatever is spoken on it.

use std::error::Error;
use std::fmt;
use std::io::{self, Write};
use std::net::{Shutdown, SocketAddr, TcpStream, ToSocketAddrs};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;

use super::buffer::ReadBuffer;

/// How long a read may wait. Nothing here takes that long, so a lost answer ends the run with an
/// error instead of hanging it.
pub(crate) const SILENCE_MAX: Duration = Duration::from_secs(60);

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

/// A socket whose reads and writes block.
pub(crate) struct Link {
    pub(crate) stream: TcpStream,
    pub(crate) incoming: ReadBuffer,
}

impl Link {
    /// Connects to `authority`, which is `HOST[:PORT]`; without a port to `port`.
    ///
    /// If nobody takes connections there, that is [`Unreachable`].
    pub(crate) fn connect(authority: &str, port: u16) -> Result<Link> {
        let stream = connect_tcp(authority, port)
            .map_err(|error| Unreachable(format!("can't connect to {authority}: {error}")))?;
        Ok(Link {
            stream,
            incoming: ReadBuffer::new(),
        })
    }

    /// Writes and clears `outgoing`, in one `write` if the kernel takes it.
    pub(crate) fn write(&mut self, outgoing: &mut Vec<u8>) -> Result<()> {
        if !outgoing.is_empty() {
            self.stream
                .write_all(outgoing)
                .context("writing to the server")?;
            outgoing.clear();
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

    /// A second handle that ends the connection, and so whoever blocks on it.
    pub(crate) fn closer(&self) -> Result<Closer> {
        Ok(Closer(self.stream.try_clone()?))
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

fn connect_tcp(authority: &str, port: u16) -> io::Result<TcpStream> {
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    for address in addresses(authority, port)? {
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

/// `port` if none is named.
fn addresses(authority: &str, port: u16) -> io::Result<std::vec::IntoIter<SocketAddr>> {
    let after_host = authority
        .rsplit_once(']')
        .map_or(authority, |(_, rest)| rest);
    if after_host.contains(':') {
        authority.to_socket_addrs()
    } else {
        let host = authority.trim_start_matches('[').trim_end_matches(']');
        (host, port).to_socket_addrs()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_that_is_not_named_is_the_usual_one() {
        for (authority, address) in [
            ("127.0.0.1", "127.0.0.1:80"),
            ("127.0.0.1:7400", "127.0.0.1:7400"),
            ("[::1]", "[::1]:80"),
            ("[::1]:7400", "[::1]:7400"),
        ] {
            let first = addresses(authority, 80).unwrap().next().unwrap();
            assert_eq!(first.to_string(), address);
        }
    }
}
