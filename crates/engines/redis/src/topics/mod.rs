//! Topics on Redis: the whole state of one lies under keys with one hash tag, and one script changes
//! it.
//!
//! What a client wants becomes steps ([`job`], [`batch`]) that wait for their topic ([`topic`]), which asks the script
//! for many of them at once. What the script hands out is kept by [`consumers`] until it is settled.
//!
//! Start at `topic.rs`: it is the way of everything.

mod admin;
mod alter;
mod asking;
mod batch;
mod body;
mod burying;
mod consume;
mod consumers;
mod define;
mod graves;
mod job;
mod look;
mod redrive;
mod refused;
mod room;
mod script;
mod sweep;
mod topic;
pub(crate) mod wake;

use crate::RedisConfig;
use crate::deployment::{Deployment, Failure, Refusal};
use crate::health::Condition;
use crate::tasks::Tasks;
use compact_str::CompactString;
use consumers::Consumers;
use hashbrown::HashMap;
use job::{Job, Outgoing, Trouble};
use room::Room;
use script::Script;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::Instant;
use topic::{Actor, Topic};
use trunkline_model::{Error, ErrorCode, TopicName, TopicOptions};

/// As long as it takes, for steps that nobody could do anything about.
const FOREVER: Duration = Duration::from_secs(24 * 3_600);

/// How long steps wait.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Patience {
    /// Of publishes, and of what manages.
    pub(crate) publish: Duration,
    /// Of what settles.
    pub(crate) ack: Duration,
}

/// Whether steps are taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Phase {
    Open,
    /// What waits is still done.
    Closing,
    /// Nothing is done any more.
    Closed,
}

/// The topics of an engine.
pub(crate) struct Topics {
    deployment: Deployment,
    script: Script,
    prefix: CompactString,
    /// The name of this process, which no other has.
    process: CompactString,
    auto_create: bool,
    /// Options of topics that are made on first use.
    defaults: TopicOptions,
    lease: Duration,
    patience: Patience,
    room: Arc<Room>,
    consumers: Mutex<Consumers>,
    topics: Mutex<HashMap<TopicName, Arc<Topic>>>,
    last_number: AtomicU64,
    phase: watch::Sender<Phase>,
    /// How many topics are in use.
    in_use: watch::Sender<usize>,
    condition: Arc<Condition>,
    tasks: Arc<Tasks>,
}

impl Topics {
    pub(crate) fn new(
        config: &RedisConfig,
        defaults: TopicOptions,
        deployment: Deployment,
        condition: Arc<Condition>,
        tasks: Arc<Tasks>,
    ) -> Arc<Self> {
        Arc::new(Self {
            script: Script::new(config.url.prefix()),
            prefix: config.url.prefix().into(),
            deployment,
            process: config.process.clone(),
            auto_create: config.auto_create,
            defaults,
            lease: config.lease,
            patience: Patience {
                publish: config.publish_timeout,
                ack: config.publish_timeout * 6,
            },
            room: Room::new(config.waiting_bytes_max),
            consumers: Mutex::default(),
            topics: Mutex::default(),
            last_number: AtomicU64::new(0),
            phase: watch::Sender::new(Phase::Open),
            in_use: watch::Sender::new(0),
            condition,
            tasks,
        })
    }

    /// Whether commands are taken.
    fn serves(&self) -> Result<(), Error> {
        match *self.phase.borrow() {
            Phase::Open => Ok(()),
            Phase::Closing | Phase::Closed => Err(Error::shutting_down()),
        }
    }

    fn is_closing(&self) -> bool {
        *self.phase.borrow() >= Phase::Closing
    }

    fn is_closed(&self) -> bool {
        *self.phase.borrow() == Phase::Closed
    }

    /// Ends when nothing is done any more.
    async fn closed(&self) {
        let mut phase = self.phase.subscribe();
        // It fails only if nobody could close it any more.
        drop(phase.wait_for(|phase| *phase == Phase::Closed).await);
    }

