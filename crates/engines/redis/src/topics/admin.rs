//! Defining, removing, emptying and looking. The first step of each waits for its topic at once, so
//! that commands keep their order.

use super::Topics;
use super::graves::Tries;
use super::job::{Ended, Then, Trouble};
use super::script::{Done, Inspected, Step};
use std::future::Future;
use std::sync::Arc;
use tokio::sync::oneshot;
use trunkline_model::{
    Admin, Completion, Durability, Error, MessageId, Outcome, StartFrom, SubscriptionInfo,
    SubscriptionName, SubscriptionSettings, TopicInfo, TopicName, TopicSettings, refusal,
};

/// The answer to a step, when it comes.
pub(super) type Answering = oneshot::Receiver<Ended>;

impl Topics {
    /// Looks or manages.
    pub(crate) fn manage(self: &Arc<Self>, command: Admin, completion: Completion) {
        if let Err(error) = self.serves().and_then(|()| self.room.check()) {
            return completion.complete(Err(error));
        }
        match command {
            Admin::Define { topic, settings } => self.define(topic, settings, completion),
            Admin::Alter {
                topic,
                settings,
                clear,
            } => {
                let inspected = self.call(&topic, Step::Inspect, false);
                let topics = self.clone();
                let alter = async move { topics.alter(inspected, &topic, &settings, &clear).await };
                self.finish(completion, alter);
            }
            Admin::AlterSubscription {
                topic,
                subscription,
                settings,
                clear,
            } => {
                let inspected = self.call(&topic, Step::Inspect, false);
                let topics = self.clone();
                self.finish(completion, async move {
                    topics
                        .alter_subscription(inspected, &topic, &subscription, &settings, &clear)
                        .await
                });
            }
            Admin::Delete { topic } => self.delete(topic, completion),
            Admin::Subscribe {
                topic,
                subscription,
                from,
                settings,
            } => self.subscribe(topic, subscription, from, settings, completion),
            Admin::Unsubscribe {
                topic,
                subscription,
            } => self.unsubscribe(topic, subscription, completion),
            Admin::Purge {
                topic,
                subscription,
            } => self.purge(topic, subscription, completion),
            Admin::Inspect { topic } => {
                let inspected = self.call(&topic, Step::Inspect, false);
                self.finish(completion, async move {
                    match told(&topic, None, inspected.await)? {
                        (number, Done::Inspected(inspected)) => {
                            Ok(Outcome::Topic(Box::new(info(topic, number, *inspected))))
                        }
                        _ => Err(Error::internal()),
                    }
                });
            }
            Admin::List { after, limit } => {
                let topics = self.clone();
                let list = async move { topics.list(after, limit).await };
                self.finish(completion, list);
            }
            Admin::Peek {
                topic,
                subscription,
                limit,
                from,
                filter,
            } => {
                let looking = self.looking(&topic, subscription, from, filter, limit);
                self.finish(
                    completion,
                    async move { Ok(Outcome::Peeked(looking.await?)) },
                );
            }
            command @ Admin::Redrive { .. } => {
                let topics = self.clone();
                self.finish(completion, async move { topics.redrive(command).await });
            }
            Admin::Backup => completion.complete(Err(Error::unsupported(
                "backup",
                "a store in Redis is copied with Redis' own tools (BGSAVE, replicas)",
            ))),
        }
    }

    /// Adds a step and returns where its answer will be.
    pub(super) fn call(self: &Arc<Self>, topic: &TopicName, step: Step, makes: bool) -> Answering {
        let (answer, answering) = oneshot::channel();
        let job = self.job(step, makes, Then::Call(answer));
        self.push(topic, job);
        answering
    }

    /// Answers a command when its future has ended.
    fn finish(
        self: &Arc<Self>,
        completion: Completion,
        outcome: impl Future<Output = Result<Outcome, Error>> + Send + 'static,
    ) {
        self.tasks
            .spawn(async move { completion.complete(outcome.await) });
    }

