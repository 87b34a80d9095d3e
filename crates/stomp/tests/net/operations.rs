//! What operations send, and what becomes of them.

use crate::scripted::{Peer, Server, header, soon, told};
use trunkline_stomp::{AckMode, Acked, Client, ErrorCode, Message, Operation, Subscription};

async fn pair() -> (Client, Peer) {
    let server = Server::start().await;
    let client = server.client().build();
    let peer = server.welcome().await;
    (client, peer)
}

/// Subscribes under id 1, and gets messages of these ids.
async fn subscribed(
    client: &Client,
    peer: &mut Peer,
    mode: AckMode,
    ids: &[&str],
) -> (Subscription, Vec<Message>) {
    let mut subscription = client.subscribe("/queue/a").id("1").ack(mode).start();
    let frame = peer.frame().await;
    assert_eq!(header(&frame, "ack"), Some(mode.as_str()));
    peer.receipt(header(&frame, "receipt").unwrap()).await;
    soon(subscription.ready()).await.unwrap();
    let mut messages = Vec::new();
    for id in ids {
        peer.message("1", id, "x").await;
        messages.push(soon(subscription.next()).await.unwrap().unwrap());
    }
    (subscription, messages)
}

#[tokio::test]
async fn case_03_receipts_and_flushes_complete() {
    let (client, mut peer) = pair().await;
    let sent = client.send("/queue/a", "1").receipt("auto").start();
    let frame = peer.frame().await;
    assert_eq!(header(&frame, "receipt"), Some("R_s.1"));
    peer.receipt("R_s.1").await;
    let receipt = soon(sent).await.unwrap().expect("a frame");
    assert_eq!(receipt.get("receipt-id"), Some("R_s.1"));
    let own = client.send("/queue/a", "2").receipt("mine").start();
    assert_eq!(header(&peer.frame().await, "receipt"), Some("mine"));
    peer.receipt("mine").await;
    assert!(soon(own).await.unwrap().is_some());
    // Done before the server says anything.
    assert_eq!(
        soon(client.send("/queue/a", "3").into_future()).await,
        Ok(None)
    );
    assert_eq!(header(&peer.frame().await, "receipt"), None);
}

#[tokio::test]
async fn case_03_a_flush_before_connected_waits_for_it() {
    let server = Server::start().await;
    let client = server.client().build();
    let sent = client.send("/queue/a", "1").start();
    let mut peer = server.welcome().await;
    assert_eq!(soon(sent).await, Ok(None));
    assert!(peer.frame().await.ends_with("\n1"));
}

#[tokio::test]
async fn case_04_client_mode_covers_what_came_before() {
    let (client, mut peer) = pair().await;
    let (_subscription, messages) =
        subscribed(&client, &mut peer, AckMode::Client, &["x", "y", "z"]).await;
    client.ack(&messages[1]).await.unwrap();
    assert_eq!(header(&peer.frame().await, "id"), Some("ay"));
    let error = client.ack(&messages[0]).await.unwrap_err();
    assert_eq!(error.code, ErrorCode::Operation);
    assert_eq!(error.message, "Unexpected ACK sent.");
    client.nack(&messages[2]).await.unwrap();
    let frame = peer.frame().await;
    assert!(frame.starts_with("NACK\nid:az\n"), "{frame}");
}

#[tokio::test]
async fn case_04_client_individual_covers_one_and_auto_none() {
    let (client, mut peer) = pair().await;
    let (_subscription, messages) =
        subscribed(&client, &mut peer, AckMode::ClientIndividual, &["x", "y"]).await;
    for message in messages.iter().rev() {
        client.ack(message).await.unwrap();
        assert_eq!(header(&peer.frame().await, "id"), message.header("ack"));
        let error = client.nack(message).await.unwrap_err();
        assert_eq!(error.message, "Unexpected NACK sent.");
    }
    let (client, mut peer) = pair().await;
    let (_subscription, messages) = subscribed(&client, &mut peer, AckMode::Auto, &["x"]).await;
    assert!(client.ack(&messages[0]).await.is_err());
    client.send("/queue/a", "next").await.unwrap();
    assert!(peer.frame().await.starts_with("SEND\n"));
}

