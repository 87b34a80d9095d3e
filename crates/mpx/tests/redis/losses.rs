//! What is lost with the connection, and what is not.

use crate::setup::{Setup, next, setup, setup_with, some, soon, until};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use trunkline_mpx::{
    Event, LinkError, Multiplexer, MultiplexerOptions, QueueOptions, RedisAddress,
};

#[tokio::test]
async fn case_1_a_killed_connection_comes_back() {
    let Some(mut on) = setup().await else { return };
    let (_a, mut events) = on.stream(&["c"]);
    assert_eq!(next(&mut events).await, "active:c");
    on.kill_subscribers().await;
    assert_eq!(next(&mut events).await, "lost");
    let event = soon(futures_util::StreamExt::next(&mut events)).await;
    let Some(Event::Active { gap: Some(gap), .. }) = event else {
        panic!("{event:?}");
    };
    assert!(gap < Duration::from_secs(60));
    assert_eq!(on.publish(b"c", b"x").await, 1);
    assert_eq!(next(&mut events).await, "c=x");
}

#[tokio::test]
async fn case_9_each_loss_is_told_once_in_order_and_then_the_names_come_back() {
    let Some(mut on) = setup().await else { return };
    let log = Arc::new(Mutex::new(Vec::new()));
    let mut kept = Vec::new();
    for n in 0..3 {
        let log = log.clone();
        let subscription = on.mpx.channels(move |event| {
            let text = match event {
                Event::Message { .. } => return,
                Event::Active { name, .. } => {
                    format!("{n} active {}", String::from_utf8_lossy(&name))
                }
                Event::Lost { .. } => format!("{n} lost"),
                other => format!("{n} {other:?}"),
            };
            log.lock().unwrap().push(text);
        });
        subscription.add((0..n).map(|i| format!("c{i}"))).unwrap();
        kept.push(subscription);
    }
    let length = |want: usize| {
        let log = log.clone();
        async move { until("events", async || log.lock().unwrap().len() >= want).await }
    };
    length(3).await;
    let mut actives = log.lock().unwrap().drain(..).collect::<Vec<_>>();
    actives.sort();
    for _ in 0..50 {
        // Under load: messages are on their way all the time.
        for _ in 0..10 {
            on.publish(b"c0", b"load").await;
        }
        on.kill_subscribers().await;
        length(6).await;
        let mut events = log.lock().unwrap().drain(..).collect::<Vec<_>>();
        assert_eq!(events[..3], ["0 lost", "1 lost", "2 lost"]);
        events[3..].sort();
        assert_eq!(events[3..], actives);
    }
    assert_eq!(on.mpx.counters().losses, 50);
}

#[tokio::test]
async fn case_10_what_is_wanted_may_change_while_redis_is_down() {
    let Some(mut on) = setup().await else { return };
    let (a, mut events) = on.stream(&["keep", "drop"]);
    some(&mut events, 2).await;
    let closed = on.stream(&["closed"]);
    on.server.kill();
    assert_eq!(next(&mut events).await, "lost");
    a.add(["new"]).unwrap();
    a.remove(["drop"]).unwrap();
    drop(closed);
    let (_b, mut late) = on.stream(&["late"]);
    let options = QueueOptions::default();
    let (_p, mut pattern) = on.mpx.pattern_stream("p*", options).unwrap();
    on.restart().await;
    assert_eq!(some(&mut events, 2).await, ["active:keep", "active:new"]);
    assert_eq!(next(&mut late).await, "active:late");
    assert_eq!(next(&mut pattern).await, "active:p*");
    for (name, wanted) in [
        ("keep", 1),
        ("new", 1),
        ("late", 1),
        ("drop", 0),
        ("closed", 0),
    ] {
        assert_eq!(on.numsub(name).await, wanted, "{name}");
    }
    assert_eq!((on.numpat().await, on.mpx.counters().active_now), (1, 4));
}

