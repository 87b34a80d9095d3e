use crate::{
    Fixture,
    listener::Listener,
    taker::{Recorder, Taker},
};
use smallvec::SmallVec;
use std::{sync::Arc, time::Duration};
use trunkline_model::{
    Admin, Batch, Caller, Capabilities, ChannelMessage, ChannelName, Command, ConsumeSpec,
    ConsumerId, DeliveryTag, Engine, Error, Health, ListenPolicy, Message, MessageId, Outcome,
    Receipt, Source, StartFrom, SubscriptionName, SubscriptionSettings, TopicInfo, TopicName,
    TopicSettings, oneshot,
};

/// Time that an engine whose clock can't be moved is given beyond what is asked for.
const SLACK: Duration = Duration::from_millis(60);

/// What a case works with: an engine, and short ways to say what is done with it.
pub(crate) struct Lab {
    fixture: Box<dyn Fixture>,
    prefix: String,
    caller: Caller,
}

/// A message with a text as its body.
pub(crate) fn message(text: &str) -> Message {
    Message {
        payload: text.to_owned().into(),
        content_type: "text/plain".into(),
        ..Message::default()
    }
}

/// A batch of one publish.
pub(crate) fn publish(topic: &TopicName, messages: Vec<Message>) -> Command {
    Command::Publish {
        topic: topic.clone(),
        messages: SmallVec::from_vec(messages),
    }
}

/// Settles deliveries.
pub(crate) fn ack(consumer: ConsumerId, tags: &[DeliveryTag]) -> Command {
    Command::Ack {
        consumer,
        tags: SmallVec::from_slice(tags),
    }
}

/// Returns deliveries, or gives them up.
pub(crate) fn nack(consumer: ConsumerId, tags: &[DeliveryTag], requeue: bool) -> Command {
    Command::Nack {
        consumer,
        tags: SmallVec::from_slice(tags),
        requeue,
        delay: Duration::ZERO,
    }
}

/// What most cases consume with: credit 100 and a wide window.
pub(crate) fn spec(sources: &[(&TopicName, &str)]) -> ConsumeSpec {
    let source = |(topic, subscription): &(&TopicName, &str)| Source {
        topic: (*topic).clone(),
        subscription: name(subscription),
        from: None,
    };
    ConsumeSpec {
        sources: sources.iter().map(source).collect(),
        credit: 100,
        window_bytes: 1 << 20,
        auto_ack: false,
    }
}

/// A subscription's name.
pub(crate) fn name(text: &str) -> SubscriptionName {
    text.parse().expect("cases use valid names")
}

impl Lab {
    pub(crate) fn new(fixture: Box<dyn Fixture>, case: &str) -> Self {
        // Names of its own for every case, so that engines may share a store.
        let letter = |c: char| if c.is_ascii_alphanumeric() { c } else { '-' };
        Self {
            fixture,
            prefix: case.chars().map(letter).collect(),
            caller: Caller::system(),
        }
    }

    pub(crate) fn engine(&self) -> Arc<dyn Engine> {
        self.fixture.engine()
    }

    pub(crate) fn capabilities(&self) -> Capabilities {
        self.engine().capabilities().borrow().clone()
    }

    pub(crate) fn caller(&self) -> &Caller {
        &self.caller
    }

    /// The name of this case's topic with that label.
    pub(crate) fn topic(&self, label: &str) -> TopicName {
        let name = format!("{}.{label}", self.prefix);
        name.parse().expect("cases use valid names")
    }

    /// The name of this case's channel with that label.
    pub(crate) fn channel(&self, label: &str) -> ChannelName {
        let name = format!("{}.{label}", self.prefix);
        name.parse().expect("cases use valid names")
    }

    /// Lets time pass, or moves the clock.
    pub(crate) async fn pass(&self, span: Duration) {
        if !self.fixture.advance(span) {
            tokio::time::sleep(span + SLACK).await;
        }
    }

    /// Everything that was decided has reached its sink.
    pub(crate) async fn settle(&self) {
        self.fixture.settle().await;
    }

    /// Stops and starts the engine.
    pub(crate) async fn restart(&mut self) {
        self.fixture.restart().await;
    }

