//! The conformance cases that need a server with topics, with their numbers.

use super::{super::server::Server, StompClient, client::body};
use trunkline_stomp::Command;

const TEN: [&str; 10] = ["1", "2", "3", "4", "5", "6", "7", "8", "9", "10"];

#[tokio::test]
async fn case_25_what_an_ack_covers_does_not_come_again() {
    for (mode, again) in [
        ("client", &["8", "9", "10"][..]),
        (
            "client-individual",
            &["1", "2", "3", "4", "5", "6", "8", "9", "10"],
        ),
    ] {
        let server = Server::start().await;
        let mut client = StompClient::connect(&server).await;
        client.sends("/queue/q", &TEN).await;
        client.subscribe("s", "/queue/q", mode).await;
        let mut seventh = String::new();
        for number in TEN {
            let message = client.message().await;
            assert_eq!(body(&message), number);
            if number == "7" {
                seventh = message.get("ack").unwrap().to_owned();
            }
        }
        let ack = format!("ACK\nid:{seventh}\nreceipt:a\n\n\0");
        client.nothing_but_receipt(&ack, "a").await;
        drop(client);
        let mut next = StompClient::connect(&server).await;
        next.subscribe("s", "/queue/q", mode).await;
        for number in again {
            let message = next.message().await;
            assert_eq!(body(&message), *number, "{mode}");
            assert_eq!(message.get("redelivered"), Some("true"));
            assert_eq!(message.get("delivery-count"), Some("2"));
        }
        // Those and no others.
        next.send("SEND\ndestination:/queue/q\n\nlast\0").await;
        assert_eq!(body(&next.message().await), "last");
    }
}

#[tokio::test]
async fn case_25_a_nack_covers_as_much_and_brings_it_again_at_once() {
    let server = Server::start().await;
    let mut client = StompClient::connect(&server).await;
    client.sends("/queue/q", &["1", "2", "3"]).await;
    client.subscribe("s", "/queue/q", "client").await;
    client.message().await;
    let second = client.message().await.get("ack").unwrap().to_owned();
    client.message().await;
    client.send(&format!("NACK\nid:{second}\n\n\0")).await;
    assert_eq!(client.bodies(2).await, ["1", "2"]);
}

#[tokio::test]
async fn case_25_an_ack_of_what_is_no_longer_held_is_counted_and_has_its_receipt() {
    let server = Server::start().await;
    let mut client = StompClient::connect(&server).await;
    client.sends("/queue/q", &["1", "2"]).await;
    client.subscribe("s", "/queue/q", "client").await;
    let first = client.message().await.get("ack").unwrap().to_owned();
    let second = client.message().await.get("ack").unwrap().to_owned();
    for ack in [&second, &first] {
        let ack = format!("ACK\nid:{ack}\nreceipt:a\n\n\0");
        client.nothing_but_receipt(&ack, "a").await;
    }
    assert_eq!(server.counters.stomp_acks_not_held.get(), 1);
    // The second is settled, though it was not named last.
    client
        .nothing_but_receipt("UNSUBSCRIBE\nid:s\nreceipt:u\n\n\0", "u")
        .await;
    client.sends("/queue/q", &["3"]).await;
    client.subscribe("t", "/queue/q", "client").await;
    assert_eq!(client.bodies(1).await, ["3"]);
    // One that was never given out is an error.
    let session = first.split('-').next().unwrap();
    client.send(&format!("ACK\nid:{session}-2-9\n\n\0")).await;
    let error = client.error().await;
    assert!(error.contains("never delivered here"), "{error}");
}

#[tokio::test]
async fn case_26_a_transaction_is_whole_or_nothing() {
    let server = Server::start().await;
    let mut client = StompClient::connect(&server).await;
    let mut watcher = StompClient::connect(&server).await;
    client.sends("/queue/in", &["in"]).await;
    client
        .subscribe("in", "/queue/in", "client-individual")
        .await;
    watcher.subscribe("out", "/queue/out", "auto").await;
    let ack = client.message().await.get("ack").unwrap().to_owned();
    let transaction = |name: &str, end: &str| {
        format!(
            "BEGIN\ntransaction:{name}\n\n\0\
             SEND\ndestination:/queue/out\ntransaction:{name}\n\n{name}1\0\
             ACK\nid:{ack}\ntransaction:{name}\n\n\0\
             SEND\ndestination:/queue/out\ntransaction:{name}\n\n{name}2\0\
             {end}\ntransaction:{name}\nreceipt:{name}\n\n\0"
        )
    };
    client
        .nothing_but_receipt(&transaction("a", "ABORT"), "a")
        .await;
    // Nothing was sent, and the delivery is still held: the next one takes it.
    client
        .nothing_but_receipt(&transaction("b", "COMMIT"), "b")
        .await;
    assert_eq!(watcher.bodies(2).await, ["b1", "b2"]);
    // Not a second time.
    client.send(&transaction("c", "COMMIT")).await;
    let error = client.frame().await;
    assert_eq!(error.command, Command::Error);
    assert_eq!(error.get("receipt-id"), Some("c"));
    assert_eq!(error.get("trunkline-code"), Some("-32013"));
    assert!(client.next().await.is_none());
    watcher.send("SEND\ndestination:/queue/out\n\nlast\0").await;
    assert_eq!(watcher.bodies(1).await, ["last"]);
}

