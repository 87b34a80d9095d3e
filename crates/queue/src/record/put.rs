use super::{
    RecordError,
    list::{Header, List, Placement, Run, write_list},
    wire::{Fields, Tag},
};
use bytes::Bytes;
use compact_str::CompactString;
use trunkline_model::{Headers, Priority, StoredMessage, Timestamp};

const NAME: &str = "put";
const TOPIC: Tag = Tag::required(1);
const SEQUENCE: Tag = Tag::required(2);
const SUBSCRIPTIONS: Tag = Tag::required(3);
const PLACEMENTS: Tag = Tag::required(4);
const REPLACES: Tag = Tag::required(5);
const PRIORITY: Tag = Tag::required(6);
const PUBLISHED_AT: Tag = Tag::required(7);
const EXPIRES_AT: Tag = Tag::required(8);
const DELIVER_AT: Tag = Tag::required(9);
const KEY: Tag = Tag::required(10);
const GROUP: Tag = Tag::required(11);
const PUBLISH_ID: Tag = Tag::required(12);
const CONTENT_TYPE: Tag = Tag::required(13);
const HEADERS: Tag = Tag::required(14);
const TRACEPARENT: Tag = Tag::optional(15);
const PAYLOAD: Tag = Tag::required(16);
/// Who doesn't know it counts and remembers what was counted and remembered before.
const COPY: Tag = Tag::optional(24);

const KNOWN: &[Tag] = &[
    TOPIC,
    SEQUENCE,
    SUBSCRIPTIONS,
    PLACEMENTS,
    REPLACES,
    PRIORITY,
    PUBLISHED_AT,
    EXPIRES_AT,
    DELIVER_AT,
    KEY,
    GROUP,
    PUBLISH_ID,
    CONTENT_TYPE,
    HEADERS,
    TRACEPARENT,
    PAYLOAD,
    COPY,
];

/// What a copy says anew, or says no more.
const OF_PLACE: &[Tag] = &[TOPIC, SEQUENCE, SUBSCRIPTIONS, PLACEMENTS, REPLACES, COPY];

/// A message is stored; what the queue needs of it. The content is read by
/// [`decode_message`].
#[derive(Clone, Copy, Debug)]
pub struct Put<'a> {
    /// Number of the topic.
    pub topic: u32,
    /// Sequence of the message.
    pub sequence: u64,
    /// Subscriptions that it waits in at its own priority and sequence.
    pub subscriptions: List<'a, Run>,
    /// Those that it waits in elsewhere.
    pub placements: List<'a, Placement>,
    /// Sequence of the message with the same key that is gone by this.
    pub replaces: Option<u64>,
    /// Urgency.
    pub priority: Priority,
    /// When the engine took it.
    pub published_at: Timestamp,
    /// Never delivered after this time.
    pub expires_at: Option<Timestamp>,
    /// Not delivered before this time.
    pub deliver_at: Option<Timestamp>,
    /// Identity for deduplication.
    pub key: Option<&'a str>,
    /// Its messages are taken by one consumer at a time.
    pub group: Option<&'a str>,
    /// Client-chosen id of the publish.
    pub publish_id: Option<&'a str>,
    /// Length of the payload in bytes.
    pub payload_bytes: u32,
    /// The message was stored before; this record only takes the place of an earlier one.
    pub copy: bool,
}

/// What a put record says beside the message.
pub(crate) struct PutPlace<R, P> {
    pub(crate) topic: u32,
    pub(crate) sequence: u64,
    pub(crate) replaces: Option<u64>,
    pub(crate) subscriptions: R,
    pub(crate) placements: P,
}

pub(crate) fn encode(
    out: &mut Vec<u8>,
    place: PutPlace<impl Iterator<Item = Run>, impl Iterator<Item = Placement>>,
    message: &StoredMessage,
) {
    let micros = |at: Option<Timestamp>| at.map(Timestamp::as_micros);
    out.reserve(message.payload.len() + 64);
    TOPIC.int(out, place.topic.into());
    SEQUENCE.int(out, place.sequence);
    write_list(SUBSCRIPTIONS, out, place.subscriptions);
    write_list(PLACEMENTS, out, place.placements);
    REPLACES.int_if(out, place.replaces);
    PRIORITY.int(out, message.priority.0.into());
    PUBLISHED_AT.int(out, message.published_at.as_micros());
    EXPIRES_AT.int_if(out, micros(message.expires_at));
    DELIVER_AT.int_if(out, micros(message.deliver_at));
    KEY.text_if(out, message.key.as_deref());
    GROUP.text_if(out, message.group.as_deref());
    PUBLISH_ID.text_if(out, message.publish_id.as_deref());
    if !message.content_type.is_empty() {
        CONTENT_TYPE.bytes(out, message.content_type.as_bytes());
    }
    let headers = message
        .headers
        .iter()
        .map(|(name, value)| Header(name, value));
    write_list(HEADERS, out, headers);
    TRACEPARENT.text_if(out, message.traceparent.as_deref());
    PAYLOAD.bytes(out, &message.payload);
}

/// The same for a message whose put record is there: what that says of the message is taken
/// over byte by byte, whether this version knows it or not.
pub(crate) fn encode_copy(
    out: &mut Vec<u8>,
    place: PutPlace<impl Iterator<Item = Run>, impl Iterator<Item = Placement>>,
    record: &[u8],
) {
    out.reserve(record.len() + 64);
    TOPIC.int(out, place.topic.into());
    SEQUENCE.int(out, place.sequence);
    write_list(SUBSCRIPTIONS, out, place.subscriptions);
    write_list(PLACEMENTS, out, place.placements);
    COPY.int(out, 1);
    let mut fields = Fields::new(NAME, record);
    while let Some((number, encoded)) = fields.raw() {
        if !OF_PLACE.iter().any(|tag| tag.number() == number) {
            out.extend_from_slice(encoded);
        }
    }
}

