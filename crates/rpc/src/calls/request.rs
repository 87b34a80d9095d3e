//! Asking: checks before a call goes out.

use super::{
    Calls,
    config::Category,
    counters::count,
    idempotency::{Found, Key},
    outstanding::{Due, Entry, Held, Place},
    schema::Schema,
    stats::Asked,
    wires::WireNumber,
};
use crate::{
    errors::{no_handler, overloaded},
    lock::lock,
};
use bytes::Bytes;
use compact_str::CompactString;
use smallvec::SmallVec;
use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};
use trunkline_model::{
    Call, CallId, CallOutcome, Caller, Completion, DispatchId, Error, ErrorCode, IncomingCall,
    Outcome, Timestamp,
};

/// Calls that one visit to the tables begins: what others wait for them meanwhile is bounded.
const CALLS_AT_ONCE: usize = 32;

/// A call as a client asks for it.
#[derive(Clone, Debug)]
pub struct CallRequest {
    /// The method.
    pub method: CompactString,
    /// The params as JSON text, passed on byte for byte; `None` if absent.
    pub params: Option<Bytes>,
    /// Who asks.
    pub caller: Arc<Caller>,
    /// How long it may take; the category's time-out if absent.
    pub timeout: Option<Duration>,
    /// Makes repetitions of this call, by the same principal and over the same gateway, the
    /// same call: they get the pending or finished answer of the first one. At most
    /// [`KEY_BYTES_MAX`](trunkline_model::limits::KEY_BYTES_MAX) bytes.
    pub idempotency_key: Option<CompactString>,
    /// W3C trace context; the caller's if absent.
    pub traceparent: Option<CompactString>,
}

impl CallRequest {
    /// A call without options.
    pub fn new(
        method: impl Into<CompactString>,
        params: Option<Bytes>,
        caller: Arc<Caller>,
    ) -> Self {
        Self {
            method: method.into(),
            params,
            caller,
            timeout: None,
            idempotency_key: None,
            traceparent: None,
        }
    }
}

impl Calls {
    /// Asks. The completion gets any number of [`Outcome::Progress`] and then, always,
    /// [`Outcome::Answered`]: Trunkline's own errors are in
    /// [`CallOutcome::Failed`]. `None` if the call has ended before this returns.
    ///
    /// Errors: `-32601` nobody offers the method (at once, unless this process has started
    /// within `ask_wait`; never on a wire where nobody says what he offers), `-32602` the params don't fit the method's schema or the key was
    /// used with other ones, `-32003` too many calls wait, `-32001` time-out with
    /// `data.stage`, `-32002` the worker was lost, `-32004` cancelled, `-32012` draining.
    pub fn call(&self, request: CallRequest, completion: Completion) -> Option<CallId> {
        let mut started = Vec::with_capacity(1);
        self.call_all(&mut vec![(request, completion)], &mut started);
        let id = started.pop().flatten()?;
        lock(&self.desk).calls.contains(id.0).then_some(id)
    }

    /// Asks for calls, like [`Calls::call`], and leaves the vector empty: many calls cost
    /// little more than one. Their ids are appended to `started`, in order: `None` for a call
    /// that was refused at once.
    pub fn call_all(
        &self,
        calls: &mut Vec<(CallRequest, Completion)>,
        started: &mut Vec<Option<CallId>>,
    ) {
        self.counters
            .calls
            .fetch_add(calls.len() as u64, Ordering::Relaxed);
        let now = self.clock.now();
        let mut checked: SmallVec<[Result<Known, Error>; CALLS_AT_ONCE]> = SmallVec::new();
        let mut calls = calls.drain(..);
        while calls.len() > 0 {
            let ahead = calls.as_slice();
            let ahead = &ahead[..ahead.len().min(CALLS_AT_ONCE)];
            {
                let registry = self.read_registry();
                checked.extend(ahead.iter().map(|(request, _)| {
                    let method = registry.method(&request.method);
                    Ok(match method {
                        Some(method) => Known {
                            category: method.category,
                            offered: true,
                            schema: method.schema.clone(),
                        },
                        None => self.unannounced(&request.method),
                    })
                }));
            }
            for (checked, (request, _)) in checked.iter_mut().zip(ahead) {
                if let Ok(known) = checked
                    && let Err(error) = self.check(request, known, now)
                {
                    *checked = Err(error);
                }
            }
            let together = checked.drain(..).zip(calls.by_ref());
            self.call_together(now, together, started);
        }
    }