#[tokio::test]
async fn case_26_without_a_commit_nothing_has_happened() {
    let server = Server::start().await;
    let mut client = StompClient::connect(&server).await;
    client.sends("/queue/in", &["in"]).await;
    client.subscribe("in", "/queue/in", "client").await;
    let ack = client.message().await.get("ack").unwrap().to_owned();
    let open = format!(
        "BEGIN\ntransaction:t\n\n\0SEND\ndestination:/queue/in\ntransaction:t\n\nnever\0ACK\nid:{ack}\ntransaction:t\nreceipt:r\n\n\0"
    );
    client.nothing_but_receipt(&open, "r").await;
    drop(client);
    let mut next = StompClient::connect(&server).await;
    next.subscribe("in", "/queue/in", "auto").await;
    assert_eq!(next.bodies(1).await, ["in"]);
    next.send("SEND\ndestination:/queue/in\n\nlast\0").await;
    assert_eq!(next.bodies(1).await, ["last"]);
}

#[tokio::test]
async fn case_26_unknown_and_duplicate_transactions_are_errors() {
    for (frames, part) in [
        ("COMMIT\ntransaction:t\n\n\0", "no open transaction"),
        ("ABORT\ntransaction:t\n\n\0", "no open transaction"),
        (
            "SEND\ndestination:/queue/q\ntransaction:t\n\n\0",
            "no open transaction",
        ),
        (
            "BEGIN\ntransaction:t\n\n\0BEGIN\ntransaction:t\n\n\0",
            "already",
        ),
        ("BEGIN\n\n\0", "without header transaction"),
    ] {
        let server = Server::start().await;
        let mut client = StompClient::connect(&server).await;
        client.send(frames).await;
        let error = client.error().await;
        assert!(error.contains(part), "{frames:?}: {error}");
    }
}

#[tokio::test]
async fn case_27_receipts_come_in_the_order_of_their_frames() {
    let server = Server::start().await;
    let mut client = StompClient::connect(&server).await;
    let mut frames = String::new();
    for number in 0..300 {
        // Some wait for the engine, some are done at once.
        frames.push_str(&match number % 4 {
            0 => format!("SEND\ndestination:/queue/q{number}\nreceipt:{number}\n\nx\0"),
            1 => format!("BEGIN\ntransaction:{number}\nreceipt:{number}\n\n\0ABORT\ntransaction:{number}\n\n\0"),
            2 => format!("SEND\ndestination:/topic/t\nreceipt:{number}\n\nx\0"),
            _ => format!("SUBSCRIBE\nid:{number}\ndestination:/queue/none\nreceipt:{number}\n\n\0UNSUBSCRIBE\nid:{number}\n\n\0"),
        });
    }
    client.send(&frames).await;
    for number in 0..300 {
        assert_eq!(client.receipt().await, number.to_string());
    }
}

#[tokio::test]
async fn case_27_a_subscription_is_between_its_receipts() {
    let server = Server::start().await;
    let mut client = StompClient::connect(&server).await;
    client.sends("/queue/q", &TEN).await;
    client
        .send(
            "SUBSCRIBE\nid:s\ndestination:/queue/q\nack:client\nreceipt:begin\n\n\0\
             SUBSCRIBE\nid:t\ndestination:/topic/t\nreceipt:topic\n\n\0\
             SEND\ndestination:/topic/t\n\nheard\0\
             UNSUBSCRIBE\nid:s\nreceipt:end\n\n\0UNSUBSCRIBE\nid:t\nreceipt:off\n\n\0",
        )
        .await;
    let mut order = Vec::new();
    while order.last().is_none_or(|last| last != "off") {
        let frame = client.frame().await;
        order.push(match frame.command {
            Command::Receipt => frame.get("receipt-id").unwrap().to_owned(),
            _ => frame.get("subscription").unwrap().to_owned(),
        });
    }
    let at = |what: &str| order.iter().position(|one| one == what);
    let last = |what: &str| order.iter().rposition(|one| one == what);
    assert!(
        at("s").is_none_or(|first| at("begin").unwrap() < first),
        "{order:?}"
    );
    assert!(
        last("s").is_none_or(|last| last < at("end").unwrap()),
        "{order:?}"
    );
    assert!(
        at("t").is_none_or(|first| at("topic").unwrap() < first),
        "{order:?}"
    );
    assert!(
        last("t").is_none_or(|last| last < at("off").unwrap()),
        "{order:?}"
    );
    // What was not settled is there for the next one, whole and in order.
    client.subscribe("u", "/queue/q", "client").await;
    assert_eq!(client.bodies(10).await, TEN);
}

