//! A process with an engine, as short as tests want it.

use crate::setup::soon;
use smallvec::SmallVec;
use std::sync::Arc;
use tokio::sync::mpsc;
use trunkline_engine_redis::{RedisConfig, RedisEngine};
use trunkline_model::{
    Admin, Batch, Caller, Command, Completion, ConsumeSpec, ConsumerHandle, ConsumerId, Consuming,
    Delivery, DeliverySink, DeliveryTag, Engine, Error, Health, Message, Outcome, Receipt, Source,
    TopicInfo, TopicName, TopicSettings, oneshot,
};
use trunkline_test_servers::Redis;

/// What a consumer hears.
#[derive(Debug)]
pub(crate) enum Heard {
    Started(Result<Consuming, Error>),
    Delivery(Box<Delivery>),
    Ended(Error),
}

struct Sink(mpsc::UnboundedSender<Heard>);

impl DeliverySink for Sink {
    fn started(&self, result: Result<Consuming, Error>) {
        let _ = self.0.send(Heard::Started(result));
    }

    fn deliver(&self, deliveries: Vec<Delivery>) {
        for delivery in deliveries {
            let _ = self.0.send(Heard::Delivery(Box::new(delivery)));
        }
    }

    fn ended(&self, reason: Error) {
        let _ = self.0.send(Heard::Ended(reason));
    }
}

/// A consumer, and what it has heard.
pub(crate) struct Taker {
    pub(crate) handle: Box<dyn ConsumerHandle>,
    heard: mpsc::UnboundedReceiver<Heard>,
}

impl Taker {
    pub(crate) fn id(&self) -> ConsumerId {
        self.handle.id()
    }

    pub(crate) async fn next(&mut self) -> Delivery {
        match soon(self.heard.recv()).await {
            Some(Heard::Delivery(delivery)) => {
                self.handle.taken(delivery.weight());
                *delivery
            }
            other => panic!("{other:?}"),
        }
    }

    pub(crate) async fn ended(&mut self) -> Error {
        match soon(self.heard.recv()).await {
            Some(Heard::Ended(reason)) => reason,
            other => panic!("{other:?}"),
        }
    }

    /// What is there already.
    pub(crate) fn rest(&mut self) -> Vec<String> {
        let mut rest = Vec::new();
        while let Ok(heard) = self.heard.try_recv() {
            match heard {
                Heard::Delivery(delivery) => {
                    self.handle.taken(delivery.weight());
                    rest.push(text(&delivery));
                }
                other => panic!("{other:?}"),
            }
        }
        rest
    }
}

pub(crate) fn text(delivery: &Delivery) -> String {
    String::from_utf8_lossy(&delivery.message.payload).into_owned()
}

/// A process.
pub(crate) struct Desk {
    pub(crate) engine: Arc<RedisEngine>,
    caller: Caller,
}

pub(crate) fn topic(name: &str) -> TopicName {
    name.parse().expect("a name")
}

pub(crate) fn publish(name: &str, text: &str) -> Batch {
    let message = Message {
        payload: text.to_owned().into(),
        ..Message::default()
    };
    Batch::of(Command::Publish {
        topic: topic(name),
        messages: SmallVec::from_iter([message]),
    })
}

pub(crate) fn ack(consumer: ConsumerId, tag: DeliveryTag) -> Batch {
    Batch::of(Command::Ack {
        consumer,
        tags: SmallVec::from_iter([tag]),
    })
}

impl Desk {
    /// On a server, with the configuration that `with` makes of the usual one.
    pub(crate) fn open(server: &Redis, with: impl FnOnce(&mut RedisConfig)) -> Self {
        let mut config = RedisConfig::new(server.url().parse().expect("a URL"));
        with(&mut config);
        Self {
            engine: RedisEngine::start(config).expect("it starts"),
            caller: Caller::system(),
        }
    }

    pub(crate) fn submit(
        &self,
        batch: Batch,
    ) -> impl Future<Output = Result<Receipt, Error>> + use<> {
        let (completion, result): (Completion, _) = oneshot();
        self.engine.submit(&self.caller, batch, completion);
        async {
            match soon(result).await? {
                Outcome::Done(receipt) => Ok(receipt),
                other => panic!("{other:?}"),
            }
        }
    }

    pub(crate) async fn publish(&self, name: &str, text: &str) -> Receipt {
        let receipt = self.submit(publish(name, text)).await;
        receipt.unwrap_or_else(|error| panic!("{error}"))
    }

    pub(crate) async fn admin(&self, command: Admin) -> Result<Outcome, Error> {
        let (completion, result) = oneshot();
        self.engine.admin(&self.caller, command, completion);
        soon(result).await
    }

    pub(crate) async fn define(&self, name: &str, settings: TopicSettings) {
        let topic = topic(name);
        let defined = self.admin(Admin::Define { topic, settings }).await;
        assert!(
            matches!(defined, Ok(Outcome::Defined { created: true })),
            "{defined:?}"
        );
    }

    pub(crate) async fn inspect(&self, name: &str) -> TopicInfo {
        match self.admin(Admin::Inspect { topic: topic(name) }).await {
            Ok(Outcome::Topic(info)) => *info,
            other => panic!("{other:?}"),
        }
    }

    /// A consumer of the subscription `s` that has begun.
    pub(crate) async fn consume(&self, name: &str, credit: u32) -> Taker {
        self.consume_as(name, "s", credit).await
    }

    /// A consumer of some subscription that has begun.
    pub(crate) async fn consume_as(&self, name: &str, subscription: &str, credit: u32) -> Taker {
        let (sender, heard) = mpsc::unbounded_channel();
        let spec = ConsumeSpec {
            sources: vec![Source {
                topic: topic(name),
                subscription: subscription.parse().expect("a name"),
                from: None,
            }],
            credit,
            window_bytes: 1 << 20,
            auto_ack: false,
        };
        let handle = self
            .engine
            .consume(&self.caller, spec, Arc::new(Sink(sender)));
        let mut taker = Taker { handle, heard };
        match soon(taker.heard.recv()).await {
            Some(Heard::Started(Ok(_))) => taker,
            other => panic!("{other:?}"),
        }
    }

    pub(crate) async fn health(&self, wanted: impl FnMut(&Health) -> bool) -> Health {
        let mut health = self.engine.health();
        let seen = soon(health.wait_for(wanted)).await;
        seen.expect("the engine is there").clone()
    }
}
