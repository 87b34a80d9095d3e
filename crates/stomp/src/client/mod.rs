//! The client's side of a connection, and what becomes of operations when it is lost.
//!
//! [`ClientSession`] is here with what the shell calls; what goes out is in `outgoing`, what comes
//! in is in `incoming`, how connections end is in `ending`.

mod effect;
mod ending;
mod error;
mod incoming;
mod operation;
mod outgoing;
mod settings;
mod subscriptions;

pub use effect::ClientEffect;
pub use error::{ClientError, ErrorCode, Lost};
pub use operation::{Acked, MessageTag, Operation, OperationId};
pub use settings::ClientSettings;

use crate::pulse::Pulse;
use crate::{Agreed, Command, Decoder, Version};
use bytes::BytesMut;
use compact_str::CompactString;
use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::time::Duration;
use subscriptions::Subscriptions;
use trunkline_model::Timestamp;

/// Beats go out after a third of the agreed time, and silence of three agreed times is too long.
const BEAT_MARGIN: u32 = 3;

/// A client of one server, over any number of connections, one after the other.
///
/// Operations wait while there is no connection, and one of them makes the session ask for one;
/// nothing else does. What becomes of each is told once, by [`ClientEffect::Done`] or
/// [`ClientEffect::Failed`]. When a connection is lost, everything unfinished fails, in the order
/// in which it was asked, and subscriptions are gone.
///
/// `now` may count from any moment; it must not go back.
pub struct ClientSession {
    settings: ClientSettings,
    link: Link,
    /// Whether a connection was ever asked for.
    began: bool,
    decoder: Decoder,
    left: usize,
    pulse: Pulse,
    /// When CONNECTED must have come.
    connected_by: Option<Timestamp>,
    version: Option<Version>,
    session: CompactString,
    /// Unfinished operations: in the order in which they were asked.
    operations: BTreeMap<u64, Unfinished>,
    /// Those that wait for the connection.
    waiting: VecDeque<(u64, Operation)>,
    waiting_bytes: usize,
    /// Those that wait for a RECEIPT.
    receipts: BTreeMap<CompactString, u64>,
    /// Those that wait to be written: in the output, and taken from it.
    unwritten: Vec<u64>,
    taken: Vec<u64>,
    taken_bytes: usize,
    subscriptions: Subscriptions,
    /// The number of the last message, and of the last one before this connection.
    messages: u64,
    messages_before: u64,
    next_operation: u64,
    next_receipt: u64,
    late_messages: u64,
    forgotten_messages: u64,
    out: BytesMut,
    effects: VecDeque<ClientEffect>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Link {
    None,
    /// A connection is asked for at this time.
    Waiting(Timestamp),
    Opening,
    /// CONNECT is sent.
    Greeting,
    Ready,
    /// DISCONNECT is sent.
    Leaving,
}

/// An operation that is not finished.
#[derive(Debug)]
struct Unfinished {
    command: Command,
    /// Of a SUBSCRIBE or UNSUBSCRIBE.
    key: CompactString,
}

/// Where it stands; what it has to write and to tell are the users' own.
impl fmt::Debug for ClientSession {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientSession")
            .field("peer", &self.settings.peer)
            .field("link", &self.link)
            .field("version", &self.version)
            .field("unfinished", &self.operations.len())
            .field("waiting_bytes", &self.waiting_bytes)
            .field("out_bytes", &self.out.len())
            .finish_non_exhaustive()
    }
}

impl ClientSession {
    /// A client; unless it is lazy, it wants a connection at once.
    #[must_use]
    pub fn new(settings: ClientSettings, now: Timestamp) -> Self {
        let mut session = Self {
            link: Link::None,
            began: false,
            decoder: Decoder::new(settings.frame.clone()),
            left: 0,
            pulse: Pulse::none(now),
            connected_by: None,
            version: None,
            session: CompactString::default(),
            operations: BTreeMap::new(),
            waiting: VecDeque::new(),
            waiting_bytes: 0,
            receipts: BTreeMap::new(),
            unwritten: Vec::new(),
            taken: Vec::new(),
            taken_bytes: 0,
            subscriptions: Subscriptions::default(),
            messages: 0,
            messages_before: 0,
            next_operation: 0,
            next_receipt: 0,
            late_messages: 0,
            forgotten_messages: 0,
            out: BytesMut::new(),
            effects: VecDeque::new(),
            settings,
        };
        if !session.settings.lazy {
            session.open();
        }
        session
    }

