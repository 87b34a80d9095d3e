//! `rpc.topic.publish`, and settling: `.ack`, `.nack`, `.extend`.

use super::{
    Connection, Step, error,
    message::MessageParams,
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

pub(crate) fn publish(
    connection: &mut Connection,
    params: Params<'_>,
    ask: Ask<'_>,
) -> Result<Step, Error> {
    let asked: Publish<'_> = params.read()?;
    connection.allow(Action::Publish, Resource::Topic(&asked.topic))?;
    connection.take_no_new_work()?;
    if asked.messages.is_empty() {
        return Err(error::param("/messages", "must have at least one message"));
    }
    let messages: SmallVec<[Message; 1]> = asked
        .messages
        .into_iter()
        .enumerate()
        .map(|(index, message)| message.read(params, &|| format!("/messages/{index}")))
        .collect::<Result<_, _>>()?;
    let command = Command::Publish {
        topic: asked.topic,
        messages,
    };
    connection.submit(command, ask, Awaited::Publish)
}

pub(crate) fn ack(
    connection: &mut Connection,
    params: Params<'_>,
    ask: Ask<'_>,
) -> Result<Step, Error> {
    let asked: Ack<'_> = params.read()?;
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
        self.shared
            .services
            .engine
            .submit(&self.caller, Batch::of(command), completion);
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
    out.put_slice(Integer::from_unsigned(count).as_str().as_bytes());
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
    out.put_slice(b"]}");
}
