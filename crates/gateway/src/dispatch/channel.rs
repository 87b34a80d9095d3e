//! Channels: `rpc.channel.publish`, `.subscribe`, `.unsubscribe`, and what a listener is sent.

use super::{
    Connection, Step, error,
    listening::Listening,
    message::kept,
    params::Params,
    waiting::{Ask, Awaited, ReplyTo},
};
use crate::{config::SlowListener, encoding::Encoding, outbox::Outbox, shared::Shared};
use bytes::{BufMut, Bytes};
use compact_str::CompactString;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use std::{collections::VecDeque, sync::Arc};
use trunkline_auth::{Action, Resource};
use trunkline_jsonrpc::{
    PayloadMembers, Text, encode_notification, encode_result, present, write_payload, write_string,
};
use trunkline_model::{
    Caller, ChannelMessage, ChannelName, Error, ListenHandle, ListenPolicy, ListenerEvent,
    ListenerQueue, ListenerSink, Overrun, Pattern,
};

/// Channel messages that are taken from the listener's buffer at once, in bytes.
const TAKEN_AT_ONCE: usize = 64 << 10;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Publish<'a> {
    channel: ChannelName,
    #[serde(default, borrow, deserialize_with = "present")]
    payload: Option<&'a RawValue>,
    #[serde(default, borrow)]
    payload_text: Option<Text<'a>>,
    #[serde(default, borrow)]
    payload_base64: Option<Text<'a>>,
    #[serde(default, borrow)]
    content_type: Option<Text<'a>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Names {
    #[serde(default)]
    channels: Vec<ChannelName>,
    #[serde(default)]
    patterns: Vec<Pattern>,
}

#[derive(Serialize)]
struct Status<'a> {
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    channels: &'a [ChannelName],
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    patterns: &'a [Pattern],
    state: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    gap_ms: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    dropped: Option<u64>,
}

impl<'a> Status<'a> {
    fn new(state: &'a str, channels: &'a [ChannelName], patterns: &'a [Pattern]) -> Self {
        Self {
            channels,
            patterns,
            state,
            gap_ms: None,
            dropped: None,
        }
    }

    fn push(&self, out: &mut Outbox) {
        let params = serde_json::to_vec(self).expect("a status is JSON");
        out.frame(|buffer| encode_notification(buffer, "rpc.channel.status", Some(&params)));
    }
}

/// The channels of one connection.
pub(crate) struct Channels {
    listener: Option<Listener>,
    pub(crate) listening: Listening<Option<ReplyTo>>,
    taken: VecDeque<ListenerEvent>,
    /// The listener was too slow, and is to be disconnected for that.
    pub(crate) overrun: bool,
}

struct Listener {
    handle: Box<dyn ListenHandle>,
    queue: Arc<ListenerQueue>,
}

impl Default for Channels {
    fn default() -> Self {
        Self {
            listener: None,
            listening: Listening::new(),
            taken: VecDeque::new(),
            overrun: false,
        }
    }
}

/// Keeps back what a pattern matches but the caller may not hear, before it takes any room.
struct Allowed {
    shared: Arc<Shared>,
    caller: Arc<Caller>,
    queue: Arc<ListenerQueue>,
}

impl ListenerSink for Allowed {
    fn event(&self, event: ListenerEvent) {
        if let ListenerEvent::Message { message, pattern } = &event
            && pattern.is_some()
            && message.channel.is_reserved()
        {
            let access = &self.shared.services.access;
            let resource = Resource::Channel(&message.channel);
            if access
                .check(&self.caller, Action::Listen, resource)
                .is_err()
            {
                return;
            }
        }
        self.queue.event(event);
    }
}

