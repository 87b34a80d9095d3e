//! Subscriptions, acknowledgements and transactions of server sessions, frame by frame. The numbers are those of the conformance cases.

#![allow(clippy::unwrap_used, reason = "a test says what it expects")]

mod support;

use std::time::Duration;
use support::{Peer, assert_ended, message, receipts, token};
use trunkline_stomp::{
    AckMode, CloseReason, Delivery, Effect, Headers, NotDelivered, Settle, Step, Verdict, Version,
};

fn settles(effects: &[Effect]) -> Vec<(Vec<u64>, Verdict)> {
    let settle = |effect: &Effect| match effect {
        Effect::Settle { settle, .. } => Some((settle.tags.iter().collect(), settle.verdict)),
        _ => None,
    };
    effects.iter().filter_map(settle).collect()
}

const AGAIN: Verdict = Verdict::Nack {
    requeue: true,
    delay: Duration::ZERO,
};

#[test]
fn case_25_an_ack_covers_what_its_mode_says() {
    for (mode, covered) in [
        ("client", (1..=7).collect::<Vec<u64>>()),
        ("client-individual", vec![7]),
    ] {
        let mut peer = Peer::open(Version::V1_2);
        let number = peer.subscribe("1", &format!("ack:{mode}\n"));
        for tag in 1..=10 {
            peer.deliver(number, tag).unwrap();
        }
        peer.send("ACK\nid:s1-1-7\n\n\0");
        assert_eq!(settles(&peer.effects()), [(covered, Verdict::Ack)]);
        peer.send("NACK\nid:s1-1-9\nrequeue:false\ndelay:5\n\n\0");
        let covered = if mode == "client" {
            vec![8, 9]
        } else {
            vec![9]
        };
        let verdict = Verdict::Nack {
            requeue: false,
            delay: Duration::from_millis(5),
        };
        assert_eq!(settles(&peer.effects()), [(covered, verdict)]);
        // Without DISCONNECT nothing else is settled.
        assert_eq!(peer.effects(), []);
    }
}

#[test]
fn case_25_subscriptions_are_covered_apart() {
    let mut peer = Peer::open(Version::V1_2);
    let first = peer.subscribe("1", "ack:client\n");
    let second = peer.subscribe("2", "ack:client\n");
    for (number, tag) in [(first, 1), (second, 1), (first, 2), (second, 2)] {
        peer.deliver(number, tag).unwrap();
    }
    peer.send("ACK\nid:s1-2-2\n\n\0");
    let effects = peer.effects();
    let [Effect::Settle { settle, .. }] = &effects[..] else {
        panic!("{effects:?}");
    };
    assert_eq!(settle.subscription, second);
    assert_eq!(settle.tags.iter().collect::<Vec<_>>(), [1, 2]);
}

#[test]
fn acks_name_what_their_version_names() {
    for (version, ack, other) in [
        (Version::V1_0, "message-id:s1-1-1\n", "id:s1-1-1\n"),
        (
            Version::V1_1,
            "message-id:s1-1-1\nsubscription:1\n",
            "message-id:s1-1-1\n",
        ),
        (Version::V1_2, "id:s1-1-1\n", "message-id:s1-1-1\n"),
    ] {
        let mut peer = Peer::open(version);
        let number = peer.subscribe("1", "ack:client\n");
        peer.deliver(number, 1).unwrap();
        peer.send(&format!("ACK\n{ack}\n\0"));
        assert_eq!(
            settles(&peer.effects()),
            [(vec![1], Verdict::Ack)],
            "{version}"
        );
        peer.send(&format!("ACK\n{other}\n\0"));
        peer.pass(5_000);
        let ended = peer.effects();
        let Some(Effect::Close(CloseReason::Error(text))) = ended.last() else {
            panic!("{ended:?}");
        };
        assert!(text.starts_with("ACK without header "), "{text}");
    }
    let mut peer = Peer::open(Version::V1_0);
    peer.send("NACK\nmessage-id:s1-1-1\n\n\0");
    let text = "STOMP 1.0 has no NACK; connect with a later accept-version";
    assert_ended(&mut peer, "", text, None);
}