    /// Does an operation, or lets it wait for the connection.
    pub fn execute(&mut self, now: Timestamp, operation: Operation) -> OperationId {
        self.next_operation += 1;
        let id = self.next_operation;
        if let Err(error) = self.enqueue(now, id, operation) {
            self.operations.remove(&id);
            self.effects.push_back(ClientEffect::Failed {
                operation: OperationId(id),
                error,
            });
        }
        OperationId(id)
    }

    /// Says that the connection is made that [`ClientEffect::Open`] asked for.
    pub fn opened(&mut self, now: Timestamp) {
        if self.link != Link::Opening {
            return;
        }
        self.link = Link::Greeting;
        let timeout = self.settings.connection_timeout;
        self.connected_by = timeout.map(|span| now.after(span));
        self.decoder = Decoder::new(self.settings.frame.clone());
        self.left = 0;
        let wants = self.settings.heart_beat.wants_ms;
        let until_connected = Agreed {
            send_every: None,
            receive_every: (wants > 0).then(|| Duration::from_millis(wants)),
        };
        self.pulse = Pulse::new(now, until_connected, BEAT_MARGIN, BEAT_MARGIN);
        match self.write_connect() {
            Ok(()) => self.effects.push_back(ClientEffect::Connected),
            Err(error) => self.lose(now, error, true),
        }
    }

    /// Says that no connection could be made: all operations that wait for it fail.
    pub fn open_failed(&mut self, now: Timestamp, why: &str) {
        if self.link == Link::Opening {
            self.lose(now, self.cant_connect(why), false);
        }
    }

    /// Says that the connection has ended.
    pub fn lost(&mut self, now: Timestamp, lost: Lost) {
        if self.is_connected() {
            self.lose(now, lost.into(), false);
        }
    }

    /// Says that reading pauses because the user doesn't take messages: the server's silence is
    /// not its own then. To be said before every [`tick`](Self::tick) in that time.
    pub fn paused(&mut self, now: Timestamp) {
        self.pulse.on_received(now);
    }

    /// Takes frames out of what was read. What is left in `input` is the beginning of a frame:
    /// hand it in again with what is read next. A new connection begins with an empty one.
    pub fn receive(&mut self, now: Timestamp, input: &mut BytesMut) {
        if input.len() > self.left {
            self.pulse.on_received(now);
        }
        while self.is_connected() {
            match self.decoder.decode(input) {
                Ok(Some(frame)) => {
                    if let Err(error) = self.take(now, frame) {
                        self.lose(now, error, true);
                    }
                }
                Ok(None) => break,
                Err(error) => {
                    let error = ClientError::new(ErrorCode::UnexpectedData, error.to_string());
                    self.lose(now, error, true);
                }
            }
        }
        if !self.is_connected() {
            input.clear();
        }
        self.left = input.len();
    }

    /// Says that all output that was taken is written.
    pub fn written(&mut self) {
        self.taken_bytes = 0;
        for id in std::mem::take(&mut self.taken) {
            self.done(id, None);
        }
    }

    /// Closes the connection at once: unfinished operations fail, subscriptions are gone without
    /// a word. The next operation asks for a connection again.
    pub fn force_disconnect(&mut self) {
        if self.link != Link::None {
            self.close("Connection closed by client prematurely.");
        }
    }

    /// Like [`force_disconnect`](Self::force_disconnect), for a client that is not used any more.
    pub fn destroy(&mut self) {
        if self.link != Link::None {
            self.close("Client object destroyed prematurely.");
        }
    }

