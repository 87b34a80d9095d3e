//! Calls on the native wire between processes that share nothing but a Redis: queues of methods are topics, and
//! answers, cancellations and announcements are channel messages.

use crate::resilience::lab::{engine, hand, health, run};
use crate::setup::soon;
use bytes::Bytes;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use trunkline_model::{
    CallOutcome, CallSink, Caller, DispatchId, Error, ErrorCode, Health, IncomingCall, MethodSpec,
    Outcome, SystemClock, Timestamp, WorkerSpec, oneshot,
};
use trunkline_rpc::{CallRequest, Calls, CallsConfig, Registration};
use trunkline_test_servers::Redis;

/// A process.
struct Process {
    calls: Arc<Calls>,
}

impl Process {
    async fn start(server: &Redis, name: &str) -> Self {
        let engine = engine(&server.url());
        health(&engine, |health| !matches!(health, Health::Starting(_))).await;
        let clock = Arc::new(SystemClock::new(Timestamp::ZERO));
        let calls = Calls::start(engine, clock, CallsConfig::default(), name.into());
        Self { calls }
    }

    /// A worker that says which process it is in, and what it was asked.
    fn work(&self, methods: &[&str], name: &'static str) -> Work {
        let mut work = self.take(methods);
        let calls = self.calls.clone();
        let (_, mut taken) = mpsc::unbounded_channel();
        std::mem::swap(&mut taken, &mut work.taken);
        tokio::spawn(async move {
            while let Some(call) = taken.recv().await {
                let call: IncomingCall = call;
                calls.progress(call.dispatch, Bytes::from_static(b"50"));
                let params = call.params.unwrap_or_default();
                let params = String::from_utf8_lossy(&params);
                let answer = format!("[\"{name}\",{params}]").into();
                calls.answer(call.dispatch, CallOutcome::Result(answer));
            }
        });
        work
    }

    /// A worker that answers nothing by itself. Methods that begin with `get` may be repeated.
    fn take(&self, methods: &[&str]) -> Work {
        let (sink, taken) = mpsc::unbounded_channel();
        let methods = methods.iter().map(|name| MethodSpec {
            name: (*name).into(),
            description: None,
            params_schema: None,
            result_schema: None,
            idempotent: name.starts_with("get"),
        });
        let spec = WorkerSpec {
            handler: "handler".parse().expect("a name"),
            methods: methods.collect(),
            category: "general".into(),
            description: None,
            kind: None,
            concurrency: 16,
        };
        let registered = self
            .calls
            .register(&Caller::system(), spec, Arc::new(Sink(sink)));
        Work {
            taken,
            _registration: registered.expect("nobody else offers them"),
        }
    }

    /// Waits until it knows who offers a method.
    async fn knows(&self, method: &str, workers: usize) {
        let mut changed = self.calls.handlers_changed();
        soon(async {
            loop {
                changed.borrow_and_update();
                let handlers = self.calls.handlers();
                let offers = |handler: &&trunkline_model::HandlerInfo| {
                    handler.methods.iter().any(|known| known.name == method)
                };
                if handlers.iter().filter(offers).count() == workers {
                    return;
                }
                changed.changed().await.expect("it lives");
            }
        })
        .await;
    }

    fn call(
        &self,
        method: &str,
        params: &str,
        timeout: Duration,
    ) -> impl Future<Output = CallOutcome> + use<> {
        let params = Bytes::copy_from_slice(params.as_bytes());
        let mut request = CallRequest::new(method, Some(params), Arc::new(Caller::system()));
        request.timeout = Some(timeout);
        let (completion, done) = oneshot();
        self.calls.call(request, completion);
        async move {
            match soon(done).await {
                Ok(Outcome::Answered(outcome)) => outcome,
                other => panic!("a call ended with {other:?}"),
            }
        }
    }
}

struct Work {
    taken: mpsc::UnboundedReceiver<IncomingCall>,
    _registration: Registration,
}

struct Sink(mpsc::UnboundedSender<IncomingCall>);

impl CallSink for Sink {
    fn calls(&self, calls: Vec<IncomingCall>) {
        for call in calls {
            // It fails when the test is over.
            let _ = self.0.send(call);
        }
    }

    fn cancelled(&self, _: DispatchId) {}

    fn ended(&self, _: Error) {}
}

