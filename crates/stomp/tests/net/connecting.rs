//! Options, connecting, heart-beats.

use crate::scripted::{Server, header, soon, told};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use trunkline_stomp::{AckMode, Client, ClientBuilder, Command, ErrorCode, Operation, UsageError};

#[tokio::test]
async fn case_01_defaults_and_accessors() {
    let client = ClientBuilder::default().lazy(true).build();
    assert_eq!((&*client.host(), client.port()), ("localhost", 61613));
    assert_eq!(client.connection_timeout(), None);
    assert_eq!(client.reconnect_interval(), None);
    client.set_connection_timeout(Some(Duration::ZERO));
    client.set_reconnect_interval(Some(Duration::from_millis(500)));
    assert_eq!(client.connection_timeout(), Some(Duration::ZERO));
    assert_eq!(
        client.reconnect_interval(),
        Some(Duration::from_millis(500))
    );
    client.set_connection_timeout(None);
    client.set_reconnect_interval(None);
    assert_eq!(client.connection_timeout(), None);
    assert_eq!(client.reconnect_interval(), None);
    // Nothing is begun, so nothing is to be waited for.
    assert_eq!(client.disconnect().await, Ok(None));
}

#[tokio::test]
async fn case_01_wrong_arguments_have_their_texts() {
    let wrong = |name: &str, value: &str| {
        let set = ClientBuilder::default().set(name, value);
        set.expect_err("it is wrong").to_string()
    };
    assert_eq!(
        wrong("heartbeat", "300"),
        "\"heartbeat\" must be specified as array reference"
    );
    for values in ["300,a", "-1,2", "1.5,2", ","] {
        assert_eq!(
            wrong("heartbeat", values),
            "\"heartbeat\" values must be an integer numbers"
        );
    }
    for name in ["connection_timeout", "reconnect_interval"] {
        for value in ["", "a", "-0.1", "NaN", "inf"] {
            let text = format!("\"{name}\" must be a positive number");
            assert_eq!(wrong(name, value), text, "{value}");
        }
        assert!(ClientBuilder::default().set(name, "0").is_ok());
    }
    assert_eq!(
        wrong("command_headers", "a"),
        "\"command_headers\" must be specified as hash reference"
    );
    assert!(wrong("retries", "1").contains("no option \"retries\""));
    let right = ClientBuilder::default()
        .set("connection_timeout", "0.25")
        .unwrap()
        .set("heartbeat", "300,400")
        .unwrap()
        .set("lazy", "1")
        .unwrap();
    let client = right.build();
    assert_eq!(
        client.connection_timeout(),
        Some(Duration::from_millis(250))
    );
    for (operation, text) in [
        (
            Operation::of(Command::Ack),
            "\"message\" parameter must be specified",
        ),
        (
            Operation::of(Command::Nack),
            "\"message\" parameter must be specified",
        ),
        (
            Operation::subscribe("/queue/a", AckMode::Auto),
            "\"on_message\" callback must be specified",
        ),
        (
            Operation::of(Command::Connect),
            "CONNECT is not for users of a client to send",
        ),
    ] {
        let refused = client.execute(operation).expect_err("it is wrong");
        assert_eq!(refused.to_string(), text);
    }
    let twice = ClientBuilder::default().command_headers([("frob", &[][..])]);
    assert_eq!(twice.err(), Some(UsageError::CommandHeadersNotAMap));
}

