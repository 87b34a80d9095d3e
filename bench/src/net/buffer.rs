//! The bytes that have arrived and are not yet used up.

use std::io::{self, Read};
use std::ops::Range;

/// Large enough that one `read` takes all that a window of answers brings.
const CAPACITY_BYTES: usize = 256 << 10;

/// A read buffer from which frames are taken in place, whatever a frame is.
///
/// The memory is asked for zeroed, so a connection that stays idle never touches most of it.
pub(crate) struct ReadBuffer {
    bytes: Vec<u8>,
    start: usize,
    end: usize,
}

impl ReadBuffer {
    pub(crate) fn new() -> ReadBuffer {
        ReadBuffer {
            bytes: vec![0; CAPACITY_BYTES],
            start: 0,
            end: 0,
        }
    }

    /// Reads once, blocking until at least one byte is there.
    pub(crate) fn fill(&mut self, stream: &mut impl Read) -> io::Result<()> {
        self.make_room();
        let read = stream.read(&mut self.bytes[self.end..])?;
        if read == 0 {
            return Err(io::Error::new(
                io::ErrorKind::UnexpectedEof,
                "the peer closed the connection",
            ));
        }
        self.end += read;
        Ok(())
    }

    /// What has arrived and was not yet taken.
    pub(crate) fn arrived(&self) -> &[u8] {
        &self.bytes[self.start..self.end]
    }

    /// Takes the first `length` bytes of what has arrived, and says where they are. They stay there
    /// until the next [`fill`](Self::fill).
    pub(crate) fn take(&mut self, length: usize) -> Range<usize> {
        let from = self.start;
        self.start += length;
        from..self.start
    }

    /// Takes `bytes` if they are what comes next, as a whole.
    pub(crate) fn take_exact(&mut self, bytes: &[u8]) -> bool {
        let next = self.arrived().starts_with(bytes);
        if next {
            self.start += bytes.len();
        }
        next
    }

    /// What was [taken](Self::take).
    pub(crate) fn taken(&self, range: Range<usize>) -> &[u8] {
        &self.bytes[range]
    }

    /// The same, to be changed.
    pub(crate) fn taken_mut(&mut self, range: Range<usize>) -> &mut [u8] {
        &mut self.bytes[range]
    }

    /// Takes everything up to and with `end`, if it has arrived.
    pub(crate) fn take_until(&mut self, end: &[u8]) -> Option<Range<usize>> {
        let found = memchr::memmem::find(self.arrived(), end)?;
        Some(self.take(found + end.len()))
    }

    fn make_room(&mut self) {
        if self.start == self.end {
            self.start = 0;
            self.end = 0;
        } else if self.bytes.len() - self.end < CAPACITY_BYTES / 4 {
            self.bytes.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.start = 0;
            if self.bytes.len() - self.end < CAPACITY_BYTES / 4 {
                self.bytes.resize(self.bytes.len() * 2, 0);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_come_out_in_order_whatever_is_taken_at_a_time() {
        let wire: Vec<u8> = (0..3 * CAPACITY_BYTES).map(|n| (n % 251) as u8).collect();
        for step in [1_000, 65_537, CAPACITY_BYTES - 1, wire.len()] {
            let mut buffer = ReadBuffer::new();
            let mut seen = Vec::new();
            let mut rest = &wire[..];
            while seen.len() < wire.len() {
                let wanted = step.min(wire.len() - seen.len());
                while buffer.arrived().len() < wanted {
                    buffer.fill(&mut rest).unwrap();
                }
                let taken = buffer.take(wanted);
                seen.extend_from_slice(buffer.taken(taken));
            }
            assert!(seen == wire, "in steps of {step}");
        }
    }

    #[test]
    fn only_what_has_arrived_as_a_whole_is_taken() {
        let mut buffer = ReadBuffer::new();
        buffer.fill(&mut &b"one\r\n\r"[..]).unwrap();
        assert!(!buffer.take_exact(b"one\r\n\r\n"));
        assert_eq!(buffer.take_until(b"\r\n\r\n"), None);
        buffer.fill(&mut &b"\ntwo"[..]).unwrap();
        let head = buffer.take_until(b"\r\n\r\n").unwrap();
        assert_eq!(buffer.taken(head), b"one\r\n\r\n");
        assert!(buffer.take_exact(b"two"));
        assert!(buffer.arrived().is_empty());
    }

    #[test]
    fn the_end_of_the_stream_is_an_error() {
        assert!(ReadBuffer::new().fill(&mut &b""[..]).is_err());
    }
}
