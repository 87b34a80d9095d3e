//! Dead letters go back: each is stored where it is wanted, then leaves its topic. What ends in
//! between leaves it in both; driven back again, it is stored once.

use super::Topics;
use super::admin::told;
use super::body;
use super::job::Trouble;
use super::look::Found;
use super::script::{Change, Done, Refusal, Step};
use hashbrown::HashMap;
use std::sync::Arc;
use trunkline_model::{
    Admin, Error, ErrorCode, MessageId, Outcome, PeekFrom, PeekedMessage, RedriveEdit, RedriveTo,
    Redriven, SubscriptionName, TopicName, TopicOptions, dead_letter, limits, refusal,
};

/// Most letters of one look.
const PAGE: usize = 200;
/// Most letters that one redrive looks at.
const LOOKED_MAX: usize = 1_000;

/// What is known of the topics where letters go; `None` where there is none.
type Targets = HashMap<TopicName, Option<TopicOptions>>;

/// Where one letter goes, and the step that stores it there.
struct Move {
    target: TopicName,
    step: Step,
    makes: bool,
}

impl Topics {
    /// Moves dead letters back.
    pub(super) async fn redrive(self: &Arc<Self>, command: Admin) -> Result<Outcome, Error> {
        let Admin::Redrive {
            topic,
            filter,
            to,
            edit,
            mut from,
            limit,
        } = command
        else {
            return Err(Error::internal());
        };
        self.check_redrive(&topic, &to, &edit).await?;
        let (mut done, mut looked) = (Redriven::default(), 0);
        let mut targets = Targets::new();
        let limit = limit as u64;
        while done.moved < limit {
            let page = self.find(&topic, None, from, filter.clone(), PAGE).await?;
            let count = page.found.len();
            let mut moved = Vec::new();
            let mut rest = None;
            for (index, found) in page.found.into_iter().enumerate() {
                let cursor = found.peeked.cursor;
                let id = found.peeked.id;
                match self
                    .move_letter(&topic, found, &to, &edit, &mut targets)
                    .await
                {
                    Ok(true) => moved.push(id),
                    Ok(false) => done.left += 1,
                    Err(error) if done.moved + done.left + moved.len() as u64 > 0 => {
                        tracing::warn!(%topic, %error, "a redrive ends early");
                        self.remove(&topic, &mut moved, &mut done).await?;
                        return Ok(Outcome::Redriven(Redriven {
                            next: match from {
                                PeekFrom::After(before) => Some(before),
                                _ => None,
                            },
                            ..done
                        }));
                    }
                    Err(error) => return Err(error),
                }
                from = PeekFrom::After(cursor);
                if done.moved + moved.len() as u64 == limit && index + 1 < count {
                    rest = Some(cursor);
                    break;
                }
            }
            self.remove(&topic, &mut moved, &mut done).await?;
            looked += count;
            done.next = rest.or(page.next);
            match done.next {
                Some(next) if rest.is_none() && looked < LOOKED_MAX => {
                    from = PeekFrom::After(next);
                }
                _ => break,
            }
        }
        Ok(Outcome::Redriven(done))
    }

    /// Those that were stored elsewhere leave.
    async fn remove(
        self: &Arc<Self>,
        topic: &TopicName,
        moved: &mut Vec<MessageId>,
        done: &mut Redriven,
    ) -> Result<(), Error> {
        if moved.is_empty() {
            return Ok(());
        }
        done.moved += moved.len() as u64;
        // A look sees one topic: all of them have its number.
        for letters in moved.chunk_by(|a, b| a.topic == b.topic) {
            let remove = Step::Remove {
                number: letters[0].topic,
                sequences: letters.iter().map(|id| id.sequence).collect(),
            };
            told(topic, None, self.call(topic, remove, false).await)?;
        }
        moved.clear();
        Ok(())
    }

