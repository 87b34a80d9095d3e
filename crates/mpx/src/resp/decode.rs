use super::Value;
use bytes::{Bytes, BytesMut};

/// Deepest nesting that is read. What a subscriber gets is one deep, a read of streams five.
const DEPTH_MAX: u32 = 16;
/// Most members of an array.
const MEMBERS_MAX: usize = 1 << 20;
/// Longest line: numbers, errors and statuses are short.
const LINE_BYTES_MAX: usize = 64 << 10;

/// The bytes are not RESP, or beyond a bound.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the server did not speak the Redis protocol: {0}")]
pub struct DecodeError(&'static str);

/// Cuts what a server sends into values, however it is split, without a look into them: RESP2 and
/// RESP3.
#[derive(Debug)]
pub struct Frames {
    value_bytes_max: usize,
    /// What is not worth looking at again before there are so many bytes.
    wanted: usize,
}

/// Makes values of bytes, however they are split. Bytes of messages share the memory of what
/// was read.
#[derive(Debug)]
pub(crate) struct Decoder(Frames);

/// How far a look at a value came.
enum Extent {
    /// It ends there.
    End(usize),
    /// It is not all there; it has at least so many bytes.
    Short(usize),
}

impl Decoder {
    /// A decoder for one connection, which refuses a value of more than so many bytes.
    pub(crate) const fn new(value_bytes_max: usize) -> Self {
        Self(Frames::new(value_bytes_max))
    }

    /// Takes the next value out of the buffer; none if it is not all there yet.
    pub(crate) fn decode(&mut self, input: &mut BytesMut) -> Result<Option<Value>, DecodeError> {
        let Some(end) = self.0.end_of_next(input)? else {
            return Ok(None);
        };
        let bytes = input.split_to(end).freeze();
        Ok(Some(parse(&bytes, &mut 0)))
    }
}

impl Frames {
    /// For one connection; refuses a value of more than so many bytes.
    #[must_use]
    pub const fn new(value_bytes_max: usize) -> Self {
        Self {
            value_bytes_max,
            wanted: 0,
        }
    }

    /// Where the value ends that the buffer begins with; none if it is not all there yet. The
    /// caller takes it out.
    ///
    /// # Errors
    /// [`DecodeError`]; nothing that comes later can be read.
    pub fn end_of_next(&mut self, input: &[u8]) -> Result<Option<usize>, DecodeError> {
        if input.is_empty() || input.len() < self.wanted {
            return Ok(None);
        }
        match extent(input, 0, 0)? {
            Extent::End(end) if end <= self.value_bytes_max => {
                self.wanted = 0;
                Ok(Some(end))
            }
            Extent::Short(least) if least <= self.value_bytes_max => {
                self.wanted = least;
                Ok(None)
            }
            _ => Err(DecodeError("a value is longer than is allowed")),
        }
    }
}

/// Where the value that begins at `at` ends.
fn extent(bytes: &[u8], at: usize, depth: u32) -> Result<Extent, DecodeError> {
    if depth > DEPTH_MAX {
        return Err(DecodeError("values are nested too deeply"));
    }
    let Some(&kind) = bytes.get(at) else {
        return Ok(Extent::Short(at + 3));
    };
    let Some(line) = line_end(bytes, at + 1)? else {
        return Ok(Extent::Short(bytes.len() + 1));
    };
    let after = line + 2;
    match kind {
        b'+' | b'-' | b'(' | b'_' | b',' | b'#' => Ok(Extent::End(after)),
        b':' => number(&bytes[at + 1..line]).map(|_| Extent::End(after)),
        b'$' | b'=' | b'!' => {
            let length = number(&bytes[at + 1..line])?;
            let Ok(length) = usize::try_from(length) else {
                return nothing(length, after);
            };
            let end = after.saturating_add(length).saturating_add(2);
            match bytes.get(end - 2..end) {
                Some(b"\r\n") => Ok(Extent::End(end)),
                Some(_) => Err(DecodeError("a string is longer than it says")),
                None => Ok(Extent::Short(end)),
            }
        }
        b'*' | b'~' | b'>' | b'%' => {
            let length = number(&bytes[at + 1..line])?;
            let Ok(length) = usize::try_from(length) else {
                return nothing(length, after);
            };
            let members = length.saturating_mul(if kind == b'%' { 2 } else { 1 });
            if members > MEMBERS_MAX {
                return Err(DecodeError("an array has too many members"));
            }
            let mut end = after;
            for _ in 0..members {
                match extent(bytes, end, depth + 1)? {
                    Extent::End(next) => end = next,
                    short @ Extent::Short(_) => return Ok(short),
                }
            }
            Ok(Extent::End(end))
        }
        // An alert, or the beginning of a handshake.
        0x15 | 0x16 => Err(DecodeError("this is its port for TLS, use rediss://")),
        _ => Err(DecodeError("a value begins with an unknown byte")),
    }
}

fn nothing(length: i64, after: usize) -> Result<Extent, DecodeError> {
    if length == -1 {
        Ok(Extent::End(after))
    } else {
        Err(DecodeError("a length is negative"))
    }
}

/// Where the line's CR is.
fn line_end(bytes: &[u8], from: usize) -> Result<Option<usize>, DecodeError> {
    let line = &bytes[from..];
    match memchr::memchr(b'\r', line) {
        Some(at) if at > LINE_BYTES_MAX => Err(DecodeError("a line is too long")),
        Some(at) => match line.get(at + 1) {
            Some(b'\n') => Ok(Some(from + at)),
            Some(_) => Err(DecodeError("a line ends with CR alone")),
            None => Ok(None),
        },
        None if line.len() > LINE_BYTES_MAX => Err(DecodeError("a line is too long")),
        None => Ok(None),
    }
}

fn number(digits: &[u8]) -> Result<i64, DecodeError> {
    std::str::from_utf8(digits)
        .ok()
        .and_then(|digits| digits.parse().ok())
        .ok_or(DecodeError("a number is none"))
}

/// Reads a value whose extent is known to be right.
fn parse(bytes: &Bytes, at: &mut usize) -> Value {
    let kind = bytes[*at];
    let from = *at + 1;
    let line = from + memchr::memchr(b'\r', &bytes[from..]).expect("the extent was found");
    let length = || number(&bytes[from..line]).expect("the extent was found");
    *at = line + 2;
    match kind {
        b'+' | b'(' => Value::Bytes(bytes.slice(from..line)),
        b'-' => Value::Error(bytes.slice(from..line)),
        b':' => Value::Integer(length()),
        b'$' | b'=' | b'!' => match usize::try_from(length()) {
            Ok(length) => {
                let text = bytes.slice(*at..*at + length);
                *at += length + 2;
                match kind {
                    b'!' => Value::Error(text),
                    // A verbatim string says in four bytes what sort of text it is.
                    b'=' if length >= 4 => Value::Bytes(text.slice(4..)),
                    _ => Value::Bytes(text),
                }
            }
            Err(_) => Value::Nothing,
        },
        b'*' | b'~' | b'>' | b'%' => match usize::try_from(length()) {
            Ok(length) => {
                let members = length * if kind == b'%' { 2 } else { 1 };
                let members = (0..members).map(|_| parse(bytes, at)).collect();
                if kind == b'>' {
                    Value::Push(members)
                } else {
                    Value::Array(members)
                }
            }
            Err(_) => Value::Nothing,
        },
        _ => Value::Nothing,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(input: &[u8], step: usize) -> Result<Vec<Value>, DecodeError> {
        let mut decoder = Decoder::new(1 << 20);
        let mut buffer = BytesMut::new();
        let mut values = Vec::new();
        for part in input.chunks(step) {
            buffer.extend_from_slice(part);
            while let Some(value) = decoder.decode(&mut buffer)? {
                values.push(value);
            }
        }
        assert!(buffer.is_empty());
        Ok(values)
    }

    fn text(text: &'static str) -> Value {
        Value::Bytes(Bytes::from_static(text.as_bytes()))
    }

    #[test]
    fn values_are_the_same_however_they_are_split() {
        let input = b"+PONG\r\n-ERR no\r\n:-7\r\n$4\r\na\r\nb\r\n$0\r\n\r\n$-1\r\n*-1\r\n\
            *3\r\n$7\r\nmessage\r\n$1\r\nc\r\n$2\r\n\0\xff\r\n>2\r\n+a\r\n_\r\n%1\r\n+k\r\n:1\r\n\
            =7\r\ntxt:abc\r\n#t\r\n,1.5\r\n!5\r\nERR a\r\n";
        let message = vec![
            text("message"),
            text("c"),
            Value::Bytes(Bytes::from_static(b"\0\xff")),
        ];
        let expected = vec![
            text("PONG"),
            Value::Error(Bytes::from_static(b"ERR no")),
            Value::Integer(-7),
            text("a\r\nb"),
            text(""),
            Value::Nothing,
            Value::Nothing,
            Value::Array(message),
            Value::Push(vec![text("a"), Value::Nothing]),
            Value::Array(vec![text("k"), Value::Integer(1)]),
            text("abc"),
            Value::Nothing,
            Value::Nothing,
            Value::Error(Bytes::from_static(b"ERR a")),
        ];
        for step in 1..=input.len() {
            assert_eq!(all(input, step), Ok(expected.clone()), "step {step}");
        }
    }

    #[test]
    fn what_is_no_value_is_refused() {
        for input in [
            &b"HTTP/1.1 400\r\n"[..],
            b":x\r\n",
            b"$-2\r\n",
            b"$1\r\nab\r\n",
            b"+a\rb",
            b"$99999999999\r\n",
            b"*2000000\r\n",
            &b"*1\r\n".repeat(17),
        ] {
            assert!(all(input, 1).is_err(), "{}", input.escape_ascii());
        }
        let tls = all(b"\x15\x03\x01\0\x02\x02\x46\r\n", 1).unwrap_err();
        assert!(tls.to_string().ends_with("use rediss://"), "{tls}");
        let endless = vec![b'+'; LINE_BYTES_MAX + 2];
        assert!(all(&endless, 4096).is_err());
    }
}
