//! Channels: publishing, and listening as a stream.

use super::{
    Client, RequestError,
    loss::Loss,
    message::Message as Outgoing,
    requests::{Again, Answered},
    router::Router,
    seat::{Refused, Seat},
    shared::{Name, Shared},
    stored::read_payload,
};
use bytes::Bytes;
use futures_util::Stream;
use serde::{Deserialize, Serialize, Serializer, de::DeserializeOwned, ser::SerializeMap};
use serde_json::value::RawValue;
use std::{
    collections::VecDeque,
    fmt,
    future::IntoFuture,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Waker},
    time::Duration,
};
use tokio::{sync::oneshot, time::Instant};
use trunkline_jsonrpc::{PayloadMembers, Text, present};

/// Events that wait to be taken, unless told otherwise.
const BUFFER: usize = 1_000;

/// A message that a [`Listener`] heard.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ChannelMessage {
    /// Where it was published.
    pub channel: String,
    /// The pattern by which it was heard; `None` if by the channel's name.
    pub pattern: Option<String>,
    /// Its body. JSON is the text that was published.
    pub payload: Bytes,
    /// Media type of the body.
    pub content_type: String,
}

impl ChannelMessage {
    /// Reads a JSON payload.
    ///
    /// # Errors
    /// It is no JSON, or doesn't fit `T`.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, serde_json::Error> {
        serde_json::from_slice(&self.payload)
    }

    /// The payload as text.
    ///
    /// # Errors
    /// It is not UTF-8.
    pub fn text(&self) -> Result<&str, std::str::Utf8Error> {
        str::from_utf8(&self.payload)
    }
}

/// What a [`Listener`] hears.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ListenerEvent {
    /// A message.
    Message(ChannelMessage),
    /// So many messages were left out here: this listener, or its connection, was too slow.
    Dropped(u64),
    /// Messages may be missed from here on: the connection, or what is behind it, was lost.
    Lost,
    /// Nothing is missed any more from here on.
    Active {
        /// How long messages may have been missed.
        gap: Duration,
    },
}

/// Makes a [`Listener`]: from [`Client::listen`]; name channels or patterns, then await it.
#[derive(Debug)]
#[must_use = "nothing is heard until it is awaited"]
pub struct Listen {
    client: Client,
    names: Names,
    buffer: usize,
}

#[derive(Clone, Debug, Default, Serialize)]
struct Names {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    channels: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    patterns: Vec<String>,
}

/// What is published to channels while it listens: a stream of events. What is published while the
/// connection is lost is missed, and that is told: [`ListenerEvent::Lost`], then
/// [`ListenerEvent::Active`].
#[derive(Debug)]
pub struct Listener {
    client: Client,
    seat: Arc<ListenerSeat>,
}

/// A listener's place on the connection.
pub(super) struct ListenerSeat {
    number: u64,
    shared: Arc<Shared>,
    names: Names,
    buffer: usize,
    state: Mutex<Heard>,
}

#[derive(Debug, Default)]
struct Heard {
    connection: Option<u64>,
    events: VecDeque<ListenerEvent>,
    dropped: u64,
    lost_at: Option<Instant>,
    end: Option<Option<RequestError>>,
    /// Who waits for it to begin; absent once it has.
    first: Option<oneshot::Sender<Result<(), RequestError>>>,
    refusals: u32,
    waker: Option<Waker>,
}

struct Publish<'a> {
    channel: &'a str,
    message: &'a Outgoing,
}

impl Serialize for Publish<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let mut members = to.serialize_map(None)?;
        members.serialize_entry("channel", self.channel)?;
        self.message.put_payload(&mut members)?;
        members.end()
    }
}

impl Client {
    /// Publishes to a channel: whoever listens now gets it. How many listeners that were; `None`
    /// where the engine doesn't know. Of the message, payload and content type travel.
    ///
    /// # Errors
    /// [`RequestError`]. If the connection is lost meanwhile, it may have been heard or not; it is
    /// not sent again.
    pub async fn publish_channel(
        &self,
        channel: &str,
        message: impl Into<Outgoing>,
    ) -> Result<Option<u64>, RequestError> {
        #[derive(Deserialize)]
        struct Published {
            receivers: Option<u64>,
        }
        let message = &message.into();
        let params = Publish { channel, message };
        let published: Published = self
            .send_request("rpc.channel.publish", &params, Again::IfUnsent)
            .await?;
        Ok(published.receivers)
    }

    /// Listens to channels.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let server = trunkline::TestServer::start().await?;
    /// # let client = server.client().await?;
    /// use trunkline::ListenerEvent;
    ///
    /// let mut listener = client.listen().pattern("news.*").await?;
    /// client.publish_channel("news.today", "it works").await?;
    /// while let Some(event) = listener.try_next().await? {
    ///     if let ListenerEvent::Message(message) = event {
    ///         println!("{}: {}", message.channel, message.text()?);
    ///         break;
    ///     }
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn listen(&self) -> Listen {
        Listen {
            client: self.clone(),
            names: Names::default(),
            buffer: BUFFER,
        }
    }
}

