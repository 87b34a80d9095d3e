//! The side of the gateway: requests go out, replies come in.

use super::request::Request;
use super::{Shared, reply};
use crate::bundle::Bundle;
use bytes::Bytes;
use compact_str::{CompactString, ToCompactString};
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use hashbrown::HashMap;
use smallvec::SmallVec;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, Weak};
use tokio::sync::{Notify, watch};
use trunkline_model::{Call, CallId, Completion, Error, ErrorCode, Outcome};
use trunkline_mpx::{ChannelSubscription, Event, Multiplexer};

/// Most requests of one round trip.
const REQUESTS_AT_ONCE: usize = 512;

/// Most portions of requests whose answers are waited for.
const PORTIONS_MAX: usize = 4;

/// Most words of the command that sends one.
const WORDS_MAX: usize = 18;

/// Calls that wait for their answers. Their number is bounded by who calls.
pub(super) struct Asking {
    pub(super) who: String,
    mpx: Multiplexer,
    state: Mutex<State>,
    /// There is something to send, or it is over.
    work: Notify,
    /// Whether replies would be heard.
    active: watch::Sender<bool>,
}

#[derive(Default)]
struct State {
    last: u64,
    pending: HashMap<u64, Completion>,
    outgoing: VecDeque<(u64, Request)>,
    /// Made with the first call.
    replies: Option<ChannelSubscription>,
    closed: bool,
}

impl Asking {
    pub(super) fn new(mpx: Multiplexer, who: String) -> Self {
        Self {
            who,
            mpx,
            state: Mutex::default(),
            work: Notify::new(),
            active: watch::Sender::new(false),
        }
    }

    pub(super) fn send(
        &self,
        shared: &Arc<Shared>,
        call: Call,
        stream: CompactString,
        completion: Completion,
    ) -> CallId {
        let now = shared.clock.now();
        let mut state = self.state();
        if state.closed {
            drop(state);
            completion.complete(Err(Error::shutting_down()));
            return CallId(0);
        }
        if state.replies.is_none() {
            state.replies = Some(self.hear_replies(shared));
        }
        state.last += 1;
        let number = state.last;
        let request = Request::of(call, stream, number, now);
        state.pending.insert(number, completion);
        state.outgoing.push_back((number, request));
        drop(state);
        self.work.notify_one();
        CallId(number)
    }

    /// Connections that were made to hear replies.
    pub(super) fn connections(&self) -> u64 {
        self.mpx.counters().connections
    }

    /// Nobody waits for this one any more; false if it was over.
    pub(super) fn forget(&self, id: CallId) -> bool {
        let mut state = self.state();
        let completion = state.pending.remove(&id.0);
        state.drop_what_is_over();
        drop(state);
        // It is not to say anything.
        completion
            .map(|completion| completion.into_parts(Err(Error::internal())))
            .is_some()
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
        let replies = state.replies.take();
        drop(state);
        drop(replies);
        for completion in pending.into_values() {
            completion.complete(Err(Error::shutting_down()));
        }
        self.work.notify_one();
    }

    /// Listens to the reply channel, and to no other.
    fn hear_replies(&self, shared: &Arc<Shared>) -> ChannelSubscription {
        let shared: Weak<Shared> = Arc::downgrade(shared);
        let replies = self.mpx.channels_together(move |events| {
            let Some(shared) = shared.upgrade() else {
                return;
            };
            let mut payloads = Vec::with_capacity(events.len());
            for event in events {
                match event {
                    Event::Message { payload, .. } => payloads.push(payload),
                    Event::Active { .. } => drop(shared.asking.active.send_replace(true)),
                    _ => drop(shared.asking.active.send_replace(false)),
                }
            }
            shared.hear(&payloads);
        });
        replies
            .add([self.who.clone()])
            .expect("it was opened here and the name is short");
        replies
    }

    fn fail(&self, number: u64, error: Error) {
        let completion = self.state().pending.remove(&number);
        if let Some(completion) = completion {
            completion.complete(Err(error));
        }
    }

    /// Requests to be sent, without those that nobody waits for any more.
    fn take_outgoing(&self) -> Vec<(u64, Request)> {
        let mut state = self.state();
        let mut taken = Vec::new();
        while taken.len() < REQUESTS_AT_ONCE
            && let Some((number, request)) = state.outgoing.pop_front()
        {
            if state.pending.contains_key(&number) {
                taken.push((number, request));
            }
        }
        taken
    }

    fn is_closed(&self) -> bool {
        self.state().closed
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state
            .lock()
            .expect("no code panics while it holds the calls")
    }
}