#[tokio::test]
async fn case_05_each_version_names_messages_its_way() {
    for (version, headers) in [
        ("1.0", &[("message-id", "x")][..]),
        ("1.1", &[("message-id", "x"), ("subscription", "1")]),
        ("1.2", &[("id", "ax")]),
    ] {
        let server = Server::start().await;
        let client = server.client().build();
        let mut peer = server.accept().await;
        peer.welcome(&format!("version:{version}\n")).await;
        let (_subscription, messages) =
            subscribed(&client, &mut peer, AckMode::Client, &["x"]).await;
        client.ack(&messages[0]).await.unwrap();
        let frame = peer.frame().await;
        for name in ["id", "message-id", "subscription"] {
            let expected = headers.iter().find(|(found, _)| *found == name);
            let expected = expected.map(|(_, value)| *value);
            assert_eq!(header(&frame, name), expected, "{version} {name}");
        }
    }
}

#[tokio::test]
async fn acks_by_id_find_their_message() {
    let (client, mut peer) = pair().await;
    let (_subscription, _messages) =
        subscribed(&client, &mut peer, AckMode::ClientIndividual, &["x", "y"]).await;
    client.ack_id("ay").transaction("t").await.unwrap();
    let frame = peer.frame().await;
    assert!(frame.starts_with("ACK\nid:ay\ntransaction:t\n"), "{frame}");
    assert!(client.nack_id("ay").await.is_err());
    let ack = Operation::ack(Acked::Id("ax".into()));
    client.execute(ack).unwrap().await.unwrap();
    assert_eq!(header(&peer.frame().await, "id"), Some("ax"));
}

#[tokio::test]
async fn case_06_bodies_and_pieces() {
    let (client, mut peer) = pair().await;
    let (mut subscription, _) = subscribed(&client, &mut peer, AckMode::Auto, &[]).await;
    let whole =
        b"\n\r\nMESSAGE\r\nsubscription:1\r\nmessage-id:m\r\ncontent-length:3\r\n\r\na\0b\0\n\n\
                  MESSAGE\nsubscription:1\nmessage-id:n\n\nto the end\0\n";
    for byte in whole {
        peer.send([*byte]).await;
    }
    peer.send(whole.repeat(2)).await;
    for _ in 0..3 {
        let first = soon(subscription.next()).await.unwrap().unwrap();
        assert_eq!(
            (&first.body()[..], first.header("message-id")),
            (&b"a\0b"[..], Some("m"))
        );
        let second = soon(subscription.next()).await.unwrap().unwrap();
        assert_eq!(&second.body()[..], b"to the end");
    }
}

#[tokio::test]
async fn case_07_odd_headers_come_through() {
    for version in ["1.1", "1.2"] {
        let server = Server::start().await;
        let client = server.client().build();
        let mut peer = server.accept().await;
        peer.welcome(&format!("version:{version}\n")).await;
        let (mut subscription, _) = subscribed(&client, &mut peer, AckMode::Auto, &[]).await;
        client
            .send("/queue/a", "")
            .header("a:b", "c\nd\\")
            .await
            .unwrap();
        assert!(peer.frame().await.contains("\na\\cb:c\\nd\\\\\n"));
        peer.send("MESSAGE\nsubscription:1\na\\cb:c\\nd\\\\\n\n\0")
            .await;
        let message = soon(subscription.next()).await.unwrap().unwrap();
        assert_eq!(message.header("a:b"), Some("c\nd\\"));
    }
    let server = Server::start().await;
    let client = server.client().build();
    let mut peer = server.accept().await;
    peer.welcome("").await;
    let (mut subscription, _) = subscribed(&client, &mut peer, AckMode::Auto, &[]).await;
    peer.send("MESSAGE\nsubscription:1\na:b:c\n\n\0").await;
    let message = soon(subscription.next()).await.unwrap().unwrap();
    assert_eq!(message.header("a"), Some("b:c"));
}

