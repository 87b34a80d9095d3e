use super::{Client, Message, RequestError, connection::Pending, requests::Again};
use serde::{Deserialize, Serialize};
use std::{
    future::poll_fn,
    marker::PhantomData,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};
use trunkline_jsonrpc::Text;
use trunkline_model::{Durability, MessageId};

#[derive(Serialize)]
struct Publish<'a> {
    topic: &'a str,
    messages: &'a [Message],
}

/// A publish that is under way; resolves to the id, or ids, of what is durable.
///
/// Dropping it takes nothing back: the message is published nevertheless, as long as the client
/// lives.
#[derive(Debug)]
#[must_use = "only what is awaited is known to be confirmed"]
pub struct Confirmation<T = MessageId> {
    pending: Pending,
    ids: PhantomData<fn() -> T>,
}

impl Client {
    /// Publishes a message to a topic; its id, once it is durable.
    ///
    /// Every message has a `publish_id`, its own or one made here. So it is sent again if the
    /// connection is lost before it was confirmed, and stored once.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let server = trunkline::TestServer::start().await?;
    /// # let client = server.client().await?;
    /// use trunkline::Message;
    ///
    /// let id = client.publish("orders", "a book").await?;
    /// let order = Message::json(&("book", 3))?.key("order-17");
    /// assert!(client.publish("orders", order).await? > id);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`RequestError`]; with [`RequestError::Lost`] it is not known whether it was stored: the
    /// client was closed, gave up, or could not ask again for so long that the server may have
    /// forgotten the `publish_id` ([`ClientBuilder::publish_retry_for`](crate::ClientBuilder)).
    pub async fn publish(
        &self,
        topic: &str,
        message: impl Into<Message>,
    ) -> Result<MessageId, RequestError> {
        self.send(topic, message).await?.await
    }

    /// Publishes messages to a topic, all or none; their ids, once they are durable. Together they
    /// must fit into one request (`limits.max_message_bytes`, 1 MiB by default).
    ///
    /// # Errors
    /// As [`Client::publish`].
    pub async fn publish_all(
        &self,
        topic: &str,
        messages: impl IntoIterator<Item = impl Into<Message>>,
    ) -> Result<Vec<MessageId>, RequestError> {
        self.send_all(topic, messages).await?.await
    }

    /// Starts publishing a message and goes on; the confirmation comes later. Many may be under
    /// way: one `fdatasync` confirms many. Waits for room if too many are
    /// ([`ClientBuilder::in_flight`](crate::ClientBuilder::in_flight)). Messages are stored in the
    /// order in which one task sends them, also when they are sent again.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let server = trunkline::TestServer::start().await?;
    /// # let client = server.client().await?;
    /// let mut confirmations = Vec::new();
    /// for number in 0..1_000 {
    ///     confirmations.push(client.send("numbers", number.to_string()).await?);
    /// }
    /// for confirmation in confirmations {
    ///     confirmation.await?;
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`RequestError`]: it can't be sent.
    pub async fn send(
        &self,
        topic: &str,
        message: impl Into<Message>,
    ) -> Result<Confirmation, RequestError> {
        self.start_publish(topic, vec![message.into()]).await
    }

    /// Starts publishing messages, all or none, as [`Client::send`] does one.
    ///
    /// # Errors
    /// [`RequestError`]: they can't be sent.
    pub async fn send_all(
        &self,
        topic: &str,
        messages: impl IntoIterator<Item = impl Into<Message>>,
    ) -> Result<Confirmation<Vec<MessageId>>, RequestError> {
        let messages = messages.into_iter().map(Into::into).collect();
        self.start_publish(topic, messages).await
    }

    async fn start_publish<T>(
        &self,
        topic: &str,
        mut messages: Vec<Message>,
    ) -> Result<Confirmation<T>, RequestError> {
        for message in &mut messages {
            message.identify(|| self.publish_id());
        }
        let messages = &messages;
        let params = serde_json::to_vec(&Publish { topic, messages });
        let params = params.map_err(RequestError::unsendable)?;
        let shared = self.shared();
        let ready = shared.prepare("rpc.topic.publish", Some(&params)).await?;
        let again = Again::Within(self.publish_retry_for());
        Ok(Confirmation {
            pending: Pending {
                id: ready.id,
                answer: shared.ask(ready, again, None)?,
                shared: Arc::clone(shared),
            },
            ids: PhantomData,
        })
    }
}

/// What became of a publish: from [`Confirmation::receipt`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Published {
    /// The identities of the messages, in order; of one whose `publish_id` the topic had seen,
    /// the first one's.
    pub ids: Vec<MessageId>,
    /// What they survive; `None` if the server does not say.
    pub durability: Option<Durability>,
}

impl<T> Confirmation<T> {
    /// Waits for it, and tells what is known besides the ids.
    ///
    /// # Errors
    /// As [`Client::publish`].
    pub async fn receipt(mut self) -> Result<Published, RequestError> {
        poll_fn(|cx| self.poll_published(cx)).await
    }

    fn poll_published(&mut self, cx: &mut Context<'_>) -> Poll<Result<Published, RequestError>> {
        #[derive(Deserialize)]
        struct Answer<'a> {
            #[serde(borrow)]
            ids: Vec<Text<'a>>,
            #[serde(default)]
            durability: Option<Durability>,
        }
        let answer = ready!(Pin::new(&mut self.pending).poll(cx))?;
        let read: Answer<'_> =
            serde_json::from_str(answer.get()).map_err(RequestError::unreadable)?;
        let ids = read.ids.iter().map(|id| id.parse());
        let ids = ids.collect::<Result<_, _>>();
        Poll::Ready(Ok(Published {
            ids: ids.map_err(RequestError::unreadable)?,
            durability: read.durability,
        }))
    }

    fn poll_ids(&mut self, cx: &mut Context<'_>) -> Poll<Result<Vec<MessageId>, RequestError>> {
        Poll::Ready(ready!(self.poll_published(cx)).map(|published| published.ids))
    }
}

impl Future for Confirmation {
    type Output = Result<MessageId, RequestError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let ids = ready!(self.poll_ids(cx))?;
        let id = ids.first().copied();
        Poll::Ready(id.ok_or_else(|| RequestError::unreadable("no id")))
    }
}

impl Future for Confirmation<Vec<MessageId>> {
    type Output = Result<Vec<MessageId>, RequestError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.poll_ids(cx)
    }
}
