//! A topic in a Redis of its own, and processes that ask.

use crate::topics::script::{
    Answer, Batched, Change, Done, Hold, Incoming, Inspected, Refusal, Reply, Request, Script,
    Step, Taken,
};
use bytes::Bytes;
use redis::{Connection, Value};
use std::time::Duration;
use trunkline_model::{StartFrom, Timestamp, TopicName, TopicOptions, TopicSettings, When};
use trunkline_test_servers::Redis;

/// The process that asks if none is named.
pub(crate) const ME: &str = "me";
/// The topic's number.
pub(crate) const NUMBER: u32 = 7;

pub(crate) struct World {
    /// It ends with this.
    pub(crate) server: Redis,
    pub(crate) redis: Connection,
    pub(crate) script: Script,
    pub(crate) topic: TopicName,
    pub(crate) lease: Duration,
    /// Whether who asks has consumers.
    pub(crate) attached: bool,
    pub(crate) last: Option<Reply>,
    number: u64,
}

/// A message, by its payload and what else it has.
pub(crate) fn message(payload: &str) -> Incoming {
    Incoming {
        publish_id: None,
        key: None,
        group: None,
        priority: None,
        jms_priority: None,
        expires: None,
        deliver: None,
        payload_bytes: payload.len() as u32,
        body: Bytes::copy_from_slice(payload.as_bytes()),
    }
}

pub(crate) fn publish(messages: impl IntoIterator<Item = Incoming>) -> Step {
    let change = |message| Change::Publish {
        if_subscribed: false,
        message,
    };
    Step::Batch {
        strict: false,
        commands: messages.into_iter().map(change).collect(),
    }
}

pub(crate) fn ack(consumer: u64, holds: &[Hold]) -> Step {
    let holds = holds.to_vec();
    one(Change::Ack { consumer, holds })
}

pub(crate) fn nack(consumer: u64, holds: &[Hold], requeue: bool, delay_s: u64) -> Step {
    one(Change::Nack {
        consumer,
        holds: holds.to_vec(),
        requeue,
        delay: Duration::from_secs(delay_s),
    })
}

pub(crate) fn one(change: Change) -> Step {
    Step::Batch {
        strict: false,
        commands: vec![change],
    }
}

pub(crate) fn after(seconds: u64) -> Option<When> {
    Some(When::After(Duration::from_secs(seconds)))
}

pub(crate) fn attach(consumer: u64, subscription: &str) -> Step {
    Step::Attach {
        consumer,
        subscription: subscription.parse().expect("a name"),
        create: true,
        from: None,
    }
}

pub(crate) fn take(consumer: u64, subscription: &str, count: u32) -> Step {
    Step::Take {
        consumer,
        subscription: subscription.parse().expect("a name"),
        count,
        bytes: u64::MAX,
        at_least_one: true,
        auto_ack: false,
    }
}

pub(crate) fn subscribe(subscription: &str, from: Option<StartFrom>) -> Step {
    Step::Subscribe {
        subscription: subscription.parse().expect("a name"),
        from,
        settings: Default::default(),
        after: None,
    }
}

pub(crate) fn holds(taken: &[Taken]) -> Vec<Hold> {
    taken.iter().map(|taken| taken.hold).collect()
}

pub(crate) fn text(taken: &[Taken]) -> String {
    let payloads = taken.iter().map(|taken| {
        let text = String::from_utf8_lossy(&taken.message.body);
        match taken.attempt {
            1 => text.into_owned(),
            attempt => format!("{text}!{attempt}"),
        }
    });
    payloads.collect::<Vec<_>>().join(" ")
}

pub(crate) fn options(json: &str) -> TopicOptions {
    let settings: TopicSettings = serde_json::from_str(json).expect("settings");
    settings.resolve().expect("options")
}

impl World {
    /// `None` where there is no Redis to test with; that was said then.
    pub(crate) fn new(settings: &str) -> Option<Self> {
        let mut world = Self::without_topic(&[])?;
        world.define(settings);
        Some(world)
    }

    pub(crate) fn without_topic(options: &[&str]) -> Option<Self> {
        let server = Redis::start_with(options)?;
        let client = redis::Client::open(server.url()).expect("a URL");
        let mut script = Script::new("tl");
        script.clock = Some(Timestamp::from_micros(1_700_000_000_000_000));
        Some(Self {
            redis: client.get_connection().expect("Redis answers"),
            server,
            script,
            topic: "t".parse().expect("a name"),
            lease: Duration::from_secs(100_000),
            attached: true,
            last: None,
            number: 0,
        })
    }

