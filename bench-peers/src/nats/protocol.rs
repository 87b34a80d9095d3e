//! The text protocol: a line for every operation, a payload after some.
//! <https://docs.nats.io/reference/reference-protocols/nats-protocol>

use std::io::Write;
use std::ops::Range;

use anyhow::{Context, Result, bail};

/// What the server says.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Operation {
    /// What the server is, as JSON at these places of the operation.
    Info(Range<usize>),
    Message(Message),
    Ping,
    Pong,
    Ok,
}

/// Where the parts of a message are, counted from the start of the operation.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Message {
    pub(super) subject: Range<usize>,
    /// Empty if no answer is wanted.
    pub(super) reply_to: Range<usize>,
    pub(super) payload: Range<usize>,
}

/// Appends a message for `subject`, to be answered to `reply_to` if that isn't empty.
pub fn publish(out: &mut Vec<u8>, subject: &[u8], reply_to: &[u8], payload: &[u8]) {
    publish_head(out, subject, reply_to, payload.len());
    out.extend_from_slice(payload);
    out.extend_from_slice(b"\r\n");
}

/// The line before a payload of `length` bytes.
pub fn publish_head(out: &mut Vec<u8>, subject: &[u8], reply_to: &[u8], length: usize) {
    out.extend_from_slice(b"PUB ");
    out.extend_from_slice(subject);
    out.push(b' ');
    if !reply_to.is_empty() {
        out.extend_from_slice(reply_to);
        out.push(b' ');
    }
    // Writing to a vector never fails.
    let _ = write!(out, "{length}\r\n");
}

/// The operation that `bytes` start with, and where it ends; `None` if not all of it is there.
///
/// # Errors
/// If it is no operation of a server, or an error that the server reports.
pub(super) fn decode(bytes: &[u8]) -> Result<Option<(Operation, usize)>> {
    let Some(length) = memchr::memchr(b'\n', bytes) else {
        return Ok(None);
    };
    let end = length + 1;
    let line = bytes[..length]
        .strip_suffix(b"\r")
        .context("a line of NATS without a carriage return")?;
    let operation = match line {
        b"PING" => Operation::Ping,
        b"PONG" => Operation::Pong,
        b"+OK" => Operation::Ok,
        _ if line.starts_with(b"MSG ") => {
            return decode_message(line, end, bytes.len())
                .with_context(|| format!("not understood: {}", String::from_utf8_lossy(line)));
        }
        _ if line.starts_with(b"INFO ") => Operation::Info(5..line.len()),
        _ => bail!("NATS says {}", String::from_utf8_lossy(line)),
    };
    Ok(Some((operation, end)))
}

/// `MSG subject sid [reply-to] length`, then the payload.
fn decode_message(line: &[u8], body: usize, arrived: usize) -> Result<Option<(Operation, usize)>> {
    let mut fields = [0..0, 0..0, 0..0, 0..0];
    let (mut count, mut at) = (0, 4);
    while at <= line.len() {
        let length = memchr::memchr(b' ', &line[at..]).unwrap_or(line.len() - at);
        *fields.get_mut(count).context("too many fields")? = at..at + length;
        count += 1;
        at += length + 1;
    }
    let [subject, _, third, fourth] = fields;
    let (reply_to, length) = match count {
        3 => (0..0, third),
        4 => (third, fourth),
        _ => bail!("too few fields"),
    };
    let length = number(&line[length]).context("no length")?;
    let end = body + length + 2;
    let operation = Operation::Message(Message {
        subject,
        reply_to,
        payload: body..body + length,
    });
    Ok((end <= arrived).then_some((operation, end)))
}

/// Up to nine digits: no payload is longer.
fn number(digits: &[u8]) -> Option<usize> {
    let fits = (1..=9).contains(&digits.len()) && digits.iter().all(u8::is_ascii_digit);
    fits.then(|| {
        digits
            .iter()
            .fold(0, |value, digit| value * 10 + usize::from(digit - b'0'))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn publishes() {
        for (reply_to, expected) in [
            ("", "PUB a.b 3\r\nxyz\r\n"),
            ("r", "PUB a.b r 3\r\nxyz\r\n"),
        ] {
            let mut out = Vec::new();
            publish(&mut out, b"a.b", reply_to.as_bytes(), b"xyz");
            assert_eq!(out, expected.as_bytes());
        }
    }

    #[test]
    fn an_operation_is_there_when_all_of_it_is() {
        for (text, expected) in [
            ("PING\r\n", Operation::Ping),
            ("PONG\r\n", Operation::Pong),
            ("+OK\r\n", Operation::Ok),
            ("INFO {\"a\":1}\r\n", Operation::Info(5..12)),
            (
                "MSG a.b 1 4\r\n\r\n\r\n\r\n",
                Operation::Message(Message {
                    subject: 4..7,
                    reply_to: 0..0,
                    payload: 13..17,
                }),
            ),
            (
                "MSG a 12 r.1 0\r\n\r\n",
                Operation::Message(Message {
                    subject: 4..5,
                    reply_to: 9..12,
                    payload: 16..16,
                }),
            ),
        ] {
            let bytes = [text, "PING\r\n"].concat();
            let decoded = decode(bytes.as_bytes()).unwrap();
            assert_eq!(decoded, Some((expected, text.len())), "{text:?}");
            for part in 0..text.len() {
                let decoded = decode(&text.as_bytes()[..part]).unwrap();
                assert_eq!(decoded, None, "the first {part} bytes of {text:?}");
            }
        }
    }

    #[test]
    fn errors_and_other_protocols_are_errors() {
        for text in [
            "-ERR 'Unknown Protocol Operation'\r\n",
            "HTTP/1.1 400 Bad Request\r\n",
            "MSG a 1\r\n",
            "MSG a 1 r 1 1\r\n",
            "MSG a 1 x\r\n",
            "MSG a 1 9999999999\r\n",
            "PING\n",
        ] {
            assert!(decode(text.as_bytes()).is_err(), "{text:?}");
        }
    }
}
