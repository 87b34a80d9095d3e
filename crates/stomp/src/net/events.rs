use crate::{ClientError, OperationId, Version};
use compact_str::CompactString;
use tokio::sync::broadcast;

/// Events that wait for a slow listener; the oldest beyond that are missed.
const WAITING_MAX: usize = 256;

/// What happens to a client beside its operations.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// A connection is made and CONNECT is sent.
    Connected,
    /// The server has accepted the login.
    Ready {
        /// The version that was agreed.
        version: Version,
        /// The server's name for the session; may be empty.
        session: CompactString,
    },
    /// Something happened to the connection, or an operation failed for which nobody waits.
    Error(ClientError),
    /// A subscription went away with the connection. Its stream tells it as well, and ends.
    SubscriptionLost {
        /// The operation of its SUBSCRIBE.
        subscription: OperationId,
        /// Its `id`.
        id: CompactString,
        /// Why.
        error: ClientError,
    },
    /// The connection is no more.
    Disconnected,
    /// Something happened to the connection with a node of a cluster. What its connection and its
    /// login mean to every client is told by [`Connected`](Self::Connected),
    /// [`Ready`](Self::Ready) and [`Disconnected`](Self::Disconnected) after it; its errors are told
    /// here only.
    Node {
        /// Its host.
        host: String,
        /// Its port.
        port: u16,
        /// What.
        event: NodeEvent,
    },
    /// A subscription of a cluster went away with its node, and will be made again at the next
    /// one. Messages that were not acknowledged may come again.
    SubscriptionInterrupted {
        /// The operation of its SUBSCRIBE.
        subscription: OperationId,
        /// Its `id`.
        id: CompactString,
        /// Why.
        error: ClientError,
    },
    /// A subscription of a cluster was made again.
    Resubscribed {
        /// The operation of its SUBSCRIBE.
        subscription: OperationId,
        /// Its `id`.
        id: CompactString,
    },
    /// So many events were not taken in time and are missing here.
    Missed(u64),
}

/// What happens to the connection with a node.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum NodeEvent {
    /// It is made, and CONNECT is sent.
    Connected,
    /// The login is accepted.
    Ready,
    /// Something happened to it.
    Error {
        /// What.
        error: ClientError,
        /// The operation that it is told to; none for the connection itself.
        operation: Option<OperationId>,
    },
    /// It is no more.
    Disconnected,
}

/// The events of a client, in their order, from [`Client::events`](super::Client::events).
#[derive(Debug)]
pub struct Events(broadcast::Receiver<Event>);

impl Events {
    /// The next event; none when the client is gone. Nothing is lost if this is dropped before
    /// it is done.
    pub async fn next(&mut self) -> Option<Event> {
        match self.0.recv().await {
            Ok(event) => Some(event),
            Err(broadcast::error::RecvError::Lagged(missed)) => Some(Event::Missed(missed)),
            Err(broadcast::error::RecvError::Closed) => None,
        }
    }
}

/// Where events come from.
#[derive(Debug)]
pub(crate) struct Announcer {
    sender: broadcast::Sender<Event>,
    /// For the first who listens: what happened since the beginning.
    first: Option<broadcast::Receiver<Event>>,
}

impl Announcer {
    pub(crate) fn new() -> Self {
        let (sender, first) = broadcast::channel(WAITING_MAX);
        Self {
            sender,
            first: Some(first),
        }
    }

    pub(crate) fn announce(&self, event: Event) {
        // Nobody needs to listen.
        let _ = self.sender.send(event);
    }

    pub(crate) fn events(&mut self) -> Events {
        let first = self.first.take();
        first.map_or_else(|| self.listen(), Events)
    }

    pub(crate) fn listen(&self) -> Events {
        Events(self.sender.subscribe())
    }

    pub(crate) fn is_heard(&self) -> bool {
        self.sender.receiver_count() > usize::from(self.first.is_some())
    }
}
