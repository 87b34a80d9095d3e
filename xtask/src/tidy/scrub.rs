//! Rust source without what only looks like code.

/// The source with comments and the contents of string and character literals blanked. Line
/// breaks stay, so that line numbers do.
pub(crate) fn scrub(source: &str) -> String {
    let chars: Vec<char> = source.chars().collect();
    let mut out = String::with_capacity(source.len());
    let mut at = 0;
    while at < chars.len() {
        let end = opaque_end(&chars, at);
        if end == at {
            out.push(chars[at]);
            at += 1;
            continue;
        }
        let blank = |c: &char| if *c == '\n' { '\n' } else { ' ' };
        out.extend(chars[at..end].iter().map(blank));
        at = end;
    }
    out
}

/// The end of the comment or literal that starts at `at`; `at` if none does.
fn opaque_end(chars: &[char], at: usize) -> usize {
    let next = chars.get(at + 1).copied();
    let in_word = at > 0 && is_word(chars[at - 1]);
    match chars[at] {
        '/' if next == Some('/') => position(chars, at, |c| c == '\n'),
        '/' if next == Some('*') => block_comment_end(chars, at),
        '"' => quoted_end(chars, at, '"'),
        '\'' if is_char_literal(chars, at) => quoted_end(chars, at, '\''),
        'r' if !in_word || is_prefix(chars, at) => raw_string_end(chars, at),
        _ => at,
    }
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// Whether the `r` at `at` follows the `b` or `c` of `br"…"` or `cr"…"`.
fn is_prefix(chars: &[char], at: usize) -> bool {
    matches!(chars[at - 1], 'b' | 'c') && (at < 2 || !is_word(chars[at - 2]))
}

fn position(chars: &[char], from: usize, found: impl Fn(char) -> bool) -> usize {
    let place = chars[from..].iter().position(|&c| found(c));
    place.map_or(chars.len(), |place| from + place)
}

fn block_comment_end(chars: &[char], start: usize) -> usize {
    let (mut depth, mut at) = (0, start);
    while at + 1 < chars.len() {
        match (chars[at], chars[at + 1]) {
            ('/', '*') => depth += 1,
            ('*', '/') => depth -= 1,
            _ => {
                at += 1;
                continue;
            }
        }
        at += 2;
        if depth == 0 {
            return at;
        }
    }
    chars.len()
}

fn quoted_end(chars: &[char], start: usize, quote: char) -> usize {
    let mut at = start + 1;
    while at < chars.len() {
        match chars[at] {
            '\\' => at += 1,
            c if c == quote => return at + 1,
            _ => {}
        }
        at += 1;
    }
    chars.len()
}

/// A character, not a lifetime: `'\…'` or `'x'`.
fn is_char_literal(chars: &[char], at: usize) -> bool {
    chars.get(at + 1) == Some(&'\\') || chars.get(at + 2) == Some(&'\'')
}

fn raw_string_end(chars: &[char], start: usize) -> usize {
    let open = position(chars, start + 1, |c| c != '#');
    if chars.get(open) != Some(&'"') {
        return start;
    }
    let hashes = open - start - 1;
    let mut at = open + 1;
    while at < chars.len() {
        let close = position(chars, at, |c| c == '"');
        let end = close + 1 + hashes;
        if chars
            .get(close + 1..end)
            .is_some_and(|tail| tail.iter().all(|&c| c == '#'))
        {
            return end;
        }
        at = close + 1;
    }
    chars.len()
}

#[cfg(test)]
mod tests {
    use super::scrub;

    #[test]
    fn only_code_is_left() {
        for (source, code) in [
            ("a // b\nc", "a     \nc"),
            ("a /* b /* c */ \n d */ e", "a              \n      e"),
            (r#"f("x\"y", z)"#, r#"f(      , z)"#),
            (
                "b\"{\" 'a' '{' '\\'' '\\u{1}'",
                "b                           ",
            ),
            ("fn f<'a>(x: &'a str) {}", "fn f<'a>(x: &'a str) {}"),
            (
                "r#\"a\"}\"# + r\"\\\" + br##\"\"#\"## .",
                "          +      + b         .",
            ),
            ("for r in bar { r#type }", "for r in bar { r#type }"),
            ("\"open", "     "),
            ("r#\"open\"", "         "),
            ("/* open", "       "),
        ] {
            let scrubbed = scrub(source);
            assert_eq!(scrubbed.chars().count(), source.chars().count(), "{source}");
            assert_eq!(
                scrubbed.split_whitespace().collect::<Vec<_>>(),
                code.split_whitespace().collect::<Vec<_>>(),
                "{source}"
            );
            assert_eq!(scrubbed.lines().count(), source.lines().count(), "{source}");
        }
    }
}
