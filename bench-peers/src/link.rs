//! One blocking connection, whatever is spoken on it.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Context, Result, bail};

/// How long a read may wait, so that a lost answer ends the run instead of hanging it.
const SILENCE_MAX: Duration = Duration::from_secs(60);

/// Large enough that one `read` takes all that a window of answers brings.
const CAPACITY_BYTES: usize = 256 << 10;

/// A socket whose reads block and whose writes are gathered until [`flush`](Link::flush).
pub(crate) struct Link {
    stream: TcpStream,
    silence: Duration,
    incoming: Vec<u8>,
    start: usize,
    end: usize,
    /// What the next flush writes.
    pub(crate) outgoing: Vec<u8>,
}

impl Link {
    pub(crate) fn connect(address: SocketAddr) -> Result<Link> {
        Link::connect_within(address, SILENCE_MAX)
    }

    /// `silence` is how long a read may wait.
    pub(crate) fn connect_within(address: SocketAddr, silence: Duration) -> Result<Link> {
        let stream =
            TcpStream::connect(address).with_context(|| format!("connecting to {address}"))?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(silence))?;
        Ok(Link {
            stream,
            silence,
            incoming: vec![0; CAPACITY_BYTES],
            start: 0,
            end: 0,
            outgoing: Vec::new(),
        })
    }

    /// Writes everything gathered, in one `write` if the kernel takes it.
    pub(crate) fn flush(&mut self) -> Result<()> {
        if !self.outgoing.is_empty() {
            self.stream
                .write_all(&self.outgoing)
                .context("writing to the server")?;
            self.outgoing.clear();
        }
        Ok(())
    }

    /// Blocks until something has arrived.
    pub(crate) fn fill(&mut self) -> Result<()> {
        self.make_room();
        match self.stream.read(&mut self.incoming[self.end..]) {
            Ok(0) => bail!("the server closed the connection"),
            Ok(read) => self.end += read,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                bail!("no answer for {:?}", self.silence)
            }
            Err(error) => return Err(error).context("reading from the server"),
        }
        Ok(())
    }

    /// What has arrived and was not yet [taken](Link::take).
    pub(crate) fn arrived(&self) -> &[u8] {
        &self.incoming[self.start..self.end]
    }

    /// Takes the first `length` bytes of what has arrived; they stay readable until the next
    /// [`fill`](Link::fill). With them comes room for what they make the caller send.
    pub(crate) fn take(&mut self, length: usize) -> (&[u8], &mut Vec<u8>) {
        let from = self.start;
        self.start += length;
        (&self.incoming[from..self.start], &mut self.outgoing)
    }

    pub(crate) fn closer(&self) -> Result<Closer> {
        Ok(Closer(self.stream.try_clone()?))
    }

    fn make_room(&mut self) {
        if self.start == self.end {
            (self.start, self.end) = (0, 0);
        } else if self.incoming.len() - self.end < CAPACITY_BYTES / 4 {
            self.incoming.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, self.end - self.start);
            if self.incoming.len() - self.end < CAPACITY_BYTES / 4 {
                self.incoming.resize(self.incoming.len() * 2, 0);
            }
        }
    }
}

/// Ends a connection from another thread, and so whoever blocks on it.
pub struct Closer(TcpStream);

impl Closer {
    /// Ends it. What the server has not yet answered stays unanswered.
    pub fn close(&self) {
        // An error means that it is already closed.
        let _ = self.0.shutdown(Shutdown::Both);
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;
    use std::thread;

    use super::*;

    #[test]
    fn bytes_come_out_in_order_however_large_the_piece() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let sent: Vec<u8> = (0..4 * CAPACITY_BYTES).map(|n| (n % 251) as u8).collect();
        let wire = sent.clone();
        let sender = thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            stream.write_all(&wire).unwrap();
        });
        let mut link = Link::connect(address).unwrap();
        let mut seen = Vec::new();
        for piece in [7, 2 * CAPACITY_BYTES, 1].into_iter().cycle() {
            let piece = piece.min(sent.len() - seen.len());
            while link.arrived().len() < piece {
                link.fill().unwrap();
            }
            seen.extend_from_slice(link.take(piece).0);
            if seen.len() == sent.len() {
                break;
            }
        }
        sender.join().unwrap();
        assert!(seen == sent);
        assert!(link.fill().is_err(), "the end of the stream is an error");
    }
}
