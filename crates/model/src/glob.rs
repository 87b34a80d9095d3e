/// Whether `text` matches a Redis glob `pattern`.
///
/// `*` matches any bytes, `?` one byte, `[abc]`, `[a-c]`, `[^x]` one byte of (or outside)
/// a set, `\` takes the next byte literally, also inside a set. As in Redis, a range may
/// be written backwards, an unclosed set ends with the pattern, and a lone `\` at the end
/// stands for itself. Works on bytes; time is at most |pattern| · |text|.
pub fn glob_match(pattern: &[u8], text: &[u8]) -> bool {
    let (mut p, mut t) = (0, 0);
    // Where to resume after the most recent `*`: an earlier star never needs to give
    // back what it took, because the later one can take any bytes itself.
    let mut resume: Option<(usize, usize)> = None;
    loop {
        if p < pattern.len() && pattern[p] == b'*' {
            p += 1;
            resume = Some((p, t));
            continue;
        }
        if t == text.len() {
            return p == pattern.len();
        }
        if p < pattern.len()
            && let (true, next) = match_one(pattern, p, text[t])
        {
            p = next;
            t += 1;
            continue;
        }
        match resume {
            Some((after_star, from)) => {
                resume = Some((after_star, from + 1));
                p = after_star;
                t = from + 1;
            }
            None => return false,
        }
    }
}

/// Matches the single-byte element at `pattern[p]`; also says where the next one starts.
fn match_one(pattern: &[u8], p: usize, byte: u8) -> (bool, usize) {
    match pattern[p] {
        b'?' => (true, p + 1),
        b'[' => match_set(pattern, p + 1, byte),
        b'\\' if p + 1 < pattern.len() => (pattern[p + 1] == byte, p + 2),
        literal => (literal == byte, p + 1),
    }
}

/// Matches the set whose first element is at `pattern[p]`.
fn match_set(pattern: &[u8], mut p: usize, byte: u8) -> (bool, usize) {
    let negated = pattern.get(p) == Some(&b'^');
    p += usize::from(negated);
    let mut found = false;
    loop {
        match pattern[p..] {
            [] => return (found != negated, p),
            [b'\\', literal, ..] => {
                found |= literal == byte;
                p += 2;
            }
            [b']', ..] => return (found != negated, p + 1),
            [a, b'-', b, ..] => {
                found |= (a.min(b)..=a.max(b)).contains(&byte);
                p += 3;
            }
            [literal, ..] => {
                found |= literal == byte;
                p += 1;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn cases() {
        for (pattern, text, expected) in [
            ("", "", true),
            ("", "a", false),
            ("*", "", true),
            ("*", "anything", true),
            ("h?llo", "hello", true),
            ("h?llo", "hllo", false),
            ("h*llo", "heeeello", true),
            ("h*llo*", "hllo", true),
            ("h[ae]llo", "hallo", true),
            ("h[ae]llo", "hillo", false),
            ("h[^e]llo", "hbllo", true),
            ("h[^e]llo", "hello", false),
            ("h[a-b]llo", "hbllo", true),
            ("h[b-a]llo", "hallo", true),
            ("h[a-b]llo", "hcllo", false),
            (r"h\*llo", "h*llo", true),
            (r"h\*llo", "hello", false),
            (r"[\]]", "]", true),
            (r"[a\-c]", "b", false),
            (r"[a\-c]", "-", true),
            ("[abc", "c", true),
            ("[^abc", "d", true),
            ("a[", "a", false),
            ("[]", "]", false),
            ("[]a", "a", false),
            (r"a\", r"a\", true),
            ("a*b*c", "a-b-b-c", true),
            ("a*b*c", "a-c-b", false),
            ("news.*.eu", "news.sport.eu", true),
        ] {
            assert_eq!(
                glob_match(pattern.as_bytes(), text.as_bytes()),
                expected,
                "{pattern} {text}"
            );
        }
    }

    #[test]
    fn many_stars_do_not_explode() {
        let pattern = "a*".repeat(200) + "b";
        assert!(!glob_match(
            pattern.as_bytes(),
            "a".repeat(5_000).as_bytes()
        ));
    }

    /// The definition, as directly as it can be said.
    fn naive(pattern: &[u8], text: &[u8]) -> bool {
        match (pattern, text) {
            ([], rest) => rest.is_empty(),
            ([b'*', p @ ..], t) => (0..=t.len()).any(|n| naive(p, &t[n..])),
            (_, []) => false,
            (p, [byte, t @ ..]) => {
                let (matches, next) = match_one(p, 0, *byte);
                matches && naive(&p[next..], t)
            }
        }
    }

    proptest! {
        #[test]
        fn agrees_with_the_definition(
            pattern in r"[ab*?\[\]^\\-]{0,10}",
            text in r"[ab\]\-]{0,8}",
        ) {
            prop_assert_eq!(
                glob_match(pattern.as_bytes(), text.as_bytes()),
                naive(pattern.as_bytes(), text.as_bytes())
            );
        }

        #[test]
        fn an_escaped_text_matches_only_itself(text in ".{0,12}", other in ".{0,12}") {
            let escaped: Vec<u8> = text.bytes().flat_map(|b| [b'\\', b]).collect();
            prop_assert!(glob_match(&escaped, text.as_bytes()));
            prop_assert_eq!(glob_match(&escaped, other.as_bytes()), text == other);
        }
    }
}
