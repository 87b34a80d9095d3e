//! `rpc.topic.publish`, and settling: `.ack`, `.nack`, `.extend`.

use super::{
    Connection, Step, error,
    message::{self, MessageParams},
    params::{Params, Tags, consumer_id},
    waiting::{Ask, Awaited},
};
use bytes::BufMut;
use serde::Deserialize;
use smallvec::SmallVec;
use std::time::Duration;
use trunkline_auth::{Action, Resource};
use trunkline_jsonrpc::{Integer, Text};
use trunkline_model::{Batch, Command, ConsumerId, Error, Message, Receipt, TopicName};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Publish<'a> {
    topic: TopicName,
    #[serde(borrow)]
    messages: Vec<MessageParams<'a>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Ack<'a> {
    #[serde(borrow)]
    consumer: Text<'a>,
    tags: Tags,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Nack<'a> {
    #[serde(borrow)]
    consumer: Text<'a>,
    tags: Tags,
    #[serde(default = "yes")]
    requeue: bool,
    #[serde(default)]
    delay_ms: u64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Extend<'a> {
    #[serde(borrow)]
    consumer: Text<'a>,
    tags: Tags,
    by_ms: u64,
}

fn yes() -> bool {
    true
}

/// Reads the params of a publish of the common form.
fn scan_publish(params: Params<'_>) -> Option<(TopicName, SmallVec<[Message; 1]>)> {
    params.scan(|scanner| {
        let mut topic = None;
        let mut messages = SmallVec::<[Message; 1]>::new();
        scanner.object(|scanner, name| match name {
            "topic" if topic.is_none() => {
                topic = Some(TopicName::new(scanner.string()?).ok()?);
                Some(())
            }
            "messages" if messages.is_empty() => scanner.array(|scanner| {
                messages.push(message::scan(scanner, params)?);
                Some(())
            }),
            _ => None,
        })?;
        (!messages.is_empty()).then_some((topic?, messages))
    })
}

/// Reads the params of a publish.
fn read_publish(
    connection: &Connection,
    params: Params<'_>,
) -> Result<(TopicName, SmallVec<[Message; 1]>), Error> {
    let may = |topic: &TopicName| {
        connection.allow(Action::Publish, Resource::Topic(topic))?;
        connection.take_no_new_work()
    };
    if let Some((topic, messages)) = scan_publish(params) {
        may(&topic)?;
        return Ok((topic, messages));
    }
    let asked: Publish<'_> = params.read()?;
    may(&asked.topic)?;
    Ok((asked.topic, read_messages(asked.messages, params)?))
}

fn read_messages(
    messages: Vec<MessageParams<'_>>,
    params: Params<'_>,
) -> Result<SmallVec<[Message; 1]>, Error> {
    if messages.is_empty() {
        return Err(error::param("/messages", "must have at least one message"));
    }
    let messages = messages.into_iter().enumerate();
    messages
        .map(|(index, message)| message.read(params, &|| format!("/messages/{index}")))
        .collect()
}

pub(crate) fn publish(
    connection: &mut Connection,
    params: Params<'_>,
    ask: Ask<'_>,
) -> Result<Step, Error> {
    let (topic, messages) = read_publish(connection, params)?;
    let command = Command::Publish { topic, messages };
    connection.submit(command, ask, Awaited::Publish)
}

/// Reads the params of an ack of the common form.
fn scan_ack<'a>(params: Params<'a>) -> Option<Ack<'a>> {
    params.scan(|scanner| {
        let (mut consumer, mut tags) = (None, None);
        scanner.object(|scanner, name| {
            match name {
                "consumer" if consumer.is_none() => consumer = Some(scanner.string()?),
                "tags" if tags.is_none() => tags = Some(Tags::scan(scanner)?),
                _ => return None,
            }
            Some(())
        })?;
        Some(Ack {
            consumer: Text(consumer?.into()),
            tags: tags?,
        })
    })
}

