//! Deployments on real servers.

mod cluster;
mod features;
mod listening;
mod sentinel;
mod single;
mod tls;
mod writers;

use super::{Deployment, Failure, RedisUrl, multiplexer_options};
use futures_util::StreamExt;
use std::time::Duration;
use trunkline_mpx::{Event, Events, Multiplexer};

/// Longest wait for anything; a test that gets there has failed.
const PATIENCE: Duration = Duration::from_secs(120);

/// Whatever is awaited comes.
async fn soon<T>(what: impl Future<Output = T>) -> T {
    let done = tokio::time::timeout(PATIENCE, what).await;
    done.expect("it was to be done")
}

fn deployment(url: &str) -> Deployment {
    let url: RedisUrl = url.parse().unwrap_or_else(|error| panic!("{error}"));
    Deployment::new(url).unwrap_or_else(|error| panic!("{error}"))
}

/// Words of one command.
fn command(words: &[&str]) -> redis::Cmd {
    let mut command = redis::cmd(words[0]);
    command.arg(&words[1..]);
    command
}

/// Commands of several words.
fn pipeline(commands: &[&[&str]]) -> redis::Pipeline {
    let mut pipeline = redis::pipe();
    for words in commands {
        pipeline.add_command(command(words));
    }
    pipeline
}

/// What listens there.
fn multiplexer(redis: &Deployment) -> Multiplexer {
    let connector = redis.connector();
    Multiplexer::new(move || connector.connect(), multiplexer_options())
}

/// Waits until a name is active, whatever is lost before.
async fn active(events: &mut Events) {
    soon(async {
        loop {
            match events.next().await.expect("it isn't over") {
                Event::Active { .. } => return,
                Event::Lost { .. } => {}
                other => panic!("{other:?}"),
            }
        }
    })
    .await;
}

/// What is published over the deployment is heard.
async fn hears(redis: &Deployment, events: &mut Events, text: &str) {
    let publish = command(&["PUBLISH", "news", text]);
    let _: i64 = soon(redis.one(b"news", &publish))
        .await
        .expect("it is published");
    match soon(events.next()).await.expect("it isn't over") {
        Event::Message { payload, .. } => assert_eq!(payload, text.as_bytes()),
        other => panic!("{other:?}"),
    }
}

impl Deployment {
    /// A command whose key is its first argument.
    async fn say<T: redis::FromRedisValue>(&self, words: &[&str]) -> Result<T, Failure> {
        let key = words.get(1).copied().unwrap_or_default();
        soon(self.one(key.as_bytes(), &command(words))).await
    }
}
