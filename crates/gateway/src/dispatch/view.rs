//! What an engine tells of topics, as JSON.

use super::deliver::{FRAME_BYTES_MAX, write_message, write_message_id, write_text};
use bytes::BufMut;
use serde::{Serialize, Serializer};
use trunkline_model::{
    PeekedMessage, Redriven, SubscriptionInfo, SubscriptionOptions, Timestamp, TopicInfo,
    TopicOptions,
};

#[derive(Serialize)]
struct TopicView<'a> {
    topic: &'a str,
    number: u32,
    options: &'a TopicOptions,
    messages: u64,
    bytes: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    oldest_at: Option<Rfc3339>,
    published: u64,
    expired: u64,
    dropped: u64,
    replaced: u64,
    subscriptions: Vec<SubscriptionView<'a>>,
}

#[derive(Serialize)]
struct SubscriptionView<'a> {
    subscription: &'a str,
    options: &'a SubscriptionOptions,
    waiting: u64,
    delayed: u64,
    in_flight: u64,
    consumers: u32,
    acked: u64,
    redelivered: u64,
    late: u64,
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
            options: &info.options,
            messages: info.messages,
            bytes: info.bytes,
            oldest_at: info.oldest_at.map(Rfc3339),
            published: info.published,
            expired: info.expired,
            dropped: info.dropped,
            replaced: info.replaced,
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
            in_flight: info.in_flight,
            consumers: info.consumers,
            acked: info.acked,
            redelivered: info.redelivered,
            late: info.late,
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

/// Appends `{"messages":[…],"next"?:"id"}`: as many messages as a frame holds, at least one;
/// `next` is where to go on if not all went in.
pub(crate) fn write_peeked(out: &mut Vec<u8>, messages: &[PeekedMessage]) {
    let start = out.len();
    let mut next = None;
    out.put_slice(b"{\"messages\":[");
    for (index, peeked) in messages.iter().enumerate() {
        let before = out.len();
        if index > 0 {
            out.put_u8(b',');
        }
        write_one(out, peeked);
        if index > 0 && out.len() - start > FRAME_BYTES_MAX {
            out.truncate(before);
            next = Some(peeked.id);
            break;
        }
    }
    out.put_u8(b']');
    if let Some(id) = next {
        out.put_slice(b",\"next\":");
        write_message_id(out, id);
    }
    out.put_u8(b'}');
}

fn write_one(out: &mut Vec<u8>, peeked: &PeekedMessage) {
    out.put_slice(b"{\"id\":");
    write_message_id(out, peeked.id);
    write_message(out, &peeked.message);
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

/// Appends `{"moved":…,"left":…,"next"?:…}`.
pub(crate) fn write_redriven(out: &mut Vec<u8>, redriven: &Redriven) {
    out.put_slice(b"{\"moved\":");
    write_text(out, redriven.moved);
    out.put_slice(b",\"left\":");
    write_text(out, redriven.left);
    if let Some(next) = redriven.next {
        out.put_slice(b",\"next\":\"");
        write_text(out, next);
        out.put_u8(b'"');
    }
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
