//! The server goes away, hangs, comes back: what engines say, and what becomes of what waits.

use crate::desk::{Desk, ack, publish, text};
use std::time::Duration;
use trunkline_model::{Engine, ErrorCode, Health};
use trunkline_test_servers::Redis;

const AOF: &[&str] = &["--appendonly", "yes", "--appendfsync", "always"];

fn hasty(server: &Redis) -> Desk {
    Desk::open(server, |config| {
        config.publish_timeout = Duration::from_millis(400);
        config.lease = Duration::from_secs(600);
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_server_publishes_fail_in_time_and_later_all_goes_on() {
    let Some(mut server) = Redis::start_with(AOF) else {
        return;
    };
    let desk = hasty(&server);
    desk.health(|health| *health == Health::Ready).await;
    let mut taker = desk.consume("t", 9).await;
    desk.publish("t", "1").await;
    let first = taker.next().await;
    server.kill();
    let refused = desk.submit(publish("t", "lost")).await.expect_err("late");
    assert_eq!(refused.code(), ErrorCode::Unavailable);
    let address = server.address().to_string();
    assert!(refused.message().contains(&address), "{refused}");
    let data = refused.data().expect("it tells more");
    assert_eq!(data["reason"], "unreachable");
    let failed = desk
        .health(|health| matches!(health, Health::Failed(_)))
        .await;
    assert!(matches!(failed, Health::Failed(text) if text.contains(&address)));
    // Acks have more time.
    let acking = desk.submit(ack(taker.id(), first.tag));
    server.restart();
    assert_eq!(acking.await.map(|receipt| receipt.acked), Ok(1));
    desk.health(|health| *health == Health::Ready).await;
    desk.publish("t", "2").await;
    let next = taker.next().await;
    let again = match text(&next).as_str() {
        // It was on its way when the server died: it wasn't known whether it was stored.
        "lost" if data["executed"] == "unknown" => taker.next().await,
        _ => next,
    };
    assert_eq!(text(&again), "2");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_server_that_hangs_was_sent_is_done_once() {
    let Some(server) = Redis::start() else { return };
    let desk = hasty(&server);
    let mut taker = desk.consume("t", 9).await;
    desk.publish("t", "1").await;
    assert_eq!(text(&taker.next().await), "1");
    server.pause();
    let refused = desk.submit(publish("t", "2")).await.expect_err("late");
    assert_eq!(refused.code(), ErrorCode::Unavailable);
    assert_eq!(
        refused.data().expect("it tells more")["executed"],
        "unknown"
    );
    server.resume();
    assert_eq!(text(&taker.next().await), "2");
    desk.publish("t", "3").await;
    assert_eq!(text(&taker.next().await), "3", "the second one came once");
    assert_eq!(desk.inspect("t").await.published, 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_waits_has_a_bound_and_acks_are_always_taken() {
    let Some(server) = Redis::start() else { return };
    let desk = Desk::open(&server, |config| {
        config.waiting_bytes_max = 10_000;
        config.lease = Duration::from_secs(600);
    });
    let mut taker = desk.consume("t", 9).await;
    desk.publish("t", "1").await;
    let delivery = taker.next().await;
    server.pause();
    let large = "x".repeat(4_000);
    let (one, two) = (
        desk.submit(publish("t", &large)),
        desk.submit(publish("t", &large)),
    );
    let refused = desk
        .submit(publish("t", &large))
        .await
        .expect_err("too much");
    assert_eq!(refused.code(), ErrorCode::Overloaded);
    assert_eq!(refused.data().expect("it tells which")["limit"], 10_000);
    let acking = desk.submit(ack(taker.id(), delivery.tag));
    server.resume();
    assert_eq!(acking.await.map(|receipt| receipt.acked), Ok(1));
    assert!(one.await.is_ok() && two.await.is_ok());
    desk.publish("t", &large).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn closing_without_a_server_ends_in_time() {
    let Some(mut server) = Redis::start() else {
        return;
    };
    let desk = Desk::open(&server, |config| {
        config.publish_timeout = Duration::from_secs(600);
    });
    let mut taker = desk.consume("t", 9).await;
    server.kill();
    let publishing = desk.submit(publish("t", "1"));
    desk.engine.close(Duration::from_millis(300));
    assert_eq!(taker.ended().await.code(), ErrorCode::ShuttingDown);
    desk.health(|health| *health == Health::Closed).await;
    assert!(publishing.await.is_err());
    let after = desk.submit(publish("t", "2")).await;
    assert_eq!(
        after.map_err(|error| error.code()).map(|_| ()),
        Err(ErrorCode::ShuttingDown)
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_keeps_nothing_is_warned_about() {
    let Some(server) = Redis::start() else { return };
    let desk = hasty(&server);
    let health = desk
        .health(|health| !matches!(health, Health::Starting(_)))
        .await;
    assert!(matches!(health, Health::Degraded(_)), "{health:?}");
    desk.publish("t", "1").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_too_few_replicas_have_is_not_confirmed_and_holds_up_nothing() {
    let Some(server) = Redis::start() else { return };
    let desk = Desk::open(&server, |config| {
        let url = format!("redis://{}?wait=1&wait_timeout=100ms", server.address());
        config.url = url.parse().expect("a URL");
    });
    let plain = hasty(&server);
    let mut taker = plain.consume("t", 9).await;
    for text in ["1", "2"] {
        let refused = desk.submit(publish("t", text)).await.expect_err("alone");
        assert_eq!(refused.code(), ErrorCode::Unavailable);
        assert!(refused.message().contains("0 of 1"), "{refused}");
        assert_eq!(
            refused.data().expect("it tells more")["executed"],
            "unconfirmed"
        );
        // It is stored all the same.
        assert_eq!(crate::desk::text(&taker.next().await), text);
    }
    assert_eq!(desk.inspect("t").await.published, 2);
}

/// A server that doesn't know how to wait refuses after the work was done: the publisher took it for not done.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_wait_aof_asks_for_is_done_or_said_to_be_impossible() {
    let Some(server) = Redis::start_with(&["--appendonly", "yes"]) else {
        return;
    };
    let url = format!("redis://{}?wait_aof=1,0", server.address());
    let deployment = crate::setup::deployment(&url);
    let features = deployment.features().await.expect("it answers");
    let desk = Desk::open(&server, |config| {
        config.url = url.parse().expect("a URL");
    });
    // It relies on nothing that would have to be confirmed.
    let plain = Desk::open(&server, |_| {});
    let mut taker = plain.consume("t", 9).await;
    if features.has_waitaof() {
        assert_eq!(features.lacks(deployment.url()), None);
        desk.publish("t", "1").await;
        assert_eq!(crate::desk::text(&taker.next().await), "1");
        return;
    }
    let lacks = features.lacks(deployment.url()).expect("it is too old");
    assert!(lacks.contains("came with 7.2"), "{lacks}");
    let health = desk
        .health(|health| !matches!(health, Health::Starting(_) | Health::Ready))
        .await;
    assert!(
        matches!(&health, Health::Degraded(text) if text.contains(&lacks)),
        "{health:?}"
    );
    for text in ["1", "2"] {
        let refused = desk.submit(publish("t", text)).await.expect_err("too old");
        assert_eq!(refused.code(), ErrorCode::Unavailable);
        assert!(refused.message().contains("wait_aof"), "{refused}");
        let told = refused.data().expect("it tells more");
        assert_eq!(told["executed"], "unconfirmed");
        assert_eq!(crate::desk::text(&taker.next().await), text);
    }
    assert_eq!(desk.inspect("t").await.published, 2);
}
