//! Channels, between two engines.

use super::lab::{engine, hand, health, run};
use crate::setup::soon;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};
use trunkline_engine_redis::{RedisEngine, redis};
use trunkline_model::{
    Caller, ChannelMessage, Engine, Error, ErrorCode, Health, ListenHandle, ListenPolicy,
    ListenerEvent, ListenerQueue, Outcome, Wake, oneshot,
};
use trunkline_test_servers::Redis;

/// Longest that a publish on a channel may take, on a busy machine.
const PUBLISH_MAX: Duration = Duration::from_secs(15);

pub(crate) async fn send(
    engine: &RedisEngine,
    channel: &str,
    text: &str,
) -> Result<Option<u64>, Error> {
    let (completion, done) = oneshot();
    let channel = channel.parse().expect("a name");
    let message = ChannelMessage::new(channel, text.to_owned().into(), "text/plain".into());
    let begun = Instant::now();
    engine.publish_channel(&Caller::system(), message, completion);
    let done = soon(done).await;
    assert!(begun.elapsed() < PUBLISH_MAX, "{:?}", begun.elapsed());
    match done? {
        Outcome::Reached(reached) => Ok(reached),
        other => panic!("a channel message ended with {other:?}"),
    }
}

pub(crate) struct Heard {
    queue: Arc<ListenerQueue>,
    wake: Wake,
    taken: VecDeque<ListenerEvent>,
    _handle: Box<dyn ListenHandle>,
}

pub(crate) fn listen(engine: &RedisEngine, channel: &str) -> Heard {
    let wake = Wake::new();
    let queue = Arc::new(ListenerQueue::new(ListenPolicy::default(), wake.clone()));
    let handle = engine.listen(&Caller::system(), queue.clone(), ListenPolicy::default());
    handle.add(&[channel.parse().expect("a name")], &[]);
    Heard {
        queue,
        wake,
        taken: VecDeque::new(),
        _handle: handle,
    }
}

impl Heard {
    /// The next event: a text, `active` or `lost`.
    pub(crate) async fn next(&mut self) -> String {
        soon(async {
            loop {
                if let Some(event) = self.taken.pop_front() {
                    return describe(&event);
                }
                let mut events = Vec::new();
                self.queue.take(1, &mut events);
                if events.is_empty() {
                    self.wake.woken().await;
                }
                self.taken.extend(events);
            }
        })
        .await
    }
}

fn describe(event: &ListenerEvent) -> String {
    match event {
        ListenerEvent::Message { message, .. } => {
            String::from_utf8_lossy(&message.payload).into_owned()
        }
        ListenerEvent::Active { .. } => "active".into(),
        ListenerEvent::Lost => "lost".into(),
        other => format!("{other:?}"),
    }
}

/// Publishes until it is heard: what is published while a listener is away is missed.
pub(crate) async fn until_heard(from: &RedisEngine, heard: &mut Heard, channel: &str, text: &str) {
    soon(async {
        loop {
            while send(from, channel, text).await.is_err() {}
            let hearing = async { while heard.next().await != text {} };
            if tokio::time::timeout(Duration::from_millis(200), hearing)
                .await
                .is_ok()
            {
                return;
            }
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_killed_is_taken_up_again() {
    let Some(mut server) = Redis::start() else {
        return;
    };
    let (here, there) = (engine(&server.url()), engine(&server.url()));
    let mut heard = listen(&there, "c");
    assert_eq!(heard.next().await, "active");
    assert_eq!(send(&here, "c", "1").await, Ok(Some(1)));
    assert_eq!(heard.next().await, "1");
    server.kill();
    assert_eq!(heard.next().await, "lost");
    let failed = send(&here, "c", "2").await.expect_err("nobody is there");
    assert_eq!(failed.code(), ErrorCode::Unavailable, "{failed}");
    assert!(
        failed.message().contains(&server.address().to_string()),
        "{failed}"
    );
    let mut late = listen(&there, "c");
    server.restart();
    assert_eq!(heard.next().await, "active");
    assert_eq!(late.next().await, "active");
    assert_eq!(send(&here, "c", "3").await, Ok(Some(1)));
    assert_eq!(
        (heard.next().await, late.next().await),
        ("3".into(), "3".into())
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn publishes_wait_for_a_script_that_is_killed_and_for_slow_answers() {
    let Some(server) = Redis::start() else { return };
    let (mut hand, mut other) = (hand(&server).await, hand(&server).await);
    let _: () = run(&mut hand, &["CONFIG", "SET", "lua-time-limit", "10"]).await;
    let (here, there) = (engine(&server.url()), engine(&server.url()));
    let mut heard = listen(&there, "c");
    assert_eq!(heard.next().await, "active");
    let endless = tokio::spawn(async move {
        let mut endless = redis::cmd("EVAL");
        endless.arg("while true do end").arg(0);
        let killed: redis::RedisResult<()> = endless.query_async(&mut other).await;
        assert!(killed.is_err());
    });
    let ping = redis::cmd("PING");
    soon(async {
        loop {
            let answer: redis::RedisResult<String> = ping.query_async(&mut hand).await;
            if answer.is_err_and(|error| error.code() == Some("BUSY")) {
                break;
            }
        }
    })
    .await;
    let sent = {
        let here = here.clone();
        tokio::spawn(async move { send(&here, "c", "1").await })
    };
    let answer: redis::RedisResult<String> = ping.query_async(&mut hand).await;
    assert!(answer.is_err() && !sent.is_finished());
    let _: () = run(&mut hand, &["SCRIPT", "KILL"]).await;
    assert_eq!(soon(sent).await.expect("no panic"), Ok(Some(1)));
    soon(endless).await.expect("it is killed");
    assert_eq!(heard.next().await, "1");
    let _: () = run(&mut hand, &["CLIENT", "PAUSE", "300", "ALL"]).await;
    assert_eq!(send(&here, "c", "2").await, Ok(Some(1)));
    assert_eq!(heard.next().await, "2");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_hangs_costs_a_publisher_its_time_and_no_more() {
    let Some(server) = Redis::start() else { return };
    let (here, there) = (engine(&server.url()), engine(&server.url()));
    let mut heard = listen(&there, "c");
    assert_eq!(heard.next().await, "active");
    server.pause();
    let failed = send(&here, "c", "1").await.expect_err("nobody answers");
    assert_eq!(failed.code(), ErrorCode::Unavailable, "{failed}");
    health(&here, |health| {
        matches!(health, Health::Failed(_) | Health::Starting(_))
    })
    .await;
    server.resume();
    until_heard(&here, &mut heard, "c", "2").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_that_are_killed_come_back() {
    let Some(server) = Redis::start() else { return };
    let mut hand = hand(&server).await;
    let (here, there) = (engine(&server.url()), engine(&server.url()));
    let mut heard = listen(&there, "c");
    assert_eq!(heard.next().await, "active");
    for n in 0..20 {
        let _: u64 = run(&mut hand, &["CLIENT", "KILL", "TYPE", "pubsub"]).await;
        assert_eq!(heard.next().await, "lost");
        assert_eq!(heard.next().await, "active");
        let _: u64 = run(&mut hand, &["CLIENT", "KILL", "TYPE", "normal"]).await;
        until_heard(&here, &mut heard, "c", &n.to_string()).await;
    }
}
