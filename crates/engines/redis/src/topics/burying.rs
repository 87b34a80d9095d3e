//! Dead letters on their way: out of the topic's outbox, into the topic that takes them, and only then
//! out of their own. Whatever ends in between, the same letter is stored once.

use super::Topics;
use super::admin::{self, told};
use super::body;
use super::script::{Done, Letter, Reason, Settled, Step};
use super::topic::Topic;
use hashbrown::HashMap;
use std::sync::Arc;
use std::time::Duration;
use trunkline_model::{
    Backoff, Error, Message, StoredMessage, TopicName, TopicOptions, dead_letter,
};

/// Letters that are carried at once.
const AT_ONCE: u32 = 64;
/// Waits after failures.
const AFTER_FAILURES: Backoff = Backoff {
    min: Duration::from_millis(200),
    max: Duration::from_secs(30),
};

/// What is known of the topics that take letters, by name; `None` where none may be.
type Graves = HashMap<TopicName, Option<TopicOptions>>;

impl Topics {
    /// Carries the dead letters of a topic away, until there are none.
    pub(super) fn bury(self: &Arc<Self>, topic: Arc<Topic>) {
        let topics = self.clone();
        self.tasks.spawn(async move {
            let mut failures = 0;
            while !topics.is_closed() {
                match topics.bury_some(&topic.name).await {
                    Ok(0) => {
                        topics.condition.warn("dead letters", None);
                        break;
                    }
                    Ok(_) => failures = 0,
                    Err(error) => {
                        let name = &topic.name;
                        let text =
                            format!("the dead letters of topic {name} can't be stored: {error}");
                        tracing::warn!("{text}");
                        topics.condition.warn("dead letters", Some(text));
                        tokio::time::sleep(AFTER_FAILURES.bound(failures)).await;
                        failures += 1;
                    }
                }
            }
            topic.end_burying();
            // Some may have come since the last look.
            topic.nudge(true);
        });
    }

    /// Carries some; how many that were.
    async fn bury_some(self: &Arc<Self>, topic: &TopicName) -> Result<usize, Error> {
        let take = Step::TakeOutbox { limit: AT_ONCE };
        let taken = self.call(topic, take, false).await;
        let (number, letters) = match taken {
            // It was deleted.
            Ok(Err(super::job::Trouble::Missing)) => return Ok(0),
            answered => match told(topic, None, answered)? {
                (number, Done::Letters(letters)) => (number, letters),
                _ => return Err(Error::internal()),
            },
        };
        let mut graves = Graves::new();
        let mut under_way = Vec::with_capacity(letters.len());
        let mut failed = None;
        for letter in letters {
            let (entry, target) = (letter.entry, letter.target.clone());
            match self.inter(topic, number, letter, &mut graves).await {
                Ok(step) => {
                    let answering = step.map(|step| self.call(&target, step, false));
                    under_way.push((entry, target, answering));
                }
                Err(error) => {
                    failed = Some(error);
                    break;
                }
            }
        }
        let mut entries = Vec::with_capacity(under_way.len());
        for (entry, target, answering) in under_way {
            let buried = answering.is_some();
            let stored = match answering {
                Some(answering) => told(&target, None, answering.await).map(drop),
                None => Ok(()),
            };
            match stored {
                Ok(()) => entries.push(Settled { entry, buried }),
                Err(error) => failed = failed.or(Some(error)),
            }
        }
        let count = entries.len();
        if count > 0 {
            // Those that are stored are settled whatever became of the others, and so don't come again.
            let settle = Step::SettleOutbox { entries };
            told(topic, None, self.call(topic, settle, false).await)?;
        }
        failed.map_or(Ok(count), Err)
    }

    /// The step that stores a letter; `None` if it is dropped: it was one before, or nothing may take it.
    async fn inter(
        self: &Arc<Self>,
        topic: &TopicName,
        number: u32,
        letter: Letter,
        graves: &mut Graves,
    ) -> Result<Option<Step>, Error> {
        let Letter {
            subscription,
            name,
            target,
            reason,
            attempts,
            failed_at,
            at,
            message,
            ..
        } = letter;
        let id = admin::id(number, message.sequence);
        let Some(message) = body::message(message) else {
            tracing::error!(%topic, %id, "a message that was given up can't be read; it is dropped");
            return Ok(None);
        };
        if message.headers.get(dead_letter::ID).is_some() {
            return Ok(None);
        }
        if !graves.contains_key(&target) {
            let grave = self.grave(topic, &target).await?;
            graves.insert(target.clone(), grave);
        }
        let Some(Some(options)) = graves.get(&target) else {
            return Ok(None);
        };
        let origin = dead_letter::Origin {
            topic,
            subscription: name.as_deref(),
            reason: match reason {
                Reason::Expired => "expired",
                Reason::Rejected => "rejected",
                Reason::Exhausted => "max-attempts",
            },
            attempts,
            first_at: failed_at,
            last_at: at,
            id,
        };
        let letter = origin.letter(at, message, options);
        Ok(Some(Step::Inter {
            message: body::incoming(unsent(letter)),
            publish_id: format!("dead:{id}:{subscription}").into(),
        }))
    }

    /// The options of a topic that takes dead letters, which is made if it may be.
    async fn grave(
        self: &Arc<Self>,
        topic: &TopicName,
        target: &TopicName,
    ) -> Result<Option<TopicOptions>, Error> {
        if let Some((_, there)) = self.look(target).await? {
            return Ok(Some(there.options));
        }
        if !self.makes(target) {
            return Ok(None);
        }
        let Some((_, of)) = self.look(topic).await? else {
            return Ok(None);
        };
        let options = dead_letter::options(&self.defaults, &of.options);
        let define = Step::Define { number: 0, options };
        match told(target, None, self.call(target, define, true).await)?.1 {
            Done::Defined { options, .. } => Ok(Some(options)),
            _ => Err(Error::internal()),
        }
    }
}

/// A stored message to be published; its times are those of the topic that it comes to.
fn unsent(message: StoredMessage) -> Message {
    Message {
        payload: message.payload,
        content_type: message.content_type,
        key: message.key,
        group: message.group,
        publish_id: None,
        priority: Some(message.priority),
        jms_priority: None,
        expires: None,
        deliver: None,
        headers: message.headers,
        traceparent: message.traceparent,
    }
}
