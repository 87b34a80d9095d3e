//! Workers: `rpc.worker.register`, `.drain`, the requests that a worker is sent, and its answers.

use super::{
    Connection, Step,
    call::malformed,
    error,
    frame::Frame,
    inbox::{WorkerKey, WorkerSink},
    params::Params,
    waiting::Ask,
};
use crate::outbox::Outbox;
use bytes::BufMut;
use compact_str::CompactString;
use hashbrown::HashMap;
use serde::Deserialize;
use serde_json::value::RawValue;
use std::sync::Arc;
use trunkline_auth::{Action, Resource};
use trunkline_jsonrpc::{
    Answer, ErrorObject, Id, Integer, Outcome, Text, encode_notification, encode_request,
    parse_params, write_string,
};
use trunkline_model::{
    CallOutcome, DispatchId, Error, HandlerName, IncomingCall, MethodSpec, WorkerSpec,
};
use trunkline_rpc::Registration;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Register<'a> {
    handler: HandlerName,
    #[serde(borrow)]
    methods: Vec<&'a RawValue>,
    category: Option<CompactString>,
    description: Option<String>,
    kind: Option<String>,
    concurrency: Option<u32>,
    #[serde(default)]
    meta: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Drain<'a> {
    #[serde(default, borrow)]
    worker: Option<Text<'a>>,
}

/// The workers of one connection.
#[derive(Default)]
pub(crate) struct Workers {
    registered: HashMap<WorkerKey, Worker>,
    running: HashMap<DispatchId, WorkerKey>,
    last: u64,
}

struct Worker {
    registration: Registration,
    /// Its requests carry `meta`.
    meta: bool,
}

impl Workers {
    /// The call that this connection runs under that id.
    pub(crate) fn running(&self, id: Id<'_>) -> Option<DispatchId> {
        let dispatch = DispatchId(id.as_u64()?);
        self.running.contains_key(&dispatch).then_some(dispatch)
    }

    /// Whether it runs no call.
    pub(crate) fn is_idle(&self) -> bool {
        self.running.is_empty()
    }
}

pub(crate) fn register(
    connection: &mut Connection,
    params: Params<'_>,
    _: Ask<'_>,
) -> Result<Step, Error> {
    let asked: Register<'_> = params.read()?;
    connection.allow(Action::Work, Resource::Handler(&asked.handler))?;
    connection.take_no_new_work()?;
    let max = connection.shared.config.limits.max_workers;
    if connection.workers.registered.len() >= max {
        return Err(error::limit("workers", max));
    }
    let concurrency = asked.concurrency.unwrap_or(1);
    if concurrency == 0 {
        return Err(error::param("/concurrency", "is 0; it must be at least 1"));
    }
    let spec = WorkerSpec {
        handler: asked.handler,
        methods: methods(&asked.methods)?,
        category: asked.category.unwrap_or_else(|| {
            CompactString::new(connection.shared.services.calls.default_category())
        }),
        description: asked.description,
        kind: asked.kind,
        concurrency,
    };
    connection.workers.last += 1;
    let key = WorkerKey(connection.workers.last);
    let inbox = connection.inbox.clone();
    let sink = Arc::new(WorkerSink { key, inbox });
    let calls = &connection.shared.services.calls;
    let registration = calls.register(&connection.caller, spec, sink)?;
    let worker = Worker {
        registration,
        meta: asked.meta,
    };
    connection.workers.registered.insert(key, worker);
    let result = format!("{{\"worker\":\"{}\"}}", connection.worker_name(key));
    Ok(Step::Now(result.into_bytes()))
}

/// Each a name, or an object with one.
fn methods(raw: &[&RawValue]) -> Result<Vec<MethodSpec>, Error> {
    if raw.is_empty() {
        return Err(error::param("/methods", "must have at least one method"));
    }
    let mut methods = Vec::with_capacity(raw.len());
    for (index, raw) in raw.iter().enumerate() {
        let method = method(raw).map_err(|mut problem| {
            problem.path = format!("/methods/{index}{}", problem.path);
            error::params(problem)
        })?;
        if method.name.is_empty() || method.name.starts_with("rpc.") {
            let text = "a method's name must not be empty or start with \"rpc.\"";
            return Err(error::param(&format!("/methods/{index}"), text));
        }
        methods.push(method);
    }
    Ok(methods)
}

fn method(raw: &RawValue) -> Result<MethodSpec, trunkline_jsonrpc::ParamsError> {
    if raw.get().starts_with('{') {
        return parse_params(Some(raw));
    }
    let name = serde_json::from_str(raw.get()).map_err(|_| {
        trunkline_jsonrpc::ParamsError::new("", "must be a method's name or an object")
    })?;
    Ok(MethodSpec {
        name,
        description: None,
        params_schema: None,
        result_schema: None,
        idempotent: false,
    })
}

