//! Answers as the script writes them.

use super::encode::placed;
use super::ops::{
    Answer, Batched, Done, Ended, Forgotten, Hold, Inspected, InspectedSubscription, Letter, Limit,
    Reason, Refusal, Reply, Seen, Stored, Taken,
};
use super::pack::Packed;
use bytes::Bytes;
use compact_str::CompactString;
use redis::Value;
use std::time::Duration;
use trunkline_model::{
    ByteSize, Dedupe, DeliveryMode, Durability, MessageId, MessageState, Overflow, PeekCursor,
    Priority, Retry, Span, SubscriptionName, SubscriptionSettings, Timestamp, TopicName,
    TopicOptions, Unsubscribed,
};

/// An answer, or `None` if that is none.
pub(crate) fn answer(value: Value) -> Option<Answer> {
    let Value::Array(parts) = value else {
        let Value::BulkString(packed) = value else {
            return None;
        };
        return read(&packed, Vec::new());
    };
    let mut parts = parts.into_iter();
    let Some(Value::BulkString(packed)) = parts.next() else {
        return None;
    };
    let body = |value| match value {
        Value::BulkString(body) => Some(Some(Bytes::from(body))),
        Value::Nil => Some(None),
        _ => None,
    };
    read(&packed, parts.map(body).collect::<Option<_>>()?)
}

fn read(packed: &[u8], bodies: Vec<Option<Bytes>>) -> Option<Answer> {
    let value = Packed::read(packed)?;
    let mut fields = value.fields()?;
    Some(match fields.text()? {
        "missing" => Answer::Missing,
        "stale" => Answer::Stale,
        "format" => Answer::Format(fields.number()?),
        "reply" => Answer::Reply(reply(fields, &bodies)?),
        _ => return None,
    })
}

fn reply(mut fields: Fields<'_, '_>, bodies: &[Option<Bytes>]) -> Option<Reply> {
    Some(Reply {
        now: fields.time()?,
        number: fields.small()?,
        next_due: fields.some_time()?,
        lease_lost: fields.truth()?,
        outbox: fields.truth()?,
        forgotten: fields.rows(4, |row| {
            Some(Forgotten {
                consumer: row.number()?,
                hold: row.hold()?,
            })
        })?,
        ended: fields.rows(2, |row| {
            Some(Ended {
                consumer: row.number()?,
                subscription: row.small()?,
            })
        })?,
        steps: {
            let steps = fields.array()?.iter();
            let steps = steps.map(|step| result(step.fields()?, bodies));
            steps.collect::<Option<_>>()?
        },
    })
}

fn result(mut fields: Fields<'_, '_>, bodies: &[Option<Bytes>]) -> Option<Result<Done, Refusal>> {
    let done = match fields.text()? {
        "no" => return refusal(fields).map(Err),
        "batch" => {
            let ids = fields.array()?.iter();
            Done::Batch(Batched {
                ids: ids.map(Packed::number).collect::<Option<_>>()?,
                durability: fields.some(durability)?,
                acked: fields.number()?,
                nacked: fields.number()?,
                extended: fields.number()?,
                skipped: fields.number()?,
            })
        }
        "taken" => taken(fields, bodies)?,
        "attached" => Done::Attached {
            subscription: fields.small()?,
            created: fields.truth()?,
            released: fields.number()?,
        },
        "detached" => Done::Detached {
            returned: fields.number()?,
        },
        "defined" => Done::Defined {
            created: fields.truth()?,
            version: fields.number()?,
            options: topic_options(fields.inner()?)?,
        },
        "altered" => Done::Altered {
            messages: fields.number()?,
            bytes: fields.number()?,
            more: fields.some(Packed::number)?,
        },
        "subscribed" => Done::Subscribed {
            subscription: fields.small()?,
            created: fields.truth()?,
            released: fields.number()?,
            settings: settings(fields.inner()?)?,
            options: topic_options(fields.inner()?)?,
            more: fields.some(Packed::number)?,
        },
        "removed" => Done::Removed {
            messages: fields.number()?,
            more: fields.some(Packed::number)?,
        },
        "inspected" => Done::Inspected(Box::new(inspected(fields)?)),
        "peeked" => peeked(fields, bodies)?,
        "letters" => {
            let letters = fields.array()?.iter();
            let letters = letters.map(|letter| letter_of(letter.fields()?, bodies));
            let letters: Option<Vec<_>> = letters.collect();
            Done::Letters(letters?.into_iter().flatten().collect())
        }
        "settled" => Done::Settled(fields.number()?),
        "stored" => Done::Stored {
            sequence: fields.number()?,
            is_new: fields.truth()?,
        },
        _ => return None,
    };
    Some(Ok(done))
}