    /// Begins a few calls with one visit to the desk.
    fn call_together(
        &self,
        now: Timestamp,
        calls: impl ExactSizeIterator<Item = (Result<Known, Error>, (CallRequest, Completion))>,
        started: &mut Vec<Option<CallId>>,
    ) {
        let mut refused: SmallVec<[(Completion, Error); 1]> = SmallVec::new();
        let mut elsewhere: SmallVec<[Elsewhere; 1]> = SmallVec::new();
        let mut earlier = false;
        let count = calls.len() as u64;
        let mut id = self.last_id.fetch_add(count, Ordering::Relaxed);
        {
            let mut desk = lock(&self.desk);
            for (known, (request, completion)) in calls {
                id += 1;
                let known = match known {
                    Ok(known) => known,
                    Err(error) => {
                        refused.push((completion, error));
                        started.push(None);
                        continue;
                    }
                };
                let category = self.categories.get(known.category);
                let timeout = request.timeout.unwrap_or(category.config.timeout.0);
                let key = key_of(&request);
                let entry = Entry {
                    completion,
                    deadline: now.after(category.config.wait(timeout)),
                    category: known.category,
                    bytes: request.params.as_ref().map_or(0, Bytes::len) as u64,
                    key: key.clone(),
                    taken: false,
                    place: Place::Here(None),
                    asked: None,
                };
                match desk.calls.begin(id, entry, category.config.bounds()) {
                    Ok(sooner) => earlier |= sooner,
                    Err(entry) => {
                        let limit = category.config.bounds().calls_max;
                        refused.push((entry.completion, overloaded(&category.name, limit)));
                        started.push(None);
                        continue;
                    }
                }
                started.push(Some(CallId(id)));
                let deadline = now.after(timeout);
                if known.offered && self.is_local(category) && key.is_none() {
                    desk.send(now, id, incoming(request, category, deadline));
                } else {
                    let held = Held { request, deadline };
                    elsewhere.push(Elsewhere {
                        id,
                        known,
                        key,
                        held,
                    });
                }
            }
        }
        if earlier {
            self.earlier.notify_one();
        }
        if self.local {
            self.tell();
        }
        for (completion, error) in refused {
            if error.code() == ErrorCode::Overloaded {
                self.counters.overloaded.fetch_add(1, Ordering::Relaxed);
            }
            refuse(completion, error);
        }
        for call in elsewhere {
            self.send_elsewhere(now, call);
        }
    }

    /// What is known of a method that nobody announces: on a wire where nobody does, it is sent.
    #[cold]
    fn unannounced(&self, method: &str) -> Known {
        let category = self.categories.of_unannounced(method);
        Known {
            category,
            offered: self.categories.get(category).wire != WireNumber::NATIVE,
            schema: None,
        }
    }

    /// Whether calls of a class go straight to workers of this process.
    fn is_local(&self, category: &Category) -> bool {
        self.local && category.wire == WireNumber::NATIVE
    }

    /// Goes on with a call that is not simply handed to a worker of this process: it has a
    /// key, nobody offers its method, or it goes over the wire.
    fn send_elsewhere(&self, now: Timestamp, call: Elsewhere) {
        let Elsewhere {
            id,
            known,
            key,
            held,
        } = call;
        if let Some(key) = &key
            && !self.is_first(now, key, held.request.params.as_ref(), id)
        {
            return;
        }
        if known.offered {
            let category = self.categories.get(known.category);
            self.send(id, held.request, category, held.deadline, key);
        } else {
            self.hold(id, held);
        }
    }

    /// Keeps a call back until somebody offers its method, or the asking for that is over:
    /// a method that nobody offers gets no queue.
    fn hold(&self, id: u64, held: Held) {
        let method = held.request.method.clone();
        lock(&self.desk).calls.hold(id, held);
        // Somebody may have come, or the time may have passed, since that was looked at.
        let asking = lock(&self.schedule).is_asking(self.clock.now());
        let offered = self.read_registry().method(&method).is_some();
        if offered || !asking {
            self.look_at_held();
        }
    }

    /// Sends the held calls whose methods are offered now; once the asking is over, ends the
    /// others.
    pub(super) fn look_at_held(&self) {
        let asking = lock(&self.schedule).is_asking(self.clock.now());
        let due: Vec<(Due, Option<usize>)> = {
            let registry = self.read_registry();
            let is_offered = |method: &str| registry.method(method).is_some();
            let due = lock(&self.desk)
                .calls
                .take_held(|m| !asking || is_offered(m));
            // That of its handler, which may have another wire than what was thought of it.
            let with_category = |due: Due| {
                let method = registry.method(&due.held.request.method);
                let category = method.map(|method| method.category);
                (due, category)
            };
            due.into_iter().map(with_category).collect()
        };
        for (Due { id, held, key }, category) in due {
            let Held { request, deadline } = *held;
            match category {
                Some(category) => {
                    let category = self.categories.get(category);
                    self.send(id, request, category, deadline, key);
                }
                None => drop(self.give_up(id, no_handler(&request.method))),
            }
        }
    }

