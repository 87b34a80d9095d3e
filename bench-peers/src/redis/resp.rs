//! RESP2: arrays of bulk strings out, whatever Redis answers in.
//! <https://redis.io/docs/latest/develop/reference/protocol-spec/>

use std::io::Write;

use anyhow::{Context, Result, bail};

/// Appends a command: its name, then its arguments.
pub fn encode(out: &mut Vec<u8>, words: &[&[u8]]) {
    // Writing to a vector never fails.
    let _ = write!(out, "*{}\r\n", words.len());
    for word in words {
        let _ = write!(out, "${}\r\n", word.len());
        out.extend_from_slice(word);
        out.extend_from_slice(b"\r\n");
    }
}

/// The bulk strings in a whole reply, in order, whatever arrays they stand in.
pub fn bulks(reply: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut at = 0;
    std::iter::from_fn(move || {
        loop {
            let item = Item::at(reply, at).ok()??;
            at = item.end;
            if item.kind == b'$' && item.number >= 0 {
                return Some(&reply[item.body..item.end - 2]);
            }
        }
    })
}

/// Where the reply ends that `bytes` start with; `None` if not all of it is there.
///
/// # Errors
/// If it is no RESP2, or an error that Redis answers.
pub(super) fn end_of_reply(bytes: &[u8]) -> Result<Option<usize>> {
    let (mut at, mut missing) = (0, 1_u64);
    while missing > 0 {
        let Some(item) = Item::at(bytes, at)? else {
            return Ok(None);
        };
        at = item.end;
        missing -= 1;
        if item.kind == b'*' {
            missing += u64::try_from(item.number).unwrap_or(0);
        }
    }
    Ok(Some(at))
}

/// One line, with the bytes that follow it if it announces a bulk string.
struct Item {
    kind: u8,
    /// What the line says, where it holds a number: 0 elsewhere.
    number: i64,
    /// Where a bulk string starts.
    body: usize,
    end: usize,
}

impl Item {
    fn at(bytes: &[u8], at: usize) -> Result<Option<Item>> {
        let Some(rest) = bytes.get(at..) else {
            return Ok(None);
        };
        let Some(length) = memchr::memchr(b'\n', rest) else {
            return Ok(None);
        };
        let line = rest[..length]
            .strip_suffix(b"\r")
            .context("a line of Redis without a carriage return")?;
        let (kind, text) = line.split_first().context("an empty line from Redis")?;
        let body = at + length + 1;
        let mut item = Item {
            kind: *kind,
            number: 0,
            body,
            end: body,
        };
        match kind {
            b'+' => {}
            b'-' => bail!("Redis answered {}", String::from_utf8_lossy(text)),
            b':' | b'*' | b'$' => {
                item.number = number(text)
                    .with_context(|| format!("no number: {}", String::from_utf8_lossy(line)))?;
            }
            _ => bail!("no reply of Redis: {}", String::from_utf8_lossy(line)),
        }
        if *kind == b'$'
            && let Ok(length) = usize::try_from(item.number)
        {
            item.end = body.saturating_add(length).saturating_add(2);
        }
        Ok((item.end <= bytes.len()).then_some(item))
    }
}

/// Up to 18 digits, with or without a sign.
fn number(text: &[u8]) -> Option<i64> {
    let (sign, digits) = match text.strip_prefix(b"-") {
        Some(digits) => (-1, digits),
        None => (1, text),
    };
    let fits = (1..=18).contains(&digits.len()) && digits.iter().all(u8::is_ascii_digit);
    fits.then(|| {
        digits
            .iter()
            .fold(0, |value, digit| value * 10 + i64::from(digit - b'0'))
            * sign
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_arrays_of_bulk_strings() {
        let mut out = Vec::new();
        encode(&mut out, &[b"XACK", b"key", b""]);
        assert_eq!(out, b"*3\r\n$4\r\nXACK\r\n$3\r\nkey\r\n$0\r\n\r\n");
    }

    #[test]
    fn a_reply_ends_where_its_last_part_does() {
        for reply in [
            "+OK\r\n",
            ":1000\r\n",
            "$5\r\nhello\r\n",
            "$2\r\n\r\n\r\n",
            "$-1\r\n",
            "*-1\r\n",
            "*0\r\n",
            "*2\r\n*1\r\n:1\r\n*2\r\n$1\r\na\r\n$-1\r\n",
        ] {
            let bytes = [reply, "+next\r\n"].concat();
            let end = end_of_reply(bytes.as_bytes()).unwrap();
            assert_eq!(end, Some(reply.len()), "{reply:?}");
            for part in 0..reply.len() {
                let end = end_of_reply(&reply.as_bytes()[..part]).unwrap();
                assert_eq!(end, None, "the first {part} bytes of {reply:?}");
            }
        }
    }

    #[test]
    fn errors_and_other_protocols_are_errors() {
        for reply in [
            "-ERR unknown command\r\n",
            "*2\r\n:1\r\n-ERR in an array\r\n",
            "HTTP/1.1 400 Bad Request\r\n",
            "\r\n",
            "+no carriage return\n",
            "$1x\r\n",
            "$\r\n",
            "$9999999999999999999\r\n",
        ] {
            assert!(end_of_reply(reply.as_bytes()).is_err(), "{reply:?}");
        }
    }

    #[test]
    fn bulk_strings_of_a_stream_read() {
        let reply = b"*1\r\n*2\r\n$1\r\nk\r\n*2\r\n\
                      *2\r\n$3\r\n1-0\r\n*2\r\n$1\r\np\r\n$2\r\naa\r\n\
                      *2\r\n$3\r\n2-0\r\n*2\r\n$1\r\np\r\n$0\r\n\r\n";
        assert_eq!(end_of_reply(reply).unwrap(), Some(reply.len()));
        let expected: [&[u8]; 7] = [b"k", b"1-0", b"p", b"aa", b"2-0", b"p", b""];
        assert!(bulks(reply).eq(expected));
        assert_eq!(bulks(b"*1\r\n$-1\r\n").count(), 0);
    }
}
