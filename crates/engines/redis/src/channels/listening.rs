//! One listener among the subscriptions of the multiplexer.

use super::names::{Name, Names};
use super::once::Once;
use bytes::Bytes;
use hashbrown::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard};
use trunkline_model::{
    ChannelName, ListenHandle, ListenPolicy, ListenerEvent, ListenerGate, ListenerSink, Pattern,
};
use trunkline_mpx::{ChannelSubscription, Event, Multiplexer, PatternSubscription};

/// What hears the events of a listener's subscriptions.
struct Ear {
    gate: Arc<ListenerGate>,
    names: Mutex<Names>,
    once: Arc<Once>,
}

/// A listener: a subscription for all its channels, and one for each pattern. Dropping it ends them.
pub(super) struct Listening {
    ear: Arc<Ear>,
    multiplexer: Multiplexer,
    channels: ChannelSubscription,
    /// Changed with the names locked, so that both tell the same.
    patterns: Mutex<HashMap<Pattern, PatternSubscription>>,
}

impl Listening {
    pub(super) fn new(
        multiplexer: Multiplexer,
        once: Arc<Once>,
        sink: Arc<dyn ListenerSink>,
        policy: ListenPolicy,
    ) -> Self {
        let ear = Arc::new(Ear {
            gate: ListenerGate::new(sink, policy),
            names: Mutex::default(),
            once,
        });
        let hearing = ear.clone();
        Self {
            ear,
            channels: multiplexer.channels(move |event| hearing.hear(event, None)),
            multiplexer,
            patterns: Mutex::default(),
        }
    }

    fn begin(&self, pattern: &Pattern) -> Result<PatternSubscription, trunkline_mpx::Error> {
        let (hearing, through) = (self.ear.clone(), pattern.clone());
        let on = move |event| hearing.hear(event, Some(&through));
        self.multiplexer.pattern(bytes_of(pattern), on)
    }

    fn patterns(&self) -> MutexGuard<'_, HashMap<Pattern, PatternSubscription>> {
        let patterns = self.patterns.lock();
        patterns.expect("no code panics while it holds the patterns")
    }
}

impl ListenHandle for Listening {
    fn add(&self, channels: &[ChannelName], patterns: &[Pattern]) {
        let channels = channels.iter().cloned().map(Name::Channel);
        let patterns = patterns.iter().cloned().map(Name::Pattern);
        let mut wanted: Vec<Name> = channels.chain(patterns).collect();
        let mut names = self.ear.names();
        names.add(&mut wanted);
        let mut added = Vec::new();
        for name in wanted {
            match name {
                Name::Channel(channel) => added.push(bytes_of(&channel)),
                Name::Pattern(pattern) => {
                    let subscription = self.begin(&pattern);
                    let subscription = subscription.expect("a pattern is neither empty nor long");
                    self.patterns().insert(pattern, subscription);
                }
            }
        }
        let done = self.channels.add(added);
        done.expect("a channel's name is not long, and the subscription ends with its owner");
    }

    fn remove(&self, channels: &[ChannelName], patterns: &[Pattern]) {
        let mut names = self.ear.names();
        let gate = &self.ear.gate;
        let mut removed = Vec::new();
        for channel in channels {
            if names.remove(&Name::Channel(channel.clone()), |event| gate.leave(event)) {
                removed.push(bytes_of(channel));
            }
        }
        for pattern in patterns {
            if names.remove(&Name::Pattern(pattern.clone()), |event| gate.leave(event)) {
                self.patterns().remove(pattern);
            }
        }
        let done = self.channels.remove(removed);
        done.expect("the subscription ends with its owner");
        drop(names);
        gate.flush();
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        self.ear.gate.close();
    }
}

impl fmt::Debug for Listening {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Listening").finish_non_exhaustive()
    }
}

impl Ear {
    /// Takes an event of the multiplexer, on its task; `pattern` is the one that the subscription is for.
    fn hear(&self, event: Event, pattern: Option<&Pattern>) {
        let name = |name: &Bytes| match pattern {
            Some(pattern) => Some(Name::Pattern(pattern.clone())),
            None => channel(name).map(Name::Channel),
        };
        let leave = |event| self.gate.leave(event);
        match event {
            Event::Message { channel, payload } => {
                self.names().message(leave);
                // A program that isn't ours may publish under any name, which a pattern may match.
                if let Some(message) = self.once.decode(channel, payload) {
                    let pattern = pattern.cloned();
                    return self.gate.send(ListenerEvent::Message { message, pattern });
                }
            }
            Event::Active { name: active, .. } => {
                if let Some(active) = name(&active) {
                    self.names().active(active, leave);
                }
            }
            Event::Refused {
                name: refused,
                reason,
            } => {
                if let Some(refused) = name(&refused) {
                    self.names().refused(&refused, &reason, leave);
                }
            }
            Event::Lost { .. } => self.names().lost(leave),
            // Shard channels are withdrawn and queues drop; this has neither.
            _ => {}
        }
        self.gate.flush();
    }

    fn names(&self) -> MutexGuard<'_, Names> {
        let names = self.names.lock();
        names.expect("no code panics while it holds the names")
    }
}

fn channel(name: &[u8]) -> Option<ChannelName> {
    str::from_utf8(name).ok()?.parse().ok()
}

fn bytes_of(name: &str) -> Bytes {
    Bytes::copy_from_slice(name.as_bytes())
}