    /// Waits until the engine's health is as wanted.
    pub(crate) async fn health(&self, wanted: impl FnMut(&Health) -> bool) {
        let mut health = self.engine().health();
        let seen = health.wait_for(wanted).await;
        assert!(seen.is_ok(), "health ends with another state");
    }

    pub(crate) async fn submit(&self, batch: Batch) -> Result<Receipt, Error> {
        let (completion, result) = oneshot();
        self.engine().submit(&self.caller, batch, completion);
        match result.await? {
            Outcome::Done(receipt) => Ok(receipt),
            other => panic!("a batch ended with {other:?}"),
        }
    }

    /// Submits one command that must succeed.
    pub(crate) async fn done(&self, command: Command) -> Receipt {
        let receipt = self.submit(Batch::of(command)).await;
        receipt.unwrap_or_else(|error| panic!("refused: {error}"))
    }

    /// Publishes texts in one batch.
    pub(crate) async fn publish(&self, topic: &TopicName, texts: &[&str]) -> Vec<MessageId> {
        let messages = texts.iter().map(|text| message(text)).collect();
        self.done(publish(topic, messages)).await.ids.to_vec()
    }

    pub(crate) async fn admin(&self, command: Admin) -> Result<Outcome, Error> {
        let (completion, result) = oneshot();
        self.engine().admin(&self.caller, command, completion);
        result.await
    }

    /// Defines a topic; whether it was not there before.
    pub(crate) async fn try_define(
        &self,
        topic: &TopicName,
        settings: TopicSettings,
    ) -> Result<bool, Error> {
        let topic = topic.clone();
        match self.admin(Admin::Define { topic, settings }).await? {
            Outcome::Defined { created } => Ok(created),
            other => panic!("a definition ended with {other:?}"),
        }
    }

    /// Defines this case's topic with that label.
    pub(crate) async fn define(&self, label: &str, settings: TopicSettings) -> TopicName {
        let topic = self.topic(label);
        let created = self.try_define(&topic, settings).await;
        assert_eq!(created, Ok(true));
        topic
    }

    /// Makes a subscription: whether it was not there, and how many kept messages it let go.
    pub(crate) async fn subscribe(
        &self,
        topic: &TopicName,
        subscription: &str,
        from: Option<StartFrom>,
        settings: SubscriptionSettings,
    ) -> (bool, u64) {
        let command = Admin::Subscribe {
            topic: topic.clone(),
            subscription: name(subscription),
            from,
            settings,
        };
        match self.admin(command).await {
            Ok(Outcome::Subscribed { created, released }) => (created, released),
            other => panic!("a subscription ended with {other:?}"),
        }
    }

    /// Inspects a topic that must be there.
    pub(crate) async fn inspect(&self, topic: &TopicName) -> TopicInfo {
        let topic = topic.clone();
        match self.admin(Admin::Inspect { topic }).await {
            Ok(Outcome::Topic(info)) => *info,
            other => panic!("inspecting ended with {other:?}"),
        }
    }

    /// Starts a consumer and waits until it has begun.
    pub(crate) async fn consume(&self, spec: ConsumeSpec) -> Taker {
        let taker = self.try_consume(spec);
        let started = taker.started().await;
        assert!(started.is_ok(), "{started:?}");
        taker
    }

    pub(crate) fn try_consume(&self, spec: ConsumeSpec) -> Taker {
        let recorder = Arc::new(Recorder::default());
        let handle = self.engine().consume(&self.caller, spec, recorder.clone());
        Taker::new(recorder, handle)
    }

    pub(crate) fn listen(&self, policy: ListenPolicy) -> Listener {
        let listen = |sink| self.engine().listen(&self.caller, sink, policy);
        Listener::new(policy, listen)
    }

    /// Publishes on a channel; the number of listeners reached, where it is known.
    pub(crate) async fn send(&self, channel: &ChannelName, text: &str) -> Option<u64> {
        let payload = text.to_owned().into();
        let message = ChannelMessage::new(channel.clone(), payload, "text/plain".into());
        let (completion, result) = oneshot();
        self.engine()
            .publish_channel(&self.caller, message, completion);
        match result.await {
            Ok(Outcome::Reached(receivers)) => receivers,
            other => panic!("a channel message ended with {other:?}"),
        }
    }
}
