//! What a client's handles, its connection and its supervisor have in common.

use super::{
    RequestError, State,
    loss::Loss,
    progress::ProgressQueue,
    requests::{Again, Answered, Failed, Link, Request, Requests, Slot},
    room::{Held, Room},
    seat::Seat,
};
use bytes::{Bytes, BytesMut};
use std::{
    collections::{BTreeMap, HashMap},
    fmt,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};
use tokio::{
    sync::{Notify, oneshot, watch},
    time::Instant,
};
use trunkline_jsonrpc::{OwnedId, encode_notification, encode_request};
use trunkline_model::Backoff;

/// Bytes waiting for the writer beyond which progress, which may be missed, is left out.
const QUEUED_FOR_PROGRESS_MAX: usize = 1 << 20;
/// Waits between attempts to take a seat that the server could not give.
const SEAT_AGAIN: Backoff = Backoff {
    min: Duration::from_millis(200),
    max: Duration::from_secs(5),
};

type Seated = Arc<dyn Seat>;

/// What a listener can listen to.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Name {
    Channel(String),
    Pattern(String),
}

/// A request that is encoded and counted; [`Shared::ask`] sends it.
#[derive(Debug)]
pub(super) struct Ready {
    pub(super) id: u64,
    frame: Bytes,
    room: Option<Held>,
}

pub(super) struct Shared {
    next: AtomicU64,
    desk: Mutex<Desk>,
    /// Wakes the writer.
    wake: Notify,
    /// Tells that an answer came, or that none will come any more.
    settled: Notify,
    room: Room,
    state: watch::Sender<State>,
    progress: Mutex<HashMap<u64, Arc<ProgressQueue>>>,
    /// Channels and patterns, and how many listeners have them.
    names: Mutex<HashMap<Name, usize>>,
    /// Largest frame that the server takes, in bytes.
    frame_bytes_max: AtomicUsize,
}

struct Desk {
    requests: Requests<Seated>,
    seats: BTreeMap<u64, Seated>,
    /// The writer is to send a ping.
    ping: bool,
}

/// What the writer does next.
#[derive(Debug)]
pub(super) enum Next {
    /// Write the frames that were put into the buffer, a ping behind them if so.
    Write { ping: bool },
    /// Nothing more will come: say goodbye.
    Close,
}

impl Shared {
    pub(super) fn new(requests_max: usize, bytes_max: usize) -> Self {
        Self {
            next: AtomicU64::new(1),
            desk: Mutex::new(Desk {
                requests: Requests::new(),
                seats: BTreeMap::new(),
                ping: false,
            }),
            wake: Notify::new(),
            settled: Notify::new(),
            room: Room::new(requests_max, bytes_max),
            state: watch::Sender::new(State::Connected),
            progress: Mutex::default(),
            names: Mutex::default(),
            frame_bytes_max: AtomicUsize::new(usize::MAX),
        }
    }

    fn desk(&self) -> MutexGuard<'_, Desk> {
        self.desk.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A number that was not given before: for requests and seats.
    pub(super) fn number(&self) -> u64 {
        self.next.fetch_add(1, Ordering::Relaxed)
    }

    /// Encodes a request and waits for room.
    pub(super) async fn prepare(
        &self,
        method: &str,
        params: Option<&[u8]>,
    ) -> Result<Ready, RequestError> {
        self.check_open()?;
        let (id, frame) = self.encode(method, params);
        let limit = self.frame_bytes_max.load(Ordering::Relaxed);
        if frame.len() > limit {
            let bytes = frame.len();
            return Err(RequestError::TooLarge { bytes, limit });
        }
        // Who waits must not wait for ever for what will not come any more.
        let room = tokio::select! {
            biased;
            room = self.room.take(frame.len()) => room,
            loss = self.ended() => return Err(loss.error()),
        };
        Ok(Ready {
            id,
            frame,
            room: Some(room),
        })
    }

    /// Encodes a request that takes no room: the number of those is bounded otherwise.
    pub(super) fn ready(&self, method: &str, params: Option<&[u8]>) -> Ready {
        let (id, frame) = self.encode(method, params);
        Ready {
            id,
            frame,
            room: None,
        }
    }

    fn encode(&self, method: &str, params: Option<&[u8]>) -> (u64, Bytes) {
        let id = self.number();
        let bytes = params.map_or(0, <[u8]>::len) + method.len() + 64;
        let mut frame = BytesMut::with_capacity(bytes);
        encode_request(&mut frame, OwnedId::from(id).as_id(), method, params, None);
        (id, frame.freeze())
    }

    /// Sends a request; its answer comes through the receiver. `on`: only on the connection with
    /// that number.
    pub(super) fn ask(
        &self,
        ready: Ready,
        again: Again,
        on: Option<u64>,
    ) -> Result<oneshot::Receiver<Answered>, RequestError> {
        let (slot, answer) = oneshot::channel();
        self.queue(ready, again, Slot::Caller(slot), on)?;
        Ok(answer)
    }

