//! Several processes on one Redis: they compete, wake each other, and take over.

use crate::desk::{Desk, ack, text, topic};
use crate::setup::{Hand, until};
use std::time::Duration;
use trunkline_model::{Admin, Engine, ErrorCode, Health, TopicSettings};
use trunkline_test_servers::Redis;

/// So long that nothing of a test can come of its end.
const LONG: Duration = Duration::from_secs(600);

fn patient(server: &Redis) -> Desk {
    Desk::open(server, |config| config.lease = LONG)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn consumers_of_two_processes_compete_and_are_counted() {
    let Some(server) = Redis::start() else { return };
    let (a, b) = (patient(&server), patient(&server));
    let (mut one, mut two) = (a.consume("t", 4).await, b.consume("t", 4).await);
    for n in 0..8 {
        a.publish("t", &n.to_string()).await;
    }
    let mut all = Vec::new();
    for _ in 0..4 {
        all.push((text(&one.next().await), 1));
        all.push((text(&two.next().await), 2));
    }
    all.sort();
    let texts: Vec<_> = all.iter().map(|(text, _)| text.as_str()).collect();
    assert_eq!(texts, ["0", "1", "2", "3", "4", "5", "6", "7"]);
    for desk in [&a, &b] {
        let info = desk.inspect("t").await;
        let subscription = &info.subscriptions[0];
        assert_eq!((subscription.consumers, subscription.in_flight), (2, 8));
    }
    assert_eq!(one.handle.cancel(), 4);
    until("the count of consumers", async || {
        b.inspect("t").await.subscriptions[0].consumers == 1
    })
    .await;
    two.handle.credit(9);
    for _ in 0..4 {
        assert_eq!(two.next().await.attempt, 2);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_one_process_publishes_wakes_the_other_at_once() {
    let Some(server) = Redis::start() else { return };
    let (a, b) = (patient(&server), patient(&server));
    let mut taker = a.consume("t", 9).await;
    for n in 0..20 {
        // Nothing asks again by itself for minutes: only the wake can bring it.
        b.publish("t", &n.to_string()).await;
        let delivery = taker.next().await;
        assert_eq!(text(&delivery), n.to_string());
        let acked = a.submit(ack(taker.id(), delivery.tag)).await;
        assert_eq!(acked.map(|receipt| receipt.acked), Ok(1));
    }
    taker.handle.credit(0);
    b.publish("t", "later").await;
    taker.handle.credit(1);
    assert_eq!(text(&taker.next().await), "later");
}

/// The process that had waited longest was woken by its own publish when it had no room any more, and told nobody.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_has_no_room_leaves_to_others_what_it_was_woken_for() {
    let Some(server) = Redis::start() else { return };
    let mut hand = Hand::on(&server).await;
    let (a, b) = (patient(&server), patient(&server));
    let mut one = a.consume("t", 2).await;
    hungry(&mut hand, 1).await;
    let mut two = b.consume("t", 9).await;
    hungry(&mut hand, 2).await;
    for n in ["1", "2"] {
        a.publish("t", n).await;
        assert_eq!(text(&one.next().await), n);
    }
    a.publish("t", "3").await;
    assert_eq!(text(&two.next().await), "3");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wake_that_is_lost_with_its_connection_is_made_up_for() {
    let Some(server) = Redis::start() else { return };
    let mut hand = Hand::on(&server).await;
    let (a, b) = (patient(&server), patient(&server));
    let mut taker = a.consume("t", 1_000).await;
    for n in 0..100 {
        hungry(&mut hand, 1).await;
        let text = n.to_string();
        // Before, after or while somebody is told that there is something.
        let kill = async {
            let _: i64 = hand.run(&["CLIENT", "KILL", "TYPE", "pubsub"]).await;
        };
        tokio::join!(b.publish("t", &text), kill);
        assert_eq!(crate::desk::text(&taker.next().await), text);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_renews_his_lease_finds_what_nobody_told_him() {
    let Some(server) = Redis::start() else { return };
    let mut hand = Hand::on(&server).await;
    let a = Desk::open(&server, |config| config.lease = Duration::from_secs(3));
    let b = patient(&server);
    let mut taker = a.consume("t", 9).await;
    for n in ["1", "2"] {
        hungry(&mut hand, 1).await;
        let _: i64 = hand.run(&["DEL", &key("s1:y")]).await;
        b.publish("t", n).await;
        assert_eq!(text(&taker.next().await), n);
    }
}

/// A process whose last consumer had ended asked again and again once its lease was over, and no other one could
/// tell.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_process_without_consumers_lets_go_of_its_lease() {
    let Some(server) = Redis::start() else { return };
    let mut hand = Hand::on(&server).await;
    let a = Desk::open(&server, |config| config.lease = Duration::from_millis(300));
    let taker = a.consume("t", 9).await;
    hungry(&mut hand, 1).await;
    taker.handle.cancel();
    until("the end of the lease", async || {
        hand.run::<i64>(&["ZCARD", &key("l")]).await == 0
    })
    .await;
}

/// A key of the topic.
fn key(name: &str) -> String {
    format!("tl:{{t}}:{name}")
}

/// Waits until so many processes have found nothing and wait to be woken.
async fn hungry(hand: &mut Hand, count: i64) {
    until("the hungry", async || {
        hand.run::<i64>(&["ZCARD", &key("s1:y")]).await == count
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_closes_hands_over_at_once() {
    let Some(server) = Redis::start() else { return };
    let (a, b) = (patient(&server), patient(&server));
    let mut one = a.consume("t", 9).await;
    let mut two = b.consume("t", 0).await;
    a.publish("t", "1").await;
    assert_eq!(one.next().await.attempt, 1);
    two.handle.credit(9);
    a.engine.close(Duration::from_secs(10));
    assert_eq!(one.ended().await.code(), ErrorCode::ShuttingDown);
    assert_eq!(two.next().await.attempt, 2);
    a.health(|health| *health == Health::Closed).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_killed_process_had_goes_to_others_when_its_lease_is_over() {
    let Some(server) = Redis::start() else { return };
    let a = Desk::open(&server, |config| config.lease = Duration::from_millis(500));
    let b = patient(&server);
    let mut one = a.consume("t", 9).await;
    let mut two = b.consume("t", 0).await;
    a.publish("t", "1").await;
    assert_eq!(one.next().await.attempt, 1);
    two.handle.credit(9);
    // Without a word.
    drop(a);
    let again = two.next().await;
    assert_eq!((text(&again).as_str(), again.attempt), ("1", 2));
    assert_eq!(b.inspect("t").await.subscriptions[0].consumers, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_process_that_was_silent_for_too_long_goes_on_and_its_old_acks_are_late() {
    let Some(server) = Redis::start() else { return };
    let lease = Duration::from_millis(400);
    let a = Desk::open(&server, |config| config.lease = lease);
    let mut taker = a.consume("t", 1).await;
    a.publish("t", "1").await;
    let first = taker.next().await;
    server.pause();
    // The lease must be over, which only time makes it.
    tokio::time::sleep(lease * 2).await;
    server.resume();
    let again = taker.next().await;
    assert_eq!((again.id, again.attempt), (first.id, 2));
    let late = a.submit(ack(taker.id(), first.tag)).await.expect("taken");
    assert_eq!((late.acked, late.skipped), (0, 1));
    let acked = a.submit(ack(taker.id(), again.tag)).await.expect("taken");
    assert_eq!(acked.acked, 1);
    a.publish("t", "2").await;
    assert_eq!(text(&taker.next().await), "2");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_one_process_removes_ends_the_consumers_of_the_other() {
    let Some(server) = Redis::start() else { return };
    let (a, b) = (patient(&server), patient(&server));
    let mut takers = [a.consume("t", 9).await, a.consume("t", 0).await];
    let unsubscribe = Admin::Unsubscribe {
        topic: topic("t"),
        subscription: "s".parse().expect("a name"),
    };
    assert!(b.admin(unsubscribe).await.is_ok());
    for taker in &mut takers {
        assert_eq!(taker.ended().await.code(), ErrorCode::NotFound);
    }
    let mut takers = [a.consume("t", 9).await, a.consume("t", 0).await];
    assert!(b.admin(Admin::Delete { topic: topic("t") }).await.is_ok());
    for taker in &mut takers {
        assert_eq!(taker.ended().await.code(), ErrorCode::NotFound);
    }
    b.publish("t", "new").await;
    let mut taker = a.consume("t", 9).await;
    assert_eq!(text(&taker.next().await), "new");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dead_letters_that_a_killed_process_left_are_carried_by_others() {
    let Some(server) = Redis::start() else { return };
    let a = Desk::open(&server, |config| config.lease = Duration::from_millis(300));
    let settings = TopicSettings {
        max_attempts: Some(1),
        dead_letter: Some(topic("dead")),
        ..TopicSettings::default()
    };
    a.define("t", settings).await;
    let mut taker = a.consume("t", 9).await;
    a.publish("t", "1").await;
    assert_eq!(taker.next().await.attempt, 1);
    // Nobody else takes from the topic.
    drop(a);
    let b = patient(&server);
    let mut undertaker = b.consume("dead", 9).await;
    assert_eq!(text(&undertaker.next().await), "1");
    until("the letter to have left its topic", async || {
        b.inspect("t").await.messages == 0
    })
    .await;
    assert!(undertaker.rest().is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_consumers_of_a_topic_in_one_process_all_get_their_turn() {
    const MANY: usize = 200;
    let Some(server) = Redis::start() else { return };
    let desk = patient(&server);
    desk.define("t", TopicSettings::default()).await;
    let mut takers = Vec::with_capacity(MANY);
    for n in 0..MANY {
        takers.push(desk.consume_as("t", &format!("s{n}"), 9).await);
    }
    for text in ["1", "2"] {
        desk.publish("t", text).await;
        for taker in &mut takers {
            assert_eq!(crate::desk::text(&taker.next().await), text);
        }
    }
}
