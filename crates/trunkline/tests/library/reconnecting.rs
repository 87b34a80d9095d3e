//! How a client comes back, and when it doesn't.

use crate::setup;
use std::time::Duration;
use trunkline::{Backoff, Client, RequestError, State};

#[tokio::test]
async fn the_state_tells_what_happens() {
    let setup = setup().await;
    let mut state = setup.client.state();
    assert_eq!(*state.borrow_and_update(), State::Connected);
    setup.relay.close();
    let reconnecting = |state: &State| matches!(state, State::Reconnecting { attempt: 3.., .. });
    state.wait_for(reconnecting).await.unwrap();
    setup.relay.open();
    state.wait_for(State::is_connected).await.unwrap();
    setup.client.close().await.unwrap();
    assert!(state.borrow().is_closed());
}

#[tokio::test]
async fn it_gives_up_if_told_so_and_everything_ends() {
    let setup = setup().await;
    let backoff = Backoff {
        min: Duration::from_millis(1),
        max: Duration::from_millis(2),
    };
    let client = Client::builder(&setup.relay.url())
        .backoff(backoff)
        .give_up_after(Duration::from_millis(20))
        .connect()
        .await
        .unwrap();
    let mut consumer = client.consume("t", "s").await.unwrap();
    let mut listener = client.listen().channel("a").await.unwrap();
    let worker = client.worker("w").method("m", |(): (), _| async { Ok(()) });
    let worker = worker.start().await.unwrap();
    setup.relay.hold();
    let sent = client.send("t", "x").await.unwrap();
    setup.until_published("t", 1).await;
    setup.relay.close();
    let error = sent.await.unwrap_err();
    assert!(error.to_string().contains("gave up after 20ms"), "{error}");
    assert!(consumer.try_next().await.is_err());
    assert!(listener.try_next().await.is_ok(), "told that it is lost");
    assert!(listener.try_next().await.is_err());
    assert!(
        worker
            .run_until(std::future::pending::<()>())
            .await
            .is_err()
    );
    assert!(client.state().borrow().is_closed());
    let error = client.publish("t", "y").await.unwrap_err();
    assert!(matches!(error, RequestError::Lost(_)), "{error}");
    assert!(client.consume("t", "s").await.is_err());
}

#[tokio::test]
async fn without_reconnection_the_first_loss_is_the_end() {
    let setup = setup().await;
    let client = Client::builder(&setup.relay.url()).no_reconnect();
    let client = client.connect().await.unwrap();
    let mut state = client.state();
    setup.relay.cut();
    state.wait_for(State::is_closed).await.unwrap();
    assert!(client.publish("t", "x").await.is_err());
}

#[tokio::test]
async fn a_publish_is_not_sent_again_when_its_id_may_be_forgotten() {
    let setup = setup().await;
    let client = Client::builder(&setup.relay.url()).publish_retry_for(Duration::ZERO);
    let client = client.connect().await.unwrap();
    setup.relay.hold();
    let sent = client.send("t", "x").await.unwrap();
    setup.until_published("t", 1).await;
    setup.relay.cut();
    let error = sent.await.unwrap_err();
    assert!(matches!(error, RequestError::Lost(_)), "{error}");
    client.publish("t", "y").await.unwrap();
    assert_eq!(setup.published("t").await, 2);
}

#[tokio::test]
async fn a_connection_that_died_silently_is_noticed() {
    let setup = setup().await;
    let client = Client::builder(&setup.relay.url()).silence(Duration::from_millis(20));
    let client = client.connect().await.unwrap();
    let mut state = client.state();
    setup.relay.hold();
    state.wait_for(|state| !state.is_connected()).await.unwrap();
    setup.relay.release();
    state.wait_for(State::is_connected).await.unwrap();
    client.publish("t", "x").await.unwrap();
}

#[tokio::test]
async fn the_first_connection_waits_for_a_server_if_told_so() {
    let setup = setup().await;
    setup.relay.close();
    assert!(Client::connect(&setup.relay.url()).await.is_err());
    let client = Client::builder(&setup.relay.url()).wait_for_server();
    let connecting = tokio::spawn(client.connect());
    setup.relay.open();
    let client = connecting.await.unwrap().unwrap();
    client.publish("t", "x").await.unwrap();
}
