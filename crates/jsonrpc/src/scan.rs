//! JSON read from left to right, once, without recursion and without building anything.

use std::borrow::Cow;

use crate::text::unquote;
use crate::words::first_special;

/// Deepest nesting that a [`Scanner`] passes over, one bit a level.
const DEEPEST: usize = 64;

/// Reads the common forms of JSON text (RFC 8259) several times faster than a general parser.
///
/// It takes only what is certainly right, and gives up on everything else: what isn't JSON, but
/// also names with escapes and very deep nesting. Every method then returns `None`, and the same
/// text goes to `serde_json`, which is slower, takes the rest and words the errors. So the rules
/// and the messages are `serde_json`'s, and nobody can see which of the two has read a frame.
///
/// ```
/// use trunkline_jsonrpc::Scanner;
///
/// fn tags(text: &str) -> Option<Vec<u64>> {
///     let mut tags = None;
///     let mut scanner = Scanner::new(text);
///     scanner.object(|scanner, name| match name {
///         "tags" if tags.is_none() => {
///             let mut read = Vec::new();
///             scanner.array(|scanner| Some(read.push(scanner.unsigned()?)))?;
///             tags = Some(read);
///             Some(())
///         }
///         _ => None,
///     })?;
///     scanner.end()?;
///     tags
/// }
/// assert_eq!(tags(r#" {"tags": [1, 20]} "#), Some(vec![1, 20]));
/// assert_eq!(tags(r#"{"tags":[1],"tags":[2]}"#), None);
/// ```
#[derive(Debug, Clone)]
pub struct Scanner<'a> {
    text: &'a str,
    /// Never more than the text's length, and never inside a character.
    at: usize,
}

impl<'a> Scanner<'a> {
    /// Starts before the first byte of `text`.
    #[must_use]
    pub fn new(text: &'a str) -> Self {
        Self { text, at: 0 }
    }

    /// What is not read yet.
    #[must_use]
    pub fn rest(&self) -> &'a str {
        self.text.get(self.at..).unwrap_or_default()
    }

    /// Reads an object; `member` is given the name of each member and must read its value.
    #[inline]
    pub fn object(&mut self, member: impl FnMut(&mut Self, &'a str) -> Option<()>) -> Option<()> {
        if self.enter_object()? {
            self.members(member)?;
        }
        Some(())
    }

    /// Reads the beginning of an object; whether there are members. If not, its end is read, too.
    #[inline]
    pub(crate) fn enter_object(&mut self) -> Option<bool> {
        self.take(b'{')?;
        Some(self.take(b'}').is_none())
    }

    /// Reads the members of an object, at least one, and its end.
    #[inline]
    pub(crate) fn members(
        &mut self,
        mut member: impl FnMut(&mut Self, &'a str) -> Option<()>,
    ) -> Option<()> {
        loop {
            let name = self.string()?;
            self.take(b':')?;
            member(self, name)?;
            if self.take(b',').is_none() {
                return self.take(b'}');
            }
        }
    }

    /// Reads an array; `entry` must read one value.
    #[inline]
    pub fn array(&mut self, mut entry: impl FnMut(&mut Self) -> Option<()>) -> Option<()> {
        self.take(b'[')?;
        if self.take(b']').is_some() {
            return Some(());
        }
        loop {
            entry(self)?;
            if self.take(b',').is_none() {
                return self.take(b']');
            }
        }
    }

    /// Reads a string that has no escapes: what is between its quotes.
    #[inline]
    pub fn string(&mut self) -> Option<&'a str> {
        self.take(b'"')?;
        let start = self.at;
        let end = start + first_special(self.text.as_bytes().get(start..)?)?;
        if byte_at(self.text.as_bytes(), end) != b'"' {
            return None;
        }
        self.at = end + 1;
        self.text.get(start..end)
    }

    /// Reads a string, and its escapes if it has some.
    #[inline]
    pub fn text(&mut self) -> Option<Cow<'a, str>> {
        let start = self.at;
        if let Some(plain) = self.string() {
            return Some(Cow::Borrowed(plain));
        }
        self.at = start;
        unquote(self.value(0)?)
    }

    /// Reads a number that is written as digits only.
    #[inline]
    pub fn unsigned(&mut self) -> Option<u64> {
        /// So many digits can't overflow.
        const SAFE_DIGITS: usize = 19;
        let first = self.token();
        let (text, start) = (self.text.as_bytes(), self.at);
        let (mut at, mut number) = (start, 0u64);
        loop {
            let byte = byte_at(text, at);
            if !byte.is_ascii_digit() {
                break;
            }
            number = number.wrapping_mul(10).wrapping_add(u64::from(byte - b'0'));
            at += 1;
        }
        let digits = at - start;
        if digits > SAFE_DIGITS {
            number = self.text.get(start..at)?.parse().ok()?;
        }
        let is_whole = !matches!(byte_at(text, at), b'.' | b'e' | b'E');
        if digits == 0 || (first == b'0' && digits > 1) || !is_whole {
            return None;
        }
        self.at = at;
        Some(number)
    }

    /// Passes over any value with at most `levels` arrays and objects in each other (and at most
    /// 64); its text, without white space around it.
    #[inline]
    pub fn value(&mut self, levels: usize) -> Option<&'a str> {
        let first = self.token();
        let (text, start) = (self.text.as_bytes(), self.at);
        self.at = match first {
            b'{' | b'[' => nested_end(text, start, levels.min(DEEPEST))?,
            _ => scalar_end(text, start, first)?,
        };
        self.text.get(start..self.at)
    }

    /// Agrees if nothing but white space is left.
    #[inline]
    pub fn end(&mut self) -> Option<()> {
        self.token();
        (self.at == self.text.len()).then_some(())
    }

    /// Passes over `start` if exactly that comes next.
    #[inline]
    pub(crate) fn skip(&mut self, start: &str) -> bool {
        let found = self.rest().starts_with(start);
        if found {
            self.at += start.len();
        }
        found
    }

    /// The first byte that is not white space, not read yet; 0 at the end.
    #[inline]
    fn token(&mut self) -> u8 {
        self.at = token_at(self.text.as_bytes(), self.at);
        byte_at(self.text.as_bytes(), self.at)
    }

    #[inline]
    fn take(&mut self, token: u8) -> Option<()> {
        if self.token() != token {
            return None;
        }
        self.at += 1;
        Some(())
    }
}

