//! Server sessions, frame by frame. The numbers are those of the conformance cases.

#![allow(clippy::unwrap_used, reason = "a test says what it expects")]

mod support;

use support::{Peer, assert_ended, receipts, token};
use trunkline_stomp::{CloseReason, Effect, Failure, NotDelivered, ServerSettings, Version};

#[test]
fn case_22_the_highest_common_version_is_answered() {
    for (headers, version) in [
        ("accept-version:1.0,1.1,2.0\n", "1.1"),
        ("accept-version:1.2\nhost:any\n", "1.2"),
        ("", "1.0"),
    ] {
        for command in ["CONNECT", "STOMP"] {
            let mut peer = Peer::new(ServerSettings::default());
            peer.send(&format!("{command}\n{headers}\n\0"));
            peer.accept();
            let connected = "session:s1\nserver:trunkline\nheart-beat:0,0\n\n\0";
            assert_eq!(
                peer.out(),
                format!("CONNECTED\nversion:{version}\n{connected}")
            );
        }
    }
}

#[test]
fn case_22_no_common_version_is_an_error_that_lists_ours() {
    let mut peer = Peer::new(ServerSettings::default());
    peer.send("CONNECT\naccept-version:2.0\n\n\0");
    let text = "no version in common; this server speaks 1.0,1.1,1.2";
    let expected = "ERROR\nmessage:no version in common\ncontent-type:text/plain\n\
                    version:1.0,1.1,1.2\ncontent-length:52\n\n";
    assert_eq!(peer.out(), format!("{expected}{text}\0"));
    assert_eq!(
        peer.effects(),
        [Effect::Close(CloseReason::Error(text.into()))]
    );
}

#[test]
fn case_22_the_first_frame_is_connect_and_the_only_one() {
    let mut peer = Peer::new(ServerSettings::default());
    peer.send("SEND\ndestination:/queue/a\nreceipt:1\n\n\0");
    let text = "SEND before CONNECT; the first frame is CONNECT or STOMP";
    assert_ended(&mut peer, "", text, Some("1"));
    for command in ["CONNECT", "STOMP"] {
        let mut peer = Peer::open(Version::V1_2);
        peer.send(&format!("{command}\naccept-version:1.2\n\n\0"));
        let text = format!(
            "{command} on a connection that has a session already; open another connection"
        );
        assert_ended(&mut peer, "", &text, None);
    }
}

#[test]
fn case_22_host_can_be_required() {
    let strict = ServerSettings {
        require_host: true,
        ..ServerSettings::default()
    };
    let mut peer = Peer::new(strict.clone());
    peer.send("CONNECT\naccept-version:1.1\n\n\0");
    assert_ended(&mut peer, "", "CONNECT without header host; add it", None);
    let mut peer = Peer::new(strict);
    peer.send("CONNECT\n\n\0");
    assert!(matches!(peer.effects()[..], [Effect::Connect(_)]));
}

#[test]
fn what_connect_says_is_handed_on_and_refused_on_demand() {
    for (version, login) in [("1.0", "a"), ("1.2", " a")] {
        let mut peer = Peer::new(ServerSettings::default());
        peer.send(&format!(
            "CONNECT\naccept-version:{version}\nlogin: a\npasscode:p\\cq:r\nhost:h\nclient-id:c\n\n\0"
        ));
        let effects = peer.effects();
        let [Effect::Connect(request)] = &effects[..] else {
            panic!("{effects:?}");
        };
        assert_eq!(request.login.as_deref(), Some(login));
        assert_eq!(request.passcode.as_deref(), Some("p\\cq:r"));
        assert_eq!(request.host.as_deref(), Some("h"));
        assert_eq!(request.client_id.as_deref(), Some("c"));
        assert!(!format!("{request:?}").contains("p\\"));
        peer.session
            .refuse(peer.now, Failure::new("wrong passcode"));
        assert_ended(&mut peer, "", "wrong passcode", None);
    }
}