    /// Does what is due; see [`next_deadline`](Self::next_deadline).
    pub fn tick(&mut self, now: Timestamp) {
        if let Link::Waiting(at) = self.link
            && at <= now
        {
            self.open();
        }
        if !self.is_connected() {
            return;
        }
        if self.link == Link::Greeting && self.connected_by.is_some_and(|by| by <= now) {
            let error = self.cant_connect("no CONNECTED came in time");
            self.lose(now, error, true);
        } else if self.pulse.silence(now).is_some() {
            let error = ClientError::new(ErrorCode::ReadTimedOut, "Read timed out.");
            self.lose(now, error, true);
        } else if self.pulse.is_beat_due(now) {
            self.out.extend_from_slice(b"\n");
            self.pulse.on_sent(now);
        }
    }

    /// When to call [`tick`](Self::tick), unless something happens before.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Timestamp> {
        match self.link {
            Link::Waiting(at) => Some(at),
            Link::None | Link::Opening => None,
            Link::Greeting => [self.connected_by, self.pulse.next()]
                .into_iter()
                .flatten()
                .min(),
            Link::Ready | Link::Leaving => self.pulse.next(),
        }
    }

    /// What is to be written, in order. Say [`written`](Self::written) when it is.
    pub fn take_output(&mut self) -> BytesMut {
        self.taken.append(&mut self.unwritten);
        self.taken_bytes += self.out.len();
        self.out.split()
    }

    /// The next thing to do or to tell.
    pub fn next_effect(&mut self) -> Option<ClientEffect> {
        self.effects.pop_front()
    }

    /// How it behaves.
    #[must_use]
    pub fn settings(&self) -> &ClientSettings {
        &self.settings
    }

    /// From the next connection on.
    pub fn set_connection_timeout(&mut self, timeout: Option<Duration>) {
        self.settings.connection_timeout = timeout;
    }

    /// From the next operation on that finds no connection.
    pub fn set_reconnect_interval(&mut self, interval: Option<Duration>) {
        self.settings.reconnect_interval = interval;
    }

    /// Whether the server has accepted the login.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        matches!(self.link, Link::Ready | Link::Leaving)
    }

    /// Whether there is neither a connection nor one on its way.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.link == Link::None
    }

    /// Operations that are not finished.
    #[must_use]
    pub fn unfinished(&self) -> usize {
        self.operations.len()
    }

    /// Messages that came after the end of their subscription, and were dropped.
    #[must_use]
    pub fn late_messages(&self) -> u64 {
        self.late_messages
    }

    /// Messages that can't be acknowledged by themselves any more, because too many came.
    #[must_use]
    pub fn forgotten_messages(&self) -> u64 {
        self.forgotten_messages
    }

    /// Bytes of operations and frames that wait for the connection or to be written.
    pub(crate) fn unwritten_bytes(&self) -> usize {
        self.waiting_bytes + self.out.len() + self.taken_bytes
    }

    fn cant_connect(&self, why: &str) -> ClientError {
        let text = format!("Can't connect to {}: {why}", self.settings.peer);
        ClientError::new(ErrorCode::CantConnect, text)
    }

    fn is_connected(&self) -> bool {
        matches!(self.link, Link::Greeting | Link::Ready | Link::Leaving)
    }

    fn open(&mut self) {
        self.began = true;
        self.link = Link::Opening;
        self.effects.push_back(ClientEffect::Open);
    }

    fn done(&mut self, id: u64, receipt: Option<crate::Frame>) {
        // It may have failed meanwhile.
        if self.operations.remove(&id).is_some() {
            self.effects.push_back(ClientEffect::Done {
                operation: OperationId(id),
                receipt,
            });
        }
    }

    fn failed(&mut self, id: u64, error: ClientError) {
        if self.operations.remove(&id).is_some() {
            self.effects.push_back(ClientEffect::Failed {
                operation: OperationId(id),
                error,
            });
        }
    }
}
