//! The bound on nesting, checked without recursion and before any parser runs.

use memchr::{memchr2, memchr2_iter};

/// Whether arrays and objects are nested deeper than `max` in `text`.
///
/// Most frames have fewer brackets than the bound allows levels, and for them counting is the
/// whole check. Text that isn't JSON gets some answer, too; the parser refuses it afterwards.
pub(crate) fn exceeds(text: &[u8], max: usize) -> bool {
    memchr2_iter(b'[', b'{', text).take(max + 1).count() > max && deepest(text, max) > max
}

/// The deepest level of `text`; stops as soon as that is more than `max`.
fn deepest(text: &[u8], max: usize) -> usize {
    let (mut depth, mut deepest, mut at) = (0usize, 0usize, 0usize);
    while at < text.len() && deepest <= max {
        match text[at] {
            b'[' | b'{' => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            b']' | b'}' => depth = depth.saturating_sub(1),
            b'"' => at = end_of_string(text, at),
            _ => {}
        }
        at += 1;
    }
    deepest
}

/// The index of the quote that ends the string that starts at `open`, or of the text's end.
pub(crate) fn end_of_string(text: &[u8], open: usize) -> usize {
    let mut at = open + 1;
    while let Some(found) = text.get(at..).and_then(|rest| memchr2(b'"', b'\\', rest)) {
        at += found;
        if text[at] == b'"' {
            return at;
        }
        at += 2;
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bound_itself_is_allowed() {
        let text = format!("{}{}", "[".repeat(128), "]".repeat(128));
        assert!(!exceeds(text.as_bytes(), 128));
        assert!(exceeds(text.as_bytes(), 127));
    }

    #[test]
    fn many_brackets_side_by_side_are_not_deep() {
        let text = format!("[{}0]", "[{}],".repeat(10_000));
        assert!(!exceeds(text.as_bytes(), 3));
        assert!(exceeds(text.as_bytes(), 2));
    }

    #[test]
    fn brackets_in_strings_do_not_count() {
        let text = format!(r#"["\"{}\\", 1]"#, "[{".repeat(500));
        assert!(!exceeds(text.as_bytes(), 1));
    }

    #[test]
    fn unfinished_text_ends_the_scan() {
        let many = "[".repeat(200);
        for tail in ["\"", "\"\\", "\"\\\"", ""] {
            assert!(!exceeds(format!("{many}{tail}").as_bytes(), 200));
        }
    }
}
