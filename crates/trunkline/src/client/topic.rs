//! Looking at topics and managing them.

use super::{Client, RequestError, requests::Again, stored::time};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json, value::RawValue};
use std::time::Duration;
use trunkline_model::{Durability, StartFrom, SubscriptionSettings, Timestamp, TopicSettings};

/// Topics of one page.
const PAGE: usize = 1_000;
/// Asking again changes nothing, however often.
pub(super) const ALWAYS: Again = Again::Within(Duration::MAX);

/// A topic by its name: from [`Client::topic`].
#[derive(Clone, Debug)]
pub struct Topic {
    client: Client,
    name: String,
}

/// What can be seen of a topic.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct TopicInfo {
    /// Its name.
    pub name: String,
    /// Its number in message ids.
    pub number: u32,
    /// When a publish to it is confirmed, and what a confirmed message survives.
    pub durability: Durability,
    /// The options in effect.
    pub options: TopicSettings,
    /// Messages stored: waiting or delivered in at least one subscription, or kept for the first.
    pub messages: u64,
    /// Payload bytes of the stored messages.
    pub bytes: u64,
    /// When the oldest stored message was published.
    pub oldest_at: Option<Timestamp>,
    /// Messages ever published.
    pub published: u64,
    /// Messages that left because they expired.
    pub expired: u64,
    /// Messages that left unconsumed for another reason.
    pub dropped: u64,
    /// Messages replaced by a newer one with the same key.
    pub replaced: u64,
    /// Publishes that stored nothing, because their key or publish id was there within the window.
    pub duplicates: u64,
    /// Messages given up and moved to a dead-letter topic, once for each subscription.
    pub dead: u64,
    /// Its subscriptions.
    pub subscriptions: Vec<SubscriptionInfo>,
}

/// What can be seen of a subscription.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct SubscriptionInfo {
    /// Its name.
    pub name: String,
    /// The options in effect.
    pub options: SubscriptionSettings,
    /// Messages available or delayed.
    pub waiting: u64,
    /// Of those, held back until their time.
    pub delayed: u64,
    /// Of `waiting`, how many a priority, the most urgent first; up to the last that has any.
    pub by_priority: Vec<u64>,
    /// When the oldest message that it has not settled was published.
    pub oldest_at: Option<Timestamp>,
    /// Deliveries not yet settled.
    pub in_flight: u64,
    /// Consumers attached.
    pub consumers: u64,
    /// Deliveries acknowledged.
    pub acked: u64,
    /// Deliveries that were not the message's first.
    pub redelivered: u64,
    /// Acks, nacks and extends that named a delivery no longer held.
    pub late: u64,
    /// Messages given up and moved to a dead-letter topic.
    pub dead: u64,
}

/// What became of a subscription that was asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[non_exhaustive]
pub struct Subscribed {
    /// It was not there before.
    pub created: bool,
    /// Kept messages that nobody waits for because the first subscription starts with new ones.
    #[serde(default)]
    pub released: u64,
}

impl Client {
    /// A topic by its name; nothing is asked yet.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let server = trunkline::TestServer::start().await?;
    /// # let client = server.client().await?;
    /// use trunkline::TopicSettings;
    ///
    /// let orders = client.topic("orders");
    /// let settings = TopicSettings { priorities: Some(3), ..TopicSettings::default() };
    /// assert!(orders.declare(&settings).await?);
    /// orders.subscribe("billing").await?;
    /// client.publish("orders", "a book").await?;
    /// assert_eq!(orders.inspect().await?.subscriptions[0].waiting, 1);
    /// assert_eq!(orders.peek(&Default::default()).await?.messages[0].text()?, "a book");
    /// assert_eq!(orders.purge().await?, 1);
    /// # Ok(())
    /// # }
    /// ```
    pub fn topic(&self, name: impl Into<String>) -> Topic {
        Topic {
            client: self.clone(),
            name: name.into(),
        }
    }

