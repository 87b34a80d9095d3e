//! What a connection's frames do, and what comes of it: JSON-RPC in, commands out; completions,
//! deliveries, channel events and calls in, frames out. One small file per group of verbs.
//!
//! Knows no socket: a session and a `POST` drive the same [`Connection`], and tests could.

mod answers;
mod call;
mod channel;
mod consumer;
mod deliver;
mod error;
mod filter;
mod frame;
mod gathered;
mod inbox;
mod info;
mod listening;
mod manage;
mod message;
mod params;
mod publish;
mod route;
mod salvage;
mod topic;
mod view;
mod waiting;
mod worker;

use crate::{
    outbox::Outbox,
    shared::{Phase, Shared},
};
use answers::Answers;
use channel::Channels;
use consumer::Consumers;
pub(crate) use error::write_object as write_error_object;
pub(crate) use frame::Frame;
use gathered::Gathered;
use inbox::Event;
use params::Params;
use std::{collections::VecDeque, sync::Arc};
use trunkline_auth::{Action, Resource};
use trunkline_jsonrpc::{
    Id, Incoming, InvalidReason, Item, Limits, ParseError, Request, encode_error, encode_result,
};
use trunkline_model::{
    Caller, Completed, Completion, CompletionQueue, Error, Mailbox, Outcome, Protocol, Wake,
};
use waiting::{Ask, Awaited, Entry, ReplyTo, Waiting};
use worker::Workers;

/// What a verb came to at once.
#[derive(Debug)]
enum Step {
    /// The result, as JSON.
    Now(Vec<u8>),
    /// The result `{}`.
    Empty,
    /// Something else will complete it.
    Later,
}

/// One client: what it asked for and waits for, consumes, listens to and works on. Dropping it
/// takes everything back: deliveries return, calls without idempotency key are cancelled, workers
/// are lost.
pub(crate) struct Connection {
    shared: Arc<Shared>,
    caller: Arc<Caller>,
    limits: Limits,
    wake: Wake,
    completions: Arc<CompletionQueue>,
    inbox: Arc<Mailbox<Event>>,
    waiting: Waiting,
    answers: Answers,
    consumers: Consumers,
    channels: Channels,
    workers: Workers,
    gathered: Gathered,
    /// Requests that are not counted yet: the counter is everybody's.
    requests: u64,
    /// Requests that another request of this connection ended.
    late: Vec<(ReplyTo, Error)>,
    /// Taken from the completion queue and the inbox, not yet acted on.
    completed: VecDeque<Completed>,
    events: VecDeque<Event>,
    taken_completions: Vec<Completed>,
    taken_events: Vec<Event>,
}

impl Connection {
    pub(crate) fn new(shared: Arc<Shared>, caller: Arc<Caller>) -> Self {
        let wake = Wake::new();
        Self {
            limits: Limits {
                max_batch: shared.config.limits.max_batch,
                ..Limits::default()
            },
            completions: CompletionQueue::bounded(
                wake.clone(),
                shared.config.limits.answer_bytes_max.0,
            ),
            inbox: Arc::new(Mailbox::new(wake.clone())),
            waiting: Waiting::default(),
            answers: Answers::new(
                shared.config.limits.outgoing_bytes(),
                shared.config.limits.answer_bytes(),
            ),
            consumers: Consumers::default(),
            channels: Channels::default(),
            workers: Workers::default(),
            gathered: Gathered::default(),
            requests: 0,
            late: Vec::new(),
            completed: VecDeque::new(),
            events: VecDeque::new(),
            taken_completions: Vec::new(),
            taken_events: Vec::new(),
            shared,
            caller,
            wake,
        }
    }

    /// What wakes whoever drives this connection: [`Connection::collect`] has something to do.
    pub(crate) fn wake(&self) -> &Wake {
        &self.wake
    }

    /// Whether every request is answered.
    pub(crate) fn is_idle(&self) -> bool {
        self.waiting.len() == 0
            && self.answers.is_idle()
            && !self.consumers.is_starting()
            && !self.channels.listening.is_asking()
    }

    /// Gives up memory of a burst that is over. What is held in the mailboxes comes out at the
    /// next turn, and goes the next time.
    pub(crate) fn rest(&mut self) {
        self.taken_completions = Vec::new();
        self.taken_events = Vec::new();
        self.gathered = Gathered::default();
        self.completed.shrink_to_fit();
        self.events.shrink_to_fit();
    }

    /// Whether it is to be disconnected because it was too slow for its channels.
    pub(crate) fn is_overrun(&self) -> bool {
        self.channels.overrun
    }

    /// The stream of outgoing bytes has come to `position`.
    pub(crate) fn written(&mut self, position: u64) {
        self.consumers.written(position);
    }

