//! Clients that take nothing, or little, and what others notice of them.

use super::{super::server::Server, StompClient};
use std::time::Duration;
use trunkline_model::Span;

const MESSAGES: usize = 300;
const SUBSCRIBE: &str =
    "SUBSCRIBE\nid:1\nack:client-individual\nreceipt:s\nprefetch-count:100000\ndestination:";

/// Sends so many messages of 100,000 bytes, each with a receipt.
async fn publish(server: &Server, destination: &str) {
    let mut publisher = StompClient::connect(server).await;
    let body = "x".repeat(100_000);
    for number in 0..MESSAGES {
        let frame = format!("SEND\ndestination:{destination}\nreceipt:{number}\n\n{body}\0");
        publisher.send(&frame).await;
        assert_eq!(publisher.receipt().await, number.to_string());
    }
}

async fn subscribe(server: &Server, destination: &str) -> StompClient {
    let mut client = StompClient::connect(server).await;
    client
        .send(&format!("{SUBSCRIBE}{destination}\n\n\0"))
        .await;
    assert_eq!(client.receipt().await, "s");
    client
}

#[tokio::test]
async fn who_takes_nothing_is_cut_off_and_what_it_had_goes_to_others() {
    let server = Server::start_with(|config| {
        config.stomp.write_timeout = Span(Duration::from_millis(100));
    })
    .await;
    let slow = subscribe(&server, "/queue/q").await;
    // Nobody who sends is held back by it.
    publish(&server, "/queue/q").await;
    while server.counters.stalled.get() == 0 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let mut other = subscribe(&server, "/queue/q").await;
    for number in 0..MESSAGES {
        let message = other.frame().await;
        assert_eq!(message.body.len(), 100_000, "{number}");
    }
    drop(slow);
}

#[tokio::test]
async fn a_listener_that_takes_nothing_costs_the_others_nothing() {
    let server = Server::start().await;
    let mut slow = subscribe(&server, "/topic/t").await;
    let mut fast = subscribe(&server, "/topic/t").await;
    let reading = async {
        for _ in 0..MESSAGES {
            assert_eq!(fast.frame().await.body.len(), 100_000);
        }
    };
    tokio::join!(publish(&server, "/topic/t"), reading);
    // When it reads at last, some are missing, and it is known how many.
    let dropped = || server.counters.dropped.get() as usize;
    let mut taken = 0;
    while taken + dropped() < MESSAGES {
        assert_eq!(slow.frame().await.body.len(), 100_000);
        taken += 1;
    }
    assert!(taken > 0 && dropped() > 0, "{taken} {}", dropped());
}

#[tokio::test]
async fn who_reads_late_gets_everything_in_order() {
    let server = Server::start().await;
    let mut late = subscribe(&server, "/queue/q").await;
    publish(&server, "/queue/q").await;
    for number in 0..MESSAGES {
        let message = late.frame().await;
        let id = message.get("message-id").unwrap();
        assert!(id.ends_with(&format!("-{}", number + 1)), "{id}");
        let ack = message.get("ack").unwrap();
        late.send(&format!("ACK\nid:{ack}\n\n\0")).await;
    }
    late.send("DISCONNECT\nreceipt:bye\n\n\0").await;
    assert_eq!(late.receipt().await, "bye");
}