#[test]
fn debug_text_shows_neither_secrets_nor_messages() {
    let mut peer = Peer::new(ServerSettings::default());
    peer.send("CONNECT\npasscode:secret\n\n\0");
    let text = format!("{:?}", peer.session);
    assert!(!format!("{text} {:?}", peer.effects()).contains("secret"));
    peer.accept();
    peer.send("SEND\ndestination:/queue/a\na:secret\n\nsecret\0");
    let text = format!("{:?}", peer.session);
    assert!(!format!("{text} {:?}", peer.effects()).contains("secret"));
}

#[test]
fn what_follows_connect_waits_until_the_login_is_accepted() {
    let mut peer = Peer::new(ServerSettings::default());
    peer.send("CONNECT\naccept-version:1.2\n\n\0BEGIN\ntransaction:a\\cb\nreceipt:1\n\n\0");
    assert!(!peer.session.wants_input());
    assert_eq!(peer.out(), "");
    peer.accept();
    assert!(peer.out().ends_with(&receipts(&["1"])));
}

#[test]
fn case_23_an_undefined_escape_ends_the_session() {
    for (version, escape, known) in [
        (Version::V1_1, "\\t", r"\n \c \\"),
        (Version::V1_1, "\\r", r"\n \c \\"),
        (Version::V1_2, "\\t", r"\r \n \c \\"),
    ] {
        let mut peer = Peer::open(version);
        peer.send(&format!(
            "SEND\ndestination:/queue/{escape}\nreceipt:1\n\n\0"
        ));
        let text = format!(
            "undefined escape {escape} in header \"destination\"; this version knows {known}"
        );
        let closed = Effect::Close(CloseReason::Error(text));
        assert_eq!(peer.effects(), [closed]);
        assert!(peer.out().contains("receipt-id:1\n"));
    }
}

#[test]
fn case_24_the_first_destination_counts() {
    let mut peer = Peer::open(Version::V1_2);
    peer.send("SEND\ndestination:/queue/a\ndestination:/queue/b\n\nx\0");
    let effects = peer.effects();
    let [Effect::Send { send, .. }] = &effects[..] else {
        panic!("{effects:?}");
    };
    assert_eq!(send.destination, "/queue/a");
    peer.send("SEND\nDestination:/queue/a\nreceipt:9\n\n\0");
    // The SEND before it is still at work.
    assert_eq!(peer.out(), "");
    peer.complete(token(&effects[0]).unwrap());
    assert_ended(
        &mut peer,
        "",
        "SEND without header destination; add it",
        Some("9"),
    );
}

#[test]
fn a_command_is_awaited_while_its_receipt_is() {
    let mut peer = Peer::open(Version::V1_2);
    peer.send("SEND\ndestination:/queue/a\nreceipt:1\n\n\0SEND\ndestination:/queue/a\n\n\0");
    let effects = peer.effects();
    let tokens: Vec<_> = effects.iter().filter_map(token).collect();
    let awaited = |peer: &Peer| [0, 1].map(|at| peer.session.is_awaited(tokens[at]));
    assert_eq!(awaited(&peer), [true, false]);
    peer.complete(tokens[0]);
    assert_eq!(awaited(&peer), [false, false]);
    assert_eq!(peer.session.output_bytes(), peer.out().len());
}

#[test]
fn case_27_receipts_come_in_the_order_of_the_frames() {
    let mut peer = Peer::open(Version::V1_2);
    for id in 1..=3 {
        peer.send(&format!("SEND\ndestination:/queue/a\nreceipt:{id}\n\nx\0"));
    }
    peer.send("BEGIN\ntransaction:t\nreceipt:4\n\n\0");
    let tokens: Vec<_> = peer.effects().iter().filter_map(token).collect();
    peer.complete(tokens[2]);
    peer.complete(tokens[1]);
    assert_eq!(peer.out(), "");
    peer.complete(tokens[0]);
    assert_eq!(peer.out(), receipts(&["1", "2", "3", "4"]));
    // Once is enough.
    peer.complete(tokens[0]);
    peer.complete_with(tokens[1], "late");
    assert_eq!(peer.out(), "");
}

