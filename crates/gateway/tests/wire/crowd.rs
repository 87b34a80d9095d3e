//! Many clients on many threads: every answer arrives, once, and order holds.

use super::server::{Client, Server};
use serde_json::Value;
use std::collections::BTreeSet;
use trunkline_engine_embedded::{EmbeddedConfig, Location};

const CALLERS: usize = 6;
const CALLS: usize = 400;
const MESSAGES: usize = 1_000;

async fn frame(client: &mut Client) -> Value {
    serde_json::from_str(&client.receive().await.unwrap()).unwrap()
}

/// Answers every call with its params.
async fn work(mut worker: Client) {
    while let Ok(frame) = worker.receive().await {
        let frame: Value = serde_json::from_str(&frame).unwrap();
        let (id, params) = (&frame["id"], &frame["params"]);
        let answer = format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{params}}}"#);
        worker.send(&answer).await;
    }
}

async fn call_all(mut caller: Client, number: usize) {
    for call in 0..CALLS {
        let request = format!(
            r#"{{"jsonrpc":"2.0","id":{call},"method":"echo","params":[{number},{call}]}}"#
        );
        caller.feed(request).await.unwrap();
    }
    caller.flush().await.unwrap();
    let mut answered = BTreeSet::new();
    for _ in 0..CALLS {
        let answer = frame(&mut caller).await;
        let id = answer["id"].as_u64().unwrap();
        assert_eq!(answer["result"], serde_json::json!([number, id]));
        assert!(answered.insert(id), "{id} is answered twice");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn every_call_is_answered_once() {
    let server = Server::start().await;
    let mut workers = Vec::new();
    for concurrency in [1, 16] {
        let mut worker = server.connect().await;
        let register = format!(
            r#"{{"jsonrpc":"2.0","id":1,"method":"rpc.worker.register","params":{{"handler":"h","methods":["echo"],"concurrency":{concurrency}}}}}"#
        );
        assert!(worker.ask(&register).await.contains("result"));
        workers.push(tokio::spawn(work(worker)));
    }
    let mut callers = Vec::new();
    for number in 0..CALLERS {
        callers.push(tokio::spawn(call_all(server.connect().await, number)));
    }
    for caller in callers {
        caller.await.unwrap();
    }
    for worker in workers {
        worker.abort();
    }
}

async fn publish_all(mut publisher: Client) {
    for number in 0..MESSAGES {
        let request = format!(
            r#"{{"jsonrpc":"2.0","id":{number},"method":"rpc.topic.publish","params":{{"topic":"t","messages":[{{"payload":{number}}}]}}}}"#
        );
        publisher.feed(request).await.unwrap();
    }
    publisher.flush().await.unwrap();
    // In order of completion, which threads that complete at the same time may swap.
    let mut confirmed = BTreeSet::new();
    for _ in 0..MESSAGES {
        let answer = frame(&mut publisher).await;
        assert!(answer["result"]["ids"].is_array(), "{answer}");
        assert!(confirmed.insert(answer["id"].as_u64()), "{answer}");
    }
}

/// Takes everything, acks every delivery, and waits for the acks to be durable.
async fn consume_all(mut consumer: Client, subscription: String) {
    let request = format!(
        r#"{{"jsonrpc":"2.0","id":"c","method":"rpc.topic.consume","params":{{"topic":"t","subscription":"{subscription}","credit":50}}}}"#
    );
    let answer = consumer.ask(&request).await;
    let answer: Value = serde_json::from_str(&answer).unwrap();
    let name = &answer["result"]["consumer"];
    let (mut taken, mut acked) = (0, 0);
    while acked < MESSAGES {
        let frame = frame(&mut consumer).await;
        let Some(deliveries) = frame["params"]["deliveries"].as_array() else {
            acked += frame["result"]["acked"].as_u64().unwrap() as usize;
            continue;
        };
        for delivery in deliveries {
            assert_eq!(delivery["payload"], taken);
            taken += 1;
            let ack = format!(
                r#"{{"jsonrpc":"2.0","id":{taken},"method":"rpc.topic.ack","params":{{"consumer":{name},"tags":[{}]}}}}"#,
                delivery["tag"]
            );
            consumer.send(&ack).await;
        }
    }
}

async fn publish_and_consume(engine: EmbeddedConfig) {
    let server = Server::start_over(engine, |_| {}).await;
    let mut setup = server.connect().await;
    let mut consumers = Vec::new();
    for subscription in ["s1", "s2", "s3"] {
        let request = format!(
            r#"{{"jsonrpc":"2.0","id":1,"method":"rpc.topic.subscribe","params":{{"topic":"t","subscription":"{subscription}"}}}}"#
        );
        assert!(setup.ask(&request).await.contains("created"));
        let consumer = server.connect().await;
        consumers.push(tokio::spawn(consume_all(consumer, subscription.to_owned())));
    }
    publish_all(server.connect().await).await;
    for consumer in consumers {
        consumer.await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn every_message_is_confirmed_and_delivered_in_order() {
    publish_and_consume(EmbeddedConfig::memory()).await;
    let directory = tempfile::tempdir().unwrap();
    let location = Location::Directory(directory.path().to_owned());
    publish_and_consume(EmbeddedConfig::new(location)).await;
}
