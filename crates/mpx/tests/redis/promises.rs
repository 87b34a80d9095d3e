//! Promises.

use crate::setup::{setup, soon, until};
use bytes::Bytes;
use std::time::{Duration, Instant};
use trunkline_mpx::{Error, Outcome};

const LONG: Duration = Duration::from_secs(60);

fn message(text: &'static str) -> Outcome {
    Outcome::Fulfilled(Bytes::from_static(text.as_bytes()))
}

#[tokio::test]
async fn case_1_and_15_a_message_fulfils_every_promise_of_its_channel_once() {
    let Some(mut on) = setup().await else { return };
    let promises = on.mpx.promises("promise-").unwrap();
    assert!(soon(promises.wait_for_activation()).await);
    let a = promises.promise("banana", Duration::from_secs(3)).unwrap();
    let b = promises.promise("banana", LONG).unwrap();
    let other = promises.promise("peach", LONG).unwrap();
    assert_eq!(&a.channel()[..], b"promise-banana");
    on.publish(b"promise-banana", b"Hello World banana!").await;
    on.publish(b"promise-banana", b"too late").await;
    assert_eq!(soon(a).await, message("Hello World banana!"));
    assert_eq!(soon(b).await, message("Hello World banana!"));
    assert_eq!(promises.waiting(), 1);
    on.publish(b"promise-peach", b"p").await;
    assert_eq!(soon(other).await, message("p"));
}

#[tokio::test]
async fn case_16_promises_end_in_time_or_when_they_are_cancelled() {
    let Some(mut on) = setup().await else { return };
    let promises = on.mpx.promises("p:").unwrap();
    assert!(soon(promises.wait_for_activation()).await);
    let begin = Instant::now();
    let short = promises.promise("a", Duration::from_millis(50)).unwrap();
    assert_eq!(soon(short).await, Outcome::TimedOut);
    assert!(begin.elapsed() >= Duration::from_millis(50));
    let none = promises.promise("a", Duration::ZERO).unwrap();
    assert_eq!(soon(none).await, Outcome::TimedOut);
    let mut cancelled = promises.promise("a", LONG).unwrap();
    cancelled.cancel();
    cancelled.cancel();
    assert_eq!(soon(&mut cancelled).await, Outcome::Cancelled);
    cancelled.cancel();
    for n in 0..200 {
        let mut raced = promises.promise("r", LONG).unwrap();
        let publish = on.publish(b"p:r", b"x");
        if n % 2 == 0 {
            publish.await;
            raced.cancel();
        } else {
            raced.cancel();
            publish.await;
        }
        let outcome = soon(&mut raced).await;
        assert!(matches!(
            outcome,
            Outcome::Cancelled | Outcome::Fulfilled(_)
        ));
    }
    drop(promises.promise("dropped", LONG).unwrap());
    assert_eq!(promises.waiting(), 0);
}

#[tokio::test]
async fn case_17_and_18_a_loss_ends_promises_and_none_are_made_until_the_pattern_is_back() {
    let Some(mut on) = setup().await else { return };
    let promises = on.mpx.promises("p:").unwrap();
    if let Err(error) = promises.promise("early", LONG) {
        assert_eq!(error, Error::Inactive);
        assert_eq!(error.to_string(), "the subscription is currently inactive");
    }
    let one = soon(promises.wait_for_promise("a", LONG)).await.unwrap();
    let two = soon(promises.wait_for_promise("a", LONG)).await.unwrap();
    on.server.kill();
    assert_eq!(soon(one).await, Outcome::Lost);
    assert_eq!(soon(two).await, Outcome::Lost);
    assert_eq!(promises.promise("a", LONG).unwrap_err(), Error::Inactive);
    on.restart().await;
    let back = soon(promises.wait_for_promise("a", LONG)).await.unwrap();
    on.publish(b"p:a", b"again").await;
    assert_eq!(soon(back).await, message("again"));
}

#[tokio::test]
async fn case_19_closing_ends_all_and_concerns_nobody_else() {
    let Some(mut on) = setup().await else { return };
    let closing = on.mpx.promises("p:").unwrap();
    let other = on.mpx.promises("p:").unwrap();
    assert!(soon(closing.wait_for_activation()).await);
    let outstanding = closing.promise("a", LONG).unwrap();
    let kept = soon(other.wait_for_promise("a", LONG)).await.unwrap();
    closing.close().unwrap();
    assert_eq!(soon(outstanding).await, Outcome::Cancelled);
    assert!(!soon(closing.wait_for_activation()).await);
    assert_eq!(closing.promise("a", LONG).unwrap_err(), Error::Closed);
    assert_eq!(closing.close(), Err(Error::Closed));
    on.publish(b"p:a", b"1").await;
    assert_eq!(soon(kept).await, message("1"));

    on.server.kill();
    until("the loss", async || on.mpx.counters().losses == 1).await;
    let waiting = std::sync::Arc::new(other);
    let waiters: Vec<_> = (0..10)
        .map(|_| {
            let waiting = waiting.clone();
            tokio::spawn(async move { waiting.wait_for_activation().await })
        })
        .collect();
    waiting.close().unwrap();
    for waiter in waiters {
        assert!(!soon(waiter).await.unwrap());
    }
}

#[tokio::test]
async fn case_20_prefixes_are_literal_and_suffixes_may_be_empty() {
    let Some(mut on) = setup().await else { return };
    let promises = on.mpx.promises("a*b[").unwrap();
    assert!(soon(promises.wait_for_activation()).await);
    let exact = promises.promise("x", LONG).unwrap();
    let bare = promises.promise("", LONG).unwrap();
    assert_eq!(on.publish(b"aXb[x", b"no").await, 0);
    on.publish(b"a*b[x", b"yes").await;
    on.publish(b"a*b[", b"bare").await;
    assert_eq!(soon(exact).await, message("yes"));
    assert_eq!(soon(bare).await, message("bare"));
}

#[tokio::test]
async fn case_21_a_million_promises_leave_nothing_behind() {
    let Some(on) = setup().await else { return };
    let promises = on.mpx.promises("p:").unwrap();
    assert!(soon(promises.wait_for_activation()).await);
    for round in 0..100_u32 {
        let made: Vec<_> = (0..10_000_u32)
            .map(|n| {
                let suffix = (round * 10_000 + n).to_string();
                promises.promise(suffix, Duration::from_millis(1)).unwrap()
            })
            .collect();
        for promise in made {
            assert_eq!(soon(promise).await, Outcome::TimedOut);
        }
    }
    assert_eq!(promises.waiting(), 0);
}

#[tokio::test]
async fn case_22_messages_without_a_promise_hold_up_nobody() {
    let Some(mut on) = setup().await else { return };
    let promises = on.mpx.promises("p:").unwrap();
    assert!(soon(promises.wait_for_activation()).await);
    let (_a, mut events) = on.stream(&["c"]);
    crate::setup::next(&mut events).await;
    on.publish_many(100_000, "p:x").await;
    on.publish(b"c", b"through").await;
    assert_eq!(crate::setup::next(&mut events).await, "c=through");
}