    /// Acts on one frame.
    pub(crate) fn receive(&mut self, frame: Frame<'_>, out: &mut Outbox) {
        match frame.parse(&self.limits) {
            Ok(Incoming::Single(item)) => self.item(item, None, frame, out),
            Ok(Incoming::Batch(items)) => {
                if let Err(full) = self.answers.admit() {
                    return self.answers.write(out, Id::NULL, None, |buffer, id| {
                        error::write(buffer, id, &full);
                    });
                }
                let batch = self.answers.open();
                for item in items {
                    self.item(item, Some(batch), frame, out);
                }
                self.answers.seal(batch, out);
            }
            Err(error) => self.unreadable(frame, &error, out),
        }
    }

    fn item(&mut self, item: Item<'_>, batch: Option<usize>, frame: Frame<'_>, out: &mut Outbox) {
        match item {
            Item::Request(request) => self.request(&request, batch, frame, out),
            Item::Answer(answer) => self.answered(&answer, frame),
            Item::Invalid { id, reason } => self.invalid(id, reason, batch, out),
        }
    }

    fn request(
        &mut self,
        request: &Request<'_>,
        batch: Option<usize>,
        frame: Frame<'_>,
        out: &mut Outbox,
    ) {
        self.requests += 1;
        let ask = Ask {
            id: request.id,
            batch,
        };
        let params = Params {
            raw: request.params,
            frame,
        };
        self.answers.expect(ask);
        let step = route::run(self, &request.method, params, ask);
        for (reply, error) in std::mem::take(&mut self.late) {
            self.answer_error(&reply, &error, out);
        }
        let Some(id) = ask.id else { return };
        match step {
            Ok(Step::Later) => {}
            Ok(Step::Now(result)) => self.answers.write(out, id, batch, |buffer, id| {
                encode_result(buffer, id, &result);
            }),
            Ok(Step::Empty) => self.answers.write(out, id, batch, |buffer, id| {
                encode_result(buffer, id, b"{}");
            }),
            Err(error) => self.answers.write(out, id, batch, |buffer, id| {
                error::write(buffer, id, &error);
            }),
        }
    }

    fn invalid(
        &mut self,
        id: Id<'_>,
        reason: InvalidReason,
        batch: Option<usize>,
        out: &mut Outbox,
    ) {
        self.shared.counters.invalid.add(1);
        // A worker that sends an id and nothing else has answered badly, not asked.
        if reason == InvalidReason::MethodMissing && self.failed_to_answer(id, &reason.to_string())
        {
            return;
        }
        self.answers.expect(Ask {
            id: Some(id),
            batch,
        });
        self.answers.write(out, id, batch, |buffer, id| {
            encode_error(buffer, id, reason.code(), &reason.to_string(), None);
        });
    }

    fn unreadable(&mut self, frame: Frame<'_>, problem: &ParseError, out: &mut Outbox) {
        self.shared.counters.invalid.add(1);
        let text = problem.to_string();
        if !self.workers.is_idle()
            && let Some(id) = frame.text().and_then(salvage::answered_id)
            && let Some(id) = Id::from_json(id)
            && self.failed_to_answer(id, &text)
        {
            return;
        }
        self.answers.write(out, Id::NULL, None, |buffer, id| {
            encode_error(buffer, id, problem.code(), &text, None);
        });
    }

    /// Passes on what has gathered, and turns what has come meanwhile into frames, until the
    /// outgoing buffer is full.
    pub(crate) fn collect(&mut self, out: &mut Outbox) {
        self.submit_gathered();
        if self.requests > 0 {
            let requests = std::mem::take(&mut self.requests);
            self.shared.counters.requests.add(requests);
        }
        self.collect_completed(out);
        self.collect_events(out);
        self.collect_heard(out);
    }

    fn collect_completed(&mut self, out: &mut Outbox) {
        while !out.is_full() {
            if let Some(completed) = self.completed.pop_front() {
                self.complete(completed, out);
                continue;
            }
            let mut taken = std::mem::take(&mut self.taken_completions);
            self.completions.drain_into(&mut taken);
            let nothing = taken.is_empty();
            for completed in taken.drain(..) {
                if out.is_full() {
                    self.completed.push_back(completed);
                } else {
                    self.complete(completed, out);
                }
            }
            self.taken_completions = taken;
            if nothing {
                return;
            }
        }
    }

