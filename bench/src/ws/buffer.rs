//! The bytes that have arrived and are not yet used up.

use std::io::{self, Read};
use std::ops::Range;

use anyhow::Result;

use super::frame::{self, Opcode};

/// Large enough that one `read` takes all that a window of answers brings.
const CAPACITY_BYTES: usize = 256 << 10;

/// A read buffer from which frames are taken in place.
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

    /// Takes the next whole frame; its payload is unmasked and stays where it is until the next
    /// [`fill`](Self::fill).
    pub(crate) fn take_frame(&mut self) -> Result<Option<(Opcode, Range<usize>)>> {
        let Some(frame) = frame::decode(&self.bytes[self.start..self.end])? else {
            return Ok(None);
        };
        let payload = self.start + frame.payload.start..self.start + frame.payload.end;
        if let Some(key) = frame.mask {
            frame::apply_mask(&mut self.bytes[payload.clone()], key);
        }
        self.start = payload.end;
        Ok(Some((frame.opcode, payload)))
    }

    /// Takes `bytes` if they are what comes next, as a whole.
    pub(crate) fn take_exact(&mut self, bytes: &[u8]) -> bool {
        let next = self.bytes[self.start..self.end].starts_with(bytes);
        if next {
            self.start += bytes.len();
        }
        next
    }

    /// The payload that [`take_frame`](Self::take_frame) found.
    pub(crate) fn payload(&self, range: Range<usize>) -> &[u8] {
        &self.bytes[range]
    }

    /// Takes everything up to and with `end`, if it has arrived: an HTTP head, before the first
    /// frame.
    pub(crate) fn take_until(&mut self, end: &[u8]) -> Option<&[u8]> {
        let found = memchr::memmem::find(&self.bytes[self.start..self.end], end)?;
        let from = self.start;
        self.start += found + end.len();
        Some(&self.bytes[from..self.start])
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
    fn frames_come_out_whole_however_they_arrive() {
        let mut wire = Vec::new();
        let payloads: Vec<Vec<u8>> = (0..200).map(|n| vec![n as u8; n * 97]).collect();
        for payload in &payloads {
            frame::encode(&mut wire, Opcode::Text, payload, Some([9, 8, 7, 6]));
        }
        for step in [1_000, 4_096, 65_537, wire.len()] {
            let mut buffer = ReadBuffer::new();
            let mut seen = Vec::new();
            for mut piece in wire.chunks(step) {
                while !piece.is_empty() {
                    buffer.fill(&mut piece).unwrap();
                    while let Some((opcode, payload)) = buffer.take_frame().unwrap() {
                        assert_eq!(opcode, Opcode::Text);
                        seen.push(buffer.payload(payload).to_vec());
                    }
                }
            }
            assert_eq!(seen, payloads, "in steps of {step}");
        }
    }

    #[test]
    fn the_end_of_the_stream_is_an_error() {
        assert!(ReadBuffer::new().fill(&mut &b""[..]).is_err());
    }
}