#[test]
fn an_ack_of_what_is_no_longer_held_is_counted_and_receipted() {
    let mut peer = Peer::open(Version::V1_2);
    let client = peer.subscribe("1", "ack:client\n");
    let auto = peer.subscribe("2", "");
    peer.deliver(client, 1).unwrap();
    peer.deliver(client, 2).unwrap();
    peer.deliver(auto, 1).unwrap();
    peer.send("ACK\nid:s1-1-2\n\n\0");
    assert_eq!(peer.complete_all().len(), 1);
    peer.send("ACK\nid:s1-1-1\nreceipt:1\n\n\0NACK\nid:s1-2-1\nreceipt:2\n\n\0");
    peer.send("UNSUBSCRIBE\nid:1\n\n\0ACK\nid:s1-1-2\nreceipt:3\n\n\0");
    peer.complete_all();
    let out = peer.out();
    assert!(out.ends_with(&receipts(&["1", "2", "3"])), "{out}");
    // That of auto waits for nobody and so is none of them.
    assert_eq!(peer.session.acks_not_held(), 2);
}

#[test]
fn an_ack_of_what_was_never_delivered_ends_the_session() {
    for id in [
        "s1-1-2", "s1-2-1", "s1-1-0", "s1-0-1", "s2-1-1", "s1-1-01", "s1-1-+1", "s1-1", "", "1",
    ] {
        let mut peer = Peer::open(Version::V1_2);
        let number = peer.subscribe("1", "ack:client-individual\n");
        peer.deliver(number, 1).unwrap();
        peer.out();
        peer.send(&format!("NACK\nid:{id}\nreceipt:r\n\n\0"));
        let text = format!(
            "NACK of \"{id}\", which was never delivered here; name the ack of a MESSAGE of this connection"
        );
        assert_ended(&mut peer, "", &text, Some("r"));
    }
    let mut peer = Peer::open(Version::V1_1);
    let number = peer.subscribe("1", "ack:client\n");
    peer.subscribe("2", "ack:client\n");
    peer.deliver(number, 1).unwrap();
    peer.out();
    peer.send("ACK\nmessage-id:s1-1-1\nsubscription:2\n\n\0");
    let text = "ACK of \"s1-1-1\", which was never delivered here; \
                name the message-id of a MESSAGE of this connection";
    assert_ended(&mut peer, "", text, None);
}

#[test]
fn an_ack_of_a_message_that_needs_none_means_nothing() {
    for mode in ["client", "client-individual"] {
        let mut peer = Peer::open(Version::V1_2);
        let number = peer.subscribe("1", &format!("ack:{mode}\n"));
        for _ in 0..2 {
            let channel = Delivery {
                tag: None,
                ..message(0)
            };
            peer.session.deliver(peer.now, number, &channel).unwrap();
        }
        assert!(peer.out().contains("ack:s1-1-2\n"));
        peer.send("ACK\nid:s1-1-2\nreceipt:1\n\n\0");
        assert_eq!(peer.effects(), []);
        assert_eq!(peer.out(), receipts(&["1"]));
        assert_eq!(peer.session.acks_not_held(), 0);
        // Its transaction has to be there all the same.
        peer.send("ACK\nid:s1-1-2\ntransaction:t\n\n\0");
        let text = "there is no open transaction \"t\"; send BEGIN first";
        assert_ended(&mut peer, "", text, None);
    }
}

#[test]
fn a_tail_that_was_written_for_many_makes_the_same_message() {
    let mut headers = Headers::new();
    headers.push("a:b", "1\n2");
    headers.push("subscription", "forged");
    let delivery = Delivery {
        tag: None,
        headers: &headers,
        ..message(0)
    };
    for version in [Version::V1_0, Version::V1_1, Version::V1_2] {
        let tail = delivery.tail(version);
        for mode in ["auto", "client"] {
            // The same session twice: one writes the message as a whole.
            let [whole, with_tail] = [false, true].map(|uses_tail| {
                let mut peer = Peer::open(version);
                let number = peer.subscribe("1", &format!("ack:{mode}\n"));
                let written = match uses_tail {
                    false => peer.session.deliver(peer.now, number, &delivery),
                    true => peer.session.deliver_tail(
                        peer.now,
                        number,
                        delivery.message_id,
                        delivery.destination,
                        &tail,
                    ),
                };
                written.unwrap();
                peer.send("UNSUBSCRIBE\nid:1\n\n\0");
                let late = peer.session.deliver_tail(peer.now, number, "m", "d", &tail);
                assert_eq!(late, Err(NotDelivered::Ended));
                peer.out()
            });
            assert!(whole.starts_with("MESSAGE\nsubscription:1\n"), "{whole}");
            assert_eq!(whole, with_tail, "{version:?} {mode}");
        }
    }
}