// What follows takes the place and returns the next one, so that it stays in a register: it is
// moved several times for every value.

/// The byte at `at`; 0 at the end, as which no token starts.
#[inline]
fn byte_at(text: &[u8], at: usize) -> u8 {
    text.get(at).copied().unwrap_or(0)
}

/// Where the next byte is that is not white space.
#[inline]
fn token_at(text: &[u8], mut at: usize) -> usize {
    while matches!(byte_at(text, at), b' ' | b'\t' | b'\n' | b'\r') {
        at += 1;
    }
    at
}

/// Where an array or object ends. The innermost open level is the lowest bit of `objects`: 1 for
/// an object.
fn nested_end(text: &[u8], mut at: usize, levels: usize) -> Option<usize> {
    let (mut objects, mut depth) = (0u64, 0);
    loop {
        let byte = byte_at(text, at);
        let is_object = byte == b'{';
        if is_object || byte == b'[' {
            if depth == levels {
                return None;
            }
            depth += 1;
            objects = objects << 1 | u64::from(is_object);
            at = token_at(text, at + 1);
            if byte_at(text, at) != if is_object { b'}' } else { b']' } {
                if is_object {
                    at = name_end(text, at)?;
                }
                continue;
            }
        } else {
            at = token_at(text, scalar_end(text, at, byte)?);
        }
        // A value, or the opening of an empty one, has been read: what may follow it?
        loop {
            match (byte_at(text, at), objects & 1) {
                (b',', in_object) => {
                    at = token_at(text, at + 1);
                    if in_object == 1 {
                        at = name_end(text, at)?;
                    }
                    break;
                }
                (b']', 0) | (b'}', 1) => {
                    depth -= 1;
                    objects >>= 1;
                    if depth == 0 {
                        return Some(at + 1);
                    }
                    at = token_at(text, at + 1);
                }
                _ => return None,
            }
        }
    }
}

