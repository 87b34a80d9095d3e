//! Engines under load on servers to which bad things happen, and a ledger of what was confirmed and what was
//! delivered.

use crate::setup::soon;
use smallvec::SmallVec;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};
use tokio::sync::watch;
use tokio::task::JoinSet;
use trunkline_engine_redis::redis::aio::MultiplexedConnection;
use trunkline_engine_redis::redis::{self, FromRedisValue};
use trunkline_engine_redis::{RedisConfig, RedisEngine};
use trunkline_model::{
    Batch, Caller, Command, Completion, ConsumeSpec, ConsumerHandle, Consuming, Delivery,
    DeliverySink, Engine, Error, ErrorCode, Health, Message, MessageId, Outcome, Receipt, Source,
    TopicName, oneshot,
};
use trunkline_test_servers::Redis;

/// How long a publish may take.
pub(crate) const PUBLISH_TIMEOUT: Duration = Duration::from_secs(2);
/// How much longer a busy machine may take to say so.
const SLACK: Duration = Duration::from_secs(10);
/// How many publishers an engine has.
const PUBLISHERS: usize = 4;

/// A server on whose disk is what it has confirmed.
pub(crate) fn durable_server() -> Option<Redis> {
    Redis::start_with(&["--appendonly", "yes", "--appendfsync", "always"])
}

/// An engine that is quick to notice that nobody answers.
pub(crate) fn engine(url: &str) -> Arc<RedisEngine> {
    let mark = if url.contains('?') { '&' } else { '?' };
    let url = format!("{url}{mark}connect_timeout=1s&answer_timeout=1s");
    let mut config = RedisConfig::new(url.parse().expect("a URL"));
    config.publish_timeout = PUBLISH_TIMEOUT;
    config.lease = Duration::from_secs(3);
    RedisEngine::start(config).expect("it starts")
}

/// A connection for what is done to a server.
pub(crate) async fn hand(server: &Redis) -> MultiplexedConnection {
    let client = redis::Client::open(server.url()).expect("a URL");
    let patient = redis::AsyncConnectionConfig::new()
        .set_connection_timeout(None)
        .set_response_timeout(None);
    let connection = client.get_multiplexed_async_connection_with_config(&patient);
    soon(connection).await.expect("Redis answers")
}

/// Does something to a server that must succeed.
pub(crate) async fn run<T: FromRedisValue>(hand: &mut MultiplexedConnection, words: &[&str]) -> T {
    let mut command = redis::cmd(words[0]);
    command.arg(&words[1..]);
    let done = command.query_async(hand).await;
    done.unwrap_or_else(|error| panic!("{words:?}: {error}"))
}

/// Waits for a health.
pub(crate) async fn health(engine: &RedisEngine, wanted: impl FnMut(&Health) -> bool) -> Health {
    let mut health = engine.health();
    let seen = soon(health.wait_for(wanted)).await;
    seen.expect("the engine lives").clone()
}

/// Publishes one message; a short text is its publish id, too.
pub(crate) async fn publish(
    engine: &RedisEngine,
    topic: &str,
    text: &str,
) -> Result<Receipt, Error> {
    let message = Message {
        payload: text.to_owned().into(),
        publish_id: (text.len() < 100).then(|| text.into()),
        ..Message::default()
    };
    let publish = Command::Publish {
        topic: topic.parse().expect("a name"),
        messages: SmallVec::from_vec(vec![message]),
    };
    submit(engine, publish).await
}

async fn submit(engine: &RedisEngine, command: Command) -> Result<Receipt, Error> {
    let (completion, done) = oneshot();
    engine.submit(&Caller::system(), Batch::of(command), completion);
    match soon(done).await? {
        Outcome::Done(receipt) => Ok(receipt),
        other => panic!("a batch ended with {other:?}"),
    }
}

/// What was confirmed, delivered and refused.
#[derive(Debug, Default)]
struct Ledger {
    confirmed: BTreeMap<String, MessageId>,
    delivered: BTreeMap<String, BTreeSet<MessageId>>,
    refused: Vec<Error>,
    broken: Option<String>,
}

