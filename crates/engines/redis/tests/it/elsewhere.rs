//! Both wires where sentinels say who the master is, and on a cluster.

use crate::setup::{Asked, Serving, ask, call, clock, deployment, result, serve, serve_in, soon};
use std::sync::Arc;
use std::time::Duration;
use tokio::task::block_in_place;
use trunkline_engine_redis::{
    ConsumerGroups, ConsumerGroupsOptions, ListRpc, QueueMode, RpcProcessor, RpcProcessorOptions,
};
use trunkline_model::{CallOutcome, CallWire};
use trunkline_test_servers::{RedisCluster, RedisSentinel};

const LONG: Duration = Duration::from_secs(60);

fn streams(url: &str) -> Arc<ConsumerGroups> {
    let options = ConsumerGroupsOptions {
        separate_categories: true,
        ..ConsumerGroupsOptions::default()
    };
    Arc::new(ConsumerGroups::new(deployment(url), options, clock()))
}

fn lists(url: &str, set: impl FnOnce(&mut RpcProcessorOptions)) -> Arc<RpcProcessor> {
    let mut options = RpcProcessorOptions::default();
    options.handler("h", ["m"]).expect("it is free");
    set(&mut options);
    Arc::new(RpcProcessor::new(deployment(url), options, clock()))
}

/// Both wires, each with a side that calls and one that serves.
fn both(url: &str) -> [(Arc<dyn CallWire>, Arc<dyn CallWire>); 2] {
    [
        (streams(url), streams(url)),
        (lists(url, |_| {}), lists(url, |_| {})),
    ]
}

fn asked(wire: &dyn CallWire, params: &str) -> Asked {
    ask(wire, call("m", params, LONG))
}

/// Answers the next call with its params.
async fn answer(wire: &dyn CallWire, worker: &mut Serving) {
    let incoming = worker.next().await;
    let params = incoming.params.expect("it has some");
    wire.answer(incoming.dispatch, CallOutcome::Result(params));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_go_on_after_a_failover() {
    let Some(mut servers) = block_in_place(RedisSentinel::start) else {
        return;
    };
    for kills in [false, true] {
        for (asking, serving) in both(&servers.url()) {
            let mut worker = serve(&*serving, &["m"], 2);
            let before = asked(&*asking, "0");
            answer(&*serving, &mut worker).await;
            assert_eq!(before.text().await, "result 0");
            let running = asked(&*asking, "1");
            let incoming = worker.next().await;
            block_in_place(|| {
                servers.wait_until_complete();
                let old = servers.master();
                let new = if kills {
                    let new = servers.kill_master();
                    servers.server_mut(old).restart();
                    new
                } else {
                    servers.failover()
                };
                assert_ne!(new, old);
            });
            serving.answer(incoming.dispatch, result("1"));
            assert_eq!(running.text().await, "result 1");
            let after = asked(&*asking, "2");
            answer(&*serving, &mut worker).await;
            assert_eq!(after.text().await, "result 2");
            soon(serving.flushed()).await;
            assert!(worker.is_idle(), "nothing is run twice");
        }
        block_in_place(|| servers.wait_until_complete());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cluster_carries_both_wires_while_slots_move() {
    let Some(servers) = block_in_place(RedisCluster::start) else {
        return;
    };
    for (asking, serving) in both(&servers.url()) {
        let mut worker = serve(&*serving, &["m"], 16);
        let wire = serving.clone();
        let working = tokio::spawn(async move {
            for _ in 0..400 {
                answer(&*wire, &mut worker).await;
            }
            worker
        });
        let mut moves = ["general", "h", "rpcs.db"].into_iter();
        let mut calls = Vec::new();
        for n in 0..400 {
            calls.push((n, asked(&*asking, &n.to_string())));
            if n % 100 == 50
                && let Some(key) = moves.next()
            {
                block_in_place(|| {
                    let slot = servers.slot(key);
                    let next = (servers.owner(slot) + 1) % RedisCluster::MASTERS;
                    servers.migrate_slot(slot, next);
                });
            }
        }
        for (n, call) in calls {
            assert_eq!(call.text().await, format!("result {n}"));
        }
        let mut worker = soon(working).await.expect("every call came once");
        soon(serving.flushed()).await;
        assert!(worker.is_idle(), "nothing is run twice");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_a_cluster_every_key_has_its_own_server() {
    let Some(servers) = block_in_place(RedisCluster::start) else {
        return;
    };
    let url = servers.url();
    // Streams are categories, each wherever it is.
    let wire = streams(&url);
    for category in ["a", "b", "c", "d"] {
        let mut worker = serve_in(&*wire, category, &["m"], 1);
        let mut call = call("m", "1", LONG);
        call.category = category.into();
        let asked = ask(&*wire, call);
        answer(&*wire, &mut worker).await;
        assert_eq!(asked.text().await, "result 1");
    }
    // What is kept of calls, what is processed, and the methods of their own, on lists.
    let wire = lists(&url, |options| {
        options.kept_calls = 2;
        options.processing = Some("w1".to_owned());
        options.method("own").expect("it is free");
    });
    let mut worker = serve(&*wire, &["m"], 1);
    for n in 0..5 {
        let asked = asked(&*wire, &n.to_string());
        answer(&*wire, &mut worker).await;
        assert_eq!(asked.text().await, format!("result {n}"));
    }
    let counted = async {
        while wire.counters().forgotten < 3 {
            tokio::task::yield_now().await;
        }
    };
    soon(counted).await;
    let by_method = lists(&url, |options| options.serve_mode = QueueMode::ByMethod);
    let mut worker = serve(&*by_method, &["own"], 4);
    let own = ask(&*wire, call("own", "[1]", LONG));
    answer(&*by_method, &mut worker).await;
    assert_eq!(own.text().await, "result [1]");
    let several = serve(&*by_method, &["own", "other"], 4);
    let ended = several.sink.ended.lock().unwrap().clone();
    assert!(
        ended.is_some_and(|reason| reason.to_string().contains("start one for each")),
        "no command waits for lists of several servers"
    );
    // The sibling.
    let rpc = || ListRpc::new(deployment(&url), "q", clock());
    let (caller, server) = (rpc(), rpc());
    let serving = server.process(LONG, async |cmd, data| Ok(format!("{cmd} {data}")));
    let both = async { tokio::join!(caller.call("c", "d", LONG), serving) };
    let (called, served) = soon(both).await;
    assert_eq!((called.unwrap(), served.unwrap()), ("c d".to_owned(), true));
}
