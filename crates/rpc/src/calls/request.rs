//! Asking: checks before a call goes out.

use super::{
    Calls,
    config::Category,
    counters::count,
    idempotency::{Found, Key},
    outstanding::{Due, Entry, Held},
    registry::Method,
};
use crate::{
    errors::{no_handler, overloaded},
    lock::lock,
};
use bytes::Bytes;
use compact_str::CompactString;
use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};
use trunkline_model::{
    Call, CallId, CallOutcome, CallWire, Caller, Completion, Error, Outcome, Timestamp,
};

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
    /// within `ask_wait`), `-32602` the params don't fit the method's schema or the key was
    /// used with other ones, `-32003` too many calls wait, `-32001` time-out with
    /// `data.stage`, `-32002` the worker was lost, `-32004` cancelled, `-32012` draining.
    pub fn call(&self, request: CallRequest, completion: Completion) -> Option<CallId> {
        count(&self.counters.calls);
        let method = self.read_registry().method(&request.method).cloned();
        let now = self.clock.now();
        if let Err(error) = self.check(&request, method.as_deref(), now) {
            refuse(completion, error);
            return None;
        }
        let number = method
            .as_ref()
            .map_or(self.categories.default(), |method| method.category);
        let category = self.categories.get(number);
        let timeout = request.timeout.unwrap_or(category.config.timeout.0);
        let id = self.last_id.fetch_add(1, Ordering::Relaxed) + 1;
        let entry = Entry {
            completion,
            deadline: now.after(category.config.wait(timeout)),
            category: number,
            bytes: request
                .params
                .as_ref()
                .map_or(0, |params| params.len() as u64),
            key: key_of(&request),
            taken: false,
            sent: None,
            held: None,
        };
        let key = entry.key.clone();
        if !self.begin(id, entry, category) {
            return None;
        }
        if let Some(key) = &key
            && !self.is_first(now, key, request.params.as_ref(), id)
        {
            return self.still(id);
        }
        let deadline = now.after(timeout);
        if method.is_none() {
            self.hold(id, Held { request, deadline });
        } else {
            self.send(id, request, category, deadline, key);
        }
        self.still(id)
    }

    /// Keeps a call back until somebody offers its method, or the asking for that is over:
    /// a method that nobody offers gets no queue.
    fn hold(&self, id: u64, held: Held) {
        let method = held.request.method.clone();
        lock(&self.outstanding).hold(id, held);
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
        let (due, unoffered): (Vec<_>, Vec<_>) = {
            let registry = self.read_registry();
            let is_offered = |method: &str| registry.method(method).is_some();
            let due = lock(&self.outstanding).take_held(|m| !asking || is_offered(m));
            due.into_iter()
                .partition(|due| is_offered(&due.held.request.method))
        };
        for Due {
            id,
            held,
            category,
            key,
        } in due
        {
            let Held { request, deadline } = *held;
            let category = self.categories.get(category);
            self.send(id, request, category, deadline, key);
        }
        for Due { id, held, .. } in unoffered {
            self.give_up(id, no_handler(&held.request.method));
        }
    }

    fn check(
        &self,
        request: &CallRequest,
        method: Option<&Method>,
        now: Timestamp,
    ) -> Result<(), Error> {
        if self.draining.load(Ordering::Relaxed) {
            return Err(Error::shutting_down());
        }
        match method {
            None if !lock(&self.schedule).is_asking(now) => {
                count(&self.counters.not_offered);
                return Err(no_handler(&request.method));
            }
            Some(Method {
                schema: Some(schema),
                ..
            }) => schema
                .check(request.params.as_ref())
                .inspect_err(|_| count(&self.counters.invalid_params))?,
            _ => {}
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

    fn begin(&self, id: u64, entry: Entry, category: &Category) -> bool {
        let bounds = category.config.bounds();
        let begun = lock(&self.outstanding).begin(id, entry, bounds);
        match begun {
            Ok(earlier) => {
                if earlier {
                    self.earlier.notify_one();
                }
                true
            }
            Err(entry) => {
                count(&self.counters.overloaded);
                refuse(
                    entry.completion,
                    overloaded(&category.name, bounds.calls_max),
                );
                false
            }
        }
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
        let entry = lock(&self.outstanding).remove(id);
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
        let traceparent = request.traceparent.or_else(|| request.caller.trace.clone());
        let call = Call {
            method: request.method,
            params: request.params,
            caller: request.caller,
            category: category.name.clone(),
            deadline,
            traceparent,
        };
        let sent = self.wire.send(call, Completion::new(self.ends.clone(), id));
        if !lock(&self.outstanding).sent(id, sent) {
            // It was answered, cancelled or timed out in between; for an answered one this
            // does nothing.
            let stage = self.wire.cancel(sent);
            if let (Some(_), Some(key)) = (stage, key) {
                let outcome = CallOutcome::Failed(crate::errors::cancelled());
                self.settle_key(&key, id, &outcome, false);
            }
        }
    }

    fn still(&self, id: u64) -> Option<CallId> {
        lock(&self.outstanding).contains(id).then_some(CallId(id))
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