    /// Sends a request whose answer nobody wants; on the connection with that number only.
    pub(super) fn ask_for_nobody(&self, method: &str, params: &[u8], on: u64) {
        let ready = self.ready(method, Some(params));
        // What it was about went with the connection.
        let _ = self.queue(ready, Again::Never, Slot::Nobody, Some(on));
    }

    fn queue(
        &self,
        ready: Ready,
        again: Again,
        slot: Slot<Seated>,
        on: Option<u64>,
    ) -> Result<(), RequestError> {
        let Ready { id, frame, room } = ready;
        let mut desk = self.desk();
        if let Some(on) = on
            && !desk.requests.is_up(on)
        {
            return Err(match desk.requests.link() {
                Link::Over(loss) => loss.error(),
                Link::Up(_) | Link::Down => {
                    Loss::of("the connection that it belongs to is gone").error()
                }
            });
        }
        desk.requests.ask(Request {
            id,
            frame,
            again,
            slot,
            room,
        })?;
        drop(desk);
        self.wake.notify_one();
        Ok(())
    }

    /// Sends an answer or a notification on the connection with that number; false if it is gone.
    pub(super) fn tell(&self, connection: u64, frame: BytesMut) -> bool {
        let told = self.desk().requests.tell(connection, frame.freeze());
        self.wake.notify_one();
        told
    }

    /// Sends a notification that may be missed: it is left out while much waits to be written.
    pub(super) fn tell_if_idle(&self, connection: u64, method: &str, params: &[u8]) {
        let mut frame = BytesMut::with_capacity(params.len() + method.len() + 48);
        encode_notification(&mut frame, method, Some(params));
        let mut desk = self.desk();
        if desk.requests.queued_bytes() < QUEUED_FOR_PROGRESS_MAX {
            desk.requests.tell(connection, frame.freeze());
            drop(desk);
            self.wake.notify_one();
        }
    }

    /// Nobody waits for the answer to a call any more: the server is told if it knows the call.
    pub(super) fn cancel(&self, id: u64) {
        let Some(connection) = self.desk().requests.cancel(id) else {
            self.settled.notify_waiters();
            return;
        };
        let params = format!("{{\"id\":{id}}}");
        let mut frame = BytesMut::new();
        encode_notification(&mut frame, "rpc.cancel", Some(params.as_bytes()));
        self.tell(connection, frame);
    }

    /// Takes a seat, now if there is a connection, and on every one that follows.
    pub(super) fn sit(&self, seat: Seated) -> Result<(), RequestError> {
        let mut desk = self.desk();
        if let Link::Over(loss) = desk.requests.link() {
            return Err(loss.error());
        }
        desk.seats.insert(seat.number(), Arc::clone(&seat));
        // Under the same lock: a connection that comes now must not ask a second time.
        if matches!(desk.requests.link(), Link::Up(_))
            && let Some(request) = self.opening(seat)
        {
            desk.requests.ask(request)?;
        }
        drop(desk);
        self.wake.notify_one();
        Ok(())
    }

    fn opening(&self, seat: Seated) -> Option<Request<Seated>> {
        let (method, params) = seat.opening()?;
        let (id, frame) = self.encode(method, Some(&params));
        Some(Request {
            id,
            frame,
            again: Again::Never,
            slot: Slot::Seat(seat),
            room: None,
        })
    }

    /// Asks for a seat again after a while, if it is still wanted and not taken by then.
    pub(super) fn open_later(self: &Arc<Self>, seat: Seated, connection: u64, attempt: u32) {
        let shared = Arc::clone(self);
        tokio::spawn(async move {
            tokio::time::sleep(SEAT_AGAIN.delay(attempt, crate::random_number())).await;
            let mut desk = shared.desk();
            // If the connection went meanwhile, the next one has asked.
            if desk.requests.is_up(connection)
                && let Some(request) = shared.opening(seat)
                && desk.requests.ask(request).is_ok()
            {
                drop(desk);
                shared.wake.notify_one();
            }
        });
    }

    /// Gives a seat up.
    pub(super) fn leave(&self, number: u64) {
        self.desk().seats.remove(&number);
    }

    /// Whoever waits for the answer with that id.
    pub(super) fn settle(&self, id: u64, refused_for_now: bool) -> Option<Slot<Seated>> {
        let slot = self.desk().requests.settle(id, refused_for_now);
        self.settled.notify_waiters();
        slot
    }

    /// There is a connection: its number; `None` if none is wanted any more. Seats are asked for
    /// before anything else.
    pub(super) fn up(&self) -> Option<u64> {
        let mut desk = self.desk();
        if matches!(desk.requests.link(), Link::Over(_)) {
            return None;
        }
        let seats: Vec<Seated> = desk.seats.values().cloned().collect();
        let openings = seats.into_iter().filter_map(|seat| self.opening(seat));
        let openings = openings.collect();
        desk.ping = false;
        let connection = desk.requests.up();
        desk.requests.ask_first(openings);
        drop(desk);
        self.wake.notify_one();
        self.tell_state(State::Connected);
        Some(connection)
    }

