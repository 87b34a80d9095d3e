//! The connection over a memory engine, without a socket: what a client sends, and what it gets.

#![allow(clippy::unwrap_used, reason = "a test that can't go on fails")]

use super::StompConnection;
use crate::{GatewayConfig, Services, shared::Shared};
use bytes::BytesMut;
use std::{sync::Arc, time::Duration};
use trunkline_auth::Access;
use trunkline_engine_embedded::{Drive, Embedded, EmbeddedConfig, Location};
use trunkline_model::{Protocol, Span, SystemClock, Timestamp};
use trunkline_rpc::{Calls, CallsConfig, Context, Failure, Handler};
use trunkline_stomp::ServerSettings;

fn shared() -> Arc<Shared> {
    shared_over(Embedded::open(EmbeddedConfig::memory()).unwrap())
}

fn shared_over(engine: Arc<Embedded>) -> Arc<Shared> {
    let clock = Arc::new(SystemClock::new(Timestamp::ZERO));
    let config = CallsConfig {
        ask_wait: Span::default(),
        ..CallsConfig::default()
    };
    let calls = Calls::start(engine.clone(), clock.clone(), config, "test".into());
    let services = Services {
        engine,
        calls,
        access: Arc::new(Access::allow_all()),
        clock,
        version: "0.0.0",
        engine_url: "memory:".to_owned(),
        dependencies: Vec::new(),
    };
    Shared::new(GatewayConfig::default(), services)
}

/// A client whose frames have `^` for NUL.
struct Peer {
    connection: StompConnection,
    input: BytesMut,
    got: String,
}

impl Peer {
    fn new(shared: &Arc<Shared>) -> Self {
        let caller = shared.caller(Protocol::Stomp, "127.0.0.1:1".parse().unwrap());
        let now = shared.services.clock.now();
        Self {
            connection: StompConnection::new(
                shared.clone(),
                caller,
                ServerSettings::default(),
                now,
            ),
            input: BytesMut::new(),
            got: String::new(),
        }
    }

    async fn connected(shared: &Arc<Shared>) -> Self {
        let mut peer = Self::new(shared);
        peer.send("CONNECT\naccept-version:1.2\n\n^");
        assert!(peer.frame().await.starts_with("CONNECTED\n"));
        peer
    }

    fn send(&mut self, frames: &str) {
        self.input
            .extend_from_slice(frames.replace('^', "\0").as_bytes());
        self.connection.receive(&mut self.input);
    }

    /// The frames that are there without waiting.
    fn now(&mut self) -> Vec<String> {
        self.connection.collect();
        let output = self.connection.take_output();
        self.got.push_str(str::from_utf8(&output).unwrap());
        let frames = std::mem::take(&mut self.got);
        let frames = frames.split_terminator('\0');
        frames.map(|frame| frame.trim_start().to_owned()).collect()
    }

    /// The next frame.
    async fn frame(&mut self) -> String {
        let next = async {
            loop {
                self.connection.collect();
                let output = self.connection.take_output();
                self.got.push_str(str::from_utf8(&output).unwrap());
                if let Some((frame, rest)) = self.got.split_once('\0') {
                    let frame = frame.to_owned();
                    self.got = rest.trim_start_matches('\n').to_owned();
                    return frame;
                }
                assert_eq!(self.connection.closing(), None, "{:?}", self.got);
                self.connection.wake().woken().await;
            }
        };
        let next = tokio::time::timeout(Duration::from_secs(10), next).await;
        next.expect("a frame in time")
    }

    /// The next frame, of which these lines are part.
    async fn expect(&mut self, lines: &[&str]) -> String {
        let frame = self.frame().await;
        for line in lines {
            assert!(frame.lines().any(|l| l == *line), "{line} in {frame:?}");
        }
        frame
    }
}

/// The value of a header.
fn value<'a>(frame: &'a str, name: &str) -> &'a str {
    let mut lines = frame.lines();
    let value = lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    value.unwrap_or_else(|| panic!("{name} in {frame:?}"))
}