#[test]
fn what_fails_ends_the_session_after_what_was_before_it() {
    let mut peer = Peer::open(Version::V1_2);
    for id in 1..=4 {
        peer.send(&format!("SEND\ndestination:/queue/a\nreceipt:{id}\n\nx\0"));
    }
    let tokens: Vec<_> = peer.effects().iter().filter_map(token).collect();
    peer.complete(tokens[3]);
    peer.complete_with(tokens[1], "topic a is full; publish later");
    // From now on nothing is read.
    peer.send("SEND\ndestination:/queue/a\nreceipt:5\n\nx\0");
    assert_eq!(peer.effects(), []);
    assert_eq!(peer.out(), "");
    peer.complete(tokens[0]);
    let text = "topic a is full; publish later";
    assert_ended(&mut peer, &receipts(&["1"]), text, Some("2"));
}

#[test]
fn the_earliest_failure_is_the_one_that_is_told() {
    let mut peer = Peer::open(Version::V1_2);
    for id in 1..=2 {
        peer.send(&format!("SEND\ndestination:/queue/a\nreceipt:{id}\n\nx\0"));
    }
    let tokens: Vec<_> = peer.effects().iter().filter_map(token).collect();
    peer.send("JUMP\nreceipt:3\n\n\0");
    peer.complete_with(tokens[1], "second");
    peer.complete_with(tokens[0], "first");
    assert_ended(&mut peer, "", "first", Some("1"));
}

#[test]
fn an_error_waits_only_so_long_for_what_is_before_it() {
    let mut peer = Peer::open(Version::V1_2);
    peer.send("SEND\ndestination:/queue/a\nreceipt:1\n\nx\0ACK\nreceipt:2\n\n\0");
    peer.pass(4_999);
    assert_eq!(peer.out(), "");
    peer.pass(1);
    assert_ended(&mut peer, "", "ACK without header id; add it", Some("2"));
}

#[test]
fn disconnect_is_answered_last() {
    let mut peer = Peer::open(Version::V1_2);
    peer.send("SEND\ndestination:/queue/a\nreceipt:1\n\nx\0DISCONNECT\nreceipt:2\n\n\0");
    let tokens: Vec<_> = peer.effects().iter().filter_map(token).collect();
    assert_eq!(peer.out(), "");
    assert!(!peer.session.is_closed());
    peer.complete(tokens[0]);
    assert_eq!(peer.out(), receipts(&["1", "2"]));
    assert_eq!(peer.effects(), [Effect::Close(CloseReason::Disconnect)]);
    // Without a receipt, and with a command that never completes.
    let mut peer = Peer::open(Version::V1_2);
    peer.send("SEND\ndestination:/queue/a\n\nx\0DISCONNECT\n\n\0");
    peer.effects();
    peer.pass(5_000);
    assert_eq!(peer.out(), "");
    assert_eq!(peer.effects(), [Effect::Close(CloseReason::EndTimeout)]);
}

#[test]
fn the_shell_can_end_a_session() {
    let mut peer = Peer::open(Version::V1_2);
    let number = peer.subscribe("1", "");
    peer.session.fail(peer.now, Failure::new("shutting down"));
    assert_eq!(peer.deliver(number, 1), Err(NotDelivered::Ended));
    peer.session.fail(peer.now, Failure::new("again"));
    assert_ended(&mut peer, "", "shutting down", None);
}

#[test]
fn case_28_limits_end_the_session() {
    let header = format!("SEND\na:{}\n\n\0", "x".repeat(10 << 10));
    let headers = format!("SEND\n{}\n\0", "a:\n".repeat(129));
    for (bytes, text) in [
        (
            header.as_str(),
            "a header line of more than 10240 bytes; send what is long in the body",
        ),
        (&headers, "more than 128 headers in a frame; send fewer"),
        (
            "SEND\ncontent-length:16777217\n\n",
            "a body of more than 16777216 bytes; send it in parts",
        ),
        (
            "SEND\ncontent-length:1\n\nab\0",
            "no NUL after the 1 bytes of content-length; count bytes, not characters, and end the frame with a NUL",
        ),
    ] {
        let mut peer = Peer::open(Version::V1_2);
        peer.send(bytes);
        assert_ended(&mut peer, "", text, None);
    }
}

