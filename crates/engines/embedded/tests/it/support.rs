//! An engine driven by hand, and sinks that write down what they get.

use smallvec::SmallVec;
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};
use trunkline_engine_embedded::{Drive, Embedded, EmbeddedConfig, Location, OpenError};
use trunkline_journal::fault::FaultDisk;
use trunkline_model::{
    Admin, Batch, Caller, Command, Completed, Completion, CompletionQueue, ConsumeSpec,
    ConsumerHandle, ConsumerId, Consuming, Delivery, DeliverySink, DeliveryTag, Durability, Engine,
    Error, Health, ManualClock, Message, Outcome, Source, Timestamp, TopicName, TopicSettings,
    Wake,
};

pub(crate) const START: Timestamp = Timestamp::from_millis(1_800_000_000_000);

/// A store whose every step is the test's own.
pub(crate) struct Bench {
    pub(crate) engine: Arc<Embedded>,
    pub(crate) clock: Arc<ManualClock>,
    queue: Arc<CompletionQueue>,
    next_token: Mutex<u64>,
    results: Mutex<BTreeMap<u64, Result<Outcome, Error>>>,
}

/// Segments as small as they get, on a disk that fails on demand.
pub(crate) fn config(disk: &FaultDisk) -> EmbeddedConfig {
    let mut config = EmbeddedConfig::new(Location::Disk(Arc::new(disk.clone())));
    config.journal.segment_bytes = 256 << 10;
    config.journal.ready_segments = 1;
    config.drive = Drive::ByHand;
    config
}

impl Bench {
    pub(crate) fn open(disk: &FaultDisk) -> Self {
        Self::try_open(config(disk)).expect("it opens")
    }

    pub(crate) fn try_open(mut config: EmbeddedConfig) -> Result<Self, OpenError> {
        let clock = Arc::new(ManualClock::new(START));
        config.clock = Some(clock.clone());
        Ok(Self {
            engine: Embedded::open(config)?,
            clock,
            queue: CompletionQueue::new(Wake::new()),
            next_token: Mutex::new(1),
            results: Mutex::default(),
        })
    }

    fn completion(&self) -> (u64, Completion) {
        let mut next = self.next_token.lock().unwrap();
        *next += 1;
        (*next, Completion::new(self.queue.clone(), *next))
    }

    pub(crate) fn submit(&self, command: Command) -> u64 {
        let (token, completion) = self.completion();
        self.engine
            .submit(&Caller::system(), Batch::of(command), completion);
        token
    }

    /// Nobody waits for its answer.
    pub(crate) fn submit_ignored(&self, command: Command) {
        let batch = Batch::of(command);
        self.engine
            .submit(&Caller::system(), batch, Completion::ignored());
    }

    pub(crate) fn admin(&self, command: Admin) -> u64 {
        let (token, completion) = self.completion();
        self.engine.admin(&Caller::system(), command, completion);
        token
    }

    /// The answer, if it is there; it is kept.
    pub(crate) fn result(&self, token: u64) -> Option<Result<Outcome, Error>> {
        let mut completed = Vec::new();
        self.queue.drain_into(&mut completed);
        let mut results = self.results.lock().unwrap();
        for Completed { token, result } in completed {
            let twice = results.insert(token, result);
            assert!(twice.is_none(), "a command is answered once");
        }
        results.get(&token).cloned()
    }

    /// Keeps an answer no longer.
    pub(crate) fn forget(&self, token: u64) {
        self.results.lock().unwrap().remove(&token);
    }

    /// Steps until the answer is there.
    pub(crate) fn finish(&self, token: u64) -> Result<Outcome, Error> {
        for _ in 0..100 {
            if let Some(result) = self.result(token) {
                return result;
            }
            self.engine.step();
        }
        panic!("no answer after 100 steps");
    }

    /// Steps until there is nothing to write.
    pub(crate) fn settle(&self) {
        while self.engine.step() {}
    }

    pub(crate) fn define(&self, name: &str, settings: TopicSettings) -> TopicName {
        let topic: TopicName = name.parse().unwrap();
        let command = Admin::Define {
            topic: topic.clone(),
            settings,
        };
        let token = self.admin(command);
        assert!(self.finish(token).is_ok());
        topic
    }