    fn check(&self, request: &CallRequest, known: &Known, now: Timestamp) -> Result<(), Error> {
        if self.draining.load(Ordering::Relaxed) {
            return Err(Error::shutting_down());
        }
        if !known.offered && !lock(&self.schedule).is_asking(now) {
            count(&self.counters.not_offered);
            return Err(no_handler(&request.method));
        }
        if let Some(schema) = &known.schema {
            schema
                .check(request.params.as_ref())
                .inspect_err(|_| count(&self.counters.invalid_params))?;
        }
        let key_length = request
            .idempotency_key
            .as_ref()
            .map_or(0, CompactString::len);
        if key_length > trunkline_model::limits::KEY_BYTES_MAX {
            count(&self.counters.invalid_params);
            return Err(Error::invalid_params(
                "an idempotency_key has at most 1024 bytes",
            ));
        }
        Ok(())
    }

    /// Whether a call with a key is to be run; else it has an answer, or will have one.
    fn is_first(&self, now: Timestamp, key: &Arc<Key>, params: Option<&Bytes>, id: u64) -> bool {
        let found = lock(&self.remembered).begin(now, key, params, id);
        let outcome = match found {
            Found::New => return true,
            Found::Follows => {
                count(&self.counters.repeated);
                return false;
            }
            Found::Finished(outcome) => {
                count(&self.counters.repeated);
                outcome
            }
            Found::Differs => {
                count(&self.counters.invalid_params);
                CallOutcome::Failed(Error::invalid_params(
                    "this idempotency_key was used with other params",
                ))
            }
        };
        // Bound to the variable so that the lock is gone when the completion is used.
        let entry = lock(&self.desk).calls.remove(id);
        if let Some(entry) = entry {
            entry.completion.complete(Ok(Outcome::Answered(outcome)));
        }
        false
    }

    fn send(
        &self,
        id: u64,
        request: CallRequest,
        category: &Category,
        deadline: Timestamp,
        key: Option<Arc<Key>>,
    ) {
        if self.is_local(category) {
            let now = self.clock.now();
            {
                let mut desk = lock(&self.desk);
                if desk.calls.contains(id) {
                    desk.send(now, id, incoming(request, category, deadline));
                }
            }
            self.tell();
            return;
        }
        let traceparent = request.traceparent.or_else(|| request.caller.trace.clone());
        let call = Call {
            method: request.method,
            params: request.params,
            caller: request.caller,
            category: category.name.clone(),
            deadline,
            traceparent,
        };
        let wire = self.wire(category.wire);
        if let Some(stats) = self.foreign.stats(category.wire, &call) {
            let now = self.clock.now();
            let over = lock(&self.desk).calls.asks(id, Asked::begin(stats, now));
            if let Some(over) = over {
                // Nobody waits any more.
                return over.ended(&CallOutcome::Failed(crate::errors::cancelled()), now);
            }
        }
        let sent = wire.send(call, Completion::new(self.ends.clone(), id));
        if !lock(&self.desk).calls.sent(id, category.wire, sent) {
            // It was answered, cancelled or timed out in between; for an answered one this
            // does nothing.
            let stage = wire.cancel(sent);
            if let (Some(_), Some(key)) = (stage, key) {
                let outcome = CallOutcome::Failed(crate::errors::cancelled());
                self.settle_key(&key, id, &outcome, false);
            }
        }
    }
}

/// What is known of a method.
struct Known {
    /// Its class, or that of methods that nobody offers.
    category: usize,
    /// Somebody offers it, or on its wire nobody says so.
    offered: bool,
    schema: Option<Arc<Schema>>,
}

/// A call that has begun and needs more than a worker.
struct Elsewhere {
    id: u64,
    known: Known,
    key: Option<Arc<Key>>,
    held: Held,
}

/// What a worker is given.
fn incoming(request: CallRequest, category: &Category, deadline: Timestamp) -> IncomingCall {
    let traceparent = request.traceparent.or_else(|| request.caller.trace.clone());
    IncomingCall {
        dispatch: DispatchId(0),
        method: request.method,
        params: request.params,
        caller: request.caller.principal.name(),
        category: category.name.clone(),
        deadline,
        attempt: 1,
        traceparent,
    }
}

fn key_of(request: &CallRequest) -> Option<Arc<Key>> {
    let key = request.idempotency_key.clone()?;
    Some(Arc::new(Key {
        principal: request.caller.principal.clone(),
        method: request.method.clone(),
        key,
    }))
}

/// Ends a call that never began.
fn refuse(completion: Completion, error: Error) {
    completion.complete(Ok(Outcome::Answered(CallOutcome::Failed(error))));
}
