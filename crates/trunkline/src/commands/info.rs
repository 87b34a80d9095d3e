//! What the server tells about topics, as far as tables show it.

use crate::{failure::Failure, text};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Value, value::RawValue};
use trunkline_model::{Clock, SystemClock, Timestamp};

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
    oldest_at: Option<String>,
    #[serde(default)]
    pub(super) published: u64,
    #[serde(default)]
    pub(super) expired: u64,
    #[serde(default)]
    pub(super) dropped: u64,
    #[serde(default)]
    pub(super) replaced: u64,
    #[serde(default)]
    pub(super) duplicates: u64,
    #[serde(default)]
    pub(super) dead: u64,
    #[serde(default)]
    pub(super) subscriptions: Vec<Subscription>,
}

impl Topic {
    pub(super) fn durability(&self) -> &str {
        self.options["durability"].as_str().unwrap_or_default()
    }

    /// How old its oldest message is.
    pub(super) fn age(&self) -> String {
        age(self.oldest_at.as_deref())
    }
}

/// A subscription of a topic.
#[derive(Debug, Deserialize)]
pub(super) struct Subscription {
    #[serde(rename = "subscription")]
    pub(super) name: String,
    #[serde(default)]
    waiting: u64,
    #[serde(default)]
    pub(super) delayed: u64,
    #[serde(default)]
    by_priority: Vec<u64>,
    #[serde(default)]
    oldest_at: Option<String>,
    #[serde(default)]
    pub(super) in_flight: u64,
    #[serde(default)]
    dead: u64,
    #[serde(default)]
    consumers: u64,
    #[serde(default)]
    acked: u64,
    #[serde(default)]
    redelivered: u64,
}

impl Subscription {
    pub(super) const HEAD: [&'static str; 9] = [
        "SUBSCRIPTION",
        ">WAITING",
        ">DELAYED",
        ">IN FLIGHT",
        ">DEAD",
        ">OLDEST",
        ">CONSUMERS",
        ">ACKED",
        ">AGAIN",
    ];

    pub(super) fn row(&self) -> Vec<String> {
        vec![
            text::shortened(&self.name, 20),
            text::count(self.waiting),
            text::count(self.delayed),
            text::count(self.in_flight),
            text::count(self.dead),
            age(self.oldest_at.as_deref()),
            text::count(self.consumers),
            text::count(self.acked),
            text::count(self.redelivered),
        ]
    }

    /// How many wait at each priority that has any; `None` if that says nothing new.
    pub(super) fn by_priority(&self) -> Option<String> {
        const CHARS_MAX: usize = 70;
        if self.by_priority.len() < 2 {
            return None;
        }
        let depths = self.by_priority.iter().enumerate();
        let depths = depths.filter(|(_, depth)| **depth > 0);
        let depths = depths.map(|(priority, depth)| format!("{priority}: {}", text::count(*depth)));
        let depths: Vec<_> = depths.collect();
        Some(text::shortened(&depths.join(", "), CHARS_MAX))
    }
}

/// How long ago a time was that the server told.
fn age(at: Option<&str>) -> String {
    let Some(at) = at.and_then(|at| at.parse::<Timestamp>().ok()) else {
        return "-".to_owned();
    };
    let now = SystemClock::new(Timestamp::ZERO).now();
    text::age(now.since(at))
}

/// Reads what the server answered.
pub(super) fn read<T: DeserializeOwned>(raw: &RawValue) -> Result<T, Failure> {
    serde_json::from_str(raw.get())
        .map_err(|error| Failure::failed(format!("the server's answer can't be read: {error}")))
}
