//! Consumers: deliveries of a subscription, as a stream.

use super::{
    Client, Delivery, RequestError, RpcError, SettleError,
    delivery::settle,
    loss::Loss,
    requests::Answered,
    router::Router,
    seat::{Refused, Seat},
    shared::Shared,
    stored::Wire,
};
use futures_util::Stream;
use serde::{Deserialize, Serialize};
use std::{
    collections::VecDeque,
    fmt,
    future::IntoFuture,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Waker},
};
use tokio::sync::oneshot;
use trunkline_model::{ErrorCode, StartFrom};

/// Unacknowledged deliveries unless told otherwise.
const CREDIT: u32 = 100;

/// Makes a [`Consumer`]: from [`Client::consume`]; await it.
#[derive(Debug)]
#[must_use = "nothing is consumed until it is awaited"]
pub struct Consume {
    client: Client,
    spec: Spec,
}

#[derive(Clone, Debug, Serialize)]
struct Spec {
    topic: String,
    subscription: String,
    credit: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    from: Option<StartFrom>,
    #[serde(skip)]
    auto_ack: bool,
}

/// The deliveries of a subscription: a stream, in the order of the subscription.
///
/// After a connection was lost it goes on by itself. Deliveries that were not acknowledged come
/// again then, with a higher `attempt`; those that were waiting here are forgotten, so they come
/// once. At most [`Consume::credit`] deliveries wait here or are unacknowledged.
///
/// Dropping it ends it; what is unacknowledged goes back to the front of the subscription.
#[derive(Debug)]
pub struct Consumer {
    client: Client,
    seat: Arc<ConsumerSeat>,
}

/// A consumer's place on the connection.
pub(super) struct ConsumerSeat {
    number: u64,
    pub(super) shared: Arc<Shared>,
    spec: Spec,
    state: Mutex<Taking>,
}

#[derive(Debug, Default)]
struct Taking {
    /// The connection on which it is seated, and its name there.
    held: Option<(u64, Box<str>)>,
    ready: VecDeque<Delivery>,
    /// Tags to be acknowledged because they were taken.
    taken: Vec<u64>,
    /// Nothing follows what is ready.
    end: Option<End>,
    /// Who waits for it to begin; absent once it has.
    first: Option<oneshot::Sender<Result<(), RequestError>>>,
    refusals: u32,
    waker: Option<Waker>,
}

#[derive(Clone, Debug)]
enum End {
    /// As wanted, or told already.
    Quiet,
    Failed(RequestError),
}

impl Client {
    /// Consumes from a subscription of a topic, which is made if it isn't there.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let server = trunkline::TestServer::start().await?;
    /// # let client = server.client().await?;
    /// # client.publish("orders", "first").await?;
    /// # client.publish("orders", "second").await?;
    /// let mut consumer = client.consume("orders", "billing").credit(10).await?;
    /// while let Some(delivery) = consumer.try_next().await? {
    ///     println!("{}: {}", delivery.id, delivery.text()?);
    ///     let last = delivery.text()? == "second";
    ///     delivery.ack().await?;
    ///     if last {
    ///         break;
    ///     }
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn consume(&self, topic: impl Into<String>, subscription: impl Into<String>) -> Consume {
        Consume {
            client: self.clone(),
            spec: Spec {
                topic: topic.into(),
                subscription: subscription.into(),
                credit: CREDIT,
                from: None,
                auto_ack: false,
            },
        }
    }
}

impl Consume {
    /// Most deliveries that wait here or are unacknowledged, 1 to 1,000,000; 100 by default. It
    /// is what bounds the memory of a consumer: so many messages.
    pub fn credit(mut self, deliveries: u32) -> Self {
        self.spec.credit = deliveries.max(1);
        self
    }

    /// Where the subscription starts if it is made now: with all that the topic holds, or with the
    /// next message. By default a topic's first subscription starts with all.
    pub fn from(mut self, start: StartFrom) -> Self {
        self.spec.from = Some(start);
        self
    }

    /// Deliveries are acknowledged when they are taken from the stream, whatever becomes of them
    /// then. The credit goes on bounding how many wait.
    pub fn auto_ack(mut self) -> Self {
        self.spec.auto_ack = true;
        self
    }

    async fn start(self) -> Result<Consumer, RequestError> {
        let shared = self.client.shared();
        let (first, begun) = oneshot::channel();
        let seat = Arc::new(ConsumerSeat {
            number: shared.number(),
            shared: Arc::clone(shared),
            spec: self.spec,
            state: Mutex::new(Taking {
                first: Some(first),
                ..Taking::default()
            }),
        });
        let consumer = Consumer {
            seat: Arc::clone(&seat),
            client: self.client.clone(),
        };
        shared.sit(seat)?;
        match begun.await {
            Ok(begun) => begun.map(|()| consumer),
            Err(_) => Err(Loss::wanted().error()),
        }
    }
}

