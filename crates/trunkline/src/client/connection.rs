use super::{ConnectError, Push, Pushes, RequestError, RpcError, Target};
use bytes::BytesMut;
use futures_util::{
    SinkExt, StreamExt,
    stream::{SplitSink, SplitStream},
};
use http::header::AUTHORIZATION;
use serde::{Serialize, de::DeserializeOwned};
use serde_json::value::RawValue;
use std::{
    collections::HashMap,
    future::Future,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, ready},
    time::Duration,
};
use tokio::{
    net::TcpStream,
    sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot},
    time::timeout,
};
use tokio_websockets::{ClientBuilder, Limits, MaybeTlsStream, Message, WebSocketStream};
use trunkline_jsonrpc::{
    Answer, Id, Incoming, Item, Outcome, OwnedId, Request, encode_error, encode_request,
    encode_result, parse_text,
};

/// Most requests in flight on one connection; one more waits.
pub(super) const IN_FLIGHT_MAX: usize = 4096;
/// Frames that wait for the writer; a full queue holds back whoever sends.
const OUTGOING_MAX: usize = 1024;
/// Largest frame taken from a server: a 16 MiB payload as base64, with room to spare.
const FRAME_BYTES_MAX: usize = 64 << 20;

/// Longest wait for the other side's last words once nothing can be written any more.
const GOODBYE: Duration = Duration::from_secs(1);

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;
type Slot = oneshot::Sender<Result<Box<RawValue>, RequestError>>;

/// A connection to a Trunkline server, cheap to clone.
///
/// Many requests may be in flight; they reach the server in the order in which they were
/// started. When the last clone and the [`Pushes`] are gone, so is the connection.
#[derive(Clone, Debug)]
pub struct Client {
    shared: Arc<Shared>,
    outgoing: mpsc::Sender<BytesMut>,
    room: Arc<Semaphore>,
}

#[derive(Debug, Default)]
pub(super) struct Shared {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    next_id: u64,
    waiting: HashMap<u64, Slot>,
    lost: Option<Arc<str>>,
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
        let url = target.to_string();
        let socket = match timeout(target.connect_timeout, open(target)).await {
            Ok(Ok(socket)) => socket,
            Ok(Err(error)) => return Err(connect_error(url, error)),
            Err(_) => {
                let seconds = target.connect_timeout.as_secs();
                return Err(ConnectError::TimedOut { url, seconds });
            }
        };
        let (sink, stream) = socket.split();
        let shared = Arc::new(Shared::default());
        let (outgoing, frames) = mpsc::channel(OUTGOING_MAX);
        let (pushes, queue) = mpsc::channel(Pushes::WAITING_MAX);
        let writer = tokio::spawn(write(sink, frames));
        let reader = tokio::spawn(read(stream, Arc::clone(&shared), pushes));
        tokio::spawn(end_together(writer, reader, Arc::clone(&shared)));
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
        let room = room.acquire_owned().await.map_err(|_| self.lost())?;
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
        self.outgoing.send(frame).await.map_err(|_| self.lost())
    }

    fn lost(&self) -> RequestError {
        RequestError::Lost(self.shared.loss())
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
        Poll::Ready(answer.unwrap_or_else(|_| Err(RequestError::Lost(self.shared.loss()))))
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn expect_answer(&self, slot: Slot) -> Result<u64, RequestError> {
        let mut state = self.lock();
        if let Some(reason) = &state.lost {
            return Err(RequestError::Lost(Arc::clone(reason)));
        }
        state.next_id += 1;
        let id = state.next_id;
        state.waiting.insert(id, slot);
        Ok(id)
    }

    fn settle(&self, answer: &Answer<'_>) {
        let slot = answer
            .id
            .as_u64()
            .and_then(|id| self.lock().waiting.remove(&id));
        let Some(slot) = slot else { return };
        let unreadable = |why: String| RequestError::Unreadable(why.into());
        let outcome = match answer.outcome {
            Outcome::Result(result) => Ok(result.to_owned()),
            Outcome::Error(error) => Err(match serde_json::from_str::<RpcError>(error.get()) {
                Ok(error) => RequestError::Answer(error),
                Err(error) => unreadable(error.to_string()),
            }),
            ref malformed => Err(unreadable(format!("{malformed:?}"))),
        };
        // Whoever asked may have lost interest.
        let _ = slot.send(outcome);
    }

    /// Ends every request in flight; the first reason stays.
    fn lose(&self, reason: Arc<str>) {
        let mut state = self.lock();
        state.lost.get_or_insert(reason);
        state.waiting.clear();
    }

    pub(super) fn loss(&self) -> Arc<str> {
        let lost = self.lock().lost.clone();
        lost.unwrap_or_else(|| "the connection was closed".into())
    }
}