fn taken(mut fields: Fields<'_, '_>, bodies: &[Option<Bytes>]) -> Option<Done> {
    let (subscription, more) = (fields.small()?, fields.truth()?);
    let told = fields.array()?;
    let first = fields.number()?;
    let mut deliveries = Vec::with_capacity(told.len());
    for (index, delivery) in (first..).zip(told) {
        let mut fields = delivery.fields()?;
        let (sequence, ticket) = (fields.number()?, fields.number()?);
        let attempt = fields.small()?;
        let head = fields.bytes()?;
        // An answer that is given again tells of what may be gone.
        if let Some(message) = stored(sequence, head, body(bodies, index)?)? {
            deliveries.push(Taken {
                hold: Hold {
                    subscription,
                    sequence,
                    ticket,
                },
                attempt,
                message,
            });
        }
    }
    Some(Done::Taken { deliveries, more })
}

fn peeked(mut fields: Fields<'_, '_>, bodies: &[Option<Bytes>]) -> Option<Done> {
    let seen = fields.array()?;
    let next = fields.some(|next| Some(next.clone()))?;
    let has_states = fields.truth()?;
    let cursor = |fields: &mut Fields<'_, '_>| {
        let state = state(fields.number()?)?;
        let score = fields.number()?;
        Some(match (state, has_states) {
            (MessageState::Waiting, true) => {
                let (priority, position) = placed(score);
                PeekCursor::waiting(priority, position)
            }
            (state, _) => PeekCursor::sequence(state, score),
        })
    };
    let mut messages = Vec::with_capacity(seen.len());
    for one in seen {
        let mut fields = one.fields()?;
        let cursor = cursor(&mut fields)?;
        let (sequence, attempts) = (fields.number()?, fields.small()?);
        let is_idle = fields.truth()?;
        let head = fields.bytes()?;
        let at = fields.number()?;
        if let Some(message) = stored(sequence, head, body(bodies, at)?)? {
            messages.push(Seen {
                cursor,
                attempts,
                state: has_states.then_some(cursor.state),
                is_idle,
                message,
            });
        }
    }
    let next = match next {
        Some(next) => Some(cursor(&mut next.fields()?)?),
        None => None,
    };
    Some(Done::Peeked { messages, next })
}

fn letter_of(mut fields: Fields<'_, '_>, bodies: &[Option<Bytes>]) -> Option<Option<Letter>> {
    let (entry, subscription) = (fields.number()?, fields.small()?);
    let name = fields.some(subscription_name)?;
    let target = TopicName::new(fields.text()?).ok()?;
    let reason = match fields.text()? {
        "expired" => Reason::Expired,
        "rejected" => Reason::Rejected,
        "exhausted" => Reason::Exhausted,
        _ => return None,
    };
    let (attempts, failed_at, at) = (fields.small()?, fields.time()?, fields.time()?);
    let (sequence, head) = (fields.number()?, fields.bytes()?);
    let body = body(bodies, fields.number()?)?;
    let letter = stored(sequence, head, body)?.map(|message| Letter {
        entry,
        subscription,
        name,
        target,
        reason,
        attempts,
        failed_at,
        at,
        message,
    });
    Some(letter)
}

fn inspected(mut fields: Fields<'_, '_>) -> Option<Inspected> {
    let mut inspected = Inspected {
        version: fields.number()?,
        options: topic_options(fields.inner()?)?,
        messages: fields.number()?,
        bytes: fields.number()?,
        oldest_at: fields.some_time()?,
        published: fields.number()?,
        expired: fields.number()?,
        dropped: fields.number()?,
        replaced: fields.number()?,
        duplicates: fields.number()?,
        dead: fields.number()?,
        subscriptions: Vec::new(),
    };
    for subscription in fields.array()? {
        let mut fields = subscription.fields()?;
        inspected.subscriptions.push(InspectedSubscription {
            number: fields.small()?,
            name: subscription_name(fields.next()?)?,
            settings: settings(fields.inner()?)?,
            waiting: fields.number()?,
            delayed: fields.number()?,
            by_priority: {
                let counts = fields.array()?.iter();
                counts.map(Packed::number).collect::<Option<_>>()?
            },
            oldest_at: fields.some_time()?,
            in_flight: fields.number()?,
            consumers: fields.small()?,
            acked: fields.number()?,
            redelivered: fields.number()?,
            late: fields.number()?,
            dead: fields.number()?,
        });
    }
    let subscriptions = &mut inspected.subscriptions;
    subscriptions.sort_by(|one, other| one.name.cmp(&other.name));
    Some(inspected)
}