/// Where the value of the member begins whose name is at `at`.
#[inline]
fn name_end(text: &[u8], at: usize) -> Option<usize> {
    if byte_at(text, at) != b'"' {
        return None;
    }
    let colon = token_at(text, string_end(text, at)?);
    (byte_at(text, colon) == b':').then(|| token_at(text, colon + 1))
}

/// Where anything but an array or object ends; `first` is its first byte.
#[inline]
fn scalar_end(text: &[u8], at: usize, first: u8) -> Option<usize> {
    let word: &[u8] = match first {
        b'"' => return string_end(text, at),
        b'-' | b'0'..=b'9' => return number_end(text, at),
        b't' => b"true",
        b'f' => b"false",
        b'n' => b"null",
        _ => return None,
    };
    text.get(at..)?.starts_with(word).then_some(at + word.len())
}

/// Where the string ends whose opening quote is at `at`. Surrogates are not paired: that is the
/// affair of whoever wants the characters.
fn string_end(text: &[u8], mut at: usize) -> Option<usize> {
    at += 1;
    loop {
        at += first_special(text.get(at..)?)?;
        match byte_at(text, at) {
            b'"' => return Some(at + 1),
            b'\\' => at += escape_length(&text[at..])?,
            _ => return None,
        }
    }
}

/// The length of the escape that `text` begins with.
fn escape_length(text: &[u8]) -> Option<usize> {
    match text.get(1)? {
        b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => Some(2),
        b'u' => {
            let digits = text.get(2..6)?;
            digits.iter().all(u8::is_ascii_hexdigit).then_some(6)
        }
        _ => None,
    }
}

/// Where a number ends.
#[inline]
fn number_end(text: &[u8], mut at: usize) -> Option<usize> {
    if byte_at(text, at) == b'-' {
        at += 1;
    }
    let whole = at;
    at = digits_end(text, at)?;
    if byte_at(text, whole) == b'0' && at > whole + 1 {
        return None;
    }
    if byte_at(text, at) == b'.' {
        at = digits_end(text, at + 1)?;
    }
    if matches!(byte_at(text, at), b'e' | b'E') {
        at += 1;
        if matches!(byte_at(text, at), b'+' | b'-') {
            at += 1;
        }
        at = digits_end(text, at)?;
    }
    Some(at)
}

/// Where digits end, of which there must be one. Byte by byte: counting them in whole words was
/// not measurably faster.
#[inline]
fn digits_end(text: &[u8], start: usize) -> Option<usize> {
    let mut at = start;
    while byte_at(text, at).is_ascii_digit() {
        at += 1;
    }
    (at > start).then_some(at)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_of_digits_is_read_as_serde_json_does() {
        for text in [
            "0",
            "7",
            "10",
            "007",
            "00",
            "-1",
            "-0",
            "+1",
            "1.0",
            "1e3",
            "1E3",
            "",
            "a",
            "1a",
            "1 ",
            "18446744073709551615",
            "18446744073709551616",
            "99999999999999999999999",
        ] {
            let mut scanner = Scanner::new(text);
            let read = scanner.unsigned().filter(|_| scanner.end().is_some());
            assert_eq!(read, serde_json::from_str(text).ok(), "{text}");
        }
    }

    #[test]
    fn a_text_is_read_as_serde_json_does() {
        for text in [
            r#""""#,
            r#""a""#,
            r#""a\"b""#,
            r#""\u00e9\ud83d\ude00""#,
            r#""\ud83d""#,
            r#""\x""#,
            "\"\n\"",
            "\"a",
            "a",
            "1",
            "null",
            r#"["a"]"#,
            r#" "a" "#,
            r#""a" "b""#,
        ] {
            let mut scanner = Scanner::new(text);
            let read = scanner.text().filter(|_| scanner.end().is_some());
            assert_eq!(
                read.as_deref(),
                serde_json::from_str::<String>(text).ok().as_deref(),
                "{text}"
            );
        }
    }

    #[test]
    fn what_is_left_is_told() {
        let mut scanner = Scanner::new("[1, 2]");
        let mut rests = Vec::new();
        let read = scanner.array(|scanner| {
            rests.push(scanner.rest());
            scanner.unsigned().map(drop)
        });
        assert_eq!((read, rests), (Some(()), vec!["1, 2]", " 2]"]));
        assert_eq!(scanner.rest(), "");
    }
}
