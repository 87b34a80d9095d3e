//! Processes that end between the steps in which dead letters cross topics: nothing is lost, and while it is
//! remembered what was stored, nothing is stored twice.

use super::world::{World, attach, holds, nack, take};
use crate::topics::script::{Change, Done, Letter, Settled, Step};
use crate::{RedisConfig, RedisEngine};
use bytes::Bytes;
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use tokio::sync::mpsc;
use trunkline_model::{
    Admin, Caller, Consuming, Delivery, DeliverySink, Engine, Error, Message, MessageFilter,
    Outcome, PeekFrom, RedriveEdit, RedriveTo, Redriven, Source, StoredMessage, Timestamp,
    TopicInfo, dead_letter, oneshot,
};

const TEXTS: [&str; 3] = ["a", "b", "c"];

/// A process that ends after so many steps, which each topic gets by itself.
struct Mortal {
    world: World,
    left: usize,
}

impl Mortal {
    /// What a step comes to, while the process lives.
    fn step(&mut self, topic: &str, step: Step) -> Option<Done> {
        self.left = self.left.checked_sub(1)?;
        self.world.topic = topic.parse().expect("a name");
        Some(self.world.done(step))
    }
}

struct Sink(mpsc::UnboundedSender<Delivery>);

impl DeliverySink for Sink {
    fn started(&self, result: Result<Consuming, Error>) {
        result.expect("it starts");
    }

    fn deliver(&self, deliveries: Vec<Delivery>) {
        for delivery in deliveries {
            let _ = self.0.send(delivery);
        }
    }

    fn ended(&self, reason: Error) {
        panic!("{reason}");
    }
}

