//! SUBSCRIBE and UNSUBSCRIBE.

use super::frames::{receipt, required};
use super::receipts::{Entry, State};
use super::subscriptions::Key;
use super::{AckMode, Effect, Phase, Refusal, ServerSession, SubscribeRequest, SubscriptionNumber};
use crate::excerpt::excerpt;
use crate::{Frame, OptionError, Version, durable_name};
use compact_str::CompactString;

impl ServerSession {
    pub(super) fn subscribe(&mut self, frame: Frame) -> Result<(), Refusal> {
        let destination = CompactString::new(required(&frame, "destination")?);
        let key = self.key(&frame)?;
        let ack = self.ack_mode(&frame)?;
        let max = self.settings.subscriptions_max;
        if self.subscriptions.len() >= max {
            return Err(Refusal::TooManySubscriptions(max));
        }
        let added = self.subscriptions.add(key.clone(), ack);
        let subscription =
            added.ok_or_else(|| Refusal::DuplicateSubscription(excerpt(key.text())))?;
        let mut entry = Entry::new(State::Pending, receipt(&frame));
        entry.start = Some(subscription);
        let token = self.receipts.push(entry);
        let subscribe = SubscribeRequest {
            subscription,
            id: frame.get("id").map(CompactString::new),
            destination,
            ack,
            headers: frame.headers,
        };
        let subscribe = Box::new(subscribe);
        self.effects
            .push_back(Effect::Subscribe { token, subscribe });
        Ok(())
    }

    /// A subscription that the client didn't ask for by SUBSCRIBE: its MESSAGEs have this id, need
    /// no ACK and may come at once. UNSUBSCRIBE ends it like any other. None if the id is taken,
    /// there are too many, or no frames are exchanged now.
    pub fn open_subscription(&mut self, id: &str) -> Option<SubscriptionNumber> {
        let max = self.settings.subscriptions_max;
        if self.phase != Phase::Open || self.subscriptions.len() >= max {
            return None;
        }
        let number = self.subscriptions.add(Key::Id(id.into()), AckMode::Auto)?;
        self.subscriptions.get_mut(number)?.started = true;
        Some(number)
    }

    /// Ends such a subscription.
    pub fn close_subscription(&mut self, number: SubscriptionNumber) {
        self.subscriptions.remove_number(number);
    }

    fn ack_mode(&self, frame: &Frame) -> Result<AckMode, Refusal> {
        let Some(text) = frame.get("ack") else {
            return Ok(AckMode::Auto);
        };
        let old = self.version == Some(Version::V1_0);
        match AckMode::parse(text) {
            Some(mode) if mode != AckMode::ClientIndividual || !old => Ok(mode),
            _ => Err(Refusal::Option(OptionError::Value {
                name: "ack",
                value: excerpt(text),
                expected: match old {
                    true => "auto or client",
                    false => "auto, client or client-individual",
                },
            })),
        }
    }

    /// The subscription may be delivered to, unless it has ended meanwhile.
    pub(super) fn start(&mut self, number: SubscriptionNumber) {
        if let Some(subscription) = self.subscriptions.get_mut(number) {
            subscription.started = true;
            self.effects.push_back(Effect::Start(number));
        }
    }

    pub(super) fn unsubscribe(&mut self, frame: Frame) -> Result<(), Refusal> {
        let key = self.key(&frame)?;
        let subscription = self.subscriptions.remove(&key);
        // A durable subscription can be deleted without having been taken up before.
        let durable = || matches!(durable_name(&frame.headers, None), Ok(Some(_)));
        if subscription.is_none() && !durable() {
            return Err(Refusal::UnknownSubscription(excerpt(key.text())));
        }
        let token = self.pending(receipt(&frame));
        self.effects.push_back(Effect::Unsubscribe {
            token,
            subscription,
            headers: frame.headers,
        });
        Ok(())
    }

    /// How the client names a subscription: by its `id`, and in 1.0 without one by its
    /// destination.
    fn key(&self, frame: &Frame) -> Result<Key, Refusal> {
        Ok(match (frame.get("id"), self.version) {
            (None, Some(Version::V1_0)) => {
                Key::Destination(self.name(frame, "destination")?.into())
            }
            _ => Key::Id(self.name(frame, "id")?.into()),
        })
    }
}
