//! One WebSocket connection: one task that reads what is there, lets [`Connection`] act on it,
//! and writes what has gathered in one go.

mod ending;
mod health;
mod wire;

use crate::{
    dispatch::{Connection, Frame},
    shared::{Phase, Shared},
};
use ending::Ending;
use futures_util::{Sink, Stream};
use health::{Health, Verdict};
use std::{
    future::poll_fn,
    net::SocketAddr,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, Waker},
};
use tokio::{
    net::TcpStream,
    time::{Instant, MissedTickBehavior},
};
use tokio_websockets::{CloseCode, Limits, Message, ServerBuilder, WebSocketStream};
use trunkline_model::Protocol;

pub(crate) use wire::Wire;

/// Frames that are acted on before anything is written and anybody else's turn comes: few at
/// first, so that whoever gets work from them begins early, twice as many every time until
/// nothing is left to read.
const FRAMES_AT_FIRST: usize = 48;
/// Most of them.
const FRAMES_AT_ONCE: usize = 128;
/// The same in bytes.
const BYTES_AT_ONCE: usize = 1 << 20;

/// Serves a WebSocket until it ends.
pub(crate) async fn run(shared: Arc<Shared>, wire: Wire<TcpStream>, peer: SocketAddr) {
    let limits = Limits::default().max_payload_len(Some(shared.config.limits.message_bytes()));
    let caller = shared.caller(Protocol::WebSocket, peer);
    let id = caller.connection;
    tracing::debug!(connection = id.0, %peer, "session begins");
    let connection = Connection::new(shared.clone(), caller.clone());
    shared.join(&caller, connection.wake().clone());
    let mut session = Session {
        socket: ServerBuilder::new().limits(limits).serve(wire),
        health: Health::new(&shared.config),
        connection,
        frames: Vec::new(),
        frames_max: FRAMES_AT_FIRST,
        ended: None,
        shared: shared.clone(),
    };
    let ending = session.converse().await;
    // What was asked before the end, and is answered already, is still said.
    session.connection.collect(session.socket.get_mut().out());
    shared.leave(&caller);
    tracing::debug!(connection = id.0, %peer, ?ending, "session ends");
    // Deliveries go back and calls end now, not when the peer has agreed to part.
    drop(session.connection);
    ending::part(session.socket, ending).await;
}

struct Session {
    shared: Arc<Shared>,
    socket: WebSocketStream<Wire<TcpStream>>,
    connection: Connection,
    health: Health,
    /// Frames that were read and not acted on; empty between turns.
    frames: Vec<Message>,
    /// How many are taken at once.
    frames_max: usize,
    /// Why nothing will come after those frames.
    ended: Option<Ending>,
}

impl Session {
    async fn converse(&mut self) -> Ending {
        let wake = self.connection.wake().clone();
        let mut looks = tokio::time::interval(self.health.period());
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut looked_at = Instant::now();
        loop {
            self.connection.collect(self.socket.get_mut().out());
            if let Some(ending) = self.must_end() {
                return ending;
            }
            if self.connection.handed_on() && self.frames_max > FRAMES_AT_FIRST {
                // Whoever got work from these frames is next on this thread; another thread may
                // go on meanwhile with what is left to read here. It is woken for that: not worth
                // it if nothing is.
                tokio::task::yield_now().await;
            }
            let over = tokio::select! {
                biased;
                () = poll_fn(|cx| self.poll_move(cx)) => self.act(),
                () = wake.woken() => None,
                now = looks.tick() => {
                    let elapsed = now - looked_at;
                    looked_at = now;
                    self.look(elapsed)
                }
            };
            if let Some(ending) = over {
                return ending;
            }
        }
    }

