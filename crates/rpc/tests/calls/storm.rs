//! Everything at once, from many threads: callers, workers that come and are lost, and
//! callers that give up. Whatever the order, every call ends exactly once.

use crate::world::{Client, config, spec};
use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU32, Ordering},
        mpsc,
    },
    thread,
};
use trunkline_engine_embedded::{Embedded, EmbeddedConfig};
use trunkline_model::{
    CallOutcome, CallSink, Clock, DispatchId, Error, IncomingCall, SystemClock, Timestamp,
};
use trunkline_rpc::{Calls, Registration};

const CALLS_EACH: u64 = 2_000;
const CONCURRENCY: u32 = 4;

/// Hands calls to a thread, and checks what a sink may rely on.
struct Checked {
    to: Mutex<mpsc::Sender<IncomingCall>>,
    inside: AtomicBool,
    running: Arc<AtomicU32>,
}

impl Checked {
    fn one_at_a_time(&self, act: impl FnOnce()) {
        assert!(!self.inside.swap(true, Ordering::SeqCst), "two at once");
        act();
        self.inside.store(false, Ordering::SeqCst);
    }
}

impl CallSink for Checked {
    fn calls(&self, calls: Vec<IncomingCall>) {
        self.one_at_a_time(|| {
            for call in calls {
                let running = self.running.fetch_add(1, Ordering::SeqCst) + 1;
                assert!(running <= CONCURRENCY, "{running} at once");
                // The thread is gone when the worker is lost.
                drop(self.to.lock().unwrap().send(call));
            }
        });
    }

    fn cancelled(&self, _: DispatchId) {
        self.one_at_a_time(|| ());
    }

    fn ended(&self, reason: Error) {
        panic!("{reason}");
    }
}

/// A worker that answers `count` calls and is lost while it runs others.
fn work(calls: &Arc<Calls>, count: u64, stop: &AtomicBool) {
    let (to, from) = mpsc::channel();
    let running = Arc::new(AtomicU32::new(0));
    let sink = Arc::new(Checked {
        to: Mutex::new(to),
        inside: AtomicBool::new(false),
        running: running.clone(),
    });
    let offer = spec("storm", &["get", "set"], CONCURRENCY);
    let caller = crate::world::somebody("worker");
    let registration: Registration = calls.register(&caller, offer, sink).unwrap();
    let mut answered = 0;
    while answered < count && !stop.load(Ordering::SeqCst) {
        let Ok(call) = from.try_recv() else {
            thread::yield_now();
            continue;
        };
        running.fetch_sub(1, Ordering::SeqCst);
        let result = call.params.clone().unwrap_or_default();
        calls.answer(call.dispatch, CallOutcome::Result(result));
        answered += 1;
    }
    drop(registration);
}

/// Calls, gives up every seventh, and says how each ended.
fn ask(calls: &Arc<Calls>) -> BTreeMap<String, u64> {
    let client = Client::of(calls);
    let mut ends = BTreeMap::new();
    let mut count = |client: &Client| {
        for line in client.heard() {
            let (number, end) = line.split_once(": ").unwrap();
            let end = if end == number { "its own answer" } else { end };
            *ends.entry(end.to_owned()).or_default() += 1;
        }
        ends.values().sum::<u64>()
    };
    for number in 1..=CALLS_EACH {
        let method = if number % 2 == 0 { "get" } else { "set" };
        let id = client.call(method, &number.to_string());
        if let Some(id) = id.filter(|_| number % 7 == 0) {
            calls.cancel(id);
        }
        while number - count(&client) > 20 {
            thread::yield_now();
        }
    }
    while count(&client) < CALLS_EACH {
        thread::yield_now();
    }
    ends
}

#[test]
fn every_call_ends_once() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let _inside = runtime.enter();
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new(Timestamp::ZERO));
    let engine = Embedded::open(EmbeddedConfig::memory()).unwrap();
    let start = |name: &&str| {
        let engine = crate::under_calls(engine.clone());
        Calls::start(engine, clock.clone(), config(), (*name).into())
    };
    let processes: Vec<Arc<Calls>> = crate::PROCESSES.iter().map(start).collect();
    let stop = AtomicBool::new(false);
    let ends: Vec<BTreeMap<String, u64>> = thread::scope(|scope| {
        for calls in &processes {
            // One stays, one is lost again and again.
            scope.spawn(|| work(calls, u64::MAX, &stop));
            scope.spawn(|| {
                while !stop.load(Ordering::SeqCst) {
                    work(calls, 50, &stop);
                }
            });
        }
        let callers: Vec<_> = (0..3)
            .map(|n| &processes[n % processes.len()])
            .map(|calls| scope.spawn(move || ask(calls)))
            .collect();
        let ends = callers.into_iter().map(|caller| caller.join().unwrap());
        let ends = ends.collect();
        stop.store(true, Ordering::SeqCst);
        ends
    });
    for ends in &ends {
        let allowed = ["-32002", "-32004", "its own answer"];
        assert!(
            ends.keys().all(|end| allowed.contains(&end.as_str())),
            "{ends:?}"
        );
        assert_eq!(ends.values().sum::<u64>(), CALLS_EACH);
        assert!(ends["its own answer"] > CALLS_EACH / 2, "{ends:?}");
    }
    assert!(processes.iter().all(|calls| calls.outstanding() == 0));
}