pub(crate) fn publish(
    connection: &mut Connection,
    params: Params<'_>,
    ask: Ask<'_>,
) -> Result<Step, Error> {
    let asked: Publish<'_> = params.read()?;
    connection.allow(Action::Publish, Resource::Channel(&asked.channel))?;
    connection.take_no_new_work()?;
    let members = PayloadMembers {
        payload: asked.payload,
        payload_text: asked.payload_text,
        payload_base64: asked.payload_base64,
        content_type: asked.content_type,
    };
    let payload = members
        .read()
        .map_err(|problem| error::params(problem.at("")))?;
    let content_type = CompactString::new(&payload.content_type);
    let message = ChannelMessage::new(asked.channel, kept(payload, params), content_type);
    let completion = connection.completion(ask, Awaited::Engine)?;
    connection
        .shared
        .services
        .engine
        .publish_channel(&connection.caller, message, completion);
    Ok(Step::Later)
}

pub(crate) fn subscribe(
    connection: &mut Connection,
    params: Params<'_>,
    ask: Ask<'_>,
) -> Result<Step, Error> {
    let Names { channels, patterns } = names(params)?;
    for channel in &channels {
        connection.allow(Action::Listen, Resource::Channel(channel))?;
    }
    for pattern in &patterns {
        connection.allow(Action::Listen, Resource::Pattern(pattern))?;
    }
    connection.take_no_new_work()?;
    let max = connection.shared.config.limits.max_listening;
    let listening = &connection.channels.listening;
    if listening.len_with(&channels, &patterns) > max || listening.asking() >= max {
        return Err(error::limit("channels and patterns", max));
    }
    connection.listen();
    let Connection { channels: held, .. } = connection;
    held.listening
        .ask(ask.reply_to(), channels.clone(), patterns.clone());
    if let Some(listener) = &held.listener {
        listener.handle.add(&channels, &patterns);
    }
    Ok(Step::Later)
}

pub(crate) fn unsubscribe(
    connection: &mut Connection,
    params: Params<'_>,
    _: Ask<'_>,
) -> Result<Step, Error> {
    let Names { channels, patterns } = names(params)?;
    connection.allow(Action::Listen, Resource::Server)?;
    let held = &mut connection.channels;
    held.listening.drop_names(&channels, &patterns);
    if let Some(listener) = &held.listener {
        listener.handle.remove(&channels, &patterns);
    }
    let mut result = Vec::new();
    write_in_effect(&mut result, &held.listening);
    Ok(Step::Now(result))
}

fn names(params: Params<'_>) -> Result<Names, Error> {
    let names: Names = params.read()?;
    if names.channels.is_empty() && names.patterns.is_empty() {
        let text = "\"channels\" or \"patterns\" must name at least one";
        return Err(error::param("", text));
    }
    Ok(names)
}

impl Connection {
    /// Makes the connection a listener, at its first subscription.
    fn listen(&mut self) {
        if self.channels.listener.is_some() {
            return;
        }
        let config = &self.shared.config;
        let policy = ListenPolicy {
            max_bytes: config.limits.listener_bytes(),
            overrun: match config.slow_listener {
                SlowListener::DropOldest => Overrun::DropOldest,
                SlowListener::Disconnect => Overrun::Disconnect,
            },
        };
        let queue = Arc::new(ListenerQueue::new(policy, self.wake.clone()));
        let sink = Arc::new(Allowed {
            shared: self.shared.clone(),
            caller: self.caller.clone(),
            queue: queue.clone(),
        });
        let engine = &self.shared.services.engine;
        let handle = engine.listen(&self.caller, sink, policy);
        self.channels.listener = Some(Listener { handle, queue });
    }

    /// Sends what was heard, until the outgoing buffer is full.
    pub(crate) fn collect_heard(&mut self, out: &mut Outbox) {
        // Subscriptions to what is active already are answered without an event.
        self.answer_subscribers(out);
        loop {
            while !out.is_full()
                && let Some(event) = self.channels.taken.pop_front()
            {
                self.heard(event, out);
            }
            if out.is_full() {
                return;
            }
            let Some(listener) = &self.channels.listener else {
                return;
            };
            let mut events = Vec::new();
            listener.queue.take(TAKEN_AT_ONCE, &mut events);
            if events.is_empty() {
                return;
            }
            self.channels.taken.extend(events);
        }
    }

