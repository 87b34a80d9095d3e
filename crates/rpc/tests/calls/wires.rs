//! Categories on wires of their own, beside the engine.

use crate::world::{Worker, World, config, secs, spec};
use std::{collections::BTreeMap, future::Future, pin::Pin, sync::Arc, time::Duration};
use tokio::sync::watch;
use trunkline_engine_embedded::{Drive, Embedded, EmbeddedConfig};
use trunkline_model::{
    Call, CallId, CallOutcome, CallSink, CallWire, Completion, DispatchId, Stage, WorkerHandle,
    WorkerSpec,
};
use trunkline_rpc::{Calls, CallsConfig, CategoryConfig, Native, WireError};

/// Another deployment's wire: what it has is not this engine's, nobody announces there, and it
/// tells nothing of what becomes of calls but their answers.
struct Elsewhere {
    wire: Arc<Native>,
    flushed: watch::Receiver<bool>,
}

impl CallWire for Elsewhere {
    fn send(&self, call: Call, completion: Completion) -> CallId {
        self.wire.send(call, completion)
    }

    fn cancel(&self, id: CallId) -> Option<Stage> {
        self.wire.cancel(id).map(|_| Stage::Queued)
    }

    fn serve(&self, spec: WorkerSpec, sink: Arc<dyn CallSink>) -> Box<dyn WorkerHandle> {
        self.wire.serve(spec, sink)
    }

    fn answer(&self, dispatch: DispatchId, outcome: CallOutcome) -> bool {
        self.wire.answer(dispatch, outcome)
    }

    fn progress(&self, dispatch: DispatchId, value: bytes::Bytes) {
        self.wire.progress(dispatch, value);
    }

    fn flushed(&self) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        let mut flushed = self.flushed.clone();
        Box::pin(async move {
            flushed.wait_for(|flushed| *flushed).await.unwrap();
        })
    }

    fn close(&self, deadline: Duration) {
        self.wire.close(deadline);
    }
}

/// A gateway whose categories `old` and `older` have wires of their own, and what is at the other
/// ends of those.
struct Two {
    world: World,
    flush: watch::Sender<bool>,
    there: [Arc<Calls>; 2],
}

fn two_wires() -> CallsConfig {
    let mut config = config();
    for (name, globs) in [("old", ["mt5_*"]), ("older", ["list_*"])] {
        let category = CategoryConfig {
            wire: name.into(),
            methods: globs.map(Into::into).to_vec(),
            max_waiting: 3,
            ..CategoryConfig::default()
        };
        config.categories.insert(name.into(), category);
    }
    config
}

impl Two {
    fn new() -> Self {
        let two = Self::started();
        two.world.pass(secs(1));
        two
    }

    fn started() -> Self {
        let world = World::started(config());
        let (flush, flushed) = watch::channel(false);
        let engines = [(), ()].map(|()| {
            let mut engine = EmbeddedConfig::memory();
            engine.clock = Some(world.clock.clone());
            engine.drive = Drive::ByHand;
            Embedded::open(engine).unwrap()
        });
        let mut wires: BTreeMap<_, Arc<dyn CallWire>> = BTreeMap::new();
        for (name, engine) in ["old", "older"].into_iter().zip(&engines) {
            let native = Native::start(engine.clone(), world.clock.clone(), "here".into());
            let wire = Elsewhere {
                wire: native,
                flushed: flushed.clone(),
            };
            wires.insert(name.into(), Arc::new(wire));
        }
        let here = crate::under_calls(world.engine.clone());
        let (clock, name) = (world.clock.clone(), "here too".into());
        let calls = Calls::start_with(here, clock, two_wires(), name, wires).unwrap();
        let world = World { calls, ..world };
        // What says that it is shared, so that calls go over it.
        let there = engines.map(|engine| {
            let shared = crate::shared::Shared::new(engine);
            Calls::start(shared, world.clock.clone(), config(), "there".into())
        });
        Self {
            world,
            flush,
            there,
        }
    }
}

fn of(category: &str, handler: &str, methods: &[&str]) -> WorkerSpec {
    WorkerSpec {
        category: category.into(),
        ..spec(handler, methods, 10)
    }
}

#[tokio::test]
async fn a_category_has_a_wire_and_its_ids_meet_no_others() {
    let two = Two::new();
    let client = two.world.client();
    let here = two.world.worker("math", &["add"], 10);
    let [old, older] = &two.there;
    let old = Worker::of(old, spec("mt5", &["mt5_new"], 10));
    let older = Worker::of(older, spec("list", &["list_all"], 10));
    client.call("add", "1");
    client.call("mt5_new", "2");
    client.call("list_all", "3");
    assert_eq!(two.world.calls.outstanding(), 3);
    let calls = [&here, &old, &older].map(Worker::take_one);
    for (worker, call) in [&here, &old, &older].into_iter().zip(&calls) {
        assert!(worker.answer(call, "7"));
    }
    assert_eq!(client.heard(), ["1: 7", "2: 7", "3: 7"]);
    assert_eq!(two.world.calls.counters().answered, 3);
}