/// Runs itself again, to see what the client writes to stderr.
#[tokio::test]
async fn case_01_errors_that_nobody_hears_go_to_stderr() {
    const CHILD: &str = "TRUNKLINE_STOMP_TEST_CHILD";
    let server = Server::start().await;
    if let Ok(port) = std::env::var(CHILD) {
        let client = Client::builder("127.0.0.1", port.parse().unwrap())
            .on_error(|_| {})
            .lazy(true)
            .build();
        let missed = client.send("/queue/a", "quiet").receipt("auto").await;
        assert_eq!(missed.unwrap_err().code, ErrorCode::ClosedByRemoteHost);
        client.set_on_error(None);
        let missed = client.send("/queue/a", "loud").receipt("auto").await;
        assert_eq!(missed.unwrap_err().code, ErrorCode::ClosedByRemoteHost);
        return;
    }
    let test = "connecting::case_01_errors_that_nobody_hears_go_to_stderr";
    let child = tokio::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "--nocapture", test])
        .env(CHILD, server.port().to_string())
        .kill_on_drop(true)
        .output();
    let serve = async {
        for _ in 0..2 {
            let mut peer = server.welcome().await;
            peer.frame().await;
        }
    };
    let (output, ()) = soon(async { tokio::join!(child, serve) }).await;
    let output = output.unwrap();
    assert!(output.status.success(), "{output:?}");
    let printed = String::from_utf8(output.stderr).unwrap();
    let line = format!(
        "STOMP client of 127.0.0.1:{}: Connection closed by remote host.",
        server.port()
    );
    assert_eq!(printed.matches(&line).count(), 1, "{printed}");
}

#[tokio::test]
async fn case_02_connect_has_its_own_headers_and_no_others() {
    let server = Server::start().await;
    let client = server
        .client()
        .login("me", "p:\\")
        .vhost("v")
        .heartbeat(0, 0)
        .default_header("d", "default")
        .default_header("x", "default")
        .default_header("y", "default")
        .command_headers([("send", &[("x", "command"), ("y", "command")][..])])
        .unwrap()
        .build();
    let mut peer = server.accept().await;
    assert_eq!(
        peer.frame().await,
        "CONNECT\naccept-version:1.0,1.1,1.2\nheart-beat:0,0\nlogin:me\npasscode:p:\\\nhost:v\n\
         content-length:0\n\n"
    );
    peer.send("CONNECTED\nversion:1.2\n\n\0").await;
    client
        .send("/queue/a", "hello")
        .header("y", "call")
        .await
        .unwrap();
    assert_eq!(
        peer.frame().await,
        "SEND\ndestination:/queue/a\ny:call\nx:command\nd:default\ncontent-length:5\n\nhello"
    );
    assert!(!format!("{client:?}").contains("p:"));
}

#[tokio::test]
async fn case_13_a_lazy_client_connects_at_its_first_command() {
    let server = Server::start().await;
    let client = server.client().lazy(true).build();
    let mut events = client.events();
    // A client that is not lazy calls before this one does.
    let eager = server.client().build();
    let eager_peer = server.welcome().await;
    assert!(!server.is_called().await);
    let sent = client.send("/queue/a", "hello").start();
    let mut peer = server.welcome().await;
    assert!(peer.frame().await.ends_with("hello"));
    soon(sent).await.unwrap();
    assert_eq!(told(&mut events).await, "connect");
    assert_eq!(told(&mut events).await, "ready 1.2 s");
    drop((eager, eager_peer));
}

#[tokio::test]
async fn case_13_who_does_not_answer_is_given_up_with_code_1() {
    let server = Server::start().await;
    let timeout = Duration::from_millis(100);
    // The connection is made, and nothing comes.
    let client = server.client().connection_timeout(timeout).connect();
    let (client, peer) = soon(async { tokio::join!(client, server.accept()) }).await;
    let error = client.unwrap_err();
    assert_eq!(error.code, ErrorCode::CantConnect);
    let port = server.port();
    assert_eq!(
        error.message,
        format!("Can't connect to 127.0.0.1:{port}: no CONNECTED came in time")
    );
    assert!(peer.closed().await.starts_with("CONNECT\n"));
}

#[tokio::test]
async fn case_13_where_nobody_listens_is_code_1() {
    let port = Server::start().await.port();
    let error = soon(Client::builder("127.0.0.1", port).connect()).await;
    let error = error.unwrap_err();
    assert_eq!(
        (error.code, error.code.name()),
        (ErrorCode::CantConnect, "E_CANT_CONN")
    );
    assert_eq!(
        error.message,
        format!("Can't connect to 127.0.0.1:{port}: Connection refused")
    );
}

