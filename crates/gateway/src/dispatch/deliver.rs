//! Deliveries on their way to a client: `rpc.topic.deliver`.

use super::{Connection, inbox::ConsumerKey};
use crate::outbox::Outbox;
use bytes::BufMut;
use std::fmt::Write;
use trunkline_jsonrpc::{Integer, write_payload, write_string};
use trunkline_model::{Delivery, Headers, MessageId, StoredMessage};

/// Deliveries share a frame up to this size; a larger one goes alone.
pub(crate) const FRAME_BYTES_MAX: usize = 1 << 20;

impl Connection {
    /// Packs deliveries into as few frames as their size allows.
    pub(crate) fn deliver(&mut self, key: ConsumerKey, deliveries: &[Delivery], out: &mut Outbox) {
        // A consumer that was cancelled has given back what was still here.
        let Some(id) = self.consumers.id(key) else {
            return;
        };
        let name = id.to_string();
        let mut rest = deliveries;
        while !rest.is_empty() {
            let count = out.frame(|buffer| write_frame(buffer, &name, rest));
            let (sent, unsent) = rest.split_at(count);
            let bytes = sent.iter().map(Delivery::weight).sum();
            self.consumers.note(out.end(), key, bytes);
            rest = unsent;
        }
    }
}

/// Appends a frame with the first deliveries; how many fitted, at least one.
fn write_frame(out: &mut Vec<u8>, consumer: &str, deliveries: &[Delivery]) -> usize {
    const TAIL: &[u8] = b"]}}";
    let start = out.len();
    out.put_slice(
        b"{\"jsonrpc\":\"2.0\",\"method\":\"rpc.topic.deliver\",\"params\":{\"consumer\":",
    );
    write_string(out, consumer);
    out.put_slice(b",\"deliveries\":[");
    let mut count = 0;
    for delivery in deliveries {
        let before = out.len();
        if count > 0 {
            out.put_u8(b',');
        }
        write_delivery(out, delivery);
        if count > 0 && out.len() - start + TAIL.len() > FRAME_BYTES_MAX {
            out.truncate(before);
            break;
        }
        count += 1;
    }
    out.put_slice(TAIL);
    count
}

fn write_delivery(out: &mut Vec<u8>, delivery: &Delivery) {
    out.put_slice(b"{\"tag\":");
    put_integer(out, delivery.tag.0);
    out.put_slice(b",\"id\":");
    write_message_id(out, delivery.id);
    out.put_slice(b",\"topic\":");
    write_string(out, &delivery.topic);
    write_message(out, &delivery.message);
    out.put_slice(b",\"attempt\":");
    put_integer(out, u64::from(delivery.attempt));
    out.put_slice(if delivery.attempt > 1 {
        b",\"redelivered\":true}"
    } else {
        b",\"redelivered\":false}"
    });
}

/// Appends the members of a stored message, each behind a comma: those that a delivery and a
/// message that is only looked at have in common.
pub(crate) fn write_message(out: &mut Vec<u8>, message: &StoredMessage) {
    put_text(out, b",\"key\":", message.key.as_deref());
    put_text(out, b",\"group\":", message.group.as_deref());
    out.put_u8(b',');
    write_payload(out, &message.payload, &message.content_type);
    out.put_slice(b",\"headers\":");
    write_headers(out, &message.headers);
    out.put_slice(b",\"priority\":");
    put_integer(out, u64::from(message.priority.0));
    // A time has nothing to escape.
    let published_at = message.published_at;
    out.put_slice(b",\"published_at\":\"");
    write_text(out, published_at);
    out.put_u8(b'"');
    put_text(out, b",\"traceparent\":", message.traceparent.as_deref());
}

/// Appends a message id as JSON.
pub(crate) fn write_message_id(out: &mut Vec<u8>, id: MessageId) {
    out.put_u8(b'"');
    put_integer(out, u64::from(id.topic));
    out.put_u8(b'-');
    put_integer(out, id.sequence);
    out.put_u8(b'"');
}