    pub(crate) fn define(&mut self, settings: &str) {
        let options = options(settings);
        let number = NUMBER;
        let done = self.done(Step::Define { number, options });
        assert!(matches!(done, Done::Defined { created: true, .. }));
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.script.clock.expect("the test has the time")
    }

    pub(crate) fn wait(&mut self, span: Duration) {
        self.script.clock = Some(self.now().after(span));
    }

    pub(crate) fn wait_s(&mut self, seconds: u64) {
        self.wait(Duration::from_secs(seconds));
    }

    pub(crate) fn next_number(&mut self) -> u64 {
        self.number += 1;
        self.number
    }

    /// The answer to a request with a number that was chosen.
    pub(crate) fn request(&mut self, process: &str, number: u64, steps: &[Step]) -> Answer {
        let request = Request {
            topic: &self.topic,
            process,
            number,
            attached: self.attached,
            lease: self.lease,
            steps,
        };
        let called = self.script.call(&request).query::<Value>(&mut self.redis);
        let value = match called {
            Err(error) if error.code() == Some("NOSCRIPT") => {
                self.script.send(&request).query(&mut self.redis)
            }
            value => value,
        };
        let value = value.unwrap_or_else(|error| panic!("{steps:?}: {error}"));
        let text = format!("{value:?}");
        let answer = self.script.answer(value);
        answer.unwrap_or_else(|error| panic!("{steps:?}: {error}: {text}"))
    }

    pub(crate) fn ask_as(&mut self, process: &str, steps: &[Step]) -> Reply {
        let number = self.next_number();
        match self.request(process, number, steps) {
            Answer::Reply(reply) => {
                assert_eq!(reply.steps.len(), steps.len());
                self.last = Some(reply.clone());
                reply
            }
            other => panic!("{steps:?}: {other:?}"),
        }
    }

    pub(crate) fn ask(&mut self, steps: &[Step]) -> Reply {
        self.ask_as(ME, steps)
    }

    pub(crate) fn tick(&mut self) -> Reply {
        self.ask(&[])
    }

    pub(crate) fn try_as(&mut self, process: &str, step: Step) -> Result<Done, Refusal> {
        let mut reply = self.ask_as(process, &[step]);
        reply.steps.remove(0)
    }

    pub(crate) fn try_one(&mut self, step: Step) -> Result<Done, Refusal> {
        self.try_as(ME, step)
    }

    pub(crate) fn done(&mut self, step: Step) -> Done {
        let text = format!("{step:?}");
        self.try_one(step)
            .unwrap_or_else(|refusal| panic!("{text}: {refusal:?}"))
    }

    pub(crate) fn batch(&mut self, step: Step) -> Batched {
        match self.done(step) {
            Done::Batch(batched) => batched,
            other => panic!("{other:?}"),
        }
    }

    /// Publishes payloads; their sequences.
    pub(crate) fn publish(&mut self, payloads: &str) -> Vec<u64> {
        self.batch(publish(payloads.split(' ').map(message))).ids
    }

    pub(crate) fn take_as(&mut self, process: &str, step: Step) -> Vec<Taken> {
        match self.try_as(process, step) {
            Ok(Done::Taken { deliveries, .. }) => deliveries,
            other => panic!("{other:?}"),
        }
    }

    pub(crate) fn take(&mut self, consumer: u64, subscription: &str, count: u32) -> Vec<Taken> {
        self.take_as(ME, take(consumer, subscription, count))
    }

    pub(crate) fn inspect(&mut self) -> Inspected {
        match self.done(Step::Inspect) {
            Done::Inspected(inspected) => *inspected,
            other => panic!("{other:?}"),
        }
    }

    /// Redis is killed and starts again with what it has on disk.
    pub(crate) fn restart(&mut self) {
        self.server.restart();
        let client = redis::Client::open(self.server.url()).expect("a URL");
        self.redis = client.get_connection().expect("Redis answers");
    }

    /// All keys of the topic without their common part, sorted.
    pub(crate) fn keys(&mut self) -> Vec<String> {
        let found: Vec<String> = redis::cmd("KEYS")
            .arg("*")
            .query(&mut self.redis)
            .expect("it answers");
        let prefix = "tl:{t}:";
        let mut keys: Vec<_> = found
            .into_iter()
            .map(|key| {
                key.strip_prefix(prefix)
                    .expect("a key of the topic")
                    .to_owned()
            })
            .collect();
        keys.sort();
        keys
    }
}
