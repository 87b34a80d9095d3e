use super::server::Server;
use tokio_websockets::{Config, Message};
use trunkline_engine_embedded::EmbeddedConfig;

const LIST: &str = r#"{"jsonrpc":"2.0","id":1,"method":"rpc.topic.list"}"#;
const LISTED: &str = r#"{"jsonrpc":"2.0","id":1,"result":{"topics":[]}}"#;

#[tokio::test]
async fn frames_that_end_a_connection_end_it_with_their_code() {
    let server = Server::start().await;
    let large = vec![b' '; 2 << 20];
    for (message, code) in [
        (Message::binary(LIST), 1003),
        (Message::text(&b"{\"\xff\":1}"[..]), 1007),
        (Message::text(large), 1009),
    ] {
        let mut client = server.connect().await;
        assert_eq!(client.ask(LIST).await, LISTED);
        client.send_message(message).await;
        assert_eq!(client.closed().await, code);
    }
    // Nobody else noticed.
    assert_eq!(server.connect().await.ask(LIST).await, LISTED);
}

#[tokio::test]
async fn a_message_in_fragments_has_the_same_bound() {
    let server = Server::start().await;
    let fragments = Config::default().frame_size(100_000);
    let mut client = server.connect_with(fragments).await;
    assert_eq!(
        client.ask(&format!("{LIST}{}", " ".repeat(300_000))).await,
        LISTED
    );
    client
        .send_message(Message::text(vec![b' '; 2 << 20]))
        .await;
    assert_eq!(client.closed().await, 1009);
}

#[tokio::test]
async fn what_was_asked_before_a_bad_frame_is_answered() {
    let server = Server::start().await;
    let mut client = server.connect().await;
    client.feed(LIST.to_owned()).await.unwrap();
    client.send_message(Message::binary("x")).await;
    assert_eq!(client.receive().await.as_deref(), Ok(LISTED));
    assert_eq!(client.closed().await, 1003);
}

#[tokio::test]
async fn a_frame_may_be_as_large_as_the_bound() {
    let server = Server::start().await;
    let mut client = server.connect().await;
    let padding = " ".repeat((1 << 20) - LIST.len());
    assert_eq!(client.ask(&format!("{LIST}{padding}")).await, LISTED);
}

#[tokio::test]
async fn deep_nesting_and_huge_batches_are_refused_whole() {
    let server = Server::start().await;
    let mut client = server.connect().await;
    let deep = format!(
        r#"{{"jsonrpc":"2.0","id":1,"method":"m","params":{}}}"#,
        "[".repeat(100_000) + &"]".repeat(100_000)
    );
    assert_eq!(
        client.ask(&deep).await,
        r#"{"jsonrpc":"2.0","id":null,"error":{"code":-32600,"message":"nested deeper than 128 levels"}}"#
    );
    let batch = format!("[{}]", vec![LIST; 1_001].join(","));
    assert_eq!(
        client.ask(&batch).await,
        r#"{"jsonrpc":"2.0","id":null,"error":{"code":-32007,"message":"a batch may have at most 1000 entries"}}"#
    );
    let batch = format!("[{}]", vec![LIST; 1_000].join(","));
    let expected = format!("[{}]", vec![LISTED; 1_000].join(","));
    assert_eq!(client.ask(&batch).await, expected);
}

#[tokio::test]
async fn a_connection_has_its_bounds() {
    let server = Server::start_with(|config| {
        config.limits.max_in_flight = 2;
        config.limits.max_consumers = 1;
        config.limits.max_listening = 1;
        config.limits.max_workers = 1;
    })
    .await;
    let mut client = server.connect().await;
    let register = r#"{"jsonrpc":"2.0","id":0,"method":"rpc.worker.register","params":{"handler":"h","methods":["m"]}}"#;
    let consume = r#"{"jsonrpc":"2.0","id":0,"method":"rpc.topic.consume","params":{"topic":"t","subscription":"s"}}"#;
    let listen =
        r#"{"jsonrpc":"2.0","id":0,"method":"rpc.channel.subscribe","params":{"channels":["c"]}}"#;
    for (request, what, limit) in [
        (register, "workers", 1),
        (consume, "consumers", 1),
        (listen, "channels and patterns", 1),
    ] {
        assert!(client.ask(request).await.contains("result"), "{request}");
        let more = request.replace(r#"["c"]"#, r#"["d"]"#);
        assert_eq!(client.ask(&more).await, refusal(0, what, limit));
    }
    assert!(client.ask(listen).await.contains("result"), "nothing new");
    let mut caller = server.connect().await;
    for _ in 0..2 {
        caller
            .send(r#"{"jsonrpc":"2.0","id":1,"method":"m"}"#)
            .await;
    }
    let refused = caller.ask(r#"{"jsonrpc":"2.0","id":3,"method":"m"}"#).await;
    assert_eq!(refused, refusal(3, "requests in flight", 2));
}

#[tokio::test]
async fn an_unknown_topic_is_unknown_where_topics_are_not_made_on_first_use() {
    let engine = EmbeddedConfig {
        auto_create: false,
        ..EmbeddedConfig::memory()
    };
    let server = Server::start_over(engine, |_| {}).await;
    let mut client = server.connect().await;
    for (method, params) in [
        ("publish", r#"{"topic":"t","messages":[{"payload":1}]}"#),
        ("consume", r#"{"topic":"t","subscription":"s"}"#),
        ("subscribe", r#"{"topic":"t","subscription":"s"}"#),
        ("inspect", r#"{"topic":"t"}"#),
        ("peek", r#"{"topic":"t"}"#),
        ("purge", r#"{"topic":"t"}"#),
    ] {
        let request = format!(
            r#"{{"jsonrpc":"2.0","id":1,"method":"rpc.topic.{method}","params":{params}}}"#
        );
        let answer = client.ask(&request).await;
        assert!(answer.contains(r#""code":-32009"#), "{method}: {answer}");
        assert!(
            answer.contains(r#""data":{"topic":"t"}"#),
            "{method}: {answer}"
        );
    }
    assert_eq!(client.ask(LIST).await, LISTED);
}

fn refusal(id: u64, what: &str, limit: usize) -> String {
    format!(
        r#"{{"jsonrpc":"2.0","id":{id},"error":{{"code":-32003,"message":"this connection already has {limit} {what}, the most it may have","data":{{"limit":{limit}}}}}}}"#
    )
}