    /// Stores one where it is wanted; false if it stays.
    async fn move_letter(
        self: &Arc<Self>,
        from: &TopicName,
        found: Found,
        to: &RedriveTo,
        edit: &RedriveEdit,
        targets: &mut Targets,
    ) -> Result<bool, Error> {
        if !found.idle {
            return Ok(false);
        }
        let Some(moving) = self.moving(from, found.peeked, to, edit, targets).await? else {
            return Ok(false);
        };
        let Move {
            target,
            step,
            makes,
        } = moving;
        match self.call(&target, step, makes).await {
            Ok(Ok(told)) => Ok(match told.done {
                Done::Stored { .. } | Done::Batch(_) => true,
                _ => return Err(Error::internal()),
            }),
            Ok(Err(Trouble::Refused(Refusal::OutOfMemory))) => {
                Err(super::refused::error(&target, None, &Refusal::OutOfMemory))
            }
            Ok(Err(Trouble::Failed(error))) => Err(error),
            Ok(Err(trouble)) => {
                tracing::debug!(?trouble, "a dead letter stays where it is");
                Ok(false)
            }
            Err(_) => Err(Error::shutting_down()),
        }
    }

    /// Where a letter goes; `None` if that isn't there.
    async fn moving(
        self: &Arc<Self>,
        from: &TopicName,
        letter: PeekedMessage,
        to: &RedriveTo,
        edit: &RedriveEdit,
        targets: &mut Targets,
    ) -> Result<Option<Move>, Error> {
        let headers = &letter.message.headers;
        let source = headers.get(dead_letter::TOPIC);
        let subscription = headers.get(dead_letter::SUBSCRIPTION);
        let target = match to {
            RedriveTo::Topic(target) => Some(target.clone()),
            RedriveTo::Source => source.and_then(|name| TopicName::new(name).ok()),
        };
        let subscription = subscription.and_then(|name| SubscriptionName::new(name).ok());
        let Some(target) = target.filter(|target| target != from) else {
            return Ok(None);
        };
        if !targets.contains_key(&target) {
            let mut options = self.look(&target).await?.map(|(_, there)| there.options);
            if options.is_none() && matches!(to, RedriveTo::Topic(_)) && self.makes(&target) {
                options = Some(self.defaults.clone());
            }
            targets.insert(target.clone(), options);
        }
        let Some(Some(options)) = targets.get(&target) else {
            return Ok(None);
        };
        let publish_id = format!("redrive:{}", letter.id);
        let message = dead_letter::driven_back(letter.message, edit, options);
        let mut message = body::incoming(message);
        match (to, subscription) {
            (RedriveTo::Topic(_), _) => {
                message.publish_id = Some(publish_id.into());
                let publish = Change::Publish {
                    if_subscribed: false,
                    message,
                };
                let step = Step::Batch {
                    strict: false,
                    commands: vec![publish],
                };
                let makes = true;
                Ok(Some(Move {
                    target,
                    step,
                    makes,
                }))
            }
            (RedriveTo::Source, Some(subscription)) => {
                let step = Step::Restore {
                    subscription,
                    message,
                    publish_id: publish_id.into(),
                };
                let makes = false;
                Ok(Some(Move {
                    target,
                    step,
                    makes,
                }))
            }
            (RedriveTo::Source, None) => Ok(None),
        }
    }

    /// Whether a redrive asks for something that there is.
    async fn check_redrive(
        &self,
        topic: &TopicName,
        to: &RedriveTo,
        edit: &RedriveEdit,
    ) -> Result<(), Error> {
        let payload = edit.payload.as_ref();
        let bytes = payload.map_or(0, |(payload, _)| payload.len());
        let max = limits::PAYLOAD_BYTES_MAX;
        if bytes > max {
            let text = format!("a payload (bytes) of {bytes} exceeds the limit of {max}");
            return Err(Error::new(ErrorCode::TooLarge, text).with("limit", max));
        }
        if self.look(topic).await?.is_none() {
            return Err(refusal::no_topic(topic));
        }
        let RedriveTo::Topic(target) = to else {
            return Ok(());
        };
        if target == topic {
            return Err(Error::invalid_params(format!(
                "dead letters of topic {topic} can't be driven back to the topic itself"
            )));
        }
        let priorities = match self.look(target).await? {
            Some((_, there)) => there.options.priorities,
            None if self.makes(target) => self.defaults.priorities,
            None => return Err(refusal::no_topic_made(target)),
        };
        match edit.priority {
            Some(priority) if u16::from(priority.0) >= priorities => {
                Err(refusal::bad_priority(target, priority.0, priorities))
            }
            _ => Ok(()),
        }
    }
}