impl State {
    /// Lets go of requests that nobody waits for, if they are most of those that wait for Redis: while it is away,
    /// they would be ever more.
    fn drop_what_is_over(&mut self) {
        let Self {
            pending, outgoing, ..
        } = self;
        if outgoing.len() > 2 * pending.len() + REQUESTS_AT_ONCE {
            outgoing.retain(|(number, _)| pending.contains_key(number));
        }
    }
}

impl Shared {
    /// Messages on the reply channel.
    fn hear(&self, payloads: &[Bytes]) {
        let replies: Vec<_> = payloads
            .iter()
            .filter_map(|payload| match reply::read(payload) {
                Ok(reply) => Some(reply),
                Err(why) => {
                    self.counting.bad_replies.add(1);
                    tracing::warn!(why, bytes = payload.len(), "not a reply; the call goes on");
                    None
                }
            })
            .collect();
        let count = replies.len();
        let mut answered = Vec::with_capacity(count);
        let mut state = self.asking.state();
        for (number, outcome) in replies {
            let completion = state.pending.remove(&number);
            answered.extend(completion.map(|its| (its, Ok(Outcome::Answered(outcome)))));
        }
        drop(state);
        self.counting.answered.add(answered.len() as u64);
        let late = count - answered.len();
        self.counting.late_replies.add(late as u64);
        Completion::complete_all(answered.into_iter());
    }
}

/// Sends what is asked, in order, once replies would be heard, until it is over. Redis' answers to a portion are
/// only waited for when many are on their way: the first call of a crowd comes alone, and the others needn't wait for
/// its round trip.
pub(super) async fn send_calls(shared: Arc<Shared>) {
    let mut active = shared.asking.active.subscribe();
    let mut portions = FuturesUnordered::new();
    while !shared.asking.is_closed() {
        let heard = *active.borrow_and_update();
        while heard && portions.len() < PORTIONS_MAX {
            let requests = shared.asking.take_outgoing();
            if requests.is_empty() {
                break;
            }
            portions.push(send(&shared, requests));
        }
        let is_full = portions.len() >= PORTIONS_MAX;
        tokio::select! {
            // A portion is on its way once it is looked at.
            biased;
            Some(()) = portions.next() => {}
            () = shared.asking.work.notified(), if !is_full => {}
            _ = active.changed() => {}
        }
    }
}

/// Sends a portion, and fails those of it that Redis doesn't take.
async fn send(shared: &Shared, requests: Vec<(u64, Request)>) {
    let results = xadd(shared, &requests).run(&shared.deployment).await;
    for ((number, _), result) in requests.into_iter().zip(results) {
        match result {
            Ok(_) => shared.counting.sent.add(1),
            Err(failure) => {
                let text = format!("Redis did not take the call: {failure}");
                let error =
                    Error::new(ErrorCode::Unavailable, text).with("executed", failure.executed());
                shared.counting.refused.add(1);
                shared.asking.fail(number, error);
            }
        }
    }
}

/// What adds requests to their streams, each a thing of its own.
fn xadd(shared: &Shared, requests: &[(u64, Request)]) -> Bundle {
    let mut bundle = Bundle::new(&shared.deployment);
    let length = shared.options.stream_length_max.to_compact_string();
    let who = shared.asking.who.as_bytes();
    for (_, request) in requests {
        let stream = request.stream.as_bytes();
        let mut words: SmallVec<[&[u8]; WORDS_MAX]> = SmallVec::new();
        words.extend([b"XADD", stream, b"MAXLEN", b"~", length.as_bytes(), b"*"]);
        for (name, value) in request.fields(who) {
            words.extend([name.as_bytes(), value]);
        }
        bundle.begin();
        bundle.add(stream, &words);
    }
    bundle
}

#[cfg(test)]
mod tests {
    use super::*;
    use trunkline_model::{Caller, Timestamp};

    /// Redis was away for hours, and every call of that time was still there.
    #[test]
    fn requests_of_calls_that_are_over_are_let_go() {
        let mut state = State::default();
        let mut most = 0;
        let call = Call {
            method: "m".into(),
            params: None,
            caller: Arc::new(Caller::system()),
            category: "general".into(),
            deadline: Timestamp::from_millis(1_000),
            traceparent: None,
        };
        for number in 0..100_000 {
            let request = Request::of(call.clone(), "general".into(), number, Timestamp::ZERO);
            state.outgoing.push_back((number, request));
            state.pending.insert(number, Completion::ignored());
            let over = state.pending.remove(&number.saturating_sub(10));
            drop(over.map(|its| its.into_parts(Err(Error::internal()))));
            state.drop_what_is_over();
            most = most.max(state.outgoing.len());
        }
        assert!(most < 2 * REQUESTS_AT_ONCE, "{most}");
        let left: Vec<u64> = state.outgoing.iter().map(|(number, _)| *number).collect();
        assert!(left.ends_with(&[99_998, 99_999]));
    }
}
