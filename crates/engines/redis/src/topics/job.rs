//! What waits for a topic: a step, and whom it is done for.

use super::Topics;
use super::batch::Part;
use super::room::Taken;
use super::script::{Done, Refusal, Step};
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use tokio::sync::oneshot;
use tokio::time::Instant;
use trunkline_model::{
    Completion, ConsumerId, Consuming, DeliveryOutbox, Error, Outcome, SubscriptionName, TopicName,
};

/// Something to find out before a step, elsewhere.
pub(super) type Check = Pin<Box<dyn Future<Output = Result<(), Error>> + Send>>;

/// A step that waits to be sent.
pub(super) struct Job {
    pub(super) step: Step,
    pub(super) order: Order,
}

/// What is known of a step besides what it does.
pub(super) struct Order {
    /// Whether it makes the topic if that isn't there.
    pub(super) makes: bool,
    /// What it carries.
    pub(super) bytes: u64,
    /// When it is given up.
    pub(super) deadline: Instant,
    /// Whoever waits was told that it takes too long.
    pub(super) told: bool,
    pub(super) check: Option<Check>,
    pub(super) then: Then,
    /// What it takes of the room for what waits.
    pub(super) _room: Taken,
}

/// Whom a step is done for.
pub(super) enum Then {
    /// Nobody waits.
    Nothing,
    /// A client's batch.
    Part(Part),
    /// A consumer begins, or goes on after its lease was lost.
    Attach {
        consumer: ConsumerId,
        source: u32,
        subscription: SubscriptionName,
    },
    /// Code that waits.
    Call(oneshot::Sender<Ended>),
}

/// How a step went.
pub(super) type Ended = Result<Told, Trouble>;

/// What a step did, and to which topic.
#[derive(Debug)]
pub(super) struct Told {
    pub(super) number: u32,
    pub(super) done: Done,
}

/// Why a step did nothing, or isn't known to have.
#[derive(Debug)]
pub(super) enum Trouble {
    /// The script says no.
    Refused(Refusal),
    /// The topic isn't there.
    Missing,
    /// Something else.
    Failed(Error),
}

impl Trouble {
    /// In words, for a step about a topic.
    pub(super) fn error(&self, topic: &str, subscription: Option<&str>) -> Error {
        match self {
            Self::Refused(refused) => super::refused::error(topic, subscription, refused),
            Self::Missing => trunkline_model::refusal::no_topic(topic),
            Self::Failed(error) => error.clone(),
        }
    }
}

/// What is handed over when no lock is held: deliveries first, then answers.
#[derive(Default)]
pub(super) struct Outgoing {
    pub(super) outboxes: Vec<Arc<DeliveryOutbox>>,
    pub(super) answers: Vec<(Completion, Result<Outcome, Error>)>,
    /// Topics of which more may be taken.
    pub(super) nudges: Vec<TopicName>,
}

impl Outgoing {
    pub(super) fn hand_over(self, topics: &Arc<Topics>) {
        for topic in self.nudges {
            topics.nudge(&topic);
        }
        for outbox in self.outboxes {
            outbox.flush();
        }
        Completion::complete_all(self.answers.into_iter());
    }
}

impl Then {
    /// Says how a step went.
    pub(super) fn end(
        self,
        topics: &Arc<Topics>,
        topic: &TopicName,
        ended: Ended,
        out: &mut Outgoing,
    ) {
        match self {
            Self::Nothing => {}
            Self::Part(part) => part.end(topics, topic, ended, out),
            Self::Attach {
                consumer,
                source,
                subscription,
            } => match ended {
                Ok(told) => {
                    if let Done::Attached {
                        subscription: number,
                        created,
                        released,
                    } = told.done
                    {
                        let created = u32::from(created);
                        let made = Consuming { created, released };
                        topics.attached(consumer, source, number, made, out);
                    }
                }
                Err(trouble) => {
                    let error = match trouble {
                        Trouble::Missing => trunkline_model::refusal::no_topic_made(topic),
                        other => other.error(topic, Some(&subscription)),
                    };
                    topics.end_consumer(consumer, error, out);
                }
            },
            // Who asked may be gone.
            Self::Call(answer) => drop(answer.send(ended)),
        }
    }

    /// The time is over, though the step may still be done: says so.
    pub(super) fn give_up(
        &mut self,
        topics: &Arc<Topics>,
        topic: &TopicName,
        error: Error,
        out: &mut Outgoing,
    ) {
        match self {
            Self::Part(part) => part.give_up(error, out),
            Self::Nothing => {}
            Self::Attach { .. } | Self::Call(_) => {
                let then = std::mem::replace(self, Self::Nothing);
                then.end(topics, topic, Err(Trouble::Failed(error)), out);
            }
        }
    }
}