    fn server(&self) -> String {
        self.deployment.url().to_string()
    }

    fn consumers(&self) -> MutexGuard<'_, Consumers> {
        self.consumers
            .lock()
            .expect("no code panics while it holds the consumers")
    }

    fn topics(&self) -> MutexGuard<'_, HashMap<TopicName, Arc<Topic>>> {
        self.topics
            .lock()
            .expect("no code panics while it holds the topics")
    }

    /// Adds a step to what waits for a topic.
    fn push(self: &Arc<Self>, topic: &TopicName, mut job: Job) {
        loop {
            let found = self.topic(topic);
            match found.push(job) {
                Ok(()) => return,
                // It is being let go of at this moment.
                Err(again) => job = *again,
            }
            self.forget(&found);
        }
    }

    /// The topic, with a task of its own.
    fn topic(self: &Arc<Self>, name: &TopicName) -> Arc<Topic> {
        let mut topics = self.topics();
        if let Some(topic) = topics.get(name) {
            return topic.clone();
        }
        let topic = Arc::new(Topic::new(name.clone()));
        topics.insert(name.clone(), topic.clone());
        self.in_use.send_modify(|in_use| *in_use += 1);
        let actor = Actor::new(self.clone(), topic.clone());
        self.tasks.spawn(actor.run());
        topic
    }

    /// The task of a topic has ended.
    fn let_go(&self, topic: &Arc<Topic>) {
        self.forget(topic);
        self.in_use.send_modify(|in_use| *in_use -= 1);
    }

    /// Whoever wants a topic that was let go of makes it anew. Another one may have done so: it stays, since requests
    /// of two tasks would overtake each other.
    fn forget(&self, topic: &Arc<Topic>) {
        let mut topics = self.topics();
        let found = topics.get(&topic.name);
        if found.is_some_and(|found| Arc::ptr_eq(found, topic)) {
            topics.remove(&topic.name);
        }
    }

    /// A consumer of a topic may have room.
    fn nudge(&self, topic: &str) {
        if let Some(topic) = self.topics().get(topic) {
            topic.nudge(false);
        }
    }

    /// Something may have come to a topic.
    fn woken(&self, topic: &str) {
        if let Some(topic) = self.topics().get(topic) {
            topic.nudge(true);
        }
    }

    /// Something may have come to any topic.
    fn all_woken(&self) {
        for topic in self.topics().values() {
            topic.nudge(true);
        }
    }

    fn next_number(&self) -> u64 {
        self.last_number.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// Whether to ask again is of no use.
    fn is_final(&self, failure: &Failure) -> bool {
        match failure {
            Failure::Answer { .. } => true,
            Failure::Refused { refusal, .. } => matches!(
                refusal,
                Refusal::Other | Refusal::WrongType | Refusal::CrossSlot
            ),
            _ => false,
        }
    }

    /// Why a step can't wait any longer; `trouble` is what was said last about its topic.
    fn too_late(&self, trouble: Option<&str>, may_be_done: bool) -> Error {
        let trouble = trouble.map(ToOwned::to_owned);
        let trouble = trouble.or_else(|| self.condition.trouble());
        let trouble = trouble.unwrap_or_else(|| {
            let millis = self.patience.publish.as_millis();
            format!("no answer from Redis at {} for {millis} ms", self.server())
        });
        let (text, executed) = match may_be_done {
            true => (
                "it isn't known whether this was done; look, or publish again with the same publish_id",
                "unknown",
            ),
            false => ("nothing was done; try again when it answers", "no"),
        };
        Error::new(ErrorCode::Unavailable, format!("{trouble}; {text}"))
            .with("reason", "unreachable")
            .with("executed", executed)
    }

    /// What isn't known to have been done.
    fn unknown(&self, why: &str) -> Error {
        let text = format!(
            "it isn't known whether this was done, since {why}; look, or publish again with the same publish_id"
        );
        Error::new(ErrorCode::Unavailable, text).with("executed", "unknown")
    }

    fn refused(&self, failure: &Failure) -> Error {
        Error::new(ErrorCode::Unavailable, failure.to_string()).with("reason", "refused")
    }

    /// The keys of a topic are of another version.
    fn foreign(&self, topic: &TopicName, format: u64) -> Error {
        let text = match format {
            0 => format!(
                "key {} in Redis was not written by Trunkline, or is damaged: topic {topic} can't be used; look what wrote there, and remove the key or use another prefix in the URL",
                String::from_utf8_lossy(&self.script.key(topic))
            ),
            format => format!(
                "the keys of topic {topic} in Redis have format {format}, which this version of Trunkline doesn't know; use the version that made them"
            ),
        };
        Error::new(ErrorCode::Unavailable, text)
            .with("topic", topic.as_str())
            .with("reason", "format")
    }

    /// Whether nothing waits, is under way, or has not reached its sink.
    pub(crate) fn is_idle(&self) -> bool {
        let topics: Vec<_> = self.topics().values().cloned().collect();
        topics.iter().all(|topic| topic.is_idle()) && self.consumers().is_idle()
    }

    /// Takes no more commands and ends the consumers. False if that was done before.
    pub(crate) fn begin_closing(self: &Arc<Self>) -> bool {
        let first = self.phase.send_if_modified(|phase| {
            let open = *phase == Phase::Open;
            if open {
                *phase = Phase::Closing;
            }
            open
        });
        if first {
            let mut out = Outgoing::default();
            let ids = self.consumers().ids();
            for id in ids {
                self.end_consumer(id, Error::shutting_down(), &mut out);
            }
            out.hand_over(self);
            self.all_woken();
        }
        first
    }

    /// Finishes what waits and leaves everywhere, until a point in time; what isn't done by then will not be.
    pub(crate) async fn finish_closing(self: &Arc<Self>, until: Instant) {
        let mut in_use = self.in_use.subscribe();
        let finished = in_use.wait_for(|in_use| *in_use == 0);
        if tokio::time::timeout_at(until, finished).await.is_err() {
            tracing::warn!(
                "Redis did not take everything in time; what was delivered returns when the lease is over"
            );
        }
        if tokio::time::timeout_at(until, self.end_turn())
            .await
            .is_err()
        {
            tracing::debug!("others visit the topics when the lease is over");
        }
        self.phase.send_replace(Phase::Closed);
        let topics: Vec<_> = self.topics().drain().map(|(_, topic)| topic).collect();
        let mut out = Outgoing::default();
        for topic in topics {
            for job in topic.abandon() {
                let error = Err(Trouble::Failed(Error::shutting_down()));
                job.order.then.end(self, &topic.name, error, &mut out);
            }
        }
        out.hand_over(self);
    }
}

impl std::fmt::Debug for Topics {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Topics({:?})", self.deployment)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two that found a topic let go of each removed what stood there: the second one that of the first. Its requests and
    /// those of the next were numbered, and came, in different orders.
    #[tokio::test]
    async fn whoever_comes_late_leaves_the_topic_that_another_one_made() {
        let config = RedisConfig::new("redis://127.0.0.1:1/".parse().expect("a URL"));
        let deployment = Deployment::new(config.url.clone()).expect("it needs no certificate");
        let topics = Topics::new(
            &config,
            TopicOptions::default(),
            deployment,
            Arc::new(Condition::new("nowhere")),
            Arc::new(Tasks::new()),
        );
        let name: TopicName = "t".parse().expect("a name");
        let old = topics.topic(&name);
        old.abandon();
        let job = || topics.job(script::Step::Inspect, false, job::Then::Nothing);
        topics.push(&name, job());
        let new = topics.topic(&name);
        assert!(!Arc::ptr_eq(&old, &new));
        topics.forget(&old);
        assert!(Arc::ptr_eq(&new, &topics.topic(&name)));
        topics.forget(&new);
        assert!(!Arc::ptr_eq(&new, &topics.topic(&name)));
    }
}