    fn collect_events(&mut self, out: &mut Outbox) {
        while !out.is_full() {
            if let Some(event) = self.events.pop_front() {
                self.event(event, out);
                continue;
            }
            let mut taken = std::mem::take(&mut self.taken_events);
            self.inbox.drain_into(&mut taken);
            let nothing = taken.is_empty();
            for event in taken.drain(..) {
                if out.is_full() {
                    self.events.push_back(event);
                } else {
                    self.event(event, out);
                }
            }
            self.taken_events = taken;
            if nothing {
                return;
            }
        }
    }

    fn complete(&mut self, completed: Completed, out: &mut Outbox) {
        let Completed { token, result } = completed;
        if let Ok(Outcome::Progress(value)) = &result {
            return self.progressed(token, value, out);
        }
        let Some(Entry { reply, awaited }) = self.waiting.remove(token) else {
            return;
        };
        self.answers
            .write(out, reply.id.as_id(), reply.batch, |buffer, id| {
                write_completed(buffer, id, awaited, &result);
            });
    }

    fn event(&mut self, event: Event, out: &mut Outbox) {
        match event {
            Event::Started(key, result) => self.consumer_started(key, result, out),
            Event::Deliveries(key, deliveries) => self.deliver(key, &deliveries, out),
            Event::ConsumerEnded(key, reason) => self.consumer_ended(key, &reason, out),
            Event::Calls(key, calls) => self.run_calls(key, calls, out),
            Event::CallCancelled(dispatch) => self.call_cancelled(dispatch, out),
            Event::WorkerEnded(key, reason) => self.worker_ended(key, &reason, out),
        }
    }

    fn answer_error(&mut self, reply: &ReplyTo, error: &Error, out: &mut Outbox) {
        self.answers
            .write(out, reply.id.as_id(), reply.batch, |buffer, id| {
                error::write(buffer, id, error);
            });
    }

    /// The one place where a command is allowed or not.
    fn allow(&self, action: Action, resource: Resource<'_>) -> Result<(), Error> {
        let access = &self.shared.services.access;
        access.check(&self.caller, action, resource)
    }

    /// Refuses what would begin something, once the server drains. What settles or ends
    /// something goes on.
    fn take_no_new_work(&self) -> Result<(), Error> {
        match self.shared.phase() {
            Phase::Serving => Ok(()),
            Phase::Draining | Phase::Closing => Err(Error::shutting_down()),
        }
    }

    fn may_push(&self) -> bool {
        self.caller.protocol != Protocol::Http
    }

    /// A completion for a request, which waits from now on; for a notification, one that nobody
    /// hears of.
    fn completion(&mut self, ask: Ask<'_>, awaited: Awaited) -> Result<Completion, Error> {
        self.waiting_for(ask, awaited)
            .map(|(_, completion)| completion)
    }

    fn waiting_for(
        &mut self,
        ask: Ask<'_>,
        awaited: Awaited,
    ) -> Result<(Option<u64>, Completion), Error> {
        let Some(reply) = ask.reply_to() else {
            return Ok((None, Completion::ignored()));
        };
        let max = self.shared.config.limits.max_in_flight;
        if self.waiting.len() >= max {
            return Err(error::limit("requests in flight", max));
        }
        let token = self.waiting.insert(Entry { reply, awaited });
        let completion = Completion::new(self.completions.clone(), token);
        Ok((Some(token), completion))
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.cancel_calls();
    }
}

/// Appends the answer that a command came to.
fn write_completed(
    out: &mut Vec<u8>,
    id: Id<'_>,
    awaited: Awaited,
    result: &Result<Outcome, Error>,
) {
    let outcome = match result {
        Ok(Outcome::Answered(outcome)) => return call::write_outcome(out, id, outcome),
        Ok(outcome) => outcome,
        Err(error) => return error::write(out, id, error),
    };
    let mut json = Vec::with_capacity(64);
    match outcome {
        Outcome::Done(receipt) => publish::write_receipt(&mut json, receipt, awaited),
        Outcome::Defined { created } => view::write_created(&mut json, *created, 0),
        Outcome::Subscribed { created, released } => {
            view::write_created(&mut json, *created, *released);
        }
        Outcome::Altered(altered) => view::write_altered(&mut json, altered),
        Outcome::Removed { messages } => publish::write_count(&mut json, "purged", *messages),
        Outcome::Topic(info) => view::write_topic(&mut json, info),
        Outcome::Topics(topics) => view::write_topics(&mut json, topics),
        Outcome::Redriven(redriven) => view::write_redriven(&mut json, redriven),
        Outcome::Peeked(page) => view::write_peeked(&mut json, page),
        Outcome::Reached(Some(count)) => publish::write_count(&mut json, "receivers", *count),
        Outcome::Reached(None) => json.extend_from_slice(b"{\"receivers\":null}"),
        _ => return error::write(out, id, &Error::internal()),
    }
    encode_result(out, id, &json);
}
