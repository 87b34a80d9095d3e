//! Options that change while a topic is used: made of what is there, and only if that is still so.

use super::Topics;
use super::admin::{Answering, told};
use super::job::{Ended, Told, Trouble};
use super::script::{Done, Inspected, Refusal, Step};
use compact_str::CompactString;
use std::sync::Arc;
use tokio::sync::oneshot::error::RecvError;
use trunkline_model::{
    Altered, ByteSize, Error, Outcome, SubscriptionName, SubscriptionSettings, TopicName,
    TopicSettings, refusal,
};

/// Tries before somebody else is said to change the topic all the time.
const TRIES: usize = 20;

impl Topics {
    pub(super) async fn alter(
        self: &Arc<Self>,
        first: Answering,
        topic: &TopicName,
        settings: &TopicSettings,
        clear: &[CompactString],
    ) -> Result<Outcome, Error> {
        let mut inspected = first.await;
        for _ in 0..TRIES {
            let there = seen(topic, inspected)?;
            let mut merged = there.options.settings().with(settings);
            for option in clear {
                let cleared = merged.clear(option, settings);
                cleared.map_err(Error::invalid_params)?;
            }
            let options = merged.resolve().map_err(Error::invalid_params)?;
            let grave = options.dead_letter.as_ref();
            self.check_letters(topic, &options, grave).await?;
            self.check_grave(topic, &options).await?;
            let step = |after| Step::Alter {
                version: there.version,
                options: options.clone(),
                after,
            };
            let first = self.call(topic, step(None), false);
            let answered = self.until_done(topic, step, false, first).await;
            if let Ok(Err(Trouble::Refused(Refusal::Changed { .. }))) = answered {
                inspected = self.call(topic, Step::Inspect, false).await;
                continue;
            }
            let (messages, bytes) = stock(topic, None, answered)?;
            return Ok(Outcome::Altered(Altered {
                changes: there.options.changes(&options),
                messages_above: above(messages, options.max_messages),
                bytes_above: above(bytes, options.max_bytes.map(|ByteSize(max)| max)),
            }));
        }
        Err(changing(topic))
    }

    pub(super) async fn alter_subscription(
        self: &Arc<Self>,
        first: Answering,
        topic: &TopicName,
        name: &SubscriptionName,
        settings: &SubscriptionSettings,
        clear: &[CompactString],
    ) -> Result<Outcome, Error> {
        let mut inspected = first.await;
        for _ in 0..TRIES {
            let there = seen(topic, inspected)?;
            let mut subscriptions = there.subscriptions.iter();
            let found = subscriptions.find(|subscription| subscription.name == *name);
            let current = found.ok_or_else(|| refusal::no_subscription(topic, name))?;
            let mut merged = current.settings.clone().with(settings);
            for option in clear {
                let cleared = merged.clear(option, settings);
                cleared.map_err(Error::invalid_params)?;
            }
            let options = merged.resolve(&there.options);
            options.check().map_err(Error::invalid_params)?;
            let grave = options.dead_letter.as_ref();
            self.check_letters(topic, &there.options, grave).await?;
            let step = |after| Step::AlterSubscription {
                version: there.version,
                subscription: name.clone(),
                settings: merged.clone(),
                after,
            };
            let first = self.call(topic, step(None), false);
            let answered = self.until_done(topic, step, false, first).await;
            if let Ok(Err(Trouble::Refused(Refusal::Changed { .. }))) = answered {
                inspected = self.call(topic, Step::Inspect, false).await;
                continue;
            }
            let (messages, bytes) = stock(topic, Some(name), answered)?;
            return Ok(Outcome::Altered(Altered {
                changes: current.settings.resolve(&there.options).changes(&options),
                messages_above: above(messages, options.max_messages),
                bytes_above: above(bytes, options.max_bytes.map(|ByteSize(max)| max)),
            }));
        }
        Err(changing(topic))
    }

    /// What a step comes to that is done in portions, of which the first was asked.
    pub(super) async fn until_done(
        self: &Arc<Self>,
        topic: &TopicName,
        step: impl Fn(Option<u64>) -> Step,
        makes: bool,
        first: Answering,
    ) -> Result<Ended, RecvError> {
        let mut answered = first.await;
        while let Ok(Ok(Told {
            done:
                Done::Altered {
                    more: Some(after), ..
                }
                | Done::Subscribed {
                    more: Some(after), ..
                },
            ..
        })) = answered
        {
            answered = self.call(topic, step(Some(after)), makes).await;
        }
        answered
    }
}

fn seen(topic: &TopicName, answered: Result<Ended, RecvError>) -> Result<Inspected, Error> {
    match told(topic, None, answered)?.1 {
        Done::Inspected(inspected) => Ok(*inspected),
        _ => Err(Error::internal()),
    }
}

fn stock(
    topic: &TopicName,
    subscription: Option<&SubscriptionName>,
    answered: Result<Ended, RecvError>,
) -> Result<(u64, u64), Error> {
    match told(topic, subscription, answered)?.1 {
        Done::Altered {
            messages, bytes, ..
        } => Ok((messages, bytes)),
        _ => Err(Error::internal()),
    }
}

fn changing(topic: &TopicName) -> Error {
    super::refused::error(topic, None, &Refusal::Changed { version: 0 })
}

fn above(stored: u64, max: Option<u64>) -> u64 {
    max.map_or(0, |max| stored.saturating_sub(max))
}
