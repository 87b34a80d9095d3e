use std::sync::{Mutex, MutexGuard, PoisonError};
use trunkline_model::{ConsumerHandle, Consuming, Delivery, DeliverySink, Error};

/// What a consumer was given and nobody looked at yet.
#[derive(Debug, Default)]
pub(crate) struct Given {
    pub(crate) deliveries: Vec<Delivery>,
    /// How it began, if it didn't.
    pub(crate) refused: Option<Error>,
    pub(crate) ended: Option<Error>,
}

#[derive(Debug, Default)]
pub(crate) struct Sink(Mutex<Given>);

impl Sink {
    fn given(&self) -> MutexGuard<'_, Given> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn take(&self) -> Given {
        std::mem::take(&mut *self.given())
    }
}

impl DeliverySink for Sink {
    fn started(&self, result: Result<Consuming, Error>) {
        self.given().refused = result.err();
    }

    fn deliver(&self, deliveries: Vec<Delivery>) {
        self.given().deliveries.extend(deliveries);
    }

    fn ended(&self, reason: Error) {
        self.given().ended = Some(reason);
    }
}

/// A consumer.
pub(crate) struct Taker {
    pub(crate) sink: std::sync::Arc<Sink>,
    pub(crate) handle: Box<dyn ConsumerHandle>,
}
