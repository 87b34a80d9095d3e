//! What an engine tells of topics, as JSON.

use super::deliver::{FRAME_BYTES_MAX, write_message, write_message_id, write_text};
use bytes::BufMut;
use serde::{Serialize, Serializer};
use trunkline_jsonrpc::write_string;
use trunkline_model::{
    Altered, Durability, OptionChange, PeekCursor, PeekedMessage, PeekedPage, Redriven,
    SubscriptionInfo, SubscriptionOptions, Timestamp, TopicInfo, TopicOptions,
};

#[derive(Serialize)]
struct TopicView<'a> {
    topic: &'a str,
    number: u32,
    durability: Durability,
    options: &'a TopicOptions,
    messages: u64,
    bytes: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    oldest_at: Option<Rfc3339>,
    published: u64,
    expired: u64,
    dropped: u64,
    replaced: u64,
    duplicates: u64,
    dead: u64,
    subscriptions: Vec<SubscriptionView<'a>>,
}

#[derive(Serialize)]
struct SubscriptionView<'a> {
    subscription: &'a str,
    options: &'a SubscriptionOptions,
    waiting: u64,
    delayed: u64,
    by_priority: &'a [u64],
    #[serde(skip_serializing_if = "Option::is_none")]
    oldest_at: Option<Rfc3339>,
    in_flight: u64,
    consumers: u32,
    acked: u64,
    redelivered: u64,
    late: u64,
    dead: u64,
}

struct Rfc3339(Timestamp);

impl Serialize for Rfc3339 {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(&self.0)
    }
}

impl<'a> TopicView<'a> {
    fn of(info: &'a TopicInfo) -> Self {
        Self {
            topic: &info.name,
            number: info.number,
            durability: info.options.durability,
            options: &info.options,
            messages: info.messages,
            bytes: info.bytes,
            oldest_at: info.oldest_at.map(Rfc3339),
            published: info.published,
            expired: info.expired,
            dropped: info.dropped,
            replaced: info.replaced,
            duplicates: info.duplicates,
            dead: info.dead,
            subscriptions: info
                .subscriptions
                .iter()
                .map(SubscriptionView::of)
                .collect(),
        }
    }
}

impl<'a> SubscriptionView<'a> {
    fn of(info: &'a SubscriptionInfo) -> Self {
        Self {
            subscription: &info.name,
            options: &info.options,
            waiting: info.waiting,
            delayed: info.delayed,
            by_priority: &info.by_priority,
            oldest_at: info.oldest_at.map(Rfc3339),
            in_flight: info.in_flight,
            consumers: info.consumers,
            acked: info.acked,
            redelivered: info.redelivered,
            late: info.late,
            dead: info.dead,
        }
    }
}

/// Appends one topic.
pub(crate) fn write_topic(out: &mut Vec<u8>, info: &TopicInfo) {
    serde_json::to_writer(out, &TopicView::of(info)).expect("a topic is JSON");
}

/// Appends `{"topics":[…]}`.
pub(crate) fn write_topics(out: &mut Vec<u8>, topics: &[TopicInfo]) {
    out.put_slice(b"{\"topics\":[");
    for (index, info) in topics.iter().enumerate() {
        if index > 0 {
            out.put_u8(b',');
        }
        write_topic(out, info);
    }
    out.put_slice(b"]}");
}

/// Appends `{"messages":[…],"next"?:"…"}`: as many messages as a frame holds, at least one if
/// there is any; `next` is where to go on if not all went in, or there may be more.
pub(crate) fn write_peeked(out: &mut Vec<u8>, page: &PeekedPage) {
    let start = out.len();
    let (mut next, mut last) = (page.next, None);
    out.put_slice(b"{\"messages\":[");
    for peeked in &page.messages {
        let before = out.len();
        if last.is_some() {
            out.put_u8(b',');
        }
        write_one(out, peeked);
        if last.is_some() && out.len() - start > FRAME_BYTES_MAX {
            out.truncate(before);
            next = last;
            break;
        }
        last = Some(peeked.cursor);
    }
    out.put_u8(b']');
    write_next(out, next);
    out.put_u8(b'}');
}

/// Appends `,"next":"…"` if there is a place to go on.
fn write_next(out: &mut Vec<u8>, next: Option<PeekCursor>) {
    if let Some(next) = next {
        out.put_slice(b",\"next\":\"");
        write_text(out, next);
        out.put_u8(b'"');
    }
}

fn write_one(out: &mut Vec<u8>, peeked: &PeekedMessage) {
    out.put_slice(b"{\"id\":");
    write_message_id(out, peeked.id);
    if let Some(state) = peeked.state {
        out.put_slice(b",\"state\":\"");
        out.put_slice(state.name().as_bytes());
        out.put_slice(b"\",\"attempts\":");
        write_text(out, peeked.attempts);
    }
    write_message(out, &peeked.message);
    if let Some(publish_id) = &peeked.message.publish_id {
        out.put_slice(b",\"publish_id\":");
        write_string(out, publish_id);
    }
    for (member, time) in [
        (&b",\"expires_at\":\""[..], peeked.message.expires_at),
        (b",\"deliver_at\":\"", peeked.message.deliver_at),
    ] {
        if let Some(time) = time {
            out.put_slice(member);
            write_text(out, time);
            out.put_u8(b'"');
        }
    }
    out.put_u8(b'}');
}

/// Appends `{"changed":[{"option":…,"from":…,"to":…}],"above"?:{"messages":…,"bytes":…}}`.
pub(crate) fn write_altered(out: &mut Vec<u8>, altered: &Altered) {
    out.put_slice(b"{\"changed\":[");
    for (index, change) in altered.changes.iter().enumerate() {
        if index > 0 {
            out.put_u8(b',');
        }
        let OptionChange { option, from, to } = change;
        write_text(
            out,
            format_args!(r#"{{"option":"{option}","from":{from},"to":{to}}}"#),
        );
    }
    out.put_u8(b']');
    let (messages, bytes) = (altered.messages_above, altered.bytes_above);
    if messages > 0 || bytes > 0 {
        let above = format_args!(r#","above":{{"messages":{messages},"bytes":{bytes}}}"#);
        write_text(out, above);
    }
    out.put_u8(b'}');
}

/// Appends `{"moved":…,"left":…,"next"?:…}`.
pub(crate) fn write_redriven(out: &mut Vec<u8>, redriven: &Redriven) {
    out.put_slice(b"{\"moved\":");
    write_text(out, redriven.moved);
    out.put_slice(b",\"left\":");
    write_text(out, redriven.left);
    write_next(out, redriven.next);
    out.put_u8(b'}');
}

/// Appends `{"created":…,"released"?:…}`.
pub(crate) fn write_created(out: &mut Vec<u8>, created: bool, released: u64) {
    out.put_slice(if created {
        b"{\"created\":true"
    } else {
        b"{\"created\":false"
    });
    if released > 0 {
        out.put_slice(b",\"released\":");
        write_text(out, released);
    }
    out.put_u8(b'}');
}
