//! A master that changes.

use super::super::Failure;
use super::{active, deployment, multiplexer, pipeline, soon, writers};
use futures_util::StreamExt;
use std::time::{Duration, Instant};
use tokio::task::block_in_place;
use trunkline_mpx::{Event, QueueOptions};
use trunkline_test_servers::RedisSentinel;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn writes_follow_the_master_and_none_that_was_confirmed_by_a_replica_is_lost() {
    let Some(mut trio) = RedisSentinel::start() else {
        return;
    };
    let url = format!(
        "{}?connect_timeout=30s&answer_timeout=2s&wait=2&wait_timeout=5s",
        trio.url()
    );
    let redis = deployment(&url);
    let writing = writers::start(&redis, &["one", "two", "three"]);
    writing.progress(20).await;
    trio = writing
        .during(move || {
            let _ = trio.failover();
            trio.wait_until_complete();
            trio
        })
        .await;
    writing.progress(20).await;
    // Two replicas have what is confirmed, so whichever is the next has it, too.
    let (old, trio) = writing
        .during(move || {
            let old = trio.master();
            let _ = trio.kill_master();
            (old, trio)
        })
        .await;
    let mut trio = trio;
    let trio = writing
        .during(move || {
            trio.server_mut(old).restart();
            trio.wait_until_complete();
            trio
        })
        .await;
    writing.progress(20).await;
    let ledger = writing.stop().await;
    ledger.compare(&redis).await;
    drop(trio);
}

#[tokio::test]
async fn a_master_that_hangs_is_left_when_the_sentinels_name_another() {
    let Some(trio) = RedisSentinel::start() else {
        return;
    };
    let url = format!("{}?connect_timeout=30s&answer_timeout=300ms", trio.url());
    let redis = deployment(&url);
    let patient = redis.patient("reader".to_owned());
    let _: i64 = patient.say(&["CLIENT", "ID"]).await.expect("it answers");
    let blocked = tokio::spawn(async move {
        let pop = super::command(&["BLPOP", "queue", "0"]);
        patient
            .one::<Option<(String, String)>>(b"queue", &pop)
            .await
    });
    // It is sent before this is answered.
    let () = redis.say(&["SET", "a", "1"]).await.expect("it is set");
    let old = trio.master();
    trio.server(old).pause();
    let failure = redis
        .say::<()>(&["SET", "a", "2"])
        .await
        .expect_err("it hangs");
    assert!(matches!(failure, Failure::Unanswered { .. }), "{failure}");
    let trio = tokio::task::spawn_blocking(move || {
        let _ = trio.wait_for_another(old);
        trio
    });
    let trio = trio.await.expect("another is made");
    let () = redis
        .say(&["SET", "a", "3"])
        .await
        .expect("another is asked");
    // Whoever waits at the old one is told, too.
    let failure = soon(blocked)
        .await
        .expect("no panic")
        .expect_err("it hangs");
    assert!(matches!(failure, Failure::Unanswered { .. }), "{failure}");
    trio.server(old).resume();
    let a: i64 = redis.say(&["GET", "a"]).await.expect("it is there");
    assert_eq!(a, 3);
}

