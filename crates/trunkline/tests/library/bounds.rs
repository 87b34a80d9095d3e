//! What is in flight is bounded: in requests, in bytes, in deliveries.

use crate::setup;
use futures_util::FutureExt;
use trunkline::Client;

#[tokio::test]
async fn one_more_publish_than_may_be_in_flight_waits() {
    let setup = setup().await;
    let client = Client::builder(&setup.relay.url()).in_flight(4);
    let client = client.connect().await.unwrap();
    setup.relay.hold();
    let mut sent = Vec::new();
    for _ in 0..4 {
        sent.push(client.send("t", "x").await.unwrap());
    }
    let one_more = client.send("t", "y");
    tokio::pin!(one_more);
    assert!(one_more.as_mut().now_or_never().is_none());
    assert_eq!(client.in_flight(), 4);
    // A lost connection makes no room: what is not confirmed is still in flight.
    setup.until_published("t", 4).await;
    let mut state = client.state();
    setup.relay.close();
    state.wait_for(|state| !state.is_connected()).await.unwrap();
    assert!(one_more.as_mut().now_or_never().is_none());
    setup.relay.open();
    one_more.await.unwrap().await.unwrap();
    for confirmation in sent {
        confirmation.await.unwrap();
    }
    assert_eq!((client.in_flight(), setup.published("t").await), (0, 5));
}

#[tokio::test]
async fn dropping_a_confirmation_makes_no_room() {
    let setup = setup().await;
    let client = Client::builder(&setup.relay.url()).in_flight(2);
    let client = client.connect().await.unwrap();
    setup.relay.hold();
    for _ in 0..2 {
        drop(client.send("t", "x").await.unwrap());
    }
    let one_more = client.send("t", "y");
    tokio::pin!(one_more);
    assert!(one_more.as_mut().now_or_never().is_none());
    setup.relay.release();
    one_more.await.unwrap().await.unwrap();
    assert_eq!(setup.published("t").await, 3);
}

#[tokio::test]
async fn bytes_in_flight_are_bounded_and_one_large_request_always_passes() {
    let setup = setup().await;
    let client = Client::builder(&setup.relay.url()).in_flight_bytes(100 << 10);
    let client = client.connect().await.unwrap();
    setup.relay.hold();
    let half = "x".repeat(60 << 10);
    let first = client.send("t", half.clone()).await.unwrap();
    let second = client.send("t", half);
    tokio::pin!(second);
    assert!(second.as_mut().now_or_never().is_none());
    setup.relay.release();
    first.await.unwrap();
    second.await.unwrap().await.unwrap();
    client.publish("t", "x".repeat(500 << 10)).await.unwrap();
}

#[tokio::test]
async fn a_consumer_holds_no_more_than_its_credit() {
    let setup = setup().await;
    for _ in 0..50 {
        setup.direct.publish("t", "x").await.unwrap();
    }
    let mut consumer = setup.client.consume("t", "s").credit(5).await.unwrap();
    let mut held = Vec::new();
    for _ in 0..5 {
        held.push(consumer.try_next().await.unwrap().unwrap());
    }
    assert!(consumer.try_next().now_or_never().is_none());
    let info = setup.direct.topic("t").inspect().await.unwrap();
    assert_eq!(info.subscriptions[0].in_flight, 5);
    assert_eq!(consumer.ack_all(held).await.unwrap(), 5);
    assert!(consumer.try_next().await.unwrap().is_some());
}