fn refusal(mut fields: Fields<'_, '_>) -> Option<Refusal> {
    let limit = |fields: &mut Fields<'_, '_>| match fields.text()? {
        "messages" => Some(Limit::Messages),
        "bytes" => Some(Limit::Bytes),
        _ => None,
    };
    Some(match fields.text()? {
        "no-topic" => Refusal::NoTopic,
        "no-sub" => Refusal::NoSubscription,
        "no-consumer" => Refusal::NoConsumer,
        "nobody" => Refusal::NobodySubscribes,
        "full" => Refusal::Full {
            limit: limit(&mut fields)?,
            max: fields.number()?,
            drops: fields.truth()?,
        },
        "sub-full" => Refusal::SubscriptionFull {
            subscription: subscription_name(fields.next()?)?,
            limit: limit(&mut fields)?,
            max: fields.number()?,
        },
        "not-held" => Refusal::NotHeld {
            consumer: fields.number()?,
            hold: fields.hold()?,
        },
        "priority" => Refusal::BadPriority {
            priority: fields.small()?,
            priorities: fields.small()?,
        },
        "delayed" => Refusal::DelayedBeyond {
            deliver_at: fields.time()?,
            expires_at: fields.time()?,
        },
        "newer-key" => Refusal::NewerKey,
        "changed" => Refusal::Changed {
            version: fields.number()?,
        },
        "needs-empty" => {
            let option = fields.text()?;
            let known = ["durability", "dedupe", "priorities"].into_iter();
            Refusal::NeedsEmpty {
                option: { known }.find(|known| *known == option)?,
            }
        }
        "other-topic" => Refusal::OtherTopic {
            number: fields.small()?,
            id: MessageId {
                topic: fields.small()?,
                sequence: fields.number()?,
            },
        },
        "no-state" => Refusal::StateWithoutSubscription,
        "oom" => Refusal::OutOfMemory,
        _ => return None,
    })
}

/// A body by its number, from 1; `None` within if it is gone.
fn body(bodies: &[Option<Bytes>], number: u64) -> Option<Option<Bytes>> {
    let index = usize::try_from(number).ok()?.checked_sub(1)?;
    bodies.get(index).cloned()
}

/// A message of its head; `None` within if its body is gone.
fn stored(sequence: u64, head: &[u8], body: Option<Bytes>) -> Option<Option<Stored>> {
    let Some(body) = body else {
        return Some(None);
    };
    let head = Packed::read(head)?;
    let mut fields = head.fields()?;
    let priority = Priority(fields.small()?);
    let _payload_bytes = fields.number()?;
    Some(Some(Stored {
        sequence,
        priority,
        published_at: fields.time()?,
        expires_at: fields.some_time()?,
        deliver_at: fields.some_time()?,
        key: fields.some(text)?,
        group: fields.some(text)?,
        publish_id: fields.some(text)?,
        body,
    }))
}

fn text(value: &Packed<'_>) -> Option<CompactString> {
    value.text().map(CompactString::new)
}

fn subscription_name(value: &Packed<'_>) -> Option<SubscriptionName> {
    SubscriptionName::new(value.text()?).ok()
}

fn state(number: u64) -> Option<MessageState> {
    use MessageState::{Delayed, InFlight, Waiting};
    [Waiting, Delayed, InFlight]
        .into_iter()
        .find(|state| *state as u64 == number)
}

fn durability(value: &Packed<'_>) -> Option<Durability> {
    Some(match value.number()? {
        0 => Durability::Memory,
        1 => Durability::Interval,
        2 => Durability::Commit,
        _ => return None,
    })
}

fn overflow(value: &Packed<'_>) -> Option<Overflow> {
    Some(match value.number()? {
        0 => Overflow::Reject,
        1 => Overflow::DropOldest,
        _ => return None,
    })
}

fn delivery(value: &Packed<'_>) -> Option<DeliveryMode> {
    Some(match value.number()? {
        0 => DeliveryMode::Stream,
        1 => DeliveryMode::Batch,
        _ => return None,
    })
}

fn span(value: &Packed<'_>) -> Option<Span> {
    Some(Span(Duration::from_micros(value.number()?)))
}

fn topic_name(value: &Packed<'_>) -> Option<TopicName> {
    TopicName::new(value.text()?).ok()
}

fn bytes(value: &Packed<'_>) -> Option<ByteSize> {
    value.number().map(ByteSize)
}

fn small<T: TryFrom<u64>>(value: &Packed<'_>) -> Option<T> {
    T::try_from(value.number()?).ok()
}

