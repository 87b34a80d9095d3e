//! Many threads at once, on engines with threads of their own: sinks that call back into the
//! engine, consumers that come and go, an end in the middle of it all.

use crate::support::{ack, publish, text};
use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, OnceLock,
        atomic::{AtomicU64, Ordering},
        mpsc,
    },
    thread,
    time::Duration,
};
use tempfile::TempDir;
use trunkline_engine_embedded::{Embedded, EmbeddedConfig, Location};
use trunkline_model::{
    Admin, Batch, Caller, Completed, Completion, CompletionQueue, CompletionSink, ConsumeSpec,
    ConsumerId, Consuming, Delivery, DeliverySink, Durability, Engine, Error, Health, Source,
    TopicName, TopicSettings,
};

const PRODUCERS: u64 = 4;
const MESSAGES: u64 = 400;

/// Acknowledges from inside, and passes every message of `first` on to `second`.
struct Relay {
    engine: Arc<Embedded>,
    id: OnceLock<ConsumerId>,
    queue: Arc<CompletionQueue>,
    tokens: Arc<AtomicU64>,
    to: Option<TopicName>,
    seen: Mutex<Vec<Delivery>>,
    done: mpsc::Sender<u64>,
}

impl DeliverySink for Relay {
    fn started(&self, result: Result<Consuming, Error>) {
        assert!(result.is_ok() || result.is_err_and(|error| error == Error::shutting_down()));
    }

    fn deliver(&self, deliveries: Vec<Delivery>) {
        let mut seen = self.seen.try_lock().expect("one thread at a time");
        for delivery in deliveries {
            let token = self.tokens.fetch_add(1, Ordering::Relaxed);
            let mut batch = Batch::default();
            batch.commands.push(ack(self.id(), &[delivery.tag]));
            if let Some(to) = &self.to {
                batch.commands.push(publish(to, &[&text(&delivery)]));
            }
            let completion = Completion::new(self.queue.clone(), token);
            self.engine.submit(&Caller::system(), batch, completion);
            seen.push(delivery);
            let _ = self.done.send(1);
        }
    }

    fn ended(&self, _: Error) {}
}

impl Relay {
    /// There is no credit, and so no delivery, before it is set.
    fn id(&self) -> ConsumerId {
        *self.id.get().expect("set before anything is delivered")
    }
}

/// Counts the answers of every token.
#[derive(Default)]
struct Answers(Mutex<BTreeMap<u64, u64>>);

impl CompletionSink for Answers {
    fn completed(&self, completed: Completed) {
        *self.0.lock().unwrap().entry(completed.token).or_default() += 1;
    }
}

struct Scene {
    engine: Arc<Embedded>,
    answers: Arc<Answers>,
    queue: Arc<CompletionQueue>,
    tokens: Arc<AtomicU64>,
    topics: [TopicName; 2],
}

impl Scene {
    fn open(location: Location, durability: Durability) -> Self {
        let engine = Embedded::open(EmbeddedConfig::new(location)).unwrap();
        let answers = Arc::new(Answers::default());
        let topics = ["first", "second"].map(|name| name.parse::<TopicName>().unwrap());
        let scene = Self {
            engine,
            queue: CompletionQueue::relay(answers.clone()),
            answers,
            tokens: Arc::default(),
            topics,
        };
        for topic in &scene.topics {
            let command = Admin::Define {
                topic: topic.clone(),
                settings: TopicSettings {
                    durability: Some(durability),
                    ..TopicSettings::default()
                },
            };
            scene
                .engine
                .admin(&Caller::system(), command, Completion::ignored());
        }
        scene
    }

