//! Requests in flight and frames to be sent: what becomes of them when a connection is lost.
//! Pure: knows no socket and no clock.

use super::{RequestError, loss::Loss, room::Held};
use bytes::Bytes;
use serde_json::value::RawValue;
use std::{
    collections::{HashMap, VecDeque},
    time::Duration,
};
use tokio::{sync::oneshot, time::Instant};

/// How a request ended.
pub(super) type Answered = Result<Box<RawValue>, RequestError>;

/// Bytes that the writer takes at once: what it has taken counts as sent.
const TAKEN_AT_ONCE: usize = 256 << 10;

/// What may be done with a request whose connection is lost before its answer came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Again {
    /// It means something on this connection only.
    Never,
    /// It may be sent on the next connection if it was not sent on this one.
    IfUnsent,
    /// It may be sent as often as it takes, if the first time was not longer ago than this.
    Within(Duration),
}

/// Who takes the answer.
#[derive(Debug)]
pub(super) enum Slot<S> {
    /// Somebody who waits for it.
    Caller(oneshot::Sender<Answered>),
    /// A place on the connection (consumer, listener, worker), by its number.
    Seat(S),
    /// Nobody.
    Nobody,
}

/// A request and what is kept of it until it is answered.
#[derive(Debug)]
pub(super) struct Request<S> {
    pub(super) id: u64,
    pub(super) frame: Bytes,
    pub(super) again: Again,
    pub(super) slot: Slot<S>,
    /// What it takes of the bounds on requests in flight; given back with the answer.
    pub(super) room: Option<Held>,
}

#[derive(Debug)]
struct Waiting<S> {
    slot: Slot<S>,
    again: Again,
    /// To be sent again; empty if it never is.
    frame: Bytes,
    /// When the writer first took it.
    sent: Option<Instant>,
    _room: Option<Held>,
}

/// A frame in the queue.
#[derive(Debug)]
enum Frame {
    /// Of the request with that id.
    Request(u64, Bytes),
    /// Answers and notifications: they mean something on this connection only.
    Bound(Bytes),
}

/// Whether frames can be sent.
#[derive(Clone, Debug)]
pub(super) enum Link {
    /// On the connection with that number.
    Up(u64),
    /// Not now.
    Down,
    /// Never again.
    Over(Loss),
}

/// A request that ended without an answer of its own.
pub(super) type Failed<S> = (Slot<S>, RequestError);

/// The requests of a client over all its connections.
#[derive(Debug)]
pub(super) struct Requests<S> {
    link: Link,
    connections: u64,
    waiting: HashMap<u64, Waiting<S>>,
    queue: VecDeque<Frame>,
    queued_bytes: usize,
}

impl<S> Requests<S> {
    pub(super) fn new() -> Self {
        Self {
            link: Link::Down,
            connections: 0,
            waiting: HashMap::new(),
            queue: VecDeque::new(),
            queued_bytes: 0,
        }
    }

    pub(super) fn link(&self) -> &Link {
        &self.link
    }

    /// Whether `connection` is the one that is up.
    pub(super) fn is_up(&self, connection: u64) -> bool {
        matches!(self.link, Link::Up(now) if now == connection)
    }

    /// Requests without an answer.
    pub(super) fn in_flight(&self) -> usize {
        self.waiting.len()
    }

    /// Bytes that wait for the writer.
    pub(super) fn queued_bytes(&self) -> usize {
        self.queued_bytes
    }

    /// Queues a request.
    ///
    /// # Errors
    /// There will be no connection any more, or, for one that means something on one connection
    /// only, there is none.
    pub(super) fn ask(&mut self, request: Request<S>) -> Result<(), RequestError> {
        match &self.link {
            Link::Over(loss) => return Err(loss.error()),
            Link::Down if request.again == Again::Never => {
                return Err(Loss::of("not connected").error());
            }
            Link::Up(_) | Link::Down => {}
        }
        let Request {
            id,
            frame,
            again,
            slot,
            room,
        } = request;
        let kept = match again {
            Again::Within(_) => frame.clone(),
            Again::Never | Again::IfUnsent => Bytes::new(),
        };
        let waiting = Waiting {
            slot,
            again,
            frame: kept,
            sent: None,
            _room: room,
        };
        self.waiting.insert(id, waiting);
        self.push(Frame::Request(id, frame));
        Ok(())
    }

    /// Queues an answer or a notification for `connection`; false if that is gone.
    pub(super) fn tell(&mut self, connection: u64, frame: Bytes) -> bool {
        let up = self.is_up(connection);
        if up {
            self.push(Frame::Bound(frame));
        }
        up
    }

    fn push(&mut self, frame: Frame) {
        self.queued_bytes += frame.bytes().len();
        self.queue.push_back(frame);
    }

