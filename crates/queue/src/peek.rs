//! Looking at messages: where they are, so that the engine can read what they say.

use crate::{BodyRef, Core, messages::Stored, subscription::Subscription, topic::Topic};
use std::ops::Bound::{Excluded, Unbounded};
use trunkline_model::{
    Durability, Error, MessageFilter, MessageId, MessageState, PeekCursor, PeekFrom, Timestamp,
};

/// Most messages that one look passes over, so that nobody waits long for it.
const PASSED_MAX: usize = 100_000;

/// What is looked at.
#[derive(Clone, Copy, Debug)]
pub struct Look<'a> {
    /// The topic.
    pub topic: &'a str,
    /// What waits, is delayed and is in flight in this subscription, one after the other;
    /// `None` for everything stored, by sequence.
    pub subscription: Option<&'a str>,
    /// Where to begin.
    pub from: PeekFrom,
    /// Only those, as far as it can be told without their content.
    pub filter: &'a MessageFilter,
    /// At most so many.
    pub limit: usize,
}

/// A message that was looked at: the engine reads its body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peeked {
    /// Its identity.
    pub id: MessageId,
    /// For a look that goes on behind it.
    pub cursor: PeekCursor,
    /// Where it is in the subscription; `None` for a whole topic.
    pub state: Option<MessageState>,
    /// Its deliveries so far to that subscription.
    pub attempts: u32,
    /// Where its body is.
    pub body: BodyRef,
    /// What its topic promises: it is shown no earlier.
    pub durability: Durability,
}

/// Messages that were looked at.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PeekPage {
    /// In the order that was asked for.
    pub messages: Vec<Peeked>,
    /// Where to go on; `None` if there was nothing more.
    pub next: Option<PeekCursor>,
}

/// A message on the way: its cursor, sequence and attempts.
type Passed = (PeekCursor, u64, u32);

impl Core {
    /// Looks at messages and disturbs nothing. From an id, only messages with at least its
    /// sequence. A page may be short, or empty, and yet say where to go on: one look passes
    /// over 100,000 messages at most.
    ///
    /// # Errors
    /// `NotFound`; `InvalidParams` for an id of another topic, or a state without a
    /// subscription.
    pub fn peek(&self, now: Timestamp, look: &Look<'_>) -> Result<PeekPage, Error> {
        let index = self.require(look.topic)?;
        let topic = &self.topics[index];
        let own = |id: MessageId| match id.topic == topic.number {
            true => Ok(id.sequence),
            false => Err(Error::invalid_params(format!(
                "message {id} is not one of topic {}; its ids start with {}-",
                look.topic, topic.number
            ))),
        };
        let (least, after) = match look.from {
            PeekFrom::Front => (0, None),
            PeekFrom::Id(id) => (own(id)?, None),
            PeekFrom::After(cursor) => (0, Some(cursor)),
        };
        let only = look.filter.id.map(own).transpose()?;
        let page = Page {
            topic,
            now,
            look,
            least,
            only,
        };
        let Some(name) = look.subscription else {
            if look.filter.state.is_some() {
                return Err(Error::invalid_params(
                    "a message has a state in a subscription only; name one",
                ));
            }
            let behind = after.map_or(0, |cursor| cursor.position.saturating_add(1));
            let first = only.unwrap_or(behind.max(least));
            let all = topic.messages.iter_from(first).map(|stored| {
                let sequence = stored.sequence;
                let cursor = PeekCursor::sequence(MessageState::Waiting, sequence);
                (cursor, sequence, 0)
            });
            return Ok(page.of(all));
        };
        let number = self.require_subscription(index, name)?;
        let subscription = topic.subscription(number);
        if let Some(sequence) = only {
            let found = subscription.passed(topic, sequence);
            let found = found.filter(|(cursor, ..)| after.is_none_or(|after| after < *cursor));
            return Ok(page.of(found.into_iter()));
        }
        Ok(page.of(subscription.behind(after, look.filter.state)))
    }
}

/// What a page is made by.
struct Page<'a> {
    topic: &'a Topic,
    now: Timestamp,
    look: &'a Look<'a>,
    /// Only messages with at least this sequence.
    least: u64,
    /// Only the one with this sequence.
    only: Option<u64>,
}

