//! What a channel message is in Redis. Pure.
//!
//! The payload travels as it is, so that any program on the same Redis sees and sends plain ones.
//! Its content type is what a receiver takes it for: JSON, other UTF-8, or bytes. Only a message
//! of which that would be wrong, or which has headers, travels in an envelope: [`MAGIC`], the
//! length of the head (4 bytes, the most significant first), the head as JSON
//! (`{"content_type":"…","headers":[["name","value"],…]}`), the payload.

use bytes::{BufMut, Bytes, BytesMut};
use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use trunkline_model::{ChannelMessage, ChannelName, Headers};

/// How an envelope begins; the digit is its version. No text does, because of the NUL.
pub(super) const MAGIC: &[u8] = b"\0trunkline1\0";

/// Longest content type, in bytes: what is longer is no envelope of ours.
const CONTENT_TYPE_BYTES_MAX: usize = 255;
/// Payloads up to this are copied out of what was read, which they would keep as a whole else.
const COPIED_BYTES_MAX: usize = 32 << 10;

const JSON: &str = "application/json";
const TEXT: &str = "text/plain";
const BYTES: &str = "application/octet-stream";

/// What an envelope says besides the payload. Members that a later version adds are passed over.
#[derive(Serialize, Deserialize)]
struct Head<'a> {
    #[serde(borrow, default, skip_serializing_if = "str::is_empty")]
    content_type: Cow<'a, str>,
    #[serde(borrow, default, skip_serializing_if = "Vec::is_empty")]
    headers: Vec<(Cow<'a, str>, Cow<'a, str>)>,
}

/// What is published for a message.
pub(super) fn encode(message: &ChannelMessage) -> Bytes {
    let ChannelMessage {
        payload,
        content_type,
        headers,
        ..
    } = message;
    let is_plain = headers.is_empty()
        && !payload.starts_with(MAGIC)
        && (content_type.is_empty() || *content_type == guess(payload));
    if is_plain {
        return payload.clone();
    }
    let headers = headers.iter();
    let head = Head {
        content_type: content_type.as_str().into(),
        headers: headers.map(|(n, v)| (n.into(), v.into())).collect(),
    };
    let head = serde_json::to_vec(&head).expect("texts are JSON");
    let length = u32::try_from(head.len()).expect("headers are shorter than a frame");
    let mut wire = BytesMut::with_capacity(MAGIC.len() + 4 + head.len() + payload.len());
    wire.put_slice(MAGIC);
    wire.put_u32(length);
    wire.put_slice(&head);
    wire.put_slice(payload);
    wire.freeze()
}

/// The message that was published. What only looks like an envelope is a payload.
pub(super) fn decode(channel: ChannelName, wire: &Bytes) -> ChannelMessage {
    if let Some((head, payload)) = open(wire) {
        let content_type = match &*head.content_type {
            "" => guess(payload).into(),
            named => named.into(),
        };
        let mut headers = Headers::new();
        for (name, value) in &head.headers {
            headers.push(&**name, &**value);
        }
        let payload = kept(wire, payload);
        return ChannelMessage::new(channel, payload, content_type).with_headers(headers);
    }
    let content_type = guess(wire).into();
    ChannelMessage::new(channel, kept(wire, wire), content_type)
}

fn open(wire: &[u8]) -> Option<(Head<'_>, &[u8])> {
    let rest = wire.strip_prefix(MAGIC)?;
    let (length, rest) = rest.split_first_chunk::<4>()?;
    let length = usize::try_from(u32::from_be_bytes(*length)).ok()?;
    let (head, payload) = rest.split_at_checked(length)?;
    let head: Head<'_> = serde_json::from_slice(head).ok()?;
    let sound = head.content_type.len() <= CONTENT_TYPE_BYTES_MAX
        && !head.content_type.chars().any(char::is_control);
    sound.then_some((head, payload))
}

/// What a payload that says nothing of itself is taken for.
fn guess(payload: &[u8]) -> &'static str {
    let Ok(text) = str::from_utf8(payload) else {
        return BYTES;
    };
    // Most texts are told apart by how they begin.
    let start = text.trim_ascii_start().bytes().next();
    let may_be_json = matches!(
        start,
        Some(b'{' | b'[' | b'"' | b'-' | b'0'..=b'9' | b't' | b'f' | b'n')
    );
    if may_be_json && serde_json::from_str::<IgnoredAny>(text).is_ok() {
        JSON
    } else {
        TEXT
    }
}

