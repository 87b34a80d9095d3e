//! What STOMP clients in use need from a server, each with its number. The seventh, about
//! WebSocket, is in `websocket.rs`.

use super::{super::server::Server, StompClient, client::Frame, client::body};
use trunkline_model::{
    Admin, Caller, Engine, SubscriptionName, SubscriptionSettings, TopicName, TopicSettings,
    oneshot,
};
use trunkline_stomp::Command;

/// A client with a session of a version.
async fn connect(server: &Server, version: &str) -> (StompClient, Frame) {
    let mut client = StompClient::dial(server).await;
    let connected = client
        .ask(&format!("CONNECT\naccept-version:{version}\n\n\0"))
        .await;
    assert_eq!(connected.get("version"), Some(version));
    (client, connected)
}

/// The failure that frames come to; the connection is closed then.
async fn failure(server: &Server, frames: &str) -> Frame {
    let mut client = StompClient::connect(server).await;
    client.send(frames).await;
    loop {
        let frame = client.frame().await;
        if frame.command == Command::Error {
            assert!(client.next().await.is_none(), "open after {frame:?}");
            return frame;
        }
    }
}

async fn admin(server: &Server, command: Admin) {
    let (completion, done) = oneshot();
    server.engine.admin(&Caller::system(), command, completion);
    done.await.unwrap();
}

#[tokio::test]
async fn requirement_01_a_receipt_precedes_messages_and_comes_only_if_asked_for() {
    let server = Server::start().await;
    let mut client = StompClient::connect(&server).await;
    client.sends("/queue/q", &["1", "2"]).await;
    client
        .send("SUBSCRIBE\nid:s\ndestination:/queue/q\nreceipt:r\n\n\0")
        .await;
    assert_eq!(client.receipt().await, "r");
    assert_eq!(client.bodies(2).await, ["1", "2"]);
    // Nothing asks for a receipt here but the last.
    let quiet = "SEND\ndestination:/queue/other\n\n\0BEGIN\ntransaction:t\n\n\0COMMIT\ntransaction:t\n\n\0UNSUBSCRIBE\nid:s\n\n\0";
    client
        .nothing_but_receipt(&format!("{quiet}DISCONNECT\nreceipt:end\n\n\0"), "end")
        .await;
}

#[tokio::test]
async fn requirement_02_no_heart_beat_is_answered_with_none() {
    let server = Server::start().await;
    for (asked, answered) in [
        ("", "0,0"),
        ("heart-beat:0,0\n", "0,0"),
        ("heart-beat:1000,0\n", "0,5000"),
        ("heart-beat:0,1000\n", "1000,0"),
    ] {
        let mut client = StompClient::dial(&server).await;
        let connected = client
            .ask(&format!("CONNECT\naccept-version:1.2\n{asked}\n\0"))
            .await;
        assert_eq!(connected.get("heart-beat"), Some(answered), "{asked:?}");
    }
}

#[tokio::test]
async fn requirement_03_any_host_will_do_or_none() {
    let server = Server::start().await;
    for version in ["1.0", "1.1", "1.2"] {
        for host in [
            "",
            "host:\n",
            "host:localhost\n",
            "host:elsewhere.example\n",
        ] {
            let mut client = StompClient::dial(&server).await;
            let connected = client
                .ask(&format!("CONNECT\naccept-version:{version}\n{host}\n\0"))
                .await;
            assert_eq!(connected.command, Command::Connected, "{version} {host:?}");
        }
    }
}

#[tokio::test]
async fn requirement_04_names_need_no_escapes() {
    let server = Server::start().await;
    for version in ["1.0", "1.1", "1.2"] {
        let (mut client, connected) = connect(&server, version).await;
        client
            .send("SUBSCRIBE\nid:s\ndestination:/queue/q\nack:client\n\n\0SEND\ndestination:/queue/q\n\nx\0")
            .await;
        let message = client.message().await;
        let ack = message.get("ack").or(message.get("message-id"));
        for name in [connected.get("session"), message.get("message-id"), ack] {
            let name = name.unwrap();
            assert!(
                !name.is_empty() && !name.contains([':', '\\', '\n', '\r']),
                "{name}"
            );
        }
        let name = ack.unwrap();
        let ack = match version {
            "1.2" => format!("ACK\nid:{name}\nreceipt:a\n\n\0"),
            _ => format!("ACK\nmessage-id:{name}\nsubscription:s\nreceipt:a\n\n\0"),
        };
        client.nothing_but_receipt(&ack, "a").await;
    }
}

