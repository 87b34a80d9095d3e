//! One STOMP connection: one task that reads what is there, lets [`StompConnection`] act on it,
//! and writes what has gathered in one go. Whatever carries bytes will do.

use super::StompConnection;
use crate::shared::{Phase, Shared};
use bytes::{Buf, BytesMut};
use std::{
    future::poll_fn,
    mem::MaybeUninit,
    net::SocketAddr,
    pin::{Pin, pin},
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf},
    net::TcpStream,
    time::{Instant, Sleep, sleep_until, timeout},
};
use tokio_rustls::server::TlsStream;
use trunkline_model::{Protocol, Timestamp};
use trunkline_stomp::{CloseReason, Version};

/// Bytes that are read before they are acted on, something is written, and anybody else's turn
/// comes.
const READ_AT_ONCE: usize = 64 << 10;
/// Bytes that are not written yet beyond which nothing more is taken for a client or read from it.
pub(super) const UNSENT_MAX: usize = 1 << 20;
/// How long a client that stopped writing is waited for to get its last receipts.
const HALF_CLOSED_TIMEOUT: Duration = Duration::from_secs(2);
/// How long the peer may take to read our last words and to close its side.
const PARTING_TIMEOUT: Duration = Duration::from_secs(2);
/// A connection that was quiet for so long, twice at most, gives up the memory of its last burst.
const REST_AFTER: Duration = Duration::from_secs(10);

/// What carries a session's bytes.
pub(crate) trait Transport: AsyncRead + AsyncWrite + Unpin {
    /// Bytes that have left since the beginning, as far as writes don't tell: what takes more than
    /// it can pass on counts what it has passed on.
    fn left(&mut self) -> u64 {
        0
    }

    /// Gives up memory of a burst that is over.
    fn rest(&mut self) {}
}

impl Transport for TcpStream {}

impl Transport for TlsStream<TcpStream> {}

/// Why a session ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ending {
    /// The session is over: DISCONNECT or ERROR.
    Over,
    /// The peer has stopped writing and has its answers.
    PeerLeft,
    /// The peer is gone.
    Lost,
    /// It takes nothing: nothing can be said any more.
    Stalled,
}

/// Serves a connection until it ends, in no higher version than the best.
pub(crate) async fn serve<S: Transport>(
    shared: Arc<Shared>,
    stream: S,
    peer: SocketAddr,
    best: Version,
) {
    let caller = shared.caller(Protocol::Stomp, peer);
    let id = caller.connection.0;
    tracing::debug!(connection = id, %peer, "STOMP session begins");
    let mut settings = shared.config.stomp.session(shared.services.version);
    settings.versions.retain(|version| *version <= best);
    let now = shared.services.clock.now();
    let connection = StompConnection::new(shared.clone(), caller.clone(), settings, now);
    shared.join(&caller, connection.wake().clone());
    let mut session = Session {
        stream,
        connection,
        input: BytesMut::new(),
        held: false,
        out: BytesMut::new(),
        unflushed: false,
        stuck_since: None,
        read_end: None,
        draining: false,
        active: true,
        rest_at: None,
        shared: shared.clone(),
    };
    let ending = session.converse().await;
    shared.leave(&caller);
    tracing::debug!(connection = id, %peer, ?ending, "STOMP session ends");
    let Session {
        stream,
        connection,
        out,
        ..
    } = session;
    // Deliveries go back and calls end now, not when the peer has agreed to part.
    drop(connection);
    match ending {
        Ending::Over | Ending::PeerLeft => part(stream, &out).await,
        Ending::Lost | Ending::Stalled => {}
    }
}