/// A part of what was read, to be kept for any time.
fn kept(wire: &Bytes, part: &[u8]) -> Bytes {
    if part.len() <= COPIED_BYTES_MAX {
        Bytes::copy_from_slice(part)
    } else {
        wire.slice_ref(part)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(payload: &[u8], content_type: &str) -> ChannelMessage {
        let channel = ChannelName::new("c").unwrap();
        ChannelMessage::new(
            channel,
            Bytes::copy_from_slice(payload),
            content_type.into(),
        )
    }

    fn received(wire: &[u8]) -> ChannelMessage {
        let channel = ChannelName::new("c").unwrap();
        decode(channel, &Bytes::copy_from_slice(wire))
    }

    #[test]
    fn payloads_are_taken_for_what_they_look_like() {
        for (payload, content_type) in [
            (&b"{\"a\":[1,2]}"[..], JSON),
            (b" [1]\n", JSON),
            (b"42", JSON),
            (b"-1e3", JSON),
            (b"\"x\"", JSON),
            (b"true", JSON),
            (b"null", JSON),
            (b"", TEXT),
            (b"hello", TEXT),
            (b"{hello", TEXT),
            (b"truest", TEXT),
            (b"1 2", TEXT),
            ("größer".as_bytes(), TEXT),
            (b"\xff\x00", BYTES),
            (b"\"\xff\"", BYTES),
        ] {
            let message = received(payload);
            assert_eq!(message.content_type, content_type, "{payload:?}");
            assert_eq!(message.payload, payload);
            // What a receiver guesses right is sent as it is, and so is what nobody has named.
            for named in [content_type, ""] {
                assert_eq!(encode(&self::message(payload, named)), payload);
            }
        }
    }

    #[test]
    fn an_envelope_carries_what_would_be_guessed_wrong() {
        let mut looks_enveloped = MAGIC.to_vec();
        looks_enveloped.extend(b"\0\0\0\x02{}x");
        let large = vec![b'7'; COPIED_BYTES_MAX + 1];
        for (payload, content_type, headers) in [
            (&b"42"[..], TEXT, &[][..]),
            (b"hello", JSON, &[]),
            (b"hello", BYTES, &[]),
            (b"<p>", "text/html", &[]),
            (b"{}", "application/json; charset=utf-8", &[]),
            (b"\xff", "image/png", &[]),
            (b"{}", JSON, &[("a", "1"), ("a", "\"2\"\n")]),
            (&looks_enveloped, BYTES, &[]),
            (&looks_enveloped, TEXT, &[]),
            (&large, TEXT, &[]),
        ] {
            let mut list = Headers::new();
            for (name, value) in headers {
                list.push(*name, *value);
            }
            let sent = message(payload, content_type).with_headers(list);
            let wire = encode(&sent);
            assert!(wire.starts_with(MAGIC) && wire.ends_with(payload));
            let heard = received(&wire);
            assert_eq!(heard.payload, payload);
            assert_eq!(heard.content_type, content_type);
            assert_eq!(heard.headers.iter().collect::<Vec<_>>(), headers);
            assert_eq!(heard.weight(), sent.weight());
        }
    }

    #[test]
    fn an_envelope_without_a_content_type_leaves_it_to_the_receiver() {
        let mut headers = Headers::new();
        headers.push("a", "1");
        let wire = encode(&message(b"42", "").with_headers(headers));
        let heard = received(&wire);
        assert_eq!(
            (&heard.payload[..], &*heard.content_type),
            (&b"42"[..], JSON)
        );
        assert_eq!(heard.headers.get("a"), Some("1"));
    }

    #[test]
    fn what_only_looks_like_an_envelope_is_a_payload() {
        let with = |rest: &[u8]| [MAGIC, rest].concat();
        for broken in [
            with(b""),
            with(b"\0\0\0"),
            with(b"\0\0\0\x05{}"),
            with(b"\xff\xff\xff\xff{}"),
            with(b"\0\0\0\x0242"),
            with(b"\0\0\0\x13{\"content_type\":\"\n\"}"),
            with(b"\0\0\0\x15{\"content_type\":\"\\n\"}.."),
        ] {
            let heard = received(&broken);
            assert_eq!(heard.payload, broken, "{broken:?}");
            assert!(heard.headers.is_empty());
        }
        // A later version may say more.
        let newer = with(b"\0\0\0\x0a{\"later\":1}");
        assert_eq!(received(&newer).payload, newer, "the length is one short");
        let newer = with(b"\0\0\0\x0b{\"later\":1}x");
        assert_eq!(received(&newer).payload, &b"x"[..]);
    }
}
