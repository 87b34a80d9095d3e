use super::server::{Server, http, on_free_ports, services};
use trunkline_engine_embedded::{Embedded, EmbeddedConfig};
use trunkline_gateway::{BindError, Doorstep, Gateway, GatewayConfig};

const LIST: &str = r#"{"jsonrpc":"2.0","id":1,"method":"rpc.topic.list"}"#;
const JSON: &str = "Content-Type: application/json";

/// Status line's number, and whether the body is a problem.
fn verdict(answer: &str) -> (&str, bool) {
    let problem = answer.contains("\r\ncontent-type: application/problem+json\r\n");
    (&answer[9..12], problem)
}

#[tokio::test]
async fn post_answers_objects_and_batches_and_nothing_else() {
    let server = Server::start().await;
    let batch = format!("[{LIST},{}]", LIST.replace("\"id\":1,", ""));
    let push = LIST.replace("rpc.topic.list", "rpc.worker.register");
    for (body, expected) in [
        (
            LIST,
            (200, r#"{"jsonrpc":"2.0","id":1,"result":{"topics":[]}}"#),
        ),
        (
            &batch,
            (200, r#"[{"jsonrpc":"2.0","id":1,"result":{"topics":[]}}]"#),
        ),
        (&LIST.replace("\"id\":1,", ""), (204, "")),
        (r#"{"jsonrpc":"2.0","id":1,"result":7}"#, (204, "")),
        (
            "",
            (
                200,
                r#"{"jsonrpc":"2.0","id":null,"error":{"code":-32700,"message":"not JSON: EOF while parsing a value at line 1 column 0"}}"#,
            ),
        ),
        (
            &push,
            (
                200,
                r#"{"jsonrpc":"2.0","id":1,"error":{"code":-32010,"message":"rpc.worker.register needs a WebSocket connection, POST gets answers only","data":{"capability":"push"}}}"#,
            ),
        ),
    ] {
        let (status, answer) = server.post(body).await;
        assert_eq!((status, answer.as_str()), expected, "{body}");
    }
    for method in ["rpc.topic.consume", "rpc.channel.subscribe"] {
        let (_, answer) = server.post(&LIST.replace("rpc.topic.list", method)).await;
        assert!(answer.contains("-32010"), "{answer}");
    }
}

#[tokio::test]
async fn post_waits_for_a_workers_answer() {
    let server = Server::start().await;
    let mut worker = server.connect().await;
    worker
        .ask(r#"{"jsonrpc":"2.0","id":1,"method":"rpc.worker.register","params":{"handler":"h","methods":["m"]}}"#)
        .await;
    let (post, ()) = tokio::join!(
        server.post(r#"{"jsonrpc":"2.0","id":"p","method":"m","params":[1]}"#),
        async {
            let request = worker.receive().await.unwrap();
            let request: serde_json::Value = serde_json::from_str(&request).unwrap();
            let id = &request["id"];
            let answer = format!(r#"{{"jsonrpc":"2.0","id":{id},"result":[2]}}"#);
            worker.send(&answer).await;
        }
    );
    let expected = r#"{"jsonrpc":"2.0","id":"p","result":[2]}"#;
    assert_eq!(post, (200, expected.to_owned()));
}

#[tokio::test]
async fn what_is_refused_is_refused_with_a_problem() {
    let server = Server::start().await;
    let large = format!("\"{}\"", "x".repeat(1 << 20));
    for (line, headers, body, status) in [
        ("GET /", &[][..], "", "404"),
        ("GET /rpc", &[], "", "426"),
        ("DELETE /rpc", &[], "", "405"),
        ("POST /healthz", &[], "", "405"),
        ("POST /rpc", &[], LIST, "415"),
        ("POST /rpc", &["Content-Type: text/plain"], LIST, "415"),
        (
            "POST /rpc",
            &["Content-Type: application/x-www-form-urlencoded"],
            LIST,
            "415",
        ),
        ("POST /rpc", &[JSON], &large, "413"),
        (
            "POST /rpc",
            &[JSON, "Origin: https://evil.example"],
            LIST,
            "403",
        ),
        ("POST /rpc", &[JSON, "Origin: null"], LIST, "403"),
        ("POST /rpc", &[JSON, "Host: evil.example"], LIST, "403"),
        ("GET /rpc", &["Host: evil.example:7400"], "", "403"),
    ] {
        let answer = server.http(line, headers, body).await;
        assert_eq!(verdict(&answer), (status, true), "{line} {headers:?}");
    }
    assert_eq!(server.counters.forbidden.get(), 4);
}

#[tokio::test]
async fn a_page_may_connect_only_from_here() {
    let server = Server::start_with(|config| {
        config.origins = vec!["https://app.example".to_owned()];
    })
    .await;
    let handshake = [
        "Upgrade: websocket",
        "Sec-WebSocket-Version: 13",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
        "Connection: Upgrade",
    ];
    let own = format!("http://{}", server.address);
    for (origin, status) in [
        (Some(own.as_str()), "101"),
        (Some("http://localhost:3000"), "101"),
        (Some("https://app.example"), "101"),
        (None, "101"),
        (Some("https://evil.example"), "403"),
        (Some("null"), "403"),
    ] {
        let header = origin.map(|origin| format!("Origin: {origin}"));
        let headers: Vec<&str> = handshake.into_iter().chain(header.as_deref()).collect();
        let mut stream = tokio::net::TcpStream::connect(server.address)
            .await
            .unwrap();
        let head = format!(
            "GET /rpc HTTP/1.1\r\nHost: {}\r\n{}\r\n\r\n",
            server.address,
            headers.join("\r\n")
        );
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        stream.write_all(head.as_bytes()).await.unwrap();
        let mut answer = [0; 12];
        stream.read_exact(&mut answer).await.unwrap();
        assert_eq!(&answer[9..], status.as_bytes(), "{origin:?}");
    }
}

#[tokio::test]
async fn health_is_told() {
    use trunkline_model::Engine;
    let server = Server::start().await;
    let get = |path| server.http(path, &[], "");
    assert!(get("GET /healthz").await.ends_with(r#"{"status":"alive"}"#));
    assert!(get("GET /readyz").await.ends_with(r#"{"status":"ready"}"#));
    server.engine.close(std::time::Duration::from_secs(1));
    let mut health = server.engine.health();
    health
        .wait_for(|health| *health == trunkline_model::Health::Closed)
        .await
        .unwrap();
    let answer = get("GET /readyz").await;
    assert_eq!(verdict(&answer), ("503", true));
    assert!(answer.contains("the engine is closed"), "{answer}");
}

/// While the store recovers, clients are told so; nobody is left waiting or finds nobody there.
#[tokio::test]
async fn a_server_that_is_starting_says_so() {
    let doorstep = Doorstep::bind(on_free_ports()).await.unwrap();
    let address = doorstep.local_addr();
    let (recovered, recovery) = tokio::sync::oneshot::channel();
    let opening = tokio::spawn(doorstep.open("recovering the store", recovery));
    assert!(
        http(address, "GET /healthz", &[], "")
            .await
            .ends_with(r#"{"status":"alive"}"#)
    );
    for line in ["GET /readyz", "POST /rpc"] {
        let answer = http(address, line, &[], "").await;
        assert_eq!(verdict(&answer), ("503", true));
        assert!(answer.contains("the server is starting: recovering the store"));
    }
    let engine = Embedded::open(EmbeddedConfig::memory()).unwrap();
    assert!(recovered.send(services(engine)).is_ok());
    let gateway = opening.await.unwrap().unwrap();
    let running = tokio::spawn(gateway.run(std::future::pending()));
    let answer = http(address, "GET /readyz", &[], "").await;
    assert!(answer.ends_with(r#"{"status":"ready"}"#), "{answer}");
    running.abort();
}

#[tokio::test]
async fn a_public_address_and_a_used_port_are_refused() {
    let engine = Embedded::open(EmbeddedConfig::memory()).unwrap();
    let bind = async |http: String, insecure| {
        let config = GatewayConfig {
            http: http.parse().unwrap(),
            insecure,
            ..on_free_ports()
        };
        Gateway::bind(config, services(engine.clone())).await
    };
    for public in ["0.0.0.0:0", "[::]:0", "192.0.2.1:7400"] {
        let error = bind(public.to_owned(), false).await.unwrap_err();
        assert!(matches!(error, BindError::Public(_)), "{error}");
        assert!(error.to_string().contains("--insecure"), "{error}");
    }
    assert!(bind("0.0.0.0:0".to_owned(), true).await.is_ok());
    let first = bind("127.0.0.1:0".to_owned(), false).await.unwrap();
    let address = first.local_addr();
    let error = bind(address.to_string(), false).await.unwrap_err();
    assert!(error.to_string().contains(&address.to_string()), "{error}");
    assert!(matches!(error, BindError::InUse { .. }), "{error}");
}
