use super::{
    Client, Progress, RequestError,
    connection::Pending,
    message::millis,
    progress::{Following, ProgressQueue},
    requests::Again,
};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::value::{RawValue, to_raw_value};
use std::{
    future::IntoFuture,
    marker::PhantomData,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};
use tokio::time::{Sleep, sleep};

/// How much longer than the server the client waits: it should hear the server's verdict.
const GRACE: Duration = Duration::from_secs(5);

/// A call to be made: from [`Client::call`]; await it for its result, or
/// [start](Call::start) it to follow it.
#[derive(Debug)]
#[must_use = "nothing is called until it is awaited"]
pub struct Call<R> {
    client: Client,
    method: String,
    params: Result<Option<Box<RawValue>>, RequestError>,
    timeout: Option<Duration>,
    idempotency_key: Option<String>,
    traceparent: Option<String>,
    cancel_on_drop: bool,
    result: PhantomData<fn() -> R>,
}

/// The params of `rpc.call`.
#[derive(Serialize)]
struct WithOptions<'a> {
    method: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    params: Option<&'a RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    timeout_ms: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    idempotency_key: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    traceparent: Option<&'a str>,
}

/// A call that was made; resolves to its result. Dropping it cancels the call, unless
/// [`Call::keep_running`] was said.
#[derive(Debug)]
#[must_use = "dropping it cancels the call"]
pub struct RunningCall<R> {
    pending: Pending,
    late: Option<(Duration, Pin<Box<Sleep>>)>,
    cancel_on_drop: bool,
    following: Option<Following>,
    result: PhantomData<fn() -> R>,
}

impl Client {
    /// Calls a method of a handler. Params are an object, an array or tuple, or `()` for none; they
    /// and the result are anything that serde knows, a `Box<RawValue>` for JSON as it is.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let server = trunkline::TestServer::start().await?;
    /// # let client = server.client().await?;
    /// # let worker = client.worker("math");
    /// # let worker = worker.method("sum", |n: Vec<i64>, _| async move { Ok(n.iter().sum::<i64>()) });
    /// # let worker = worker.start().await?;
    /// use std::time::Duration;
    ///
    /// let sum: i64 = client.call("sum", &[1, 2, 3]).await?;
    /// assert_eq!(sum, 6);
    /// let call = client.call::<i64>("sum", &[4, 5]).timeout(Duration::from_secs(10));
    /// assert_eq!(call.idempotency_key("invoice-7").await?, 9);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// If the connection is lost before the answer came, a call with an idempotency key is made
    /// again; another one fails with [`RequestError::Lost`], because it may have run. One that was
    /// not sent yet waits for the next connection.
    pub fn call<R: DeserializeOwned>(
        &self,
        method: impl Into<String>,
        params: &(impl Serialize + ?Sized),
    ) -> Call<R> {
        Call {
            client: self.clone(),
            method: method.into(),
            params: check(params),
            timeout: None,
            idempotency_key: None,
            traceparent: None,
            cancel_on_drop: true,
            result: PhantomData,
        }
    }
}

/// Params must be what JSON-RPC takes; better told here than by the server.
fn check(params: &(impl Serialize + ?Sized)) -> Result<Option<Box<RawValue>>, RequestError> {
    let params = to_raw_value(params).map_err(RequestError::unsendable)?;
    match params.get().as_bytes().first() {
        Some(b'{' | b'[') => Ok(Some(params)),
        _ if params.get() == "null" => Ok(None),
        _ => Err(RequestError::unsendable(format_args!(
            "params are an object or an array; for one value write &[{}]",
            params.get()
        ))),
    }
}

impl<R: DeserializeOwned> Call<R> {
    /// How long the caller waits; the class of the call says it otherwise (30 s by default).
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// Makes repeating the call safe: the same key with the same params gets the first one's
    /// pending or finished answer.
    pub fn idempotency_key(mut self, key: impl Into<String>) -> Self {
        self.idempotency_key = Some(key.into());
        self
    }

    /// W3C trace context.
    pub fn traceparent(mut self, traceparent: impl Into<String>) -> Self {
        self.traceparent = Some(traceparent.into());
        self
    }

    /// The call goes on if its future is dropped before the answer came.
    pub fn keep_running(mut self) -> Self {
        self.cancel_on_drop = false;
        self
    }

