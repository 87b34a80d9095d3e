use super::subscriptions::{Key, Subscription, delivery_id};
use super::{AckMode, SubscriptionNumber};
use crate::options::is_own;
use crate::{Command, Version, Writer};
use bytes::{Bytes, BytesMut};
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

/// Room for the headers of a tail that has few.
const TAIL_HEADERS_BYTES: usize = 128;

/// The header of the message's own identity, where `message-id` names the delivery.
const MESSAGE_ID: &str = "trunkline-message-id:";

impl Delivery<'_> {
    /// What the MESSAGE says from `redelivered` on, which is the same for everybody who gets it in
    /// this version: see [`ServerSession::deliver_tail`](super::ServerSession::deliver_tail).
    #[must_use]
    pub fn tail(&self, version: Version) -> Bytes {
        let mut out = BytesMut::with_capacity(self.body.len() + TAIL_HEADERS_BYTES);
        self.write_tail(Writer::go_on(&mut out, Command::Message, version));
        out.freeze()
    }

    fn write_tail(&self, mut frame: Writer<'_, BytesMut>) {
        match self.attempt {
            1 => frame.lines("redelivered:false\ndelivery-count:1\n"),
            attempt => {
                frame.own("redelivered:", if attempt > 1 { "true" } else { "false" });
                frame.number("delivery-count", u64::from(attempt));
            }
        }
        if !self.content_type.is_empty() {
            frame.own("content-type:", self.content_type);
        }
        for (name, value) in self.added.iter() {
            frame.header(name, value);
        }
        for (name, value) in self.headers.iter() {
            if !is_own(name) {
                frame.header(name, value);
            }
        }
        frame.body(self.body);
    }
}

/// Writes a MESSAGE.
pub(crate) fn write(
    out: &mut BytesMut,
    recipient: &mut Recipient<'_>,
    delivery: &Delivery<'_>,
) -> Result<(), NotDelivered> {
    let tag = recipient.next_tag(delivery.tag)?;
    let frame = recipient.write_head(out, tag, delivery.message_id, delivery.destination);
    delivery.write_tail(frame);
    Ok(())
}

/// Writes a MESSAGE that needs no ACK and whose tail was written before.
pub(crate) fn write_with_tail(
    out: &mut BytesMut,
    recipient: &mut Recipient<'_>,
    message_id: &str,
    destination: &str,
    tail: &[u8],
) -> Result<(), NotDelivered> {
    let tag = recipient.next_tag(None)?;
    let frame = recipient.write_head(out, tag, message_id, destination);
    frame.tail(tail);
    Ok(())
}

/// Who gets a MESSAGE.
pub(crate) struct Recipient<'a> {
    pub(crate) version: Version,
    pub(crate) session: &'a str,
    pub(crate) number: SubscriptionNumber,
    pub(crate) subscription: &'a mut Subscription,
}

impl Recipient<'_> {
    /// Notes a delivery; without a tag of the engine's it gets one of ours.
    fn next_tag(&mut self, tag: Option<u64>) -> Result<u64, NotDelivered> {
        let subscription = &mut *self.subscription;
        if !subscription.started {
            return Err(NotDelivered::NotStarted);
        }
        let settles = tag.is_some();
        let tag = tag.unwrap_or(subscription.last_tag.saturating_add(1));
        if tag <= subscription.last_tag {
            return Err(NotDelivered::TagNotHigher);
        }
        subscription.settles = settles;
        subscription.last_tag = tag;
        if subscription.ack == AckMode::Client && subscription.settles {
            subscription.outstanding.push(tag);
        }
        Ok(tag)
    }

    /// Writes all headers that differ from recipient to recipient.
    ///
    /// Up to 1.1 an ACK names the `message-id`, which therefore has to be another one for each
    /// delivery. 1.2 has `ack` for that.
    fn write_head<'o>(
        &self,
        out: &'o mut BytesMut,
        tag: u64,
        message_id: &str,
        destination: &str,
    ) -> Writer<'o, BytesMut> {
        let id = || delivery_id(self.session, self.number, tag);
        let mut frame = Writer::begin(out, Command::Message, Some(self.version));
        if let Key::Id(id) = &self.subscription.key {
            frame.own("subscription:", id);
        }
        if self.version < Version::V1_2 {
            frame.own("message-id:", &id());
            frame.own(MESSAGE_ID, message_id);
        } else {
            frame.own("message-id:", message_id);
            if self.subscription.ack != AckMode::Auto {
                frame.own("ack:", &id());
            }
        }
        frame.own("destination:", destination);
        frame
    }
}
