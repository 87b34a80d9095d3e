//! Values as they come over the wire. Pure.

use redis::Value;
use std::io;

/// Reads a value that is there as a whole; none if it is a push, which answers nothing. A `raw` one that is
/// no error becomes a bulk string of its bytes.
pub(super) fn read(bytes: &[u8], raw: bool) -> io::Result<Option<Value>> {
    match bytes.first() {
        Some(b'>') => Ok(None),
        Some(kind) if raw && !matches!(kind, b'-' | b'!') => {
            Ok(Some(Value::BulkString(bytes.to_vec())))
        }
        _ => value(bytes, &mut 0).map(Some),
    }
}

/// The parts of a raw answer, one after the other, without a value made of each.
#[derive(Debug)]
pub(crate) struct Parts<'b> {
    bytes: &'b [u8],
    at: usize,
}

impl<'b> Parts<'b> {
    pub(crate) const fn new(bytes: &'b [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    /// How many parts follow that belong to the array, or to the map with its keys, which is the next one; none if it
    /// is nothing.
    ///
    /// # Errors
    /// It is neither.
    pub(crate) fn members(&mut self) -> io::Result<Option<usize>> {
        let kind = self.kind()?;
        let line = line(self.bytes, &mut self.at)?;
        match kind {
            b'*' => Ok(usize::try_from(number(line)?).ok()),
            b'%' => Ok(Some(length(line)?.saturating_mul(2))),
            b'_' => Ok(None),
            b'$' if number(line)? < 0 => Ok(None),
            _ => Err(malformed()),
        }
    }

    /// The next part, which is a string.
    ///
    /// # Errors
    /// It is none.
    pub(crate) fn string(&mut self) -> io::Result<&'b [u8]> {
        let kind = self.kind()?;
        let line = line(self.bytes, &mut self.at)?;
        match kind {
            b'$' => string(self.bytes, &mut self.at, length(line)?),
            b'+' => Ok(line),
            _ => Err(malformed()),
        }
    }

    fn kind(&self) -> io::Result<u8> {
        self.bytes.get(self.at).copied().ok_or_else(malformed)
    }
}

fn value(bytes: &[u8], at: &mut usize) -> io::Result<Value> {
    let begin = *at;
    let kind = *bytes.get(begin).ok_or_else(malformed)?;
    let line = line(bytes, at)?;
    Ok(match kind {
        b'$' => match usize::try_from(number(line)?) {
            Ok(length) => Value::BulkString(string(bytes, at, length)?.to_vec()),
            Err(_) => Value::Nil,
        },
        b':' => Value::Int(number(line)?),
        b'+' if line == b"OK" => Value::Okay,
        b'+' => Value::SimpleString(String::from_utf8_lossy(line).into_owned()),
        b'_' => Value::Nil,
        b'*' => match usize::try_from(number(line)?) {
            Ok(length) => Value::Array(values(bytes, at, length)?),
            Err(_) => Value::Nil,
        },
        b'~' => Value::Set(values(bytes, at, length(line)?)?),
        b'%' => {
            let members = 0..length(line)?;
            let members = members.map(|_| Ok((value(bytes, at)?, value(bytes, at)?)));
            Value::Map(members.collect::<io::Result<_>>()?)
        }
        // They are rare.
        b'!' | b'=' => {
            string(bytes, at, length(line)?)?;
            by_library(&bytes[begin..*at])?
        }
        _ => by_library(&bytes[begin..*at])?,
    })
}

fn values(bytes: &[u8], at: &mut usize, length: usize) -> io::Result<Vec<Value>> {
    // Each has three bytes at least.
    let mut values = Vec::with_capacity(length.min(bytes.len() / 3));
    for _ in 0..length {
        values.push(value(bytes, at)?);
    }
    Ok(values)
}

