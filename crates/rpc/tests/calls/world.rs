//! A process with an engine, workers that are answered by hand, and clients that note what
//! they hear.

use bytes::Bytes;
use serde_json::Value;
use std::{
    sync::{Arc, Mutex},
    time::Duration,
};
use trunkline_engine_embedded::{Drive, Embedded, EmbeddedConfig};
use trunkline_model::{
    Admin, CallId, CallOutcome, CallSink, Caller, Completed, Completion, CompletionQueue,
    ConnectionId, DispatchId, Engine, Error, HandlerName, IncomingCall, ManualClock, MethodSpec,
    Outcome, Principal, Protocol, Span, Timestamp, TopicName, Wake, WorkerSpec, oneshot,
};
use trunkline_rpc::{CallRequest, Calls, CallsConfig, CategoryConfig, Registration};

pub(crate) struct World {
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) engine: Arc<Embedded>,
    pub(crate) calls: Arc<Calls>,
}

impl World {
    /// A gateway that has asked and waited for announcements.
    pub(crate) fn new() -> Self {
        let world = Self::started(config());
        world.pass(Duration::from_secs(1));
        world
    }

    /// A gateway that has just been started.
    pub(crate) fn started(config: CallsConfig) -> Self {
        let clock = Arc::new(ManualClock::new(Timestamp::from_millis(1_000_000)));
        let mut engine = EmbeddedConfig::memory();
        engine.clock = Some(clock.clone());
        engine.drive = Drive::ByHand;
        let engine = Embedded::open(engine).unwrap();
        let under = crate::under_calls(engine.clone());
        let calls = Calls::start(under, clock.clone(), config, "here".into());
        Self {
            clock,
            engine,
            calls,
        }
    }

    /// Whether the engine has a queue for a method.
    pub(crate) async fn has_queue(&self, method: &str) -> bool {
        let topic = TopicName::new(format!("_call.{method}")).unwrap();
        let (completion, result) = oneshot();
        let inspect = Admin::Inspect { topic };
        self.engine.admin(&Caller::system(), inspect, completion);
        result.await.is_ok()
    }

    /// Lets time go by and everything happen that is due.
    pub(crate) fn pass(&self, span: Duration) {
        self.clock.advance(span);
        self.engine.tick();
        self.calls.tick();
    }

    pub(crate) fn client(&self) -> Client {
        Client::of(&self.calls)
    }

    pub(crate) fn worker(&self, handler: &str, methods: &[&str], concurrency: u32) -> Worker {
        Worker::of(&self.calls, spec(handler, methods, concurrency))
    }
}

pub(crate) fn config() -> CallsConfig {
    let mut config = CallsConfig::default();
    let small = CategoryConfig {
        timeout: Span(Duration::from_secs(4)),
        extension_percent: 25,
        max_waiting: 2,
        ..CategoryConfig::default()
    };
    config.categories.insert("small".into(), small);
    config
}

pub(crate) const fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

pub(crate) fn method(name: &str) -> MethodSpec {
    MethodSpec {
        name: name.into(),
        description: None,
        params_schema: None,
        result_schema: None,
        idempotent: name.starts_with("get"),
    }
}

/// A worker's offer; methods whose names begin with `get` are idempotent.
pub(crate) fn spec(handler: &str, methods: &[&str], concurrency: u32) -> WorkerSpec {
    WorkerSpec {
        handler: HandlerName::new(handler).unwrap(),
        methods: methods.iter().map(|name| method(name)).collect(),
        category: "general".into(),
        description: None,
        kind: None,
        concurrency,
    }
}

/// A worker that takes calls and does nothing by itself.
pub(crate) struct Worker {
    pub(crate) calls: Arc<Calls>,
    pub(crate) registration: Registration,
    sink: Arc<Sink>,
}

#[derive(Default)]
struct Sink {
    taken: Mutex<Vec<IncomingCall>>,
    cancelled: Mutex<Vec<DispatchId>>,
    ended: Mutex<Vec<Error>>,
}

impl CallSink for Sink {
    fn calls(&self, calls: Vec<IncomingCall>) {
        self.taken.lock().unwrap().extend(calls);
    }

    fn cancelled(&self, dispatch: DispatchId) {
        self.cancelled.lock().unwrap().push(dispatch);
    }

    fn ended(&self, reason: Error) {
        self.ended.lock().unwrap().push(reason);
    }
}

impl Worker {
    pub(crate) fn of(calls: &Arc<Calls>, spec: WorkerSpec) -> Self {
        Self::try_of(calls, spec).unwrap()
    }

    pub(crate) fn try_of(calls: &Arc<Calls>, spec: WorkerSpec) -> Result<Self, Error> {
        let sink = Arc::new(Sink::default());
        let registration = calls.register(&somebody("worker"), spec, sink.clone())?;
        let calls = calls.clone();
        Ok(Self {
            calls,
            registration,
            sink,
        })
    }

