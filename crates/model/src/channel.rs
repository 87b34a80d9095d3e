use crate::{ChannelName, Error, Headers, Mailbox, Pattern, Wake};
use bytes::Bytes;
use compact_str::CompactString;
use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, OnceLock},
};

/// Encodings of a channel message that can be kept with it.
pub const ENCODINGS_MAX: usize = 4;

/// A message on a channel: whoever listens now gets it, at most once.
#[derive(Debug)]
pub struct ChannelMessage {
    /// The channel.
    pub channel: ChannelName,
    /// The body.
    pub payload: Bytes,
    /// Media type of the body; empty if the engine doesn't carry it.
    pub content_type: CompactString,
    /// User headers; none if the engine doesn't carry them.
    pub headers: Headers,
    /// Room for the fronts' encodings of this message, so that a thousand listeners share one. Who
    /// has which place is theirs to agree on.
    pub encodings: [OnceLock<Bytes>; ENCODINGS_MAX],
    weight: usize,
}

impl ChannelMessage {
    /// A message that no front has encoded yet.
    pub fn new(channel: ChannelName, payload: Bytes, content_type: CompactString) -> Self {
        Self {
            weight: payload.len() + channel.as_str().len() + 64,
            channel,
            payload,
            content_type,
            headers: Headers::new(),
            encodings: [const { OnceLock::new() }; ENCODINGS_MAX],
        }
    }

    /// The same with headers.
    #[must_use]
    pub fn with_headers(mut self, headers: Headers) -> Self {
        let added = headers.iter();
        let added = added.map(|(name, value)| name.len() + value.len());
        self.weight += added.sum::<usize>();
        self.headers = headers;
        self
    }

    /// Bytes that it takes in a buffer.
    pub fn weight(&self) -> usize {
        self.weight
    }
}

/// What a listener hears, in this order per name: active, messages, lost, active again.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum ListenerEvent {
    /// These channels and patterns are now listened to (again).
    Active {
        /// Channels.
        channels: Vec<ChannelName>,
        /// Patterns.
        patterns: Vec<Pattern>,
    },
    /// A message; `pattern` is the one that matched, for a pattern listener.
    Message {
        /// The message, shared by all listeners.
        message: Arc<ChannelMessage>,
        /// The pattern, if it came through one.
        pattern: Option<Pattern>,
    },
    /// So many messages were dropped here because the listener was too slow.
    Dropped(u64),
    /// The engine lost its connection: messages may be missed until the next `Active`.
    /// Comes after every message that was already received.
    Lost,
    /// What lies under the engine refuses these: nothing will be heard of them, unless that
    /// changes and `Active` says so.
    Refused {
        /// Channels.
        channels: Vec<ChannelName>,
        /// Patterns.
        patterns: Vec<Pattern>,
        /// Why, and what to do.
        error: Error,
    },
    /// The listener was too slow and its policy is to end then; nothing follows.
    Overrun,
}

/// What happens to a listener that is too slow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Overrun {
    /// The oldest messages are dropped and counted.
    DropOldest,
    /// Listening ends.
    Disconnect,
}

/// The bound of a listener's buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ListenPolicy {
    /// Most bytes in the buffer, by [`ChannelMessage::weight`].
    pub max_bytes: usize,
    /// What happens beyond.
    pub overrun: Overrun,
}

impl Default for ListenPolicy {
    /// 4 MiB, then the oldest are dropped.
    fn default() -> Self {
        Self {
            max_bytes: 4 << 20,
            overrun: Overrun::DropOldest,
        }
    }
}

/// Receives a listener's events: in order, from one thread at a time. It must not block,
/// and bounds what it keeps by itself ([`ListenerQueue`] is that bound, ready-made).
pub trait ListenerSink: Send + Sync {
    /// Takes one event.
    fn event(&self, event: ListenerEvent);
}

/// Changes what a listener hears; dropping it ends listening.
pub trait ListenHandle: Send + Sync {
    /// Adds names; those already there are skipped. [`ListenerEvent::Active`] says when.
    fn add(&self, channels: &[ChannelName], patterns: &[Pattern]);

    /// Removes names; unknown ones are skipped. Messages already received may still come.
    fn remove(&self, channels: &[ChannelName], patterns: &[Pattern]);
}

#[derive(Debug, Default)]
struct Held {
    events: VecDeque<ListenerEvent>,
    bytes: usize,
    dropped: u64,
    overrun: bool,
}

/// A bounded buffer of listener events with one wake-up.
#[derive(Debug)]
pub struct ListenerQueue {
    held: Mutex<Held>,
    policy: ListenPolicy,
    wake: Wake,
}

impl ListenerQueue {
    /// An empty queue that wakes `wake`.
    pub fn new(policy: ListenPolicy, wake: Wake) -> Self {
        Self {
            held: Mutex::default(),
            policy,
            wake,
        }
    }

