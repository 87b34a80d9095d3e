//! Finding the few members that matter in JSON text, without parsing the rest.
//!
//! Only for what a generator knows beforehand: every payload on the wire is its own and holds
//! neither quotes nor escapes, so the first `"id":` in an answer is the id.

use std::ops::Range;

use anyhow::{Context, Result, bail};
use memchr::memmem;

use super::request::slot_of_id;
use crate::load::Slot;

/// The slot that `text` answers, and its result. An error answer is an error here.
pub(crate) fn answer(text: &[u8]) -> Result<(Slot, &[u8])> {
    if let Some(answer) = usual_answer(text) {
        return Ok(answer);
    }
    if memmem::find(text, br#""error":"#).is_some() {
        bail!("the server answered {}", String::from_utf8_lossy(text));
    }
    unusual_answer(text)
        .with_context(|| format!("not an answer: {}", String::from_utf8_lossy(text)))
}

/// Without a search, for an answer whose members are in the usual order.
fn usual_answer(text: &[u8]) -> Option<(Slot, &[u8])> {
    let rest = text.strip_prefix(br#"{"jsonrpc":"2.0","id":"#)?;
    let (id, rest) = leading_number(rest)?;
    let result = rest.strip_prefix(br#","result":"#)?.strip_suffix(b"}")?;
    Some((slot_of_id(id)?, result))
}

/// The id may also come last.
fn unusual_answer(text: &[u8]) -> Option<(Slot, &[u8])> {
    const ID: &[u8] = br#","id":"#;
    const RESULT: &[u8] = br#""result":"#;
    let id_at = memmem::rfind(text, ID)?;
    let (id, _) = leading_number(&text[id_at + ID.len()..])?;
    let result_at = memmem::find(text, RESULT)? + RESULT.len();
    Some((slot_of_id(id)?, text.get(result_at..id_at)?))
}

/// The number that follows the first `name` (written as `"name":`).
pub(crate) fn member_number(text: &[u8], name: &[u8]) -> Option<u64> {
    let at = memmem::find(text, name)? + name.len();
    Some(leading_number(&text[at..])?.0)
}

/// The numbers that follow each `"tag":`, in order.
pub(crate) fn tags(text: &[u8]) -> impl Iterator<Item = u64> {
    const NAME: &[u8] = br#""tag":"#;
    memmem::find_iter(text, NAME).filter_map(|at| {
        let (tag, _) = leading_number(&text[at + NAME.len()..])?;
        Some(tag)
    })
}

/// Where the text of the first `"id":` stands, up to the member's end, quotes included.
pub(crate) fn id_place(text: &[u8]) -> Option<Range<usize>> {
    const NAME: &[u8] = br#""id":"#;
    let start = memmem::find(text, NAME)? + NAME.len();
    let rest = &text[start..];
    let length = match rest.first()? {
        b'"' => 2 + memchr::memchr(b'"', &rest[1..])?,
        _ => memchr::memchr2(b',', b'}', rest)?,
    };
    Some(start..start + length)
}

/// The digits at the start of `text`, and what follows them.
pub(crate) fn leading_number(text: &[u8]) -> Option<(u64, &[u8])> {
    let digits = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let (digits, rest) = text.split_at(digits);
    let value = digits.iter().try_fold(0_u64, |value, digit| {
        value.checked_mul(10)?.checked_add(u64::from(digit - b'0'))
    })?;
    (!digits.is_empty()).then_some((value, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_name_their_slot_in_either_order_of_members() {
        for text in [
            r#"{"jsonrpc":"2.0","id":1000042,"result":{"ids":["7"]}}"#,
            r#"{"jsonrpc":"2.0","result":{"ids":["7"]},"id":1000042}"#,
        ] {
            let expected = (42, &br#"{"ids":["7"]}"#[..]);
            assert_eq!(answer(text.as_bytes()).unwrap(), expected, "{text}");
        }
        for text in [
            r#"{"jsonrpc":"2.0","id":1000042,"error":{"code":-32003,"message":"full"}}"#,
            r#"{"jsonrpc":"2.0","id":null,"result":1}"#,
            r#"{"jsonrpc":"2.0","method":"rpc.topic.deliver","params":{}}"#,
        ] {
            assert!(answer(text.as_bytes()).is_err(), "{text}");
        }
    }

    #[test]
    fn tags_of_a_push() {
        let text = br#"{"deliveries":[{"tag":1,"id":"a"},{"id":"b","tag":9007199254740991}]}"#;
        assert_eq!(tags(text).collect::<Vec<_>>(), [1, 9_007_199_254_740_991]);
        assert_eq!(tags(b"{}").count(), 0);
    }

    #[test]
    fn ids_keep_their_quotes() {
        for (text, id) in [
            (r#"{"id":"a,b","method":"m"}"#, Some(r#""a,b""#)),
            (r#"{"id":17,"method":"m"}"#, Some("17")),
            (r#"{"method":"m","id":17}"#, Some("17")),
            (r#"{"method":"m"}"#, None),
        ] {
            assert_eq!(id_place(text.as_bytes()).map(|at| &text[at]), id, "{text}");
        }
    }
}