pub(crate) fn ack(
    connection: &mut Connection,
    params: Params<'_>,
    ask: Ask<'_>,
) -> Result<Step, Error> {
    let asked: Ack<'_> = match scan_ack(params) {
        Some(asked) => asked,
        None => params.read()?,
    };
    let command = Command::Ack {
        consumer: connection.settling(&asked.consumer)?,
        tags: asked.tags.0,
    };
    connection.submit(command, ask, Awaited::Ack)
}

pub(crate) fn nack(
    connection: &mut Connection,
    params: Params<'_>,
    ask: Ask<'_>,
) -> Result<Step, Error> {
    let asked: Nack<'_> = params.read()?;
    let command = Command::Nack {
        consumer: connection.settling(&asked.consumer)?,
        tags: asked.tags.0,
        requeue: asked.requeue,
        delay: Duration::from_millis(asked.delay_ms),
    };
    connection.submit(command, ask, Awaited::Nack)
}

pub(crate) fn extend(
    connection: &mut Connection,
    params: Params<'_>,
    ask: Ask<'_>,
) -> Result<Step, Error> {
    let asked: Extend<'_> = params.read()?;
    let command = Command::Extend {
        consumer: connection.settling(&asked.consumer)?,
        tags: asked.tags.0,
        by: Duration::from_millis(asked.by_ms),
    };
    connection.submit(command, ask, Awaited::Extend)
}

impl Connection {
    fn settling(&self, consumer: &str) -> Result<ConsumerId, Error> {
        self.allow(Action::Settle, Resource::Server)?;
        consumer_id(consumer)
            .filter(|id| self.consumers.has(*id))
            .ok_or_else(|| Error::not_found("consumer", consumer))
    }

    fn submit(&mut self, command: Command, ask: Ask<'_>, awaited: Awaited) -> Result<Step, Error> {
        let completion = self.completion(ask, awaited)?;
        self.gather_batch(Batch::of(command), completion);
        Ok(Step::Later)
    }
}

/// Appends what a batch did, as the verb that submitted it answers.
pub(crate) fn write_receipt(out: &mut Vec<u8>, receipt: &Receipt, awaited: Awaited) {
    let (member, count) = match awaited {
        Awaited::Publish => return write_ids(out, receipt),
        Awaited::Nack => ("nacked", receipt.nacked),
        Awaited::Extend => ("extended", receipt.extended),
        _ => ("acked", receipt.acked),
    };
    write_count(out, member, count);
}

/// Appends `{"member":count}`.
pub(crate) fn write_count(out: &mut Vec<u8>, member: &str, count: u64) {
    out.put_slice(b"{\"");
    out.put_slice(member.as_bytes());
    out.put_slice(b"\":");
    out.put_slice(Integer::from_unsigned(count).as_bytes());
    out.put_u8(b'}');
}

