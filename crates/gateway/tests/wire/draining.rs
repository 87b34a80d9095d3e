use super::server::Server;
use std::time::Duration;
use trunkline_gateway::Drained;
use trunkline_model::Span;

const REGISTER: &str = r#"{"jsonrpc":"2.0","id":1,"method":"rpc.worker.register","params":{"handler":"h","methods":["m"]}}"#;

#[tokio::test]
async fn running_calls_finish_and_everybody_is_told_goodbye() {
    let mut server = Server::start().await;
    let mut worker = server.connect().await;
    let mut caller = server.connect().await;
    let mut idle = server.connect().await;
    worker.ask(REGISTER).await;
    caller
        .send(r#"{"jsonrpc":"2.0","id":1,"method":"m"}"#)
        .await;
    let request = worker.receive().await.unwrap();
    let request: serde_json::Value = serde_json::from_str(&request).unwrap();

    server.stop();
    // New work is refused as soon as draining has begun.
    let refused = loop {
        let answer = idle
            .ask(r#"{"jsonrpc":"2.0","id":2,"method":"rpc.channel.publish","params":{"channel":"c","payload":1}}"#)
            .await;
        if answer.contains("error") {
            break answer;
        }
    };
    assert_eq!(
        refused,
        r#"{"jsonrpc":"2.0","id":2,"error":{"code":-32012,"message":"the server is shutting down; connect again later"}}"#
    );
    let readyz = server.http("GET /readyz", &[], "").await;
    assert!(readyz.starts_with("HTTP/1.1 503 "), "{readyz}");
    assert!(readyz.contains("shutting down"), "{readyz}");
    worker
        .send(&format!(
            r#"{{"jsonrpc":"2.0","id":{},"result":"done"}}"#,
            request["id"]
        ))
        .await;
    let answer = r#"{"jsonrpc":"2.0","id":1,"result":"done"}"#;
    assert_eq!(caller.receive().await.as_deref(), Ok(answer));
    for client in [&mut worker, &mut caller, &mut idle] {
        assert_eq!(client.closed().await, 1001);
    }
    drop((worker, caller, idle));
    assert_eq!(server.stopped().await, Drained::Cleanly);
}

#[tokio::test]
async fn a_call_that_does_not_end_is_given_up() {
    let mut server = Server::start_with(|config| {
        config.drain_timeout = Span(Duration::from_millis(200));
    })
    .await;
    let mut worker = server.connect().await;
    let mut caller = server.connect().await;
    worker.ask(REGISTER).await;
    caller
        .send(r#"{"jsonrpc":"2.0","id":1,"method":"m"}"#)
        .await;
    worker.receive().await.unwrap();
    server.stop();
    let answer = caller.receive().await.unwrap();
    assert!(answer.contains("-32012"), "{answer}");
    assert_eq!(caller.closed().await, 1001);
    assert_eq!(worker.closed().await, 1001);
    drop((caller, worker));
    // Whether all were gone within a quarter of so short a time is the machine's business.
    server.stopped().await;
}
