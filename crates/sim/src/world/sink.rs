use std::sync::{Arc, Mutex, PoisonError};
use trunkline_model::{ConsumerHandle, Consuming, Delivery, DeliverySink, Error};

/// What a consumer is told.
#[derive(Debug)]
pub(crate) enum Told {
    Deliveries(Vec<Delivery>),
    /// It ended, or didn't even begin.
    Ended(Error),
}

/// What all consumers were told and nobody looked at yet, in the order in which it came.
#[derive(Debug, Default)]
pub(crate) struct Inbox(Mutex<Vec<(u8, Told)>>);

impl Inbox {
    pub(crate) fn take(&self) -> Vec<(u8, Told)> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn put(&self, slot: u8, told: Told) {
        let mut told_so_far = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        told_so_far.push((slot, told));
    }
}

#[derive(Debug)]
pub(crate) struct Sink {
    pub(crate) slot: u8,
    pub(crate) inbox: Arc<Inbox>,
}

impl DeliverySink for Sink {
    fn started(&self, result: Result<Consuming, Error>) {
        if let Err(error) = result {
            self.inbox.put(self.slot, Told::Ended(error));
        }
    }

    fn deliver(&self, deliveries: Vec<Delivery>) {
        self.inbox.put(self.slot, Told::Deliveries(deliveries));
    }

    fn ended(&self, reason: Error) {
        self.inbox.put(self.slot, Told::Ended(reason));
    }
}

/// A consumer.
pub(crate) struct Taker {
    pub(crate) handle: Box<dyn ConsumerHandle>,
}
