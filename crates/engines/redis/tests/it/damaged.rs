//! Keys of topics that others have written.

use crate::desk::{Desk, publish, text};
use crate::setup::{Hand, soon};
use trunkline_model::{Admin, ErrorCode};
use trunkline_test_servers::Redis;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_no_topic_is_named_and_left_alone() {
    let Some(server) = Redis::start() else { return };
    let mut hand = Hand::on(&server).await;
    let desk = Desk::open(&server, |_| {});
    for (write, says) in [
        (&["SET", "tl:{t}:def", "rubbish"][..], "format 114"),
        (&["SET", "tl:{t}:def", "é"], "tl:{t}:def"),
        (&["RPUSH", "tl:{t}:def", "a"], "WRONGTYPE"),
    ] {
        let (): () = hand.run(write).await;
        let refused = desk.submit(publish("t", "1")).await.expect_err("damaged");
        assert_eq!(refused.code(), ErrorCode::Unavailable, "{write:?}");
        assert!(refused.message().contains(says), "{refused}");
        let topic = "t".parse().expect("a name");
        let deleted = desk.admin(Admin::Delete { topic }).await;
        assert!(deleted.is_err(), "it isn't ours");
        // Others go on meanwhile.
        desk.publish("u", "1").await;
        let removed: u32 = hand.run(&["DEL", "tl:{t}:def"]).await;
        assert_eq!(removed, 1);
        desk.publish("t", "1").await;
        let topic = "t".parse().expect("a name");
        desk.admin(Admin::Delete { topic })
            .await
            .expect("it is ours");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_topic_with_a_damaged_key_says_so_and_consumers_wait() {
    let Some(server) = Redis::start() else { return };
    let mut hand = Hand::on(&server).await;
    let desk = Desk::open(&server, |_| {});
    let mut taker = desk.consume("t", 9).await;
    desk.publish("t", "1").await;
    assert_eq!(text(&taker.next().await), "1");
    let key = "tl:{t}:m";
    let kept: Vec<u8> = hand.run(&["DUMP", key]).await;
    assert!(!kept.is_empty());
    let (): () = hand.run(&["SET", key, "rubbish"]).await;
    let refused = desk.submit(publish("t", "2")).await.expect_err("damaged");
    assert!(refused.message().contains("WRONGTYPE"), "{refused}");
    let told = refused.data().expect("it tells more");
    assert_eq!(told["executed"], "unknown");
    let (): () = hand.run(&["DEL", key]).await;
    desk.publish("t", "3").await;
    assert_eq!(text(&taker.next().await), "3");
}

/// A topic that is gone leaves nothing behind but what is remembered of the last requests, for ten minutes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_deleted_leaves_no_keys() {
    let Some(server) = Redis::start() else { return };
    let mut hand = Hand::on(&server).await;
    let desk = Desk::open(&server, |_| {});
    let settings = serde_json::json!({
        "dead_letter": "dead", "max_attempts": 1, "dedupe": "first", "dedupe_window": "1h",
        "max_messages": 5, "overflow": "drop-oldest", "ack_timeout": "1h", "ttl": "1h"
    });
    let settings = serde_json::from_value(settings).expect("settings");
    let topic: trunkline_model::TopicName = "t".parse().expect("a name");
    let define = Admin::Define {
        topic: topic.clone(),
        settings,
    };
    desk.admin(define).await.expect("it is made");
    let mut taker = desk.consume("t", 2).await;
    for n in 0..9 {
        desk.publish("t", &n.to_string()).await;
    }
    taker.next().await;
    taker.next().await;
    desk.admin(Admin::Delete { topic })
        .await
        .expect("it is deleted");
    soon(taker.ended()).await;
    crate::setup::until("everything to be gone", async || {
        let keys: Vec<String> = hand.run(&["KEYS", "*{t}*"]).await;
        let left = keys.iter().filter(|key| !key.starts_with("tl:{t}:z:"));
        left.count() == 0
    })
    .await;
    let remembered: Vec<String> = hand.run(&["KEYS", "tl:{t}:z:*"]).await;
    for key in remembered {
        let ms: i64 = hand.run(&["PTTL", &key]).await;
        assert!((1..=600_000).contains(&ms), "{key}: {ms}");
    }
    let names: Vec<String> = hand.run(&["ZRANGE", "tl:topics", "0", "-1"]).await;
    let letters: Vec<String> = hand.run(&["ZRANGE", "tl:topics:letters", "0", "-1"]).await;
    assert!(
        !names.contains(&"t".to_owned()) && letters.is_empty(),
        "{names:?} {letters:?}"
    );
}