/// Neither an answer nor the server's end tells that it isn't the master any more: it hangs, and all time bounds are
/// longer than the test.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_to_a_master_end_as_soon_as_the_sentinels_have_made_another() {
    let Some(trio) = block_in_place(RedisSentinel::start) else {
        return;
    };
    let redis = deployment(&format!(
        "{}?connect_timeout=300s&answer_timeout=300s",
        trio.url()
    ));
    let mpx = multiplexer(&redis);
    let (news, mut events) = mpx.channels_stream(QueueOptions::default());
    news.add(["news"]).expect("it is open");
    active(&mut events).await;
    let () = redis.say(&["SET", "a", "1"]).await.expect("it is set");
    let old = block_in_place(|| trio.master());
    trio.server(old).pause();
    let asking = redis.clone();
    let hangs = tokio::spawn(async move { asking.say::<i64>(&["INCR", "a"]).await });
    let new = block_in_place(|| trio.wait_for_another(old));
    let agreed = Instant::now();
    let made = |text: &str| {
        let port = trio.server(new).address().port();
        let made = format!("the sentinels have made 127.0.0.1:{port} the master");
        assert!(text.contains(&made), "{text}");
    };
    let lost = soon(events.next()).await;
    let Some(Event::Lost { error }) = lost else {
        panic!("{lost:?}");
    };
    made(&error.to_string());
    let failure = soon(hangs).await.expect("no panic").expect_err("it hangs");
    assert!(matches!(failure, Failure::Unanswered { .. }), "{failure}");
    made(&failure.to_string());
    active(&mut events).await;
    let () = redis.say(&["SET", "a", "2"]).await.expect("the new one");
    // All sentinels had agreed by then, and at least one of them had said it before.
    assert!(agreed.elapsed() < Duration::from_secs(60), "{agreed:?}");
    trio.server(old).resume();
}

/// The old master lives and answers, to reads even as a replica.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_master_that_lives_is_left_when_the_sentinels_have_made_another() {
    let Some(trio) = block_in_place(RedisSentinel::start) else {
        return;
    };
    let redis = deployment(&format!("{}?connect_timeout=30s", trio.url()));
    let blocked = redis.patient("reader".to_owned());
    let _: i64 = blocked.say(&["CLIENT", "ID"]).await.expect("it answers");
    let blocked = tokio::spawn(async move {
        let pop = super::command(&["BLPOP", "queue", "0"]);
        let popped = blocked.one::<Option<(String, String)>>(b"queue", &pop);
        popped.await
    });
    let old = block_in_place(|| trio.master());
    let address = trio.server(old).address();
    block_in_place(|| {
        let waits = trunkline_test_servers::wait_until("BLPOP", Duration::from_secs(60), || {
            let list = trunkline_test_servers::ask(address, &["CLIENT", "LIST"])?;
            let text = list.text().unwrap_or_default();
            let waits = text.contains("cmd=blpop");
            waits.then_some(()).ok_or_else(|| text.to_owned())
        });
        waits.expect("it waits");
    });
    let _ = block_in_place(|| trio.failover());
    let failure = soon(blocked).await.expect("no panic").expect_err("it ends");
    let text = failure.to_string();
    // It is said before the sentinels make the old one a replica, which would end it as UNBLOCKED.
    assert!(text.contains("the sentinels have made"), "{text}");
    let role: redis::Value = redis.say(&["ROLE"]).await.expect("it answers");
    let redis::Value::Array(parts) = role else {
        panic!("{role:?}");
    };
    let role: String = redis::from_redis_value(parts[0].clone()).expect("a word");
    assert_eq!(role, "master");
}

#[tokio::test]
async fn what_the_sentinels_do_not_know_is_said() {
    let Some(mut trio) = RedisSentinel::start() else {
        return;
    };
    let url = trio.url().replace(RedisSentinel::SERVICE, "stranger");
    let redis = deployment(&format!("{url}?connect_timeout=2s"));
    let failure = redis
        .say::<()>(&["SET", "a", "1"])
        .await
        .expect_err("unknown");
    let text = failure.to_string();
    assert!(
        text.contains("stranger") && text.contains("no master of this name"),
        "{text}"
    );
    let redis = deployment(&trio.url());
    trio.kill_sentinel(0);
    let () = redis
        .say(&["SET", "a", "1"])
        .await
        .expect("the others know");
    let replica = (trio.master() + 1) % 3;
    let replica = deployment(&trio.server(replica).url());
    let both = pipeline(&[&["SET", "a", "1"]]);
    let failure = soon(replica.run::<()>(b"a", &both))
        .await
        .expect_err("a replica");
    assert!(failure.to_string().contains("name the master"), "{failure}");
}
