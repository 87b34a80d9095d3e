use super::escape::Part;
use super::{Escapes, Frame, Inexpressible};
use crate::{Command, Version};
use bytes::BufMut;

/// The header that the writer adds itself.
const CONTENT_LENGTH: &str = "content-length";

/// Writes one frame, piece by piece, into a buffer.
///
/// What a version has no way to write becomes a blank (see [`Frame::check`] for who would rather
/// know), so that no value of a header can become a header or a frame of its own.
///
/// ```
/// use trunkline_stomp::{Command, Version, Writer};
///
/// let mut out = Vec::new();
/// let mut frame = Writer::begin(&mut out, Command::Message, Some(Version::V1_2));
/// frame.header("destination", "/queue/a:b");
/// frame.body(b"hello");
/// assert_eq!(out, b"MESSAGE\ndestination:/queue/a\\cb\ncontent-length:5\n\nhello\0");
/// ```
#[must_use = "a frame is complete after `body` or `end`"]
pub struct Writer<'a, B: BufMut> {
    out: &'a mut B,
    escapes: Escapes,
}

impl<'a, B: BufMut> Writer<'a, B> {
    /// Writes the command. Without a version nothing is escaped.
    pub fn begin(out: &'a mut B, command: Command, version: Option<Version>) -> Self {
        out.put_slice(command.as_str().as_bytes());
        out.put_u8(b'\n');
        let escapes = Escapes::of(command, version);
        Self { out, escapes }
    }

    /// Writes what comes behind headers of the command that were written elsewhere.
    pub(crate) fn go_on(out: &'a mut B, command: Command, version: Version) -> Self {
        let escapes = Escapes::of(command, Some(version));
        Self { out, escapes }
    }

    /// Writes a header.
    pub fn header(&mut self, name: &str, value: &str) {
        self.escapes.put(self.out, name, Part::Name);
        self.out.put_u8(b':');
        self.escapes.put(self.out, value, Part::Value);
        self.out.put_u8(b'\n');
    }

    /// Writes a header of ours: `name` stands with its colon, and needs no escape.
    pub(crate) fn own(&mut self, name: &'static str, value: &str) {
        self.out.put_slice(name.as_bytes());
        self.escapes.put(self.out, value, Part::Value);
        self.out.put_u8(b'\n');
    }

    /// Writes whole lines of ours, which need no escape.
    pub(crate) fn lines(&mut self, lines: &'static str) {
        self.out.put_slice(lines.as_bytes());
    }

    /// Writes a header whose value is a number.
    pub fn number(&mut self, name: &str, value: u64) {
        let mut digits = [0; 20];
        self.header(name, decimal(value, &mut digits));
    }

    /// Ends the frame with a body and its `content-length`.
    pub fn body(mut self, body: &[u8]) {
        let mut digits = [0; 20];
        self.lines("content-length:");
        let length = decimal(body.len() as u64, &mut digits);
        self.out.put_slice(length.as_bytes());
        self.lines("\n\n");
        self.out.put_slice(body);
        self.out.put_u8(0);
    }

    /// Ends the frame with bytes that end one.
    pub(crate) fn tail(self, tail: &[u8]) {
        self.out.put_slice(tail);
    }

    /// Ends a frame that has no body.
    pub fn end(self) {
        self.out.put_slice(b"\n\0");
    }
}

/// The digits of a number.
pub(crate) fn decimal(mut value: u64, digits: &mut [u8; 20]) -> &str {
    let mut at = digits.len();
    loop {
        at -= 1;
        digits[at] = b'0' + (value % 10) as u8;
        value /= 10;
        if value == 0 {
            break;
        }
    }
    // Only digits were written.
    str::from_utf8(&digits[at..]).unwrap_or("0")
}

/// Writes a frame as a version writes it; without a version nothing is escaped. SEND, MESSAGE and
/// ERROR get the `content-length` of their body, whatever the frame itself says; other frames are
/// written without body.
pub fn encode<B: BufMut>(out: &mut B, frame: &Frame, version: Option<Version>) {
    let mut writer = Writer::begin(out, frame.command, version);
    for (name, value) in frame.headers.iter() {
        if name != CONTENT_LENGTH {
            writer.header(name, value);
        }
    }
    if frame.command.has_body() {
        writer.body(&frame.body);
    } else {
        writer.end();
    }
}

impl Frame {
    /// Whether a version can carry all headers as they are.
    ///
    /// # Errors
    /// [`Inexpressible`] names the first that it can't: one with a line break in 1.0, say.
    pub fn check(&self, version: Option<Version>) -> Result<(), Inexpressible> {
        let escapes = Escapes::of(self.command, version);
        self.headers
            .iter()
            .try_for_each(|(name, value)| escapes.check(self.command, name, value))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_as_they_are_written() {
        let frame = Frame::new(Command::Send)
            .with("destination", "/queue/a")
            .with("content-length", "99")
            .with("b:c", "1\n2");
        for (version, bytes) in [
            (
                None,
                "SEND\ndestination:/queue/a\nb c:1 2\ncontent-length:3\n\na\0b\0",
            ),
            (
                Some(Version::V1_2),
                "SEND\ndestination:/queue/a\nb\\cc:1\\n2\ncontent-length:3\n\na\0b\0",
            ),
        ] {
            let frame = frame.clone().with_body(&b"a\0b"[..]);
            let mut out = Vec::new();
            encode(&mut out, &frame, version);
            assert_eq!(String::from_utf8(out).unwrap(), bytes);
            assert_eq!(frame.check(version).is_ok(), version.is_some());
        }
        let mut out = bytes::BytesMut::new();
        encode(&mut out, &Frame::new(Command::Begin), None);
        assert_eq!(&out[..], b"BEGIN\n\n\0");
    }

    #[test]
    fn numbers_in_digits() {
        for number in [0, 7, 10, 90_210, u64::MAX] {
            assert_eq!(decimal(number, &mut [0; 20]), number.to_string());
        }
    }
}
