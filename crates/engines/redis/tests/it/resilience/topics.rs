//! Topics on one server.

use super::lab::{
    Fleet, PUBLISH_TIMEOUT, durable_server, engine, hand, health, is_unavailable, publish, run,
};
use crate::setup::soon;
use std::time::{Duration, Instant};
use trunkline_engine_redis::{RedisConfig, RedisEngine, redis};
use trunkline_model::{ErrorCode, Health};
use trunkline_test_servers::Redis;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lost_connections_cost_nothing() {
    let Some(server) = durable_server() else {
        return;
    };
    let mut hand = hand(&server).await;
    let fleet = Fleet::start(&server.url()).await;
    for _ in 0..20 {
        let _: u64 = run(&mut hand, &["CLIENT", "KILL", "TYPE", "normal"]).await;
        let _: u64 = run(&mut hand, &["CLIENT", "KILL", "TYPE", "pubsub"]).await;
        fleet.goes_on(20).await;
    }
    fleet.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_confirmed_survives_a_kill() {
    let Some(mut server) = durable_server() else {
        return;
    };
    let fleet = Fleet::start(&server.url()).await;
    for _ in 0..3 {
        server.kill();
        let why = health(&fleet.engines[0], |health| {
            matches!(health, Health::Failed(_))
        })
        .await;
        let Health::Failed(text) = why else {
            unreachable!()
        };
        assert!(text.contains(&server.address().to_string()), "{text}");
        is_unavailable(&fleet.is_refused().await, "");
        server.restart();
        let ready = |health: &Health| matches!(health, Health::Ready | Health::Degraded(_));
        health(&fleet.engines[0], ready).await;
        fleet.goes_on(50).await;
    }
    fleet.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_hangs_is_noticed_and_taken_up_again() {
    let Some(server) = durable_server() else {
        return;
    };
    let fleet = Fleet::start(&server.url()).await;
    for _ in 0..2 {
        server.pause();
        is_unavailable(&fleet.is_refused().await, "");
        health(&fleet.engines[1], |health| {
            matches!(health, Health::Failed(_))
        })
        .await;
        server.resume();
        fleet.goes_on(50).await;
    }
    fleet.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn slow_answers_are_waited_for() {
    let Some(server) = durable_server() else {
        return;
    };
    let mut hand = hand(&server).await;
    let fleet = Fleet::start(&server.url()).await;
    for kind in ["ALL", "WRITE"] {
        let _: () = run(&mut hand, &["CLIENT", "PAUSE", "300", kind]).await;
        fleet.goes_on(50).await;
    }
    fleet.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn scripts_that_the_server_has_forgotten_are_sent_again() {
    let Some(server) = durable_server() else {
        return;
    };
    let mut hand = hand(&server).await;
    let fleet = Fleet::start(&server.url()).await;
    for _ in 0..50 {
        let _: () = run(&mut hand, &["SCRIPT", "FLUSH"]).await;
        fleet.goes_on(5).await;
    }
    fleet.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_script_of_others_that_never_ends_is_survived() {
    let Some(server) = durable_server() else {
        return;
    };
    let (mut hand, mut other) = (hand(&server).await, hand(&server).await);
    let _: () = run(&mut hand, &["CONFIG", "SET", "lua-time-limit", "10"]).await;
    let fleet = Fleet::start(&server.url()).await;
    for _ in 0..2 {
        let endless = tokio::spawn(async move {
            let mut endless = redis::cmd("EVAL");
            endless.arg("while true do end").arg(0);
            let killed: redis::RedisResult<()> = endless.query_async(&mut other).await;
            assert!(killed.is_err());
            other
        });
        is_unavailable(&fleet.is_refused().await, "");
        let _: () = run(&mut hand, &["SCRIPT", "KILL"]).await;
        other = soon(endless).await.expect("it is killed");
        fleet.goes_on(50).await;
    }
    fleet.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_server_refuses_and_takes_messages_again_when_it_has_room() {
    let Some(server) = durable_server() else {
        return;
    };
    let mut hand = hand(&server).await;
    let fleet = Fleet::start(&server.url()).await;
    let _: () = run(&mut hand, &["CONFIG", "SET", "maxmemory", "1"]).await;
    let refused = fleet.is_refused().await;
    is_unavailable(&refused, "maxmemory");
    let _: () = run(&mut hand, &["CONFIG", "SET", "maxmemory", "0"]).await;
    fleet.goes_on(50).await;
    fleet.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_became_a_replica_refuses_until_it_is_a_master() {
    let Some(server) = durable_server() else {
        return;
    };
    let mut hand = hand(&server).await;
    let fleet = Fleet::start(&server.url()).await;
    // Of a master that is not there: it keeps its data.
    let _: () = run(&mut hand, &["REPLICAOF", "127.0.0.1", "1"]).await;
    is_unavailable(&fleet.is_refused().await, "READONLY");
    let _: () = run(&mut hand, &["REPLICAOF", "NO", "ONE"]).await;
    fleet.goes_on(50).await;
    fleet.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_loads_is_waited_for() {
    let Some(server) = durable_server() else {
        return;
    };
    let interval = "loading-process-events-interval-bytes";
    if server.lacks(interval) {
        return;
    }
    let (mut hand, mut loading) = (hand(&server).await, hand(&server).await);
    let fleet = Fleet::start(&server.url()).await;
    let _: () = run(&mut hand, &["DEBUG", "POPULATE", "1000"]).await;
    for (option, value) in [("key-load-delay", "3000"), (interval, "1024")] {
        let _: () = run(&mut hand, &["CONFIG", "SET", option, value]).await;
    }
    // Three seconds, in which it says that it loads: longer than a publish may take.
    let reload = tokio::spawn(async move {
        let _: () = run(&mut loading, &["DEBUG", "RELOAD"]).await;
    });
    is_unavailable(&fleet.is_refused().await, "LOADING");
    soon(reload).await.expect("it loads");
    fleet.goes_on(50).await;
    fleet.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrong_password_is_said_and_can_be_put_right() {
    let Some(server) = Redis::start() else { return };
    let mut hand = hand(&server).await;
    let rule = [
        "ACL", "SETUSER", "some", "on", ">right", "~*", "&*", "+@all",
    ];
    let _: () = run(&mut hand, &rule).await;
    let engine = engine(&format!("redis://some:wrong-one@{}/", server.address()));
    let starting =
        |health: &Health| matches!(health, Health::Starting(text) if text.contains("WRONGPASS"));
    let why = health(&engine, starting).await;
    assert!(!format!("{why:?}").contains("wrong-one"), "{why:?}");
    let begun = Instant::now();
    let refused = publish(&engine, "t", "1").await.expect_err("it can't");
    assert!(begun.elapsed() < PUBLISH_TIMEOUT + Duration::from_secs(10));
    is_unavailable(&refused, "WRONGPASS");
    let _: () = run(
        &mut hand,
        &["ACL", "SETUSER", "some", "resetpass", ">wrong-one"],
    )
    .await;
    health(&engine, |health| !matches!(health, Health::Starting(_))).await;
    publish(&engine, "t", "1").await.expect("it can now");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_user_that_may_not_is_told_what_is_missing() {
    let Some(server) = Redis::start() else { return };
    let mut hand = hand(&server).await;
    let rule = [
        "ACL",
        "SETUSER",
        "some",
        "on",
        ">pw",
        "~*",
        "&*",
        "+@all",
        "-@scripting",
    ];
    let _: () = run(&mut hand, &rule).await;
    let engine = engine(&format!("redis://some:pw@{}/", server.address()));
    let refused = publish(&engine, "t", "1").await.expect_err("it can't");
    assert!(refused.message().contains("NOPERM"), "{refused}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_waits_for_a_server_is_bounded() {
    let Some(server) = Redis::start() else { return };
    let mut config = RedisConfig::new(server.url().parse().expect("a URL"));
    config.waiting_bytes_max = 1 << 20;
    let engine = RedisEngine::start(config).expect("it starts");
    publish(&engine, "t", "first")
        .await
        .expect("the server is there");
    server.pause();
    let mut waiting = tokio::task::JoinSet::new();
    let (large, mut overloaded) = ("x".repeat(100_000), 0);
    for _ in 0..20 {
        let (engine, large) = (engine.clone(), large.clone());
        waiting.spawn(async move { publish(&engine, "t", &large).await });
    }
    while overloaded < 5 {
        let done = soon(waiting.join_next()).await.expect("some are refused");
        let refused = done.expect("no panic").expect_err("nobody takes them");
        assert_eq!(refused.code(), ErrorCode::Overloaded, "{refused}");
        overloaded += 1;
    }
    server.resume();
    while let Some(done) = soon(waiting.join_next()).await {
        if let Err(refused) = done.expect("no panic") {
            assert_eq!(refused.code(), ErrorCode::Overloaded, "{refused}");
        }
    }
}
