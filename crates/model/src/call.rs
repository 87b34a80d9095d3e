//! The call seam: a request that waits for a worker, and its one answer.

use crate::{Caller, Completion, Error, HandlerName, Timestamp};
use bytes::Bytes;
use compact_str::CompactString;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use std::{fmt, pin::Pin, sync::Arc, time::Duration};
use tokio::sync::broadcast;

/// A call on the asking side; never reused within a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CallId(pub u64);

/// A call on the answering side: one dispatch to one worker; never reused within a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DispatchId(pub u64);

/// A request to a handler.
#[derive(Clone, Debug)]
pub struct Call {
    /// The method, as the caller wrote it.
    pub method: CompactString,
    /// The params as JSON text, byte for byte; `None` if absent.
    pub params: Option<Bytes>,
    /// Who asks.
    pub caller: Arc<Caller>,
    /// The class of the call.
    pub category: CompactString,
    /// When the caller stops waiting; workers see it.
    pub deadline: Timestamp,
    /// W3C trace context.
    pub traceparent: Option<CompactString>,
}

/// How a call ended.
#[derive(Clone, Debug, PartialEq)]
pub enum CallOutcome {
    /// The handler's result as JSON text, byte for byte.
    Result(Bytes),
    /// The handler's own error object as JSON text: reaches the caller unchanged.
    HandlerError(Bytes),
    /// Trunkline's error.
    Failed(Error),
}

/// How far a call had come when its time was over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Stage {
    /// No worker had taken it.
    Queued,
    /// A worker had taken it.
    Running,
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Queued => "queued",
            Self::Running => "running",
        })
    }
}

/// A method that a worker offers.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MethodSpec {
    /// Its name: what callers write.
    pub name: CompactString,
    /// For people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// JSON Schema of the params, checked before a call is queued.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub params_schema: Option<Box<RawValue>>,
    /// JSON Schema of the result, for people and generators.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result_schema: Option<Box<RawValue>>,
    /// A call may be run again on another worker if this one is lost.
    #[serde(default)]
    pub idempotent: bool,
}

/// What a worker offers.
#[derive(Clone, Debug)]
pub struct WorkerSpec {
    /// The handler: a named set of methods.
    pub handler: HandlerName,
    /// Its methods; at least one.
    pub methods: Vec<MethodSpec>,
    /// The class of its calls.
    pub category: CompactString,
    /// For people.
    pub description: Option<String>,
    /// For people: what sort of handler this is.
    pub kind: Option<String>,
    /// Most calls at once over all methods, at least 1.
    pub concurrency: u32,
}

/// A call handed to a worker.
#[derive(Clone, Debug)]
pub struct IncomingCall {
    /// Names it in [`CallWire::answer`] and [`CallWire::progress`].
    pub dispatch: DispatchId,
    /// The method.
    pub method: CompactString,
    /// The params as JSON text; `None` if absent.
    pub params: Option<Bytes>,
    /// Who asks, as text.
    pub caller: CompactString,
    /// The class of the call.
    pub category: CompactString,
    /// When the caller stops waiting.
    pub deadline: Timestamp,
    /// Which attempt this is, from 1.
    pub attempt: u32,
    /// W3C trace context.
    pub traceparent: Option<CompactString>,
}

/// Receives a worker's calls: in order, from one thread at a time; must not block. The
/// worker's concurrency bounds what it is given.
pub trait CallSink: Send + Sync {
    /// Takes calls to run.
    fn calls(&self, calls: Vec<IncomingCall>);

    /// The caller no longer waits for this one. Its slot stays taken until it is answered.
    fn cancelled(&self, dispatch: DispatchId);

    /// The worker was ended from below; nothing follows.
    fn ended(&self, reason: Error);
}

/// Controls a worker. Dropping it means that the worker is lost: running calls are taken
/// over where the method is idempotent, the others fail with
/// [`ErrorCode::WorkerLost`](crate::ErrorCode::WorkerLost).
pub trait WorkerHandle: Send + Sync {
    /// No new calls from now on; running ones finish.
    fn drain(&self);

    /// How many calls it is running.
    fn running(&self) -> u32;
}