impl Listen {
    /// Adds a channel by its name.
    pub fn channel(mut self, name: impl Into<String>) -> Self {
        self.names.channels.push(name.into());
        self
    }

    /// Adds channels by a pattern: a Redis glob, as in `news.*`.
    pub fn pattern(mut self, pattern: impl Into<String>) -> Self {
        self.names.patterns.push(pattern.into());
        self
    }

    /// Most events that wait to be taken, 1,000 by default; then the oldest is left out and counted.
    pub fn buffer(mut self, events: usize) -> Self {
        self.buffer = events.max(1);
        self
    }

    async fn start(self) -> Result<Listener, RequestError> {
        let shared = self.client.shared();
        let (first, begun) = oneshot::channel();
        let seat = Arc::new(ListenerSeat {
            number: shared.number(),
            shared: Arc::clone(shared),
            names: self.names,
            buffer: self.buffer,
            state: Mutex::new(Heard {
                first: Some(first),
                ..Heard::default()
            }),
        });
        let listener = Listener {
            seat: Arc::clone(&seat),
            client: self.client.clone(),
        };
        seat.sit()?;
        match begun.await {
            Ok(begun) => begun.map(|()| listener),
            Err(_) => Err(Loss::wanted().error()),
        }
    }
}

impl IntoFuture for Listen {
    type Output = Result<Listener, RequestError>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.start())
    }
}

impl Names {
    fn each(&self) -> impl Iterator<Item = Name> {
        let channels = self.channels.iter().cloned().map(Name::Channel);
        channels.chain(self.patterns.iter().cloned().map(Name::Pattern))
    }

    fn have(&self, message: &Message<'_>) -> bool {
        match &message.pattern {
            Some(pattern) => self.patterns.iter().any(|own| **own == **pattern),
            None => self.channels.iter().any(|own| **own == *message.channel),
        }
    }
}

impl Listener {
    /// The next event; `None` once the client is closed.
    ///
    /// # Errors
    /// The listener ended, once: the server refused it, or the client gave up connecting.
    pub async fn try_next(&mut self) -> Result<Option<ListenerEvent>, RequestError> {
        std::future::poll_fn(|cx| self.seat.poll(cx))
            .await
            .transpose()
    }

    /// The client that it belongs to.
    pub fn client(&self) -> &Client {
        &self.client
    }
}

impl Stream for Listener {
    type Item = Result<ListenerEvent, RequestError>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.seat.poll(cx)
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        let seat = &self.seat;
        seat.shared.leave(seat.number);
        let mut names = seat.shared.names();
        let mut gone = Names::default();
        for name in seat.names.each() {
            let Some(listeners) = names.get_mut(&name) else {
                continue;
            };
            *listeners -= 1;
            if *listeners > 0 {
                continue;
            }
            names.remove(&name);
            match name {
                Name::Channel(channel) => gone.channels.push(channel),
                Name::Pattern(pattern) => gone.patterns.push(pattern),
            }
        }
        let mut heard = seat.lock();
        heard.end = Some(None);
        let connection = heard.connection;
        drop(heard);
        let any = !gone.channels.is_empty() || !gone.patterns.is_empty();
        if let (true, Some(connection)) = (any, connection) {
            let params = serde_json::to_vec(&gone).expect("names are JSON");
            seat.shared
                .ask_for_nobody("rpc.channel.unsubscribe", &params, connection);
        }
    }
}

