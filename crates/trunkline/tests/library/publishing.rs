//! Publishes are confirmed once they are stored, stored once, and in order, whatever breaks.

use crate::setup;
use trunkline::{ErrorCode, Message, RequestError};

#[tokio::test]
async fn what_was_stored_but_not_confirmed_is_asked_again_and_stored_once() {
    let setup = setup().await;
    setup.client.publish("t", "0").await.unwrap();
    setup.relay.hold();
    let mut sent = Vec::new();
    for number in 1..=100 {
        sent.push(setup.client.send("t", number.to_string()).await.unwrap());
    }
    setup.until_published("t", 101).await;
    assert_eq!(setup.client.in_flight(), 100);
    setup.relay.cut();
    let mut ids = Vec::new();
    for confirmation in sent {
        ids.push(confirmation.await.unwrap());
    }
    assert!(ids.is_sorted_by(|a, b| a < b), "{ids:?}");
    assert_eq!(setup.published("t").await, 101);
}

#[tokio::test]
async fn what_is_published_while_there_is_no_connection_comes_after_what_was_before() {
    let setup = setup().await;
    setup.client.publish("t", "0").await.unwrap();
    setup.relay.hold();
    let mut sent = Vec::new();
    for number in 1..=20 {
        sent.push(setup.client.send("t", number.to_string()).await.unwrap());
    }
    setup.until_published("t", 10).await;
    let mut state = setup.client.state();
    setup.relay.close();
    state.wait_for(|state| !state.is_connected()).await.unwrap();
    for number in 21..=40 {
        sent.push(setup.client.send("t", number.to_string()).await.unwrap());
    }
    setup.relay.open();
    for confirmation in sent {
        confirmation.await.unwrap();
    }
    let mut consumer = setup.direct.consume("t", "s").await.unwrap();
    for number in 0..=40 {
        let delivery = consumer.try_next().await.unwrap().unwrap();
        assert_eq!(delivery.text().unwrap(), number.to_string());
    }
    assert_eq!(setup.published("t").await, 41);
}

#[tokio::test]
async fn a_batch_is_one_and_keeps_what_it_carries() {
    let setup = setup().await;
    let messages = [
        Message::json(&[1]).unwrap().key("k").header("h", "v"),
        Message::bytes([0xff]).content_type("image/x"),
        Message::text("a").priority(0),
    ];
    let ids = setup.client.publish_all("t", messages).await.unwrap();
    let peeked = setup.client.topic("t").peek(&Default::default()).await;
    let messages = peeked.unwrap().messages;
    let seen: Vec<_> = messages.iter().map(|message| message.id).collect();
    assert_eq!(seen, ids);
    assert_eq!(messages[0].json::<[i32; 1]>().unwrap(), [1]);
    assert_eq!(messages[0].key.as_deref(), Some("k"));
    assert_eq!(messages[0].headers["h"], "v");
    assert_eq!(&messages[1].payload[..], [0xff]);
    assert_eq!(messages[1].content_type, "image/x");
    assert_eq!(messages[2].text().unwrap(), "a");
}

#[tokio::test]
async fn a_publish_id_of_ones_own_is_kept() {
    let setup = setup().await;
    let once = || Message::text("x").publish_id("mine");
    let first = setup.client.publish("t", once()).await.unwrap();
    assert_eq!(setup.direct.publish("t", once()).await.unwrap(), first);
    assert_eq!(setup.published("t").await, 1);
}

#[tokio::test]
async fn what_is_too_large_is_told_before_it_costs_the_connection() {
    let setup = setup().await;
    let large = "x".repeat(2 << 20);
    let error = setup.client.publish("t", large).await.unwrap_err();
    assert!(
        matches!(error, RequestError::TooLarge { limit, .. } if limit == 1 << 20),
        "{error}"
    );
    setup.client.publish("t", "small").await.unwrap();
    assert!(setup.client.state().borrow().is_connected());
}

#[tokio::test]
async fn the_servers_refusal_is_an_error_with_its_code() {
    let setup = setup().await;
    let error = setup.client.publish("no such name", "x").await.unwrap_err();
    assert_eq!(error.code(), Some(ErrorCode::InvalidParams), "{error}");
}
