//! What headers of SEND, SUBSCRIBE and NACK ask for.

use super::{super::server::Server, StompClient, client::body};
use trunkline_engine_embedded::EmbeddedConfig;
use trunkline_model::TopicSettings;

/// A server whose topics have ten priorities.
async fn server() -> Server {
    let engine = EmbeddedConfig {
        defaults: TopicSettings {
            priorities: Some(10),
            ..TopicSettings::default()
        },
        ..EmbeddedConfig::memory()
    };
    Server::start_over(engine, |_| {}).await
}

#[tokio::test]
async fn priorities_of_jms_order_a_queue() {
    let server = server().await;
    let mut client = StompClient::connect(&server).await;
    for priority in [4, 0, 9, 5] {
        let send = format!("SEND\ndestination:/queue/q\npriority:{priority}\n\n{priority}\0");
        client.send(&send).await;
    }
    // One that names none is in the middle.
    client.sends("/queue/q", &["none"]).await;
    client.subscribe("s", "/queue/q", "auto").await;
    let bodies = client.bodies(5).await;
    assert_eq!(bodies, ["9", "5", "4", "none", "0"]);
}

#[tokio::test]
async fn what_expires_is_not_delivered() {
    let server = server().await;
    let mut client = StompClient::connect(&server).await;
    for (header, body) in [
        ("expires:1", "past"),
        ("expires:0", "never"),
        ("ttl:3600000", "later"),
        ("expires:99999999999999", "far"),
    ] {
        let send = format!("SEND\ndestination:/queue/q\n{header}\n\n{body}\0");
        client.send(&send).await;
    }
    client.sends("/queue/q", &["last"]).await;
    client.subscribe("s", "/queue/q", "auto").await;
    assert_eq!(client.bodies(4).await, ["never", "later", "far", "last"]);
}

#[tokio::test]
async fn a_delay_holds_back_one_message_and_no_other() {
    let server = server().await;
    let mut client = StompClient::connect(&server).await;
    client.subscribe("s", "/queue/q", "auto").await;
    let send = "SEND\ndestination:/queue/q\ndelay:300\n\nlate\0SEND\ndestination:/queue/q\n\nnow\0";
    client.send(send).await;
    assert_eq!(client.bodies(2).await, ["now", "late"]);
}

#[tokio::test]
async fn a_publish_id_is_stored_once() {
    let server = server().await;
    let mut client = StompClient::connect(&server).await;
    let send = "SEND\ndestination:/queue/q\npublish-id:1\nreceipt:r\n\nonce\0";
    client.nothing_but_receipt(send, "r").await;
    client.nothing_but_receipt(send, "r").await;
    client.sends("/queue/q", &["last"]).await;
    client.subscribe("s", "/queue/q", "auto").await;
    assert_eq!(client.bodies(2).await, ["once", "last"]);
}

#[tokio::test]
async fn a_group_is_with_one_consumer_at_a_time() {
    let server = server().await;
    let mut a = StompClient::connect(&server).await;
    for (header, body) in [
        ("group:g", "g1"),
        ("JMSXGroupID:g", "g2"),
        ("group:h", "h1"),
    ] {
        a.send(&format!("SEND\ndestination:/queue/q\n{header}\n\n{body}\0"))
            .await;
    }
    a.sends("/queue/q", &[]).await;
    let mut b = StompClient::connect(&server).await;
    for client in [&mut a, &mut b] {
        client
            .send("SUBSCRIBE\nid:s\ndestination:/queue/q\nack:client-individual\nprefetch-count:1\nreceipt:r\n\n\0")
            .await;
        assert_eq!(client.receipt().await, "r");
    }
    let first = a.message().await;
    assert_eq!(body(&first), "g1");
    assert_eq!(body(&b.message().await), "h1");
    let ack = first.get("ack").unwrap();
    a.send(&format!("ACK\nid:{ack}\n\n\0")).await;
    assert_eq!(body(&a.message().await), "g2");
}

#[tokio::test]
async fn what_need_not_persist_has_its_receipt_and_comes() {
    let server = server().await;
    let mut client = StompClient::connect(&server).await;
    client.subscribe("s", "/queue/q", "auto").await;
    client
        .send("SEND\ndestination:/queue/q\npersistent:false\n\nx\0")
        .await;
    assert_eq!(client.bodies(1).await, ["x"]);
    let send = "SEND\ndestination:/queue/other\npersistent:false\nreceipt:r\n\nx\0";
    client.nothing_but_receipt(send, "r").await;
}

#[tokio::test]
async fn a_nack_can_hold_back_what_it_returns() {
    let server = server().await;
    let mut client = StompClient::connect(&server).await;
    client.sends("/queue/q", &["1", "2"]).await;
    client
        .send(
            "SUBSCRIBE\nid:s\ndestination:/queue/q\nack:client-individual\nprefetch-count:1\n\n\0",
        )
        .await;
    let first = client.message().await;
    let ack = first.get("ack").unwrap();
    client
        .send(&format!("NACK\nid:{ack}\ndelay:200\n\n\0"))
        .await;
    let second = client.message().await;
    assert_eq!(body(&second), "2");
    let ack = second.get("ack").unwrap();
    client.send(&format!("ACK\nid:{ack}\n\n\0")).await;
    assert_eq!(body(&client.message().await), "1");
}

#[tokio::test]
async fn a_subscription_of_any_name_is_one_of_the_topic() {
    let server = server().await;
    let mut client = StompClient::connect(&server).await;
    client.subscribe("a", "/subscription/t/a", "auto").await;
    client.subscribe("b", "/subscription/t/b", "auto").await;
    client.send("SEND\ndestination:/queue/t\n\nx\0").await;
    let mut subscriptions = Vec::new();
    for _ in 0..2 {
        let message = client.message().await;
        subscriptions.push(message.get("subscription").unwrap().to_owned());
    }
    subscriptions.sort();
    assert_eq!(subscriptions, ["a", "b"]);
    // And one that waits behind /queue/NAME, made by the SEND.
    client.subscribe("q", "/queue/t", "auto").await;
    assert_eq!(client.bodies(1).await, ["x"]);
}

#[tokio::test]
async fn ten_thousand_subscriptions_of_a_connection_work() {
    let server = Server::start_with(|config| config.stomp.max_subscriptions = 20_000).await;
    let mut client = StompClient::connect(&server).await;
    let mut frames = String::new();
    for number in 0..5_000 {
        frames.push_str(&format!(
            "SUBSCRIBE\nid:q{number}\ndestination:/queue/q{number}\n\n\0SUBSCRIBE\nid:t{number}\ndestination:/topic/t{number}\n\n\0"
        ));
    }
    frames.push_str("BEGIN\ntransaction:t\nreceipt:r\n\n\0");
    client.nothing_but_receipt(&frames, "r").await;
    let mut other = StompClient::connect(&server).await;
    for number in [0, 2_500, 4_999] {
        for kind in ["queue/q", "topic/t"] {
            let send = format!("SEND\ndestination:/{kind}{number}\n\n{number}\0");
            other.send(&send).await;
            let message = client.message().await;
            let id = format!("{}{number}", &kind[kind.len() - 1..]);
            assert_eq!(message.get("subscription"), Some(&*id));
        }
    }
}
