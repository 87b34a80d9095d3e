//! Calls: a handler's method, `rpc.call`, `rpc.cancel`, and `rpc.progress` towards the caller.

use super::{
    Connection, Step, error,
    params::Params,
    waiting::{Ask, Awaited},
};
use crate::outbox::Outbox;
use bytes::{BufMut, Bytes};
use compact_str::CompactString;
use serde::Deserialize;
use serde_json::value::RawValue;
use std::time::Duration;
use trunkline_auth::{Action, Resource};
use trunkline_jsonrpc::{
    Id, Text, encode_error_object, encode_notification, encode_result, present,
};
use trunkline_model::{CallOutcome, Error, ErrorCode};
use trunkline_rpc::CallRequest;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CallWith<'a> {
    #[serde(borrow)]
    method: Text<'a>,
    #[serde(default, borrow)]
    params: Option<&'a RawValue>,
    timeout_ms: Option<u64>,
    idempotency_key: Option<CompactString>,
    traceparent: Option<CompactString>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Cancel<'a> {
    #[serde(default, borrow, deserialize_with = "present")]
    id: Option<&'a RawValue>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Progress<'a> {
    #[serde(default, borrow, deserialize_with = "present")]
    id: Option<&'a RawValue>,
    #[serde(default, borrow, deserialize_with = "present")]
    value: Option<&'a RawValue>,
}

/// A method that doesn't start with `rpc.`.
pub(crate) fn plain(
    connection: &mut Connection,
    method: &str,
    params: Params<'_>,
    ask: Ask<'_>,
) -> Result<Step, Error> {
    let request = CallRequest {
        method: CompactString::new(method),
        params: params.text(),
        caller: connection.caller.clone(),
        timeout: None,
        idempotency_key: None,
        traceparent: None,
    };
    connection.call(request, ask)
}

/// `rpc.call`: a call with options.
pub(crate) fn with_options(
    connection: &mut Connection,
    params: Params<'_>,
    ask: Ask<'_>,
) -> Result<Step, Error> {
    let asked: CallWith<'_> = params.read()?;
    if asked.method.starts_with("rpc.") {
        let text = "must be a handler's method; those of Trunkline are called by themselves";
        return Err(error::param("/method", text));
    }
    if asked
        .params
        .is_some_and(|p| !p.get().starts_with(['{', '[']))
    {
        return Err(error::param("/params", "must be an object or an array"));
    }
    let request = CallRequest {
        method: CompactString::new(&*asked.method),
        params: asked.params.map(|raw| params.keep(raw.get().as_bytes())),
        caller: connection.caller.clone(),
        timeout: asked.timeout_ms.map(Duration::from_millis),
        idempotency_key: asked.idempotency_key,
        traceparent: asked.traceparent,
    };
    connection.call(request, ask)
}

/// `rpc.cancel {id}`: the caller's own calls with that id.
pub(crate) fn cancel(
    connection: &mut Connection,
    params: Params<'_>,
    _: Ask<'_>,
) -> Result<Step, Error> {
    let asked: Cancel<'_> = params.read()?;
    connection.allow(Action::Control, Resource::Server)?;
    let id = id_of(asked.id)?;
    let mut cancelled = false;
    for call in connection.waiting.cancelled(id) {
        cancelled |= connection.shared.services.calls.cancel(call);
    }
    let result: &[u8] = if cancelled {
        b"{\"cancelled\":true}"
    } else {
        b"{\"cancelled\":false}"
    };
    Ok(Step::Now(result.to_vec()))
}

/// `rpc.progress {id, value}` from a worker about a call that it runs.
pub(crate) fn progress(
    connection: &mut Connection,
    params: Params<'_>,
    _: Ask<'_>,
) -> Result<Step, Error> {
    let asked: Progress<'_> = params.read()?;
    connection.allow(Action::Control, Resource::Server)?;
    let id = id_of(asked.id)?;
    let value = asked
        .value
        .ok_or_else(|| error::param("", "member \"value\" is missing"))?;
    let dispatch = connection
        .workers
        .running(id)
        .ok_or_else(|| Error::not_found("call", id.as_json()))?;
    let value = params.keep(value.get().as_bytes());
    connection.shared.services.calls.progress(dispatch, value);
    Ok(Step::Empty)
}

fn id_of(raw: Option<&RawValue>) -> Result<Id<'_>, Error> {
    let raw = raw.ok_or_else(|| error::param("", "member \"id\" is missing"))?;
    Id::from_json(raw.get())
        .ok_or_else(|| error::param("/id", "must be a string, a number or null"))
}

impl Connection {
    fn call(&mut self, request: CallRequest, ask: Ask<'_>) -> Result<Step, Error> {
        self.allow(Action::Call, Resource::Method(&request.method))?;
        self.take_no_new_work()?;
        let awaited = Awaited::Call {
            call: None,
            keyed: request.idempotency_key.is_some(),
        };
        let (token, completion) = self.waiting_for(ask, awaited)?;
        self.gather_call(request, token, completion);
        Ok(Step::Later)
    }

    /// Passes progress on under the caller's own id.
    pub(crate) fn progressed(&mut self, token: u64, value: &Bytes, out: &mut Outbox) {
        let Some(entry) = self.waiting.get(token) else {
            return;
        };
        if !self.may_push() {
            return;
        }
        let mut params = Vec::with_capacity(value.len() + 48);
        params.put_slice(b"{\"id\":");
        params.put_slice(entry.reply.id.as_id().as_json().as_bytes());
        params.put_slice(b",\"value\":");
        params.put_slice(value);
        params.put_u8(b'}');
        out.frame(|buffer| encode_notification(buffer, "rpc.progress", Some(&params)));
    }

    /// A client that is gone wants no answers, except to calls that it may ask for again.
    pub(crate) fn cancel_calls(&mut self) {
        for (call, keyed) in self.waiting.calls() {
            if !keyed {
                self.shared.services.calls.cancel(call);
            }
        }
    }
}

/// Appends the answer that a call came to.
pub(crate) fn write_outcome(out: &mut Vec<u8>, id: Id<'_>, outcome: &CallOutcome) {
    match outcome {
        CallOutcome::Result(result) => encode_result(out, id, result),
        CallOutcome::HandlerError(object) => encode_error_object(out, id, object),
        CallOutcome::Failed(failure) => error::write(out, id, failure),
    }
}

/// What a worker's answer that is none means for its call.
pub(crate) fn malformed(problem: &str) -> CallOutcome {
    CallOutcome::Failed(Error::new(
        ErrorCode::HandlerFailed,
        format!("the worker's answer was not well-formed: {problem}"),
    ))
}