    /// Makes the call, to be followed:
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let server = trunkline::TestServer::start().await?;
    /// # let client = server.client().await?;
    /// # let worker = client.worker("w").method("long", |(): (), context| async move {
    /// #     context.progress(&0.5);
    /// #     Ok(true)
    /// # });
    /// # let worker = worker.start().await?;
    /// let call = client.call::<bool>("long", &()).start().await?;
    /// let mut progress = call.progress::<f64>();
    /// tokio::spawn(async move {
    ///     while let Ok(Some(part)) = progress.try_next().await {
    ///         println!("{} %", part * 100.0);
    ///     }
    /// });
    /// assert!(call.await?);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// Waits only for room (see [`ClientBuilder`](crate::ClientBuilder)).
    ///
    /// # Errors
    /// [`RequestError`]: it can't be sent.
    pub async fn start(self) -> Result<RunningCall<R>, RequestError> {
        self.make(true).await
    }

    async fn make(self, follow: bool) -> Result<RunningCall<R>, RequestError> {
        if self.method.starts_with("rpc.") {
            let text = format!("{} is no method of a handler; see Client::ask", self.method);
            return Err(RequestError::unsendable(text));
        }
        let params = self.params?;
        let shared = self.client.shared();
        let plain =
            self.timeout.is_none() && self.idempotency_key.is_none() && self.traceparent.is_none();
        let ready = if plain {
            let params = params.as_deref().map(|params| params.get().as_bytes());
            shared.prepare(&self.method, params).await?
        } else {
            let options = WithOptions {
                method: &self.method,
                params: params.as_deref(),
                timeout_ms: self.timeout.map(millis),
                idempotency_key: self.idempotency_key.as_deref(),
                traceparent: self.traceparent.as_deref(),
            };
            let options = serde_json::to_vec(&options).map_err(RequestError::unsendable)?;
            shared.prepare("rpc.call", Some(&options)).await?
        };
        let again = match self.idempotency_key {
            Some(_) => Again::Within(self.timeout.unwrap_or(Duration::MAX)),
            None => Again::IfUnsent,
        };
        let id = ready.id;
        let following = follow.then(|| {
            let queue = Arc::new(ProgressQueue::default());
            shared.follow(id, Arc::clone(&queue));
            Following {
                shared: Arc::clone(shared),
                id,
                queue,
            }
        });
        let late = self.timeout.map(|timeout| {
            let patience = timeout.saturating_add(GRACE);
            (patience, Box::pin(sleep(patience)))
        });
        Ok(RunningCall {
            pending: Pending {
                id,
                answer: shared.ask(ready, again, None)?,
                shared: Arc::clone(shared),
            },
            late,
            cancel_on_drop: self.cancel_on_drop,
            following,
            result: PhantomData,
        })
    }
}

impl<R: DeserializeOwned + 'static> IntoFuture for Call<R> {
    type Output = Result<R, RequestError>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move { self.make(false).await?.await })
    }
}

impl<R> RunningCall<R> {
    /// What its worker tells about it, from now on.
    pub fn progress<T: DeserializeOwned>(&self) -> Progress<T> {
        let queue = self.following.as_ref().map(|following| &following.queue);
        Progress::of(queue.cloned().unwrap_or_default())
    }

    /// Cancels it: the worker is told, and the call resolves to `-32004`, unless its answer is
    /// under way already.
    pub fn cancel(&self) {
        self.pending.shared.cancel(self.pending.id);
    }
}

impl<R: DeserializeOwned> Future for RunningCall<R> {
    type Output = Result<R, RequestError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        if let Poll::Ready(answer) = Pin::new(&mut self.pending).poll(cx) {
            self.cancel_on_drop = false;
            self.following = None;
            let result = answer?;
            let read = serde_json::from_str(result.get()).map_err(RequestError::unreadable);
            return Poll::Ready(read);
        }
        let Some((patience, late)) = &mut self.late else {
            return Poll::Pending;
        };
        ready!(late.as_mut().poll(cx));
        // Dropping it cancels what may still run.
        Poll::Ready(Err(RequestError::TimedOut(*patience)))
    }
}

impl<R> Drop for RunningCall<R> {
    fn drop(&mut self) {
        if self.cancel_on_drop {
            self.pending.shared.cancel(self.pending.id);
        }
    }
}
