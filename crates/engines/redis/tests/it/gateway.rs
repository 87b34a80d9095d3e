//! A gateway's calls over a wire, with the other side by hand and a clock that is set: times are those of the
//! cases, and nobody waits for them.

use crate::setup::{Asked, Hand, Setup, clock, setup, soon, until};
use bytes::Bytes;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use trunkline_engine_redis::{
    ConsumerGroups, ConsumerGroupsOptions, Deployment, RedisConfig, RedisEngine, RpcProcessor,
    RpcProcessorOptions,
};
use trunkline_model::{
    CallWire, Caller, Clock, HandlerStats, ManualClock, Span, Timestamp, oneshot,
};
use trunkline_rpc::{CallRequest, Calls, CallsConfig, CategoryConfig};

const fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

struct Gateway {
    clock: Arc<ManualClock>,
    calls: Arc<Calls>,
}

impl Gateway {
    /// All calls go over the wire that is made; their category is as `set` makes it.
    fn start(
        on: &Setup,
        wire: impl FnOnce(Arc<ManualClock>) -> Arc<dyn CallWire>,
        set: impl FnOnce(&mut CategoryConfig),
    ) -> Self {
        let clock = Arc::new(ManualClock::new(clock().now()));
        let url = on.server.url().parse().expect("a URL");
        let engine = RedisEngine::start(RedisConfig::new(url)).expect("it starts");
        let mut config = CallsConfig::default();
        let mut category = CategoryConfig {
            wire: "old".into(),
            ..CategoryConfig::default()
        };
        set(&mut category);
        config.categories.insert("general".into(), category);
        let wires = BTreeMap::from([("old".into(), wire(clock.clone()))]);
        let calls = Calls::start_with(engine, clock.clone(), config, "one".into(), wires);
        Self {
            calls: calls.expect("the wire is there"),
            clock,
        }
    }

    fn call(&self, key: Option<&str>) -> Asked {
        let params = Some(Bytes::from_static(b"[1]"));
        let caller = Arc::new(Caller::system());
        let mut request = CallRequest::new("echo", params, caller);
        request.idempotency_key = key.map(Into::into);
        let (completion, done) = oneshot();
        self.calls.call(request, completion);
        Asked::of(done)
    }

    fn pass(&self, span: Duration) {
        self.clock.advance(span);
        self.calls.tick();
    }

    fn queue(&self, name: &str) -> HandlerStats {
        let wires = self.calls.wires();
        wires[0].queues[name].clone()
    }

    fn counted(&self, name: &str) -> u64 {
        let wires = self.calls.wires();
        let mut counters = wires[0].counters.iter();
        let found = counters.find(|(counter, _)| *counter == name);
        found.expect("it is counted").1
    }
}

fn lists(deployment: Deployment, clock: Arc<dyn Clock>) -> Arc<dyn CallWire> {
    let mut options = RpcProcessorOptions::default();
    options.handler("H", ["echo"]).expect("it is free");
    Arc::new(RpcProcessor::new(deployment, options, clock))
}

fn streams(deployment: Deployment, clock: Arc<dyn Clock>) -> Arc<dyn CallWire> {
    let options = ConsumerGroupsOptions::default();
    Arc::new(ConsumerGroups::new(deployment, options, clock))
}

