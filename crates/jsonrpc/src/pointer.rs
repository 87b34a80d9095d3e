//! Where in a JSON text an error is: from a byte offset to a JSON Pointer (RFC 6901).

use crate::depth::end_of_string;
use crate::text::unquote;

/// One array or object that is open at the offset.
enum Level<'a> {
    Array {
        index: usize,
    },
    Object {
        /// The quoted name last read, before its colon.
        name: Option<&'a str>,
        /// The member whose value we are in.
        member: Option<&'a str>,
    },
}

/// The pointer to the value that is being read when `offset` bytes of `text` have been read.
/// `text` must be JSON; an offset just after an object's end points to that object.
pub(crate) fn pointer_at(text: &str, offset: usize) -> String {
    render(&levels_at(text, offset))
}

/// The byte offset of a line and column as `serde_json` counts them: lines from 1, columns in
/// bytes read of that line.
pub(crate) fn offset_of(text: &str, line: usize, column: usize) -> usize {
    let before: usize = text
        .split_inclusive('\n')
        .take(line.saturating_sub(1))
        .map(str::len)
        .sum();
    before + column
}

fn levels_at(text: &str, offset: usize) -> Vec<Level<'_>> {
    let bytes = text.as_bytes();
    let end = offset.min(bytes.len());
    let mut levels = Vec::new();
    let mut at = 0;
    while at < end {
        match bytes[at] {
            b'{' => levels.push(Level::Object {
                name: None,
                member: None,
            }),
            b'[' => levels.push(Level::Array { index: 0 }),
            b'}' | b']' => drop(levels.pop()),
            b'"' => {
                let close = end_of_string(bytes, at);
                if let Some(Level::Object { name, member: None }) = levels.last_mut() {
                    *name = text.get(at..=close);
                }
                at = close;
            }
            b':' => {
                if let Some(Level::Object { name, member }) = levels.last_mut() {
                    *member = name.take();
                }
            }
            b',' => match levels.last_mut() {
                Some(Level::Array { index }) => *index += 1,
                Some(Level::Object { name, member }) => (*name, *member) = (None, None),
                None => {}
            },
            _ => {}
        }
        at += 1;
    }
    levels
}

fn render(levels: &[Level<'_>]) -> String {
    let mut pointer = String::new();
    for level in levels {
        match level {
            Level::Array { index } => {
                pointer.push('/');
                pointer.push_str(&index.to_string());
            }
            Level::Object {
                member: Some(quoted),
                ..
            } => {
                pointer.push('/');
                let member = unquote(quoted).unwrap_or_default();
                pointer.push_str(&member.replace('~', "~0").replace('/', "~1"));
            }
            Level::Object { member: None, .. } => {}
        }
    }
    pointer
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offsets_point_to_what_is_being_read() {
        let text = "{\"a\": [1, {\"b/~\": \"x,y:{\"}],\n \"\\u0063\": 2}";
        for (marker, after, pointer) in [
            ("{", 0, ""),
            ("\"a\"", 3, ""),
            ("[1", 0, "/a"),
            ("1,", 1, "/a/0"),
            ("{\"b", 0, "/a/1"),
            ("\"x,y", 7, "/a/1/b~1~0"),
            ("}]", 1, "/a/1"),
            ("2}", 1, "/c"),
            ("2}", 2, ""),
        ] {
            let offset = text.find(marker).expect("a marker") + after;
            assert_eq!(pointer_at(text, offset), pointer, "{marker} + {after}");
        }
        assert_eq!(pointer_at(text, usize::MAX), "");
        assert_eq!(
            offset_of(text, 2, 3),
            text.find('\n').expect("two lines") + 4
        );
    }
}