#[test]
fn case_28_subscriptions_and_transactions_are_limited() {
    let settings = ServerSettings {
        subscriptions_max: 2,
        transactions_max: 2,
        transaction_frames_max: 2,
        transactions_bytes_max: 1_000,
        ..ServerSettings::default()
    };
    let send = "SEND\ntransaction:t\ndestination:/queue/a\n\nx\0";
    let large = format!(
        "SEND\ntransaction:t\ndestination:/queue/a\n\n{}\0",
        "x".repeat(1_000)
    );
    let subscribe = |id| format!("SUBSCRIBE\nid:{id}\ndestination:/queue/a\n\n\0");
    for (frames, text) in [
        (
            format!("{}{}{}", subscribe(1), subscribe(2), subscribe(3)),
            "more than 2 subscriptions on a connection; use several connections",
        ),
        (
            "BEGIN\ntransaction:1\n\n\0BEGIN\ntransaction:2\n\n\0BEGIN\ntransaction:3\n\n\0".into(),
            "more than 2 open transactions on a connection; COMMIT or ABORT some",
        ),
        (
            format!("BEGIN\ntransaction:t\n\n\0{send}{send}{send}"),
            "transaction \"t\" has more than 2 frames; COMMIT more often",
        ),
        (
            format!("BEGIN\ntransaction:t\n\n\0{large}"),
            "transaction \"t\" has more than 1000 bytes, with all that are open; COMMIT more often",
        ),
    ] {
        let mut peer = Peer::open_with(Version::V1_2, settings.clone());
        peer.send(&frames);
        assert_ended(&mut peer, "", text, None);
    }
    // What has ended doesn't count.
    let mut peer = Peer::open_with(Version::V1_2, settings);
    for _ in 0..5 {
        peer.send("BEGIN\ntransaction:t\n\n\0");
        peer.send(send);
        peer.send("ABORT\ntransaction:t\n\n\0");
        peer.subscribe("1", "");
        peer.send("UNSUBSCRIBE\nid:1\n\n\0");
        peer.complete_all();
    }
    assert!(peer.session.wants_input());
}

#[test]
fn case_28_who_does_not_connect_in_time_is_closed() {
    let mut peer = Peer::new(ServerSettings::default());
    peer.send("\n\nCONN");
    peer.pass(9_999);
    assert_eq!(peer.effects(), []);
    peer.pass(1);
    assert_ended(&mut peer, "", "no CONNECT within 10s; send it first", None);
}

#[test]
fn case_28_no_frame_is_read_while_too_many_are_at_work() {
    for settings in [
        ServerSettings {
            pending_max: 2,
            ..ServerSettings::default()
        },
        ServerSettings {
            pending_bytes_max: 2,
            ..ServerSettings::default()
        },
    ] {
        let mut peer = Peer::open_with(Version::V1_2, settings);
        for id in 1..=4 {
            peer.send(&format!("SEND\ndestination:/queue/a\nreceipt:{id}\n\nx\0"));
        }
        let effects = peer.effects();
        assert_eq!(effects.len(), 2);
        assert!(!peer.session.wants_input());
        peer.complete(token(&effects[0]).unwrap());
        assert_eq!(peer.effects().len(), 1);
        assert_eq!(peer.out(), receipts(&["1"]));
    }
}

#[test]
fn case_30_odd_clients_are_taken() {
    let mut peer = Peer::new(ServerSettings::default());
    peer.send(
        "CONNECT\naccept-version:1.0,1.1,1.2\nheart-beat:0,0\nlogin:a\\cb\ncontent-length:0\n\n\0",
    );
    let effects = peer.effects();
    let [Effect::Connect(request)] = &effects[..] else {
        panic!("{effects:?}");
    };
    assert_eq!(request.login.as_deref(), Some("a\\cb"));
    peer.accept();
    assert!(peer.out().contains("\nheart-beat:0,0\n"));
    peer.send(
        "SUBSCRIBE\nbody:\nid:1\ndestination:/queue/a\nreceipt:R_s1.1\ncontent-length:0\n\n\0",
    );
    peer.send("BEGIN\nbody:\ntransaction:t\nreceipt:R_s1.2\ncontent-length:0\n\n\0");
    peer.complete_all();
    assert_eq!(peer.out(), receipts(&["R_s1.1", "R_s1.2"]));
}

