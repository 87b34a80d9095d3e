use bytes::BufMut;

/// Room for the longest header of a WebSocket frame from a server (RFC 6455 §5.2).
const HEADER_MAX: usize = 10;
/// Room left for the header while the frame's length is not known: right for most answers, so
/// that nothing has to be moved afterwards.
const HEADER_GUESS: usize = 4;
/// FIN and the text opcode.
const TEXT: u8 = 0x81;
/// FIN and the binary opcode.
const BINARY: u8 = 0x82;
/// Capacity that a buffer keeps when it is empty.
const CAPACITY_KEPT: usize = 256 << 10;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Framing {
    /// Every frame gets the header of an unmasked WebSocket text frame.
    WebSocket,
    /// Frames are only their content: the one answer to a `POST`.
    Bare,
}

/// Bytes on their way out. Frames are encoded here once, header included, and leave in as few
/// writes as the socket allows.
#[derive(Debug)]
pub(crate) struct Outbox {
    buffer: Vec<u8>,
    written: usize,
    /// Bytes that have left since the beginning.
    total: u64,
    bound: usize,
    framing: Framing,
}

impl Outbox {
    pub(crate) fn web_socket(bound: usize) -> Self {
        Self {
            buffer: Vec::new(),
            written: 0,
            total: 0,
            bound,
            framing: Framing::WebSocket,
        }
    }

    pub(crate) fn bare() -> Self {
        Self {
            framing: Framing::Bare,
            ..Self::web_socket(usize::MAX)
        }
    }

    /// Appends one frame with what `write` appends to the buffer.
    pub(crate) fn frame<R>(&mut self, write: impl FnOnce(&mut Vec<u8>) -> R) -> R {
        let start = self.buffer.len();
        if self.framing == Framing::Bare {
            return write(&mut self.buffer);
        }
        self.buffer.put_bytes(0, HEADER_GUESS);
        let result = write(&mut self.buffer);
        self.put_header(start);
        result
    }

    /// Appends a message as it is: as text if it is UTF-8, else as binary.
    pub(crate) fn message(&mut self, content: &[u8]) {
        let (mut header, length) = header(content.len());
        if std::str::from_utf8(content).is_err() {
            header[0] = BINARY;
        }
        self.put(&header[..length]);
        self.put(content);
    }

    fn put_header(&mut self, start: usize) {
        let content = start + HEADER_GUESS;
        let (header, length) = header(self.buffer.len() - content);
        if length < HEADER_GUESS {
            self.buffer.drain(start..start + (HEADER_GUESS - length));
        } else if length > HEADER_GUESS {
            let more = [0; HEADER_MAX];
            let at = start..start;
            self.buffer
                .splice(at, more[..length - HEADER_GUESS].iter().copied());
        }
        self.buffer[start..start + length].copy_from_slice(&header[..length]);
    }

    /// Appends bytes that are framed already.
    pub(crate) fn put(&mut self, framed: &[u8]) {
        self.buffer.extend_from_slice(framed);
    }

    /// What has not left yet.
    pub(crate) fn pending(&self) -> &[u8] {
        &self.buffer[self.written..]
    }

    /// Whether the bound is reached: nothing more should be appended now.
    pub(crate) fn is_full(&self) -> bool {
        self.pending().len() >= self.bound
    }

    /// Position in the stream of all bytes behind what was appended last.
    pub(crate) fn end(&self) -> u64 {
        self.total + self.pending().len() as u64
    }

    /// Position in the stream of all bytes up to which everything has left.
    pub(crate) fn left(&self) -> u64 {
        self.total
    }

    /// The first `count` pending bytes have left.
    pub(crate) fn advance(&mut self, count: usize) {
        self.total += count as u64;
        self.written += count;
        if self.written == self.buffer.len() {
            self.buffer.clear();
            self.buffer.shrink_to(CAPACITY_KEPT);
            self.written = 0;
        } else if self.written > self.bound / 2 {
            self.buffer.drain(..self.written);
            self.written = 0;
        }
    }

    /// Gives up the capacity of an empty buffer: for connections that have nothing to say.
    pub(crate) fn rest(&mut self) {
        if self.buffer.is_empty() {
            self.buffer = Vec::new();
        }
    }

    pub(crate) fn into_bytes(self) -> Vec<u8> {
        self.buffer
    }
}

/// The header of an unmasked text frame with so many bytes, and its length.
fn header(content: usize) -> ([u8; HEADER_MAX], usize) {
    let mut header = [0; HEADER_MAX];
    header[0] = TEXT;
    if let Ok(short) = u8::try_from(content)
        && short < 126
    {
        header[1] = short;
        return (header, 2);
    }
    if let Ok(medium) = u16::try_from(content) {
        header[1] = 126;
        header[2..4].copy_from_slice(&medium.to_be_bytes());
        return (header, 4);
    }
    header[1] = 127;
    header[2..].copy_from_slice(&(content as u64).to_be_bytes());
    (header, 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_length_has_its_shortest_header() {
        for (length, header) in [
            (0, &[0x81, 0][..]),
            (1, &[0x81, 1]),
            (125, &[0x81, 125]),
            (126, &[0x81, 126, 0, 126]),
            (65_535, &[0x81, 126, 0xff, 0xff]),
            (65_536, &[0x81, 127, 0, 0, 0, 0, 0, 1, 0, 0]),
        ] {
            let mut out = Outbox::web_socket(usize::MAX);
            out.put(b"before");
            out.frame(|buffer| buffer.extend(std::iter::repeat_n(b'x', length)));
            out.frame(|buffer| buffer.push(b'y'));
            let expected = [b"before", header, &b"x".repeat(length), &[0x81, 1, b'y']].concat();
            assert_eq!(out.pending(), expected, "{length}");
        }
    }

    #[test]
    fn messages_that_are_no_text_are_binary() {
        let mut out = Outbox::web_socket(usize::MAX);
        out.message("ä".as_bytes());
        out.message(b"\xff");
        assert_eq!(out.pending(), b"\x81\x02\xc3\xa4\x82\x01\xff");
    }

    #[test]
    fn positions_survive_partial_writes() {
        let mut out = Outbox::web_socket(8);
        out.frame(|buffer| buffer.extend(b"1234567890"));
        assert!(out.is_full());
        assert_eq!((out.left(), out.end()), (0, 12));
        out.advance(5);
        assert_eq!(
            (out.left(), out.end(), out.pending()),
            (5, 12, &b"4567890"[..])
        );
        assert!(!out.is_full());
        out.frame(|buffer| buffer.push(b'a'));
        out.advance(10);
        assert_eq!((out.left(), out.end()), (15, 15));
        assert!(out.pending().is_empty());
    }
}
