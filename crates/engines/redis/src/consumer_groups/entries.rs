//! Entries of a stream as Redis answers with them. Pure: nothing is copied.

use crate::connection::Parts;
use std::io;

/// An entry with its id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Entry<'b> {
    pub(super) id: &'b [u8],
    /// None if it was trimmed meanwhile.
    pub(super) fields: Option<Fields<'b>>,
}

/// Those fields of an entry that a request has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Fields<'b> {
    pub(super) rpc: Option<&'b [u8]>,
    pub(super) who: Option<&'b [u8]>,
    pub(super) deadline: Option<&'b [u8]>,
    pub(super) args: Option<&'b [u8]>,
    pub(super) message_id: Option<&'b [u8]>,
}

impl<'b> Fields<'b> {
    /// Notes a field; others are passed over.
    pub(super) fn note(&mut self, name: &[u8], value: &'b [u8]) {
        let field = match name {
            b"rpc" => &mut self.rpc,
            b"who" => &mut self.who,
            b"deadline" => &mut self.deadline,
            b"args" => &mut self.args,
            b"message_id" => &mut self.message_id,
            _ => return,
        };
        *field = Some(value);
    }
}

/// Reads what `XREADGROUP` answered: streams with their entries, or nothing.
///
/// # Errors
/// It is no such answer.
pub(super) fn of_streams(answer: &[u8]) -> io::Result<Vec<Entry<'_>>> {
    let mut parts = Parts::new(answer);
    let mut entries = Vec::new();
    let is_map = answer.first() == Some(&b'%');
    let Some(mut streams) = parts.members()? else {
        return Ok(entries);
    };
    if is_map {
        streams /= 2;
    }
    for _ in 0..streams {
        if !is_map && parts.members()? != Some(2) {
            return Err(malformed("a stream has no entries"));
        }
        parts.string()?;
        read(&mut parts, &mut entries)?;
    }
    Ok(entries)
}

/// Reads what `XCLAIM` answered: entries, and nothing in the place of each that is gone.
///
/// # Errors
/// It is no such answer.
pub(super) fn of_claim(answer: &[u8]) -> io::Result<Vec<Entry<'_>>> {
    let mut entries = Vec::new();
    read(&mut Parts::new(answer), &mut entries)?;
    Ok(entries)
}

fn read<'b>(parts: &mut Parts<'b>, entries: &mut Vec<Entry<'b>>) -> io::Result<()> {
    for _ in 0..parts.members()?.unwrap_or(0) {
        match parts.members()? {
            None => continue,
            Some(2) => {}
            Some(_) => return Err(malformed("an entry has more than an id and fields")),
        }
        let id = parts.string()?;
        let fields = match parts.members()? {
            None => None,
            Some(words) if words % 2 != 0 => return Err(malformed("a field has no value")),
            Some(words) => {
                let mut fields = Fields::default();
                for _ in 0..words / 2 {
                    let name = parts.string()?;
                    fields.note(name, parts.string()?);
                }
                Some(fields)
            }
        };
        entries.push(Entry { id, fields });
    }
    Ok(())
}

fn malformed(why: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ENTRIES: &str = "*3\r\n*2\r\n$3\r\n1-0\r\n*6\r\n$3\r\nrpc\r\n$1\r\na\r\n$5\r\nother\r\n$1\r\nx\r\n\
        $3\r\nwho\r\n$0\r\n\r\n*2\r\n$3\r\n2-0\r\n*-1\r\n*2\r\n$3\r\n3-0\r\n*0\r\n";

    fn expected() -> [Entry<'static>; 3] {
        let first = Fields {
            rpc: Some(b"a"),
            who: Some(b""),
            ..Fields::default()
        };
        let fields = [Some(first), None, Some(Fields::default())];
        let ids: [&[u8]; 3] = [b"1-0", b"2-0", b"3-0"];
        [0, 1, 2].map(|n| Entry {
            id: ids[n],
            fields: fields[n],
        })
    }

    #[test]
    fn entries_of_a_read_are_those_of_its_streams() {
        for streams in ["*1\r\n*2\r\n$1\r\ns\r\n", "%1\r\n$1\r\ns\r\n"] {
            let answer = [streams, ENTRIES].concat();
            let entries = of_streams(answer.as_bytes()).unwrap();
            assert_eq!(entries, expected(), "{streams:?}");
            // Up to the last line: what is read is there as a whole, so the LF of a line isn't looked at.
            for part in 1..answer.len() - 1 {
                let part = &answer.as_bytes()[..part];
                assert!(of_streams(part).is_err(), "{}", part.escape_ascii());
            }
        }
        for nothing in ["*-1\r\n", "$-1\r\n", "_\r\n", "*0\r\n"] {
            assert_eq!(of_streams(nothing.as_bytes()).unwrap(), [], "{nothing:?}");
        }
    }

    #[test]
    fn entries_that_are_gone_are_left_out_of_a_claim() {
        let answer = ENTRIES.replacen("*3", "*5", 1) + "*-1\r\n_\r\n";
        assert_eq!(of_claim(answer.as_bytes()).unwrap(), expected());
    }

    #[test]
    fn what_is_no_entry_is_an_error() {
        for answer in [
            ":1\r\n",
            "*1\r\n*1\r\n$1\r\ns\r\n",
            "*1\r\n*2\r\n$1\r\ns\r\n*1\r\n*1\r\n$3\r\n1-0\r\n",
            "*1\r\n*2\r\n$1\r\ns\r\n*1\r\n*2\r\n$3\r\n1-0\r\n*1\r\n$3\r\nrpc\r\n",
            "*1\r\n*2\r\n$1\r\ns\r\n*1\r\n*2\r\n$3\r\n1-0\r\n*2\r\n$3\r\nrpc\r\n:1\r\n",
        ] {
            assert!(of_streams(answer.as_bytes()).is_err(), "{answer:?}");
        }
    }
}
