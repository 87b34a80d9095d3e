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

    /// Nobody wants the answer any more: what the server doesn't know yet, or would be asked again,
    /// is forgotten. The connection on which the server is to be told, if it knows.
    pub(super) fn cancel(&mut self, id: u64) -> Option<u64> {
        let sent = self.waiting.get(&id)?.sent.is_some();
        match self.link {
            Link::Up(connection) if sent => return Some(connection),
            Link::Up(_) | Link::Down => {
                self.waiting.remove(&id);
            }
            Link::Over(_) => {}
        }
        None
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

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::sync::oneshot::{Receiver, error::TryRecvError};

    const MINUTE: Duration = Duration::from_secs(60);

    /// Requests, the answers to which are watched.
    struct Table {
        requests: Requests<()>,
        answers: HashMap<u64, Receiver<Answered>>,
    }

    impl Table {
        fn new() -> Self {
            Self {
                requests: Requests::new(),
                answers: HashMap::new(),
            }
        }

        fn ask(&mut self, id: u64, again: Again) -> bool {
            let (slot, answer) = oneshot::channel();
            self.answers.insert(id, answer);
            let request = Request {
                id,
                frame: Bytes::from(id.to_string()),
                again,
                slot: Slot::Caller(slot),
                room: None,
            };
            self.requests.ask(request).is_ok()
        }

        /// What the writer writes now.
        fn written(&mut self, now: Instant) -> Vec<String> {
            let mut frames = Vec::new();
            self.requests.take(now, &mut frames);
            let text = |frame: &Bytes| String::from_utf8(frame.to_vec()).unwrap();
            frames.iter().map(text).collect()
        }

        fn tell(failed: Vec<Failed<()>>) {
            for (slot, error) in failed {
                if let Slot::Caller(slot) = slot {
                    let _ = slot.send(Err(error));
                }
            }
        }

        fn down(&mut self, loss: &Loss) {
            let failed = self.requests.down(loss);
            Self::tell(failed);
        }

        /// The ids that have failed by now.
        fn failed(&mut self) -> Vec<u64> {
            let failed =
                |answer: &mut Receiver<_>| !matches!(answer.try_recv(), Err(TryRecvError::Empty));
            let mut ids: Vec<u64> = self
                .answers
                .iter_mut()
                .filter_map(|(id, answer)| failed(answer).then_some(*id))
                .collect();
            ids.sort_unstable();
            self.answers.retain(|id, _| !ids.contains(id));
            ids
        }
    }

    #[test]
    fn what_is_lost_with_a_connection_depends_on_what_it_is_and_whether_it_was_sent() {
        let now = Instant::now();
        let mut table = Table::new();
        assert!(!table.ask(1, Again::Never), "there is no connection yet");
        assert!(table.ask(2, Again::IfUnsent) && table.ask(3, Again::Within(MINUTE)));
        assert_eq!(table.requests.up(), 1);
        assert_eq!(table.written(now), ["2", "3"]);
        for (id, again) in [
            (4, Again::Never),
            (5, Again::IfUnsent),
            (6, Again::Within(MINUTE)),
        ] {
            assert!(table.ask(id, again));
        }
        assert!(table.requests.tell(1, Bytes::from("told")));
        table.failed();
        table.down(&Loss::of("cut"));
        assert_eq!(table.failed(), [2, 4]);
        assert!(!table.requests.tell(1, Bytes::from("late")));
        assert_eq!(table.requests.up(), 2);
        // Sent before, then what never was, and nothing that belonged to the lost connection.
        assert_eq!(table.written(now), ["3", "5", "6"]);
        assert!(table.requests.settle(3, false).is_some());
        assert!(table.requests.settle(3, false).is_none());
        assert_eq!(table.requests.in_flight(), 2);
        assert_eq!(table.requests.queued_bytes(), 0);
    }

    #[test]
    fn order_is_kept_over_many_connections() {
        let now = Instant::now();
        let mut table = Table::new();
        table.requests.up();
        let mut ids = 0..;
        for _ in 0..10 {
            for id in ids.by_ref().take(7) {
                table.ask(id, Again::Within(MINUTE));
            }
            table.written(now);
            table.down(&Loss::of("cut"));
            table.requests.up();
            let expected: Vec<String> = (0..ids.start).map(|id| id.to_string()).collect();
            assert_eq!(table.written(now), expected);
        }
    }

    #[test]
    fn what_was_sent_too_long_ago_is_not_sent_again() {
        let now = Instant::now();
        let mut table = Table::new();
        table.requests.up();
        table.ask(1, Again::Within(MINUTE));
        table.written(now);
        table.ask(2, Again::Within(MINUTE));
        table.down(&Loss::of("cut"));
        let loss = Loss::of("cut");
        Table::tell(
            table
                .requests
                .expire(now + MINUTE - Duration::from_nanos(1), &loss),
        );
        assert!(table.failed().is_empty());
        Table::tell(table.requests.expire(now + MINUTE, &loss));
        assert_eq!(table.failed(), [1]);
        table.requests.up();
        // The second was never sent, however long ago it was asked.
        assert_eq!(table.written(now + MINUTE), ["2"]);
    }

    #[test]
    fn what_the_server_refused_is_not_sent_again() {
        let mut table = Table::new();
        table.requests.up();
        table.ask(1, Again::Within(MINUTE));
        table.written(Instant::now());
        table.ask(2, Again::Within(MINUTE));
        table.down(&Loss::closed(1009, ""));
        assert_eq!(table.failed(), [1]);
        table.requests.up();
        assert_eq!(table.written(Instant::now()), ["2"]);
    }

    #[test]
    fn a_server_that_goes_leaves_repeatable_requests_to_the_next() {
        let now = Instant::now();
        let mut table = Table::new();
        table.requests.up();
        table.ask(1, Again::Within(MINUTE));
        table.ask(2, Again::IfUnsent);
        table.written(now);
        assert!(table.requests.settle(1, true).is_none());
        assert!(table.requests.settle(2, true).is_some());
        table.down(&Loss::of("gone"));
        table.requests.up();
        assert_eq!(table.written(now), ["1"]);
    }

    #[test]
    fn the_end_ends_everything_but_what_is_under_way() {
        let mut table = Table::new();
        table.requests.up();
        table.ask(1, Again::Within(MINUTE));
        Table::tell(table.requests.over(Loss::wanted()));
        assert_eq!(table.failed(), [1]);
        assert_eq!(table.written(Instant::now()), ["1"]);
        assert!(!table.ask(2, Again::IfUnsent));
        assert!(table.requests.over(Loss::of("again")).is_empty());
    }

    #[test]
    fn what_is_cancelled_is_not_sent_any_more() {
        let now = Instant::now();
        let mut table = Table::new();
        table.ask(1, Again::IfUnsent);
        assert_eq!(table.requests.cancel(1), None);
        assert_eq!(table.failed(), [1]);
        let connection = table.requests.up();
        table.ask(2, Again::Within(MINUTE));
        assert_eq!(table.written(now), ["2"]);
        // Its answer is still to come, so it stays.
        assert_eq!(table.requests.cancel(2), Some(connection));
        assert_eq!(table.requests.in_flight(), 1);
        table.down(&Loss::of("cut"));
        assert_eq!(table.requests.cancel(2), None);
        table.requests.up();
        assert!(table.written(now).is_empty());
        assert_eq!(table.requests.cancel(7), None, "it was answered");
    }

    #[test]
    fn seats_come_first() {
        let mut table = Table::new();
        table.ask(1, Again::IfUnsent);
        table.requests.up();
        let seat = |id: u64| Request {
            id,
            frame: Bytes::from(id.to_string()),
            again: Again::Never,
            slot: Slot::Seat(()),
            room: None,
        };
        table.requests.ask_first(vec![seat(2), seat(3)]);
        assert_eq!(table.written(Instant::now()), ["2", "3", "1"]);
        assert!(matches!(
            table.requests.settle(2, false),
            Some(Slot::Seat(()))
        ));
    }
}