    fn define(self: &Arc<Self>, topic: TopicName, settings: TopicSettings, completion: Completion) {
        let options = match settings.resolve() {
            Ok(options) => options,
            Err(error) => return self.define_unsound(topic, settings, error, completion),
        };
        let define = Step::Define {
            number: 0,
            options: options.clone(),
        };
        let (answer, answering) = oneshot::channel();
        let mut job = self.job(define, true, Then::Call(answer));
        // Nothing is to be found out about most of them.
        let weak = options.durability != Durability::Commit && !topic.is_reserved();
        if options.dead_letter.is_some() || weak {
            let (topics, topic) = (self.clone(), topic.clone());
            job.order.check = Some(Box::pin(async move {
                let mut tries = Tries::default();
                loop {
                    let checked = topics.check_definition(&topic, &options).await;
                    if !tries.go_on(&checked).await {
                        return checked;
                    }
                }
            }));
        }
        self.push(&topic, job);
        self.finish(completion, async move {
            match told(&topic, None, answering.await)? {
                (_, Done::Defined { created: true, .. }) => Ok(Outcome::Defined { created: true }),
                (_, Done::Defined { options, .. }) => {
                    let conflicts = settings.conflicts(&options);
                    if conflicts.is_empty() {
                        return Ok(Outcome::Defined { created: false });
                    }
                    let error = refusal::conflict(&format!("topic {topic}"), &conflicts);
                    Err(error.with("topic", topic.as_str()))
                }
                _ => Err(Error::internal()),
            }
        });
    }

    /// Options that can't be: a topic that is there conflicts with them, a new one is refused.
    fn define_unsound(
        self: &Arc<Self>,
        topic: TopicName,
        settings: TopicSettings,
        error: String,
        completion: Completion,
    ) {
        let inspected = self.call(&topic, Step::Inspect, false);
        self.finish(completion, async move {
            match told(&topic, None, inspected.await) {
                Ok((_, Done::Inspected(there))) => {
                    let conflicts = settings.conflicts(&there.options);
                    let error = refusal::conflict(&format!("topic {topic}"), &conflicts);
                    Err(error.with("topic", topic.as_str()))
                }
                _ => Err(Error::invalid_params(error)),
            }
        });
    }

    fn delete(self: &Arc<Self>, topic: TopicName, completion: Completion) {
        let deleted = self.call(&topic, Step::Delete, false);
        let topics = self.clone();
        self.finish(completion, async move {
            let mut messages = removed(&topic, None, deleted.await)?;
            while let (_, Some(_)) = messages {
                let again = topics.call(&topic, Step::Delete, false);
                let (more, below) = removed(&topic, None, again.await)?;
                messages = (messages.0 + more, below);
            }
            topics.end_consumers(&topic, None, &refusal::no_topic(&topic));
            if let Err(failure) = topics.unlist(&topic).await {
                // It is passed over where topics are listed.
                tracing::warn!(%topic, %failure, "a topic that was deleted is still in the list of names");
            }
            Ok(Outcome::Removed {
                messages: messages.0,
            })
        });
    }

    fn subscribe(
        self: &Arc<Self>,
        topic: TopicName,
        subscription: SubscriptionName,
        from: Option<StartFrom>,
        settings: SubscriptionSettings,
        completion: Completion,
    ) {
        // Bounds that don't make sense do so on no topic.
        if let Err(error) = settings.resolve(&self.defaults).check() {
            return completion.complete(Err(Error::invalid_params(error)));
        }
        let step = {
            let (subscription, settings) = (subscription.clone(), settings.clone());
            move |after| Step::Subscribe {
                subscription: subscription.clone(),
                from,
                settings: settings.clone(),
                after,
            }
        };
        let (answer, answering) = oneshot::channel();
        let mut job = self.job(step(None), true, Then::Call(answer));
        if let Some(grave) = settings.dead_letter.clone() {
            let (topics, topic) = (self.clone(), topic.clone());
            job.order.check = Some(Box::pin(async move {
                let mut tries = Tries::default();
                loop {
                    let checked = topics.check_subscription(&topic, &grave).await;
                    if !tries.go_on(&checked).await {
                        return checked;
                    }
                }
            }));
        }
        self.push(&topic, job);
        let topics = self.clone();
        self.finish(completion, async move {
            let answered = topics.until_done(&topic, step, true, answering).await;
            if let Ok(Err(Trouble::Missing)) = answered {
                return Err(refusal::no_topic_made(&topic));
            }
            match told(&topic, Some(&subscription), answered)? {
                (
                    _,
                    Done::Subscribed {
                        created: true,
                        released,
                        ..
                    },
                ) => Ok(Outcome::Subscribed {
                    created: true,
                    released,
                }),
                (
                    _,
                    Done::Subscribed {
                        settings: there,
                        options,
                        ..
                    },
                ) => {
                    let current = there.resolve(&options);
                    let conflicts = refusal::subscription_conflicts(&settings, &current);
                    if conflicts.is_empty() {
                        return Ok(Outcome::Subscribed {
                            created: false,
                            released: 0,
                        });
                    }
                    let what = format!("subscription {subscription} of topic {topic}");
                    Err(refusal::conflict(&what, &conflicts))
                }
                _ => Err(Error::internal()),
            }
        });
    }