impl IntoFuture for Consume {
    type Output = Result<Consumer, RequestError>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.start())
    }
}

impl Consumer {
    /// The next delivery; `None` once the client is closed.
    ///
    /// # Errors
    /// The consumer ended, once: the server refused it or ended it (its topic was deleted, say), or
    /// the client gave up connecting.
    pub async fn try_next(&mut self) -> Result<Option<Delivery>, RequestError> {
        std::future::poll_fn(|cx| self.seat.poll(cx))
            .await
            .transpose()
    }

    /// Acknowledges many deliveries with one request; how many counted. Those of a lost connection
    /// don't: they come again.
    ///
    /// # Errors
    /// [`SettleError`]; none of them is known to count then.
    pub async fn ack_all(
        &self,
        deliveries: impl IntoIterator<Item = Delivery>,
    ) -> Result<u64, SettleError> {
        let Some((connection, _)) = self.seat.held() else {
            return Ok(0);
        };
        let tags = deliveries
            .into_iter()
            .filter(|delivery| delivery.is_of(&self.seat, connection))
            .map(|delivery| delivery.tag())
            .collect::<Vec<_>>();
        match tags.is_empty() {
            true => Ok(0),
            false => settle(&self.seat, connection, "rpc.topic.ack", &tags, &[]).await,
        }
    }

    /// Ends it; how many unacknowledged deliveries went back.
    ///
    /// # Errors
    /// [`RequestError`]: the server did not say.
    pub async fn cancel(self) -> Result<u64, RequestError> {
        #[derive(Deserialize)]
        struct Cancelled {
            returned: u64,
        }
        let Some((connection, name)) = self.seat.close() else {
            return Ok(0);
        };
        let params = of_consumer(&name);
        let shared = self.client.shared();
        let ready = shared.prepare("rpc.topic.cancel", Some(&params)).await?;
        let again = super::requests::Again::Never;
        let answer = shared.ask(ready, again, Some(connection))?;
        let answer = answer.await.map_err(|_| Loss::wanted().error())??;
        let cancelled: Cancelled =
            serde_json::from_str(answer.get()).map_err(RequestError::unreadable)?;
        Ok(cancelled.returned)
    }

    /// The client that it belongs to.
    pub fn client(&self) -> &Client {
        &self.client
    }
}

impl Stream for Consumer {
    type Item = Result<Delivery, RequestError>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.seat.poll(cx)
    }
}

impl Drop for Consumer {
    fn drop(&mut self) {
        if let Some((connection, name)) = self.seat.close() {
            let params = of_consumer(&name);
            self.seat
                .shared
                .ask_for_nobody("rpc.topic.cancel", &params, connection);
        }
    }
}

fn of_consumer(name: &str) -> Vec<u8> {
    serde_json::json!({"consumer": name})
        .to_string()
        .into_bytes()
}

impl ConsumerSeat {
    fn lock(&self) -> MutexGuard<'_, Taking> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// On which connection it is seated, and its name there.
    pub(super) fn held(&self) -> Option<(u64, Box<str>)> {
        self.lock().held.clone()
    }

    /// Takes deliveries, given as the text of an array. What can't be read ends the consumer, not
    /// the connection: on the next one it would come again.
    pub(super) fn deliver(self: &Arc<Self>, connection: u64, array: &str) {
        let read = match self.read(connection, array) {
            Ok(read) => read,
            Err(error) => return self.abandon(connection, error),
        };
        let mut taking = self.lock();
        if taking.end.is_some() {
            return;
        }
        if taking.ready.len() + read.len() > self.spec.credit as usize {
            drop(taking);
            let credit = self.spec.credit;
            let text = format!("the server delivers more than the credit of {credit}");
            return self.abandon(connection, RequestError::unreadable(text));
        }
        taking.ready.extend(read);
        wake(taking);
    }

    fn read(self: &Arc<Self>, connection: u64, array: &str) -> Result<Vec<Delivery>, RequestError> {
        let wire: Vec<Wire<'_>> = serde_json::from_str(array).map_err(RequestError::unreadable)?;
        let read = wire.into_iter().map(|wire| {
            let (tag, attempt) = (wire.tag, wire.attempt);
            let seat = Arc::clone(self);
            Ok(Delivery::new(seat, connection, tag, attempt, wire.read()?))
        });
        read.collect()
    }

    /// Ends it from this side.
    fn abandon(&self, connection: u64, error: RequestError) {
        self.shared.leave(self.number);
        let held = self.lock().held.take();
        if let Some((_, name)) = held {
            let params = of_consumer(&name);
            self.shared
                .ask_for_nobody("rpc.topic.cancel", &params, connection);
        }
        self.end(End::Failed(error));
    }