/// Statistics of a handler on one gateway, from completed calls.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct HandlerStats {
    /// Calls handed to a worker.
    pub calls: u64,
    /// Answered with a result.
    pub succeeded: u64,
    /// Answered with an error.
    pub failed: u64,
    /// Timed out.
    pub timed_out: u64,
    /// Failed because the worker was lost.
    pub lost: u64,
    /// Running now.
    pub running: u32,
    /// Mean time from dispatch to answer, in microseconds.
    pub average_us: u64,
    /// Median of that time, in microseconds.
    pub p50_us: u64,
    /// 95th percentile of that time, in microseconds.
    pub p95_us: u64,
    /// 99th percentile of that time, in microseconds.
    pub p99_us: u64,
    /// When the last call was handed over, in milliseconds since the epoch; 0 = never.
    pub last_activity_ms: u64,
}

impl HandlerStats {
    /// Calls that succeeded, in percent of those that succeeded, failed or timed out, to one decimal;
    /// `None` as long as there are none.
    pub fn success_rate(&self) -> Option<f64> {
        let ended = self.succeeded + self.failed + self.timed_out;
        (ended > 0).then(|| (self.succeeded as f64 * 1_000.0 / ended as f64).round() / 10.0)
    }
}

/// A handler as it is announced to every gateway.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct HandlerInfo {
    /// Its name.
    pub handler: HandlerName,
    /// The announcing gateway or worker process.
    pub announcer: CompactString,
    /// Its methods.
    pub methods: Vec<MethodSpec>,
    /// The class of its calls.
    pub category: CompactString,
    /// For people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// For people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// The wire that its calls take, if that is not the engine's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wire: Option<CompactString>,
    /// Workers behind the announcer; 0 says that the handler is gone from there.
    pub workers: u32,
    /// Their concurrency, summed.
    pub concurrency: u32,
    /// What they did.
    pub stats: HandlerStats,
}

/// How calls travel. `rpc` implements it over any engine (`native`); other
/// implementations speak the wires of existing systems.
pub trait CallWire: Send + Sync + 'static {
    /// Whether workers on this wire announce their methods, so that a method that nobody
    /// offers can fail at once. Unless told otherwise they don't: then what has to do with
    /// announcements does nothing.
    fn announces(&self) -> bool {
        false
    }

    /// Queues a call. Ends with [`Outcome::Answered`](crate::Outcome::Answered), after any
    /// number of [`Outcome::Progress`](crate::Outcome::Progress). The wire doesn't watch
    /// the deadline: who sends also cancels.
    fn send(&self, call: Call, completion: Completion) -> CallId;

    /// Forgets a call: nothing is completed afterwards, a queued call is not run, a running
    /// one is told. Says how far it had come; `None` if it is already finished.
    fn cancel(&self, id: CallId) -> Option<Stage>;

    /// Takes calls for a worker. Errors come through [`CallSink::ended`].
    fn serve(&self, spec: WorkerSpec, sink: Arc<dyn CallSink>) -> Box<dyn WorkerHandle>;

    /// Answers a call, once; false if nobody waits any more (a late answer).
    fn answer(&self, dispatch: DispatchId, outcome: CallOutcome) -> bool;

    /// Passes a JSON value to the caller of a running call. Nowhere, where progress doesn't travel.
    fn progress(&self, _dispatch: DispatchId, _value: Bytes) {}

    /// Tells every gateway what is offered here.
    fn announce(&self, _info: HandlerInfo) {}

    /// Asks everybody to announce.
    fn ask(&self) {}

    /// What is announced, by anybody, from now on. Closed where nobody does.
    fn announcements(&self) -> broadcast::Receiver<Arc<HandlerInfo>> {
        broadcast::Sender::new(1).subscribe()
    }

    /// The queue in which calls of a method wait, by which what becomes of them is counted: there are
    /// only so many, whatever callers ask for.
    fn queue_of(&self, call: &Call) -> CompactString {
        call.category.clone()
    }

    /// What a call ends with that nobody has answered in time: `-32001`, unless clients of this wire
    /// know it by another code.
    fn timed_out(&self, stage: Stage) -> Error {
        Error::timed_out(stage)
    }

    /// What the wire has counted since its start, by name.
    fn counters(&self) -> Vec<(&'static str, u64)> {
        Vec::new()
    }

    /// Ready once the answers given so far are written, or can't be: before that, the process
    /// must not end. At once where nothing is written later than it is given.
    fn flushed(&self) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        Box::pin(std::future::ready(()))
    }

    /// Stops taking and giving calls within `deadline`.
    fn close(&self, deadline: Duration);
}
