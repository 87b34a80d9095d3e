//! Calls, answers and batches of the frames that were read together: they go on together,
//! because one visit to the tables of calls, or to the engine, costs little more for many of them
//! than for one.

use super::{Connection, waiting::Awaited};
use trunkline_model::{Batch, CallId, CallOutcome, Completion, DispatchId};
use trunkline_rpc::CallRequest;

/// From so many calls or answers on, the frames that follow are not waited for: a worker begins
/// while they are read.
const TOGETHER_MAX: usize = 64;

/// From so many batches on, the same: the journal begins while the next ones are read.
const BATCHES_MAX: usize = 256;

/// What has gathered; the buffers are kept.
#[derive(Default)]
pub(crate) struct Gathered {
    calls: Vec<(CallRequest, Completion)>,
    /// Where the calls' ids are noted, in the same order.
    tokens: Vec<Option<u64>>,
    started: Vec<Option<CallId>>,
    answers: Vec<(DispatchId, CallOutcome)>,
    batches: Vec<(Batch, Completion)>,
    /// Calls or answers were handed on since this was last asked.
    handed_on: bool,
}

impl Connection {
    /// Asks for a call with the next [`Connection::submit_gathered`].
    pub(crate) fn gather_call(
        &mut self,
        request: CallRequest,
        token: Option<u64>,
        completion: Completion,
    ) {
        self.submit_batches();
        self.gathered.calls.push((request, completion));
        self.gathered.tokens.push(token);
        if self.gathered.calls.len() >= TOGETHER_MAX {
            self.submit_gathered();
        }
    }

    /// Runs a batch with the next [`Connection::submit_gathered`].
    pub(crate) fn gather_batch(&mut self, batch: Batch, completion: Completion) {
        self.submit_calls();
        self.gathered.batches.push((batch, completion));
        if self.gathered.batches.len() >= BATCHES_MAX {
            self.submit_batches();
        }
    }

    /// Answers a call with the next [`Connection::submit_gathered`].
    pub(crate) fn gather_answer(&mut self, dispatch: DispatchId, outcome: CallOutcome) {
        self.gathered.answers.push((dispatch, outcome));
        if self.gathered.answers.len() >= TOGETHER_MAX {
            self.submit_gathered();
        }
    }

    /// Passes on everything that has gathered. Comes before any request that may have to do
    /// with it, and before anything is waited for.
    pub(crate) fn submit_gathered(&mut self) {
        self.submit_calls();
        self.submit_batches();
    }

    /// Whether other connections have got work from this one since the last time.
    pub(crate) fn handed_on(&mut self) -> bool {
        std::mem::take(&mut self.gathered.handed_on)
    }

    fn submit_batches(&mut self) {
        if !self.gathered.batches.is_empty() {
            let engine = &self.shared.services.engine;
            engine.submit_all(&self.caller, &mut self.gathered.batches);
        }
    }

    fn submit_calls(&mut self) {
        let calls = &self.shared.services.calls;
        let Gathered {
            calls: asked,
            tokens,
            started,
            answers,
            handed_on,
            ..
        } = &mut self.gathered;
        *handed_on |= !answers.is_empty() || !asked.is_empty();
        if !answers.is_empty() {
            let given = answers.len();
            let waited = calls.answer_all(answers);
            let unknown = given.saturating_sub(waited) as u64;
            self.shared.counters.unknown_answers.add(unknown);
        }
        if !asked.is_empty() {
            calls.call_all(asked, started);
            for (token, id) in tokens.drain(..).zip(started.drain(..)) {
                if let Some(token) = token
                    && let Some(entry) = self.waiting.get_mut(token)
                    && let Awaited::Call { call, .. } = &mut entry.awaited
                {
                    *call = id;
                }
            }
        }
    }
}