fn write_ids(out: &mut Vec<u8>, receipt: &Receipt) {
    out.put_slice(b"{\"ids\":[");
    for (index, id) in receipt.ids.iter().enumerate() {
        if index > 0 {
            out.put_u8(b',');
        }
        super::deliver::write_message_id(out, *id);
    }
    out.put_u8(b']');
    if let Some(durability) = receipt.durability {
        out.put_slice(b",\"durability\":\"");
        out.put_slice(durability.name().as_bytes());
        out.put_u8(b'"');
    }
    out.put_u8(b'}');
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use serde_json::value::RawValue;
    use trunkline_model::{Durability, MessageId};

    #[test]
    fn a_receipt_names_the_durability_as_it_is_written_everywhere() {
        let id = MessageId {
            topic: 3,
            sequence: 9,
        };
        for durability in [Durability::Commit, Durability::Interval, Durability::Memory] {
            let receipt = Receipt {
                ids: SmallVec::from_iter([id, id]),
                durability: Some(durability),
                ..Receipt::default()
            };
            let mut out = Vec::new();
            write_receipt(&mut out, &receipt, Awaited::Publish);
            let expected = serde_json::json!({"ids": ["3-9", "3-9"], "durability": durability});
            assert_eq!(
                serde_json::from_slice::<serde_json::Value>(&out).unwrap(),
                expected
            );
        }
    }

    /// Publishes, and whether they have the common form.
    const PUBLISHES: &[(bool, &str)] = &[
        (true, r#"{"topic":"t","messages":[{"payload_text":"a"}]}"#),
        (
            true,
            r#" { "messages" : [ { "payload" : { "b" : [ 1.0 ] } } ] , "topic" : "t" } "#,
        ),
        (
            true,
            r#"{"topic":"t","messages":[{"payload":null},{"payload":"é"}]}"#,
        ),
        (
            true,
            r#"{"topic":"größe","messages":[{"payload_text":"\"\\\n\u00e9\ud83d\ude00"}]}"#,
        ),
        (
            true,
            r#"{"topic":"t","messages":[{"payload_text":"","key":"k","group":"g","publish_id":"p","traceparent":"00-1"}]}"#,
        ),
        (
            true,
            r#"{"topic":"t","messages":[{"priority":255,"payload":1,"ttl_ms":0,"delay_ms":18446744073709551615}]}"#,
        ),
        (
            false,
            r#"{"topic":"t","messages":[{"payload_base64":"AA=="}]}"#,
        ),
        (
            false,
            r#"{"topic":"t","messages":[{"payload_text":"a","content_type":"text/html"}]}"#,
        ),
        (
            false,
            r#"{"topic":"t","messages":[{"payload_text":"a","headers":{"a":"b"}}]}"#,
        ),
        (
            false,
            r#"{"topic":"t","messages":[{"payload_text":"a","deliver_at":1,"expires_at":"2026-01-01T00:00:00Z"}]}"#,
        ),
        (
            false,
            r#"{"topic":"t","messages":[{"payload_text":"a","key":null,"priority":null,"ttl_ms":null}]}"#,
        ),
        (
            false,
            r#"{"topic":"t","messages":[{"payload_text":"a","key":"\u0061"}]}"#,
        ),
        (false, r#"{"top\u0069c":"t","messages":[{"payload":1}]}"#),
        (false, r#"{"topic":"t","messages":[]}"#),
        (false, r#"{"topic":"t","messages":[{}]}"#),
        (
            false,
            r#"{"topic":"t","messages":[{"payload":1,"payload_text":"a"}]}"#,
        ),
        (
            false,
            r#"{"topic":"t","messages":[{"payload":1,"payload":1}]}"#,
        ),
        (
            false,
            r#"{"topic":"t","messages":[{"payload":1,"ttl_ms":1,"ttl_ms":1}]}"#,
        ),
        (
            false,
            r#"{"topic":"t","messages":[{"payload":1,"ttl_ms":1,"expires_at":1}]}"#,
        ),
        (
            false,
            r#"{"topic":"t","messages":[{"payload":1,"ttl_ms":-1}]}"#,
        ),
        (
            false,
            r#"{"topic":"t","messages":[{"payload":1,"ttl_ms":1.0}]}"#,
        ),
        (
            false,
            r#"{"topic":"t","messages":[{"payload":1,"priority":256}]}"#,
        ),
        (false, r#"{"topic":"t","messages":[{"payload_text":1}]}"#),
        (
            false,
            r#"{"topic":"t","messages":[{"payload_text":"\ud83d"}]}"#,
        ),
        (
            false,
            r#"{"topic":"t","messages":[{"payload":1,"headrs":{}}]}"#,
        ),
        (
            false,
            r#"{"topic":"t","messages":[{"payload":1}],"messages":[{"payload":1}]}"#,
        ),
        (
            false,
            r#"{"topic":"t","topic":"t","messages":[{"payload":1}]}"#,
        ),
        (false, r#"{"topic":"a b","messages":[{"payload":1}]}"#),
        (false, r#"{"topic":"","messages":[{"payload":1}]}"#),
        (false, r#"{"topic":1,"messages":[{"payload":1}]}"#),
        (false, r#"{"topic":"t","messages":{"payload":1}}"#),
        (false, r#"{"topic":"t","messages":[[]]}"#),
        (false, r#"{"topic":"t"}"#),
        (false, r#"{"messages":[{"payload":1}]}"#),
        (false, r#"["t"]"#),
    ];

    const ACKS: &[(bool, &str)] = &[
        (true, r#"{"consumer":"c1","tags":[1]}"#),
        (
            true,
            r#" { "tags" : [ 1 , 20 , 300 , 4000 , 50000 ] , "consumer" : "c1" } "#,
        ),
        (true, r#"{"consumer":"x","tags":[]}"#),
        (true, r#"{"consumer":"c1","tags":[0,18446744073709551615]}"#),
        (false, r#"{"consumer":"\u0063","tags":[1]}"#),
        (false, r#"{"consumer":"c1","tags":[18446744073709551616]}"#),
        (false, r#"{"consumer":"c1","tags":[-1]}"#),
        (false, r#"{"consumer":"c1","tags":[1.0]}"#),
        (false, r#"{"consumer":"c1","tags":["1"]}"#),
        (false, r#"{"consumer":"c1","tags":[[1]]}"#),
        (false, r#"{"consumer":"c1","tags":1}"#),
        (false, r#"{"consumer":"c1","tags":[1],"tags":[1]}"#),
        (false, r#"{"consumer":"c1","consumer":"c1","tags":[1]}"#),
        (false, r#"{"consumer":1,"tags":[1]}"#),
        (false, r#"{"consumer":"c1"}"#),
        (false, r#"{"tags":[1]}"#),
        (false, r#"{"consumer":"c1","tag":[1]}"#),
        (false, "[]"),
    ];

    /// Every prefix and every small change of `text` that is JSON, and `text` itself.
    fn variants(text: &str) -> Vec<String> {
        let mut variants = vec![text.to_owned()];
        for at in 0..text.len() {
            for damage in b"\"\\{}[]:,0-. eat" {
                let mut bytes = text.as_bytes().to_vec();
                bytes[at] = *damage;
                variants.extend(String::from_utf8(bytes));
            }
        }
        variants.retain(|text| serde_json::from_str::<&RawValue>(text).is_ok());
        variants
    }

    /// Checks that what `scan` takes is what `read` takes.
    fn agree<T: PartialEq + std::fmt::Debug>(
        cases: &[(bool, &str)],
        scan: impl Fn(Params<'_>) -> Option<T>,
        read: impl Fn(Params<'_>) -> Result<T, Error>,
    ) {
        for (is_common, case) in cases {
            for (index, text) in variants(case).iter().enumerate() {
                let frame = Bytes::copy_from_slice(text.as_bytes());
                let raw = serde_json::from_str(text).unwrap();
                let params = Params {
                    raw: Some(raw),
                    frame: crate::dispatch::frame::Frame::Body(&frame),
                };
                let scanned = scan(params);
                if index == 0 {
                    assert_eq!(scanned.is_some(), *is_common, "{text}");
                }
                if scanned.is_some() {
                    assert_eq!(scanned, read(params).ok(), "{text}");
                }
            }
        }
    }

    #[test]
    fn a_publish_is_read_alike_in_both_ways() {
        agree(PUBLISHES, scan_publish, |params| {
            let asked: Publish<'_> = params.read()?;
            Ok((asked.topic, read_messages(asked.messages, params)?))
        });
    }

    #[test]
    fn an_ack_is_read_alike_in_both_ways() {
        let plain = |ack: Ack<'_>| (ack.consumer.to_string(), ack.tags.0);
        agree(
            ACKS,
            |params| scan_ack(params).map(plain),
            |params| params.read().map(plain),
        );
    }
}
