//! What the server tells about topics, as far as tables show it.

use crate::{failure::Failure, text};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Value, value::RawValue};

/// A topic. Members that a server leaves out are shown as nothing.
#[derive(Debug, Deserialize)]
pub(super) struct Topic {
    #[serde(rename = "topic")]
    pub(super) name: String,
    #[serde(default)]
    pub(super) options: Value,
    #[serde(default)]
    pub(super) messages: u64,
    #[serde(default)]
    pub(super) bytes: u64,
    #[serde(default)]
    pub(super) published: u64,
    #[serde(default)]
    pub(super) expired: u64,
    #[serde(default)]
    pub(super) dropped: u64,
    #[serde(default)]
    pub(super) replaced: u64,
    #[serde(default)]
    pub(super) subscriptions: Vec<Subscription>,
}

/// A subscription of a topic.
#[derive(Debug, Deserialize)]
pub(super) struct Subscription {
    #[serde(rename = "subscription")]
    pub(super) name: String,
    #[serde(default)]
    waiting: u64,
    #[serde(default)]
    in_flight: u64,
    #[serde(default)]
    consumers: u64,
    #[serde(default)]
    acked: u64,
    #[serde(default)]
    redelivered: u64,
}

impl Subscription {
    pub(super) const HEAD: [&'static str; 6] = [
        "SUBSCRIPTION",
        ">WAITING",
        ">IN FLIGHT",
        ">CONSUMERS",
        ">ACKED",
        ">REDELIVERED",
    ];

    pub(super) fn row(&self) -> Vec<String> {
        let mut row = vec![self.name.clone()];
        let numbers = [
            self.waiting,
            self.in_flight,
            self.consumers,
            self.acked,
            self.redelivered,
        ];
        row.extend(numbers.map(text::count));
        row
    }
}

/// Reads what the server answered.
pub(super) fn read<T: DeserializeOwned>(raw: &RawValue) -> Result<T, Failure> {
    serde_json::from_str(raw.get())
        .map_err(|error| Failure::failed(format!("the server's answer can't be read: {error}")))
}
