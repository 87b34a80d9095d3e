use std::sync::Arc;
use trunkline_model::{Consuming, Delivery, DeliverySink, Error, Mailbox};
use trunkline_stomp::SubscriptionNumber;

/// What the engine has for a subscription.
#[derive(Debug)]
pub(super) enum Event {
    /// Its consumer began, or failed to.
    Started(SubscriptionNumber, Result<Consuming, Error>),
    /// Its consumer has deliveries.
    Deliveries(SubscriptionNumber, Vec<Delivery>),
    /// The engine ended its consumer.
    Ended(SubscriptionNumber, Error),
}

/// A consumer's end of the inbox. Its bound is the consumer's credit and window.
#[derive(Debug)]
pub(super) struct Sink {
    pub(super) number: SubscriptionNumber,
    pub(super) inbox: Arc<Mailbox<Event>>,
}

impl DeliverySink for Sink {
    fn started(&self, result: Result<Consuming, Error>) {
        self.inbox.push(Event::Started(self.number, result));
    }

    fn deliver(&self, deliveries: Vec<Delivery>) {
        self.inbox.push(Event::Deliveries(self.number, deliveries));
    }

    fn ended(&self, reason: Error) {
        self.inbox.push(Event::Ended(self.number, reason));
    }
}