fn topic_options(mut fields: Fields<'_, '_>) -> Option<TopicOptions> {
    Some(TopicOptions {
        priorities: fields.small()?,
        default_priority: Priority(fields.small()?),
        dedupe: match fields.number()? {
            0 => Dedupe::Off,
            1 => Dedupe::Latest,
            2 => Dedupe::First,
            _ => return None,
        },
        dedupe_window: span(fields.next()?)?,
        ttl: fields.some(span)?,
        ack_timeout: span(fields.next()?)?,
        max_attempts: fields.small()?,
        dead_letter: fields.some(topic_name)?,
        dead_letter_expired: fields.number()? == 1,
        retry: fields.retry()?,
        max_messages: fields.some(Packed::number)?,
        max_bytes: fields.some(bytes)?,
        overflow: overflow(fields.next()?)?,
        durability: durability(fields.next()?)?,
        delivery: delivery(fields.next()?)?,
        unsubscribed: match fields.number()? {
            0 => Unsubscribed::Keep,
            1 => Unsubscribed::Drop,
            2 => Unsubscribed::Reject,
            _ => return None,
        },
        publish_id_window: span(fields.next()?)?,
        transient: fields.number()? == 1,
    })
}

fn settings(mut fields: Fields<'_, '_>) -> Option<SubscriptionSettings> {
    Some(SubscriptionSettings {
        ack_timeout: fields.some(span)?,
        max_attempts: fields.some(small)?,
        dead_letter: fields.some(topic_name)?,
        delivery: fields.some(delivery)?,
        dead_letter_expired: fields.some(|on| Some(on.number()? == 1))?,
        retry: fields.retry()?,
        max_messages: fields.some(Packed::number)?,
        max_bytes: fields.some(bytes)?,
        overflow: fields.some(overflow)?,
    })
}

/// The values of an array, one after the other.
struct Fields<'a, 'b>(std::slice::Iter<'b, Packed<'a>>);

impl<'a> Packed<'a> {
    fn fields(&self) -> Option<Fields<'a, '_>> {
        match self {
            Self::Array(values) => Some(Fields(values.iter())),
            _ => None,
        }
    }

    fn number(&self) -> Option<u64> {
        match self {
            Self::Number(number) => Some(*number),
            _ => None,
        }
    }

    fn text(&self) -> Option<&'a str> {
        match self {
            Self::Text(bytes) => std::str::from_utf8(bytes).ok(),
            _ => None,
        }
    }
}

impl<'a, 'b> Fields<'a, 'b> {
    fn next(&mut self) -> Option<&'b Packed<'a>> {
        self.0.next()
    }

    fn number(&mut self) -> Option<u64> {
        self.next()?.number()
    }

    fn small<T: TryFrom<u64>>(&mut self) -> Option<T> {
        small(self.next()?)
    }

    fn text(&mut self) -> Option<&'a str> {
        self.next()?.text()
    }

    fn bytes(&mut self) -> Option<&'a [u8]> {
        match self.next()? {
            Packed::Text(bytes) => Some(bytes),
            _ => None,
        }
    }

    fn truth(&mut self) -> Option<bool> {
        match self.next()? {
            Packed::None => Some(false),
            Packed::True => Some(true),
            _ => None,
        }
    }

    fn time(&mut self) -> Option<Timestamp> {
        self.number().map(Timestamp::from_micros)
    }

    fn array(&mut self) -> Option<&'b [Packed<'a>]> {
        match self.next()? {
            Packed::Array(values) => Some(values),
            _ => None,
        }
    }

    fn inner(&mut self) -> Option<Fields<'a, 'b>> {
        self.next()?.fields()
    }

    /// What may be absent.
    fn some<T>(&mut self, read: impl FnOnce(&'b Packed<'a>) -> Option<T>) -> Option<Option<T>> {
        match self.next()? {
            Packed::None => Some(None),
            value => read(value).map(Some),
        }
    }

    fn some_time(&mut self) -> Option<Option<Timestamp>> {
        self.some(|time| time.number().map(Timestamp::from_micros))
    }

    fn retry(&mut self) -> Option<Option<Retry>> {
        let (min, max) = (self.some(span)?, self.some(span)?);
        Some(min.zip(max).map(|(min, max)| Retry { min, max }))
    }

    fn hold(&mut self) -> Option<Hold> {
        Some(Hold {
            subscription: self.small()?,
            sequence: self.number()?,
            ticket: self.number()?,
        })
    }

    /// Rows of so many values each, which lie one behind the other.
    fn rows<T>(
        &mut self,
        width: usize,
        mut row: impl FnMut(&mut Fields<'a, 'b>) -> Option<T>,
    ) -> Option<Vec<T>> {
        let rows = self.array()?.chunks(width);
        rows.map(|values| row(&mut Fields(values.iter()))).collect()
    }
}
