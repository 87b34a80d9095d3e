//! What is counted of calls over a wire by the calls above it.

use crate::setup::{Asked, clock, result, setup, soon, spec};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use trunkline_engine_redis::{RedisConfig, RedisEngine, RpcProcessor, RpcProcessorOptions};
use trunkline_model::{
    CallOutcome, CallSink, CallWire, Caller, Clock, DispatchId, Error, IncomingCall, ManualClock,
    Timestamp, oneshot,
};
use trunkline_rpc::{CallRequest, Calls, CallsConfig, CategoryConfig};

struct Taken(mpsc::UnboundedSender<IncomingCall>);

impl CallSink for Taken {
    fn calls(&self, calls: Vec<IncomingCall>) {
        for call in calls {
            let _ = self.0.send(call);
        }
    }

    fn cancelled(&self, _dispatch: DispatchId) {}

    fn ended(&self, _reason: Error) {}
}

#[tokio::test]
async fn case_11_answers_errors_and_time_outs_are_counted_and_measured() {
    let Some(on) = setup().await else { return };
    let clock = Arc::new(ManualClock::new(clock().now()));
    let mut options = RpcProcessorOptions::default();
    options.handler("h", ["echo"]).expect("it is free");
    let wire = RpcProcessor::new(on.deployment(), options, clock.clone());
    let url = on.server.url().parse().expect("a URL");
    let engine = RedisEngine::start(RedisConfig::new(url)).expect("it starts");
    let mut config = CallsConfig::default();
    let category = CategoryConfig {
        wire: "lists".into(),
        ..CategoryConfig::default()
    };
    config.categories.insert("general".into(), category);
    let wire: Arc<dyn CallWire> = Arc::new(wire);
    let wires = BTreeMap::from([("lists".into(), wire)]);
    let calls = Calls::start_with(engine, clock.clone(), config, "one".into(), wires);
    let calls = calls.expect("the wire is there");
    let (sender, mut taken) = mpsc::unbounded_channel();
    let system = Caller::system();
    let worker = calls.register(
        &system,
        spec("general", &["echo"], 1),
        Arc::new(Taken(sender)),
    );
    let _worker = worker.expect("nobody else has it");
    let caller = Arc::new(Caller::system());
    let mut last = Timestamp::ZERO;
    for (ms, outcome) in [
        (10, Some(result("1"))),
        (20, Some(result("2"))),
        (30, Some(result("3"))),
        (
            40,
            Some(CallOutcome::HandlerError(
                br#"{"code":15,"message":"m"}"#[..].into(),
            )),
        ),
        (60_000, None),
    ] {
        let (completion, done) = oneshot();
        last = clock.now();
        calls.call(CallRequest::new("echo", None, caller.clone()), completion);
        let call = soon(taken.recv()).await.expect("it comes");
        clock.advance(Duration::from_millis(ms));
        match outcome {
            Some(outcome) => drop(calls.answer(call.dispatch, outcome)),
            None => drop(calls.tick()),
        }
        let ended = Asked::of(done).text().await;
        assert_eq!(ended == "failed -32000: timeout", ms == 60_000, "{ended}");
    }
    let handlers = calls.handlers();
    let stats = &handlers
        .iter()
        .find(|info| info.handler.as_str() == "h")
        .unwrap()
        .stats;
    assert_eq!((stats.calls, stats.succeeded, stats.failed), (5, 3, 1));
    assert_eq!(stats.timed_out, 1);
    // Of the four that were answered; times are kept with two digits.
    assert!((24_750..=25_250).contains(&stats.average_us), "{stats:?}");
    assert_eq!(stats.last_activity_ms, last.as_millis());
}