async fn open(target: &Target) -> Result<Socket, tokio_websockets::Error> {
    let mut builder = ClientBuilder::from_uri(target.uri().clone())
        .limits(Limits::default().max_payload_len(Some(FRAME_BYTES_MAX)));
    if let Some(authorization) = target.authorization() {
        builder = builder.add_header(AUTHORIZATION, authorization.clone())?;
    }
    let (socket, _) = builder.connect().await?;
    let MaybeTlsStream::Plain(stream) = socket.get_ref();
    stream.set_nodelay(true)?;
    Ok(socket)
}

fn connect_error(url: String, error: tokio_websockets::Error) -> ConnectError {
    use tokio_websockets::{Error, upgrade};
    match error {
        Error::Upgrade(upgrade::Error::DidNotSwitchProtocols(status)) => {
            ConnectError::NotAWebSocket { url, status }
        }
        Error::Io(error) if error.kind() == std::io::ErrorKind::ConnectionRefused => {
            ConnectError::Unreachable {
                url,
                reason: "nothing listens there; start a server with `trunkline serve`".to_owned(),
            }
        }
        other => ConnectError::Unreachable {
            url,
            reason: other.to_string(),
        },
    }
}

/// Writes frames; those that wait together leave in one write.
async fn write(
    mut sink: SplitSink<Socket, Message>,
    mut frames: mpsc::Receiver<BytesMut>,
) -> Arc<str> {
    let mut ready = Vec::new();
    while frames.recv_many(&mut ready, OUTGOING_MAX).await > 0 {
        for frame in ready.drain(..) {
            if let Err(error) = sink.feed(Message::text(frame)).await {
                return error.to_string().into();
            }
        }
        if let Err(error) = sink.flush().await {
            return error.to_string().into();
        }
    }
    // Every client is gone: a clean goodbye, if the other side still listens.
    let _ = sink.close().await;
    "the connection was closed".into()
}

async fn read(
    mut stream: SplitStream<Socket>,
    shared: Arc<Shared>,
    pushes: mpsc::Sender<Push>,
) -> Arc<str> {
    loop {
        let message = match stream.next().await {
            Some(Ok(message)) => message,
            Some(Err(error)) => return error.to_string().into(),
            None => return "the server closed the connection".into(),
        };
        if let Some((code, reason)) = message.as_close() {
            return closed_by_server(u16::from(code), reason);
        }
        let Some(text) = message.as_text() else {
            continue;
        };
        let items = match parse_text(text, &trunkline_jsonrpc::Limits::default()) {
            Ok(Incoming::Single(item)) => vec![item],
            Ok(Incoming::Batch(items)) => items,
            Err(error) => return format!("the server sent what is not JSON-RPC: {error}").into(),
        };
        for item in items {
            match item {
                Item::Answer(answer) => shared.settle(&answer),
                // Nobody takes pushes any more: they are meant for nobody then.
                Item::Request(request) => drop(pushes.send(push(request)).await),
                _ => {}
            }
        }
    }
}

fn push(request: Request<'_>) -> Push {
    Push {
        id: request.id.map(Id::to_owned_id),
        method: request.method.into_owned(),
        params: request.params.map(ToOwned::to_owned),
        meta: request.meta.map(ToOwned::to_owned),
    }
}

fn closed_by_server(code: u16, reason: &str) -> Arc<str> {
    match (code, reason) {
        (1001, _) => "the server is shutting down".into(),
        (1009, _) => "a message was larger than the server takes (close code 1009)".into(),
        (code, "") => format!("the server closed the connection (close code {code})").into(),
        (code, reason) => format!("the server closed the connection: {reason} ({code})").into(),
    }
}

/// Neither half outlives the other, and every request in flight hears about the end.
async fn end_together(
    mut writer: tokio::task::JoinHandle<Arc<str>>,
    mut reader: tokio::task::JoinHandle<Arc<str>>,
    shared: Arc<Shared>,
) {
    let reason = tokio::select! {
        reason = &mut reader => reason,
        // What the server said last explains a failed write better than the write does.
        written = &mut writer => timeout(GOODBYE, &mut reader).await.unwrap_or(written),
    };
    shared.lose(reason.unwrap_or_else(|error| error.to_string().into()));
    reader.abort();
    writer.abort();
}
