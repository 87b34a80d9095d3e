use super::inbox::Inbox;
use super::request::Watcher;
use super::{Client, Message, Outcome};
use crate::{AckMode, ClientError, Frame, Operation, OperationId};
use compact_str::CompactString;
use futures_util::Stream;
use std::future::{Future, IntoFuture, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

/// A subscription that is not asked for yet: options, then [`start`](Self::start) or `.await`.
#[derive(Debug)]
#[must_use = "nothing is sent before `start` or `.await`"]
pub struct Subscribe<'a> {
    client: &'a Client,
    destination: CompactString,
    id: Option<CompactString>,
    mode: Option<AckMode>,
    headers: Vec<(CompactString, CompactString)>,
    watcher: Watcher,
}

impl<'a> Subscribe<'a> {
    pub(super) fn new(client: &'a Client, destination: &str) -> Self {
        Self {
            client,
            destination: destination.into(),
            id: None,
            mode: None,
            headers: Vec::new(),
            watcher: Watcher(None),
        }
    }

    /// Its `id`, unique on the connection; made up if none is given.
    pub fn id(mut self, id: &str) -> Self {
        self.id = Some(id.into());
        self
    }

    /// How messages are acknowledged; `auto` by default.
    pub fn ack(mut self, mode: AckMode) -> Self {
        self.mode = Some(mode);
        self
    }

    /// Adds a header.
    pub fn header(mut self, name: &str, value: &str) -> Self {
        match name {
            "id" => self.id = Some(value.into()),
            _ => self.headers.push((name.into(), value.into())),
        }
        self
    }

    /// A function for the errors of nodes that the subscription meets, with host and port of the
    /// node, as long as it lives; see [`Request::on_node_error`](super::Request::on_node_error).
    pub fn on_node_error(
        mut self,
        on_node_error: impl Fn(&ClientError, &str, u16) + Send + Sync + 'static,
    ) -> Self {
        self.watcher = Watcher(Some(Arc::new(on_node_error)));
        self
    }

    /// Sends it, or lets it wait for the connection, and doesn't wait for its RECEIPT:
    /// [`Subscription::ready`] does.
    pub fn start(self) -> Subscription {
        let id = self.id.unwrap_or_else(|| self.client.subscription_id());
        let mut operation = Operation::of(crate::Command::Subscribe)
            .with("id", &id)
            .with("destination", &self.destination);
        if let Some(mode) = self.mode {
            operation = operation.with("ack", mode.as_str());
        }
        for (name, value) in &self.headers {
            operation = operation.with(name, value);
        }
        let shared = self.client.shared();
        let (number, inbox, outcome) =
            shared.with(|core, now| core.subscribe(now, id.clone(), operation, self.watcher.0));
        Subscription {
            client: self.client.clone(),
            number,
            id,
            inbox,
            outcome: Some(outcome),
        }
    }
}

impl IntoFuture for Subscribe<'_> {
    type Output = Result<Subscription, ClientError>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        let mut subscription = self.start();
        Box::pin(async move {
            subscription.ready().await?;
            Ok(subscription)
        })
    }
}

/// The messages of a subscription, as a stream.
///
/// Messages that are not taken wait in memory up to the client's
/// [bound](super::ClientBuilder::subscription_room); beyond it nothing more is read from the
/// connection until half of that is free. Other subscriptions and receipts then wait, too: who
/// awaits receipts between messages does well to ask the server for fewer messages at once than
/// the bound (`prefetch-count`).
///
/// When the subscription is lost, its stream says why and ends; when it is ended on purpose, the
/// stream just ends. Dropping it unsubscribes.
#[derive(Debug)]
pub struct Subscription {
    client: Client,
    number: OperationId,
    id: CompactString,
    inbox: Arc<Inbox>,
    /// Of SUBSCRIBE, as long as nobody asked.
    outcome: Option<Outcome>,
}

impl Subscription {
    /// Waits for the RECEIPT of its SUBSCRIBE, and gives it out the first time.
    ///
    /// # Errors
    /// [`ClientError`] if the server refuses it or the connection is lost before.
    pub async fn ready(&mut self) -> Result<Option<Frame>, ClientError> {
        let Some(outcome) = &mut self.outcome else {
            return Ok(None);
        };
        let settled = outcome.await;
        self.outcome = None;
        settled
    }

    /// The next message; an error if the subscription is lost, then none. Nothing is lost if
    /// this is dropped before it is done.
    pub async fn next(&mut self) -> Option<Result<Message, ClientError>> {
        poll_fn(|cx| self.inbox.poll_next(cx)).await
    }

    /// Its `id`.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The operation of its SUBSCRIBE, as events name it.
    #[must_use]
    pub fn number(&self) -> OperationId {
        self.number
    }

    /// The client that it belongs to.
    #[must_use]
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// Ends it: done with the RECEIPT of UNSUBSCRIBE. Messages that came before can still be
    /// taken from the stream, those that are not acknowledged go back.
    pub fn unsubscribe(&self) -> Outcome {
        self.client.unsubscribe(&self.id).start()
    }
}

impl Stream for Subscription {
    type Item = Result<Message, ClientError>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.inbox.poll_next(cx)
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        self.inbox.abandon();
        let number = self.number;
        self.client
            .shared()
            .with(|core, now| core.abandon(now, number));
    }
}