#[tokio::test]
async fn what_is_sent_to_a_queue_waits_for_whoever_subscribes() {
    let shared = shared();
    let mut a = Peer::connected(&shared).await;
    a.send("SEND\ndestination:/queue/a\nx:1\nreceipt:r\n\nhello^");
    a.expect(&["RECEIPT", "receipt-id:r"]).await;
    a.send("SUBSCRIBE\nid:s\ndestination:/queue/a\nack:client\nreceipt:q\n\n^");
    a.expect(&["RECEIPT", "receipt-id:q"]).await;
    let first = a
        .expect(&[
            "MESSAGE",
            "subscription:s",
            "x:1",
            "redelivered:false",
            "hello",
        ])
        .await;
    // Gone without an ACK, it comes again.
    drop(a);
    let mut b = Peer::connected(&shared).await;
    b.send("SUBSCRIBE\nid:t\ndestination:/queue/a\nack:client-individual\n\n^");
    let again = b
        .expect(&["MESSAGE", "redelivered:true", "delivery-count:2", "hello"])
        .await;
    assert_eq!(value(&first, "message-id"), value(&again, "message-id"));
    assert_ne!(value(&first, "ack"), value(&again, "ack"));
    b.send(&format!("ACK\nid:{}\nreceipt:k\n\n^", value(&again, "ack")));
    b.expect(&["RECEIPT", "receipt-id:k"]).await;
    b.send("DISCONNECT\nreceipt:d\n\n^");
    b.expect(&["RECEIPT", "receipt-id:d"]).await;
    assert!(b.connection.closing().is_some());
    let mut c = Peer::connected(&shared).await;
    c.send("SUBSCRIBE\nid:u\ndestination:/queue/a\n\n^SEND\ndestination:/queue/a\n\nnext^");
    c.expect(&["MESSAGE", "subscription:u", "next"]).await;
}

#[tokio::test]
async fn a_transaction_is_applied_whole_or_not_at_all() {
    let shared = shared();
    let mut a = Peer::connected(&shared).await;
    a.send("SEND\ndestination:/queue/in\n\n1^SUBSCRIBE\nid:in\ndestination:/queue/in\nack:client-individual\n\n^");
    let message = a.expect(&["MESSAGE", "1"]).await;
    let ack = value(&message, "ack").to_owned();
    a.send("SUBSCRIBE\nid:out\ndestination:/queue/out\n\n^SUBSCRIBE\nid:t\ndestination:/topic/t\nreceipt:t\n\n^");
    a.expect(&["RECEIPT"]).await;
    a.send("BEGIN\ntransaction:x\n\n^");
    a.send(&format!("ACK\nid:{ack}\ntransaction:x\n\n^"));
    a.send("SEND\ndestination:/queue/out\ntransaction:x\n\n2^");
    a.send("SEND\ndestination:/topic/t\ntransaction:x\nh:v\n\n3^");
    a.send("SEND\ndestination:/topic/t\nreceipt:before\n\n0^");
    // What a transaction sends is heard when it is committed.
    let both = [a.frame().await, a.frame().await];
    assert!(
        both.iter().any(|frame| frame.ends_with("\n\n0")),
        "{both:?}"
    );
    a.send("COMMIT\ntransaction:x\nreceipt:c\n\n^");
    let three = [a.frame().await, a.frame().await, a.frame().await];
    for part in ["receipt-id:c\n", "\n\n2", "\nh:v\n"] {
        assert!(
            three.iter().any(|frame| frame.contains(part)),
            "{part} in {three:?}"
        );
    }
    // The delivery is not held any more.
    a.send(&format!(
        "BEGIN\ntransaction:y\n\n^SEND\ndestination:/queue/out\ntransaction:y\n\n4^ACK\nid:{ack}\ntransaction:y\n\n^COMMIT\ntransaction:y\nreceipt:e\n\n^"
    ));
    a.expect(&["ERROR", "receipt-id:e", "trunkline-code:-32013"])
        .await;
    let mut b = Peer::connected(&shared).await;
    b.send("SEND\ndestination:/queue/out\n\n5^SUBSCRIBE\nid:s\ndestination:/queue/out\n\n^");
    b.expect(&["MESSAGE", "5"]).await;
}

