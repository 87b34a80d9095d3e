//! What clients may not do, and that others don't notice when they try.

use super::{super::server::Server, StompClient};
use std::time::Duration;
use trunkline_model::{ByteSize, Span};

fn millis(millis: u64) -> Span {
    Span(Duration::from_millis(millis))
}

#[tokio::test]
async fn who_does_not_send_connect_is_told_and_closed() {
    let server = Server::start_with(|config| config.stomp.connect_timeout = millis(30)).await;
    let mut silent = StompClient::dial(&server).await;
    let mut slow = StompClient::dial(&server).await;
    // One byte now and then doesn't help.
    let drip = async {
        for byte in "CONNECT\naccept-version:".bytes().cycle() {
            if server.counters.stomp_errors.get() == 2 {
                return;
            }
            let _ = tokio::io::AsyncWriteExt::write_all(&mut slow.stream, &[byte]).await;
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    let (error, ()) = tokio::join!(silent.error(), drip);
    assert_eq!(error, "no CONNECT within 30ms; send it first");
}

#[tokio::test]
async fn the_configured_limits_of_a_frame_hold() {
    let server = Server::start_with(|config| {
        config.stomp.max_headers = 3;
        config.stomp.max_header_line_bytes = ByteSize(40);
        config.stomp.max_body_bytes = ByteSize(10);
    })
    .await;
    let fits = "SEND\ndestination:/queue/q\nreceipt:1\na:b\n\n0123456789\0";
    let mut client = StompClient::connect(&server).await;
    client.send(fits).await;
    assert_eq!(client.receipt().await, "1");
    let long = "x".repeat(41);
    for (frame, says) in [
        (
            "SEND\ndestination:/queue/q\na:b\nc:d\ne:f\n\n\0".to_owned(),
            "headers",
        ),
        (format!("SEND\ndestination:/queue/q\na:{long}\n\n\0"), "40"),
        // Never ended.
        (format!("SEND\na:{}", "x".repeat(100_000)), "40"),
        (
            "SEND\ndestination:/queue/q\ncontent-length:11\n\n".to_owned(),
            "10",
        ),
        ("SEND\ndestination:/queue/q\n\n01234567890".to_owned(), "10"),
    ] {
        let mut client = StompClient::connect(&server).await;
        client.send(&frame).await;
        let error = client.error().await;
        assert!(error.contains(says), "{frame:?}: {error}");
    }
    client.send(fits).await;
    assert_eq!(client.receipt().await, "1");
}

#[tokio::test]
async fn subscriptions_and_transactions_have_a_bound() {
    let server = Server::start_with(|config| {
        config.stomp.max_subscriptions = 2;
        config.stomp.max_transactions = 2;
    })
    .await;
    for (frames, says) in [
        (
            ["SUBSCRIBE\ndestination:/queue/q\nid:", "1", "2", "3"],
            "more than 2 subscriptions",
        ),
        (
            ["BEGIN\ntransaction:", "1", "2", "3"],
            "more than 2 open transactions",
        ),
    ] {
        let [frame, ids @ ..] = frames;
        let mut client = StompClient::connect(&server).await;
        for id in ids {
            client
                .send(&format!("{frame}{id}\nreceipt:{id}\n\n\0"))
                .await;
        }
        assert_eq!(client.receipt().await, "1");
        assert_eq!(client.receipt().await, "2");
        let error = client.error().await;
        assert!(error.starts_with(says), "{error}");
    }
}
