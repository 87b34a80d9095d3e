//! What of a message only its reader looks at, as bytes: media type, trace context, headers, payload.

use super::script::{Incoming, Stored};
use bytes::{BufMut, Bytes, BytesMut};
use compact_str::CompactString;
use trunkline_model::{Headers, Message, StoredMessage};

/// The first byte; another one is of another version.
const FORMAT: u8 = 1;

/// A message as the script stores it.
pub(super) fn incoming(message: Message) -> Incoming {
    let body = encode(
        &message.payload,
        &message.content_type,
        message.traceparent.as_deref(),
        &message.headers,
    );
    Incoming {
        publish_id: message.publish_id,
        key: message.key,
        group: message.group,
        priority: message.priority,
        jms_priority: message.jms_priority,
        expires: message.expires,
        deliver: message.deliver,
        payload_bytes: length(message.payload.len()),
        body,
    }
}

/// A message that the script has stored; `None` if its body can't be read.
pub(super) fn message(stored: Stored) -> Option<StoredMessage> {
    let mut rest = Reader(stored.body);
    if rest.byte()? != FORMAT {
        return None;
    }
    let content_type = rest.text()?;
    let traceparent = match rest.byte()? {
        0 => None,
        _ => Some(rest.text()?),
    };
    let mut headers = Headers::new();
    for _ in 0..rest.number()? {
        let name = rest.text()?;
        headers.push(name, rest.text()?);
    }
    Some(StoredMessage {
        payload: rest.0,
        content_type,
        key: stored.key,
        group: stored.group,
        publish_id: stored.publish_id,
        priority: stored.priority,
        published_at: stored.published_at,
        expires_at: stored.expires_at,
        deliver_at: stored.deliver_at,
        headers,
        traceparent,
    })
}

fn encode(
    payload: &[u8],
    content_type: &str,
    traceparent: Option<&str>,
    headers: &Headers,
) -> Bytes {
    let mut bytes = BytesMut::with_capacity(payload.len() + content_type.len() + 32);
    bytes.put_u8(FORMAT);
    put_text(&mut bytes, content_type);
    bytes.put_u8(u8::from(traceparent.is_some()));
    if let Some(traceparent) = traceparent {
        put_text(&mut bytes, traceparent);
    }
    bytes.put_u32(length(headers.len()));
    for (name, value) in headers.iter() {
        put_text(&mut bytes, name);
        put_text(&mut bytes, value);
    }
    bytes.put_slice(payload);
    bytes.freeze()
}

fn put_text(bytes: &mut BytesMut, text: &str) {
    bytes.put_u32(length(text.len()));
    bytes.put_slice(text.as_bytes());
}

/// Lengths are checked before: no frame is that large.
fn length(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
}

struct Reader(Bytes);

impl Reader {
    fn byte(&mut self) -> Option<u8> {
        self.take(1).map(|byte| byte[0])
    }

    fn number(&mut self) -> Option<u32> {
        let bytes = self.take(4)?;
        Some(u32::from_be_bytes(bytes[..].try_into().ok()?))
    }

    fn text(&mut self) -> Option<CompactString> {
        let length = self.number()? as usize;
        CompactString::from_utf8(self.take(length)?).ok()
    }

    fn take(&mut self, length: usize) -> Option<Bytes> {
        (length <= self.0.len()).then(|| self.0.split_to(length))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use trunkline_model::{Priority, Timestamp};

    fn stored(body: Bytes) -> Stored {
        Stored {
            sequence: 1,
            priority: Priority(0),
            published_at: Timestamp::ZERO,
            expires_at: None,
            deliver_at: None,
            key: None,
            group: None,
            publish_id: None,
            body,
        }
    }

    #[test]
    fn bodies_come_back_as_they_went() {
        let mut headers = Headers::new();
        headers.push("kind", "a");
        headers.push("kind", "größe");
        let full = Message {
            payload: Bytes::from((0..=255).collect::<Vec<u8>>()),
            content_type: "text/plain".into(),
            traceparent: Some("00-0af7-b7ad-01".into()),
            headers,
            ..Message::default()
        };
        for message in [full, Message::default()] {
            let stored = super::message(stored(incoming(message.clone()).body)).unwrap();
            assert_eq!(stored.payload, message.payload);
            assert_eq!(stored.content_type, message.content_type);
            assert_eq!(stored.headers, message.headers);
            assert_eq!(stored.traceparent, message.traceparent);
        }
    }

    #[test]
    fn what_is_no_body_is_none() {
        let whole = incoming(Message {
            content_type: "text/plain".into(),
            traceparent: Some("t".into()),
            ..Message::default()
        });
        for length in 0..whole.body.len() {
            let cut = stored(whole.body.slice(..length));
            assert!(message(cut).is_none(), "{length}");
        }
        assert!(message(stored(Bytes::from_static(&[2, 0, 0, 0, 0]))).is_none());
    }
}