    /// All topics, by name.
    ///
    /// # Errors
    /// [`RequestError`].
    pub async fn topics(&self) -> Result<Vec<TopicInfo>, RequestError> {
        #[derive(Deserialize)]
        struct Page {
            topics: Vec<Box<RawValue>>,
        }
        let mut topics: Vec<TopicInfo> = Vec::new();
        loop {
            let mut params = json!({"limit": PAGE});
            if let Some(last) = topics.last() {
                params["after"] = json!(last.name);
            }
            let page: Page = self.send_request("rpc.topic.list", &params, ALWAYS).await?;
            let full = page.topics.len() >= PAGE;
            for raw in &page.topics {
                topics.push(TopicInfo::read(raw)?);
            }
            if !full {
                return Ok(topics);
            }
        }
    }
}

impl Topic {
    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    pub(super) async fn ask<T: for<'de> Deserialize<'de> + 'static>(
        &self,
        verb: &str,
        mut more: Value,
        again: Again,
    ) -> Result<T, RequestError> {
        more["topic"] = json!(self.name);
        self.client.send_request(verb, &more, again).await
    }

    /// Asks, and never again once it was sent.
    pub(super) async fn send<T: for<'de> Deserialize<'de> + 'static>(
        &self,
        verb: &str,
        params: &impl Serialize,
    ) -> Result<T, RequestError> {
        self.client
            .send_request(verb, params, Again::IfUnsent)
            .await
    }

    /// Makes the topic; whether it was not there before. The same options again are fine.
    ///
    /// # Errors
    /// [`RequestError`]: the topic is there with other options, among others.
    pub async fn declare(&self, options: &TopicSettings) -> Result<bool, RequestError> {
        let more = json!({"options": options});
        let declared: Subscribed = self.ask("rpc.topic.declare", more, ALWAYS).await?;
        Ok(declared.created)
    }

    /// Makes a durable subscription, without a consumer: with all messages if it is the topic's
    /// first, else with new ones.
    ///
    /// # Errors
    /// [`RequestError`].
    pub async fn subscribe(&self, subscription: &str) -> Result<Subscribed, RequestError> {
        let settings = SubscriptionSettings::default();
        self.subscribe_with(subscription, None, &settings).await
    }

    /// Makes a durable subscription that starts where it is told to, with options of its own.
    ///
    /// # Errors
    /// [`RequestError`]: it is there with other options, among others.
    pub async fn subscribe_with(
        &self,
        subscription: &str,
        from: Option<StartFrom>,
        options: &SubscriptionSettings,
    ) -> Result<Subscribed, RequestError> {
        let mut more = json!({"subscription": subscription, "options": options});
        if let Some(from) = from {
            more["from"] = json!(from);
        }
        self.ask("rpc.topic.subscribe", more, ALWAYS).await
    }

    /// Deletes a subscription; how many messages nobody waits for any more.
    ///
    /// # Errors
    /// [`RequestError`]: there is none of that name, among others.
    pub async fn unsubscribe(&self, subscription: &str) -> Result<u64, RequestError> {
        let more = json!({"subscription": subscription});
        self.remove("rpc.topic.unsubscribe", more).await
    }

    /// What can be seen of it.
    ///
    /// # Errors
    /// [`RequestError`]: there is no such topic, among others.
    pub async fn inspect(&self) -> Result<TopicInfo, RequestError> {
        let raw: Box<RawValue> = self.ask("rpc.topic.inspect", json!({}), ALWAYS).await?;
        TopicInfo::read(&raw)
    }

    /// Drops all messages that wait; how many.
    ///
    /// # Errors
    /// [`RequestError`].
    pub async fn purge(&self) -> Result<u64, RequestError> {
        self.remove("rpc.topic.purge", json!({})).await
    }

    /// Drops all messages that wait in a subscription; how many.
    ///
    /// # Errors
    /// [`RequestError`].
    pub async fn purge_subscription(&self, subscription: &str) -> Result<u64, RequestError> {
        let more = json!({"subscription": subscription});
        self.remove("rpc.topic.purge", more).await
    }

    /// Deletes the topic with everything in it; how many messages that were.
    ///
    /// # Errors
    /// [`RequestError`]: there is no such topic, among others.
    pub async fn delete(&self) -> Result<u64, RequestError> {
        self.remove("rpc.topic.delete", json!({})).await
    }

    async fn remove(&self, verb: &str, more: Value) -> Result<u64, RequestError> {
        #[derive(Deserialize)]
        struct Removed {
            #[serde(default)]
            purged: u64,
        }
        // Done twice, it would take what came in between.
        let removed: Removed = self.ask(verb, more, Again::IfUnsent).await?;
        Ok(removed.purged)
    }
}