#[tokio::test]
async fn case_08_an_error_with_a_known_receipt_fails_that_command_only() {
    let (client, mut peer) = pair().await;
    let mut events = client.events();
    let bad = client.send("/nowhere", "").receipt("bad").start();
    let good = client.send("/queue/a", "").receipt("good").start();
    peer.frame().await;
    peer.frame().await;
    peer.send("ERROR\nreceipt-id:bad\nmessage:no\ncontent-length:4\n\nlong\0")
        .await;
    peer.receipt("good").await;
    let error = soon(bad).await.unwrap_err();
    assert_eq!((error.code, &*error.message), (ErrorCode::Operation, "no"));
    assert_eq!(&error.frame.expect("the ERROR").body[..], b"long");
    soon(good).await.unwrap();
    drop(peer);
    for expected in [
        "connect",
        "ready 1.2 s",
        "error 3 Connection closed by remote host.",
        "disconnect",
    ] {
        assert_eq!(told(&mut events).await, expected);
    }
}

#[tokio::test]
async fn transactions_are_plain_frames() {
    let (client, mut peer) = pair().await;
    client.begin("t").await.unwrap();
    client.send("/queue/a", "x").transaction("t").await.unwrap();
    let committed = client.commit("t").receipt("done").start();
    drop(client.begin("u").start());
    client.abort("u").await.unwrap();
    for start in [
        "BEGIN\ntransaction:t\n",
        "SEND\ndestination:/queue/a\ntransaction:t\n",
    ] {
        let frame = peer.frame().await;
        assert!(frame.starts_with(start), "{frame}");
    }
    assert!(
        peer.frame()
            .await
            .starts_with("COMMIT\ntransaction:t\nreceipt:done\n")
    );
    peer.receipt("done").await;
    assert!(soon(committed).await.unwrap().is_some());
    assert!(peer.frame().await.starts_with("BEGIN\ntransaction:u\n"));
    assert!(peer.frame().await.starts_with("ABORT\ntransaction:u\n"));
}

#[tokio::test]
async fn a_stream_ends_with_its_unsubscribe_and_dropping_it_unsubscribes() {
    let (client, mut peer) = pair().await;
    let (mut subscription, _) = subscribed(&client, &mut peer, AckMode::Auto, &[]).await;
    let ended = subscription.unsubscribe();
    let frame = peer.frame().await;
    assert!(frame.starts_with("UNSUBSCRIBE\nid:1\n"), "{frame}");
    peer.message("1", "last", "x").await;
    peer.receipt(header(&frame, "receipt").unwrap()).await;
    peer.message("1", "late", "x").await;
    soon(ended).await.unwrap();
    let last = soon(subscription.next()).await.unwrap().unwrap();
    assert_eq!(last.header("message-id"), Some("last"));
    assert_eq!(soon(subscription.next()).await, None);
    drop(subscription);
    let (subscription, _) = subscribed(&client, &mut peer, AckMode::Auto, &["y"]).await;
    drop(subscription);
    assert!(peer.frame().await.starts_with("UNSUBSCRIBE\nid:1\n"));
}

#[tokio::test]
async fn a_stream_that_nobody_takes_stops_the_reading_and_nothing_is_lost() {
    let server = Server::start().await;
    // The server's own beats would be missed, were the client's pause its fault.
    let client = server
        .client()
        .subscription_room(10, 1 << 20)
        .heartbeat(0, 50)
        .build();
    let mut peer = server.accept().await;
    peer.welcome("version:1.2\nheart-beat:50,0\n").await;
    let (mut subscription, _) = subscribed(&client, &mut peer, AckMode::Auto, &[]).await;
    const BODY: usize = 16 << 10;
    const ALL: usize = 2_000;
    let body = "x".repeat(BODY);
    let mut writing = tokio::spawn(async move {
        for id in 0..ALL {
            peer.message("1", &id.to_string(), &body).await;
        }
        peer
    });
    // 32 MB don't fit between the two, and this is longer than the silence that is allowed.
    let waiting = std::time::Duration::from_millis(400);
    let written = tokio::time::timeout(waiting, &mut writing).await;
    assert!(written.is_err(), "the server has to wait");
    for id in 0..ALL {
        let message = soon(subscription.next()).await.unwrap().unwrap();
        assert_eq!(message.header("message-id"), Some(&*id.to_string()));
        assert_eq!(message.body().len(), BODY);
    }
    soon(writing).await.unwrap();
}