impl Ledger {
    /// Notes what became of a publish; false if it is to be repeated.
    fn published(&mut self, text: &str, took: Duration, done: Result<Receipt, Error>) -> bool {
        if took > PUBLISH_TIMEOUT + SLACK {
            self.broken = Some(format!("a publish took {took:?}: {done:?}"));
        }
        match done {
            Ok(receipt) => {
                self.confirmed.insert(text.to_owned(), receipt.ids[0]);
                true
            }
            Err(error) => {
                self.refused.push(error);
                false
            }
        }
    }
}

/// Two engines of two processes, with publishers and a consumer each, on one topic.
pub(crate) struct Fleet {
    pub(crate) engines: Vec<Arc<RedisEngine>>,
    ledger: Arc<Mutex<Ledger>>,
    changed: watch::Sender<()>,
    /// Told when the publishers are to stop.
    stop: watch::Sender<bool>,
    publishers: JoinSet<()>,
    consumers: Vec<Arc<dyn ConsumerHandle>>,
    takers: JoinSet<()>,
}

impl Fleet {
    /// The topic, which is also the hash tag of its keys.
    pub(crate) const TOPIC: &str = "load";

    /// Starts it, and waits until it is at work.
    pub(crate) async fn start(url: &str) -> Self {
        let mut fleet = Self {
            engines: vec![engine(url), engine(url)],
            ledger: Arc::default(),
            changed: watch::Sender::new(()),
            stop: watch::Sender::new(false),
            publishers: JoinSet::new(),
            consumers: Vec::new(),
            takers: JoinSet::new(),
        };
        for place in 0..fleet.engines.len() {
            let engine = fleet.engines[place].clone();
            health(&engine, |health| {
                matches!(health, Health::Ready | Health::Degraded(_))
            })
            .await;
            fleet.consume(&engine).await;
            for publisher in 0..PUBLISHERS {
                let name = format!("{place}.{publisher}");
                fleet.publish(engine.clone(), name);
            }
        }
        fleet.goes_on(100).await;
        fleet
    }

    /// Waits until so many more are confirmed.
    pub(crate) async fn goes_on(&self, more: usize) {
        let from = self.ledger().confirmed.len();
        self.until(|ledger| ledger.confirmed.len() >= from + more)
            .await;
    }

    /// Waits until a publish is refused from now on; why.
    pub(crate) async fn is_refused(&self) -> Error {
        let from = self.ledger().refused.len();
        self.until(|ledger| ledger.refused.len() > from).await;
        self.ledger().refused[from].clone()
    }

    /// Stops the publishers, and waits until all that was confirmed is delivered: each message once stored.
    pub(crate) async fn finish(self) {
        let lost_masters = false;
        self.finish_after(lost_masters).await;
    }

    /// The same if another master has taken over: consumers may have got from the old one what was not confirmed yet,
    /// and is stored again.
    pub(crate) async fn finish_on_another_master(self) {
        let lost_masters = true;
        self.finish_after(lost_masters).await;
    }

    async fn finish_after(mut self, lost_masters: bool) {
        self.goes_on(100).await;
        self.stop.send_replace(true);
        while let Some(done) = soon(self.publishers.join_next()).await {
            done.expect("publishing doesn't panic");
        }
        self.until(|ledger| {
            let mut confirmed = ledger.confirmed.keys();
            confirmed.all(|text| ledger.delivered.contains_key(text))
        })
        .await;
        let ledger = self.ledger();
        assert_eq!(ledger.broken, None);
        for (text, id) in &ledger.confirmed {
            let stored: Vec<_> = ledger.delivered[text].iter().collect();
            if lost_masters {
                assert!(stored.contains(&id), "{text}: {id:?} not of {stored:?}");
            } else {
                assert_eq!(stored, [id], "{text} is stored once");
            }
        }
    }

    /// One publisher: each message is repeated with its publish id until it is confirmed.
    fn publish(&mut self, engine: Arc<RedisEngine>, name: String) {
        let (ledger, changed) = (self.ledger.clone(), self.changed.clone());
        let stop = self.stop.subscribe();
        self.publishers.spawn(async move {
            for n in 0.. {
                let text = format!("{name}.{n}");
                loop {
                    let begun = Instant::now();
                    let done = publish(&engine, Fleet::TOPIC, &text).await;
                    let confirmed = lock(&ledger).published(&text, begun.elapsed(), done);
                    changed.send_replace(());
                    if confirmed {
                        break;
                    }
                    tokio::task::yield_now().await;
                }
                if *stop.borrow() {
                    return;
                }
            }
        });
    }