    pub(crate) fn define_with(&self, name: &str, durability: Durability) -> TopicName {
        let settings = TopicSettings {
            durability: Some(durability),
            ..TopicSettings::default()
        };
        self.define(name, settings)
    }

    pub(crate) fn consume(&self, topic: &TopicName, subscription: &str) -> Taker {
        self.consume_all(&[topic], subscription)
    }

    /// A consumer with a window of so many bytes.
    pub(crate) fn consume_within(
        &self,
        topic: &TopicName,
        subscription: &str,
        window: u64,
    ) -> Taker {
        self.attach(&[topic], subscription, window)
    }

    /// A consumer of the subscription of that name of several topics.
    pub(crate) fn consume_all(&self, topics: &[&TopicName], subscription: &str) -> Taker {
        self.attach(topics, subscription, u64::MAX)
    }

    fn attach(&self, topics: &[&TopicName], subscription: &str, window_bytes: u64) -> Taker {
        let sink = Arc::new(Sink::default());
        let source = |topic: &&TopicName| Source {
            topic: (*topic).clone(),
            subscription: subscription.parse().unwrap(),
            from: None,
        };
        let spec = ConsumeSpec {
            sources: topics.iter().map(source).collect(),
            credit: 1_000_000,
            window_bytes,
            auto_ack: false,
        };
        let handle = self.engine.consume(&Caller::system(), spec, sink.clone());
        Taker { sink, handle }
    }

    pub(crate) fn health(&self) -> Health {
        self.engine.health().borrow().clone()
    }
}

pub(crate) fn publish(topic: &TopicName, texts: &[&str]) -> Command {
    let message = |text: &&str| Message {
        payload: (*text).to_owned().into(),
        ..Message::default()
    };
    Command::Publish {
        topic: topic.clone(),
        messages: texts.iter().map(message).collect(),
    }
}

pub(crate) fn ack(consumer: ConsumerId, tags: &[DeliveryTag]) -> Command {
    Command::Ack {
        consumer,
        tags: SmallVec::from_slice(tags),
    }
}

/// What a sink was given.
#[derive(Default)]
pub(crate) struct Sink(Mutex<Taken>);

#[derive(Default)]
pub(crate) struct Taken {
    pub(crate) started: Option<Result<Consuming, Error>>,
    pub(crate) deliveries: Vec<Delivery>,
    pub(crate) ended: Option<Error>,
}

impl DeliverySink for Sink {
    fn started(&self, result: Result<Consuming, Error>) {
        self.0.lock().unwrap().started = Some(result);
    }

    fn deliver(&self, deliveries: Vec<Delivery>) {
        self.0.lock().unwrap().deliveries.extend(deliveries);
    }

    fn ended(&self, reason: Error) {
        self.0.lock().unwrap().ended = Some(reason);
    }
}

pub(crate) struct Taker {
    pub(crate) sink: Arc<Sink>,
    pub(crate) handle: Box<dyn ConsumerHandle>,
}

impl Taker {
    pub(crate) fn id(&self) -> ConsumerId {
        self.handle.id()
    }

    pub(crate) fn take(&self) -> Vec<Delivery> {
        std::mem::take(&mut self.sink.0.lock().unwrap().deliveries)
    }

    pub(crate) fn texts(&self) -> Vec<String> {
        self.take().iter().map(text).collect()
    }

    pub(crate) fn has_started(&self) -> bool {
        matches!(self.sink.0.lock().unwrap().started, Some(Ok(_)))
    }

    pub(crate) fn ended(&self) -> Option<Error> {
        self.sink.0.lock().unwrap().ended.clone()
    }
}

pub(crate) fn text(delivery: &Delivery) -> String {
    String::from_utf8_lossy(&delivery.message.payload).into_owned()
}

pub(crate) fn tags(deliveries: &[Delivery]) -> Vec<DeliveryTag> {
    deliveries.iter().map(|delivery| delivery.tag).collect()
}
