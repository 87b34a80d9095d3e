//! Channels on real servers.

use super::publisher::Publisher;
use super::*;
use crate::deployment::Deployment;
use futures_util::StreamExt;
use redis::aio::MultiplexedConnection;
use std::time::Duration;
use trunkline_model::{
    ChannelName, Error, ErrorCode, ListenerEvent, ListenerQueue, Outcome, Pattern, Wake, oneshot,
};
use trunkline_mpx::{Event, Events, MultiplexerOptions};
use trunkline_test_servers::Redis;

/// Longest wait for anything; a test that gets there has failed.
const PATIENCE: Duration = Duration::from_secs(60);

async fn soon<T>(what: impl Future<Output = T>) -> T {
    let done = tokio::time::timeout(PATIENCE, what).await;
    done.expect("it was to be done")
}

fn deployment(url: &str) -> Deployment {
    Deployment::new(url.parse().unwrap()).unwrap()
}

fn channels(url: &str) -> Channels {
    let deployment = deployment(url);
    let connector = deployment.connector();
    let options = MultiplexerOptions::default();
    let multiplexer = Multiplexer::new(move || connector.connect(), options);
    Channels::new(multiplexer, deployment)
}

fn channels_in(url: &str, timeout: Duration) -> Channels {
    Channels {
        publisher: Publisher::new(deployment(url), timeout),
        ..channels(url)
    }
}

/// What another program does, with plain commands.
async fn hand(server: &Redis) -> MultiplexedConnection {
    let client = redis::Client::open(server.url()).unwrap();
    let patient = redis::AsyncConnectionConfig::new()
        .set_connection_timeout(None)
        .set_response_timeout(None);
    let connection = client.get_multiplexed_async_connection_with_config(&patient);
    connection.await.unwrap()
}

async fn run<T: redis::FromRedisValue>(hand: &mut MultiplexedConnection, words: &[&str]) -> T {
    let mut command = redis::cmd(words[0]);
    command.arg(&words[1..]);
    let done = command.query_async(hand).await;
    done.unwrap_or_else(|error| panic!("{words:?}: {error}"))
}

