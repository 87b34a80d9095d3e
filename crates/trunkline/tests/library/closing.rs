//! Closing: nothing that was started is left behind without a word.

use crate::setup;
use std::time::Duration;
use trunkline::Client;

#[tokio::test]
async fn what_was_sent_is_stored_when_close_returns() {
    let setup = setup().await;
    for number in 0..500 {
        drop(setup.client.send("t", number.to_string()).await.unwrap());
    }
    let mut consumer = setup.client.consume("t", "s").await.unwrap();
    setup.client.close().await.unwrap();
    assert_eq!(setup.published("t").await, 500);
    while consumer.try_next().await.unwrap().is_some() {}
    assert!(setup.client.publish("t", "x").await.is_err());
    setup.client.close().await.unwrap();
}

#[tokio::test]
async fn close_tells_what_was_not_confirmed_in_time() {
    let setup = setup().await;
    let client = Client::builder(&setup.relay.url()).close_within(Duration::from_millis(10));
    let client = client.connect().await.unwrap();
    setup.relay.hold();
    let sent = client.send("t", "x").await.unwrap();
    let error = client.close().await.unwrap_err();
    assert_eq!(error.unanswered, 1, "{error}");
    assert!(sent.await.is_err());
}

#[tokio::test]
async fn the_last_handle_closes_the_connection() {
    let setup = setup().await;
    let client = Client::connect(&setup.relay.url()).await.unwrap();
    let listener = client.listen().channel("a").await.unwrap();
    drop(client);
    // A listener is a handle, too.
    let reached = setup.direct.publish_channel("a", "x").await.unwrap();
    assert_eq!(reached, Some(1));
    let mut state = listener.client().state();
    drop(listener);
    state.wait_for(|state| state.is_closed()).await.unwrap();
    while setup.direct.publish_channel("a", "x").await.unwrap() != Some(0) {}
}