impl ListenerSeat {
    fn lock(&self) -> MutexGuard<'_, Heard> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn sit(self: Arc<Self>) -> Result<(), RequestError> {
        let shared = Arc::clone(&self.shared);
        let mut names = shared.names();
        for name in self.names.each() {
            *names.entry(name).or_default() += 1;
        }
        shared.sit(self)
    }

    pub(super) fn heard(&self, message: &Message<'_>) {
        if self.names.have(message) {
            self.push(self.lock(), ListenerEvent::Message(message.owned()));
        }
    }

    pub(super) fn told(&self, status: &Status) {
        let mut heard = self.lock();
        if let Some(dropped) = status.dropped {
            heard.dropped += dropped;
            return wake(heard);
        }
        let ours = |all: &[String], told: &[String]| all.iter().any(|own| told.contains(own));
        if !ours(&self.names.channels, &status.channels)
            && !ours(&self.names.patterns, &status.patterns)
        {
            return;
        }
        match &*status.state {
            "lost" => self.push(heard, ListenerEvent::Lost),
            "active" => {
                let gap = Duration::from_millis(status.gap_ms.unwrap_or_default());
                self.push(heard, ListenerEvent::Active { gap });
            }
            _ => {}
        }
    }

    fn push(&self, mut heard: MutexGuard<'_, Heard>, event: ListenerEvent) {
        if heard.events.len() >= self.buffer
            && let Some(ListenerEvent::Message(_)) = heard.events.pop_front()
        {
            heard.dropped += 1;
        }
        heard.events.push_back(event);
        wake(heard);
    }

    fn poll(&self, cx: &mut Context<'_>) -> Poll<Option<Result<ListenerEvent, RequestError>>> {
        let mut heard = self.lock();
        match std::mem::take(&mut heard.dropped) {
            0 => {}
            dropped => return Poll::Ready(Some(Ok(ListenerEvent::Dropped(dropped)))),
        }
        if let Some(event) = heard.events.pop_front() {
            return Poll::Ready(Some(Ok(event)));
        }
        match &mut heard.end {
            Some(reason) => Poll::Ready(reason.take().map(Err)),
            None => {
                heard.waker = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    }

    fn end(&self, error: Option<RequestError>) {
        let mut heard = self.lock();
        heard.connection = None;
        match heard.first.take() {
            // Whoever asked may have lost interest.
            Some(first) => {
                heard.end = Some(None);
                let error = error.unwrap_or_else(|| Loss::wanted().error());
                let _ = first.send(Err(error));
            }
            None => {
                heard.end.get_or_insert(error);
            }
        }
        wake(heard);
    }
}

impl Seat for ListenerSeat {
    fn number(&self) -> u64 {
        self.number
    }

    fn opening(&self) -> Option<(&'static str, Vec<u8>)> {
        if self.lock().end.is_some() {
            return None;
        }
        let params = serde_json::to_vec(&self.names).expect("names are JSON");
        Some(("rpc.channel.subscribe", params))
    }

    fn opened(self: Arc<Self>, connection: u64, answer: Answered, router: &mut Router) {
        let mut heard = self.lock();
        let error = match answer {
            Ok(_) => {
                router.add_listener(&self);
                heard.connection = Some(connection);
                heard.refusals = 0;
                if let Some(first) = heard.first.take() {
                    // Whoever asked may have lost interest.
                    let _ = first.send(Ok(()));
                } else if let Some(lost_at) = heard.lost_at.take() {
                    let gap = lost_at.elapsed();
                    self.push(heard, ListenerEvent::Active { gap });
                }
                return;
            }
            Err(error) => error,
        };
        match Refused::by(&error, heard.first.is_none()) {
            Refused::NextConnection => {}
            Refused::Later => {
                let refusals = heard.refusals;
                heard.refusals += 1;
                drop(heard);
                let shared = Arc::clone(&self.shared);
                shared.open_later(self, connection, refusals);
            }
            Refused::ForGood => {
                drop(heard);
                self.shared.leave(self.number);
                self.end(Some(error));
            }
        }
    }

    fn lost(&self, _: &Loss) {
        let mut heard = self.lock();
        heard.connection = None;
        if heard.first.is_none() && heard.lost_at.is_none() {
            heard.lost_at = Some(Instant::now());
            self.push(heard, ListenerEvent::Lost);
        }
    }

    fn over(&self, loss: &Loss) {
        self.end((!loss.is_wanted()).then(|| loss.error()));
    }
}

impl fmt::Debug for ListenerSeat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.names.fmt(f)
    }
}

fn wake(mut heard: MutexGuard<'_, Heard>) {
    let waker = heard.waker.take();
    drop(heard);
    if let Some(waker) = waker {
        waker.wake();
    }
}

/// `rpc.channel.message`.
pub(super) struct Message<'a> {
    channel: Text<'a>,
    pattern: Option<Text<'a>>,
    payload: Bytes,
    content_type: String,
}

impl<'a> Message<'a> {
    pub(super) fn read(params: &'a str) -> Result<Self, serde_json::Error> {
        #[derive(Deserialize)]
        struct Wire<'a> {
            #[serde(borrow)]
            channel: Text<'a>,
            #[serde(default, borrow)]
            pattern: Option<Text<'a>>,
            #[serde(default, borrow, deserialize_with = "present")]
            payload: Option<&'a RawValue>,
            #[serde(default, borrow)]
            payload_text: Option<Text<'a>>,
            #[serde(default, borrow)]
            payload_base64: Option<Text<'a>>,
            #[serde(default, borrow)]
            content_type: Option<Text<'a>>,
        }
        let wire: Wire<'a> = serde_json::from_str(params)?;
        let members = PayloadMembers {
            payload: wire.payload,
            payload_text: wire.payload_text,
            payload_base64: wire.payload_base64,
            content_type: wire.content_type,
        };
        let (payload, content_type) =
            read_payload(members).map_err(<serde_json::Error as serde::de::Error>::custom)?;
        Ok(Self {
            channel: wire.channel,
            pattern: wire.pattern,
            payload,
            content_type,
        })
    }

    fn owned(&self) -> ChannelMessage {
        ChannelMessage {
            channel: self.channel.to_string(),
            pattern: self.pattern.as_ref().map(|pattern| pattern.to_string()),
            payload: self.payload.clone(),
            content_type: self.content_type.clone(),
        }
    }
}

/// `rpc.channel.status`.
#[derive(Debug, Deserialize)]
pub(super) struct Status {
    #[serde(default)]
    channels: Vec<String>,
    #[serde(default)]
    patterns: Vec<String>,
    #[serde(default)]
    state: String,
    #[serde(default)]
    gap_ms: Option<u64>,
    #[serde(default)]
    dropped: Option<u64>,
}

impl Status {
    pub(super) fn read(params: &str) -> Result<Self, serde_json::Error> {
        serde_json::from_str(params)
    }
}
