use super::{
    ConnectError, Push, Pushes, RequestError, RpcError, Target,
    requests::{Again, Answered},
    router::Inbound,
    shared::Shared,
    socket,
};
use bytes::BytesMut;
use serde::{Serialize, de::DeserializeOwned};
use serde_json::value::RawValue;
use std::{
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};
use tokio::sync::{mpsc, oneshot};
use trunkline_jsonrpc::{Id, encode_error, encode_result};

/// Most requests in flight on one connection; one more waits.
pub(super) const IN_FLIGHT_MAX: usize = 4096;
/// Most bytes of requests in flight on one connection; one more request waits.
pub(super) const IN_FLIGHT_BYTES_MAX: usize = 64 << 20;
/// The number of the only connection there is.
const ONLY: u64 = 1;

/// One connection to a server, and what comes over it as it is: requests, answers and pushes.
/// Cheap to clone. [`Client`](crate::Client) is made of the same parts, knows what the pushes
/// mean, and connects again.
///
/// Many requests may be in flight; they reach the server in the order in which they were
/// started. When the last clone is gone, the connection is closed.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let server = trunkline::TestServer::start().await?;
/// use trunkline::{Connection, Target};
///
/// # let url = server.url();
/// let target: Target = url.parse()?; // such as ws://127.0.0.1:7400
/// let (connection, mut pushes) = Connection::connect(&target).await?;
/// let names = serde_json::json!({"channels": ["news"]});
/// connection.request("rpc.channel.subscribe", &names).await?;
/// let news = serde_json::json!({"channel": "news", "payload": 1});
/// connection.request("rpc.channel.publish", &news).await?;
/// let push = pushes.next().await.expect("the message");
/// assert_eq!(push.method, "rpc.channel.message");
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Connection {
    open: Arc<Open>,
}

/// Closes with the last handle, after everything queued is written.
#[derive(Debug)]
pub(super) struct Open(pub(super) Arc<Shared>);

impl Drop for Open {
    fn drop(&mut self) {
        self.0.over(super::loss::Loss::wanted());
    }
}

/// A request in flight; resolves to its answer. Dropping it does not cancel anything.
#[derive(Debug)]
pub struct Pending {
    pub(super) id: u64,
    pub(super) answer: oneshot::Receiver<Answered>,
    pub(super) shared: Arc<Shared>,
}

impl Connection {
    /// Connects.
    ///
    /// # Errors
    /// [`ConnectError`] says where to and why not.
    pub async fn connect(target: &Target) -> Result<(Self, Pushes), ConnectError> {
        let socket = socket::connect(target).await?;
        let shared = Arc::new(Shared::new(IN_FLIGHT_MAX, IN_FLIGHT_BYTES_MAX));
        let (pushes, queue) = mpsc::channel::<Push>(Pushes::WAITING_MAX);
        let running = Arc::clone(&shared);
        let number = shared.up();
        debug_assert_eq!(number, Some(ONLY));
        tokio::spawn(async move {
            // Told before the pushes end: whoever sees that asks why.
            let kept = pushes.clone();
            let loss = socket::run(socket, &running, Inbound::Raw(pushes), None).await;
            running.down(&loss);
            running.over(loss);
            drop(kept);
        });
        let connection = Self {
            open: Arc::new(Open(Arc::clone(&shared))),
        };
        Ok((connection, Pushes { queue, shared }))
    }

    /// Sends a request and waits for its result.
    ///
    /// # Errors
    /// [`RequestError`]: an error answer, or no answer at all.
    pub async fn request(
        &self,
        method: &str,
        params: &impl Serialize,
    ) -> Result<Box<RawValue>, RequestError> {
        self.start(method, params).await?.await
    }

    /// Like [`Connection::request`], and reads the result.
    ///
    /// # Errors
    /// As there; [`RequestError::Unreadable`] if the result doesn't fit `T`.
    pub async fn ask<T: DeserializeOwned>(
        &self,
        method: &str,
        params: &impl Serialize,
    ) -> Result<T, RequestError> {
        let result = self.request(method, params).await?;
        serde_json::from_str(result.get()).map_err(RequestError::unreadable)
    }

    /// Sends a request; its answer comes through the [`Pending`]. Waits only for room: for fewer
    /// requests in flight, or fewer bytes of them.
    ///
    /// # Errors
    /// [`RequestError::Lost`] if the connection is gone already.
    pub async fn start(
        &self,
        method: &str,
        params: &impl Serialize,
    ) -> Result<Pending, RequestError> {
        let params = serde_json::to_vec(params).map_err(RequestError::unsendable)?;
        let shared = &self.open.0;
        let ready = shared.prepare(method, Some(&params)).await?;
        Ok(Pending {
            id: ready.id,
            answer: shared.ask(ready, Again::Never, Some(ONLY))?,
            shared: Arc::clone(shared),
        })
    }

    /// Answers a request of the server with a result, given as the text of a JSON value.
    ///
    /// # Errors
    /// [`RequestError::Lost`] if the connection is gone.
    pub async fn answer(&self, id: Id<'_>, result: &[u8]) -> Result<(), RequestError> {
        let mut frame = BytesMut::with_capacity(result.len() + 64);
        encode_result(&mut frame, id, result);
        self.send(frame)
    }

    /// Answers a request of the server with an error.
    ///
    /// # Errors
    /// [`RequestError::Lost`] if the connection is gone.
    pub async fn answer_error(&self, id: Id<'_>, error: &RpcError) -> Result<(), RequestError> {
        let mut frame = BytesMut::with_capacity(128);
        write_error(&mut frame, id, error);
        self.send(frame)
    }

    fn send(&self, frame: BytesMut) -> Result<(), RequestError> {
        match self.open.0.tell(ONLY, frame) {
            true => Ok(()),
            false => self.open.0.check_open(),
        }
    }
}

/// Appends an error answer.
pub(super) fn write_error(out: &mut BytesMut, id: Id<'_>, error: &RpcError) {
    let data = error.data.as_ref().map(ToString::to_string);
    let data = data.as_deref().map(str::as_bytes);
    encode_error(out, id, error.code, &error.message, data);
}

impl Pending {
    /// The id of the request: what `rpc.cancel` and `rpc.progress` name.
    pub fn id(&self) -> u64 {
        self.id
    }
}

impl Future for Pending {
    type Output = Answered;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let answer = ready!(Pin::new(&mut self.answer).poll(cx));
        // The slot is dropped unused only when there is no connection any more.
        Poll::Ready(answer.unwrap_or_else(|_| {
            let loss = self.shared.loss().unwrap_or_else(super::loss::Loss::wanted);
            Err(loss.error())
        }))
    }
}
