//! `rpc.topic.consume`, `.credit`, `.cancel`, and the consumers of a connection.

use super::{
    Connection, Step, error,
    inbox::{ConsumerKey, ConsumerSink},
    params::{Params, consumer_id, credit},
    publish::write_count,
    waiting::{Ask, ReplyTo},
};
use crate::outbox::Outbox;
use bytes::BufMut;
use hashbrown::HashMap;
use serde::Deserialize;
use std::{collections::VecDeque, sync::Arc};
use trunkline_auth::{Action, Resource};
use trunkline_jsonrpc::{Text, encode_notification, encode_result, write_string};
use trunkline_model::{
    ConsumeSpec, ConsumerHandle, ConsumerId, Consuming, Error, Source, StartFrom, SubscriptionName,
    TopicName,
};

/// Credit of a consumer that names none.
const CREDIT: u64 = 100;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Consume {
    topic: TopicName,
    subscription: SubscriptionName,
    credit: Option<u64>,
    from: Option<StartFrom>,
    #[serde(default)]
    auto_ack: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Credit<'a> {
    #[serde(borrow)]
    consumer: Text<'a>,
    credit: u64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Cancel<'a> {
    #[serde(borrow)]
    consumer: Text<'a>,
}

/// The consumers of one connection.
#[derive(Default)]
pub(crate) struct Consumers {
    by_key: HashMap<ConsumerKey, Consumer>,
    by_id: HashMap<ConsumerId, ConsumerKey>,
    last: u64,
    /// Deliveries in the outgoing buffer: whose, how many bytes, and the position in the stream
    /// at which they have left.
    unwritten: VecDeque<(u64, ConsumerKey, u64)>,
    starting: usize,
}

struct Consumer {
    id: ConsumerId,
    handle: Box<dyn ConsumerHandle>,
    /// Who waits for it to begin; absent once it has.
    starting: Option<Option<ReplyTo>>,
}

impl Consumers {
    pub(crate) fn has(&self, id: ConsumerId) -> bool {
        self.by_id.contains_key(&id)
    }

    /// What the consumer is called on the wire; `None` if it is gone.
    pub(crate) fn id(&self, key: ConsumerKey) -> Option<ConsumerId> {
        self.by_key.get(&key).map(|consumer| consumer.id)
    }

    /// Whether a consumer's beginning is still awaited.
    pub(crate) fn is_starting(&self) -> bool {
        self.starting > 0
    }

    /// Notes deliveries that leave when the stream has come to `end`.
    pub(crate) fn note(&mut self, end: u64, key: ConsumerKey, bytes: u64) {
        self.unwritten.push_back((end, key, bytes));
    }

    /// The stream has come to `position`: windows open again.
    pub(crate) fn written(&mut self, position: u64) {
        while let Some((end, key, bytes)) = self.unwritten.front().copied()
            && end <= position
        {
            self.unwritten.pop_front();
            if let Some(consumer) = self.by_key.get(&key) {
                consumer.handle.taken(bytes);
            }
        }
    }

    fn find(&self, name: &str) -> Result<&Consumer, Error> {
        consumer_id(name)
            .and_then(|id| self.by_key.get(self.by_id.get(&id)?))
            .ok_or_else(|| Error::not_found("consumer", name))
    }

    /// Forgets a consumer; dropping what is returned cancels it.
    fn remove(&mut self, key: ConsumerKey) -> Option<Consumer> {
        let consumer = self.by_key.remove(&key)?;
        self.by_id.remove(&consumer.id);
        self.starting -= usize::from(consumer.starting.is_some());
        Some(consumer)
    }
}