/// Of a name that repeats, the first counts; JSON has room for that one only.
fn write_headers(out: &mut Vec<u8>, headers: &Headers) {
    out.put_u8(b'{');
    for (index, (name, value)) in headers.iter().enumerate() {
        if index > 0 {
            if headers
                .iter()
                .take(index)
                .any(|(earlier, _)| earlier == name)
            {
                continue;
            }
            out.put_u8(b',');
        }
        write_string(out, name);
        out.put_u8(b':');
        write_string(out, value);
    }
    out.put_u8(b'}');
}

fn put_text(out: &mut Vec<u8>, member: &[u8], text: Option<&str>) {
    if let Some(text) = text {
        out.put_slice(member);
        write_string(out, text);
    }
}

fn put_integer(out: &mut Vec<u8>, number: u64) {
    out.put_slice(Integer::from_unsigned(number).as_bytes());
}

/// Appends what prints as ASCII without anything to escape.
pub(crate) fn write_text(out: &mut Vec<u8>, value: impl std::fmt::Display) {
    struct Ascii<'a>(&'a mut Vec<u8>);
    impl Write for Ascii<'_> {
        fn write_str(&mut self, text: &str) -> std::fmt::Result {
            self.0.put_slice(text.as_bytes());
            Ok(())
        }
    }
    write!(Ascii(out), "{value}").expect("a vector takes everything");
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use trunkline_model::{DeliveryTag, Priority, Timestamp, TopicName};

    fn delivery(tag: u64, payload: &[u8]) -> Delivery {
        Delivery {
            tag: DeliveryTag(tag),
            id: MessageId {
                topic: 1,
                sequence: tag,
            },
            topic: TopicName::new("t").unwrap(),
            attempt: tag as u32,
            message: StoredMessage {
                payload: Bytes::copy_from_slice(payload),
                content_type: "text/plain;charset=utf-8".into(),
                key: None,
                group: None,
                publish_id: None,
                priority: Priority(0),
                published_at: Timestamp::ZERO,
                expires_at: None,
                deliver_at: None,
                headers: Headers::new(),
                traceparent: None,
            },
        }
    }

    fn frame(deliveries: &[Delivery]) -> (usize, String) {
        let mut out = Vec::new();
        let count = write_frame(&mut out, "c1", deliveries);
        (count, String::from_utf8(out).unwrap())
    }

    #[test]
    fn a_frame_of_deliveries() {
        let mut second = delivery(2, b"b");
        second.message.key = Some("k".into());
        second.message.traceparent = Some("00-1".into());
        for (name, value) in [("a", "1"), ("b", "\n"), ("a", "2"), ("c", "3")] {
            second.message.headers.push(name, value);
        }
        let expected = concat!(
            r#"{"jsonrpc":"2.0","method":"rpc.topic.deliver","params":{"consumer":"c1","deliveries":["#,
            r#"{"tag":1,"id":"1-1","topic":"t","payload_text":"a","headers":{},"priority":0,"#,
            r#""published_at":"1970-01-01T00:00:00.000Z","attempt":1,"redelivered":false},"#,
            r#"{"tag":2,"id":"1-2","topic":"t","key":"k","payload_text":"b","#,
            r#""headers":{"a":"1","b":"\n","c":"3"},"priority":0,"#,
            r#""published_at":"1970-01-01T00:00:00.000Z","traceparent":"00-1","attempt":2,"redelivered":true}]}}"#
        );
        assert_eq!(
            frame(&[delivery(1, b"a"), second]),
            (2, expected.to_owned())
        );
    }

    #[test]
    fn frames_are_packed_up_to_their_bound_and_a_larger_message_goes_alone() {
        let large = delivery(1, &vec![b'x'; FRAME_BYTES_MAX]);
        let half = delivery(2, &vec![b'y'; FRAME_BYTES_MAX / 2]);
        let small = delivery(3, b"z");
        let (count, text) = frame(&[large.clone(), small.clone()]);
        assert!(count == 1 && text.len() > FRAME_BYTES_MAX);
        let (count, text) = frame(&[half.clone(), small.clone(), half.clone(), small]);
        assert!(count == 2 && text.len() < FRAME_BYTES_MAX);
        assert!(text.ends_with("}]}}"));
    }
}
