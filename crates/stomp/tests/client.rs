//! Client sessions, frame by frame. The numbers are those of the conformance cases.
#![allow(clippy::unwrap_used, reason = "a test says what it expects")]

use bytes::BytesMut;
use std::collections::BTreeMap;
use std::time::Duration;
use trunkline_model::Timestamp;
use trunkline_stomp::{
    AckMode, Acked, ClientEffect, ClientError, ClientSession, ClientSettings, Command, ErrorCode,
    Headers, HeartBeat, Lost, MessageTag, Operation, OperationId, Version,
};

/// A client session, and the server as the test plays it. Times are milliseconds.
struct Client {
    session: ClientSession,
    now: Timestamp,
    input: BytesMut,
}

impl Client {
    fn new(settings: ClientSettings) -> Self {
        let now = Timestamp::from_millis(1_000_000);
        Self {
            session: ClientSession::new(settings, now),
            now,
            input: BytesMut::new(),
        }
    }

    /// With a session `s` of a version.
    fn ready(version: Version) -> Self {
        let mut client = Self::new(ClientSettings::default());
        client.connect(version);
        client
    }

    fn connect(&mut self, version: Version) {
        assert!(self.told().contains(&"open".to_owned()));
        self.session.opened(self.now);
        assert!(self.out().starts_with("CONNECT\n"));
        self.server(&format!("CONNECTED\nversion:{version}\nsession:s\n\n\0"));
        assert_eq!(
            self.told(),
            ["connected".to_owned(), format!("ready {version}")]
        );
    }

    fn server(&mut self, bytes: &str) {
        self.input.extend_from_slice(bytes.as_bytes());
        self.session.receive(self.now, &mut self.input);
    }

    fn receipt(&mut self, id: &str) {
        self.server(&format!("RECEIPT\nreceipt-id:{id}\n\n\0"));
    }

    fn execute(&mut self, operation: Operation) -> OperationId {
        self.session.execute(self.now, operation)
    }

    /// What is to be written; it is written then.
    fn out(&mut self) -> String {
        let out = self.session.take_output().to_vec();
        self.session.written();
        String::from_utf8(out).unwrap()
    }

    fn effects(&mut self) -> Vec<ClientEffect> {
        std::iter::from_fn(|| self.session.next_effect()).collect()
    }

    /// The effects in short.
    fn told(&mut self) -> Vec<String> {
        self.effects().iter().map(short).collect()
    }

    /// Subscribes, and gets messages of these ids.
    fn subscribed(&mut self, mode: AckMode, ids: &[&str]) -> Vec<MessageTag> {
        let operation = Operation::subscribe("/queue/a", mode).with("id", "1");
        self.execute(operation.with("receipt", "sub"));
        self.out();
        self.receipt("sub");
        for id in ids {
            self.server(&format!(
                "MESSAGE\nsubscription:1\nmessage-id:{id}\nack:a{id}\ndestination:/queue/a\n\nx\0"
            ));
        }
        let tags = self
            .effects()
            .into_iter()
            .filter_map(|effect| match effect {
                ClientEffect::Message { tag, .. } => Some(tag),
                _ => None,
            });
        tags.collect()
    }

    /// Time passes; what is due is done when it is due.
    fn pass(&mut self, millis: u64) {
        let until = self.now.after(Duration::from_millis(millis));
        while let Some(at) = self.session.next_deadline().filter(|at| *at <= until) {
            self.now = at.max(self.now);
            self.session.tick(self.now);
        }
        self.now = until;
    }
}

fn short(effect: &ClientEffect) -> String {
    let error = |error: &ClientError| format!("{} {}", error.code.number(), error.message);
    match effect {
        ClientEffect::Open => "open".into(),
        ClientEffect::Close => "close".into(),
        ClientEffect::Connected => "connected".into(),
        ClientEffect::Ready { version, .. } => format!("ready {version}"),
        ClientEffect::Message { frame, .. } => {
            format!("message {}", String::from_utf8_lossy(&frame.body))
        }
        ClientEffect::Done { receipt, .. } => {
            let id = receipt.as_ref().and_then(|frame| frame.get("receipt-id"));
            format!("done {}", id.unwrap_or("-"))
        }
        ClientEffect::Failed { error: e, .. } => format!("failed {}", error(e)),
        ClientEffect::Error(e) => format!("error {}", error(e)),
        ClientEffect::SubscriptionLost { error: e, .. } => format!("lost {}", error(e)),
        ClientEffect::Unsubscribed { .. } => "unsubscribed".into(),
        ClientEffect::Disconnected => "disconnected".into(),
    }
}