/// Waits until Redis says something.
async fn until<T: redis::FromRedisValue + PartialEq>(
    hand: &mut MultiplexedConnection,
    words: &[&str],
    wanted: T,
) {
    soon(async {
        while run::<T>(hand, words).await != wanted {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    })
    .await;
}

fn message(channel: &str, payload: &str, content_type: &str) -> ChannelMessage {
    let channel = channel.parse().unwrap();
    ChannelMessage::new(channel, payload.to_owned().into(), content_type.into())
}

impl Channels {
    fn send(
        &self,
        message: ChannelMessage,
    ) -> impl Future<Output = Result<Option<u64>, Error>> + use<> {
        let (completion, done) = oneshot();
        self.publish(message, completion);
        async {
            match soon(done).await? {
                Outcome::Reached(reached) => Ok(reached),
                other => panic!("{other:?}"),
            }
        }
    }

    fn hear(&self, channels: &[&str], patterns: &[&str]) -> Heard {
        let wake = Wake::new();
        let queue = Arc::new(ListenerQueue::new(ListenPolicy::default(), wake.clone()));
        let handle = self.listen(queue.clone(), ListenPolicy::default());
        let heard = Heard {
            queue,
            wake,
            handle,
        };
        heard.add(channels, patterns);
        heard
    }
}

/// A listener.
struct Heard {
    queue: Arc<ListenerQueue>,
    wake: Wake,
    handle: Box<dyn ListenHandle>,
}

impl Heard {
    fn add(&self, channels: &[&str], patterns: &[&str]) {
        let channels: Vec<ChannelName> = channels.iter().map(|c| c.parse().unwrap()).collect();
        let patterns: Vec<Pattern> = patterns.iter().map(|p| p.parse().unwrap()).collect();
        self.handle.add(&channels, &patterns);
    }

    /// The next events, as text.
    async fn next(&self, n: usize) -> Vec<String> {
        let mut events = Vec::new();
        soon(async {
            while events.len() < n {
                let before = events.len();
                self.queue.take(1, &mut events);
                if events.len() == before {
                    self.wake.woken().await;
                }
            }
        })
        .await;
        events.iter().map(describe).collect()
    }
}

fn describe(event: &ListenerEvent) -> String {
    match event {
        ListenerEvent::Active { channels, patterns } => {
            let channels = channels.iter().map(|name| name.as_str());
            let patterns = patterns.iter().map(|name| name.as_str());
            let mut names: Vec<_> = channels.chain(patterns).collect();
            names.sort_unstable();
            format!("active {}", names.join(" "))
        }
        ListenerEvent::Message { message, pattern } => {
            let text = String::from_utf8_lossy(&message.payload);
            let (channel, content_type) = (&message.channel, &message.content_type);
            let pattern = pattern.as_ref().map_or("", |pattern| pattern);
            format!("{channel} {text} {content_type} {pattern}")
                .trim_end()
                .to_owned()
        }
        ListenerEvent::Refused { error, .. } => error.message().to_owned(),
        other => format!("{other:?}"),
    }
}

#[tokio::test]
async fn many_listeners_are_one_subscription() {
    let Some(server) = Redis::start() else { return };
    let mut hand = hand(&server).await;
    let here = channels(&server.url());
    let elsewhere = channels(&server.url());
    let many: Vec<Heard> = (0..100)
        .map(|_| here.hear(&["news", "more"], &["n*"]))
        .collect();
    let other = elsewhere.hear(&["news"], &[]);
    for listener in &many {
        assert_eq!(listener.next(1).await, ["active more n* news"]);
    }
    assert_eq!(other.next(1).await, ["active news"]);
    until(
        &mut hand,
        &["PUBSUB", "NUMSUB", "news"],
        ("news".to_owned(), 2),
    )
    .await;
    assert_eq!(run::<u64>(&mut hand, &["PUBSUB", "NUMPAT"]).await, 1);
    let sent: Vec<_> = (0..50)
        .map(|n| here.send(message("news", &n.to_string(), "")))
        .collect();
    for sent in sent {
        // Two processes by name, one of them by pattern, too.
        assert_eq!(sent.await, Ok(Some(3)));
    }
    let by_name: Vec<_> = (0..50)
        .map(|n| format!("news {n} application/json"))
        .collect();
    assert_eq!(other.next(50).await, by_name);
    for listener in &many {
        let heard = listener.next(100).await;
        let (through, named): (Vec<_>, Vec<_>) =
            heard.into_iter().partition(|text| text.ends_with("n*"));
        assert_eq!(named, by_name);
        let by_pattern: Vec<_> = by_name.iter().map(|text| format!("{text} n*")).collect();
        assert_eq!(through, by_pattern);
    }
    let late = here.hear(&["more"], &["n*"]);
    assert_eq!(late.next(1).await, ["active more n*"]);
    drop(many);
    until(
        &mut hand,
        &["PUBSUB", "NUMSUB", "news"],
        ("news".to_owned(), 1),
    )
    .await;
    drop(late);
    until(&mut hand, &["PUBSUB", "NUMPAT"], 0).await;
}

/// What another program hears.
async fn next_payload(events: &mut Events) -> bytes::Bytes {
    soon(async {
        loop {
            if let Some(Event::Message { payload, .. }) = events.next().await {
                break payload;
            }
        }
    })
    .await
}

#[tokio::test]
async fn other_programs_see_and_send_plain_payloads() {
    let Some(server) = Redis::start() else { return };
    let mut hand = hand(&server).await;
    let channels = channels(&server.url());
    let listener = channels.hear(&["größe {1}"], &["*"]);
    listener.next(1).await;
    let multiplexer = Multiplexer::open(server.url()).unwrap();
    let (foreign, mut seen) = multiplexer.channels_stream(Default::default());
    foreign.add(["größe {1}"]).unwrap();
    until(
        &mut hand,
        &["PUBSUB", "NUMSUB", "größe {1}"],
        ("größe {1}".to_owned(), 2),
    )
    .await;
    for (payload, content_type) in [
        (&br#"{"a":1}"#[..], "application/json"),
        (b"hello", "text/plain"),
        (b"", "text/plain"),
        (b"\0\xff\r\n", "application/octet-stream"),
    ] {
        // From us to them.
        let channel = ChannelName::new("größe {1}").unwrap();
        let sent = ChannelMessage::new(
            channel,
            bytes::Bytes::from_static(payload),
            content_type.into(),
        );
        assert_eq!(channels.send(sent).await, Ok(Some(3)));
        assert_eq!(next_payload(&mut seen).await, payload);
        // From them to us.
        let mut publish = redis::cmd("PUBLISH");
        publish.arg("größe {1}").arg(payload);
        let _: u64 = publish.query_async(&mut hand).await.unwrap();
        assert_eq!(next_payload(&mut seen).await, payload);
        let text = String::from_utf8_lossy(payload);
        let ours = format!("größe {{1}} {text} {content_type}");
        let through = format!("{ours} *");
        assert_eq!(
            listener.next(4).await,
            [ours.clone(), through.clone(), ours, through]
        );
    }
    // A channel that can't be named with us is heard by nobody here, and harms nobody.
    let mut publish = redis::cmd("PUBLISH");
    publish.arg(b"\xff").arg("1");
    let reached: u64 = publish.query_async(&mut hand).await.unwrap();
    assert_eq!(reached, 1);
    let _: u64 = run(&mut hand, &["PUBLISH", "x", "2"]).await;
    assert_eq!(listener.next(1).await, ["x 2 application/json *"]);
}

#[tokio::test]
async fn a_lost_connection_is_said_once_and_comes_back() {
    let Some(server) = Redis::start() else { return };
    let mut hand = hand(&server).await;
    let channels = channels(&server.url());
    let listener = channels.hear(&["a", "b"], &["x*", "y*"]);
    let idle = channels.hear(&[], &[]);
    assert_eq!(listener.next(1).await, ["active a b x* y*"]);
    for n in 0..5 {
        let n = n.to_string();
        assert_eq!(channels.send(message("a", &n, "")).await, Ok(Some(1)));
        let _: u64 = run(&mut hand, &["CLIENT", "KILL", "TYPE", "pubsub"]).await;
        let heard = listener.next(3).await;
        assert_eq!(
            heard,
            [
                format!("a {n} application/json"),
                "Lost".into(),
                "active a b x* y*".into()
            ]
        );
    }
    idle.add(&["a"], &[]);
    assert_eq!(idle.next(1).await, ["active a"]);
}

#[tokio::test]
async fn publishes_wait_for_a_server_and_then_fail_in_time() {
    let Some(mut server) = Redis::start() else {
        return;
    };
    let patient = channels_in(&server.url(), PATIENCE);
    let hasty = channels_in(&server.url(), Duration::from_millis(200));
    let listener = patient.hear(&["c"], &[]);
    listener.next(1).await;
    server.kill();
    assert_eq!(listener.next(1).await, ["Lost"]);
    let begun = std::time::Instant::now();
    let failed = hasty.send(message("c", "lost", "")).await.unwrap_err();
    assert!(begun.elapsed() >= Duration::from_millis(200));
    assert_eq!(failed.code(), ErrorCode::Unavailable);
    assert!(failed.message().contains("not published"), "{failed}");
    // As many wait as are sent in several writes.
    let sent: Vec<_> = (0..10_000)
        .map(|n| patient.send(message("d", &n.to_string(), "")))
        .collect();
    server.restart();
    assert_eq!(listener.next(1).await, ["active c"]);
    for sent in sent {
        assert!(sent.await.is_ok());
    }
    soon(async { while hasty.send(message("d", "back", "")).await.is_err() {} }).await;
    assert_eq!(patient.send(message("c", "back", "")).await, Ok(Some(1)));
    assert_eq!(listener.next(1).await, ["c back text/plain"]);
}

#[tokio::test]
async fn publishes_to_a_server_that_hangs_fail_in_time() {
    let Some(server) = Redis::start() else { return };
    let channels = channels_in(&server.url(), Duration::from_millis(200));
    assert_eq!(channels.send(message("c", "1", "")).await, Ok(Some(0)));
    server.pause();
    let sent: Vec<_> = (0..100)
        .map(|_| channels.send(message("c", "2", "")))
        .collect();
    for sent in sent {
        let failed = sent.await.unwrap_err();
        assert_eq!(failed.code(), ErrorCode::Unavailable);
    }
    server.resume();
    soon(async { while channels.send(message("c", "3", "")).await.is_err() {} }).await;
    channels.close();
    let failed = channels.send(message("c", "4", "")).await.unwrap_err();
    assert_eq!(failed.code(), ErrorCode::ShuttingDown);
}

#[tokio::test]
async fn what_the_acl_forbids_is_refused_by_name() {
    let Some(server) = Redis::start() else { return };
    let mut hand = hand(&server).await;
    let rule = [
        "ACL",
        "SETUSER",
        "some",
        "on",
        ">secret",
        "+@all",
        "resetchannels",
        "&open.*",
    ];
    let _: () = run(&mut hand, &rule).await;
    let url = format!("redis://some:secret@{}/", server.address());
    let channels = channels(&url);
    let listener = channels.hear(&["open.1"], &[]);
    assert_eq!(listener.next(1).await, ["active open.1"]);
    listener.add(&["closed"], &[]);
    let refused = listener.next(1).await;
    assert!(
        refused[0].contains("channel \"closed\"") && refused[0].contains("NOPERM"),
        "{refused:?}"
    );
    let sent = ["open.1", "closed", "open.1"].map(|to| channels.send(message(to, "1", "")));
    let mut answers = Vec::new();
    for sent in sent {
        answers.push(sent.await.map_err(|error| error.code()));
    }
    assert_eq!(
        answers,
        [Ok(Some(1)), Err(ErrorCode::Forbidden), Ok(Some(1))]
    );
    assert_eq!(listener.next(2).await.len(), 2);
}
