//! The side of the processor: requests are stored, then queued.

use super::options::{Queue, QueueMode};
use super::{Shared, text};
use crate::bundle::Bundle;
use crate::unique::unique_name;
use compact_str::ToCompactString;
use hashbrown::HashMap;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;
use tokio::sync::Notify;
use trunkline_model::{
    Call, CallId, CallOutcome, Completion, Error, ErrorCode, Outcome, Timestamp,
};

/// Most requests of one round trip.
const REQUESTS_AT_ONCE: usize = 256;
/// Most calls whose late answers are still waited for, to be counted and removed.
const ABANDONED_MAX: usize = 1_000;
/// How long.
const ABANDONED_FOR: Duration = Duration::from_secs(60);
/// How long a wake-up that nobody takes is kept, in seconds.
const WAKE_SECONDS: u64 = 60;

/// Calls that wait for their answers. Their number is bounded by who calls.
pub(super) struct Asking {
    /// With what ids begin.
    tag: String,
    state: Mutex<State>,
    /// There is something to send, or it is over.
    work: Notify,
    /// There is something to wait for, or it is over.
    waiting: Notify,
}

#[derive(Default)]
struct State {
    last: u64,
    pending: HashMap<u64, Pending>,
    /// Numbers by id, of what was queued.
    queued: HashMap<String, u64>,
    outgoing: VecDeque<u64>,
    /// Ids of calls that were given up, with the time until which their answers are waited for.
    abandoned: VecDeque<(Timestamp, String)>,
    reader: Reader,
    closed: bool,
}

/// What the one who waits for answers does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Reader {
    /// It looks at what there is to wait for before it waits.
    #[default]
    Awake,
    /// It waits, and hears of nothing new unless it is woken.
    Waits,
    /// The same, and it is being woken.
    Woken,
}

struct Pending {
    id: String,
    queue: Queue,
    request: String,
    deadline: Timestamp,
    completion: Completion,
}

/// A request as it is sent.
struct Outgoing {
    number: u64,
    id: String,
    queue: Queue,
    request: String,
}

impl Asking {
    pub(super) fn new(tag: String) -> Self {
        Self {
            tag,
            state: Mutex::default(),
            work: Notify::new(),
            waiting: Notify::new(),
        }
    }

    pub(super) fn send(&self, call: &Call, queue: &Queue, completion: Completion) -> CallId {
        let id = format!("{}{}", self.tag, unique_name().to_ascii_lowercase());
        let request = text::request(call, &id);
        let mut state = self.state();
        if state.closed {
            drop(state);
            completion.complete(Err(Error::shutting_down()));
            return CallId(0);
        }
        state.last += 1;
        let number = state.last;
        let queue = queue.clone();
        let pending = Pending {
            id,
            queue,
            request,
            deadline: call.deadline,
            completion,
        };
        state.pending.insert(number, pending);
        state.outgoing.push_back(number);
        drop(state);
        self.work.notify_one();
        CallId(number)
    }

    /// Nobody waits for this one any more: its id; `None` if it was over.
    pub(super) fn abandon(&self, id: CallId, now: Timestamp) -> Option<String> {
        let mut state = self.state();
        let pending = state.pending.remove(&id.0)?;
        if state.queued.remove(&pending.id).is_some() {
            if state.abandoned.len() == ABANDONED_MAX {
                state.abandoned.pop_front();
            }
            let until = now.after(ABANDONED_FOR);
            state.abandoned.push_back((until, pending.id.clone()));
        }
        drop(state);
        // It is not to say anything.
        let _ = pending.completion.into_parts(Err(Error::internal()));
        Some(pending.id)
    }

    /// Until when a call of this id is waited for, if it is one of this process.
    pub(super) fn deadline_of(&self, id: &str) -> Option<Timestamp> {
        let state = self.state();
        let number = state.queued.get(id)?;
        state.pending.get(number).map(|call| call.deadline)
    }

    pub(super) fn pending(&self) -> usize {
        self.state().pending.len()
    }

    /// Takes no more calls; those that wait fail.
    pub(super) fn close(&self) {
        let mut state = self.state();
        state.closed = true;
        let pending = std::mem::take(&mut state.pending);
        state.outgoing.clear();
        state.queued.clear();
        state.abandoned.clear();
        drop(state);
        for call in pending.into_values() {
            call.completion.complete(Err(Error::shutting_down()));
        }
        self.work.notify_one();
        self.waiting.notify_one();
    }

    pub(super) fn is_closed(&self) -> bool {
        self.state().closed
    }

    /// The ids whose answers are waited for from now on, those of abandoned calls among them.
    pub(super) fn awaited(&self, now: Timestamp) -> Vec<String> {
        let mut state = self.state();
        state.reader = Reader::Waits;
        while state
            .abandoned
            .front()
            .is_some_and(|(until, _)| *until < now)
        {
            state.abandoned.pop_front();
        }
        let abandoned = state.abandoned.iter().map(|(_, id)| id);
        state.queued.keys().chain(abandoned).cloned().collect()
    }