#[tokio::test]
async fn requirement_05_a_send_in_a_transaction_has_its_receipt_at_once() {
    let server = Server::start().await;
    let mut client = StompClient::connect(&server).await;
    let send =
        "BEGIN\ntransaction:t\n\n\0SEND\ndestination:/queue/q\ntransaction:t\nreceipt:in\n\nx\0";
    client.nothing_but_receipt(send, "in").await;
    // It is not there yet.
    client.subscribe("s", "/queue/q", "auto").await;
    let commit = "SEND\ndestination:/queue/q\n\nbefore\0COMMIT\ntransaction:t\nreceipt:out\n\n\0";
    client.send(commit).await;
    let mut bodies = Vec::new();
    for _ in 0..3 {
        let frame = client.frame().await;
        match frame.command {
            Command::Message => bodies.push(body(&frame).to_owned()),
            _ => assert_eq!(frame.get("receipt-id"), Some("out")),
        }
    }
    assert_eq!(bodies, ["before", "x"]);
}

#[tokio::test]
async fn requirement_06_every_message_says_whether_it_comes_again() {
    let server = Server::start().await;
    let mut client = StompClient::connect(&server).await;
    client.subscribe("s", "/queue/q", "client-individual").await;
    client.send("SEND\ndestination:/queue/q\n\nx\0").await;
    for (again, count, verdict) in [
        ("false", "1", "NACK"),
        ("true", "2", "NACK"),
        ("true", "3", "ACK"),
    ] {
        let message = client.message().await;
        assert_eq!(message.get("redelivered"), Some(again));
        assert_eq!(message.get("delivery-count"), Some(count));
        let ack = message.get("ack").unwrap();
        client.send(&format!("{verdict}\nid:{ack}\n\n\0")).await;
    }
    client.subscribe("t", "/topic/t", "auto").await;
    client.send("SEND\ndestination:/topic/t\n\nx\0").await;
    let message = client.message().await;
    assert_eq!(message.get("subscription"), Some("t"));
    assert_eq!(message.get("redelivered"), Some("false"));
    assert_eq!(message.get("delivery-count"), Some("1"));
}

#[tokio::test]
async fn requirement_08_an_error_names_the_receipt_and_closes() {
    let server = Server::start().await;
    for frame in [
        "SEND\nreceipt:r\n\nx\0",
        "SEND\ndestination:/nowhere/x\nreceipt:r\n\nx\0",
        "SEND\ndestination:/queue/q\ntransaction:none\nreceipt:r\n\nx\0",
        "SEND\ndestination:/queue/q\npriority:high\nreceipt:r\n\nx\0",
        "SEND\ndestination:/queue/_own\nreceipt:r\n\nx\0",
        "SUBSCRIBE\nid:s\nreceipt:r\n\n\0",
        "SUBSCRIBE\nid:s\ndestination:/queue/q\nack:maybe\nreceipt:r\n\n\0",
        "SUBSCRIBE\nid:s\ndestination:/queue/q\nselector:a > 1\nreceipt:r\n\n\0",
        "UNSUBSCRIBE\nid:none\nreceipt:r\n\n\0",
        "ACK\nid:none\nreceipt:r\n\n\0",
        "NACK\nid:none\nreceipt:r\n\n\0",
        "BEGIN\nreceipt:r\n\n\0",
        "COMMIT\ntransaction:none\nreceipt:r\n\n\0",
        "ABORT\ntransaction:none\nreceipt:r\n\n\0",
        "CONNECT\naccept-version:1.2\nreceipt:r\n\n\0",
        "WHAT\nreceipt:r\n\n\0",
        "SEND\ndestination:/queue/q\nreceipt:r\na:\\t\n\n\0",
    ] {
        let error = failure(&server, frame).await;
        assert_eq!(error.get("receipt-id"), Some("r"), "{frame:?}");
        assert!(error.get("message").is_some_and(|text| !text.is_empty()));
        assert_eq!(error.get("content-type"), Some("text/plain"));
    }
}

#[tokio::test]
async fn requirement_09_what_is_too_large_is_refused_before_it_ends() {
    let server = Server::start().await;
    let line = format!("SEND\ndestination:/queue/q\nx:{}", "x".repeat(20 << 10));
    let many = format!("SEND\ndestination:/queue/q\n{}", "a:b\n".repeat(200));
    let command = "S".repeat(20 << 10);
    for frame in [&line, &many, &command] {
        failure(&server, frame).await;
    }
}