pub(crate) fn consume(
    connection: &mut Connection,
    params: Params<'_>,
    ask: Ask<'_>,
) -> Result<Step, Error> {
    let asked: Consume = params.read()?;
    let resource = Resource::Subscription {
        topic: &asked.topic,
        subscription: &asked.subscription,
    };
    connection.allow(Action::Consume, resource)?;
    connection.take_no_new_work()?;
    let limits = &connection.shared.config.limits;
    if connection.consumers.by_key.len() >= limits.max_consumers {
        return Err(error::limit("consumers", limits.max_consumers));
    }
    let spec = ConsumeSpec {
        credit: credit(asked.credit.unwrap_or(CREDIT))?,
        window_bytes: limits.delivery_window_bytes.0,
        auto_ack: asked.auto_ack,
        sources: vec![Source {
            topic: asked.topic,
            subscription: asked.subscription,
            from: asked.from,
        }],
    };
    connection.consumers.last += 1;
    let key = ConsumerKey(connection.consumers.last);
    let inbox = connection.inbox.clone();
    let sink = Arc::new(ConsumerSink { key, inbox });
    // What the sink is given meanwhile waits in the inbox, and so finds the consumer.
    let engine = &connection.shared.services.engine;
    let handle = engine.consume(&connection.caller, spec, sink);
    let id = handle.id();
    let starting = Some(ask.reply_to());
    let consumer = Consumer {
        id,
        handle,
        starting,
    };
    connection.consumers.starting += 1;
    connection.consumers.by_id.insert(id, key);
    connection.consumers.by_key.insert(key, consumer);
    Ok(Step::Later)
}

pub(crate) fn change_credit(
    connection: &mut Connection,
    params: Params<'_>,
    _: Ask<'_>,
) -> Result<Step, Error> {
    let asked: Credit<'_> = params.read()?;
    connection.allow(Action::Settle, Resource::Server)?;
    let consumer = connection.consumers.find(&asked.consumer)?;
    consumer.handle.credit(credit(asked.credit)?);
    Ok(Step::Empty)
}

pub(crate) fn cancel(
    connection: &mut Connection,
    params: Params<'_>,
    _: Ask<'_>,
) -> Result<Step, Error> {
    let asked: Cancel<'_> = params.read()?;
    connection.allow(Action::Settle, Resource::Server)?;
    let id = connection.consumers.find(&asked.consumer)?.id;
    let key = connection.consumers.by_id[&id];
    let mut result = Vec::new();
    if let Some(consumer) = connection.consumers.remove(key) {
        // Deliveries that wait in the inbox return too, and find no consumer there any more.
        write_count(&mut result, "returned", consumer.handle.cancel());
        if let Some(Some(reply)) = consumer.starting {
            let error = Error::new(trunkline_model::ErrorCode::Cancelled, "cancelled");
            connection.late.push((reply, error));
        }
    }
    Ok(Step::Now(result))
}

impl Connection {
    pub(crate) fn consumer_started(
        &mut self,
        key: ConsumerKey,
        result: Result<Consuming, Error>,
        out: &mut Outbox,
    ) {
        let Some(consumer) = self.consumers.by_key.get_mut(&key) else {
            return;
        };
        let Some(reply) = consumer.starting.take() else {
            return;
        };
        self.consumers.starting -= 1;
        let id = consumer.id;
        if result.is_err() {
            self.consumers.remove(key);
        }
        let Some(reply) = reply else { return };
        match result {
            Ok(_) => self
                .answers
                .write(out, reply.id.as_id(), reply.batch, |buffer, answer_id| {
                    let result = format!("{{\"consumer\":\"{id}\"}}");
                    encode_result(buffer, answer_id, result.as_bytes());
                }),
            Err(error) => self.answer_error(&reply, &error, out),
        }
    }

    /// Tells the client that a consumer was ended from below: a notification
    /// `rpc.topic.ended {consumer, error}`.
    pub(crate) fn consumer_ended(&mut self, key: ConsumerKey, reason: &Error, out: &mut Outbox) {
        let Some(consumer) = self.consumers.remove(key) else {
            return;
        };
        if let Some(Some(reply)) = &consumer.starting {
            return self.answer_error(reply, reason, out);
        }
        let mut params = Vec::new();
        params.put_slice(b"{\"consumer\":");
        write_string(&mut params, &consumer.id.to_string());
        params.put_slice(b",\"error\":");
        error::write_object(&mut params, reason);
        params.put_u8(b'}');
        out.frame(|buffer| encode_notification(buffer, "rpc.topic.ended", Some(&params)));
    }
}