#[test]
fn case_26_a_transaction_is_one_batch() {
    let mut peer = Peer::open(Version::V1_2);
    let number = peer.subscribe("1", "ack:client\n");
    for tag in 1..=3 {
        peer.deliver(number, tag).unwrap();
    }
    peer.out();
    peer.send("BEGIN\ntransaction:t\nreceipt:1\n\n\0");
    peer.send("SEND\ntransaction:t\ndestination:/queue/a\nreceipt:2\n\nx\0");
    peer.send("ACK\ntransaction:t\nid:s1-1-2\nreceipt:3\n\n\0");
    peer.send("SEND\ntransaction:t\ndestination:/queue/b\n\ny\0");
    // Accepted into the transaction, not applied.
    assert_eq!(peer.out(), receipts(&["1", "2", "3"]));
    assert_eq!(peer.effects(), []);
    peer.send("COMMIT\ntransaction:t\nreceipt:4\n\n\0");
    let effects = peer.effects();
    let [Effect::Commit { token, steps }] = &effects[..] else {
        panic!("{effects:?}");
    };
    let steps: Vec<String> = steps
        .iter()
        .map(|step| match step {
            Step::Send(send) => format!("{} {:?}", send.destination, send.body),
            Step::Settle(settle) => format!("{:?}", settle.tags.iter().collect::<Vec<_>>()),
        })
        .collect();
    assert_eq!(steps, ["/queue/a b\"x\"", "[1, 2]", "/queue/b b\"y\""]);
    assert_eq!(peer.out(), "");
    peer.complete(*token);
    assert_eq!(peer.out(), receipts(&["4"]));
    // Its name is free again.
    peer.send("BEGIN\ntransaction:t\nreceipt:5\n\n\0COMMIT\ntransaction:t\nreceipt:6\n\n\0");
    assert_eq!(peer.effects(), []);
    assert_eq!(peer.out(), receipts(&["5", "6"]));
}

#[test]
fn case_26_an_abort_leaves_everything_as_it_was() {
    let mut peer = Peer::open(Version::V1_2);
    let number = peer.subscribe("1", "ack:client\n");
    for tag in 1..=5 {
        peer.deliver(number, tag).unwrap();
    }
    peer.out();
    peer.send("BEGIN\ntransaction:t\n\n\0SEND\ntransaction:t\ndestination:/queue/a\n\nx\0");
    peer.send("NACK\ntransaction:t\nid:s1-1-3\n\n\0");
    // What is in a transaction is not covered by others.
    peer.send("ACK\nid:s1-1-4\n\n\0");
    assert_eq!(settles(&peer.effects()), [(vec![4], Verdict::Ack)]);
    peer.send("ABORT\ntransaction:t\nreceipt:1\n\n\0ACK\nid:s1-1-5\n\n\0");
    assert_eq!(settles(&peer.effects()), [(vec![1, 2, 3, 5], Verdict::Ack)]);
}

#[test]
fn case_26_transactions_have_one_name_each() {
    for (frames, text) in [
        (
            "BEGIN\ntransaction:t\n\n\0BEGIN\ntransaction:t\nreceipt:1\n\n\0",
            "there is an open transaction \"t\" already; give each its own name",
        ),
        (
            "SEND\ntransaction:t\ndestination:/queue/a\nreceipt:1\n\n\0",
            "there is no open transaction \"t\"; send BEGIN first",
        ),
        (
            "COMMIT\ntransaction:t\nreceipt:1\n\n\0",
            "there is no open transaction \"t\"; send BEGIN first",
        ),
        (
            "ABORT\ntransaction:t\nreceipt:1\n\n\0",
            "there is no open transaction \"t\"; send BEGIN first",
        ),
        (
            "BEGIN\nreceipt:1\n\n\0",
            "BEGIN without header transaction; add it",
        ),
    ] {
        let mut peer = Peer::open(Version::V1_2);
        peer.send(frames);
        assert_ended(&mut peer, "", text, Some("1"));
    }
}

#[test]
fn case_26_nothing_of_an_open_transaction_survives_the_connection() {
    let mut peer = Peer::open(Version::V1_2);
    peer.send("BEGIN\ntransaction:t\n\n\0SEND\ntransaction:t\ndestination:/queue/a\n\nx\0");
    peer.send("DISCONNECT\nreceipt:1\n\n\0");
    assert_eq!(peer.out(), receipts(&["1"]));
    assert_eq!(peer.effects(), [Effect::Close(CloseReason::Disconnect)]);
}