#[tokio::test]
async fn requirement_09_a_value_never_becomes_a_header_of_1_0() {
    let server = Server::start().await;
    let (mut old, _) = connect(&server, "1.0").await;
    old.subscribe("s", "/queue/q", "auto").await;
    let mut client = StompClient::connect(&server).await;
    let send = "SEND\ndestination:/queue/q\na:b\\nforged:yes\\n\\nbody\\r\n\nreal\0";
    client.send(send).await;
    // Read as 1.0 has it: what is escaped is not taken apart.
    let message = old.message().await;
    assert_eq!(message.get("forged"), None);
    assert_eq!(
        message.get("a").map(|value| value.contains('\n')),
        Some(false)
    );
    assert_eq!(body(&message), "real");
}

#[tokio::test]
async fn requirement_10_what_is_there_twice_or_not_at_all_is_an_error() {
    let server = Server::start().await;
    let subscribe = "SUBSCRIBE\nid:s\ndestination:/queue/q\n\n\0";
    for frames in [
        format!("{subscribe}{subscribe}"),
        "BEGIN\ntransaction:t\n\n\0BEGIN\ntransaction:t\n\n\0".into(),
        "SEND\n\nx\0".into(),
        "SUBSCRIBE\nid:s\n\n\0".into(),
        "SUBSCRIBE\ndestination:/queue/q\n\n\0".into(),
        "SEND\ndestination:/exchange/x/y\n\n\0".into(),
        "SEND\ndestination:queue\n\n\0".into(),
    ] {
        failure(&server, &frames).await;
    }
    let mut client = StompClient::connect(&server).await;
    let mut quick = String::new();
    for destination in ["/queue/q", "/topic/t", "/temp-queue/x"] {
        for _ in 0..20 {
            quick.push_str(&format!(
                "SUBSCRIBE\nid:s\ndestination:{destination}\n\n\0UNSUBSCRIBE\nid:s\n\n\0"
            ));
        }
    }
    quick.push_str("SEND\ndestination:/queue/z\nreceipt:r\n\n\0");
    client.nothing_but_receipt(&quick, "r").await;
}

#[tokio::test]
async fn requirement_11_durable_subscriptions_in_three_spellings_are_one() {
    let server = Server::start().await;
    let spellings = [
        ("", "id:c.s\ndurable:true\nauto-delete:false"),
        ("", "id:c.s\npersistent:true"),
        ("client-id:c\n", "id:1\nactivemq.subscriptionName:s"),
        ("client-id:c\n", "id:1\ndurable-subscription-name:s"),
        ("client-id:c\n", "id:s\ndurable:true"),
    ];
    let mut sender = StompClient::connect(&server).await;
    for (number, (client_id, headers)) in spellings.into_iter().enumerate() {
        let mut client = StompClient::dial(&server).await;
        client
            .ask(&format!("CONNECT\naccept-version:1.2\n{client_id}\n\0"))
            .await;
        let subscribe = format!("SUBSCRIBE\n{headers}\ndestination:/topic/t\nreceipt:r\n\n\0");
        assert_eq!(client.ask(&subscribe).await.get("receipt-id"), Some("r"));
        if number > 0 {
            // Sent while the one before was away.
            let message = client.message().await;
            assert_eq!(body(&message), (number - 1).to_string(), "{headers}");
        }
        client.send("DISCONNECT\nreceipt:d\n\n\0").await;
        assert_eq!(client.receipt().await, "d");
        let send = format!("SEND\ndestination:/topic/t\nreceipt:s\n\n{number}\0");
        sender.nothing_but_receipt(&send, "s").await;
    }
    let unnamed = "SUBSCRIBE\ndestination:/topic/t\ndurable:true\n\n\0";
    failure(&server, unnamed).await;
}