    /// Takes events in order, at most `max_bytes` of messages (but at least one event, if
    /// there is any); true if there are more.
    pub fn take(&self, max_bytes: usize, into: &mut Vec<ListenerEvent>) -> bool {
        let mut held = self.lock();
        if held.dropped > 0 {
            into.push(ListenerEvent::Dropped(std::mem::take(&mut held.dropped)));
        }
        let mut taken = 0;
        while taken < max_bytes
            && let Some(event) = held.events.pop_front()
        {
            let weight = weight(&event);
            taken += weight;
            held.bytes -= weight;
            into.push(event);
        }
        !held.events.is_empty()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Held> {
        self.held
            .lock()
            .expect("no code panics while it holds a listener queue")
    }
}

impl ListenerSink for ListenerQueue {
    fn event(&self, event: ListenerEvent) {
        let mut held = self.lock();
        if held.overrun {
            return;
        }
        let was_empty = held.events.is_empty() && held.dropped == 0;
        let weight = weight(&event);
        if held.bytes + weight > self.policy.max_bytes && weight > 0 {
            match self.policy.overrun {
                Overrun::DropOldest => drop_oldest(&mut held, self.policy.max_bytes, weight),
                Overrun::Disconnect => {
                    held.overrun = true;
                    held.events.clear();
                    held.bytes = 0;
                }
            }
        }
        if held.overrun {
            held.events.push_back(ListenerEvent::Overrun);
        } else {
            held.bytes += weight;
            held.events.push_back(event);
        }
        drop(held);
        if was_empty {
            self.wake.wake();
        }
    }
}

/// Makes room for `weight` more bytes; events other than messages stay where they are.
fn drop_oldest(held: &mut Held, max_bytes: usize, weight: usize) {
    let (mut bytes, mut dropped) = (held.bytes, 0);
    held.events.retain(|event| {
        let this = self::weight(event);
        let drop = this > 0 && bytes + weight > max_bytes && bytes > 0;
        if drop {
            bytes -= this;
            dropped += 1;
        }
        !drop
    });
    held.bytes = bytes;
    held.dropped += dropped;
}

fn weight(event: &ListenerEvent) -> usize {
    match event {
        ListenerEvent::Message { message, .. } => message.weight(),
        _ => 0,
    }
}

/// A mailbox can be a sink where something else bounds it, in tests for instance.
impl ListenerSink for Mailbox<ListenerEvent> {
    fn event(&self, event: ListenerEvent) {
        self.push(event);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(text: &str) -> ListenerEvent {
        let channel = ChannelName::new("c").unwrap();
        let payload = Bytes::copy_from_slice(text.as_bytes());
        let message = ChannelMessage::new(channel, payload, "text/plain".into());
        ListenerEvent::Message {
            message: Arc::new(message),
            pattern: None,
        }
    }

    fn texts(queue: &ListenerQueue) -> Vec<String> {
        let mut events = Vec::new();
        queue.take(usize::MAX, &mut events);
        let text = |event: &ListenerEvent| match event {
            ListenerEvent::Message { message, .. } => {
                String::from_utf8_lossy(&message.payload).into_owned()
            }
            other => format!("{other:?}"),
        };
        events.iter().map(text).collect()
    }

    #[test]
    fn drops_the_oldest_and_counts() {
        let policy = ListenPolicy {
            max_bytes: 2 * 66,
            overrun: Overrun::DropOldest,
        };
        let queue = ListenerQueue::new(policy, Wake::new());
        for text in ["1", "2"] {
            queue.event(message(text));
        }
        queue.event(ListenerEvent::Lost);
        for text in ["3", "4", "5"] {
            queue.event(message(text));
        }
        assert_eq!(texts(&queue), ["Dropped(3)", "Lost", "4", "5"]);
        queue.event(message("6"));
        assert_eq!(texts(&queue), ["6"]);
    }

    #[test]
    fn ends_when_told_to_disconnect() {
        let policy = ListenPolicy {
            max_bytes: 100,
            overrun: Overrun::Disconnect,
        };
        let queue = ListenerQueue::new(policy, Wake::new());
        for text in ["1", "2", "3"] {
            queue.event(message(text));
        }
        assert_eq!(texts(&queue), ["Overrun"]);
        queue.event(message("4"));
        assert_eq!(texts(&queue), [""; 0]);
    }

    #[test]
    fn takes_in_portions() {
        let queue = ListenerQueue::new(ListenPolicy::default(), Wake::new());
        for text in ["1", "2", "3"] {
            queue.event(message(text));
        }
        let mut events = Vec::new();
        assert!(queue.take(1, &mut events));
        assert_eq!(events.len(), 1);
        assert!(!queue.take(usize::MAX, &mut events));
        assert_eq!(events.len(), 3);
    }
}