#[test]
fn a_commit_of_an_ack_that_is_no_longer_held_applies_nothing() {
    let begin = "BEGIN\ntransaction:t\n\n\0SEND\ntransaction:t\ndestination:/queue/a\n\nx\0";
    for (frames, lost) in [
        // Acknowledged before the transaction did.
        (
            "ACK\nid:s1-1-2\n\n\0ACK\ntransaction:t\nid:s1-1-1\n\n\0",
            "s1-1-1",
        ),
        // Its subscription ended before and after it was acknowledged.
        (
            "UNSUBSCRIBE\nid:1\n\n\0ACK\ntransaction:t\nid:s1-1-2\n\n\0",
            "s1-1-2",
        ),
        (
            "ACK\ntransaction:t\nid:s1-1-2\n\n\0UNSUBSCRIBE\nid:1\n\n\0",
            "s1-1-1",
        ),
    ] {
        let mut peer = Peer::open(Version::V1_2);
        let number = peer.subscribe("1", "ack:client\n");
        peer.deliver(number, 1).unwrap();
        peer.deliver(number, 2).unwrap();
        peer.send(begin);
        peer.send(frames);
        peer.complete_all();
        peer.out();
        peer.send("COMMIT\ntransaction:t\nreceipt:1\n\n\0");
        let text = format!(
            "transaction \"t\" acknowledges \"{lost}\", which is no longer held; nothing of it was applied"
        );
        assert_ended(&mut peer, "", &text, Some("1"));
    }
}

#[test]
fn case_27_the_receipt_of_subscribe_comes_before_its_first_message() {
    let mut peer = Peer::open(Version::V1_2);
    peer.send("SEND\ndestination:/queue/a\nreceipt:1\n\nx\0");
    peer.send("SUBSCRIBE\nid:1\ndestination:/queue/a\nreceipt:2\n\n\0");
    let effects = peer.effects();
    let [
        Effect::Send { token: send, .. },
        Effect::Subscribe { token, subscribe },
    ] = &effects[..]
    else {
        panic!("{effects:?}");
    };
    let number = subscribe.subscription;
    peer.complete(*token);
    assert_eq!(peer.deliver(number, 1), Err(NotDelivered::NotStarted));
    peer.complete(*send);
    assert_eq!(peer.effects(), [Effect::Start(number)]);
    peer.deliver(number, 1).unwrap();
    assert!(
        peer.out()
            .starts_with(&(receipts(&["1", "2"]) + "MESSAGE\n"))
    );
}

#[test]
fn case_27_no_message_follows_the_receipt_of_unsubscribe() {
    let mut peer = Peer::open(Version::V1_2);
    let number = peer.subscribe("1", "");
    peer.deliver(number, 1).unwrap();
    peer.out();
    peer.send("UNSUBSCRIBE\nid:1\nreceipt:1\n\n\0");
    assert_eq!(peer.deliver(number, 2), Err(NotDelivered::Ended));
    let effects = peer.complete_all();
    assert!(
        matches!(&effects[..], [Effect::Unsubscribe { subscription, .. }] if *subscription == Some(number))
    );
    assert_eq!(peer.out(), receipts(&["1"]));
    // The client's name is free again; ours is another one.
    let again = peer.subscribe("1", "");
    assert_ne!(number, again);
    assert_eq!(peer.deliver(number, 3), Err(NotDelivered::Ended));
}

#[test]
fn subscribe_and_unsubscribe_may_follow_each_other_at_once() {
    let mut peer = Peer::open(Version::V1_2);
    peer.send(
        "SUBSCRIBE\nid:1\ndestination:/queue/a\nreceipt:1\n\n\0UNSUBSCRIBE\nid:1\nreceipt:2\n\n\0",
    );
    peer.complete_all();
    assert_eq!(peer.out(), receipts(&["1", "2"]));
    // It ended before it could start.
    assert_eq!(peer.effects(), []);
}