#[tokio::test]
async fn case_13_an_address_that_swallows_everything_is_code_1() {
    // A socket whose queue of connections is full answers no more: the next ones wait.
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let listener = socket.listen(1).unwrap();
    let address = listener.local_addr().unwrap();
    let mut filling = Vec::new();
    let short = Duration::from_millis(200);
    while let Ok(stream) =
        tokio::time::timeout(short, tokio::net::TcpStream::connect(address)).await
    {
        filling.push(stream.unwrap());
        assert!(filling.len() < 100, "the queue has an end");
    }
    let client = Client::builder("127.0.0.1", address.port()).connection_timeout(short);
    let error = soon(client.connect()).await.unwrap_err();
    assert_eq!(
        error.message,
        format!("Can't connect to {address}: Connection timed out")
    );
}

#[tokio::test]
async fn case_12_beats_follow_what_was_agreed() {
    // Both directions: every max(30, 60) / 3 ms at most something is sent; 3 * max(40, 50) ms of
    // silence are too long.
    let server = Server::start().await;
    let client = server.client().heartbeat(30, 40).build();
    let mut events = client.events();
    let mut peer = server.accept().await;
    peer.welcome("version:1.2\nheart-beat:50,60\n").await;
    let from = Instant::now();
    assert_eq!(peer.bytes().await, b"\n");
    assert_eq!(peer.bytes().await, b"\n");
    assert!(from.elapsed() >= Duration::from_millis(20));
    assert_eq!(told(&mut events).await, "connect");
    assert_eq!(told(&mut events).await, "ready 1.2 ");
    assert_eq!(told(&mut events).await, "error 7 Read timed out.");
    assert!(from.elapsed() >= Duration::from_millis(140));
    assert_eq!(told(&mut events).await, "disconnect");
    assert!(peer.closed().await.trim_matches('\n').is_empty());
}

/// The timer and the beat are found at the same moment; the timer used to win now and then.
#[tokio::test]
async fn case_12_who_was_held_up_does_not_take_the_server_for_silent() {
    let server = Server::start().await;
    let client = server.client().heartbeat(0, 10).build();
    let mut peer = server.accept().await;
    peer.welcome("version:1.2\nheart-beat:10,0\n").await;
    for _ in 0..10 {
        peer.send("\n").await;
        // The whole runtime is held up, longer than silence is allowed.
        std::thread::sleep(Duration::from_millis(40));
        client.send("/queue/a", "still here").await.unwrap();
    }
}

#[tokio::test]
async fn case_12_no_beats_where_one_side_wants_none() {
    let server = Server::start().await;
    for (ours, theirs) in [
        ((0, 0), "1,1"),
        ((1, 1), "0,0"),
        ((0, 0), "0,0"),
        ((1, 0), "1,0"),
    ] {
        let client = server.client().heartbeat(ours.0, ours.1).build();
        let mut events = client.events();
        let mut peer = server.accept().await;
        let headers = format!("version:1.2\nheart-beat:{theirs}\n");
        peer.welcome(&headers).await;
        assert_eq!(told(&mut events).await, "connect");
        assert_eq!(told(&mut events).await, "ready 1.2 ");
        // Long enough for many beats of a millisecond.
        tokio::time::sleep(Duration::from_millis(30)).await;
        client.send("/queue/a", "still here").await.unwrap();
        assert!(
            peer.bytes().await.starts_with(b"SEND\n"),
            "{ours:?} {theirs}"
        );
        client.force_disconnect();
    }
}

#[tokio::test]
async fn errors_reach_the_users_function_which_may_use_the_client() {
    let server = Server::start().await;
    let client = server.client().build();
    let heard = Arc::new(Mutex::new(Vec::new()));
    let (kept, again) = (Arc::clone(&heard), client.clone());
    client.set_on_error(Some(Arc::new(move |error| {
        kept.lock().unwrap().push(error.message.clone());
        if error.code == ErrorCode::ClosedByRemoteHost {
            drop(again.send("/queue/a", "once more").start());
        }
    })));
    drop(server.welcome().await);
    let mut peer = server.welcome().await;
    let frame = peer.frame().await;
    assert_eq!(header(&frame, "destination"), Some("/queue/a"));
    assert_eq!(
        *heard.lock().unwrap(),
        ["Connection closed by remote host."]
    );
    // The function holds a client.
    client.set_on_error(None);
}