/// Answers the call of this id as a handler does; the rest of the answer is `outcome`.
async fn push(hand: &mut Hand, id: &str, outcome: &str) {
    let answer = format!(r#"{{"jsonrpc":"2.0",{outcome},"id":"{id}"}}"#);
    let field = format!("{id}_response");
    let _: i64 = hand.run(&["HSET", "rpcs.db", &field, &answer]).await;
    let _: i64 = hand.run(&["LPUSH", id, &answer]).await;
}

async fn pop(hand: &mut Hand) -> String {
    let (_, id): (String, String) = hand.run(&["BRPOP", "H", "0"]).await;
    id
}

#[tokio::test]
async fn case_8_and_11_what_becomes_of_calls_to_a_handler_elsewhere_is_counted_and_measured() {
    let Some(mut on) = setup().await else { return };
    let gateway = Gateway::start(&on, |clock| lists(on.deployment(), clock), |_| {});
    let mut last = Timestamp::ZERO;
    for (ms, outcome) in [
        (10, Some(r#""result":1"#)),
        (20, Some(r#""result":2"#)),
        (30, Some(r#""result":3"#)),
        (40, Some(r#""error":{"code":15,"message":"m","data":"d"}"#)),
        (30_001, None),
    ] {
        last = gateway.clock.now();
        let call = gateway.call(None);
        let id = pop(&mut on.hand).await;
        gateway.pass(millis(ms));
        match outcome {
            Some(outcome) => {
                push(&mut on.hand, &id, outcome).await;
                assert!(!call.text().await.starts_with("failed"));
            }
            None => {
                assert_eq!(call.text().await, "failed -32000: timeout");
                push(&mut on.hand, &id, r#""result":5"#).await;
                until("the end of the list", async || {
                    on.hand.run::<i64>(&["EXISTS", &id]).await == 0
                })
                .await;
            }
        }
    }
    let stats = gateway.queue("H");
    assert_eq!(stats.calls, 5);
    assert_eq!((stats.succeeded, stats.failed, stats.timed_out), (3, 1, 1));
    assert_eq!(stats.success_rate(), Some(60.0));
    // Of the four that were answered; times are kept with two digits.
    assert!((24_750..=25_250).contains(&stats.average_us), "{stats:?}");
    assert_eq!(
        (stats.last_activity_ms, stats.running),
        (last.as_millis(), 0)
    );
    until("the late answer", async || {
        gateway.counted("late_answers") == 1
    })
    .await;
    assert_eq!(
        (gateway.counted("sent"), gateway.counted("answered")),
        (5, 4)
    );
    let counters = gateway.calls.counters();
    assert_eq!((counters.answered, counters.timed_out), (4, 1));
}

/// The numbers of the case: base 4 s; then with 25 % and an offset of 10 s.
#[tokio::test]
async fn case_40_the_asker_waits_longer_than_the_deadline_says() {
    let Some(mut on) = setup().await else { return };
    for (percent, offset, wait) in [(0, 0, 4_000), (25, 10, 15_000)] {
        let () = on.hand.run(&["FLUSHALL"]).await;
        let wire = |clock: Arc<ManualClock>| streams(on.deployment(), clock);
        let gateway = Gateway::start(&on, wire, |category| {
            category.timeout = Span(Duration::from_secs(4));
            category.extension_percent = percent;
            category.extension_offset = Span(Duration::from_secs(offset));
        });
        let deadline = gateway.clock.now().as_millis() / 1_000 + 4;
        let call = gateway.call(None);
        let requests = on.hand.requests("general", 1).await;
        let field = requests[0].iter().find(|(name, _)| name == "deadline");
        assert_eq!(field.unwrap().1, deadline.to_string());
        gateway.pass(millis(wait));
        assert_eq!(gateway.calls.outstanding(), 1, "it still waits");
        gateway.pass(millis(1));
        let text = call.text().await;
        assert!(text.starts_with("failed -32001"), "{text}");
        assert_eq!(gateway.queue("general").timed_out, 1);
    }
}

/// Nobody knows whether a worker will have it.
#[tokio::test]
async fn a_call_with_a_key_that_redis_did_not_confirm_is_not_sent_again() {
    let Some(mut on) = setup().await else { return };
    let url = format!(
        "{}?answer_timeout=500ms&connect_timeout=20s",
        on.server.url()
    );
    for (make, key) in [
        (streams as fn(Deployment, Arc<dyn Clock>) -> _, "general"),
        (lists, "H"),
    ] {
        let there = || crate::setup::deployment(&url);
        let gateway = Gateway::start(&on, |clock| make(there(), clock), |_| {});
        // Its connections are there.
        let first = gateway.call(None);
        until("the first request", async || {
            on.hand.run::<i64>(&["EXISTS", key]).await == 1
        })
        .await;
        on.server.pause();
        let unknown = gateway.call(Some("k")).text().await;
        assert!(unknown.starts_with("failed -32008"), "{unknown}");
        assert!(unknown.contains("isn't known"), "{unknown}");
        let repeated = soon(gateway.call(Some("k")).text()).await;
        assert_eq!(repeated, unknown);
        on.server.resume();
        assert_eq!(gateway.call(Some("k")).text().await, unknown);
        assert_eq!(gateway.calls.counters().repeated, 2);
        drop(first);
        // What Redis refuses was not run.
        let () = on.hand.run(&["FLUSHALL"]).await;
        let () = on.hand.run(&["SET", key, "something else"]).await;
        let refused = gateway.call(Some("other")).text().await;
        assert!(refused.contains("WRONGTYPE"), "{refused}");
        let _: i64 = on.hand.run(&["DEL", key]).await;
        let sent = gateway.call(Some("other"));
        until("the request", async || {
            on.hand.run::<i64>(&["EXISTS", key]).await == 1
        })
        .await;
        drop(sent);
    }
}