    /// They are waited for no longer; whether that was to be ended.
    pub(super) fn stop_waiting(&self) -> bool {
        let reader = std::mem::take(&mut self.state().reader);
        reader == Reader::Woken
    }

    /// It could not be ended.
    fn is_not_woken(&self) {
        let mut state = self.state();
        if state.reader == Reader::Woken {
            state.reader = Reader::Waits;
        }
    }

    /// Waits until there is something to wait for.
    pub(super) async fn anything(&self) {
        self.waiting.notified().await;
    }

    /// Answers came, each to an id.
    pub(super) fn conclude(&self, shared: &Shared, answers: &[(&str, Vec<u8>)]) {
        let mut concluded = Vec::with_capacity(answers.len());
        let mut state = self.state();
        for (id, answer) in answers {
            let number = state.queued.remove(*id);
            match number.and_then(|number| state.pending.remove(&number)) {
                Some(call) => concluded.push((call.completion, *id, answer)),
                None => state.abandoned.retain(|(_, other)| other != id),
            }
        }
        drop(state);
        shared.counting.answered.add(concluded.len() as u64);
        let late = answers.len() - concluded.len();
        shared.counting.late_answers.add(late as u64);
        let concluded = concluded.into_iter().map(|(completion, id, answer)| {
            let outcome: CallOutcome = text::read_answer(answer, id);
            (completion, Ok(Outcome::Answered(outcome)))
        });
        Completion::complete_all(concluded);
    }

    fn fail(&self, number: u64, error: &Error) {
        let mut state = self.state();
        let pending = state.pending.remove(&number);
        if let Some(call) = &pending {
            state.queued.remove(&call.id);
        }
        drop(state);
        if let Some(call) = pending {
            call.completion.complete(Err(error.clone()));
        }
    }

    /// Requests to be sent, without those that nobody waits for any more. Their answers are waited for
    /// from now on; whether that takes a wake-up.
    fn take_outgoing(&self) -> (Vec<Outgoing>, bool) {
        let mut state = self.state();
        let mut taken = Vec::new();
        while taken.len() < REQUESTS_AT_ONCE
            && let Some(number) = state.outgoing.pop_front()
        {
            let Some(call) = state.pending.get_mut(&number) else {
                continue;
            };
            let (id, queue) = (call.id.clone(), call.queue.clone());
            let request = std::mem::take(&mut call.request);
            state.queued.insert(id.clone(), number);
            taken.push(Outgoing {
                number,
                id,
                queue,
                request,
            });
        }
        let wakes = !taken.is_empty() && state.reader == Reader::Waits;
        if wakes {
            state.reader = Reader::Woken;
        }
        (taken, wakes)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state
            .lock()
            .expect("no code panics while it holds the calls")
    }
}

/// Sends what is asked, in order, until it is over.
pub(super) async fn send_calls(shared: Arc<Shared>) {
    while !shared.asking.is_closed() {
        let (requests, wakes) = shared.asking.take_outgoing();
        if requests.is_empty() {
            shared.asking.work.notified().await;
            continue;
        }
        shared.asking.waiting.notify_one();
        let bundle = commands(&shared, &requests, wakes);
        let results = bundle.run(&shared.deployment).await;
        if wakes && results.last().is_some_and(Result::is_err) {
            shared.asking.is_not_woken();
        }
        for (request, result) in requests.iter().zip(results) {
            match result {
                Ok(_) => shared.counting.sent.add(1),
                Err(failure) => {
                    shared.counting.refused.add(1);
                    let text = format!("the queue is unavailable: {failure}");
                    let error = Error::new(ErrorCode::Unavailable, text)
                        .with("executed", failure.executed());
                    shared.asking.fail(request.number, &error);
                }
            }
        }
    }
}

/// What queues the requests, each a thing of its own, and has the answers waited for, the last thing.
fn commands(shared: &Shared, requests: &[Outgoing], wakes: bool) -> Bundle {
    let mut bundle = Bundle::new(&shared.deployment);
    for request in requests {
        bundle.begin();
        let queue = shared.key(request.queue.key());
        let queue = queue.as_bytes();
        let (id, text) = (request.id.as_bytes(), request.request.as_bytes());
        if request.queue.mode() == QueueMode::ByMethod {
            bundle.add(queue, &[b"LPUSH", queue, text]);
        } else {
            let db = shared.keys.db.as_bytes();
            bundle.add(db, &[b"HSET", db, id, text]);
            bundle.add(queue, &[b"LPUSH", queue, id]);
        }
    }
    if !wakes {
        return bundle;
    }
    bundle.begin();
    let wake = shared.keys.wake.as_bytes();
    bundle.add(wake, &[b"LPUSH", wake, b""]);
    let seconds = WAKE_SECONDS.to_compact_string();
    bundle.add(wake, &[b"EXPIRE", wake, seconds.as_bytes()]);
    bundle
}