fn headers(pairs: &[(&str, &str)]) -> Headers {
    let mut headers = Headers::new();
    for (name, value) in pairs {
        headers.push(*name, *value);
    }
    headers
}

#[test]
fn case_01_errors_have_names_and_numbers() {
    let names = [
        "E_CANT_CONN",
        "E_IO",
        "E_CONN_CLOSED_BY_REMOTE_HOST",
        "E_CONN_CLOSED_BY_CLIENT",
        "E_OPRN_ERROR",
        "E_UNEXPECTED_DATA",
        "E_READ_TIMEDOUT",
    ];
    for ((code, name), number) in ErrorCode::ALL.into_iter().zip(names).zip(1..) {
        assert_eq!((code.name(), code.number()), (name, number));
    }
    assert_eq!(ClientSettings::default().peer, "localhost:61613");
}

#[test]
fn case_02_connect_has_its_own_headers_and_no_others() {
    let mut client = Client::new(ClientSettings {
        login: Some("me".into()),
        passcode: Some("p:\\".into()),
        virtual_host: Some("v".into()),
        heart_beat: HeartBeat {
            sends_ms: 1,
            wants_ms: 2,
        },
        default_headers: headers(&[("d", "default"), ("x", "default"), ("y", "default")]),
        command_headers: BTreeMap::from([(
            Command::Send,
            headers(&[("x", "command"), ("y", "command")]),
        )]),
        ..ClientSettings::default()
    });
    client.session.opened(client.now);
    assert_eq!(
        client.out(),
        "CONNECT\naccept-version:1.0,1.1,1.2\nheart-beat:1,2\nlogin:me\npasscode:p:\\\nhost:v\n\
         content-length:0\n\n\0"
    );
    client.server("CONNECTED\nversion:1.2\n\n\0");
    client.execute(Operation::send("/queue/a", "hello").with("y", "call"));
    assert_eq!(
        client.out(),
        "SEND\ndestination:/queue/a\ny:call\nx:command\nd:default\ncontent-length:5\n\nhello\0"
    );
    client.execute(Operation::begin("t"));
    assert_eq!(
        client.out(),
        "BEGIN\ntransaction:t\nd:default\nx:default\ny:default\ncontent-length:0\n\n\0"
    );
}

#[test]
fn debug_text_shows_neither_secrets_nor_messages() {
    let mut client = Client::new(ClientSettings {
        passcode: Some("secret".into()),
        ..ClientSettings::default()
    });
    client.execute(Operation::send("/queue/a", "secret").with("a", "secret"));
    client.session.opened(client.now);
    assert!(!format!("{:?}", client.session).contains("secret"));
    client.server("CONNECTED\nversion:1.2\n\n\0MESSAGE\nsubscription:1\na:secret\n\nsecret\0");
    let text = format!("{:?}", client.session);
    assert!(!format!("{text} {:?}", client.effects()).contains("secret"));
}

#[test]
fn case_02_without_login_nothing_of_it_is_sent() {
    let mut client = Client::new(ClientSettings::default());
    client.session.opened(client.now);
    assert_eq!(
        client.out(),
        "CONNECT\naccept-version:1.0,1.1,1.2\nheart-beat:0,0\ncontent-length:0\n\n\0"
    );
}

#[test]
fn case_03_receipts_are_made_up_and_come_back() {
    let mut client = Client::ready(Version::V1_2);
    client.execute(Operation::send("/queue/a", "").with("receipt", "auto"));
    client.execute(Operation::send("/queue/a", "").with("receipt", "mine"));
    client.execute(Operation::subscribe("/queue/a", AckMode::Auto));
    let out = client.out();
    for id in ["R_s.1", "mine", "R_s.2"] {
        assert!(out.contains(&format!("\nreceipt:{id}\n")), "{out}");
    }
    assert_eq!(client.told(), [""; 0]);
    client.receipt("mine");
    client.receipt("R_s.1");
    client.receipt("R_s.2");
    assert_eq!(client.told(), ["done mine", "done R_s.1", "done R_s.2"]);
}