#[test]
fn case_29_a_message_is_what_was_sent() {
    let mut user = Headers::new();
    for (name, value) in [
        ("b", "2"),
        ("a:c", "x\ny\\z"),
        ("message-id", "forged"),
        ("b", "1"),
        ("trunkline-forged", "x"),
    ] {
        user.push(name, value);
    }
    let mut added = Headers::new();
    added.push("trunkline-why", "w");
    let delivery = Delivery {
        attempt: 2,
        content_type: "text/plain",
        added: &added,
        headers: &user,
        body: b"a\0b",
        ..message(4)
    };
    let end_1_2 = "trunkline-why:w\nb:2\na\\cc:x\\ny\\\\z\nb:1\ncontent-length:3\n\na\0b\0";
    let end_1_0 = "trunkline-why:w\nb:2\na c:x y\\z\nb:1\ncontent-length:3\n\na\0b\0";
    let counted =
        "destination:/queue/a\nredelivered:true\ndelivery-count:2\ncontent-type:text/plain\n";
    let held = "ack:s1-1-4\ndestination:/queue/a\nredelivered:true\ndelivery-count:2\ncontent-type:text/plain\n";
    let named = "message-id:s1-1-4\ntrunkline-message-id:3-1542\n";
    for (version, headers, ids, rest, end) in [
        (
            Version::V1_2,
            "ack:client\n",
            "message-id:3-1542\n",
            held,
            end_1_2,
        ),
        (
            Version::V1_2,
            "ack:client-individual\n",
            "message-id:3-1542\n",
            held,
            end_1_2,
        ),
        (
            Version::V1_2,
            "ack:auto\n",
            "message-id:3-1542\n",
            counted,
            end_1_2,
        ),
        (Version::V1_1, "ack:client\n", named, counted, end_1_2),
        (Version::V1_0, "ack:client\n", named, counted, end_1_0),
    ] {
        let mut peer = Peer::open(version);
        let number = peer.subscribe("1", headers);
        peer.session.deliver(peer.now, number, &delivery).unwrap();
        let expected = format!("MESSAGE\nsubscription:1\n{ids}{rest}{end}");
        assert_eq!(peer.out(), expected, "{version} {headers}");
    }
}

#[test]
fn tags_of_a_subscription_grow() {
    let mut peer = Peer::open(Version::V1_2);
    let number = peer.subscribe("1", "ack:client\n");
    peer.deliver(number, 3).unwrap();
    assert_eq!(peer.deliver(number, 3), Err(NotDelivered::TagNotHigher));
    // A gap is nothing that was delivered.
    peer.deliver(number, 7).unwrap();
    peer.send("ACK\nid:s1-1-7\n\n\0");
    assert_eq!(settles(&peer.effects()), [(vec![3, 7], Verdict::Ack)]);
}

#[test]
fn subscriptions_of_1_0_may_go_without_an_id() {
    let mut peer = Peer::open(Version::V1_0);
    peer.send("SUBSCRIBE\ndestination: /queue/a\n\n\0");
    let effects = peer.complete_all();
    let [Effect::Subscribe { subscribe, .. }] = &effects[..] else {
        panic!("{effects:?}");
    };
    assert_eq!((&subscribe.id, subscribe.ack), (&None, AckMode::Auto));
    assert_eq!(subscribe.destination, "/queue/a");
    peer.deliver(subscribe.subscription, 1).unwrap();
    assert!(peer.out().starts_with("MESSAGE\nmessage-id:s1-1-1\n"));
    peer.send("UNSUBSCRIBE\ndestination:/queue/a\n\n\0");
    assert!(matches!(peer.effects()[1..], [Effect::Unsubscribe { .. }]));
}

#[test]
fn a_durable_subscription_can_be_deleted_without_being_taken_up() {
    for name in [
        "durable:true\n",
        "activemq.subscriptionName:n\n",
        "durable-subscription-name:n\n",
    ] {
        let mut peer = Peer::open(Version::V1_2);
        peer.send(&format!("UNSUBSCRIBE\nid:1\n{name}receipt:1\n\n\0"));
        let effects = peer.complete_all();
        assert!(matches!(
            effects[..],
            [Effect::Unsubscribe {
                subscription: None,
                ..
            }]
        ));
        assert_eq!(peer.out(), receipts(&["1"]));
    }
}

#[test]
fn names_are_limited() {
    let name = "x".repeat(513);
    for (version, frame, header) in [
        (
            Version::V1_2,
            "SUBSCRIBE\ndestination:/queue/a\nid",
            "id of SUBSCRIBE",
        ),
        (
            Version::V1_0,
            "SUBSCRIBE\ndestination",
            "destination of SUBSCRIBE",
        ),
        (Version::V1_2, "BEGIN\ntransaction", "transaction of BEGIN"),
    ] {
        let mut peer = Peer::open(version);
        peer.send(&format!("{frame}:{}\n\n\0", &name[..512]));
        assert!(peer.session.wants_input());
        peer.send(&format!("{frame}:{name}\n\n\0"));
        let text = format!("header {header} has more than 512 bytes; choose a shorter one");
        assert_ended(&mut peer, "", &text, None);
    }
}

