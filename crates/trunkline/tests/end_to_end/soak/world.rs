//! What all clients of a soak share: the ledgers, and a count of what happens.

use super::ledger::{Breach, Kind, Ledger};
use serde::Deserialize;
use serde_json::{Value, json};
use std::sync::{Mutex, MutexGuard, PoisonError};
use tokio::sync::watch;
use trunkline::{Connection, RequestError, Target};

/// The topics, and who is subscribed. Nobody takes from `audit` but the audit; `cli` is for
/// consumers that are processes.
const TOPICS: [(Kind, &[&str]); 6] = [
    (ORDERS, &["audit", "work", "cli"]),
    (EVENTS, &["audit", "work"]),
    (PRICES, &["audit", "work"]),
    (TICKS, &["work"]),
    (JOBS, &["work"]),
    (TIMERS, &["audit", "work"]),
];
/// What no topic of a soak has, unless it says so.
const PLAIN: Kind = Kind {
    topic: "",
    durability: "commit",
    priorities: 1,
    keys: 0,
    groups: 0,
    delay_ms_max: 0,
    dead_letter: None,
};
const ORDERS: Kind = Kind {
    topic: "orders",
    priorities: 4,
    ..PLAIN
};
const EVENTS: Kind = Kind {
    topic: "events",
    durability: "interval",
    groups: 7,
    ..PLAIN
};
const PRICES: Kind = Kind {
    topic: "prices",
    keys: 10,
    ..PLAIN
};
const TICKS: Kind = Kind {
    topic: "ticks",
    durability: "memory",
    priorities: 2,
    ..PLAIN
};
const JOBS: Kind = Kind {
    topic: "jobs",
    dead_letter: Some("jobs.dead"),
    ..PLAIN
};
const TIMERS: Kind = Kind {
    topic: "timers",
    delay_ms_max: 300,
    ..PLAIN
};

/// The subscription of a dead-letter topic.
pub(crate) const DEAD: &str = "audit";

pub(crate) struct World {
    ledgers: Vec<Mutex<Ledger>>,
    events: watch::Sender<u64>,
}

/// What `rpc.topic.inspect` says, as far as it is checked.
#[derive(Deserialize)]
pub(crate) struct Inspected {
    pub(crate) messages: u64,
    pub(crate) subscriptions: Vec<InspectedSubscription>,
}

#[derive(Deserialize)]
pub(crate) struct InspectedSubscription {
    pub(crate) subscription: String,
    pub(crate) waiting: u64,
    pub(crate) in_flight: u64,
}

impl World {
    pub(crate) fn new() -> Self {
        let ledger = |(kind, names): (Kind, &[_])| Ledger::new(kind, names);
        Self::of(TOPICS.map(ledger).into())
    }

    /// With other ledgers.
    pub(crate) fn of(ledgers: Vec<Ledger>) -> Self {
        Self {
            ledgers: ledgers.into_iter().map(Mutex::new).collect(),
            events: watch::Sender::new(0),
        }
    }

    /// The ledgers as they are now, one after the other.
    pub(crate) fn ledgers(&self) -> Vec<Ledger> {
        let topics = 0..self.topics();
        topics.map(|topic| self.ledger(topic).clone()).collect()
    }

    /// How many topics there are; each is named by its place.
    pub(crate) fn topics(&self) -> usize {
        self.ledgers.len()
    }

    pub(crate) fn ledger(&self, topic: usize) -> MutexGuard<'_, Ledger> {
        let ledger = self.ledgers[topic].lock();
        ledger.unwrap_or_else(PoisonError::into_inner)
    }

    /// Something happened, so many times.
    pub(crate) fn count(&self, events: u64) {
        self.events.send_modify(|count| *count += events);
    }

    /// Waits until that much more has happened.
    pub(crate) async fn until(&self, more: u64) {
        let mut events = self.events.subscribe();
        let end = *events.borrow() + more;
        // The sender lives as long as `self`.
        drop(events.wait_for(|count| *count >= end).await);
    }

    /// Makes the topics and subscriptions; whether any was missing.
    pub(crate) async fn declare(&self, client: &Connection) -> Result<bool, Breach> {
        #[derive(Deserialize)]
        struct Made {
            created: bool,
        }
        let mut missing = false;
        for topic in 0..self.topics() {
            let (kind, subscriptions) = {
                let ledger = self.ledger(topic);
                (ledger.kind, ledger.subscriptions())
            };
            let dedupe = if kind.keys > 0 { "latest" } else { "off" };
            let mut options = json!({
                "priorities": kind.priorities, "durability": kind.durability, "dedupe": dedupe,
            });
            if let Some(dead) = kind.dead_letter {
                options["dead_letter"] = json!(dead);
                options["max_attempts"] = json!(Kind::ATTEMPTS_MAX);
                let subscribe = json!({"topic": dead, "subscription": DEAD, "from": "all"});
                let made: Made = ask(client, "rpc.topic.subscribe", &subscribe).await?;
                missing |= made.created;
            }
            let declare = json!({"topic": kind.topic, "options": options});
            let made: Made = ask(client, "rpc.topic.declare", &declare).await?;
            missing |= made.created;
            for name in subscriptions {
                let subscribe = json!({"topic": kind.topic, "subscription": name});
                let made: Made = ask(client, "rpc.topic.subscribe", &subscribe).await?;
                missing |= made.created;
            }
        }
        Ok(missing)
    }

    pub(crate) async fn inspect(
        &self,
        client: &Connection,
        topic: usize,
    ) -> Result<Inspected, Breach> {
        let topic = self.ledger(topic).kind.topic;
        ask(client, "rpc.topic.inspect", &json!({ "topic": topic })).await
    }
}

/// Connects in a quiet moment, when nothing may go wrong.
pub(crate) async fn connect(target: &Target) -> Result<(Connection, trunkline::Pushes), Breach> {
    let connected = Connection::connect(target).await;
    connected.map_err(|error| format!("can't connect in a quiet moment: {error}"))
}

/// Asks in a quiet moment.
pub(crate) async fn ask<T: serde::de::DeserializeOwned>(
    client: &Connection,
    method: &str,
    params: &Value,
) -> Result<T, Breach> {
    let answer = client.ask(method, params).await;
    answer.map_err(|error| format!("{method} {params}: {error}"))
}

/// What becomes of a request that the end of the server may hit: its result, `None` if it was
/// hit. Any other error is a breach.
pub(crate) fn unless_ended<T>(result: Result<T, RequestError>) -> Result<Option<T>, Breach> {
    use trunkline::ErrorCode::{ShuttingDown, Unavailable};
    match result {
        Ok(value) => Ok(Some(value)),
        Err(RequestError::Lost(_)) => Ok(None),
        Err(error) if matches!(error.code(), Some(ShuttingDown | Unavailable)) => Ok(None),
        Err(error) => Err(format!("refused without need: {error}")),
    }
}