/// No more bytes than [`encode`] writes for a message like this on a topic with so many
/// subscriptions.
pub(crate) fn encoded_bytes_max(message: &trunkline_model::Message, subscriptions: usize) -> usize {
    let texts = [
        &message.key,
        &message.group,
        &message.publish_id,
        &message.traceparent,
    ];
    let bytes = message.payload.len() + message.content_type.len();
    bytes + parts_bytes_max(texts, &message.headers, subscriptions)
}

/// The same for a message that was stored before.
pub(crate) fn stored_bytes_max(message: &StoredMessage, subscriptions: usize) -> usize {
    let texts = [
        &message.key,
        &message.group,
        &message.publish_id,
        &message.traceparent,
    ];
    let bytes = message.payload.len() + message.content_type.len();
    bytes + parts_bytes_max(texts, &message.headers, subscriptions)
}

fn parts_bytes_max(
    texts: [&Option<CompactString>; 4],
    headers: &Headers,
    subscriptions: usize,
) -> usize {
    let length = |text: &Option<CompactString>| text.as_ref().map_or(0, |text| text.len() + 6);
    let headers = headers.iter().map(|(n, v)| n.len() + v.len() + 12);
    160 + texts.map(length).iter().sum::<usize>()
        + headers.sum::<usize>()
        // A run and, at worst, a placement for each.
        + subscriptions * 34
}

pub(super) fn decode(bytes: &[u8]) -> Result<Put<'_>, RecordError> {
    let mut fields = Fields::new(NAME, bytes);
    let (mut topic, mut sequence, mut published_at, mut payload) = (None, None, None, None);
    let mut put = Put {
        topic: 0,
        sequence: 0,
        subscriptions: List::empty(),
        placements: List::empty(),
        replaces: None,
        priority: Priority(0),
        published_at: Timestamp::ZERO,
        expires_at: None,
        deliver_at: None,
        key: None,
        group: None,
        publish_id: None,
        payload_bytes: 0,
        copy: false,
    };
    while let Some((tag, value)) = fields.next(KNOWN)? {
        let text = |name| value.text().ok_or(fields.invalid(name));
        let list = |name| value.bytes().ok_or(fields.invalid(name));
        let int = |name| value.int::<u64>().ok_or(fields.invalid(name));
        match tag {
            TOPIC => topic = value.int(),
            SEQUENCE => sequence = value.int().filter(|s: &u64| *s > 0),
            SUBSCRIPTIONS => {
                let runs = List::decode(list("subscriptions")?);
                put.subscriptions = runs.ok_or(fields.invalid("subscriptions"))?;
            }
            PLACEMENTS => {
                let placements = List::decode(list("placements")?);
                put.placements = placements.ok_or(fields.invalid("placements"))?;
            }
            REPLACES => put.replaces = Some(int("replaced sequence")?),
            PRIORITY => {
                put.priority = Priority(value.int().ok_or(fields.invalid("priority"))?);
            }
            PUBLISHED_AT => published_at = value.int(),
            EXPIRES_AT => {
                put.expires_at = Some(Timestamp::from_micros(int("expiry")?));
            }
            DELIVER_AT => {
                put.deliver_at = Some(Timestamp::from_micros(int("delivery time")?));
            }
            KEY => put.key = Some(text("key")?),
            GROUP => put.group = Some(text("group")?),
            PUBLISH_ID => put.publish_id = Some(text("publish_id")?),
            PAYLOAD => payload = value.bytes(),
            COPY => put.copy = true,
            _ => {}
        }
    }
    put.topic = topic.ok_or(fields.invalid("topic"))?;
    put.sequence = sequence.ok_or(fields.invalid("sequence"))?;
    put.published_at = published_at
        .map(Timestamp::from_micros)
        .ok_or(fields.invalid("time"))?;
    let length = payload.map(<[u8]>::len).ok_or(fields.invalid("payload"))?;
    put.payload_bytes = u32::try_from(length).map_err(|_| fields.invalid("payload"))?;
    Ok(put)
}

/// The message in a put record's bytes; its payload is a slice of them.
///
/// # Errors
/// [`RecordError`] says what doesn't fit.
pub fn decode_message(put_record: Bytes) -> Result<StoredMessage, RecordError> {
    let put = decode(&put_record)?;
    let mut message = StoredMessage {
        payload: Bytes::new(),
        content_type: CompactString::default(),
        key: put.key.map(CompactString::new),
        group: put.group.map(CompactString::new),
        publish_id: put.publish_id.map(CompactString::new),
        priority: put.priority,
        published_at: put.published_at,
        expires_at: put.expires_at,
        deliver_at: put.deliver_at,
        headers: Headers::new(),
        traceparent: None,
    };
    let mut fields = Fields::new(NAME, &put_record);
    while let Some((tag, value)) = fields.next(KNOWN)? {
        let text = |name| value.text().ok_or(fields.invalid(name));
        match tag {
            CONTENT_TYPE => message.content_type = text("content type")?.into(),
            TRACEPARENT => {
                message.traceparent = Some(text("traceparent")?.into());
            }
            HEADERS => {
                let headers = value.bytes().and_then(List::<Header<'_>>::decode);
                for Header(name, value) in headers.ok_or(fields.invalid("headers"))?.iter() {
                    message.headers.push(name, value);
                }
            }
            PAYLOAD => {
                let payload = value.bytes().ok_or(fields.invalid("payload"))?;
                message.payload = put_record.slice_ref(payload);
            }
            _ => {}
        }
    }
    Ok(message)
}
