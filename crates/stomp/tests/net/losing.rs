//! How connections end, and what goes with them.

use crate::scripted::{Server, header, soon, told};
use std::time::{Duration, Instant};
use trunkline_stomp::{AckMode, ErrorCode};

#[tokio::test]
async fn case_08_an_error_without_receipt_ends_everything_in_order() {
    let server = Server::start().await;
    let client = server.client().build();
    let mut events = client.events();
    let mut peer = server.welcome().await;
    let mut subscription = client.subscribe("/queue/a").id("1").start();
    peer.grant().await;
    soon(subscription.ready()).await.unwrap();
    let first = client.send("/queue/a", "1").receipt("a").start();
    // Nobody waits for this one, so its error is an event.
    drop(client.send("/queue/a", "2").receipt("b").start());
    peer.frame().await;
    peer.frame().await;
    peer.send("ERROR\nmessage:broken\n\nall of it\0").await;
    for expected in [
        "connect",
        "ready 1.2 s",
        "error 5 broken",
        "lost 1: 5 Subscription \"1\" lost: broken",
        "error 5 Operation \"SEND\" aborted: broken",
        "disconnect",
    ] {
        assert_eq!(told(&mut events).await, expected);
    }
    let error = soon(first).await.unwrap_err();
    assert_eq!(error.message, "Operation \"SEND\" aborted: broken");
    assert_eq!(&error.frame.expect("the ERROR").body[..], b"all of it");
    let lost = soon(subscription.next()).await.unwrap().unwrap_err();
    assert_eq!(lost.message, "Subscription \"1\" lost: broken");
    assert_eq!(soon(subscription.next()).await, None);
    peer.closed().await;
}

#[tokio::test]
async fn case_08_the_last_words_of_a_server_that_resets_are_heard() {
    let server = Server::start().await;
    let client = server.client().build();
    let mut peer = server.welcome().await;
    let sent = client
        .send("/queue/a", vec![b'x'; 8 << 20])
        .receipt("a")
        .start();
    // What it has not read makes the end a reset.
    peer.send("ERROR\nmessage:too much\n\n\0").await;
    let error = soon(sent).await.unwrap_err();
    assert_eq!(error.message, "Operation \"SEND\" aborted: too much");
    drop(peer);
}

#[tokio::test]
async fn case_09_a_closed_connection_takes_everything_and_the_next_command_makes_another() {
    let server = Server::start().await;
    let client = server.client().build();
    let mut events = client.events();
    let mut peer = server.welcome().await;
    let mut subscriptions = Vec::new();
    for id in ["1", "2"] {
        let mut subscription = client.subscribe("/queue/a").id(id).start();
        peer.grant().await;
        soon(subscription.ready()).await.unwrap();
        subscriptions.push(subscription);
    }
    peer.message("1", "m", "x").await;
    let kept = soon(subscriptions[0].next()).await.unwrap().unwrap();
    let sent = client.send("/queue/a", "1").receipt("a").start();
    peer.frame().await;
    drop(peer);
    for expected in [
        "connect",
        "ready 1.2 s",
        "error 3 Connection closed by remote host.",
        "lost 1: 3 Subscription \"1\" lost: Connection closed by remote host.",
        "lost 2: 3 Subscription \"2\" lost: Connection closed by remote host.",
        "disconnect",
    ] {
        assert_eq!(told(&mut events).await, expected);
    }
    let error = soon(sent).await.unwrap_err();
    assert_eq!(error.code, ErrorCode::ClosedByRemoteHost);
    assert_eq!(
        error.message,
        "Operation \"SEND\" aborted: Connection closed by remote host."
    );
    // Its message is of a session that is gone: nothing is connected for that.
    let error = client.ack(&kept).await.unwrap_err();
    assert_eq!(error.code, ErrorCode::Operation);
    assert_eq!(
        error.message,
        "Unexpected ACK sent: message belongs to a lost session."
    );
    let sent = client.send("/queue/a", "2").start();
    let mut peer = server.welcome().await;
    soon(sent).await.unwrap();
    assert!(peer.frame().await.ends_with("\n2"));
}

#[tokio::test]
async fn case_09_what_is_queued_fails_with_the_connection() {
    let server = Server::start().await;
    let client = server.client().build();
    let mut events = client.events();
    let queued = client.send("/queue/a", "1").start();
    let mut peer = server.accept().await;
    peer.frame().await;
    drop(peer);
    let error = soon(queued).await.unwrap_err();
    assert_eq!(
        error.message,
        "Operation \"SEND\" aborted: Connection closed by remote host."
    );
    for expected in [
        "connect",
        "error 3 Connection closed by remote host.",
        "disconnect",
    ] {
        assert_eq!(told(&mut events).await, expected);
    }
}

