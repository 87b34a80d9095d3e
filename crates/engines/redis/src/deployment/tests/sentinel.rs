//! A master that changes.

use super::super::Failure;
use super::{deployment, pipeline, soon, writers};
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