pub(crate) fn drain(
    connection: &mut Connection,
    params: Params<'_>,
    _: Ask<'_>,
) -> Result<Step, Error> {
    let asked: Drain<'_> = params.read()?;
    connection.allow(Action::Control, Resource::Server)?;
    match asked.worker {
        None => {
            for worker in connection.workers.registered.values() {
                worker.registration.drain();
            }
        }
        Some(name) => {
            let key = connection
                .worker_key(&name)
                .ok_or_else(|| Error::not_found("worker", &*name))?;
            connection.workers.registered[&key].registration.drain();
        }
    }
    Ok(Step::Empty)
}

impl Connection {
    /// `wCONNECTION-NUMBER`: no other connection has a worker of that name.
    fn worker_name(&self, key: WorkerKey) -> String {
        format!("w{}-{}", self.caller.connection.0, key.0)
    }

    fn worker_key(&self, name: &str) -> Option<WorkerKey> {
        let (connection, number) = name.strip_prefix('w')?.split_once('-')?;
        let own = connection.parse() == Ok(self.caller.connection.0);
        let key = WorkerKey(number.parse().ok()?);
        (own && self.workers.registered.contains_key(&key)).then_some(key)
    }

    /// Sends a worker its calls.
    pub(crate) fn run_calls(&mut self, key: WorkerKey, calls: Vec<IncomingCall>, out: &mut Outbox) {
        let Some(worker) = self.workers.registered.get(&key) else {
            return;
        };
        for call in calls {
            self.workers.running.insert(call.dispatch, key);
            let meta = worker.meta.then(|| meta(&call));
            out.frame(|buffer| {
                encode_request(
                    buffer,
                    Integer::from_unsigned(call.dispatch.0).as_id(),
                    &call.method,
                    call.params.as_deref(),
                    meta.as_deref(),
                );
            });
        }
    }

    /// Tells a worker that nobody waits for a call any more.
    pub(crate) fn call_cancelled(&mut self, dispatch: DispatchId, out: &mut Outbox) {
        if !self.workers.running.contains_key(&dispatch) {
            return;
        }
        let params = format!("{{\"id\":{}}}", dispatch.0);
        out.frame(|buffer| encode_notification(buffer, "rpc.cancel", Some(params.as_bytes())));
    }

    /// Tells a worker that it was ended from below: a notification
    /// `rpc.worker.ended {worker, error}`.
    pub(crate) fn worker_ended(&mut self, key: WorkerKey, reason: &Error, out: &mut Outbox) {
        if self.workers.registered.remove(&key).is_none() {
            return;
        }
        self.workers.running.retain(|_, worker| *worker != key);
        let mut params = Vec::new();
        params.put_slice(b"{\"worker\":");
        write_string(&mut params, &self.worker_name(key));
        params.put_slice(b",\"error\":");
        error::write_object(&mut params, reason);
        params.put_u8(b'}');
        out.frame(|buffer| encode_notification(buffer, "rpc.worker.ended", Some(&params)));
    }

    /// A worker's answer. One to a call that this connection is not running is counted and
    /// nothing else: late, given twice, or another worker's.
    pub(crate) fn answered(&mut self, answer: &Answer<'_>, frame: Frame<'_>) {
        let keep = |raw: &RawValue| frame.keep(raw.get().as_bytes());
        let outcome = match &answer.outcome {
            Outcome::Result(result) => CallOutcome::Result(keep(result)),
            Outcome::Error(object) => match ErrorObject::parse(object) {
                Ok(_) => CallOutcome::HandlerError(keep(object)),
                Err(problem) => malformed(&problem.to_string()),
            },
            Outcome::Malformed(reason) => malformed(&reason.to_string()),
        };
        if !self.finish(answer.id, outcome) {
            self.shared.counters.unknown_answers.add(1);
        }
    }

    /// Something that is no answer, though its id is that of a running call: the call must not
    /// wait for its deadline. False if there is no such call.
    pub(crate) fn failed_to_answer(&mut self, id: Id<'_>, problem: &str) -> bool {
        self.finish(id, malformed(problem))
    }

    fn finish(&mut self, id: Id<'_>, outcome: CallOutcome) -> bool {
        let Some(dispatch) = id.as_u64().map(DispatchId) else {
            return false;
        };
        if self.workers.running.remove(&dispatch).is_none() {
            return false;
        }
        if matches!(outcome, CallOutcome::Failed(_)) {
            self.shared.counters.malformed_answers.add(1);
        }
        self.gather_answer(dispatch, outcome);
        true
    }
}

/// The `meta` member of a worker's request.
fn meta(call: &IncomingCall) -> Vec<u8> {
    let mut out = Vec::with_capacity(160);
    out.put_slice(b"{\"caller\":");
    write_string(&mut out, &call.caller);
    out.put_slice(b",\"deadline\":\"");
    super::deliver::write_text(&mut out, call.deadline);
    out.put_slice(b"\",\"attempt\":");
    out.put_slice(
        Integer::from_unsigned(u64::from(call.attempt))
            .as_str()
            .as_bytes(),
    );
    if let Some(traceparent) = &call.traceparent {
        out.put_slice(b",\"traceparent\":");
        write_string(&mut out, traceparent);
    }
    out.put_slice(b",\"category\":");
    write_string(&mut out, &call.category);
    out.put_u8(b'}');
    out
}