    /// The calls that came since the last look.
    pub(crate) fn take(&self) -> Vec<IncomingCall> {
        assert!(self.sink.ended.lock().unwrap().is_empty());
        std::mem::take(&mut self.sink.taken.lock().unwrap())
    }

    /// The one call that came since the last look.
    pub(crate) fn take_one(&self) -> IncomingCall {
        let mut calls = self.take();
        assert_eq!(calls.len(), 1, "{calls:?}");
        calls.remove(0)
    }

    /// The params of the calls that came since the last look.
    pub(crate) fn take_params(&self) -> Vec<String> {
        let params = |call: IncomingCall| text(&call.params.unwrap());
        self.take().into_iter().map(params).collect()
    }

    /// The calls that nobody waits for any more, since the last look.
    pub(crate) fn cancelled(&self) -> Vec<DispatchId> {
        std::mem::take(&mut self.sink.cancelled.lock().unwrap())
    }

    pub(crate) fn answer(&self, call: &IncomingCall, result: &'static str) -> bool {
        let outcome = CallOutcome::Result(Bytes::from_static(result.as_bytes()));
        self.calls.answer(call.dispatch, outcome)
    }
}

/// A client that notes what it hears.
pub(crate) struct Client {
    calls: Arc<Calls>,
    queue: Arc<CompletionQueue>,
    wake: Wake,
    caller: Arc<Caller>,
    next: Mutex<u64>,
}

impl Client {
    pub(crate) fn of(calls: &Arc<Calls>) -> Self {
        Self::named(calls, "somebody")
    }

    pub(crate) fn named(calls: &Arc<Calls>, user: &str) -> Self {
        let wake = Wake::new();
        Self {
            calls: calls.clone(),
            queue: CompletionQueue::new(wake.clone()),
            wake,
            caller: Arc::new(somebody(user)),
            next: Mutex::new(0),
        }
    }

    pub(crate) fn request(&self, method: &str, params: &str) -> CallRequest {
        let params = (!params.is_empty()).then(|| Bytes::copy_from_slice(params.as_bytes()));
        CallRequest::new(method, params, self.caller.clone())
    }

    /// Calls; the first call is number 1 in what is heard.
    pub(crate) fn call(&self, method: &str, params: &str) -> Option<CallId> {
        self.call_with(self.request(method, params))
    }

    pub(crate) fn call_for(&self, span: Duration, method: &str, params: &str) -> Option<CallId> {
        let mut request = self.request(method, params);
        request.timeout = Some(span);
        self.call_with(request)
    }

    pub(crate) fn call_with_key(&self, key: &str, method: &str, params: &str) -> Option<CallId> {
        let mut request = self.request(method, params);
        request.idempotency_key = Some(key.into());
        self.call_with(request)
    }

    pub(crate) fn call_with(&self, request: CallRequest) -> Option<CallId> {
        let mut next = self.next.lock().unwrap();
        *next += 1;
        let completion = Completion::new(self.queue.clone(), *next);
        drop(next);
        self.calls.call(request, completion)
    }

    /// What came since the last look, each as one line.
    pub(crate) fn heard(&self) -> Vec<String> {
        let mut completed = Vec::new();
        self.queue.drain_into(&mut completed);
        completed.iter().map(line).collect()
    }

    /// The error that came since the last look.
    pub(crate) fn error(&self) -> Error {
        let mut completed = Vec::new();
        self.queue.drain_into(&mut completed);
        match completed.pop() {
            Some(Completed {
                result: Ok(Outcome::Answered(CallOutcome::Failed(error))),
                ..
            }) if completed.is_empty() => error,
            other => panic!("not one error: {other:?} {completed:?}"),
        }
    }

    /// Waits until so many lines came.
    pub(crate) async fn hear(&self, lines: usize) -> Vec<String> {
        let mut heard = self.heard();
        while heard.len() < lines {
            self.wake.woken().await;
            heard.extend(self.heard());
        }
        heard
    }
}

fn line(completed: &Completed) -> String {
    let token = completed.token;
    match &completed.result {
        Ok(Outcome::Progress(value)) => format!("{token}: progress {}", text(value)),
        Ok(Outcome::Answered(CallOutcome::Result(value))) => format!("{token}: {}", text(value)),
        Ok(Outcome::Answered(CallOutcome::HandlerError(error))) => {
            format!("{token}: failed {}", text(error))
        }
        Ok(Outcome::Answered(CallOutcome::Failed(error))) => {
            let stage = error.data().and_then(|data| data.get("stage"));
            let stage = stage.and_then(Value::as_str).unwrap_or_default();
            let line = format!("{token}: {} {stage}", error.code().number());
            line.trim_end().to_owned()
        }
        other => panic!("not what becomes of a call: {other:?}"),
    }
}

fn text(bytes: &Bytes) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

pub(crate) fn somebody(user: &str) -> Caller {
    Caller {
        principal: Principal::User(user.into()),
        connection: ConnectionId(1),
        protocol: Protocol::WebSocket,
        peer: None,
        trace: Some("00-trace".into()),
    }
}