#[tokio::test]
async fn a_worker_here_serves_the_wire_of_its_category() {
    let two = Two::new();
    let calls = &two.world.calls;
    let here = two.world.worker("math", &["add"], 10);
    let old = Worker::of(calls, of("old", "mt5", &["mt5_new"]));
    let older = Worker::of(calls, of("older", "list", &["any"]));
    let client = two.world.client();
    // Not what the globs say: its handler's.
    client.call("any", "[0]");
    client.call("add", "[1]");
    client.call("mt5_new", "[2]");
    let taken = [&older, &here, &old].map(Worker::take_one);
    let mut ids: Vec<_> = taken.iter().map(|call| call.dispatch.0).collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), 3, "no two workers are given the same id");
    assert!(ids.iter().all(|id| *id < 1 << 53));
    calls.progress(taken[2].dispatch, "50".into());
    let mut answers: Vec<_> = taken
        .iter()
        .zip(["\"any\"", "\"add\"", "\"mt5\""])
        .map(|(call, text)| (call.dispatch, CallOutcome::Result(text.into())))
        .collect();
    // All at once, whatever wires they are for; twice is none.
    let mut twice = answers.clone();
    assert_eq!(calls.answer_all(&mut answers), 3);
    assert_eq!(calls.answer_all(&mut twice), 0);
    let mut heard = client.heard();
    heard.sort();
    assert_eq!(
        heard,
        ["1: \"any\"", "2: \"add\"", "3: \"mt5\"", "3: progress 50"]
    );
    assert_eq!(calls.counters().unknown_answers, 3);
}

#[tokio::test]
async fn handlers_are_shown_with_their_wire() {
    let two = Two::new();
    let _here = two.world.worker("math", &["add"], 1);
    let _old = Worker::of(&two.world.calls, of("old", "mt5", &["mt5_new"]));
    let handlers = two.world.calls.handlers();
    let shown: Vec<_> = handlers
        .iter()
        .map(|info| (info.handler.as_str(), info.wire.as_deref()))
        .collect();
    assert_eq!(shown, [("math", None), ("mt5", Some("old"))]);
}

#[tokio::test]
async fn nothing_fails_at_once_on_a_wire_where_nobody_announces() {
    let two = Two::new();
    let client = two.world.client();
    client.call("nobodys", "1");
    assert_eq!(client.heard(), ["1: -32601"]);
    client.call_for(secs(2), "mt5_nobodys", "2");
    two.world.pass(secs(2));
    assert!(client.heard().is_empty());
    two.world.pass(Duration::from_millis(1));
    assert_eq!(client.heard(), ["2: -32001 queued"]);
    assert_eq!(two.world.calls.outstanding(), 0);
}

#[tokio::test]
async fn calls_that_nobody_takes_are_bounded() {
    let two = Two::new();
    let client = two.world.client();
    let first = client.call("mt5_new", "1").unwrap();
    for params in ["2", "3", "4"] {
        client.call("mt5_new", params);
    }
    assert_eq!(client.heard(), ["4: -32003"]);
    two.world.calls.cancel(first);
    client.call("mt5_new", "5");
    assert_eq!(client.heard(), ["1: -32004"]);
}

#[tokio::test]
async fn a_cancelled_call_is_forgotten_there() {
    let two = Two::new();
    let client = two.world.client();
    let worker = Worker::of(&two.there[0], spec("mt5", &["mt5_new"], 10));
    let id = client.call("mt5_new", "1").unwrap();
    let call = worker.take_one();
    assert!(two.world.calls.cancel(id));
    assert_eq!(client.heard(), ["1: -32004"]);
    assert!(!worker.answer(&call, "late"));
    assert!(!two.world.calls.cancel(id));
    assert!(client.heard().is_empty());
}

/// A worker may have it, or get it yet: who knows.
#[tokio::test]
async fn a_call_with_a_key_that_timed_out_there_is_not_sent_again() {
    let two = Two::new();
    let client = two.world.client();
    client.call_with_key("k", "mt5_new", "1");
    two.world.pass(secs(31));
    assert_eq!(client.heard(), ["1: -32001 queued"]);
    client.call_with_key("k", "mt5_new", "1");
    assert_eq!(client.heard(), ["2: -32001 queued"]);
    assert_eq!(two.world.calls.counters().repeated, 1);
}

/// Calls that came before their worker go where it is, not where was thought.
#[tokio::test]
async fn a_held_call_goes_the_way_of_its_handler() {
    let two = Two::started();
    let client = two.world.client();
    client.call("surprise", "1");
    assert!(client.heard().is_empty());
    let worker = Worker::of(&two.world.calls, of("old", "mt5", &["surprise"]));
    let call = worker.take_one();
    assert!(worker.answer(&call, "7"));
    assert_eq!(client.heard(), ["1: 7"]);
}

#[tokio::test]
async fn draining_waits_until_answers_are_written() {
    let two = Two::new();
    let calls = two.world.calls.clone();
    let drain = tokio::spawn(async move { calls.drain(secs(3_600)).await });
    for _ in 0..10 {
        tokio::task::yield_now().await;
    }
    assert!(!drain.is_finished());
    two.flush.send(true).unwrap();
    drain.await.unwrap();
}

#[tokio::test]
async fn a_lost_worker_fails_its_calls_on_every_wire() {
    let two = Two::new();
    let client = two.world.client();
    let worker = Worker::of(&two.world.calls, of("old", "mt5", &["mt5_new"]));
    client.call("mt5_new", "1");
    worker.take_one();
    drop(worker);
    assert_eq!(client.heard(), ["1: -32002"]);
    assert!(two.world.calls.handlers().is_empty());
}

#[tokio::test]
async fn a_wire_that_is_not_there_is_an_error() {
    let world = World::new();
    let start = || {
        let engine = world.engine.clone();
        let wires = BTreeMap::new();
        Calls::start_with(engine, world.clock.clone(), two_wires(), "x".into(), wires)
    };
    let Err(WireError::Unknown { category, wire, .. }) = start() else {
        panic!("there is no such wire");
    };
    assert_eq!((category.as_str(), wire.as_str()), ("old", "old"));
}
