//! `/topic/NAME`: what is heard now.

use super::{
    channels::{Kept, Listener},
    connection::{Step, StompConnection},
    deliver::add_own,
    failure,
};
use crate::{config::SlowListener, encoding::Encoding};
use compact_str::ToCompactString;
use std::sync::Arc;
use trunkline_auth::{Action, Resource};
use trunkline_model::{
    ChannelMessage, ChannelName, Error, ErrorCode, Headers, ListenPolicy, ListenerEvent,
    ListenerQueue, Overrun, Timestamp,
};
use trunkline_stomp::{Delivery, Failure, SubscribeRequest, SubscriptionNumber, Token};

/// Channel messages that are taken from the listener's buffer at once, in bytes.
const TAKEN_AT_ONCE: usize = 64 << 10;

impl StompConnection {
    /// SUBSCRIBE to `/topic/NAME` without a durable name.
    pub(super) fn listen(
        &mut self,
        token: Token,
        request: &SubscribeRequest,
        channel: ChannelName,
    ) -> Result<Step, Failure> {
        self.allow(Action::Listen, Resource::Channel(&channel))?;
        self.begin_listening();
        let names = [channel.clone()];
        let destination = request.destination.clone();
        let added = self
            .channels
            .add(request.subscription, channel, destination, token);
        if added.is_first
            && let Some(listener) = &self.channels.listener
        {
            listener.handle.add(&names, &[]);
        }
        Ok(match added.active {
            true => Step::Done,
            false => Step::Later,
        })
    }

    /// The RECEIPT of a subscription is written: what came before follows.
    pub(super) fn start_listening(&mut self, now: Timestamp, number: SubscriptionNumber) {
        for message in self.channels.start(number) {
            self.write_heard(now, number, &message);
        }
    }

    pub(super) fn stop_listening(&mut self, now: Timestamp, number: SubscriptionNumber) {
        let Some(removed) = self.channels.remove(number) else {
            return;
        };
        if let Some(listener) = &self.channels.listener {
            listener.handle.remove(&[removed.channel], &[]);
        }
        for token in removed.asking {
            self.session.complete(now, token, Ok(()));
        }
    }

    /// Makes the connection a listener, at its first subscription.
    fn begin_listening(&mut self) {
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
        let engine = &self.shared.services.engine;
        let handle = engine.listen(&self.caller, queue.clone(), policy);
        self.channels.listener = Some(Listener { handle, queue });
    }

    /// Writes what was heard, until there is enough output.
    pub(super) fn collect_heard(&mut self, now: Timestamp) {
        while !self.is_full() {
            if let Some(event) = self.channels.taken.pop_front() {
                self.heard(now, event);
                continue;
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

    fn heard(&mut self, now: Timestamp, event: ListenerEvent) {
        match event {
            ListenerEvent::Message { message, .. } => {
                let early_max = self.shared.config.limits.listener_bytes();
                for number in self.channels.members(&message.channel) {
                    match self.channels.keep(number, &message, early_max) {
                        Kept::Not => self.write_heard(now, number, &message),
                        Kept::Waits => {}
                        Kept::Dropped => self.shared.counters.dropped.add(1),
                    }
                }
            }
            ListenerEvent::Active { channels, .. } => {
                for channel in &channels {
                    for token in self.channels.active(channel) {
                        self.session.complete(now, token, Ok(()));
                    }
                }
            }
            // As with all that a SUBSCRIBE is refused, the connection ends with it.
            ListenerEvent::Refused {
                channels, error, ..
            } => {
                for channel in &channels {
                    for token in self.channels.refused(channel) {
                        self.session.complete(now, token, Err(failure::of(&error)));
                    }
                }
            }
            ListenerEvent::Dropped(count) => self.shared.counters.dropped.add(count),
            ListenerEvent::Overrun => {
                let text = "too slow for the topics that are subscribed to; read faster, or subscribe durably";
                let error = Error::new(ErrorCode::Overloaded, text);
                self.session.fail(now, failure::of(&error));
            }
            // STOMP can't say that messages may be missing; they are promised at most once.
            _ => {}
        }
    }

    fn write_heard(
        &mut self,
        now: Timestamp,
        number: SubscriptionNumber,
        message: &ChannelMessage,
    ) {
        let Some(listening) = self.channels.get(number) else {
            return;
        };
        let Some(version) = self.session.version() else {
            return;
        };
        let mut id = self.name.clone();
        id.push_str("-c");
        id.push_str(&(self.channels.heard + 1).to_compact_string());
        let destination = &listening.destination;
        let tail = Encoding::Stomp(version).of(message, || {
            let mut added = Headers::new();
            add_own(&mut added, &message.headers);
            let delivery = Delivery {
                tag: None,
                message_id: &id,
                destination,
                attempt: 1,
                content_type: &message.content_type,
                added: &added,
                headers: &message.headers,
                body: &message.payload,
            };
            delivery.tail(version)
        });
        let session = &mut self.session;
        // A subscription that has ended meanwhile hears nothing more.
        if session
            .deliver_tail(now, number, &id, destination, tail)
            .is_ok()
        {
            self.channels.heard += 1;
        }
    }
}