#[test]
fn case_03_without_receipt_an_operation_is_done_once_written() {
    let mut client = Client::ready(Version::V1_2);
    client.execute(Operation::send("/queue/a", "1"));
    client.session.written();
    assert_eq!(client.told(), [""; 0]);
    client.session.take_output();
    client.execute(Operation::send("/queue/a", "2"));
    client.session.written();
    assert_eq!(client.told(), ["done -"]);
    client.out();
    assert_eq!(client.told(), ["done -"]);
}

#[test]
fn case_04_acks_cover_what_their_mode_says() {
    let unexpected_ack = "failed 5 Unexpected ACK sent.";
    let unexpected_nack = "failed 5 Unexpected NACK sent.";
    let mut client = Client::ready(Version::V1_2);
    let tags = client.subscribed(AckMode::Client, &["1", "2", "3"]);
    client.execute(Operation::ack(Acked::Tag(tags[1])));
    assert_eq!(client.out(), "ACK\nid:a2\ncontent-length:0\n\n\0");
    client.execute(Operation::ack(Acked::Tag(tags[0])));
    client.execute(Operation::nack(Acked::Tag(tags[2])));
    assert_eq!(client.out(), "NACK\nid:a3\ncontent-length:0\n\n\0");
    assert_eq!(client.told(), ["done -", unexpected_ack, "done -"]);

    let mut client = Client::ready(Version::V1_2);
    let tags = client.subscribed(AckMode::ClientIndividual, &["1", "2", "3"]);
    for tag in [tags[2], tags[0], tags[1]] {
        client.execute(Operation::ack(Acked::Tag(tag)));
        client.execute(Operation::nack(Acked::Tag(tag)));
    }
    assert_eq!(client.out().matches("ACK\n").count(), 3);
    let told = client.told();
    assert_eq!(
        told.iter().filter(|told| *told == unexpected_nack).count(),
        3
    );
    assert_eq!(told.len(), 6);

    let mut client = Client::ready(Version::V1_2);
    let tags = client.subscribed(AckMode::Auto, &["1"]);
    client.execute(Operation::ack(Acked::Tag(tags[0])));
    assert_eq!(client.told(), [unexpected_ack]);
    assert_eq!(client.out(), "");
}

#[test]
fn case_05_acks_name_what_their_version_names() {
    for (version, named) in [
        (Version::V1_0, "message-id:m\n"),
        (Version::V1_1, "message-id:m\nsubscription:1\n"),
        (Version::V1_2, "id:am\n"),
    ] {
        for by_id in [false, true] {
            let mut client = Client::ready(version);
            let tags = client.subscribed(AckMode::Client, &["m"]);
            let acked = match by_id {
                false => Acked::Tag(tags[0]),
                true if version == Version::V1_2 => Acked::Id("am".into()),
                true => Acked::Id("m".into()),
            };
            client.execute(Operation::ack(acked).with("transaction", "t"));
            let expected = format!("ACK\n{named}transaction:t\ncontent-length:0\n\n\0");
            assert_eq!(client.out(), expected);
        }
    }
}

#[test]
fn case_07_headers_are_escaped_by_version_and_what_cannot_be_fails() {
    let send = || Operation::send("/queue/a", "").with("a:b", "c\nd\\e");
    let mut client = Client::ready(Version::V1_2);
    client.execute(send());
    assert!(client.out().contains("\na\\cb:c\\nd\\\\e\n"));
    let mut client = Client::ready(Version::V1_0);
    client.execute(send());
    assert_eq!(client.out(), "");
    let told = client.told();
    assert!(
        told[0].starts_with("failed 5 header \"a:b\" holds ':'"),
        "{told:?}"
    );
}

#[test]
fn case_08_an_error_with_a_receipt_fails_that_operation_only() {
    let mut client = Client::ready(Version::V1_2);
    client.execute(Operation::send("/queue/a", "").with("receipt", "1"));
    let second = client.execute(Operation::send("/queue/a", "").with("receipt", "2"));
    client.out();
    client.server("ERROR\nmessage:no\nreceipt-id:2\ncontent-length:3\n\na\0b\0");
    let effects = client.effects();
    let [ClientEffect::Failed { operation, error }] = &effects[..] else {
        panic!("{effects:?}");
    };
    assert_eq!((*operation, error.code), (second, ErrorCode::Operation));
    assert_eq!(error.to_string(), "no");
    assert_eq!(&error.frame.as_ref().unwrap().body[..], b"a\0b");
    client.receipt("1");
    assert_eq!(client.told(), ["done 1"]);
}