    fn relay(&self, from: usize, to: Option<usize>) -> (Arc<Relay>, mpsc::Receiver<u64>) {
        let (done, ends) = mpsc::channel();
        let relay = Relay {
            engine: self.engine.clone(),
            id: OnceLock::new(),
            queue: self.queue.clone(),
            tokens: self.tokens.clone(),
            to: to.map(|to| self.topics[to].clone()),
            seen: Mutex::default(),
            done,
        };
        let relay = Arc::new(relay);
        let spec = ConsumeSpec {
            sources: [Source {
                topic: self.topics[from].clone(),
                subscription: "s".parse().unwrap(),
                from: None,
            }]
            .into_iter()
            .collect(),
            credit: 0,
            window_bytes: u64::MAX,
            auto_ack: false,
        };
        let handle = self.engine.consume(&Caller::system(), spec, relay.clone());
        relay.id.set(handle.id()).unwrap();
        handle.credit(64);
        // Dropping it would end the consumer.
        std::mem::forget(handle);
        (relay, ends)
    }

    fn produce(&self, producer: u64) {
        for n in 0..MESSAGES {
            let token = self.tokens.fetch_add(1, Ordering::Relaxed);
            let text = format!("{producer} {n:06}");
            self.engine.submit(
                &Caller::system(),
                Batch::of(publish(&self.topics[0], &[&text])),
                Completion::new(self.queue.clone(), token),
            );
        }
    }

    fn close(&self) {
        let mut health = self.engine.health();
        self.engine.close(Duration::from_secs(10));
        while !matches!(*health.borrow_and_update(), Health::Closed) {
            thread::yield_now();
        }
    }

    fn all_were_answered_once(&self) {
        let answers = self.answers.0.lock().unwrap();
        let submitted = self.tokens.load(Ordering::Relaxed);
        assert_eq!(answers.len() as u64, submitted);
        assert!(answers.values().all(|count| *count == 1));
    }
}

/// Tags only grow, and the messages of a producer come in its order.
fn check_order(relay: &Relay) {
    let seen = relay.seen.lock().unwrap();
    assert!(seen.iter().map(|delivery| delivery.tag).is_sorted());
    let mut last: BTreeMap<String, String> = BTreeMap::new();
    for delivery in seen.iter() {
        let text = text(delivery);
        let (producer, n) = text.split_once(' ').unwrap();
        let before = last.insert(producer.to_owned(), n.to_owned());
        assert!(before.is_none_or(|before| *before < *n), "{text}");
    }
}

fn relayed(location: Location, durability: Durability) {
    let scene = Scene::open(location, durability);
    let (first, _ends) = scene.relay(0, Some(1));
    let (second, ends) = scene.relay(1, None);
    thread::scope(|scope| {
        for producer in 0..PRODUCERS {
            let scene = &scene;
            scope.spawn(move || scene.produce(producer));
        }
    });
    let all = usize::try_from(PRODUCERS * MESSAGES).unwrap();
    assert_eq!(ends.iter().take(all).count(), all);
    scene.close();
    scene.all_were_answered_once();
    check_order(&first);
    check_order(&second);
}

fn ended_in_the_middle(location: Location, durability: Durability) {
    let scene = Scene::open(location, durability);
    let (first, _ends) = scene.relay(0, Some(1));
    let (second, ends) = scene.relay(1, None);
    thread::scope(|scope| {
        for producer in 0..PRODUCERS {
            let scene = &scene;
            scope.spawn(move || scene.produce(producer));
        }
        let _ = ends.iter().take(50).count();
        scene.close();
    });
    // A sink that was inside when the engine closed may still be asking.
    while !scene.engine.is_idle() {
        thread::yield_now();
    }
    scene.all_were_answered_once();
    check_order(&first);
    check_order(&second);
}

fn everywhere(run: impl Fn(Location, Durability)) {
    for round in 0..5 {
        run(Location::Memory, Durability::Memory);
        for durability in [Durability::Commit, Durability::Interval] {
            let directory = TempDir::new().unwrap();
            run(
                Location::Directory(directory.path().join(round.to_string())),
                durability,
            );
        }
    }
}

#[test]
fn sinks_call_the_engine_from_inside_and_order_holds() {
    everywhere(relayed);
}

#[test]
fn a_close_in_the_middle_leaves_nobody_without_an_answer() {
    everywhere(ended_in_the_middle);
}
