//! The library against a real server in this process, over connections that break when told to.

#![allow(
    clippy::unwrap_used,
    reason = "a test stops at the first thing that is wrong"
)]

mod bounds;
mod calls;
mod closing;
mod consuming;
mod embedding;
mod listening;
mod managing;
mod publishing;
mod reconnecting;
mod refusals;
mod relay;
mod working;

use relay::Relay;
use trunkline::{Client, Handler, Server, TestServer};

/// A server, a relay in front of it, a client behind the relay, and one that sees the server
/// directly.
struct Setup {
    relay: Relay,
    client: Client,
    direct: Client,
    _server: TestServer,
}

async fn setup() -> Setup {
    let handler = Handler::new("math")
        .concurrency(8)
        .method("sum", |numbers: Vec<i64>, _| async move {
            Ok(numbers.iter().sum::<i64>())
        });
    let builder = Server::builder().handler(handler);
    let server = TestServer::start_with(builder).await.unwrap();
    let relay = Relay::before(&server.url()).await;
    Setup {
        client: Client::connect(&relay.url()).await.unwrap(),
        direct: server.client().await.unwrap(),
        relay,
        _server: server,
    }
}

impl Setup {
    /// Waits until the server has taken so many publishes to a topic.
    async fn until_published(&self, topic: &str, messages: u64) {
        while self.published(topic).await < messages {}
    }

    async fn published(&self, topic: &str) -> u64 {
        let topic = self.direct.topic(topic).inspect().await;
        topic.map_or(0, |topic| topic.published)
    }
}
