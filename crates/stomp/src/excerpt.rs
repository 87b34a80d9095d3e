//! Text of a peer, as an error shows it.

/// Most characters of a peer's text that an error repeats.
const CHARACTERS_MAX: usize = 48;

/// The beginning of a text in quotes, with control characters escaped: safe in a header, a log
/// and a terminal.
pub(crate) fn excerpt(text: &str) -> String {
    let mut characters = text.chars();
    let mut shown: String = characters.by_ref().take(CHARACTERS_MAX).collect();
    if characters.next().is_some() {
        shown.push('…');
    }
    format!("{shown:?}")
}

/// [`excerpt`] of bytes that need not be UTF-8.
pub(crate) fn excerpt_bytes(bytes: &[u8]) -> String {
    let start = &bytes[..bytes.len().min(4 * CHARACTERS_MAX)];
    excerpt(&String::from_utf8_lossy(start))
}

/// What a header line begins with, as far as it looks like a name: the rest may be a secret.
pub(crate) fn excerpt_name(line: &[u8]) -> String {
    let of_name = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_.".contains(byte);
    let end = line.iter().take_while(|byte| of_name(byte)).count();
    excerpt_bytes(&line[..end])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn excerpts_are_short_and_on_one_line() {
        assert_eq!(excerpt("a\nb"), r#""a\nb""#);
        let long = excerpt(&"ü".repeat(100));
        assert_eq!(long.chars().count(), CHARACTERS_MAX + 3);
        assert_eq!(excerpt_bytes(b"\xff"), "\"\u{fffd}\"");
        assert_eq!(excerpt_name(b"passcode secret"), r#""passcode""#);
    }
}