    fn unsubscribe(
        self: &Arc<Self>,
        topic: TopicName,
        subscription: SubscriptionName,
        completion: Completion,
    ) {
        let step = |below| Step::Unsubscribe {
            subscription: subscription.clone(),
            below,
        };
        let first = self.call(&topic, step(None), false);
        let topics = self.clone();
        self.finish(completion, async move {
            let name = Some(&subscription);
            let mut sum = removed(&topic, name, first.await)?;
            let gone = refusal::no_subscription(&topic, &subscription);
            topics.end_consumers(&topic, Some(&subscription), &gone);
            while let Some(below) = sum.1 {
                let step = Step::Unsubscribe {
                    subscription: subscription.clone(),
                    below: Some(below),
                };
                let again = topics.call(&topic, step, false).await;
                let (more, below) = removed(&topic, name, again)?;
                sum = (sum.0 + more, below);
            }
            Ok(Outcome::Removed { messages: sum.0 })
        });
    }

    fn purge(
        self: &Arc<Self>,
        topic: TopicName,
        subscription: Option<SubscriptionName>,
        completion: Completion,
    ) {
        let step = Step::Purge {
            subscription: subscription.clone(),
            below: None,
        };
        let first = self.call(&topic, step, false);
        let topics = self.clone();
        self.finish(completion, async move {
            let name = subscription.as_ref();
            let mut sum = removed(&topic, name, first.await)?;
            while let Some(below) = sum.1 {
                let step = Step::Purge {
                    subscription: subscription.clone(),
                    below: Some(below),
                };
                let again = topics.call(&topic, step, false).await;
                let (more, below) = removed(&topic, name, again)?;
                sum = (sum.0 + more, below);
            }
            Ok(Outcome::Removed { messages: sum.0 })
        });
    }
}

/// What a step did, and the topic's number.
pub(super) fn told(
    topic: &TopicName,
    subscription: Option<&SubscriptionName>,
    answered: Result<Ended, oneshot::error::RecvError>,
) -> Result<(u32, Done), Error> {
    match answered {
        Ok(Ok(told)) => Ok((told.number, told.done)),
        Ok(Err(trouble)) => Err(trouble.error(topic, subscription.map(|name| name.as_str()))),
        // The engine is closed.
        Err(_) => Err(Error::shutting_down()),
    }
}

fn removed(
    topic: &TopicName,
    subscription: Option<&SubscriptionName>,
    answered: Result<Ended, oneshot::error::RecvError>,
) -> Result<(u64, Option<u64>), Error> {
    match told(topic, subscription, answered)?.1 {
        Done::Removed { messages, more } => Ok((messages, more)),
        _ => Err(Error::internal()),
    }
}

/// What can be seen of a topic.
pub(super) fn info(name: TopicName, number: u32, inspected: Inspected) -> TopicInfo {
    let options = inspected.options;
    let subscriptions = inspected.subscriptions.into_iter();
    let mut subscriptions: Vec<_> = subscriptions
        .map(|one| SubscriptionInfo {
            options: one.settings.resolve(&options),
            name: one.name,
            waiting: one.waiting,
            delayed: one.delayed,
            by_priority: one.by_priority,
            oldest_at: one.oldest_at,
            in_flight: one.in_flight,
            consumers: one.consumers,
            acked: one.acked,
            redelivered: one.redelivered,
            late: one.late,
            dead: one.dead,
        })
        .collect();
    subscriptions.sort_unstable_by(|a, b| a.name.cmp(&b.name));
    TopicInfo {
        name,
        number,
        options,
        messages: inspected.messages,
        bytes: inspected.bytes,
        oldest_at: inspected.oldest_at,
        published: inspected.published,
        expired: inspected.expired,
        dropped: inspected.dropped,
        replaced: inspected.replaced,
        duplicates: inspected.duplicates,
        dead: inspected.dead,
        subscriptions,
    }
}

/// An identity in a topic.
pub(super) const fn id(topic: u32, sequence: u64) -> MessageId {
    MessageId { topic, sequence }
}