#[tokio::test]
async fn a_durable_subscription_of_a_topic_keeps_what_is_sent_meanwhile() {
    let shared = shared();
    let mut a = Peer::connected(&shared).await;
    let subscribe = "SUBSCRIBE\nid:s\ndestination:/topic/t\ndurable:true\nauto-delete:false\nack:client\nreceipt:q\n\n^";
    a.send(subscribe);
    a.expect(&["RECEIPT"]).await;
    a.send("UNSUBSCRIBE\nid:s\nreceipt:u\n\n^");
    a.expect(&["RECEIPT"]).await;
    let mut b = Peer::connected(&shared).await;
    b.send("SUBSCRIBE\nid:now\ndestination:/topic/t\nreceipt:q\n\n^");
    b.expect(&["RECEIPT"]).await;
    b.send("SEND\ndestination:/topic/t\nh:1\nh:2\n\nkept^");
    b.expect(&["MESSAGE", "subscription:now", "h:1", "h:2", "kept"])
        .await;
    a.send(subscribe);
    a.expect(&["RECEIPT"]).await;
    a.expect(&["MESSAGE", "destination:/topic/t", "h:1", "kept"])
        .await;
    // Unsubscribed for good, it is gone with what it kept.
    a.send("UNSUBSCRIBE\nid:s\ndurable:true\nreceipt:v\n\n^");
    a.expect(&["RECEIPT", "receipt-id:v"]).await;
    b.send("SEND\ndestination:/topic/t\nreceipt:w\n\nlost^");
    b.frame().await;
    b.frame().await;
    a.send(subscribe);
    a.expect(&["RECEIPT"]).await;
    b.send("SEND\ndestination:/topic/t\n\nnew^");
    a.expect(&["MESSAGE", "new"]).await;
}

#[tokio::test]
async fn a_subscription_that_has_ended_returns_what_was_not_written() {
    let shared = shared();
    let mut a = Peer::connected(&shared).await;
    a.send(&"SEND\ndestination:/queue/a\n\n1^".repeat(3));
    a.send("SUBSCRIBE\nid:s\ndestination:/queue/a\nreceipt:q\n\n^");
    a.expect(&["RECEIPT"]).await;
    // Deliveries are in the inbox, and none is written.
    a.send("UNSUBSCRIBE\nid:s\nreceipt:u\n\n^");
    a.expect(&["RECEIPT", "receipt-id:u"]).await;
    a.send("SUBSCRIBE\nid:t\ndestination:/queue/a\n\n^");
    for _ in 0..3 {
        a.expect(&["MESSAGE", "subscription:t", "1"]).await;
    }
}

/// An UNSUBSCRIBE that came before the engine had answered the SUBSCRIBE took away what waited for that
/// answer: the SUBSCRIBE was never completed, and no RECEIPT after it was ever written.
#[tokio::test]
async fn a_subscription_that_ends_before_it_has_begun_is_answered() {
    let shared = shared();
    for destination in ["/queue/hasty", "/topic/hasty", "/subscription/hasty/s"] {
        let mut a = Peer::connected(&shared).await;
        a.send(&format!(
            "SUBSCRIBE\nid:s\ndestination:{destination}\nreceipt:on\n\n^\
             UNSUBSCRIBE\nid:s\nreceipt:off\n\n^\
             SUBSCRIBE\nid:s\ndestination:{destination}\n\n^\
             UNSUBSCRIBE\nid:s\n\n^\
             SEND\ndestination:/queue/after\nreceipt:sent\n\n^"
        ));
        for receipt in ["receipt-id:on", "receipt-id:off", "receipt-id:sent"] {
            a.expect(&["RECEIPT", receipt]).await;
        }
    }
}

#[tokio::test]
async fn what_is_read_behind_a_frame_that_is_refused_is_not_done() {
    let shared = shared();
    let mut a = Peer::connected(&shared).await;
    a.send(
        "SEND\ndestination:/queue/q\n\nin^SUBSCRIBE\nid:s\ndestination:/queue/q\nack:client\n\n^",
    );
    let message = a.expect(&["MESSAGE", "in"]).await;
    let ack = value(&message, "ack").to_owned();
    a.send(&format!(
        "SEND\ndestination:/queue/q\n\nbefore^SEND\ndestination:/nowhere/x\nreceipt:r\n\n^SEND\ndestination:/queue/q\n\nbehind^ACK\nid:{ack}\n\n^"
    ));
    // The consumer may get what was sent before, then the end.
    while !a.frame().await.starts_with("ERROR\n") {}
    let mut b = Peer::connected(&shared).await;
    b.send("SEND\ndestination:/queue/q\n\nlast^SUBSCRIBE\nid:s\ndestination:/queue/q\n\n^");
    for body in ["in", "before", "last"] {
        b.expect(&["MESSAGE", body]).await;
    }
}

