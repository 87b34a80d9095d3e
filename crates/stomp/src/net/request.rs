use super::{Client, Outcome};
use crate::Operation;
use crate::{ClientError, Frame};
use std::future::{Future, IntoFuture};
use std::pin::Pin;

/// An operation that is not asked for yet: headers, then [`start`](Self::start) or `.await`.
#[derive(Debug)]
#[must_use = "nothing is sent before `start` or `.await`"]
pub struct Request<'a> {
    client: &'a Client,
    operation: Operation,
}

impl<'a> Request<'a> {
    pub(super) fn new(client: &'a Client, operation: Operation) -> Self {
        Self { client, operation }
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

    /// Sends it, or lets it wait for the connection, and doesn't wait for what becomes of it.
    /// Operations leave in the order in which they are started.
    pub fn start(self) -> Outcome {
        self.client.start(self.operation)
    }
}

impl IntoFuture for Request<'_> {
    type Output = Result<Option<Frame>, ClientError>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.start())
    }
}