    /// Writes what the socket takes and reads what is there; ready if either was something.
    fn poll_move(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let wrote = self.poll_write(cx);
        let read = self.poll_read(cx);
        if wrote || read {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    }

    fn poll_write(&mut self, cx: &mut Context<'_>) -> bool {
        let wire = self.socket.get_mut();
        match wire.poll_write_out(cx) {
            Poll::Ready(Ok(0)) | Poll::Pending => false,
            Poll::Ready(Ok(_)) => {
                let left = wire.out().left();
                self.health.taken();
                self.connection.written(left);
                true
            }
            Poll::Ready(Err(_)) => {
                self.ended = Some(Ending::PeerLeft);
                true
            }
        }
    }

    /// Nothing is read while the outgoing buffer is full: a client that does not take its
    /// answers gets no new ones.
    fn poll_read(&mut self, cx: &mut Context<'_>) -> bool {
        let mut bytes = 0;
        while self.ended.is_none()
            && self.frames.len() < self.frames_max
            && bytes < BYTES_AT_ONCE
            && !self.socket.get_mut().out().is_full()
        {
            match Pin::new(&mut self.socket).poll_next(cx) {
                Poll::Pending => break,
                Poll::Ready(Some(Ok(message))) => {
                    bytes += message.as_payload().len();
                    self.frames.push(message);
                }
                Poll::Ready(Some(Err(error))) => self.ended = Some(Ending::of(&error)),
                Poll::Ready(None) => self.ended = Some(Ending::PeerLeft),
            }
        }
        if !self.frames.is_empty() {
            self.health.heard();
        }
        !self.frames.is_empty() || self.ended.is_some()
    }

    /// Acts on the frames that were read, in order.
    fn act(&mut self) -> Option<Ending> {
        let full = self.frames.len() == self.frames_max;
        self.frames_max = if full {
            (self.frames_max * 2).min(FRAMES_AT_ONCE)
        } else {
            FRAMES_AT_FIRST
        };
        let out = self.socket.get_mut().out();
        for message in self.frames.drain(..) {
            if message.is_text() {
                self.connection.receive(Frame::Message(&message), out);
            } else if message.is_binary() {
                return Some(Ending::Close(
                    CloseCode::UNSUPPORTED_DATA,
                    "JSON-RPC is spoken here, in text frames",
                ));
            }
        }
        self.ended
    }

    /// Whether the session is to end by itself.
    fn must_end(&mut self) -> Option<Ending> {
        if self.connection.is_overrun() {
            let reason = "too slow for the channels that are listened to";
            return Some(Ending::Close(CloseCode::POLICY_VIOLATION, reason));
        }
        let closing = self.shared.phase() == Phase::Closing && self.connection.is_idle();
        closing.then_some(Ending::Close(
            CloseCode::GOING_AWAY,
            "the server is shutting down",
        ))
    }

    fn look(&mut self, elapsed: std::time::Duration) -> Option<Ending> {
        let full = self.socket.get_mut().out().is_full();
        match self.health.look(elapsed, full) {
            Verdict::Fine => None,
            Verdict::Ping => {
                self.ping();
                None
            }
            Verdict::Silent => {
                self.shared.counters.silent.add(1);
                let reason = "no answer to a ping";
                Some(Ending::Close(CloseCode::POLICY_VIOLATION, reason))
            }
            Verdict::Stalled => {
                self.shared.counters.stalled.add(1);
                tracing::info!("a client takes nothing of what is sent; disconnected");
                Some(Ending::Stalled)
            }
        }
    }

    /// Queues a ping; a connection that is quiet enough for one gives up its buffers.
    fn ping(&mut self) {
        self.frames = Vec::new();
        self.connection.rest();
        self.socket.get_mut().out().rest();
        let mut context = Context::from_waker(Waker::noop());
        // A wire takes everything at once; it fails only on a socket that is closed already, and
        // then reading says so.
        let mut socket = Pin::new(&mut self.socket);
        if socket.as_mut().start_send(Message::ping("")).is_ok() {
            let _ = socket.poll_flush(&mut context);
        }
    }
}