/// Says what is left to say, and waits a moment for the peer to have read it.
pub(crate) async fn part<S>(mut stream: S, says: &[u8])
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let parting = async {
        if stream.write_all(says).await.is_err() {
            return;
        }
        if stream.shutdown().await.is_err() {
            return;
        }
        // A socket that is closed with unread bytes resets the connection, and the peer might
        // lose our last frame.
        let mut rest = vec![0; 16 << 10];
        while matches!(stream.read(&mut rest).await, Ok(count) if count > 0) {}
    };
    let _ = timeout(PARTING_TIMEOUT, parting).await;
}

struct Session<S> {
    shared: Arc<Shared>,
    stream: S,
    connection: StompConnection,
    /// The beginning of a frame, or what has to wait.
    input: BytesMut,
    /// Whether there may be whole frames in it.
    held: bool,
    /// What is to be written.
    out: BytesMut,
    /// Whether the stream may keep back something of what it took.
    unflushed: bool,
    /// Since when the stream takes nothing.
    stuck_since: Option<Instant>,
    /// When, and how, nothing more could be read.
    read_end: Option<(Instant, Ending)>,
    draining: bool,
    /// Whether anything was read or written since the last look.
    active: bool,
    /// When to look whether it is quiet.
    rest_at: Option<Instant>,
}

impl<S: Transport> Session<S> {
    async fn converse(&mut self) -> Ending {
        let wake = self.connection.wake().clone();
        let mut timer = pin!(sleep_until(Instant::now()));
        let mut armed = None;
        loop {
            self.gather();
            if let Some(ending) = self.ending() {
                return ending;
            }
            self.arm(timer.as_mut(), &mut armed);
            // The order matters: whoever was not read yet must not be taken for silent.
            tokio::select! {
                biased;
                () = poll_fn(|cx| self.poll_move(cx)) => self.act(),
                () = wake.woken() => {}
                () = timer.as_mut(), if armed.is_some() => {}
            }
            // The timer's turn never comes while there is always something to read.
            if armed.is_some_and(|at| at <= Instant::now()) {
                armed = None;
                if self.on_time() {
                    return Ending::Stalled;
                }
            }
        }
    }

    /// Takes what has completed and come, as far as there is room for it.
    fn gather(&mut self) {
        if !self.draining && self.shared.phase() == Phase::Closing {
            self.draining = true;
            self.connection.drain();
        }
        if self.out.len() < UNSENT_MAX {
            self.connection.collect();
            if self.held && self.connection.wants_input() {
                self.receive();
            }
        }
        let out = self.connection.take_output();
        if self.out.is_empty() {
            self.out = out;
        } else {
            self.out.extend_from_slice(&out);
        }
    }

    fn ending(&self) -> Option<Ending> {
        if let Some(reason) = self.connection.closing() {
            if matches!(reason, CloseReason::Error(_)) {
                self.shared.counters.stomp_errors.add(1);
            }
            return Some(Ending::Over);
        }
        let (since, ending) = self.read_end?;
        let waits = ending == Ending::PeerLeft
            && (self.held || !self.out.is_empty() || !self.connection.is_idle())
            && since.elapsed() < HALF_CLOSED_TIMEOUT;
        (!waits).then_some(ending)
    }

    /// Acts on what was read.
    fn act(&mut self) {
        if !self.input.is_empty() && self.connection.wants_input() {
            self.receive();
        }
    }

    fn receive(&mut self) {
        self.connection.receive(&mut self.input);
        self.held = !self.input.is_empty() && !self.connection.wants_input();
        if self.input.is_empty() {
            self.input = BytesMut::new();
        }
    }