#[tokio::test]
async fn requirement_12_nack_requeues_or_makes_a_dead_letter() {
    let server = Server::start().await;
    let name = |text: &str| TopicName::new(text).unwrap();
    for (topic, dead_letter) in [("dead", None), ("q", Some(name("dead")))] {
        let settings = TopicSettings {
            dead_letter,
            ..TopicSettings::default()
        };
        let topic = name(topic);
        admin(&server, Admin::Define { topic, settings }).await;
    }
    admin(
        &server,
        Admin::Subscribe {
            topic: name("dead"),
            subscription: SubscriptionName::new("queue").unwrap(),
            from: None,
            settings: SubscriptionSettings::default(),
        },
    )
    .await;
    let mut client = StompClient::connect(&server).await;
    client.subscribe("q", "/queue/q", "client-individual").await;
    client.send("SEND\ndestination:/queue/q\na:1\n\nx\0").await;
    for requeue in ["", "requeue:true\n", "requeue:false\n"] {
        let message = client.message().await;
        let ack = message.get("ack").unwrap();
        client.send(&format!("NACK\nid:{ack}\n{requeue}\n\0")).await;
    }
    client.subscribe("dead", "/queue/dead", "auto").await;
    let letter = client.message().await;
    assert_eq!((body(&letter), letter.get("a")), ("x", Some("1")));
    assert_eq!(letter.get("trunkline-dead-topic"), Some("q"));
    assert_eq!(letter.get("trunkline-dead-reason"), Some("rejected"));
    assert_eq!(letter.get("trunkline-dead-attempts"), Some("3"));
}

#[tokio::test]
async fn requirement_12_credit_in_three_spellings() {
    let server = Server::start().await;
    for (number, (header, expected)) in [
        ("prefetch-count:2", 2),
        ("activemq.prefetchSize:2", 2),
        ("prefetch-count:0", 5),
        // A window in bytes bounds what is not written yet; all of it is.
        ("consumer-window-size:1", 5),
    ]
    .into_iter()
    .enumerate()
    {
        let mut client = StompClient::connect(&server).await;
        let queue = format!("/queue/q{number}");
        client.sends(&queue, &["1", "2", "3", "4", "5"]).await;
        client
            .send(&format!(
                "SUBSCRIBE\nid:s\ndestination:{queue}\nack:client\n{header}\n\n\0"
            ))
            .await;
        let all = ["1", "2", "3", "4", "5"];
        assert_eq!(client.bodies(expected).await, all[..expected], "{header}");
        // The next comes only for an ACK.
        if expected < all.len() {
            client
                .send("SEND\ndestination:/topic/none\nreceipt:r\n\n\0")
                .await;
            assert_eq!(client.receipt().await, "r");
        }
    }
}

#[tokio::test]
async fn requirement_13_answers_come_to_temporary_queues() {
    let server = Server::start().await;
    let mut replier = StompClient::connect(&server).await;
    replier.subscribe("ask", "/queue/ask", "auto").await;
    for (subscribe, id) in [
        ("", "/temp-queue/r"),
        (
            "SUBSCRIBE\nid:mine\ndestination:/temp-queue/r\n\n\0",
            "mine",
        ),
    ] {
        let mut client = StompClient::connect(&server).await;
        client.send(subscribe).await;
        client
            .send("SEND\ndestination:/queue/ask\nreply-to:/temp-queue/r\ncorrelation-id:7\n\nq\0")
            .await;
        let asked = replier.message().await;
        let (to, id7) = (asked.get("reply-to"), asked.get("correlation-id"));
        let answer = format!(
            "SEND\ndestination:{}\ncorrelation-id:{}\n\na\0",
            to.unwrap(),
            id7.unwrap()
        );
        replier.send(&answer).await;
        let message = client.message().await;
        assert_eq!(message.get("subscription"), Some(id));
        assert_eq!(message.get("correlation-id"), Some("7"));
        assert_eq!(message.get("destination"), Some("/temp-queue/r"));
        assert_eq!(body(&message), "a");
    }
}

#[tokio::test]
async fn requirement_14_faults_of_clients_are_not_chased() {
    let server = Server::start().await;
    let mut client = StompClient::connect(&server).await;
    client.subscribe("s", "/queue/q", "auto").await;
    let send = b"SEND\ndestination:/queue/q\na\\cb:\\r\\n\\c\\\\\n\nx\0";
    client.write(send).await;
    // As the specification has it, though there are clients that read neither a name nor CR so.
    let mut raw = Vec::new();
    while !raw.ends_with(b"\0") {
        use tokio::io::AsyncReadExt;
        raw.push(client.stream.read_u8().await.unwrap());
    }
    let text = String::from_utf8(raw).unwrap();
    assert!(text.contains("\na\\cb:\\r\\n\\c\\\\\n"), "{text:?}");
}
