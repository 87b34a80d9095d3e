use std::sync::Arc;
use trunkline_model::{
    CallSink, Consuming, Delivery, DeliverySink, DispatchId, Error, IncomingCall, Mailbox,
};

/// What others have for a connection, besides completions and channel events.
#[derive(Debug)]
pub(crate) enum Event {
    /// A consumer began, or failed to.
    Started(ConsumerKey, Result<Consuming, Error>),
    /// A consumer has deliveries.
    Deliveries(ConsumerKey, Vec<Delivery>),
    /// The engine ended a consumer.
    ConsumerEnded(ConsumerKey, Error),
    /// A worker has calls to run.
    Calls(WorkerKey, Vec<IncomingCall>),
    /// The caller of a running call no longer waits.
    CallCancelled(DispatchId),
    /// A worker was ended from below.
    WorkerEnded(WorkerKey, Error),
}

/// A consumer of a connection, from before the engine has named it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct ConsumerKey(pub(crate) u64);

/// A worker of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct WorkerKey(pub(crate) u64);

/// A consumer's end of the inbox. Its bound is the consumer's credit and window.
#[derive(Debug)]
pub(crate) struct ConsumerSink {
    pub(crate) key: ConsumerKey,
    pub(crate) inbox: Arc<Mailbox<Event>>,
}

impl DeliverySink for ConsumerSink {
    fn started(&self, result: Result<Consuming, Error>) {
        self.inbox.push(Event::Started(self.key, result));
    }

    fn deliver(&self, deliveries: Vec<Delivery>) {
        self.inbox.push(Event::Deliveries(self.key, deliveries));
    }

    fn ended(&self, reason: Error) {
        self.inbox.push(Event::ConsumerEnded(self.key, reason));
    }
}

/// A worker's end of the inbox. Its bound is the worker's concurrency.
#[derive(Debug)]
pub(crate) struct WorkerSink {
    pub(crate) key: WorkerKey,
    pub(crate) inbox: Arc<Mailbox<Event>>,
}

impl CallSink for WorkerSink {
    fn calls(&self, calls: Vec<IncomingCall>) {
        self.inbox.push(Event::Calls(self.key, calls));
    }

    fn cancelled(&self, dispatch: DispatchId) {
        self.inbox.push(Event::CallCancelled(dispatch));
    }

    fn ended(&self, reason: Error) {
        self.inbox.push(Event::WorkerEnded(self.key, reason));
    }
}