    /// Takes frames to be written, and notes their requests as sent.
    pub(super) fn take(&mut self, now: Instant, into: &mut Vec<Bytes>) {
        let mut taken = 0;
        while taken < TAKEN_AT_ONCE
            && let Some(frame) = self.queue.pop_front()
        {
            taken += frame.bytes().len();
            match frame {
                Frame::Bound(bytes) => into.push(bytes),
                Frame::Request(id, bytes) => match self.waiting.get_mut(&id) {
                    Some(waiting) => {
                        waiting.sent.get_or_insert(now);
                        into.push(bytes);
                    }
                    // Nobody waits for it, but who asked for it went without taking it back.
                    None if matches!(self.link, Link::Over(_)) => into.push(bytes),
                    // It was given up.
                    None => {}
                },
            }
        }
        self.queued_bytes -= taken;
    }

    /// Takes whoever waits for the answer with that id. `refused_for_now`: the answer says that
    /// nothing was done because the server shuts down; a request that may be sent again then
    /// stays, for the next connection.
    pub(super) fn settle(&mut self, id: u64, refused_for_now: bool) -> Option<Slot<S>> {
        if refused_for_now
            && let Some(waiting) = self.waiting.get(&id)
            && matches!(waiting.again, Again::Within(_))
        {
            return None;
        }
        self.waiting.remove(&id).map(|waiting| waiting.slot)
    }

    /// There is a connection: gives it a number. Seats are taken first, then comes what is to be
    /// sent again, in the order in which it was first asked, then what was never sent.
    pub(super) fn up(&mut self) -> u64 {
        self.connections += 1;
        self.link = Link::Up(self.connections);
        self.connections
    }

    /// Queues a request in front of all others: seats come first.
    pub(super) fn ask_first(&mut self, requests: Vec<Request<S>>) {
        for request in requests.into_iter().rev() {
            self.queued_bytes += request.frame.len();
            self.queue
                .push_front(Frame::Request(request.id, request.frame));
            let waiting = Waiting {
                slot: request.slot,
                again: request.again,
                frame: Bytes::new(),
                sent: None,
                _room: request.room,
            };
            self.waiting.insert(request.id, waiting);
        }
    }

    /// The connection is lost: what can't be sent again fails, the rest is queued again.
    pub(super) fn down(&mut self, loss: &Loss) -> Vec<Failed<S>> {
        self.link = Link::Down;
        let lost: Vec<u64> = self
            .waiting
            .iter()
            .filter(|(_, waiting)| match waiting.again {
                Again::Never => true,
                Again::IfUnsent => waiting.sent.is_some(),
                // Sent again, it would be refused again.
                Again::Within(_) => waiting.sent.is_some() && loss.is_refusal(),
            })
            .map(|(id, _)| *id)
            .collect();
        let failed = self.fail(lost, &loss.error());
        let mut again: Vec<(u64, Bytes)> = self
            .waiting
            .iter()
            .filter(|(_, waiting)| waiting.sent.is_some())
            .map(|(id, waiting)| (*id, waiting.frame.clone()))
            .collect();
        again.sort_unstable_by_key(|(id, _)| *id);
        let unsent = std::mem::take(&mut self.queue);
        self.queued_bytes = 0;
        for (id, frame) in again {
            self.push(Frame::Request(id, frame));
        }
        for frame in unsent {
            if let Frame::Request(id, _) = &frame
                && self.waiting.contains_key(id)
            {
                self.push(frame);
            }
        }
        failed
    }

    /// Fails what was first sent so long ago that it must not be sent again.
    pub(super) fn expire(&mut self, now: Instant, loss: &Loss) -> Vec<Failed<S>> {
        if matches!(self.link, Link::Up(_)) {
            return Vec::new();
        }
        let late: Vec<u64> = self
            .waiting
            .iter()
            .filter(|(_, waiting)| match (waiting.again, waiting.sent) {
                (Again::Within(limit), Some(sent)) => now.duration_since(sent) >= limit,
                _ => false,
            })
            .map(|(id, _)| *id)
            .collect();
        self.fail(late, &loss.error())
    }

    /// There will be no connection any more: every request ends. What is queued for the
    /// connection that is up may still be taken.
    pub(super) fn over(&mut self, loss: Loss) -> Vec<Failed<S>> {
        if let Link::Over(_) = self.link {
            return Vec::new();
        }
        let all = self.waiting.keys().copied().collect();
        let failed = self.fail(all, &loss.error());
        self.link = Link::Over(loss);
        failed
    }

    /// In the order in which they were asked.
    fn fail(&mut self, mut ids: Vec<u64>, error: &RequestError) -> Vec<Failed<S>> {
        ids.sort_unstable();
        ids.iter()
            .filter_map(|id| self.waiting.remove(id))
            .map(|waiting| (waiting.slot, error.clone()))
            .collect()
    }
}

impl Frame {
    fn bytes(&self) -> &Bytes {
        match self {
            Self::Request(_, bytes) | Self::Bound(bytes) => bytes,
        }
    }
}