#[tokio::test]
async fn refusals_say_what_to_do() {
    let shared = shared();
    for (frame, part) in [
        (
            "SEND\ndestination:/exchange/x\n\n^",
            "there are /queue/NAME",
        ),
        (
            "SEND\ndestination:/queue/_own\n\n^",
            "trunkline-code:-32006",
        ),
        (
            "SEND\ndestination:/subscription/a/b\n\n^",
            "send to /queue/a",
        ),
        (
            "SEND\ndestination:/topic/a\ndelay:5\n\n^",
            "send it to /queue/NAME",
        ),
        ("SUBSCRIBE\nid:1\ndestination:/rpc/m\n\n^", "reply-to"),
        (
            "SUBSCRIBE\nid:1\ndestination:/topic/a/b\ndurable:true\n\n^",
            "must not contain '/'",
        ),
        (
            "UNSUBSCRIBE\nid:1\ndurable:true\n\n^",
            "add header destination",
        ),
        (
            "UNSUBSCRIBE\nid:1\ndurable:true\ndestination:/topic/a\n\n^",
            "trunkline-code:-32009",
        ),
    ] {
        let mut peer = Peer::connected(&shared).await;
        peer.send(frame);
        let error = peer.expect(&["ERROR"]).await;
        assert!(error.contains(part), "{frame:?}: {error:?}");
        assert!(peer.connection.closing().is_some());
    }
}

#[tokio::test]
async fn answers_come_to_a_temporary_queue_with_and_without_a_subscription() {
    let shared = shared();
    let mut server = Peer::connected(&shared).await;
    server.send("SUBSCRIBE\nid:s\ndestination:/queue/ask\n\n^");
    for subscribe in [
        "",
        "SUBSCRIBE\nid:mine\ndestination:/temp-queue/answers\n\n^",
    ] {
        let mut client = Peer::connected(&shared).await;
        client.send(subscribe);
        client.send(
            "SEND\ndestination:/queue/ask\na:1\nreply-to:/temp-queue/answers\nb:2\n\nquestion^",
        );
        let asked = server.expect(&["MESSAGE", "question", "a:1", "b:2"]).await;
        let reply_to = value(&asked, "reply-to").to_owned();
        assert!(reply_to.starts_with("/temp-queue/") && reply_to.ends_with("%2Fanswers"));
        server.send(&format!("SEND\ndestination:{reply_to}\n\nanswer^"));
        let id = if subscribe.is_empty() {
            "/temp-queue/answers"
        } else {
            "mine"
        };
        let subscription = format!("subscription:{id}");
        client
            .expect(&[
                "MESSAGE",
                &subscription,
                "destination:/temp-queue/answers",
                "answer",
            ])
            .await;
        // Nobody waits any more, and that is nobody's fault.
        drop(client);
        server.send(&format!(
            "SEND\ndestination:{reply_to}\nreceipt:late\n\nanswer^"
        ));
        server.expect(&["RECEIPT", "receipt-id:late"]).await;
    }
}

#[tokio::test]
async fn a_subscription_takes_over_what_came_without_one() {
    let shared = shared();
    let mut client = Peer::connected(&shared).await;
    client.send("SEND\ndestination:/queue/ask\nreply-to:/temp-queue/a\n\n^SUBSCRIBE\nid:mine\ndestination:/temp-queue/a\nreceipt:r\n\n^SEND\ndestination:/temp-queue/a\n\nhere^");
    client.expect(&["RECEIPT"]).await;
    client
        .expect(&["MESSAGE", "subscription:mine", "here"])
        .await;
    let mut other = Peer::connected(&shared).await;
    let destination = format!("/temp-queue/{}%2Fa", client.connection.name);
    other.send(&format!("SUBSCRIBE\nid:x\ndestination:{destination}\n\n^"));
    let error = other.expect(&["ERROR"]).await;
    assert!(error.contains("only be sent to"), "{error:?}");
}