/// One subscription, one SEND with a receipt, one that is not written; then the end.
fn in_the_middle() -> Client {
    let mut client = Client::ready(Version::V1_2);
    for id in ["2", "1"] {
        client.execute(Operation::subscribe("/queue/a", AckMode::Auto).with("id", id));
    }
    client.out();
    client.receipt("R_s.2");
    client.receipt("R_s.1");
    client.execute(Operation::begin("t").with("receipt", "b"));
    client.execute(Operation::send("/queue/a", "").with("receipt", "a"));
    client.out();
    client.execute(Operation::commit("t"));
    client.told();
    client
}

/// What is told of that.
fn all_lost(code: u8, text: &str) -> Vec<String> {
    vec![
        format!("error {code} {text}"),
        format!("lost {code} Subscription \"2\" lost: {text}"),
        format!("lost {code} Subscription \"1\" lost: {text}"),
        format!("failed {code} Operation \"BEGIN\" aborted: {text}"),
        format!("failed {code} Operation \"SEND\" aborted: {text}"),
        format!("failed {code} Operation \"COMMIT\" aborted: {text}"),
        "disconnected".into(),
    ]
}

#[test]
fn case_08_an_error_without_a_receipt_fails_everything_in_order() {
    let mut client = in_the_middle();
    client.server("ERROR\nmessage:bad\n\nmore\0RECEIPT\nreceipt-id:a\n\n\0");
    let mut expected = all_lost(5, "bad");
    expected.insert(0, "close".into());
    assert_eq!(client.told(), expected);
}

#[test]
fn case_09_a_loss_is_told_once_and_the_next_operation_connects_again() {
    for (lost, code, text) in [
        (Lost::Closed, 3, "Connection closed by remote host."),
        (Lost::Io("Connection reset".into()), 2, "Connection reset"),
    ] {
        let mut client = in_the_middle();
        client.session.lost(client.now, lost.clone());
        client.session.lost(client.now, lost);
        assert_eq!(client.told(), all_lost(code, text));
        assert_eq!(client.out(), "");
        client.execute(Operation::send("/queue/a", "again"));
        client.connect(Version::V1_1);
        assert!(client.out().starts_with("SEND\n"));
        assert_eq!(client.told(), ["done -"]);
    }
}

#[test]
fn case_09_what_was_not_yet_written_fails_in_its_place() {
    let mut client = Client::new(ClientSettings::default());
    client.execute(Operation::send("/queue/a", "1"));
    client.execute(Operation::begin("t"));
    client.session.opened(client.now);
    client.told();
    client.session.lost(client.now, Lost::Closed);
    let text = "Connection closed by remote host.";
    assert_eq!(
        client.told(),
        [
            format!("error 3 {text}"),
            format!("failed 3 Operation \"SEND\" aborted: {text}"),
            format!("failed 3 Operation \"BEGIN\" aborted: {text}"),
            "disconnected".into(),
        ]
    );
}

#[test]
fn case_10_the_reconnect_interval_counts_from_the_first_operation() {
    let mut client = Client::new(ClientSettings {
        reconnect_interval: Some(Duration::from_secs(2)),
        ..ClientSettings::default()
    });
    client.connect(Version::V1_2);
    client.session.lost(client.now, Lost::Closed);
    client.pass(10_000);
    assert_eq!(client.told().last().unwrap(), "disconnected");
    client.execute(Operation::send("/queue/a", "1"));
    client.pass(1_999);
    client.execute(Operation::send("/queue/a", "2"));
    assert_eq!(client.told(), [""; 0]);
    client.pass(1);
    client.connect(Version::V1_2);
    let out = client.out();
    assert!(out.find("\n1\0").unwrap() < out.find("\n2\0").unwrap());
}

