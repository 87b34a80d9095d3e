//! Calls over a wire of our engine: who asks and who answers are two instances in this process,
//! which meet only on Redis.

use std::process;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use bytes::Bytes;
use compact_str::CompactString;
use trunkline_bench_peers::redis::Durability;
use trunkline_engine_redis::{
    ConsumerGroups, ConsumerGroupsOptions, Deployment, RpcProcessor, RpcProcessorOptions,
};
use trunkline_model::{
    Call, CallOutcome, CallSink, CallWire, Caller, Clock, Completed, Completion, CompletionQueue,
    DispatchId, Error, HandlerName, IncomingCall, MethodSpec, Outcome, SystemClock, Timestamp,
    WorkerHandle, WorkerSpec,
};

use trunkline_rpc::Native;

use super::answers::Answers;
use super::topics;
use super::{Server, Wire, start_runtime};
use crate::load::{self, Exchange, Slot};
use crate::measure::Measure;
use crate::rpc;
use crate::workloads::Context;

pub(super) const METHOD: &str = "bench.echo";
pub(super) const HANDLER: &str = "bench";

/// When nobody waits for an answer any more: longer than any run.
pub(super) const DEADLINE: Duration = Duration::from_secs(600);

/// What every call brings and every answer takes back: JSON text.
pub(super) fn params() -> String {
    format!("[{}]", rpc::payload())
}

pub(super) fn run(context: &Context<'_>, wire: Wire, window: u32) -> Result<Measure> {
    let server = Server::start(context, Durability::Memory)?;
    let context = context.on(&server.process);
    let runtime = start_runtime()?;
    let _inside = runtime.enter();
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new(Timestamp::ZERO));
    let serving = open(wire, &server.url(), &clock)?;
    let worker = serve(&serving, window)?;
    let asking = open(wire, &server.url(), &clock)?;
    let asker = Asker::new(asking.clone(), clock);
    let load = load::run_fleet(
        vec![asker],
        window,
        context.plan.warm_up,
        context.plan.measure,
        &context.meter_without_disk(),
    );
    drop(worker);
    for wire in [asking, serving] {
        wire.close(Duration::ZERO);
    }
    runtime.shutdown_timeout(Duration::from_secs(1));
    Ok(Measure::of_load(&load?))
}

fn open(wire: Wire, url: &str, clock: &Arc<dyn Clock>) -> Result<Arc<dyn CallWire>> {
    let deployment = Deployment::new(url.parse()?)?;
    Ok(match wire {
        Wire::Native => {
            let engine = topics::start(url)?;
            Native::start(engine, clock.clone(), unique_process())
        }
        Wire::Streams => {
            let options = ConsumerGroupsOptions::default();
            Arc::new(ConsumerGroups::new(deployment, options, clock.clone()))
        }
        Wire::Lists => {
            let mut options = RpcProcessorOptions::default();
            options.handler(HANDLER, [METHOD])?;
            Arc::new(RpcProcessor::new(deployment, options, clock.clone()))
        }
    })
}

/// A name that no other instance of this run has.
fn unique_process() -> CompactString {
    static LAST: AtomicU32 = AtomicU32::new(0);
    let number = LAST.fetch_add(1, Ordering::Relaxed);
    format!("bench-{}-{number}", process::id()).into()
}

/// Answers every call with what it brought, for as long as the handle lives.
fn serve(wire: &Arc<dyn CallWire>, concurrency: u32) -> Result<Box<dyn WorkerHandle>> {
    let method = MethodSpec {
        name: METHOD.into(),
        description: None,
        params_schema: None,
        result_schema: None,
        idempotent: false,
    };
    let spec = WorkerSpec {
        handler: HandlerName::new(HANDLER)?,
        methods: vec![method],
        category: "general".into(),
        description: None,
        kind: None,
        concurrency,
    };
    Ok(wire.serve(spec, Arc::new(Echo { wire: wire.clone() })))
}

struct Echo {
    wire: Arc<dyn CallWire>,
}

impl CallSink for Echo {
    fn calls(&self, calls: Vec<IncomingCall>) {
        for call in calls {
            let result = call.params.unwrap_or(Bytes::from_static(b"null"));
            let outcome = CallOutcome::Result(result);
            self.wire.answer(call.dispatch, outcome);
        }
    }

    fn cancelled(&self, _dispatch: DispatchId) {}

    fn ended(&self, _reason: Error) {}
}

/// Makes calls and takes their answers on a thread of its own, as a client of a gateway would.
struct Asker {
    wire: Arc<dyn CallWire>,
    call: Call,
    clock: Arc<dyn Clock>,
    queued: Vec<Slot>,
    answers: Arc<Answers>,
    queue: Arc<CompletionQueue>,
    taken: Vec<Completed>,
}

impl Asker {
    fn new(wire: Arc<dyn CallWire>, clock: Arc<dyn Clock>) -> Asker {
        let answers = Arc::new(Answers::default());
        Asker {
            wire,
            call: Call {
                method: METHOD.into(),
                params: Some(Bytes::from(params())),
                caller: Arc::new(Caller::system()),
                category: "general".into(),
                deadline: Timestamp::ZERO,
                traceparent: None,
            },
            clock,
            queued: Vec::new(),
            queue: CompletionQueue::relay(answers.clone()),
            answers,
            taken: Vec::new(),
        }
    }
}

impl Exchange for Asker {
    fn queue(&mut self, slot: Slot) {
        self.queued.push(slot);
    }

    fn flush(&mut self) -> Result<()> {
        let deadline = self.clock.now().after(DEADLINE);
        for slot in self.queued.drain(..) {
            let call = Call {
                deadline,
                ..self.call.clone()
            };
            let completion = Completion::new(self.queue.clone(), u64::from(slot));
            self.wire.send(call, completion);
        }
        Ok(())
    }

    fn receive(&mut self, answered: &mut Vec<Slot>) -> Result<()> {
        self.answers.take(&mut self.taken)?;
        for Completed { token, result } in self.taken.drain(..) {
            match result {
                Ok(Outcome::Answered(CallOutcome::Result(json))) => {
                    let expected = self.call.params.as_ref();
                    ensure!(Some(&json) == expected, "not the answer: {json:?}");
                    answered.push(Slot::try_from(token).context("a token of another's")?);
                }
                Ok(Outcome::Taken) => {}
                other => bail!("a call ended with {other:?}"),
            }
        }
        Ok(())
    }
}
