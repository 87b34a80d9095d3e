use super::{Client, OnNodeError, Outcome};
use crate::Operation;
use crate::{ClientError, Frame};
use std::fmt;
use std::future::{Future, IntoFuture};
use std::pin::Pin;
use std::sync::Arc;

/// An operation that is not asked for yet: headers, then [`start`](Self::start) or `.await`.
#[derive(Debug)]
#[must_use = "nothing is sent before `start` or `.await`"]
pub struct Request<'a> {
    client: &'a Client,
    operation: Operation,
    watcher: Watcher,
}

impl<'a> Request<'a> {
    pub(super) fn new(client: &'a Client, operation: Operation) -> Self {
        Self {
            client,
            operation,
            watcher: Watcher(None),
        }
    }

    /// Adds a header. It goes before those of the client's options of the same name.
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.operation = self.operation.with(name, value);
        self
    }

    /// Asks for a RECEIPT under this id, with which the operation is done; `auto` makes up one.
    /// Without it the operation is done once it is written to the connection.
    pub fn receipt(self, id: &str) -> Self {
        self.header("receipt", id)
    }

    /// Makes it a part of a transaction.
    pub fn transaction(self, name: &str) -> Self {
        self.header("transaction", name)
    }

    /// A function for the errors of nodes that the operation meets on its way, with host and port of
    /// the node; the client's own is not called for these. Clients of one server don't call it.
    pub fn on_node_error(
        mut self,
        on_node_error: impl Fn(&ClientError, &str, u16) + Send + Sync + 'static,
    ) -> Self {
        self.watcher = Watcher(Some(Arc::new(on_node_error)));
        self
    }

    /// Sends it, or lets it wait for the connection, and doesn't wait for what becomes of it.
    /// Operations leave in the order in which they are started.
    pub fn start(self) -> Outcome {
        self.client.start(self.operation, self.watcher.0)
    }
}

impl IntoFuture for Request<'_> {
    type Output = Result<Option<Frame>, ClientError>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.start())
    }
}

/// A user's function, which has no text.
pub(super) struct Watcher(pub(super) Option<OnNodeError>);

impl fmt::Debug for Watcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "Watcher" } else { "None" })
    }
}