const LONG: Duration = Duration::from_secs(30);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn processes_answer_each_others_calls() {
    let Some(server) = Redis::start() else { return };
    let one = Process::start(&server, "one").await;
    let two = Process::start(&server, "two").await;
    let _working = [one.work(&["add"], "one"), two.work(&["add"], "two")];
    one.knows("add", 2).await;
    two.knows("add", 2).await;
    let asked = (0..500).map(|n| {
        let from = if n % 2 == 0 { &one } else { &two };
        (n, from.call("add", &n.to_string(), LONG))
    });
    let asked: Vec<_> = asked.collect();
    let mut by = [0, 0];
    for (n, answer) in asked {
        let CallOutcome::Result(answer) = answer.await else {
            panic!("call {n} failed")
        };
        let (first, second) = (format!("[\"one\",{n}]"), format!("[\"two\",{n}]"));
        let place = [first, second].iter().position(|text| *text == answer);
        by[place.expect("it is the answer to this call")] += 1;
    }
    assert!(by[0] > 0 && by[1] > 0, "both work: {by:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_process_that_dies_loses_no_call_that_may_be_repeated() {
    let Some(server) = Redis::start() else { return };
    let asking = Process::start(&server, "asking").await;
    // All that a process does runs there.
    let machine = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .expect("a runtime");
    let server = Arc::new(server);
    let there = server.clone();
    let dying = machine.spawn(async move { Process::start(&there, "dying").await });
    let dying = dying.await.expect("it starts");
    let mut taken = dying.take(&["get", "set"]);
    asking.knows("get", 1).await;
    let get = asking.call("get", "1", LONG);
    let set = asking.call("set", "2", LONG);
    for _ in 0..2 {
        soon(taken.taken.recv()).await.expect("it is taken");
    }
    // It says nothing to anybody any more.
    machine.shutdown_background();
    let living = Process::start(&server, "living").await;
    let _working = living.work(&["get", "set"], "living");
    match get.await {
        CallOutcome::Result(answer) => assert_eq!(answer, "[\"living\",1]"),
        other => panic!("{other:?}"),
    }
    match set.await {
        CallOutcome::Failed(error) => assert_eq!(error.code(), ErrorCode::WorkerLost, "{error}"),
        other => panic!("{other:?}"),
    }
}

/// Workers got told once that their queue was gone, and took no calls from then on.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn workers_take_calls_again_when_redis_comes_back_without_its_data() {
    let Some(mut server) = Redis::start() else {
        return;
    };
    let one = Process::start(&server, "one").await;
    let two = Process::start(&server, "two").await;
    let _working = one.work(&["get", "set"], "one");
    let mut taken = one.take(&["slow"]);
    two.knows("get", 1).await;
    two.knows("slow", 1).await;
    let CallOutcome::Result(_) = two.call("get", "1", LONG).await else {
        panic!("it works before")
    };
    let running = two.call("slow", "2", LONG);
    let slow = soon(taken.taken.recv()).await.expect("it is taken");
    for _ in 0..2 {
        server.kill();
        server.restart();
        // What is asked before the queue is there again fails at once, or waits in vain.
        soon(async {
            loop {
                let answer = two.call("get", "3", Duration::from_secs(1)).await;
                match answer {
                    CallOutcome::Result(answer) => break assert_eq!(answer, "[\"one\",3]"),
                    CallOutcome::Failed(_) => {}
                    other @ CallOutcome::HandlerError(_) => panic!("{other:?}"),
                }
            }
        })
        .await;
    }
    // The call that was running is answered to who asked: neither has gone.
    one.calls
        .answer(slow.dispatch, CallOutcome::Result("4".into()));
    match running.await {
        CallOutcome::Result(answer) => assert_eq!(answer, "4"),
        other => panic!("{other:?}"),
    }
    let again = two.call("slow", "5", LONG);
    let slow = soon(taken.taken.recv()).await.expect("it is taken");
    one.calls
        .answer(slow.dispatch, CallOutcome::Result("6".into()));
    assert!(matches!(again.await, CallOutcome::Result(answer) if answer == "6"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_end_in_time_while_connections_are_lost() {
    let Some(server) = Redis::start() else { return };
    let mut hand = hand(&server).await;
    let one = Process::start(&server, "one").await;
    let two = Process::start(&server, "two").await;
    let _working = one.work(&["get"], "one");
    two.knows("get", 1).await;
    let timeout = Duration::from_secs(5);
    let mut answered = 0;
    for round in 0..10 {
        let asked: Vec<_> = (0..20)
            .map(|n| two.call("get", &(round * 100 + n).to_string(), timeout))
            .collect();
        let _: u64 = run(&mut hand, &["CLIENT", "KILL", "TYPE", "normal"]).await;
        let _: u64 = run(&mut hand, &["CLIENT", "KILL", "TYPE", "pubsub"]).await;
        for (n, call) in asked.into_iter().enumerate() {
            match call.await {
                CallOutcome::Result(answer) => {
                    assert_eq!(answer, format!("[\"one\",{}]", round * 100 + n));
                    answered += 1;
                }
                // An answer that was said while nobody listened is lost, and the caller is told in time.
                CallOutcome::Failed(error) => assert!(
                    matches!(error.code(), ErrorCode::Timeout | ErrorCode::Unavailable),
                    "{error}"
                ),
                other @ CallOutcome::HandlerError(_) => panic!("{other:?}"),
            }
        }
    }
    assert!(answered > 0);
    let CallOutcome::Result(_) = two.call("get", "1", LONG).await else {
        panic!("it goes on afterwards")
    };
}
