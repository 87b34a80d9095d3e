use crate::{
    args::{MessageArgs, PublishArgs},
    failure::Failure,
};
use serde::{Serialize, Serializer, ser::SerializeMap};
use serde_json::value::{RawValue, to_raw_value};
use trunkline::Payload;

/// Payloads that travel in one request, in order; one buffer for all.
#[derive(Debug)]
pub(in crate::commands) struct Chunk {
    bytes: Vec<u8>,
    /// Where each payload ends.
    ends: Vec<usize>,
    /// Bytes that every message has besides its payload.
    overhead: usize,
}

impl Chunk {
    /// Most messages of a request.
    pub(in crate::commands) const MESSAGES_MAX: usize = 512;
    /// Bytes of a request, unless one message alone has more: well below the largest frame
    /// that a server takes, with room for what JSON adds.
    const BYTES_MAX: usize = 128 << 10;

    pub(in crate::commands) fn new(overhead: usize) -> Self {
        Self {
            bytes: Vec::new(),
            ends: Vec::new(),
            overhead,
        }
    }

    pub(in crate::commands) fn push(&mut self, payload: &[u8]) {
        self.bytes.extend_from_slice(payload);
        self.ends.push(self.bytes.len());
    }

    /// Whether there is room for it; an empty chunk takes everything.
    pub(in crate::commands) fn takes(&self, payload: &[u8]) -> bool {
        let messages = self.ends.len() + 1;
        let bytes = self.bytes.len() + payload.len() + messages * self.overhead;
        self.is_empty() || (messages <= Self::MESSAGES_MAX && bytes <= Self::BYTES_MAX)
    }

    pub(in crate::commands) fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    pub(in crate::commands) fn payloads(&self) -> impl Iterator<Item = &[u8]> {
        let begins = [0].into_iter().chain(self.ends.iter().copied());
        begins
            .zip(&self.ends)
            .map(|(begin, end)| &self.bytes[begin..*end])
    }
}

/// Makes the params of `rpc.topic.publish`.
pub(in crate::commands) struct Encoder {
    topic: String,
    common: MessageArgs,
    /// What the publish ids of this run begin with, if it has any.
    run: Option<String>,
    /// Messages encoded so far.
    number: u64,
}

/// The params of one request, ready to be sent again.
pub(in crate::commands) struct Encoded {
    pub(in crate::commands) params: Box<RawValue>,
    pub(in crate::commands) messages: u64,
}

impl Encoder {
    pub(in crate::commands) fn new(args: &PublishArgs, run: Option<String>) -> Self {
        Self {
            topic: args.topic.clone(),
            common: args.message.clone(),
            run,
            number: 0,
        }
    }

    /// Messages that are nothing but their payload.
    pub(in crate::commands) fn plain(topic: &str) -> Self {
        Self {
            topic: topic.to_owned(),
            common: MessageArgs::default(),
            run: None,
            number: 0,
        }
    }

    /// Bytes that every message has besides its payload, or a little more.
    pub(in crate::commands) fn overhead(&self) -> usize {
        const MEMBERS: usize = 128;
        let MessageArgs {
            key,
            group,
            headers,
            ..
        } = &self.common;
        let texts = [key, group]
            .into_iter()
            .flatten()
            .map(String::len)
            .sum::<usize>();
        let headers = headers
            .iter()
            .map(|header| header.key.len() + header.value.len() + 6);
        MEMBERS + texts + headers.sum::<usize>()
    }

    pub(in crate::commands) fn encode(&mut self, chunk: &Chunk) -> Result<Encoded, Failure> {
        let mut messages = Vec::with_capacity(chunk.ends.len());
        for payload in chunk.payloads() {
            let payload = match self.common.json_payload {
                true => Payload::json(payload).map_err(|error| {
                    let number = self.number + 1;
                    Failure::usage(format!("message {number}: {error}"))
                })?,
                false => Payload::of(payload),
            };
            let publish_id = self
                .run
                .as_ref()
                .map(|run| format!("{run}-{}", self.number));
            self.number += 1;
            messages.push(Message {
                payload,
                publish_id,
                common: &self.common,
            });
        }
        let params = to_raw_value(&Params {
            topic: &self.topic,
            messages: &messages,
        })
        .map_err(|error| Failure::failed(error.to_string()))?;
        let messages = messages.len() as u64;
        Ok(Encoded { params, messages })
    }
}