#[tokio::test]
async fn case_11_attempts_go_on_until_one_succeeds() {
    let Some(mut on) = setup().await else { return };
    let (_a, mut events) = on.stream(&["c"]);
    assert_eq!(next(&mut events).await, "active:c");
    on.server.kill();
    assert_eq!(next(&mut events).await, "lost");
    until("attempts", async || on.mpx.counters().connect_failures >= 8).await;
    on.restart().await;
    assert_eq!(next(&mut events).await, "active:c");
}

#[tokio::test]
async fn case_11_stop_does_not_wait_for_an_attempt() {
    let never = || async { std::future::pending::<Result<_, LinkError>>().await };
    let mpx = Multiplexer::new(never, MultiplexerOptions::default());
    soon(mpx.stop()).await.unwrap();
}

#[tokio::test]
async fn case_12_a_silent_server_is_noticed_and_a_quiet_one_is_left_alone() {
    let options = MultiplexerOptions {
        ping_timeout: Duration::from_millis(200),
        ..MultiplexerOptions::default()
    };
    let Some(mut on) = setup_with(options, "").await else {
        return;
    };
    // Without any subscription the answer to PING is a status; with one it is an array.
    until("pings", async || on.calls_of("ping").await >= 6).await;
    let (_a, mut events) = on.stream(&["c"]);
    assert_eq!(next(&mut events).await, "active:c");
    let before = on.calls_of("ping").await;
    until("pings", async || on.calls_of("ping").await >= before + 4).await;
    assert_eq!(
        (on.mpx.counters().losses, on.mpx.counters().connections),
        (0, 1)
    );

    let paused = Instant::now();
    on.server.pause();
    let event = soon(futures_util::StreamExt::next(&mut events)).await;
    let Some(Event::Lost { error }) = event else {
        panic!("{event:?}");
    };
    assert_eq!(error.to_string(), "redis: ping timeout");
    assert!(paused.elapsed() >= Duration::from_millis(200));
    on.server.resume();
    assert_eq!(next(&mut events).await, "active:c");
}

#[tokio::test]
async fn ten_thousand_names_come_back_together() {
    let Some(mut on) = setup().await else { return };
    let (a, mut events) = on.stream(&[]);
    a.add((0..10_000).map(|n| format!("name:{n}"))).unwrap();
    let active = async |on: &Setup, n| {
        until("the names", async || on.mpx.counters().active_now == n).await;
    };
    let drain =
        tokio::spawn(
            async move { while futures_util::StreamExt::next(&mut events).await.is_some() {} },
        );
    active(&on, 10_000).await;
    let before = on.calls_of("subscribe").await;
    on.kill_subscribers().await;
    until("the loss", async || on.mpx.counters().losses == 1).await;
    active(&on, 10_000).await;
    assert_eq!(on.calls_of("subscribe").await - before, 1);
    drain.abort();
}

#[tokio::test]
async fn a_server_that_takes_connections_and_closes_them_is_not_overrun() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("redis://{}/", listener.local_addr().unwrap());
    let accepted = Arc::new(AtomicU64::new(0));
    let count = accepted.clone();
    let server = tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            count.fetch_add(1, Ordering::Relaxed);
            drop(stream);
        }
    });
    let address = RedisAddress::new(url).unwrap();
    let mpx = Multiplexer::new(address, MultiplexerOptions::default());
    until("losses", async || mpx.counters().losses > 5).await;
    // Waits grow: the eleventh attempt can't come before some of them.
    let counters = mpx.counters();
    assert!(counters.connections <= counters.losses + 1);
    soon(mpx.stop()).await.unwrap();
    let after = accepted.load(Ordering::Relaxed);
    assert!(after >= 5, "{after}");
    server.abort();
}

#[tokio::test]
async fn a_unix_socket_is_as_good() {
    let Some(on) = setup().await else { return };
    let url = format!("redis+unix://{}", on.server.socket().display());
    let mpx = Multiplexer::open(url).unwrap();
    let (subscription, mut events) = mpx.channels_stream(QueueOptions::default());
    subscription.add(["c"]).unwrap();
    assert_eq!(next(&mut events).await, "active:c");
}
