//! A server, a multiplexer on it, and a second connection that publishes and asks.

use futures_util::StreamExt;
use std::time::Duration;
use trunkline_mpx::{
    ChannelSubscription, Event, Events, Multiplexer, MultiplexerOptions, QueueOptions, RedisAddress,
};
use trunkline_test_servers::Redis;

/// Longest wait for anything; a test that gets there has failed.
const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) struct Setup {
    pub(crate) server: Redis,
    pub(crate) mpx: Multiplexer,
    client: redis::aio::MultiplexedConnection,
}

/// `None` where there is no Redis to test with; that was said then.
pub(crate) async fn setup() -> Option<Setup> {
    setup_with(MultiplexerOptions::default(), "").await
}

pub(crate) async fn setup_with(options: MultiplexerOptions, query: &str) -> Option<Setup> {
    let server = Redis::start()?;
    let url = format!("{}{query}", server.url());
    let mpx = Multiplexer::new(RedisAddress::new(url).expect("Redis answers"), options);
    let client = connect(&server).await;
    Some(Setup {
        server,
        mpx,
        client,
    })
}

async fn connect(server: &Redis) -> redis::aio::MultiplexedConnection {
    let client = redis::Client::open(server.url()).expect("Redis answers");
    let patient = redis::AsyncConnectionConfig::new()
        .set_connection_timeout(None)
        .set_response_timeout(None);
    let connection = client.get_multiplexed_async_connection_with_config(&patient);
    connection.await.expect("Redis answers")
}

impl Setup {
    /// How many heard it.
    pub(crate) async fn publish(&mut self, channel: &[u8], payload: &[u8]) -> i64 {
        let mut publish = redis::cmd("PUBLISH");
        publish.arg(channel).arg(payload);
        publish
            .query_async(&mut self.client)
            .await
            .expect("Redis answers")
    }

    pub(crate) async fn numsub(&mut self, channel: &str) -> i64 {
        let mut ask = redis::cmd("PUBSUB");
        ask.arg("NUMSUB").arg(channel);
        let (_, count): (String, i64) = ask
            .query_async(&mut self.client)
            .await
            .expect("Redis answers");
        count
    }

    pub(crate) async fn numpat(&mut self) -> i64 {
        let mut ask = redis::cmd("PUBSUB");
        ask.arg("NUMPAT");
        ask.query_async(&mut self.client)
            .await
            .expect("Redis answers")
    }

    pub(crate) async fn spublish(&mut self, channel: &str, payload: &str) {
        self.command(&["SPUBLISH", channel, payload]).await;
    }

    pub(crate) async fn command(&mut self, words: &[&str]) {
        let mut command = redis::cmd(words[0]);
        command.arg(&words[1..]);
        command
            .exec_async(&mut self.client)
            .await
            .expect("Redis answers");
    }

    /// The same message again and again, without waiting for each.
    pub(crate) async fn publish_many(&mut self, times: usize, channel: &str) {
        let mut left = times;
        while left > 0 {
            let now = left.min(1_000);
            let mut pipe = redis::pipe();
            for _ in 0..now {
                pipe.cmd("PUBLISH").arg(channel).arg("x").ignore();
            }
            pipe.exec_async(&mut self.client)
                .await
                .expect("Redis answers");
            left -= now;
        }
    }

    /// Ends the connections of subscribers.
    pub(crate) async fn kill_subscribers(&mut self) {
        let mut kill = redis::cmd("CLIENT");
        kill.arg("KILL").arg("TYPE").arg("pubsub");
        let killed: i64 = kill
            .query_async(&mut self.client)
            .await
            .expect("Redis answers");
        assert_eq!(killed, 1, "one connection for everything");
    }

    /// How often a command was run, as the server counts.
    pub(crate) async fn calls_of(&mut self, command: &str) -> u64 {
        let mut info = redis::cmd("INFO");
        info.arg("commandstats");
        let text: String = info
            .query_async(&mut self.client)
            .await
            .expect("Redis answers");
        let begin = format!("cmdstat_{command}:calls=");
        let line = text.lines().find_map(|line| line.strip_prefix(&begin));
        line.map_or(0, |line| {
            line.split(',')
                .next()
                .expect("Redis answers")
                .parse()
                .expect("a number")
        })
    }

    /// The server is back; connects to it again.
    pub(crate) async fn restart(&mut self) {
        self.server.restart();
        self.client = connect(&self.server).await;
    }

    pub(crate) fn stream(&self, names: &[&str]) -> (ChannelSubscription, Events) {
        let (subscription, events) = self.mpx.channels_stream(QueueOptions::default());
        subscription
            .add(names.iter().map(|name| (*name).to_owned()))
            .expect("Redis answers");
        (subscription, events)
    }
}

/// The next event, as `active:NAME`, `CHANNEL=PAYLOAD`, `lost`.
pub(crate) async fn next(events: &mut Events) -> String {
    let next = tokio::time::timeout(PATIENCE, events.next());
    let event = next.await.expect("something was to happen");
    text(&event.expect("the stream goes on"))
}

pub(crate) fn text(event: &Event) -> String {
    let utf8 = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    match event {
        Event::Active { name, .. } => format!("active:{}", utf8(name)),
        Event::Message { channel, payload } => format!("{}={}", utf8(channel), utf8(payload)),
        Event::Lost { .. } => "lost".to_owned(),
        other => format!("{other:?}"),
    }
}

/// The next events, in any order.
pub(crate) async fn some(events: &mut Events, n: usize) -> Vec<String> {
    let mut heard = Vec::new();
    for _ in 0..n {
        heard.push(next(events).await);
    }
    heard.sort();
    heard
}

/// Waits until something is so.
pub(crate) async fn until(what: &str, mut is: impl AsyncFnMut() -> bool) {
    let wait = async {
        while !is().await {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    let waited = tokio::time::timeout(PATIENCE, wait).await;
    waited.unwrap_or_else(|_| panic!("{what} never came"));
}

/// Whatever is awaited comes.
pub(crate) async fn soon<T>(what: impl Future<Output = T>) -> T {
    let done = tokio::time::timeout(PATIENCE, what).await;
    done.expect("it was to be done")
}