impl Page<'_> {
    fn of(&self, passed: impl Iterator<Item = Passed>) -> PeekPage {
        let mut page = PeekPage::default();
        let (mut count, mut last) = (0, None);
        for (cursor, sequence, attempts) in passed {
            if self.only.is_some_and(|only| only < sequence) {
                break;
            }
            if count == PASSED_MAX || page.messages.len() == self.look.limit {
                page.next = last;
                break;
            }
            count += 1;
            last = Some(cursor);
            let stored = self.topic.messages.at(sequence);
            if self.shows(&stored, cursor) {
                page.messages.push(Peeked {
                    id: self.topic.id(sequence),
                    cursor,
                    state: self.look.subscription.map(|_| cursor.state),
                    attempts,
                    body: stored.body,
                    durability: self.topic.options.durability,
                });
            }
        }
        page
    }

    fn shows(&self, stored: &Stored, cursor: PeekCursor) -> bool {
        let MessageFilter {
            since,
            until,
            state,
            ..
        } = self.look.filter;
        stored.sequence >= self.least
            && self.only.is_none_or(|only| only == stored.sequence)
            && !stored.is_expired(self.now)
            && stored.body != BodyRef::UNSET
            && since.is_none_or(|since| stored.published_at >= since)
            && until.is_none_or(|until| stored.published_at < until)
            && state.is_none_or(|state| cursor.state == state)
    }
}

impl Subscription {
    /// Its messages behind a cursor, only those in one state if that is asked for.
    fn behind(
        &self,
        after: Option<PeekCursor>,
        only: Option<MessageState>,
    ) -> impl Iterator<Item = Passed> {
        use MessageState::{Delayed, InFlight, Waiting};
        let part = |state| {
            let is_over = after.is_some_and(|after| after.state > state);
            !is_over && only.is_none_or(|only| only == state)
        };
        let here = |state| after.filter(|after| after.state == state);
        let (lane, position) = here(Waiting).map_or((0, 0), |c| (c.priority, c.position));
        let waiting = self
            .waiting
            .iter_from(lane, position)
            .map(|(lane, placed)| {
                let cursor = PeekCursor::waiting(lane, placed.position);
                (cursor, placed.sequence, placed.attempts)
            });
        let behind = |state| here(state).map_or(Unbounded, |c| Excluded(c.position));
        let delayed = self.delayed.range((behind(Delayed), Unbounded));
        let delayed = delayed.map(|(sequence, attempts)| {
            (PeekCursor::sequence(Delayed, sequence), sequence, attempts)
        });
        let in_flight = self.flights.range((behind(InFlight), Unbounded));
        let in_flight = in_flight.map(|(sequence, flight)| {
            let cursor = PeekCursor::sequence(InFlight, *sequence);
            (cursor, *sequence, flight.placed.attempts)
        });
        let waiting = part(Waiting).then_some(waiting).into_iter().flatten();
        let delayed = part(Delayed).then_some(delayed).into_iter().flatten();
        let in_flight = part(InFlight).then_some(in_flight).into_iter().flatten();
        let all = waiting.chain(delayed).chain(in_flight);
        // Whether the cursor's own message still waits is not known.
        all.skip_while(move |(cursor, ..)| after.is_some_and(|after| *cursor <= after))
    }

    /// One message, if it is here.
    fn passed(&self, topic: &Topic, sequence: u64) -> Option<Passed> {
        if let Some(flight) = self.flights.get(&sequence) {
            let cursor = PeekCursor::sequence(MessageState::InFlight, sequence);
            return Some((cursor, sequence, flight.placed.attempts));
        }
        if let Some(attempts) = self.delayed.attempts_of(sequence) {
            let cursor = PeekCursor::sequence(MessageState::Delayed, sequence);
            return Some((cursor, sequence, attempts));
        }
        let usual = topic.messages.usual_place(sequence)?;
        let (lane, position) = self.waiting.place_of(sequence, usual);
        let (lane, placed) = self.waiting.iter_from(lane, position).next()?;
        let cursor = PeekCursor::waiting(lane, placed.position);
        (placed.sequence == sequence).then_some((cursor, sequence, placed.attempts))
    }
}
