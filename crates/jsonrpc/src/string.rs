//! JSON string literals.

use bytes::BufMut;

use crate::words::first_special;

/// Writes `text` as a JSON string, quotes included. Only what RFC 8259 §7 demands is escaped.
pub fn write_string<B: BufMut>(out: &mut B, text: &str) {
    out.put_u8(b'"');
    write_escaped(out, text);
    out.put_u8(b'"');
}

/// The inside of the string, written in runs: text that needs no escape is copied as a whole.
fn write_escaped<B: BufMut>(out: &mut B, text: &str) {
    let mut rest = text.as_bytes();
    while let Some(at) = first_special(rest) {
        out.put_slice(&rest[..at]);
        write_escape(out, rest[at]);
        rest = &rest[at + 1..];
    }
    out.put_slice(rest);
}

fn write_escape<B: BufMut>(out: &mut B, byte: u8) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    let short = match byte {
        b'"' => b'"',
        b'\\' => b'\\',
        b'\n' => b'n',
        b'\r' => b'r',
        b'\t' => b't',
        0x08 => b'b',
        0x0c => b'f',
        _ => {
            let digits = [HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]];
            out.put_slice(b"\\u00");
            out.put_slice(&digits);
            return;
        }
    };
    out.put_slice(&[b'\\', short]);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(text: &str) -> String {
        let mut out = Vec::new();
        write_string(&mut out, text);
        String::from_utf8(out).expect("UTF-8 stays UTF-8")
    }

    #[test]
    fn every_character_of_one_byte_at_every_place_reads_back() {
        for byte in 0..128u8 {
            for place in 0..17 {
                let mut text = "abcdefgh-é-ijkl\u{2028}".to_owned();
                let place = (place..)
                    .find(|&i| text.is_char_boundary(i))
                    .expect("an end");
                text.insert(place.min(text.len()), char::from(byte));
                let back: String = serde_json::from_str(&written(&text)).expect("a JSON string");
                assert_eq!(back, text);
            }
        }
    }

    #[test]
    fn only_what_must_be_escaped_is() {
        assert_eq!(written("a/é\u{7f}\u{2028}😀"), "\"a/é\u{7f}\u{2028}😀\"");
        assert_eq!(
            written("\"\\\n\r\t\u{8}\u{c}\u{1}\u{1f}"),
            r#""\"\\\n\r\t\b\f\u0001\u001f""#
        );
    }
}