/// A server with a topic whose dead letters go to another one, both made so long ago that nobody waits for who has ended.
fn mortal(left: usize) -> Option<Mortal> {
    let mut world = World::without_topic(&[])?;
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    let then = since.expect("after 1970") - Duration::from_secs(20);
    world.script.clock = Some(Timestamp::from_micros(then.as_micros() as u64));
    world.define(r#"{"dead_letter": "dead", "durability": "memory"}"#);
    world.topic = "dead".parse().expect("a name");
    let options = super::world::options("{}");
    world.done(Step::Define { number: 8, options });
    world.topic = "t".parse().expect("a name");
    Some(Mortal { world, left })
}

fn message(text: &str) -> crate::topics::script::Incoming {
    crate::topics::body::incoming(Message {
        payload: Bytes::copy_from_slice(text.as_bytes()),
        ..Message::default()
    })
}

/// Three letters of `t` are in the outbox, and nobody holds anything.
fn reject(world: &mut World) {
    world.done(attach(1, "s"));
    let messages = TEXTS.map(|text| Change::Publish {
        if_subscribed: false,
        message: message(text),
    });
    world.done(Step::Batch {
        strict: false,
        commands: messages.into(),
    });
    let taken = world.take_as(super::world::ME, take(1, "s", 9));
    world.batch(nack(1, &holds(&taken), false, 0));
    world.done(Step::Leave);
}

/// As the engine stores a letter.
fn inter(letter: &Letter) -> Step {
    let message: StoredMessage =
        crate::topics::body::message(letter.message.clone()).expect("a message");
    let id = crate::topics::admin::id(super::world::NUMBER, letter.message.sequence);
    let mut headers = message.headers;
    headers.push(dead_letter::ID, id.to_string());
    headers.push(dead_letter::TOPIC, "t");
    headers.push(dead_letter::SUBSCRIPTION, "s");
    let message = Message {
        payload: message.payload,
        headers,
        ..Message::default()
    };
    Step::Inter {
        message: crate::topics::body::incoming(message),
        publish_id: format!("dead:{id}:{}", letter.subscription).into(),
    }
}

/// The engine that comes afterwards.
struct After {
    engine: Arc<RedisEngine>,
    // It ends with this.
    _world: World,
}

impl After {
    fn begin(world: World) -> Self {
        let mut config = RedisConfig::new(world.server.url().parse().expect("a URL"));
        config.lease = Duration::from_secs(600);
        Self {
            engine: RedisEngine::start(config).expect("it starts"),
            _world: world,
        }
    }

    async fn admin(&self, command: Admin) -> Outcome {
        let (completion, result) = oneshot();
        self.engine.admin(&Caller::system(), command, completion);
        result.await.expect("it is done")
    }

    async fn info(&self, topic: &str) -> TopicInfo {
        let topic = topic.parse().expect("a name");
        match self.admin(Admin::Inspect { topic }).await {
            Outcome::Topic(info) => *info,
            other => panic!("{other:?}"),
        }
    }

    /// Waits until a topic has so many messages.
    async fn until(&self, topic: &str, messages: u64) {
        let there = async {
            while self.info(topic).await.messages != messages {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        let waited = tokio::time::timeout(Duration::from_secs(20), there).await;
        assert!(waited.is_ok(), "{topic}: {:?}", self.info(topic).await);
    }

    /// All that is in a subscription.
    async fn texts(&self, topic: &str, subscription: &str) -> Vec<String> {
        let (sender, mut heard) = mpsc::unbounded_channel();
        let spec = trunkline_model::ConsumeSpec {
            sources: vec![Source {
                topic: topic.parse().expect("a name"),
                subscription: subscription.parse().expect("a name"),
                from: None,
            }],
            credit: 99,
            window_bytes: 1 << 20,
            auto_ack: false,
        };
        let handle = self
            .engine
            .consume(&Caller::system(), spec, Arc::new(Sink(sender)));
        let count = self.info(topic).await.messages;
        let mut texts = Vec::new();
        for _ in 0..count {
            let heard = tokio::time::timeout(Duration::from_secs(20), heard.recv()).await;
            let delivery = heard.expect("in time").expect("a delivery");
            texts.push(String::from_utf8_lossy(&delivery.message.payload).into_owned());
        }
        handle.cancel();
        texts
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn letters_arrive_once_wherever_their_carrier_stopped() {
    // Taken, each of three stored, settled.
    for left in 0..=5 {
        let Some(mut mortal) = mortal(left) else {
            return;
        };
        reject(&mut mortal.world);
        'life: {
            let Some(Done::Letters(letters)) = mortal.step("t", Step::TakeOutbox { limit: 9 })
            else {
                break 'life;
            };
            for letter in &letters {
                if mortal.step("dead", inter(letter)).is_none() {
                    break 'life;
                }
            }
            let settled = |letter: &Letter| Settled {
                entry: letter.entry,
                buried: true,
            };
            let entries = letters.iter().map(settled).collect();
            mortal.step("t", Step::SettleOutbox { entries });
        }
        let after = After::begin(mortal.world);
        after.until("t", 0).await;
        assert_eq!(after.texts("dead", "s").await, TEXTS, "after {left} steps");
        assert_eq!(after.info("t").await.dead, 3);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn letters_go_back_once_wherever_their_driver_stopped() {
    // Each of three stored, all removed.
    for left in 0..=4 {
        let Some(mut mortal) = mortal(left) else {
            return;
        };
        reject(&mut mortal.world);
        let taken = mortal.world.done(Step::TakeOutbox { limit: 9 });
        let Done::Letters(letters) = taken else {
            panic!("{taken:?}")
        };
        let settled = |letter: &Letter| Settled {
            entry: letter.entry,
            buried: true,
        };
        let entries = letters.iter().map(settled).collect();
        mortal.world.done(Step::SettleOutbox { entries });
        mortal.world.topic = "dead".parse().expect("a name");
        for letter in &letters {
            mortal.world.done(inter(letter));
        }
        'life: {
            for (n, text) in TEXTS.iter().enumerate() {
                let restore = Step::Restore {
                    subscription: "s".parse().expect("a name"),
                    message: message(text),
                    publish_id: format!("redrive:8-{}", n + 1).into(),
                };
                if mortal.step("t", restore).is_none() {
                    break 'life;
                }
            }
            let sequences = vec![1, 2, 3];
            mortal.step(
                "dead",
                Step::Remove {
                    number: 8,
                    sequences,
                },
            );
        }
        let after = After::begin(mortal.world);
        let redriven = after
            .admin(Admin::Redrive {
                topic: "dead".parse().expect("a name"),
                filter: MessageFilter::default(),
                to: RedriveTo::Source,
                edit: RedriveEdit::default(),
                from: PeekFrom::Front,
                limit: 9,
            })
            .await;
        let moved = if left == 4 { 0 } else { 3 };
        assert!(
            matches!(redriven, Outcome::Redriven(Redriven { moved: done, left: 0, .. }) if done == moved),
            "after {left} steps: {redriven:?}"
        );
        assert_eq!(after.texts("t", "s").await, TEXTS, "after {left} steps");
        assert_eq!(after.info("dead").await.messages, 0);
    }
}