    async fn consume(&mut self, engine: &Arc<RedisEngine>) {
        let (deliveries, mut taken) = tokio::sync::mpsc::unbounded_channel();
        let (started, has_started) = tokio::sync::oneshot::channel();
        let sink = Arc::new(Sink {
            started: Mutex::new(Some(started)),
            deliveries,
            ledger: self.ledger.clone(),
        });
        let spec = ConsumeSpec {
            sources: vec![Source {
                topic: Fleet::TOPIC.parse::<TopicName>().expect("a name"),
                subscription: "all".parse().expect("a name"),
                from: None,
            }],
            credit: 100,
            window_bytes: 1 << 20,
            auto_ack: false,
        };
        let handle: Arc<dyn ConsumerHandle> = engine.consume(&Caller::system(), spec, sink).into();
        let started = soon(has_started).await.expect("it says how it began");
        started.expect("it begins");
        self.consumers.push(handle.clone());
        let (engine, ledger, changed) = (engine.clone(), self.ledger.clone(), self.changed.clone());
        self.takers.spawn(async move {
            while let Some(delivery) = taken.recv().await {
                let delivery: Delivery = delivery;
                handle.taken(delivery.weight());
                let text = String::from_utf8_lossy(&delivery.message.payload).into_owned();
                lock(&ledger)
                    .delivered
                    .entry(text)
                    .or_default()
                    .insert(delivery.id);
                changed.send_replace(());
                let ack = Command::Ack {
                    consumer: handle.id(),
                    tags: SmallVec::from_slice(&[delivery.tag]),
                };
                // What is not acknowledged comes again.
                engine.submit(&Caller::system(), Batch::of(ack), Completion::ignored());
            }
        });
    }

    async fn until(&self, mut so: impl FnMut(&Ledger) -> bool) {
        let mut changed = self.changed.subscribe();
        let waiting = async {
            while !so(&self.ledger()) {
                changed.changed().await.expect("the fleet lives");
            }
        };
        if tokio::time::timeout(Duration::from_secs(60), waiting)
            .await
            .is_err()
        {
            let ledger = self.ledger();
            let (confirmed, delivered) = (ledger.confirmed.len(), ledger.delivered.len());
            let healths: Vec<_> = self
                .engines
                .iter()
                .map(|e| e.health().borrow().clone())
                .collect();
            let last = ledger.refused.last();
            panic!(
                "{confirmed} confirmed, {delivered} delivered, then nothing; {healths:?}; {last:?}"
            );
        }
    }

    fn ledger(&self) -> MutexGuard<'_, Ledger> {
        lock(&self.ledger)
    }
}

fn lock(ledger: &Mutex<Ledger>) -> MutexGuard<'_, Ledger> {
    ledger
        .lock()
        .expect("no test panics while it holds the ledger")
}

struct Sink {
    started: Mutex<Option<tokio::sync::oneshot::Sender<Result<Consuming, Error>>>>,
    deliveries: tokio::sync::mpsc::UnboundedSender<Delivery>,
    ledger: Arc<Mutex<Ledger>>,
}

impl DeliverySink for Sink {
    fn started(&self, result: Result<Consuming, Error>) {
        let started = self.started.lock().expect("nothing panics with it").take();
        let _ = started.expect("a consumer starts once").send(result);
    }

    fn deliver(&self, deliveries: Vec<Delivery>) {
        for delivery in deliveries {
            // It fails when the test is over.
            let _ = self.deliveries.send(delivery);
        }
    }

    fn ended(&self, reason: Error) {
        lock(&self.ledger).broken = Some(format!("a consumer was ended: {reason}"));
    }
}

/// Refusals that say that it is not the publisher's fault, and what is.
pub(crate) fn is_unavailable(error: &Error, says: &str) {
    assert_eq!(error.code(), ErrorCode::Unavailable, "{error}");
    assert!(error.message().contains(says), "{error}");
}