#[derive(Serialize)]
struct Params<'a> {
    topic: &'a str,
    messages: &'a [Message<'a>],
}

struct Message<'a> {
    payload: Payload<'a>,
    publish_id: Option<String>,
    common: &'a MessageArgs,
}

impl Serialize for Message<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let MessageArgs {
            json_payload: _,
            key,
            group,
            priority,
            ttl,
            delay,
            headers,
        } = self.common;
        let mut members = to.serialize_map(None)?;
        self.payload.put(&mut members)?;
        let texts = [
            ("key", key),
            ("group", group),
            ("publish_id", &self.publish_id),
        ];
        for (name, text) in texts {
            if let Some(text) = text {
                members.serialize_entry(name, text)?;
            }
        }
        if let Some(priority) = priority {
            members.serialize_entry("priority", priority)?;
        }
        for (name, span) in [("ttl_ms", ttl), ("delay_ms", delay)] {
            if let Some(span) = span {
                members.serialize_entry(name, &(span.0.as_millis() as u64))?;
            }
        }
        if !headers.is_empty() {
            members.serialize_entry("headers", &HeaderMap(headers))?;
        }
        members.end()
    }
}

struct HeaderMap<'a>(&'a [crate::args::KeyValue]);

impl Serialize for HeaderMap<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_map(self.0.iter().map(|header| (&header.key, &header.value)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args(common: MessageArgs) -> PublishArgs {
        PublishArgs {
            topic: "t".to_owned(),
            payload: Vec::new(),
            lines: true,
            retry: false,
            message: common,
        }
    }

    fn chunk(payloads: &[&str]) -> Chunk {
        let mut chunk = Chunk::new(0);
        payloads
            .iter()
            .for_each(|payload| chunk.push(payload.as_bytes()));
        chunk
    }

    #[test]
    fn a_chunk_becomes_one_request() {
        let mut encoder = Encoder::new(&args(MessageArgs::default()), None);
        let encoded = encoder.encode(&chunk(&["a", "", "b\""])).unwrap();
        assert_eq!(
            encoded.params.get(),
            r#"{"topic":"t","messages":[{"payload_text":"a"},{"payload_text":""},{"payload_text":"b\""}]}"#
        );
        assert_eq!(encoded.messages, 3);
    }

    #[test]
    fn a_request_stays_small_unless_one_message_is_large() {
        let large = vec![b'x'; Chunk::BYTES_MAX];
        let mut chunk = Chunk::new(100);
        assert!(chunk.takes(&large));
        chunk.push(b"a");
        assert!(chunk.takes(b"b") && !chunk.takes(&large));
        let mut heavy = Chunk::new(Chunk::BYTES_MAX / 2);
        heavy.push(b"a");
        assert!(!heavy.takes(b"b"));
    }

    #[test]
    fn options_go_with_every_message_and_ids_count_on() {
        let common = MessageArgs {
            json_payload: true,
            key: Some("k".to_owned()),
            priority: Some(2),
            ttl: Some("2s".parse().unwrap()),
            headers: vec!["h=v".parse().unwrap()],
            ..MessageArgs::default()
        };
        let mut encoder = Encoder::new(&args(common), Some("run".to_owned()));
        encoder.encode(&chunk(&["1"])).unwrap();
        let encoded = encoder.encode(&chunk(&["{}"])).unwrap();
        assert_eq!(
            encoded.params.get(),
            r#"{"topic":"t","messages":[{"payload":{},"key":"k","publish_id":"run-1","priority":2,"ttl_ms":2000,"headers":{"h":"v"}}]}"#
        );
        assert!(encoder.encode(&chunk(&["no"])).is_err());
    }
}