#[tokio::test]
async fn case_28_what_is_beyond_a_limit_is_an_error_and_no_matter_to_others() {
    let server = Server::start_with(|config| {
        config.stomp.max_headers = 4;
        config.stomp.max_header_line_bytes = trunkline_model::ByteSize(40);
        config.stomp.max_body_bytes = trunkline_model::ByteSize(8);
        config.stomp.max_subscriptions = 2;
    })
    .await;
    let mut other = StompClient::connect(&server).await;
    for (frame, fine) in [
        (
            "SEND\ndestination:/queue/q\na:1\nb:1\nreceipt:r\n\n\0",
            true,
        ),
        (
            "SEND\ndestination:/queue/q\na:1\nb:1\nc:1\nd:1\n\n\0",
            false,
        ),
        ("SEND\ndestination:/queue/q\nreceipt:r\n\n12345678\0", true),
        ("SEND\ndestination:/queue/q\n\n123456789\0", false),
        ("SEND\ndestination:/queue/q\ncontent-length:9\n\n", false),
        (
            "SEND\ndestination:/queue/q\ncontent-length:2\n\n123\0",
            false,
        ),
        (
            "SEND\ndestination:/queue/q\nx:12345678901234567890123456789012345678901234567890",
            false,
        ),
    ] {
        let mut client = StompClient::connect(&server).await;
        client.send(frame).await;
        match fine {
            true => assert_eq!(client.receipt().await, "r", "{frame:?}"),
            false => {
                client.error().await;
            }
        }
        other
            .nothing_but_receipt("SEND\ndestination:/queue/o\nreceipt:o\n\n\0", "o")
            .await;
    }
    for id in ["1", "2"] {
        other.subscribe(id, "/queue/o2", "client").await;
    }
    other
        .send("SUBSCRIBE\nid:3\ndestination:/queue/o2\n\n\0")
        .await;
    let error = other.error().await;
    assert!(error.contains("more than 2 subscriptions"), "{error}");
}

#[tokio::test]
async fn case_29_a_message_is_as_it_was_sent() {
    let server = Server::start().await;
    let mut client = StompClient::connect(&server).await;
    let bytes: Vec<u8> = (0..=255).collect();
    for destination in ["/queue/q", "/topic/t"] {
        for (mode, has_ack) in [
            ("auto", false),
            ("client", true),
            ("client-individual", true),
        ] {
            client.subscribe("s", destination, mode).await;
            let frame = format!(
                "SEND\ndestination:{destination}\nb:1\na:x\\cy\\nz\\\\\nb:2\n\
                 content-type:application/x\ncontent-length:256\n\n"
            );
            let mut frame = frame.into_bytes();
            frame.extend_from_slice(&bytes);
            frame.push(0);
            client.write(&frame).await;
            let message = client.message().await;
            let headers: Vec<_> = message.headers.iter().collect();
            let own: Vec<_> = headers.iter().filter(|(name, _)| name.len() == 1).collect();
            assert_eq!(own, [&("b", "1"), &("a", "x:y\nz\\"), &("b", "2")]);
            assert_eq!(message.get("content-type"), Some("application/x"));
            assert_eq!(message.get("destination"), Some(destination));
            assert_eq!(message.get("ack").is_some(), has_ack, "{mode}");
            assert_eq!(message.body, bytes);
            if let (Some(ack), "/queue/q") = (message.get("ack"), destination) {
                client.send(&format!("ACK\nid:{ack}\n\n\0")).await;
            }
            client
                .nothing_but_receipt("UNSUBSCRIBE\nid:s\nreceipt:u\n\n\0", "u")
                .await;
        }
    }
}

#[tokio::test]
async fn case_30_frames_of_a_client_in_use_are_taken() {
    let server = Server::start().await;
    let mut client = StompClient::dial(&server).await;
    let connected = client
        .ask("CONNECT\naccept-version:1.0,1.1,1.2\nheart-beat:0,0\nlogin:a\\cb\ncontent-length:0\n\n\0")
        .await;
    assert_eq!(connected.get("heart-beat"), Some("0,0"));
    let subscribe = "SUBSCRIBE\nid:s\ndestination:/queue/q\nack:client\nreceipt:R_s.1\nbody:\ncontent-length:0\n\n\0";
    client.nothing_but_receipt(subscribe, "R_s.1").await;
    client
        .send("SEND\ndestination:/queue/q\nbody:\ncontent-length:2\n\nhi\0")
        .await;
    let message = client.message().await;
    assert_eq!((body(&message), message.get("body")), ("hi", Some("")));
    let ack = message.get("ack").unwrap();
    let ack = format!("ACK\nid:{ack}\nreceipt:R_s.2\ncontent-length:0\n\n\0");
    client.nothing_but_receipt(&ack, "R_s.2").await;
    client
        .nothing_but_receipt("DISCONNECT\nreceipt:R_s.3\ncontent-length:0\n\n\0", "R_s.3")
        .await;
    assert!(client.next().await.is_none());
}
