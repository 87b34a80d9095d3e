//! Consumers: every message, in order, and again if it was not acknowledged.

use crate::setup;
use futures_util::{FutureExt, StreamExt, TryStreamExt};
use std::time::Duration;
use trunkline::{ErrorCode, SettleError, StartFrom, TopicSettings};

#[tokio::test]
async fn it_goes_on_after_a_lost_connection_and_tells_that_acks_did_not_count() {
    let setup = setup().await;
    for number in 0..10 {
        setup.client.publish("t", number.to_string()).await.unwrap();
    }
    let mut consumer = setup.client.consume("t", "s").credit(5).await.unwrap();
    let first = consumer.try_next().await.unwrap().unwrap();
    assert!(!format!("{consumer:?}{:?}", setup.client).contains("payload"));
    let second = consumer.try_next().await.unwrap().unwrap();
    assert_eq!((first.attempt(), first.text().unwrap()), (1, "0"));
    first.ack().await.unwrap();

    let mut state = setup.client.state();
    setup.relay.cut();
    state.wait_for(|state| !state.is_connected()).await.unwrap();
    let error = second.ack().await.unwrap_err();
    assert!(matches!(error, SettleError::Lost(_)), "{error}");

    // What waited unread on the lost connection comes once.
    for number in 1..10 {
        let delivery = consumer.try_next().await.unwrap().unwrap();
        assert_eq!(delivery.text().unwrap(), number.to_string());
        delivery.ack().await.unwrap();
    }
    let info = setup.direct.topic("t").inspect().await.unwrap();
    assert_eq!((info.messages, info.subscriptions[0].in_flight), (0, 0));
}

#[tokio::test]
async fn deliveries_are_settled_in_every_way() {
    let setup = setup().await;
    let client = &setup.client;
    for text in ["again", "never", "longer", "a", "b"] {
        client.publish("t", text).await.unwrap();
    }
    let mut consumer = client.consume("t", "s").await.unwrap();
    let again = consumer.try_next().await.unwrap().unwrap();
    again.nack().await.unwrap();
    let never = consumer.try_next().await.unwrap().unwrap();
    never.reject().await.unwrap();
    let longer = consumer.try_next().await.unwrap().unwrap();
    longer.extend(Duration::from_secs(60)).await.unwrap();
    longer.ack().await.unwrap();
    let rest: Vec<_> = (&mut consumer).take(3).try_collect().await.unwrap();
    let mut texts: Vec<_> = rest
        .iter()
        .map(|delivery| (delivery.text().unwrap().to_owned(), delivery.attempt()))
        .collect();
    texts.sort();
    let expected = [("a", 1), ("again", 2), ("b", 1)];
    assert_eq!(
        texts,
        expected.map(|(text, attempt)| (text.to_owned(), attempt))
    );
    assert_eq!(consumer.ack_all(rest).await.unwrap(), 3);
    assert_eq!(setup.direct.topic("t").inspect().await.unwrap().messages, 0);
}

#[tokio::test]
async fn a_delivery_of_a_cancelled_consumer_is_not_held_any_more() {
    let setup = setup().await;
    setup.client.publish("t", "x").await.unwrap();
    let mut consumer = setup.client.consume("t", "s").await.unwrap();
    let delivery = consumer.try_next().await.unwrap().unwrap();
    assert_eq!(consumer.cancel().await.unwrap(), 1);
    assert!(delivery.ack().await.is_err());
    let mut consumer = setup.client.consume("t", "s").await.unwrap();
    let delivery = consumer.try_next().await.unwrap().unwrap();
    assert_eq!(delivery.attempt(), 2);
    delivery.ack().await.unwrap();
}

#[tokio::test]
async fn what_is_taken_is_acknowledged_if_that_was_asked_for() {
    let setup = setup().await;
    for number in 0..100 {
        setup.client.publish("t", number.to_string()).await.unwrap();
    }
    let mut consumer = setup
        .client
        .consume("t", "s")
        .credit(8)
        .auto_ack()
        .await
        .unwrap();
    for _ in 0..100 {
        let _ = consumer.try_next().await.unwrap().unwrap();
    }
    // Behind the last ack on the same connection.
    assert_eq!(setup.client.topic("t").inspect().await.unwrap().messages, 0);
}

#[tokio::test]
async fn it_ends_with_an_error_when_its_topic_is_deleted() {
    let setup = setup().await;
    let topic = setup.client.topic("t");
    topic.declare(&TopicSettings::default()).await.unwrap();
    let mut consumer = setup
        .client
        .consume("t", "s")
        .from(StartFrom::New)
        .await
        .unwrap();
    topic.delete().await.unwrap();
    let error = consumer.try_next().await.unwrap_err();
    assert!(error.code().is_some(), "{error}");
    assert!(consumer.try_next().await.unwrap().is_none());
    assert!(consumer.next().await.is_none());
}

#[tokio::test]
async fn a_consumer_that_the_server_refuses_is_not_made() {
    let setup = setup().await;
    let refused = setup.client.consume("no such name", "s").await;
    let error = refused.unwrap_err();
    assert_eq!(error.code(), Some(ErrorCode::InvalidParams), "{error}");
}

#[tokio::test]
async fn a_consumer_that_is_dropped_gives_everything_back() {
    let setup = setup().await;
    setup.client.publish("t", "x").await.unwrap();
    let mut consumer = setup.client.consume("t", "s").await.unwrap();
    let held = consumer.try_next().await.unwrap().unwrap();
    drop(consumer);
    let mut other = setup.client.consume("t", "s").await.unwrap();
    let delivery = other.try_next().await.unwrap().unwrap();
    assert_eq!((delivery.id, delivery.attempt()), (held.id, 2));
    assert!(other.try_next().now_or_never().is_none());
}