    /// Writes what the stream takes and reads what is there; ready if either was something.
    fn poll_move(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let wrote = self.poll_write(cx);
        let read = self.poll_read(cx);
        if wrote || read {
            self.active = true;
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    }

    fn poll_write(&mut self, cx: &mut Context<'_>) -> bool {
        let mut wrote = false;
        let left = self.stream.left();
        while !self.out.is_empty() {
            match Pin::new(&mut self.stream).poll_write(cx, &self.out) {
                Poll::Ready(Ok(count)) if count > 0 => {
                    self.out.advance(count);
                    (wrote, self.unflushed) = (true, true);
                }
                Poll::Ready(_) => return self.lost(),
                Poll::Pending => break,
            }
        }
        if self.unflushed {
            match Pin::new(&mut self.stream).poll_flush(cx) {
                Poll::Ready(Ok(())) => {
                    self.unflushed = false;
                    wrote = true;
                }
                Poll::Ready(Err(_)) => return self.lost(),
                Poll::Pending => {}
            }
        }
        if self.out.is_empty() {
            self.out = BytesMut::new();
        }
        if wrote || self.stream.left() != left || !self.has_unsent() {
            self.stuck_since = None;
        }
        wrote
    }

    fn has_unsent(&self) -> bool {
        !self.out.is_empty() || self.unflushed
    }

    /// Nothing is read while much is unsent, or while the session has enough to do: a client that
    /// does not take its answers gets no new ones.
    fn poll_read(&mut self, cx: &mut Context<'_>) -> bool {
        if self.read_end.is_some() || self.out.len() >= UNSENT_MAX || !self.connection.wants_input()
        {
            return false;
        }
        // On the stack, so that a connection that waits for its client holds no buffer.
        let mut space = [MaybeUninit::uninit(); READ_AT_ONCE];
        let mut space = ReadBuf::uninit(&mut space);
        match Pin::new(&mut self.stream).poll_read(cx, &mut space) {
            Poll::Pending => false,
            Poll::Ready(Ok(())) if space.filled().is_empty() => {
                self.read_end = Some((Instant::now(), Ending::PeerLeft));
                true
            }
            Poll::Ready(Ok(())) => {
                self.input.extend_from_slice(space.filled());
                true
            }
            Poll::Ready(Err(_)) => self.lost(),
        }
    }

    fn lost(&mut self) -> bool {
        self.read_end = Some((Instant::now(), Ending::Lost));
        self.out = BytesMut::new();
        true
    }

    /// Has the timer fire at what is due next. One that fires early does no harm, so it is not set
    /// back whenever something is due later.
    fn arm(&mut self, timer: Pin<&mut Sleep>, armed: &mut Option<Instant>) {
        if self.active && self.rest_at.is_none() {
            self.rest_at = Some(Instant::now() + REST_AFTER);
        }
        if self.has_unsent() && self.stuck_since.is_none() {
            // From here on, unless the next write moves something.
            self.stuck_since = Some(Instant::now());
        }
        let due = self.connection.next_deadline().map(|at| self.instant(at));
        let stalled = self.stuck_since.map(|since| since + self.write_timeout());
        let left = self.read_end.map(|(since, _)| since + HALF_CLOSED_TIMEOUT);
        let next = [due, stalled, left, self.rest_at]
            .into_iter()
            .flatten()
            .min();
        if let Some(next) = next
            && armed.is_none_or(|at| next < at)
        {
            timer.reset(next);
            *armed = Some(next);
        }
    }

    /// Does what is due; whether the peer takes nothing.
    fn on_time(&mut self) -> bool {
        self.connection.on_time(self.out.len() < UNSENT_MAX);
        let now = Instant::now();
        if self.rest_at.is_some_and(|at| at <= now) {
            self.rest_at = self.active.then(|| now + REST_AFTER);
            if !self.active {
                self.connection.rest();
                self.stream.rest();
            }
            self.active = false;
        }
        let stalled = self
            .stuck_since
            .is_some_and(|since| since + self.write_timeout() <= now);
        if stalled {
            self.shared.counters.stalled.add(1);
            tracing::info!("a STOMP client takes nothing of what is sent; disconnected");
        }
        stalled
    }

    fn write_timeout(&self) -> Duration {
        self.shared.config.stomp.write_timeout.0
    }

    fn instant(&self, at: Timestamp) -> Instant {
        Instant::now() + at.since(self.shared.services.clock.now())
    }
}
