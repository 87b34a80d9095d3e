use super::subscriptions::{Key, Subscription, delivery_id};
use super::{AckMode, SubscriptionNumber};
use crate::options::is_own;
use crate::{Command, Version, Writer};
use bytes::BytesMut;
use std::fmt;
use trunkline_model::Headers;

/// A message for a subscription, as the shell hands it to
/// [`ServerSession::deliver`](super::ServerSession::deliver).
#[derive(Clone, Copy)]
pub struct Delivery<'a> {
    /// How its ACK names it to the engine: higher than all before on this subscription, from 1.
    /// None if the engine waits for no ACK; the client's is then accepted and means nothing.
    pub tag: Option<u64>,
    /// The message's own identity, which stays the same when it is delivered again; without `:`,
    /// `\` and line breaks.
    pub message_id: &'a str,
    /// Where it was sent to.
    pub destination: &'a str,
    /// Which delivery of it this is, from 1.
    pub attempt: u32,
    /// Its media type; none is left out.
    pub content_type: &'a str,
    /// What the server adds: written before the headers of the publisher, so that it counts.
    pub added: &'a Headers,
    /// The headers of the publisher. Those that the server writes itself are left out.
    pub headers: &'a Headers,
    /// The body.
    pub body: &'a [u8],
}

/// What it is, not what it says.
impl fmt::Debug for Delivery<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Delivery")
            .field("tag", &self.tag)
            .field("message_id", &self.message_id)
            .field("destination", &self.destination)
            .field("attempt", &self.attempt)
            .field("body_bytes", &self.body.len())
            .finish_non_exhaustive()
    }
}

/// Why a delivery was not written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NotDelivered {
    /// The subscription or the session has ended: the delivery returns to where it came from.
    #[error("the subscription has ended")]
    Ended,
    /// [`Effect::Start`](super::Effect::Start) has not come yet.
    #[error("the subscription has not started")]
    NotStarted,
    /// The tag is not higher than the one before.
    #[error("the tag is not higher than the one before")]
    TagNotHigher,
}

/// The message's own identity, where `message-id` names the delivery.
const MESSAGE_ID: &str = "trunkline-message-id";

/// Writes a MESSAGE.
///
/// Up to 1.1 an ACK names the `message-id`, which therefore has to be another one for each
/// delivery. 1.2 has `ack` for that.
pub(crate) fn write(
    out: &mut BytesMut,
    version: Version,
    session: &str,
    number: SubscriptionNumber,
    subscription: &mut Subscription,
    delivery: &Delivery<'_>,
) -> Result<(), NotDelivered> {
    if !subscription.started {
        return Err(NotDelivered::NotStarted);
    }
    let tag = delivery
        .tag
        .unwrap_or(subscription.last_tag.saturating_add(1));
    if tag <= subscription.last_tag {
        return Err(NotDelivered::TagNotHigher);
    }
    subscription.last_tag = tag;
    subscription.settles = delivery.tag.is_some();
    if subscription.ack == AckMode::Client && subscription.settles {
        subscription.outstanding.push(tag);
    }
    let id = delivery_id(session, number, tag);
    let mut frame = Writer::begin(out, Command::Message, Some(version));
    if let Key::Id(id) = &subscription.key {
        frame.header("subscription", id);
    }
    if version < Version::V1_2 {
        frame.header("message-id", &id);
        frame.header(MESSAGE_ID, delivery.message_id);
    } else {
        frame.header("message-id", delivery.message_id);
        if subscription.ack != AckMode::Auto {
            frame.header("ack", &id);
        }
    }
    frame.header("destination", delivery.destination);
    let again = if delivery.attempt > 1 {
        "true"
    } else {
        "false"
    };
    frame.header("redelivered", again);
    frame.number("delivery-count", u64::from(delivery.attempt));
    if !delivery.content_type.is_empty() {
        frame.header("content-type", delivery.content_type);
    }
    for (name, value) in delivery.added.iter() {
        frame.header(name, value);
    }
    for (name, value) in delivery.headers.iter() {
        if !is_own(name) {
            frame.header(name, value);
        }
    }
    frame.body(delivery.body);
    Ok(())
}
