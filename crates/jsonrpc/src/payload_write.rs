//! The payload rule of PROTOCOL §1, outwards: by the stored content type.

use bytes::BufMut;
use serde::de::IgnoredAny;

use crate::Scanner;
use crate::payload::{JSON, TEXT};
use crate::{depth, write_base64, write_string};

/// JSON that is nested deeper than this goes out as bytes: the frame around it must stay within
/// what a reader with the default bound accepts.
const DEEPEST_JSON: usize = 120;

/// How a stored payload is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form<'a> {
    Json,
    Text(&'a str),
    Base64,
}

/// Appends the members that carry a stored payload, without a comma before or after:
/// `"payload":…`, `"payload_text":"…"` or `"payload_base64":"…"`; then `"content_type":"…"`
/// unless it is the one that the member alone already says.
///
/// Valid `application/json` is written as it is stored, byte for byte; valid UTF-8 of `text/*` is
/// text; everything else is base64. Parameters of the content type (`;charset=…`) don't change
/// the choice.
pub fn write_payload<B: BufMut>(out: &mut B, bytes: &[u8], content_type: &str) {
    let default = match form(bytes, content_type) {
        Form::Json => {
            out.put_slice(b"\"payload\":");
            out.put_slice(bytes);
            JSON
        }
        Form::Text(text) => {
            out.put_slice(b"\"payload_text\":");
            write_string(out, text);
            TEXT
        }
        Form::Base64 => {
            out.put_slice(b"\"payload_base64\":\"");
            write_base64(out, bytes);
            out.put_u8(b'"');
            // Bytes always say what they are.
            ""
        }
    };
    if content_type != default {
        out.put_slice(b",\"content_type\":");
        write_string(out, content_type);
    }
}

fn form<'a>(bytes: &'a [u8], content_type: &str) -> Form<'a> {
    let (is_json, is_text) = match content_type {
        JSON => (true, false),
        TEXT => (false, true),
        _ => kind(content_type),
    };
    match str::from_utf8(bytes) {
        Ok(text) if is_json && is_presentable_json(text) => Form::Json,
        Ok(text) if is_text => Form::Text(text),
        _ => Form::Base64,
    }
}

/// Whether a content type that isn't one of our own is JSON, and whether it is text.
fn kind(content_type: &str) -> (bool, bool) {
    let media_type = content_type.split(';').next().unwrap_or_default().trim();
    let is_text = media_type
        .get(..5)
        .is_some_and(|start| start.eq_ignore_ascii_case("text/"));
    (media_type.eq_ignore_ascii_case(JSON), is_text)
}

fn is_presentable_json(text: &str) -> bool {
    let mut scanner = Scanner::new(text);
    if scanner.value(DEEPEST_JSON).is_some() && scanner.end().is_some() {
        return true;
    }
    !depth::exceeds(text.as_bytes(), DEEPEST_JSON)
        && serde_json::from_str::<IgnoredAny>(text).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{OCTETS, PayloadError, PayloadMembers};

    fn written(bytes: &[u8], content_type: &str) -> String {
        let mut out = Vec::new();
        write_payload(&mut out, bytes, content_type);
        String::from_utf8(out).expect("UTF-8")
    }

    fn members(object: &str) -> PayloadMembers<'_> {
        serde_json::from_str(object).expect("members")
    }

    #[test]
    fn what_is_sent_is_what_is_delivered() {
        for object in [
            r#"{"payload":{ "b" : 1.0, "a":[1e400, -0] }}"#,
            r#"{"payload":null}"#,
            r#"{"payload":"text in JSON"}"#,
            r#"{"payload":1,"content_type":"application/json; charset=utf-8"}"#,
            r#"{"payload_text":"line\nline é"}"#,
            r#"{"payload_text":""}"#,
            r#"{"payload_text":"<p>","content_type":"text/html"}"#,
            r#"{"payload_base64":"","content_type":"application/octet-stream"}"#,
            r#"{"payload_base64":"/+8=","content_type":"image/png"}"#,
        ] {
            let payload = members(object).read().expect(object);
            let delivered = written(&payload.bytes, &payload.content_type);
            assert_eq!(format!("{{{delivered}}}"), object);
        }
    }

    #[test]
    fn the_stored_type_decides_the_form() {
        let deep = format!("{}{}", "[".repeat(200), "]".repeat(200));
        for (bytes, content_type, starts) in [
            (&b" [1] "[..], "application/json", r#""payload": [1] "#),
            (
                b"[1",
                "application/json",
                r#""payload_base64":"WzE=","content_type""#,
            ),
            (
                b"\xff",
                "application/json",
                r#""payload_base64":"/w==","content_type""#,
            ),
            (
                b"",
                "application/json",
                r#""payload_base64":"","content_type""#,
            ),
            (deep.as_bytes(), "application/json", r#""payload_base64":"#),
            (
                b"1",
                "Application/JSON;a=b",
                r#""payload":1,"content_type":"Application/JSON;a=b""#,
            ),
            (b"1", "application/problem+json", r#""payload_base64":"#),
            (
                b"a",
                "text/csv",
                r#""payload_text":"a","content_type":"text/csv""#,
            ),
            (
                b"\xff",
                "text/plain",
                r#""payload_base64":"/w==","content_type":"text/plain""#,
            ),
            (
                b"a",
                OCTETS,
                r#""payload_base64":"YQ==","content_type":"application/octet-stream""#,
            ),
            (b"a", "", r#""payload_base64":"YQ==""#),
            (b"a", "texté", r#""payload_base64":"YQ==""#),
        ] {
            let text = written(bytes, content_type);
            assert!(text.starts_with(starts), "{content_type}: {text}");
        }
    }

    #[test]
    fn exactly_one_payload_is_read() {
        for (object, error) in [
            ("{}", PayloadError::NotExactlyOne),
            (
                r#"{"payload":null,"payload_text":""}"#,
                PayloadError::NotExactlyOne,
            ),
            (
                r#"{"payload_text":"","payload_base64":""}"#,
                PayloadError::NotExactlyOne,
            ),
            (
                r#"{"payload_text":"","content_type":""}"#,
                PayloadError::ContentType,
            ),
            (
                r#"{"payload_text":"","content_type":"a\nb"}"#,
                PayloadError::ContentType,
            ),
        ] {
            assert_eq!(members(object).read(), Err(error), "{object}");
        }
        let bad = members(r#"{"payload_base64":"?"}"#)
            .read()
            .expect_err("not base64");
        assert_eq!(
            bad.at("/messages/2").to_string(),
            "/messages/2: \"payload_base64\": base64 must be padded with \"=\" to a multiple of \
             four characters"
        );
    }

    #[test]
    fn a_payload_without_escapes_is_borrowed() {
        let payload = members(r#"{"payload_text":"plain"}"#).read().expect("text");
        assert!(matches!(
            payload.bytes,
            std::borrow::Cow::Borrowed(b"plain")
        ));
    }
}