#[derive(Deserialize)]
struct WireTopic {
    topic: String,
    #[serde(default)]
    number: u32,
    #[serde(default)]
    options: Map<String, Value>,
    messages: u64,
    bytes: u64,
    #[serde(default)]
    oldest_at: Option<String>,
    published: u64,
    #[serde(default)]
    expired: u64,
    #[serde(default)]
    dropped: u64,
    #[serde(default)]
    replaced: u64,
    #[serde(default)]
    duplicates: u64,
    #[serde(default)]
    dead: u64,
    #[serde(default)]
    subscriptions: Vec<WireSubscription>,
}

#[derive(Deserialize)]
struct WireSubscription {
    subscription: String,
    #[serde(default)]
    options: Map<String, Value>,
    waiting: u64,
    #[serde(default)]
    delayed: u64,
    #[serde(default)]
    by_priority: Vec<u64>,
    #[serde(default)]
    oldest_at: Option<String>,
    in_flight: u64,
    consumers: u64,
    #[serde(default)]
    acked: u64,
    #[serde(default)]
    redelivered: u64,
    #[serde(default)]
    late: u64,
    #[serde(default)]
    dead: u64,
}

impl TopicInfo {
    fn read(raw: &RawValue) -> Result<Self, RequestError> {
        let wire: WireTopic = serde_json::from_str(raw.get()).map_err(RequestError::unreadable)?;
        let subscriptions = wire.subscriptions.into_iter().map(SubscriptionInfo::read);
        let options: TopicSettings = known(wire.options, TopicSettings::MEMBERS)?;
        Ok(Self {
            name: wire.topic,
            number: wire.number,
            durability: options.durability.unwrap_or_default(),
            options,
            messages: wire.messages,
            bytes: wire.bytes,
            oldest_at: wire.oldest_at.as_deref().map(time).transpose()?,
            published: wire.published,
            expired: wire.expired,
            dropped: wire.dropped,
            replaced: wire.replaced,
            duplicates: wire.duplicates,
            dead: wire.dead,
            subscriptions: subscriptions.collect::<Result<_, _>>()?,
        })
    }
}

impl SubscriptionInfo {
    fn read(wire: WireSubscription) -> Result<Self, RequestError> {
        Ok(Self {
            name: wire.subscription,
            options: known(wire.options, SubscriptionSettings::MEMBERS)?,
            waiting: wire.waiting,
            delayed: wire.delayed,
            by_priority: wire.by_priority,
            oldest_at: wire.oldest_at.as_deref().map(time).transpose()?,
            in_flight: wire.in_flight,
            consumers: wire.consumers,
            acked: wire.acked,
            redelivered: wire.redelivered,
            late: wire.late,
            dead: wire.dead,
        })
    }
}

/// Options that a later server has besides are passed over.
fn known<T: for<'de> Deserialize<'de>>(
    mut options: Map<String, Value>,
    names: &[&str],
) -> Result<T, RequestError> {
    options.retain(|name, _| names.contains(&name.as_str()));
    serde_json::from_value(Value::Object(options)).map_err(RequestError::unreadable)
}

/// What a server says about itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ServerInfo {
    /// Its version.
    pub version: String,
    /// The version of the protocol that it speaks.
    pub protocol: u64,
    /// The URL of its engine.
    pub engine: String,
}

impl Client {
    /// What the server says about itself.
    ///
    /// # Errors
    /// [`RequestError`].
    pub async fn info(&self) -> Result<ServerInfo, RequestError> {
        self.send_request("rpc.info", &json!({}), ALWAYS).await
    }
}