#[tokio::test]
async fn case_10_the_interval_runs_from_the_first_command_after_a_loss() {
    let server = Server::start().await;
    let interval = Duration::from_millis(300);
    let client = server.client().reconnect_interval(interval).build();
    let mut events = client.events();
    drop(server.welcome().await);
    for _ in 0..4 {
        told(&mut events).await;
    }
    let from = Instant::now();
    let first = client.send("/queue/a", "1").start();
    tokio::time::sleep(interval / 2).await;
    let second = client.send("/queue/a", "2").start();
    let mut peer = server.welcome().await;
    let waited = from.elapsed();
    assert!(waited >= interval, "{waited:?}");
    assert!(peer.frame().await.ends_with("\n1"));
    assert!(peer.frame().await.ends_with("\n2"));
    soon(first).await.unwrap();
    soon(second).await.unwrap();
    // Without it, at once.
    client.set_reconnect_interval(None);
    drop(peer);
    for _ in 0..4 {
        told(&mut events).await;
    }
    drop(client.send("/queue/a", "3").start());
    assert!(server.welcome().await.frame().await.ends_with("\n3"));
}

#[tokio::test]
async fn case_11_disconnect_ends_with_its_receipt_and_without_an_error() {
    let server = Server::start().await;
    let client = server.client().build();
    let mut events = client.events();
    let mut peer = server.welcome().await;
    let done = client.disconnect().start();
    let frame = peer.frame().await;
    assert!(frame.starts_with("DISCONNECT\n"), "{frame}");
    peer.receipt(header(&frame, "receipt").unwrap()).await;
    assert!(soon(done).await.unwrap().is_some());
    assert_eq!(peer.closed().await, "");
    for expected in ["connect", "ready 1.2 s", "disconnect"] {
        assert_eq!(told(&mut events).await, expected);
    }
    // And it may be used again.
    let sent = client.send("/queue/a", "2").start();
    let mut peer = server.welcome().await;
    assert!(peer.frame().await.ends_with("\n2"));
    soon(sent).await.unwrap();
}

#[tokio::test]
async fn case_11_a_forced_disconnect_fails_what_is_unfinished_with_code_4() {
    let server = Server::start().await;
    let client = server.client().build();
    let mut events = client.events();
    let mut peer = server.welcome().await;
    let mut subscription = client
        .subscribe("/queue/a")
        .id("1")
        .ack(AckMode::Client)
        .start();
    peer.grant().await;
    soon(subscription.ready()).await.unwrap();
    let sent = client.send("/queue/a", "1").receipt("a").start();
    peer.frame().await;
    client.force_disconnect();
    let error = soon(sent).await.unwrap_err();
    assert_eq!(error.code, ErrorCode::ClosedByClient);
    assert_eq!(
        error.message,
        "Operation \"SEND\" aborted: Connection closed by client prematurely."
    );
    assert_eq!(soon(subscription.next()).await, None);
    assert_eq!(peer.closed().await, "");
    for expected in [
        "connect",
        "ready 1.2 s",
        "disconnect",
        "error 4 Connection closed by client prematurely.",
    ] {
        assert_eq!(told(&mut events).await, expected);
    }
    // With nothing unfinished: silence.
    let sent = client.send("/queue/a", "2").start();
    let peer = server.welcome().await;
    soon(sent).await.unwrap();
    client.force_disconnect();
    peer.closed().await;
    for expected in ["connect", "ready 1.2 s", "disconnect"] {
        assert_eq!(told(&mut events).await, expected);
    }
}

#[tokio::test]
async fn the_last_handle_takes_leave_once_everything_is_confirmed() {
    let server = Server::start().await;
    let client = server.client().build();
    let mut events = client.events();
    let sent = client.send("/queue/a", "1").receipt("a").start();
    let other = client.clone();
    drop(client);
    drop(other);
    let mut peer = server.welcome().await;
    assert!(peer.frame().await.ends_with("\n1"));
    let frame = peer.frame().await;
    assert!(frame.starts_with("DISCONNECT\n"), "{frame}");
    peer.receipt("a").await;
    assert!(soon(sent).await.unwrap().is_some());
    peer.receipt(header(&frame, "receipt").unwrap()).await;
    assert_eq!(peer.closed().await, "");
    for expected in ["connect", "ready 1.2 s", "disconnect", "None"] {
        assert_eq!(told(&mut events).await, expected);
    }
}
