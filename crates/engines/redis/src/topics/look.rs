//! Looking at messages and listing topics.

use super::Topics;
use super::admin::{self, told};
use super::body;
use super::script::{Done, Peek, Seen, Step};
use futures_util::{StreamExt, stream};
use std::future::Future;
use std::sync::Arc;
use trunkline_model::{
    Error, ErrorCode, MessageFilter, Outcome, PeekCursor, PeekFrom, PeekedMessage, PeekedPage,
    SubscriptionName, TopicName,
};

/// Most messages that a look passes over, in all its steps.
const PASSED_MAX: u32 = 100_000;
/// Most messages that one step of it passes over.
const STEP_PASSED_MAX: u32 = 10_000;
/// Most messages that a look reads because only their content tells whether they are meant.
const READ_MAX: u32 = 1_000;
/// Most bytes that a look reads, but for a first message that is larger.
const READ_BYTES_MAX: u64 = 16 << 20;
/// Topics that are looked at together when they are listed.
const TOGETHER: usize = 16;

/// A message that was found, with what the topic knows of it.
pub(super) struct Found {
    pub(super) peeked: PeekedMessage,
    /// Nobody holds it.
    pub(super) idle: bool,
}

/// Messages that were found.
#[derive(Default)]
pub(super) struct FoundPage {
    pub(super) found: Vec<Found>,
    pub(super) next: Option<PeekCursor>,
}

impl Topics {
    /// Looks at messages. The first step waits for the topic when this returns.
    pub(super) fn looking(
        self: &Arc<Self>,
        topic: &TopicName,
        subscription: Option<SubscriptionName>,
        from: PeekFrom,
        filter: MessageFilter,
        limit: usize,
    ) -> impl Future<Output = Result<PeekedPage, Error>> + use<> {
        let page = self.find(topic, subscription, from, filter, limit);
        async move {
            let page = page.await?;
            Ok(PeekedPage {
                messages: page.found.into_iter().map(|found| found.peeked).collect(),
                next: page.next,
            })
        }
    }

    /// The same, with more of what is known.
    pub(super) fn find(
        self: &Arc<Self>,
        topic: &TopicName,
        subscription: Option<SubscriptionName>,
        from: PeekFrom,
        filter: MessageFilter,
        limit: usize,
    ) -> impl Future<Output = Result<FoundPage, Error>> + use<> {
        let limit = limit.min(READ_MAX as usize);
        let mut peek = Peek {
            subscription: subscription.clone(),
            from,
            id: filter.id,
            since: filter.since,
            until: filter.until,
            state: filter.state,
            limit: match filter.needs_content() {
                true => READ_MAX,
                false => u32::try_from(limit).unwrap_or(READ_MAX),
            },
            passed_max: STEP_PASSED_MAX,
            bytes_max: READ_BYTES_MAX,
        };
        let topics = self.clone();
        let topic = topic.clone();
        let mut answering = self.call(&topic, Step::Peek(peek.clone()), false);
        async move {
            let mut page = FoundPage::default();
            let (mut passed, mut read, mut bytes) = (0, 0, 0);
            loop {
                let answered = told(&topic, subscription.as_ref(), answering.await)?;
                let (number, Done::Peeked { messages, next }) = answered else {
                    return Err(Error::internal());
                };
                passed += STEP_PASSED_MAX;
                let count = messages.len();
                for (index, seen) in messages.into_iter().enumerate() {
                    read += 1;
                    bytes += seen.message.body.len() as u64;
                    let cursor = seen.cursor;
                    let found = found(number, seen, subscription.is_some())?;
                    if filter.matches(found.peeked.id, &found.peeked.message) {
                        page.found.push(found);
                    }
                    if page.found.len() == limit && index + 1 < count {
                        page.next = Some(cursor);
                        return Ok(page);
                    }
                }
                page.next = next;
                let enough = page.found.len() >= limit
                    || read >= READ_MAX
                    || bytes >= READ_BYTES_MAX
                    || passed >= PASSED_MAX;
                let (Some(cursor), false) = (next, enough) else {
                    return Ok(page);
                };
                peek.from = PeekFrom::After(cursor);
                answering = topics.call(&topic, Step::Peek(peek.clone()), false);
            }
        }
    }

    /// Topics by name, without Trunkline's own and without those that are listed and not there.
    pub(super) async fn list(
        self: &Arc<Self>,
        after: Option<TopicName>,
        limit: usize,
    ) -> Result<Outcome, Error> {
        let mut infos = Vec::new();
        let mut from = after.map_or("-".to_owned(), |name| format!("({name}"));
        while infos.len() < limit {
            let count = (limit - infos.len()).clamp(TOGETHER, 1_000);
            let listed = self.names_from(&from, count).await;
            let names = listed.map_err(|failure| {
                Error::new(ErrorCode::Unavailable, failure.to_string())
                    .with("reason", "unreachable")
            })?;
            let Some(last) = names.last() else {
                break;
            };
            from = format!("({last}");
            let is_last = names.len() < count;
            let names = names.iter().filter_map(|name| TopicName::new(name).ok());
            let names: Vec<_> = names.filter(|name| !name.is_reserved()).collect();
            let looks = names.into_iter().map(|name| async {
                let looked = self.look(&name).await;
                looked.map(|looked| looked.map(|there| (name, there)))
            });
            let mut looks = stream::iter(looks).buffered(TOGETHER);
            while let Some(looked) = looks.next().await {
                let Some((name, (number, there))) = looked? else {
                    continue;
                };
                if !there.options.transient && infos.len() < limit {
                    infos.push(admin::info(name, number, there));
                }
            }
            if is_last {
                break;
            }
        }
        Ok(Outcome::Topics(infos))
    }
}

fn found(number: u32, seen: Seen, in_subscription: bool) -> Result<Found, Error> {
    let id = admin::id(number, seen.message.sequence);
    let message = body::message(seen.message).ok_or_else(Error::internal)?;
    Ok(Found {
        peeked: PeekedMessage {
            id,
            cursor: seen.cursor,
            state: in_subscription.then_some(seen.cursor.state),
            attempts: seen.attempts,
            message,
        },
        idle: seen.is_idle,
    })
}