/// What stands between the first byte and the end of the line, which is passed.
fn line<'b>(bytes: &'b [u8], at: &mut usize) -> io::Result<&'b [u8]> {
    let rest = &bytes[*at + 1..];
    let end = memchr::memchr(b'\r', rest).ok_or_else(malformed)?;
    *at += end + 3;
    Ok(&rest[..end])
}

fn string<'b>(bytes: &'b [u8], at: &mut usize, length: usize) -> io::Result<&'b [u8]> {
    let end = at.saturating_add(length);
    let text = bytes.get(*at..end).ok_or_else(malformed)?;
    *at += length + 2;
    Ok(text)
}

fn length(line: &[u8]) -> io::Result<usize> {
    usize::try_from(number(line)?).map_err(|_| malformed())
}

fn number(digits: &[u8]) -> io::Result<i64> {
    let number = std::str::from_utf8(digits).ok();
    let number = number.and_then(|number| number.parse().ok());
    number.ok_or_else(malformed)
}

fn by_library(bytes: &[u8]) -> io::Result<Value> {
    redis::parse_redis_value(bytes)
        .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error.to_string()))
}

fn malformed() -> io::Error {
    let text = "the server did not speak the Redis protocol";
    io::Error::new(io::ErrorKind::InvalidData, text)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the client library reads is what is read here.
    #[test]
    fn values_are_those_of_the_client_library() {
        for text in [
            &b"+OK\r\n"[..],
            b"+PONG\r\n",
            b"-ERR no such thing\r\n",
            b"-MOVED 1 127.0.0.1:1\r\n",
            b":-7\r\n",
            b":9223372036854775807\r\n",
            b"$4\r\na\r\nb\r\n",
            b"$0\r\n\r\n",
            b"$-1\r\n",
            b"*-1\r\n",
            b"*0\r\n",
            b"*3\r\n$7\r\nmessage\r\n*2\r\n:1\r\n$-1\r\n-ERR in it\r\n",
            b"_\r\n",
            b"#t\r\n",
            b",1.5\r\n",
            b"(12345678901234567890\r\n",
            b"!5\r\nERR a\r\n",
            b"=7\r\ntxt:abc\r\n",
            b"~2\r\n:1\r\n:2\r\n",
            b"%2\r\n+k\r\n:1\r\n+l\r\n*1\r\n_\r\n",
        ] {
            let expected = redis::parse_redis_value(text).unwrap();
            let parsed = read(text, false).unwrap();
            let parsed = parsed.expect("it answers something");
            assert_eq!(parsed, expected, "{}", text.escape_ascii());
            let expected = match parsed {
                Value::ServerError(_) => parsed,
                _ => Value::BulkString(text.to_vec()),
            };
            assert_eq!(read(text, true).unwrap(), Some(expected));
        }
        for raw in [false, true] {
            assert_eq!(read(b">2\r\n+invalidate\r\n_\r\n", raw).unwrap(), None);
        }
    }

    #[test]
    fn parts_are_read_one_after_the_other() {
        let mut parts = Parts::new(b"*2\r\n%1\r\n$4\r\na\r\nb\r\n+c\r\n*-1\r\n$-1\r\n_\r\n:1\r\n");
        assert_eq!(parts.members().unwrap(), Some(2));
        assert_eq!(parts.members().unwrap(), Some(2));
        assert_eq!(parts.string().unwrap(), b"a\r\nb");
        assert_eq!(parts.string().unwrap(), b"c");
        for _ in 0..3 {
            assert_eq!(parts.members().unwrap(), None);
        }
        assert!(parts.string().is_err(), "a number is no string");
        assert!(parts.members().is_err(), "there is nothing more");
    }

    #[test]
    fn what_is_no_value_is_an_error() {
        for text in [
            &b""[..],
            b"$",
            b":x\r\n",
            b"$9\r\nab\r\n",
            b"*2\r\n:1\r\n",
            b"?\r\n",
            b"~-1\r\n",
        ] {
            assert!(read(text, false).is_err(), "{}", text.escape_ascii());
        }
    }
}