#[test]
fn case_11_disconnect_closes_at_its_receipt() {
    let mut client = Client::ready(Version::V1_2);
    client.subscribed(AckMode::Auto, &[]);
    client.execute(Operation::disconnect());
    assert_eq!(
        client.out(),
        "DISCONNECT\nreceipt:R_s.1\ncontent-length:0\n\n\0"
    );
    client.receipt("R_s.1");
    assert_eq!(client.told(), ["close", "disconnected", "done R_s.1"]);
    // Without a connection there is nothing to end.
    client.execute(Operation::disconnect());
    assert_eq!(client.told(), ["done -"]);
}

#[test]
fn case_11_what_disconnect_leaves_behind_fails() {
    let mut client = Client::ready(Version::V1_2);
    client.execute(Operation::send("/queue/a", "").with("receipt", "1"));
    client.execute(Operation::disconnect());
    client.execute(Operation::begin("t"));
    assert!(!client.out().contains("BEGIN"));
    client.receipt("R_s.1");
    let text = "Connection closed by client prematurely.";
    assert_eq!(
        client.told(),
        [
            "close".to_owned(),
            "disconnected".into(),
            "done R_s.1".into(),
            format!("error 4 {text}"),
            format!("failed 4 Operation \"SEND\" aborted: {text}"),
            format!("failed 4 Operation \"BEGIN\" aborted: {text}"),
        ]
    );
}

#[test]
fn case_11_force_disconnect_is_silent_unless_something_is_unfinished() {
    let mut client = in_the_middle();
    client.session.force_disconnect();
    let text = "Connection closed by client prematurely.";
    let told = client.told();
    assert_eq!(
        told[..3],
        ["close", "disconnected", &format!("error 4 {text}")]
    );
    assert_eq!(told[3..].len(), 3);
    assert!(
        told[3..]
            .iter()
            .all(|told| told.starts_with("failed 4 Operation"))
    );

    let mut client = Client::ready(Version::V1_2);
    client.subscribed(AckMode::Auto, &[]);
    client.session.force_disconnect();
    client.session.force_disconnect();
    assert_eq!(client.told(), ["close", "disconnected"]);
    // The session goes on with the next operation.
    client.execute(Operation::begin("t"));
    client.connect(Version::V1_2);
}

#[test]
fn case_12_heart_beats_are_sent_early_and_awaited_patiently() {
    for (ours, theirs, beat, timeout) in [
        ((300, 400), "heart-beat:0,0\n", None, None),
        ((300, 400), "", None, None),
        ((300, 400), "heart-beat:1000,2000\n", Some(667), Some(3_000)),
        ((0, 0), "heart-beat:1000,2000\n", None, None),
        ((0, 400), "heart-beat:0,2000\n", None, None),
    ] {
        let (sends_ms, wants_ms) = ours;
        let mut client = Client::new(ClientSettings {
            heart_beat: HeartBeat { sends_ms, wants_ms },
            ..ClientSettings::default()
        });
        client.session.opened(client.now);
        client.out();
        client.server(&format!("CONNECTED\nversion:1.2\n{theirs}\n\0"));
        client.told();
        match beat {
            Some(beat) => {
                client.pass(beat - 1);
                assert_eq!(client.out(), "");
                client.pass(1);
                assert_eq!(client.out(), "\n");
            }
            None => client.pass(667),
        }
        let Some(timeout) = timeout else {
            client.pass(100_000);
            assert_eq!(client.told(), [""; 0], "{ours:?} {theirs}");
            continue;
        };
        client.server("\n");
        client.pass(timeout - 1);
        assert_eq!(client.told(), [""; 0]);
        client.pass(1);
        assert_eq!(
            client.told(),
            ["close", "error 7 Read timed out.", "disconnected"]
        );
    }
}

#[test]
fn case_12_the_answer_to_connect_is_awaited_three_times_what_was_wanted() {
    let mut client = Client::new(ClientSettings {
        heart_beat: HeartBeat {
            sends_ms: 0,
            wants_ms: 400,
        },
        ..ClientSettings::default()
    });
    client.session.opened(client.now);
    client.pass(1_199);
    assert_eq!(client.told(), ["open", "connected"]);
    client.pass(1);
    assert_eq!(
        client.told(),
        ["close", "error 7 Read timed out.", "disconnected"]
    );
}

