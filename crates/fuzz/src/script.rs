//! Bytes of a peer with things that happen in between.

/// Begins a step: a byte that is never part of UTF-8, so that frames need no escapes.
const MARK: u8 = 0xff;

/// What an input says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part<'a> {
    /// Bytes that arrive together; never none.
    Bytes(&'a [u8]),
    /// What happens between: a letter and a number. What a target doesn't know only cuts the
    /// bytes in two.
    Step(u8, u8),
}

/// Reads an input: bytes up to `\xff`, which a letter and a number follow; `\xff\xff` and a byte are
/// a mark and that byte as bytes.
pub(crate) fn parts(input: &[u8]) -> impl Iterator<Item = Part<'_>> {
    let mut rest = input;
    std::iter::from_fn(move || {
        let part = match *rest {
            [] => return None,
            [MARK, letter, number, ..] if letter != MARK => Part::Step(letter, number),
            [MARK, MARK, _, ..] => Part::Bytes(&rest[1..3]),
            [MARK, ..] => return None,
            _ => {
                let end = rest.iter().position(|byte| *byte == MARK);
                Part::Bytes(&rest[..end.unwrap_or(rest.len())])
            }
        };
        rest = match part {
            Part::Bytes(bytes) if rest[0] != MARK => &rest[bytes.len()..],
            _ => &rest[3..],
        };
        Some(part)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_input_is_bytes_and_steps() {
        let read: Vec<_> = parts(b"ab\xffc1\xff\xffxd\xff").collect();
        let expected = [
            Part::Bytes(b"ab"),
            Part::Step(b'c', b'1'),
            Part::Bytes(b"\xffx"),
            Part::Bytes(b"d"),
        ];
        assert_eq!(read, expected);
        assert_eq!(parts(b"\xffc").next(), None);
    }
}