#[test]
fn heart_beats_go_both_ways() {
    let mut peer = Peer::new(ServerSettings::default());
    peer.send("CONNECT\naccept-version:1.2\nheart-beat:8000,2000\n\n\0");
    peer.accept();
    assert!(peer.out().contains("\nheart-beat:1000,5000\n"));
    // Half of what was agreed to send, twice of what was agreed to get.
    peer.pass(999);
    assert_eq!(peer.out(), "");
    peer.pass(1);
    assert_eq!(peer.out(), "\n");
    peer.pass(3_000);
    assert_eq!(peer.out(), "\n\n\n");
    peer.pass(11_000);
    peer.send("\n");
    peer.out();
    peer.pass(15_999);
    assert_eq!(peer.effects()[1..], []);
    peer.out();
    peer.pass(1);
    let text = "nothing came for 16s; the client said that it sends something every 8s";
    assert_ended(&mut peer, "", text, None);
}

#[test]
fn whatever_is_sent_is_a_heart_beat() {
    let mut peer = Peer::new(ServerSettings::default());
    peer.send("CONNECT\naccept-version:1.2\nheart-beat:0,1000\n\n\0");
    peer.accept();
    peer.out();
    for id in 0..3 {
        peer.pass(400);
        peer.send(&format!("BEGIN\ntransaction:{id}\nreceipt:{id}\n\n\0"));
        assert_eq!(peer.out(), receipts(&[&id.to_string()]));
    }
    peer.pass(500);
    assert_eq!(peer.out(), "\n");
}

#[test]
fn heart_beats_are_only_sent_to_who_asked() {
    for (offer, answer) in [("0,0", "0,0"), ("0,500", "1000,0"), ("500,0", "0,5000")] {
        let mut peer = Peer::new(ServerSettings::default());
        peer.send(&format!(
            "CONNECT\naccept-version:1.1\nheart-beat:{offer}\n\n\0"
        ));
        peer.accept();
        assert!(peer.out().contains(&format!("\nheart-beat:{answer}\n")));
        assert_eq!(peer.session.next_deadline().is_none(), offer == "0,0");
    }
    let mut peer = Peer::new(ServerSettings::default());
    peer.send("CONNECT\naccept-version:1.1\nheart-beat:x\n\n\0");
    let text = "heart-beat is not two numbers of milliseconds; send it like 10000,10000";
    assert_eq!(
        peer.effects(),
        [Effect::Close(CloseReason::Error(text.into()))]
    );
}

/// A client that had sent more than the session took at a time was closed as silent, although its heart-beats lay
/// unread in the socket.
#[test]
fn silence_counts_only_while_the_server_reads() {
    let settings = ServerSettings {
        pending_max: 1,
        ..ServerSettings::default()
    };
    let mut peer = Peer::new(settings);
    peer.send("CONNECT\naccept-version:1.2\nheart-beat:5000,0\n\n\0");
    peer.accept();
    for _ in 0..3 {
        peer.send("SEND\ndestination:/queue/a\n\nx\0");
    }
    peer.pass(60_000);
    assert!(!peer.session.wants_input() && !peer.session.is_closed());
    // What has waited is read now, and is no sign of life.
    while !peer.complete_all().is_empty() {}
    assert!(peer.session.wants_input());
    peer.pass(9_999);
    assert!(!peer.session.is_closed());
    peer.pass(1);
    assert!(peer.session.is_closed());
}

#[test]
fn who_is_not_read_is_not_silent() {
    let mut peer = Peer::new(ServerSettings::default());
    peer.send("CONNECT\naccept-version:1.2\nheart-beat:5000,0\n\n\0");
    peer.accept();
    for _ in 0..5 {
        peer.pass(9_999);
        let now = peer.now;
        peer.session.paused(now);
    }
    assert!(!peer.session.is_closed());
    peer.pass(10_000);
    assert!(peer.session.is_closed());
}