#[test]
fn case_13_a_lazy_session_connects_at_its_first_operation() {
    let mut client = Client::new(ClientSettings {
        lazy: true,
        reconnect_interval: Some(Duration::from_secs(2)),
        ..ClientSettings::default()
    });
    assert_eq!(client.told(), [""; 0]);
    client.execute(Operation::begin("t"));
    assert_eq!(client.told(), ["open"]);
    client.session.open_failed(client.now, "timed out");
    let text = "Can't connect to localhost:61613: timed out";
    assert_eq!(
        client.told(),
        [
            format!("error 1 {text}"),
            format!("failed 1 Operation \"BEGIN\" aborted: {text}")
        ]
    );
    // One attempt only; the next one is for the next operation, and waits.
    client.pass(10_000);
    assert_eq!(client.told(), [""; 0]);
    client.execute(Operation::begin("t"));
    client.pass(2_000);
    assert_eq!(client.told(), ["open"]);
}

#[test]
fn a_refused_login_fails_what_waits_and_closes() {
    let mut client = Client::new(ClientSettings::default());
    client.execute(Operation::send("/queue/a", ""));
    client.session.opened(client.now);
    client.told();
    client.server("ERROR\nmessage:Bad login\n\n\0");
    assert_eq!(
        client.told(),
        [
            "close",
            "error 5 Bad login",
            "failed 5 Operation \"SEND\" aborted: Bad login",
            "disconnected"
        ]
    );
}

#[test]
fn what_a_server_must_not_send_ends_the_connection() {
    for (bytes, text) in [
        (
            "RECEIPT\nreceipt-id:x\n\n\0",
            "Unknown receipt \"x\" received.",
        ),
        (
            "CONNECTED\nversion:1.2\n\n\0",
            "Unexpected CONNECTED received.",
        ),
        ("SEND\n\n\0", "Unexpected SEND received."),
        (
            "MESSAGE\nsubscription:x\n\n\0",
            "Message of unknown subscription \"x\" received.",
        ),
        (
            "MESSAGE\ndestination:/a\n\n\0",
            "Message of unknown subscription \"/a\" received.",
        ),
    ] {
        let mut client = Client::ready(Version::V1_2);
        client.server(bytes);
        assert_eq!(
            client.told(),
            [
                "close".into(),
                format!("error 6 {text}"),
                "disconnected".into()
            ]
        );
    }
    for (bytes, text) in [
        (
            "CONNECTED\nversion:1.3\n\n\0",
            "The server chose version \"1.3\", which was not offered.",
        ),
        (
            "CONNECTED\n\n\0",
            "The server chose version \"1.0\", which was not offered.",
        ),
        (
            "RECEIPT\nreceipt-id:x\n\n\0",
            "Unexpected RECEIPT received.",
        ),
        (
            "HTTP/1.1 400 Bad\r\n",
            "unknown command \"HTTP/1.1 400 Bad\"; commands are written in upper case and without blanks",
        ),
    ] {
        let mut client = Client::new(ClientSettings {
            versions: vec![Version::V1_1, Version::V1_2],
            ..ClientSettings::default()
        });
        client.session.opened(client.now);
        client.told();
        client.server(bytes);
        assert_eq!(client.told()[1], format!("error 6 {text}"));
    }
}

#[test]
fn messages_may_come_before_the_receipt_and_late_ones_are_dropped() {
    let message = "MESSAGE\nsubscription:1\nmessage-id:m\n\nx\0";
    let mut client = Client::ready(Version::V1_2);
    client.execute(Operation::subscribe("/queue/a", AckMode::Auto).with("id", "1"));
    client.server(message);
    client.receipt("R_s.1");
    client.execute(Operation::unsubscribe().with("id", "1"));
    client.server(message);
    client.receipt("R_s.2");
    client.server(message);
    assert_eq!(
        client.told(),
        [
            "message x",
            "done R_s.1",
            "message x",
            "unsubscribed",
            "done R_s.2"
        ]
    );
    assert_eq!(client.session.late_messages(), 1);
}