    fn heard(&mut self, event: ListenerEvent, out: &mut Outbox) {
        let now = self.shared.services.clock.now();
        let listening = &mut self.channels.listening;
        match event {
            ListenerEvent::Message { message, pattern }
                if listening.wants(&message.channel, pattern.as_ref()) =>
            {
                out.frame(|buffer| write_message(buffer, &message, pattern.as_ref()));
            }
            ListenerEvent::Active { channels, patterns } => {
                let regained = listening.active(now, &channels, &patterns);
                self.answer_subscribers(out);
                if let Some(regained) = regained {
                    let gap_ms = u64::try_from(regained.gap.as_millis()).ok();
                    let mut status = Status::new("active", &regained.channels, &regained.patterns);
                    status.gap_ms = gap_ms;
                    status.push(out);
                }
            }
            ListenerEvent::Lost => {
                let (channels, patterns) = listening.lost(now);
                Status::new("lost", &channels, &patterns).push(out);
            }
            ListenerEvent::Refused {
                channels,
                patterns,
                error,
            } => self.refused(&channels, &patterns, &error, out),
            ListenerEvent::Dropped(count) => {
                self.shared.counters.dropped.add(count);
                let mut status = Status::new("active", &[], &[]);
                status.dropped = Some(count);
                status.push(out);
            }
            ListenerEvent::Overrun => self.channels.overrun = true,
            _ => {}
        }
    }

    /// What was asked for can't be listened to.
    fn refused(
        &mut self,
        channels: &[ChannelName],
        patterns: &[Pattern],
        error: &Error,
        out: &mut Outbox,
    ) {
        let (who, given_up) = self.channels.listening.refused(channels, patterns);
        if let Some(listener) = &self.channels.listener {
            listener
                .handle
                .remove(&given_up.channels, &given_up.patterns);
        }
        for reply in who.into_iter().flatten() {
            self.answers
                .write(out, reply.id.as_id(), reply.batch, |buffer, id| {
                    error::write(buffer, id, error);
                });
        }
        // Others may have waited for what is not wanted any more.
        self.answer_subscribers(out);
    }

    fn answer_subscribers(&mut self, out: &mut Outbox) {
        if !self.channels.listening.is_asking() {
            return;
        }
        for reply in self.channels.listening.answered().into_iter().flatten() {
            let mut result = Vec::new();
            write_in_effect(&mut result, &self.channels.listening);
            self.answers
                .write(out, reply.id.as_id(), reply.batch, |buffer, id| {
                    encode_result(buffer, id, &result);
                });
        }
    }
}

fn write_in_effect<R>(out: &mut Vec<u8>, listening: &Listening<R>) {
    let (channels, patterns) = listening.in_effect();
    let names = serde_json::json!({"channels": channels, "patterns": patterns});
    serde_json::to_writer(out, &names).expect("names are JSON");
}

/// Appends `rpc.channel.message`. What all listeners are sent alike is encoded once, by whoever
/// comes first, and kept with the message.
fn write_message(out: &mut Vec<u8>, message: &ChannelMessage, pattern: Option<&Pattern>) {
    let shared = Encoding::JsonRpc.of(message, || {
        let mut members = Vec::with_capacity(message.weight() + 64);
        members.put_slice(b"\"channel\":");
        write_string(&mut members, &message.channel);
        members.put_u8(b',');
        write_payload(&mut members, &message.payload, &message.content_type);
        Bytes::from(members)
    });
    out.put_slice(b"{\"jsonrpc\":\"2.0\",\"method\":\"rpc.channel.message\",\"params\":{");
    if let Some(pattern) = pattern {
        out.put_slice(b"\"pattern\":");
        write_string(out, pattern);
        out.put_u8(b',');
    }
    out.put_slice(shared);
    out.put_slice(b"}}");
}
