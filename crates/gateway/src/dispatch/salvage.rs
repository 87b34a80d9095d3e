//! The id in a frame that is not JSON.

/// The number behind the first `"id":`, if the frame looks like an answer. A worker that answers
/// with something like `{"id": 7, "result": NaN}` has failed that call, and its caller should
/// hear so at once rather than at the deadline.
pub(crate) fn answered_id(frame: &str) -> Option<&str> {
    if frame.contains("\"method\"") {
        return None;
    }
    let (_, after) = frame.split_once("\"id\"")?;
    let number = after.trim_start().strip_prefix(':')?.trim_start();
    let digits = number.bytes().take_while(u8::is_ascii_digit).count();
    let (digits, rest) = number.split_at(digits);
    let ends = rest.trim_start().starts_with([',', '}']);
    (ends && !digits.is_empty()).then_some(digits)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_id_of_a_broken_answer_only() {
        for (frame, id) in [
            (r#"{"jsonrpc":"2.0","id":7,"result":NaN}"#, Some("7")),
            (r#"{"id" : 12 , "result": 'x'}"#, Some("12")),
            (r#"{"result": [1,, "id":3}"#, Some("3")),
            (r#"{"id":7,"method":"x","params":NaN}"#, None),
            (r#"{"id":"7","result":NaN}"#, None),
            (r#"{"id":7.5,"result":NaN}"#, None),
            (r#"{"id":"#, None),
            ("garbage", None),
            ("", None),
        ] {
            assert_eq!(answered_id(frame), id, "{frame}");
        }
    }
}
