use super::{ConnectError, Pushes, RequestError, RpcError, Target, socket, waiting::Shared};
use bytes::BytesMut;
use serde::{Serialize, de::DeserializeOwned};
use serde_json::value::RawValue;
use std::{
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};
use trunkline_jsonrpc::{Id, OwnedId, encode_error, encode_request, encode_result};

/// Most requests in flight on one connection; one more waits.
const IN_FLIGHT_MAX: usize = 4096;
/// Frames that wait for the writer; a full queue holds back whoever sends.
pub(super) const OUTGOING_MAX: usize = 1024;

/// A connection to a Trunkline server, cheap to clone.
///
/// Many requests may be in flight; they reach the server in the order in which they were
/// started. When the last clone is gone, the connection is closed.
#[derive(Clone, Debug)]
pub struct Client {
    shared: Arc<Shared>,
    outgoing: mpsc::Sender<BytesMut>,
    room: Arc<Semaphore>,
}

/// A request in flight; resolves to its answer. Dropping it does not cancel anything.
#[derive(Debug)]
pub struct Pending {
    id: u64,
    answer: oneshot::Receiver<Result<Box<RawValue>, RequestError>>,
    shared: Arc<Shared>,
    _room: OwnedSemaphorePermit,
}

impl Client {
    /// Connects.
    ///
    /// # Errors
    /// [`ConnectError`] says where to and why not.
    pub async fn connect(target: &Target) -> Result<(Self, Pushes), ConnectError> {
        let socket = socket::connect(target).await?;
        let shared = Arc::new(Shared::default());
        let (outgoing, frames) = mpsc::channel(OUTGOING_MAX);
        let (pushes, queue) = mpsc::channel(Pushes::WAITING_MAX);
        socket::drive(socket, frames, pushes, Arc::clone(&shared));
        let client = Self {
            shared: Arc::clone(&shared),
            outgoing,
            room: Arc::new(Semaphore::new(IN_FLIGHT_MAX)),
        };
        Ok((client, Pushes { queue, shared }))
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

    /// Like [`Client::request`], and reads the result.
    ///
    /// # Errors
    /// As there; [`RequestError::Unreadable`] if the result doesn't fit `T`.
    pub async fn ask<T: DeserializeOwned>(
        &self,
        method: &str,
        params: &impl Serialize,
    ) -> Result<T, RequestError> {
        let result = self.request(method, params).await?;
        serde_json::from_str(result.get())
            .map_err(|error| RequestError::Unreadable(error.to_string().into()))
    }

    /// Sends a request; its answer comes through the [`Pending`]. Waits only for room: for
    /// fewer requests in flight and for the writer.
    ///
    /// # Errors
    /// [`RequestError::Lost`] if the connection is gone already.
    pub async fn start(
        &self,
        method: &str,
        params: &impl Serialize,
    ) -> Result<Pending, RequestError> {
        let params = serde_json::to_vec(params)
            .map_err(|error| RequestError::Unreadable(error.to_string().into()))?;
        let room = Arc::clone(&self.room);
        let room = room
            .acquire_owned()
            .await
            .map_err(|_| self.shared.error())?;
        let (slot, answer) = oneshot::channel();
        let id = self.shared.expect_answer(slot)?;
        let mut frame = BytesMut::with_capacity(params.len() + method.len() + 64);
        encode_request(
            &mut frame,
            OwnedId::from(id).as_id(),
            method,
            Some(&params),
            None,
        );
        self.send(frame).await?;
        Ok(Pending {
            id,
            answer,
            shared: Arc::clone(&self.shared),
            _room: room,
        })
    }

    /// Answers a request of the server with a result, given as the text of a JSON value.
    ///
    /// # Errors
    /// [`RequestError::Lost`] if the connection is gone.
    pub async fn answer(&self, id: Id<'_>, result: &[u8]) -> Result<(), RequestError> {
        let mut frame = BytesMut::with_capacity(result.len() + 64);
        encode_result(&mut frame, id, result);
        self.send(frame).await
    }

    /// Answers a request of the server with an error.
    ///
    /// # Errors
    /// [`RequestError::Lost`] if the connection is gone.
    pub async fn answer_error(&self, id: Id<'_>, error: &RpcError) -> Result<(), RequestError> {
        let data = error.data.as_ref().map(ToString::to_string);
        let data = data.as_deref().map(str::as_bytes);
        let mut frame = BytesMut::with_capacity(128);
        encode_error(&mut frame, id, error.code, &error.message, data);
        self.send(frame).await
    }

    async fn send(&self, frame: BytesMut) -> Result<(), RequestError> {
        let sent = self.outgoing.send(frame).await;
        sent.map_err(|_| self.shared.error())
    }
}

impl Pending {
    /// The id of the request: what `rpc.cancel` and `rpc.progress` name.
    pub fn id(&self) -> u64 {
        self.id
    }
}

impl Future for Pending {
    type Output = Result<Box<RawValue>, RequestError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let answer = ready!(Pin::new(&mut self.answer).poll(cx));
        Poll::Ready(answer.unwrap_or_else(|_| Err(self.shared.error())))
    }
}