    fn poll(&self, cx: &mut Context<'_>) -> Poll<Option<Result<Delivery, RequestError>>> {
        let mut taking = self.lock();
        if let Some(delivery) = taking.ready.pop_front() {
            if self.spec.auto_ack {
                self.acknowledge(taking, delivery.tag());
            }
            return Poll::Ready(Some(Ok(delivery)));
        }
        match taking.end.replace(End::Quiet) {
            Some(End::Quiet) => Poll::Ready(None),
            Some(End::Failed(error)) => Poll::Ready(Some(Err(error))),
            None => {
                taking.end = None;
                taking.waker = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    }

    /// Acknowledges what is taken: several at once, but none later than when nothing is left to
    /// be taken.
    fn acknowledge(&self, mut taking: MutexGuard<'_, Taking>, tag: u64) {
        taking.taken.push(tag);
        let due = taking.ready.is_empty() || taking.taken.len() >= self.spec.credit as usize / 4;
        if due && let Some((connection, name)) = taking.held.clone() {
            let tags = std::mem::take(&mut taking.taken);
            drop(taking);
            let params = serde_json::json!({"consumer": name, "tags": tags});
            let params = params.to_string().into_bytes();
            self.shared
                .ask_for_nobody("rpc.topic.ack", &params, connection);
        }
    }

    /// The server ended it.
    pub(super) fn ended(&self, error: RpcError) {
        if error.known_code() == Some(ErrorCode::ShuttingDown) {
            // The next connection takes it up.
            self.lock().held = None;
            return;
        }
        self.shared.leave(self.number);
        self.end(End::Failed(error.into()));
    }

    fn end(&self, end: End) {
        let mut taking = self.lock();
        taking.held = None;
        match (taking.first.take(), end) {
            (Some(first), End::Failed(error)) => {
                taking.end = Some(End::Quiet);
                // Whoever asked may have lost interest.
                let _ = first.send(Err(error));
            }
            (_, end) => {
                taking.end.get_or_insert(end);
            }
        }
        wake(taking);
    }

    /// Takes no more; on which connection it was seated, and its name there.
    fn close(&self) -> Option<(u64, Box<str>)> {
        self.shared.leave(self.number);
        let mut taking = self.lock();
        taking.end = Some(End::Quiet);
        taking.ready.clear();
        taking.held.take()
    }
}

impl Seat for ConsumerSeat {
    fn number(&self) -> u64 {
        self.number
    }

    fn opening(&self) -> Option<(&'static str, Vec<u8>)> {
        if self.lock().end.is_some() {
            return None;
        }
        let params = serde_json::to_vec(&self.spec).expect("texts and numbers are JSON");
        Some(("rpc.topic.consume", params))
    }

    fn opened(self: Arc<Self>, connection: u64, answer: Answered, router: &mut Router) {
        #[derive(Deserialize)]
        struct Consuming {
            consumer: Box<str>,
        }
        let read = answer.and_then(|answer| {
            serde_json::from_str::<Consuming>(answer.get()).map_err(RequestError::unreadable)
        });
        let error = match read {
            Ok(Consuming { consumer }) => {
                let mut taking = self.lock();
                if taking.end.is_some() {
                    drop(taking);
                    let params = of_consumer(&consumer);
                    return self
                        .shared
                        .ask_for_nobody("rpc.topic.cancel", &params, connection);
                }
                router.add_consumer(consumer.clone(), &self);
                taking.held = Some((connection, consumer));
                taking.refusals = 0;
                if let Some(first) = taking.first.take() {
                    // Whoever asked may have lost interest.
                    let _ = first.send(Ok(()));
                }
                return;
            }
            Err(error) => error,
        };
        let mut taking = self.lock();
        match Refused::by(&error, taking.first.is_none()) {
            Refused::NextConnection => {}
            Refused::Later => {
                let refusals = taking.refusals;
                taking.refusals += 1;
                drop(taking);
                let shared = Arc::clone(&self.shared);
                shared.open_later(self, connection, refusals);
            }
            Refused::ForGood => {
                drop(taking);
                self.shared.leave(self.number);
                self.end(End::Failed(error));
            }
        }
    }

    fn lost(&self, _: &Loss) {
        let mut taking = self.lock();
        taking.held = None;
        // They come again.
        taking.ready.clear();
        taking.taken.clear();
    }

    fn over(&self, loss: &Loss) {
        let end = match loss.is_wanted() && self.lock().first.is_none() {
            true => End::Quiet,
            false => End::Failed(loss.error()),
        };
        self.end(end);
    }
}

impl fmt::Debug for ConsumerSeat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Every delivery shows its consumer, so not the deliveries.
        self.spec.fmt(f)
    }
}

fn wake(mut taking: MutexGuard<'_, Taking>) {
    let waker = taking.waker.take();
    drop(taking);
    if let Some(waker) = waker {
        waker.wake();
    }
}