    /// The connection is lost.
    pub(super) fn down(&self, loss: &Loss) {
        let mut desk = self.desk();
        if matches!(desk.requests.link(), Link::Over(_)) {
            return;
        }
        let failed = desk.requests.down(loss);
        let seats: Vec<Seated> = desk.seats.values().cloned().collect();
        drop(desk);
        self.fail(failed);
        for seat in seats {
            seat.lost(loss);
        }
    }

    /// Ends what must not be sent again any more.
    pub(super) fn expire(&self, now: Instant, loss: &Loss) {
        let failed = self.desk().requests.expire(now, loss);
        self.fail(failed);
    }

    /// There will be no connection any more.
    pub(super) fn over(&self, loss: Loss) {
        let mut desk = self.desk();
        if matches!(desk.requests.link(), Link::Over(_)) {
            return;
        }
        let failed = desk.requests.over(loss.clone());
        let seats = std::mem::take(&mut desk.seats);
        drop(desk);
        self.fail(failed);
        for seat in seats.into_values() {
            seat.over(&loss);
        }
        let reason = Arc::clone(&loss.reason);
        self.tell_state(State::Closed { reason });
        self.wake.notify_one();
    }

    fn fail(&self, failed: Vec<Failed<Seated>>) {
        for (slot, error) in failed {
            if let Slot::Caller(slot) = slot {
                // Whoever asked may have lost interest.
                let _ = slot.send(Err(error));
            }
        }
        self.settled.notify_waiters();
    }

    /// What the writer of the connection with that number does next.
    pub(super) async fn next(&self, frames: &mut Vec<Bytes>) -> Next {
        loop {
            let woken = self.wake.notified();
            {
                let mut desk = self.desk();
                desk.requests.take(Instant::now(), frames);
                let ping = std::mem::take(&mut desk.ping);
                if ping || !frames.is_empty() {
                    return Next::Write { ping };
                }
                if matches!(desk.requests.link(), Link::Over(_)) {
                    return Next::Close;
                }
            }
            woken.await;
        }
    }

    /// Has the writer send a ping.
    pub(super) fn ping(&self) {
        self.desk().ping = true;
        self.wake.notify_one();
    }

    /// Waits until every request is answered.
    pub(super) async fn settled(&self) {
        loop {
            let settled = self.settled.notified();
            tokio::pin!(settled);
            settled.as_mut().enable();
            if self.in_flight() == 0 {
                return;
            }
            settled.await;
        }
    }

    pub(super) fn in_flight(&self) -> usize {
        self.desk().requests.in_flight()
    }

    /// Why there will be no connection any more; `None` while there may be one.
    pub(super) fn loss(&self) -> Option<Loss> {
        match self.desk().requests.link() {
            Link::Over(loss) => Some(loss.clone()),
            Link::Up(_) | Link::Down => None,
        }
    }

    pub(super) fn check_open(&self) -> Result<(), RequestError> {
        match self.loss() {
            Some(loss) => Err(loss.error()),
            None => Ok(()),
        }
    }

    /// Waits until there will be no connection any more.
    pub(super) async fn ended(&self) -> Loss {
        let mut state = self.state.subscribe();
        // The sender lives as long as this.
        let _ = state.wait_for(State::is_closed).await;
        self.loss().unwrap_or_else(Loss::wanted)
    }

    /// Nothing comes after [`State::Closed`].
    pub(super) fn tell_state(&self, now: State) {
        self.state.send_if_modified(|state| {
            let open = !state.is_closed();
            if open {
                *state = now;
            }
            open
        });
    }

    pub(super) fn state(&self) -> &watch::Sender<State> {
        &self.state
    }

    pub(super) fn limit_frames(&self, bytes: usize) {
        self.frame_bytes_max.store(bytes, Ordering::Relaxed);
    }

    fn progress_queues(&self) -> MutexGuard<'_, HashMap<u64, Arc<ProgressQueue>>> {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Hands the progress of the call with that id to `queue`.
    pub(super) fn follow(&self, id: u64, queue: Arc<ProgressQueue>) {
        self.progress_queues().insert(id, queue);
    }

    pub(super) fn unfollow(&self, id: u64) {
        self.progress_queues().remove(&id);
    }

    pub(super) fn progress_of(&self, id: u64) -> Option<Arc<ProgressQueue>> {
        self.progress_queues().get(&id).cloned()
    }

    /// Names and their listeners. Held while a listener comes or goes, so that what it asks the
    /// server for is asked in the same order.
    pub(super) fn names(&self) -> MutexGuard<'_, HashMap<Name, usize>> {
        self.names.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // What waits is nobody's business, and may be large.
        f.debug_struct("Shared")
            .field("state", &*self.state.borrow())
            .finish_non_exhaustive()
    }
}