#[test]
fn subscriptions_that_are_refused() {
    let twice = "SUBSCRIBE\nid:1\ndestination:/queue/a\n\n\0SUBSCRIBE\nid:1\ndestination:/queue/b\nreceipt:1\n\n\0";
    let expected = "auto, client or client-individual";
    for (version, frames, text) in [
        (Version::V1_1, "SUBSCRIBE\ndestination:/queue/a\nreceipt:1\n\n\0", "SUBSCRIBE without header id; add it".to_owned()),
        (Version::V1_2, "SUBSCRIBE\nid:1\nreceipt:1\n\n\0", "SUBSCRIBE without header destination; add it".into()),
        (Version::V1_2, twice, "there is a subscription \"1\" on this connection already; give each its own id".into()),
        (
            Version::V1_2,
            "SUBSCRIBE\nid:1\ndestination:/queue/a\nack:Client\nreceipt:1\n\n\0",
            format!("header ack is \"Client\"; it can be {expected}"),
        ),
        (
            Version::V1_0,
            "SUBSCRIBE\nid:1\ndestination:/queue/a\nack:client-individual\nreceipt:1\n\n\0",
            "header ack is \"client-individual\"; it can be auto or client".into(),
        ),
        (
            Version::V1_2,
            "UNSUBSCRIBE\nid:1\nreceipt:1\n\n\0",
            "there is no subscription \"1\" on this connection; UNSUBSCRIBE names the id of its SUBSCRIBE".into(),
        ),
        (Version::V1_1, "UNSUBSCRIBE\ndestination:/queue/a\nreceipt:1\n\n\0", "UNSUBSCRIBE without header id; add it".into()),
        (Version::V1_2, "MESSAGE\nreceipt:1\n\n\0", "a client must not send MESSAGE; only servers do".into()),
    ] {
        let mut peer = Peer::open(version);
        peer.send(frames);
        assert_ended(&mut peer, "", &text, Some("1"));
    }
}

#[test]
fn nack_says_what_becomes_of_the_message() {
    let mut peer = Peer::open(Version::V1_2);
    let number = peer.subscribe("1", "ack:client-individual\n");
    peer.deliver(number, 1).unwrap();
    peer.send("NACK\nid:s1-1-1\n\n\0");
    let effects = peer.effects();
    let [Effect::Settle { settle, .. }] = &effects[..] else {
        panic!("{effects:?}");
    };
    let Settle {
        subscription,
        verdict,
        ..
    } = settle;
    assert_eq!((*subscription, *verdict), (number, AGAIN));
    peer.send("NACK\nid:s1-1-1\nrequeue:perhaps\n\n\0");
    peer.complete(token(&effects[0]).unwrap());
    let ended = CloseReason::Error("header requeue is \"perhaps\"; it can be true or false".into());
    assert_eq!(peer.effects(), [Effect::Close(ended)]);
}

#[test]
fn a_subscription_that_the_server_opens_is_like_one_of_the_client() {
    let mut peer = Peer::open(Version::V1_2);
    let number = peer.session.open_subscription("/temp-queue/a").unwrap();
    assert_eq!(peer.session.open_subscription("/temp-queue/a"), None);
    assert_eq!(peer.deliver(number, 1), Ok(()));
    let message = peer.out();
    assert!(
        message.contains("\nsubscription:/temp-queue/a\n"),
        "{message}"
    );
    assert!(!message.contains("\nack:"), "{message}");
    peer.send("UNSUBSCRIBE\nid:/temp-queue/a\n\n\0");
    let ended = peer.complete_all();
    assert!(
        matches!(ended[..], [Effect::Unsubscribe { subscription: Some(n), .. }] if n == number)
    );
    assert_eq!(peer.deliver(number, 2), Err(NotDelivered::Ended));
    let again = peer.session.open_subscription("/temp-queue/a").unwrap();
    peer.session.close_subscription(again);
    assert_eq!(peer.deliver(again, 1), Err(NotDelivered::Ended));
    assert!(peer.session.open_subscription("/temp-queue/a").is_some());
}
