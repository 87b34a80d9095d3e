//! Deliveries on their way to a client, and what else the engine says about subscriptions.

use super::{connection::StompConnection, failure, inbox::Event};
use compact_str::{CompactString, ToCompactString};
use trunkline_model::{Delivery, Error, Headers, MessageId, StoredMessage, Timestamp};
use trunkline_stomp::{Delivery as Outgoing, NotDelivered, SubscriptionNumber};

/// Headers of a message that nobody but the server writes.
const OWN: &str = "trunkline-";

impl StompConnection {
    pub(super) fn event(&mut self, now: Timestamp, event: Event) {
        match event {
            Event::Started(number, result) => {
                let Some(consumer) = self.consumers.get_mut(number) else {
                    return;
                };
                let token = consumer.starting.take();
                if result.is_err() || consumer.leaving {
                    self.consumers.remove(number);
                }
                let result = result.map(|_| ()).map_err(|error| failure::of(&error));
                match (token, result) {
                    (Some(token), result) => self.session.complete(now, token, result),
                    (None, Err(failure)) => self.session.fail(now, failure),
                    (None, Ok(())) => {}
                }
            }
            Event::Deliveries(number, deliveries) => self.deliver(now, number, &deliveries),
            Event::Ended(number, reason) => self.ended(now, number, &reason),
        }
    }

    /// Writes deliveries. Those of a subscription that has ended have returned already.
    fn deliver(&mut self, now: Timestamp, number: SubscriptionNumber, deliveries: &[Delivery]) {
        let Some(consumer) = self.consumers.get(number) else {
            return;
        };
        let mut written = 0;
        for delivery in deliveries {
            let message = &delivery.message;
            let id = message_id(delivery.id);
            let outgoing = Outgoing {
                tag: Some(delivery.tag.0),
                message_id: &id,
                destination: &consumer.destination,
                attempt: delivery.attempt,
                content_type: &message.content_type,
                added: &added(message),
                headers: &message.headers,
                body: &message.payload,
            };
            match self.session.deliver(now, number, &outgoing) {
                Ok(()) => written += 1,
                Err(NotDelivered::Ended) => break,
                Err(error) => {
                    tracing::error!(%error, "a delivery was not written");
                    break;
                }
            }
        }
        consumer
            .handle
            .taken(deliveries.iter().map(Delivery::weight).sum());
        if consumer.auto && written > 0 {
            let id = consumer.id();
            let tags = deliveries.iter().take(written).map(|delivery| delivery.tag);
            self.gather_ack(id, tags);
        }
    }

    /// The engine ended a subscription, which STOMP can't say but by ending the session.
    fn ended(&mut self, now: Timestamp, number: SubscriptionNumber, reason: &Error) {
        let Some(consumer) = self.consumers.remove(number) else {
            return;
        };
        match consumer.starting {
            Some(token) if consumer.leaving => self.session.complete(now, token, Ok(())),
            Some(token) => self.session.complete(now, token, Err(failure::of(reason))),
            None => self.session.fail(now, failure::of(reason)),
        }
    }
}

/// As [`MessageId`] is displayed.
fn message_id(id: MessageId) -> CompactString {
    let mut text = id.topic.to_compact_string();
    text.push('-');
    text.push_str(&id.sequence.to_compact_string());
    text
}

/// What the server says about a message besides what its publisher said.
fn added(message: &StoredMessage) -> Headers {
    let mut added = Headers::new();
    let fields = [
        ("key", &message.key),
        ("group", &message.group),
        ("traceparent", &message.traceparent),
    ];
    for (name, value) in fields {
        if let Some(value) = value
            && message.headers.get(name).is_none()
        {
            added.push(name, value.clone());
        }
    }
    add_own(&mut added, &message.headers);
    added
}

/// Adds the headers that no publisher can write.
pub(super) fn add_own(added: &mut Headers, headers: &Headers) {
    for (name, value) in headers.iter() {
        if name.starts_with(OWN) {
            added.push(name, value);
        }
    }
}