#[test]
fn subscriptions_without_an_id_are_known_by_their_destination() {
    let mut client = Client::ready(Version::V1_0);
    client.execute(Operation::subscribe("/queue/a", AckMode::Client));
    client.execute(Operation::subscribe("/queue/a", AckMode::Client));
    client.server("MESSAGE\ndestination:/queue/a\nmessage-id:7\n\nx\0");
    let told = [
        "failed 5 Subscription \"/queue/a\" exists already.",
        "message x",
    ];
    assert_eq!(client.told(), told);
    client.out();
    client.execute(Operation::ack(Acked::Id("7".into())));
    assert_eq!(client.out(), "ACK\nmessage-id:7\ncontent-length:0\n\n\0");
}

#[test]
fn a_failed_subscribe_leaves_nothing_behind() {
    let mut client = Client::ready(Version::V1_2);
    let subscribe = || Operation::subscribe("/queue/a", AckMode::Auto).with("id", "1");
    client.execute(subscribe());
    client.server("ERROR\nmessage:no\nreceipt-id:R_s.1\n\n\0");
    client.execute(subscribe());
    client.receipt("R_s.2");
    assert_eq!(client.told(), ["failed 5 no", "done R_s.2"]);
}

#[test]
fn case_21_a_message_of_a_lost_session_cannot_be_acknowledged() {
    let mut client = Client::ready(Version::V1_2);
    let tags = client.subscribed(AckMode::Client, &["1"]);
    client.session.lost(client.now, Lost::Closed);
    client.told();
    let lost = "failed 5 Unexpected ACK sent: message belongs to a lost session.";
    client.execute(Operation::ack(Acked::Tag(tags[0])));
    client.execute(Operation::ack(Acked::Id("a1".into())));
    // Neither makes a connection.
    assert_eq!(client.told(), [lost, "failed 5 Unexpected ACK sent."]);
    client.execute(Operation::begin("t"));
    client.connect(Version::V1_2);
    client.subscribed(AckMode::Client, &["1"]);
    client.out();
    client.told();
    client.execute(Operation::ack(Acked::Tag(tags[0])));
    assert_eq!(
        (client.told(), client.out()),
        (vec![lost.into()], String::new())
    );
}

#[test]
fn what_waits_is_limited() {
    let settings = ClientSettings {
        unwritten_bytes_max: 1_000,
        ..ClientSettings::default()
    };
    let mut client = Client::new(settings.clone());
    client.execute(Operation::send("/queue/a", vec![0; 600]));
    client.execute(Operation::send("/queue/a", vec![0; 600]));
    client.execute(Operation::begin("t"));
    client.execute(Operation::begin("t"));
    let large = "failed 5 More than 1000 bytes of operations are not written.";
    assert_eq!(client.told(), ["open", large, large]);
    let mut client = Client::new(settings);
    client.connect(Version::V1_2);
    for _ in 0..2 {
        client.execute(Operation::send("/queue/a", vec![0; 600]));
        client.session.take_output();
    }
    client.session.written();
    assert_eq!(client.told(), [large, "done -"]);
    let settings = ClientSettings {
        operations_max: 2,
        unacked_max: 2,
        ..ClientSettings::default()
    };
    let many = "failed 5 More than 2 operations are unfinished.";
    let mut client = Client::new(settings.clone());
    for _ in 0..3 {
        client.execute(Operation::begin("t"));
    }
    assert_eq!(client.told(), ["open", many]);
    assert_eq!(client.session.unfinished(), 2);

    let mut client = Client::new(settings);
    client.connect(Version::V1_2);
    let tags = client.subscribed(AckMode::ClientIndividual, &["1", "2", "3"]);
    assert_eq!(client.session.forgotten_messages(), 1);
    client.execute(Operation::ack(Acked::Tag(tags[0])));
    assert_eq!(client.told(), ["failed 5 Unexpected ACK sent."]);
    client.execute(Operation::ack(Acked::Tag(tags[2])));
    assert_eq!(client.out(), "ACK\nid:a3\ncontent-length:0\n\n\0");
}

#[test]
fn a_receipt_is_asked_for_once() {
    let mut client = Client::ready(Version::V1_2);
    client.execute(Operation::begin("t").with("receipt", "R_s.1"));
    client.execute(Operation::begin("u").with("receipt", "R_s.1"));
    client.execute(Operation::begin("v").with("receipt", "auto"));
    assert_eq!(
        client.told(),
        ["failed 5 Receipt \"R_s.1\" is asked for already."]
    );
    assert!(client.out().contains("receipt:R_s.2"));
}
