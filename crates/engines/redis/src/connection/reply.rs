//! Values as they come over the wire. Pure.

use redis::Value;
use std::io;

/// Reads a value that is there as a whole; none if it is a push, which answers nothing.
pub(super) fn parse(bytes: &[u8]) -> io::Result<Option<Value>> {
    if bytes.first() == Some(&b'>') {
        return Ok(None);
    }
    value(bytes, &mut 0).map(Some)
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
    let text = bytes.get(*at..*at + length).ok_or_else(malformed)?;
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
            let read = parse(text).unwrap();
            assert_eq!(read, Some(expected), "{}", text.escape_ascii());
        }
        assert_eq!(parse(b">2\r\n+invalidate\r\n_\r\n").unwrap(), None);
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
            assert!(parse(text).is_err(), "{}", text.escape_ascii());
        }
    }
}