#[tokio::test]
async fn a_message_to_a_method_is_a_call() {
    let shared = shared();
    let handler = Handler::new("math")
        .method(
            "add",
            |(a, b): (i64, i64), _: Context| async move { Ok(a + b) },
        )
        .method("fail", |_: Vec<i64>, _: Context| async move {
            Err::<i64, _>(Failure::new(7, "too large"))
        });
    let _registration = shared.services.calls.serve(handler).unwrap();
    let mut client = Peer::connected(&shared).await;
    let call = |method: &str, body: &str| {
        format!(
            "SEND\ndestination:/rpc/{method}\nreply-to:/temp-queue/r\ncorrelation-id:{method}\nreceipt:{method}\n\n{body}^"
        )
    };
    for (method, body, lines) in [
        ("add", "[1,2]", &["3", "content-type:application/json"][..]),
        (
            "fail",
            "[]",
            &["trunkline-error:too large", "trunkline-code:7"],
        ),
        ("none", "", &["trunkline-code:-32601"]),
        ("add", "hello", &["trunkline-code:-32602"]),
        ("rpc.info", "", &["trunkline-code:-32601"]),
    ] {
        client.send(&call(method, body));
        let two = [client.frame().await, client.frame().await];
        assert!(two[0].starts_with("RECEIPT\n") || two[1].starts_with("RECEIPT\n"));
        let answer = two.iter().find(|frame| frame.starts_with("MESSAGE\n"));
        let answer = answer.unwrap_or_else(|| panic!("{two:?}"));
        let correlation = format!("correlation-id:{method}");
        for line in lines.iter().copied().chain([&*correlation]) {
            assert!(answer.lines().any(|l| l == line), "{line} in {answer:?}");
        }
    }
    client.send("SEND\ndestination:/rpc/add\nreply-to:/queue/sums\n\n[2,3]^SUBSCRIBE\nid:q\ndestination:/queue/sums\n\n^");
    client.expect(&["MESSAGE", "subscription:q", "5"]).await;
    client.send("SEND\ndestination:/rpc/add\nreply-to:/rpc/add\nreceipt:e\n\n[2,3]^");
    let error = client.expect(&["ERROR", "receipt-id:e"]).await;
    assert!(error.contains("let reply-to be"), "{error:?}");
}

#[tokio::test]
async fn a_receipt_comes_when_the_disk_has_it_and_not_before() {
    let directory = tempfile::tempdir().unwrap();
    let mut config = EmbeddedConfig::new(Location::Directory(directory.path().into()));
    config.drive = Drive::ByHand;
    let engine = Embedded::open(config).unwrap();
    let sync = || while engine.step() {};
    let shared = shared_over(engine.clone());
    let mut client = Peer::connected(&shared).await;
    client
        .send("SUBSCRIBE\nid:d\ndestination:/topic/t\ndurable:true\nack:client\nreceipt:sub\n\n^");
    assert_eq!(client.now(), [""; 0]);
    sync();
    assert_eq!(client.now(), ["RECEIPT\nreceipt-id:sub\n\n"]);
    for (frames, receipt) in [
        ("SEND\ndestination:/queue/q\nreceipt:1\n\nx^", "1"),
        ("SEND\ndestination:/queue/q\nreceipt:2\n\nx^", "2"),
        (
            "BEGIN\ntransaction:a\n\n^SEND\ndestination:/queue/q\ntransaction:a\n\nx^COMMIT\ntransaction:a\nreceipt:3\n\n^",
            "3",
        ),
        // Done at once, but told in order.
        (
            "SEND\ndestination:/queue/q\n\nx^SEND\ndestination:/topic/none\nreceipt:4\n\nx^",
            "4",
        ),
    ] {
        client.send(frames);
        assert_eq!(client.now(), [""; 0], "{frames:?} before a sync");
        sync();
        assert_eq!(client.now(), [format!("RECEIPT\nreceipt-id:{receipt}\n\n")]);
    }
    // Where somebody subscribes durably, the same holds for what is heard at once by others.
    client.send("SEND\ndestination:/topic/t\nreceipt:5\n\nx^");
    assert_eq!(client.now(), [""; 0]);
    sync();
    let mut two = client.now();
    two.sort();
    assert!(two[0].starts_with("MESSAGE\nsubscription:d\n"), "{two:?}");
    assert_eq!(two[1], "RECEIPT\nreceipt-id:5\n\n");
    let ack = value(&two[0], "ack").to_owned();
    client.send(&format!("ACK\nid:{ack}\nreceipt:6\n\n^"));
    assert_eq!(client.now(), [""; 0]);
    sync();
    assert_eq!(client.now(), ["RECEIPT\nreceipt-id:6\n\n"]);
    // Who asks for less is told so at once.
    client.send("SEND\ndestination:/queue/q\npersistent:false\nreceipt:7\n\nx^");
    assert_eq!(client.now(), ["RECEIPT\nreceipt-id:7\n\n"]);
}
