//! Messages that are held back, when they are published and when a delivery fails.

use super::case;
use crate::{
    lab::{Lab, message, nack, publish, spec},
    run::Case,
    taker::{tags, text},
};
use std::time::{Duration, Instant};
use trunkline_model::{Admin, ErrorCode, Message, Outcome, Retry, Span, TopicSettings, When};

pub(super) const CASES: &[Case] = &[
    case!(
        "a delayed message comes at its time, in its position",
        [DELAY],
        delayed
    ),
    case!(
        "a delay that is over is none, one beyond the expiry is refused",
        [DELAY, TTL],
        odd_delays
    ),
    case!("a purge takes delayed messages", [DELAY, PURGE], purged),
    case!("delays survive a restart", [DELAY, RESTART], restarted),
    case!(
        "a failed delivery waits, longer each time",
        [RETRY, ATTEMPTS],
        retried
    ),
    case!(
        "who goes away doesn't make others wait",
        [RETRY, ATTEMPTS],
        cancelled
    ),
    case!(
        "the wait after a failure survives a clean restart",
        [RETRY, RESTART],
        retry_restarted
    ),
];

/// Longer than a restart takes on a busy machine.
const SHORT: Duration = Duration::from_millis(600);

fn later(text: &str, after: Duration) -> Message {
    Message {
        deliver: Some(When::After(after)),
        ..message(text)
    }
}

async fn delayed(lab: Lab) {
    let topic = lab.define("t", TopicSettings::default()).await;
    let taker = lab.consume(spec(&[(&topic, "s")])).await;
    let messages = vec![later("1", SHORT), message("2"), later("3", SHORT)];
    lab.done(publish(&topic, messages)).await;
    assert_eq!(taker.texts(1).await, ["2"]);
    let info = lab.inspect(&topic).await;
    let subscription = &info.subscriptions[0];
    assert_eq!((subscription.waiting, subscription.delayed), (2, 2));
    lab.pass(SHORT * 2).await;
    assert_eq!(taker.texts(2).await, ["1", "3"]);
}

async fn odd_delays(lab: Lab) {
    let topic = lab.define("t", TopicSettings::default()).await;
    let taker = lab.consume(spec(&[(&topic, "s")])).await;
    let over = Message {
        deliver: Some(When::At(trunkline_model::Timestamp::ZERO)),
        ..message("over")
    };
    lab.done(publish(&topic, vec![over])).await;
    assert_eq!(taker.texts(1).await, ["over"]);
    let in_vain = Message {
        expires: Some(When::After(SHORT)),
        ..later("in vain", SHORT)
    };
    let batch = trunkline_model::Batch::of(publish(&topic, vec![message("a"), in_vain]));
    let refused = lab.submit(batch).await.map_err(|error| error.code());
    assert_eq!(refused, Err(ErrorCode::InvalidParams));
    assert_eq!(lab.inspect(&topic).await.published, 1);
}

async fn purged(lab: Lab) {
    let topic = lab.define("t", TopicSettings::default()).await;
    let taker = lab.consume(spec(&[(&topic, "s")])).await;
    lab.done(publish(&topic, vec![later("1", SHORT)])).await;
    let purge = Admin::Purge {
        topic: topic.clone(),
        subscription: None,
    };
    let outcome = lab.admin(purge).await;
    assert!(matches!(outcome, Ok(Outcome::Removed { messages: 1 })));
    lab.pass(SHORT * 2).await;
    lab.publish(&topic, &["2"]).await;
    assert_eq!(taker.texts(1).await, ["2"]);
}

async fn restarted(mut lab: Lab) {
    let topic = lab.define("t", TopicSettings::default()).await;
    let messages = vec![later("1", SHORT), later("2", SHORT * 100), message("3")];
    // Also what is kept for a first subscription.
    lab.done(publish(&topic, messages)).await;
    lab.restart().await;
    let taker = lab.consume(spec(&[(&topic, "s")])).await;
    assert_eq!(taker.texts(1).await, ["3"]);
    lab.pass(SHORT * 2).await;
    assert_eq!(taker.texts(1).await, ["1"]);
    let info = lab.inspect(&topic).await;
    assert_eq!(info.subscriptions[0].delayed, 1);
}

fn with_retry(min: Duration, max: Duration) -> TopicSettings {
    TopicSettings {
        retry: Some(Retry {
            min: Span(min),
            max: Span(max),
        }),
        ..TopicSettings::default()
    }
}

async fn retried(lab: Lab) {
    let topic = lab.define("t", with_retry(SHORT, SHORT * 2)).await;
    let taker = lab.consume(spec(&[(&topic, "s")])).await;
    lab.publish(&topic, &["1"]).await;
    for attempt in 1..=3 {
        let delivery = taker.next().await;
        assert_eq!(delivery.attempt, attempt);
        let failed = Instant::now();
        lab.done(nack(taker.id(), &[delivery.tag], true)).await;
        lab.publish(&topic, &["other"]).await;
        assert_eq!(text(&taker.next().await), "other", "the first one waits");
        if attempt > 1 {
            lab.pass(SHORT + SHORT / 5).await;
            let info = lab.inspect(&topic).await;
            // A busy machine may have taken all that time for what is above.
            let waits = info.subscriptions[0].delayed == 1;
            assert!(
                waits || failed.elapsed() >= SHORT * 2,
                "twice as long by now"
            );
        }
        lab.pass(SHORT + SHORT / 5).await;
    }
    assert_eq!(taker.next().await.attempt, 4);
}

async fn cancelled(lab: Lab) {
    let topic = lab.define("t", with_retry(SHORT * 100, SHORT * 100)).await;
    let taker = lab.consume(spec(&[(&topic, "s")])).await;
    lab.publish(&topic, &["1"]).await;
    taker.next().await;
    assert_eq!(taker.handle.cancel(), 1);
    let other = lab.consume(spec(&[(&topic, "s")])).await;
    assert_eq!(other.next().await.attempt, 2);
}

async fn retry_restarted(mut lab: Lab) {
    let topic = lab.define("t", with_retry(SHORT, SHORT)).await;
    let taker = lab.consume(spec(&[(&topic, "s")])).await;
    lab.publish(&topic, &["1", "2"]).await;
    let tags = tags(&taker.take(2).await);
    lab.done(nack(taker.id(), &tags[..1], true)).await;
    lab.restart().await;
    let taker = lab.consume(spec(&[(&topic, "s")])).await;
    assert_eq!(taker.texts(1).await, ["2"]);
    lab.pass(SHORT * 2).await;
    assert_eq!(taker.texts(1).await, ["1"]);
}
