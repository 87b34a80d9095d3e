//! Messages that a subscription gave up: they wait there, out of everybody's reach, until their
//! dead letters are stored.

use crate::{
    lane::Placed,
    messages::NO_KEY,
    moves::{Endings, Move},
    record::Reason,
    topic::BACKLOG,
    traffic::Due,
    work::Work,
};
use trunkline_model::Timestamp;

/// A message on its way to a dead-letter topic.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Leaving {
    pub(crate) lane: u8,
    pub(crate) placed: Placed,
    pub(crate) reason: Reason,
    /// When a delivery first failed, as far as that is known.
    pub(crate) failed_at: Timestamp,
    /// When it was given up.
    pub(crate) at: Timestamp,
    /// Names it among all that leave: see [`Traffic`](crate::traffic::Traffic).
    pub(crate) stamp: u64,
    /// Its body can't be read or its dead letter not be written.
    pub(crate) is_parked: bool,
}

/// A message that leaves: which.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Leaver {
    /// Index of the topic.
    pub(crate) topic: u32,
    pub(crate) subscription: u32,
    pub(crate) sequence: u64,
}

/// How long a message waits after a delivery that failed.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Wait {
    /// Not at all: its consumer is gone.
    Nothing,
    /// So long as somebody asked for.
    Until(Timestamp),
    /// As the subscription's `retry` says.
    Retry,
}

impl Work<'_> {
    /// A delivery ends without acknowledgement: its message goes back to its place, or is
    /// given up.
    pub(crate) fn end_attempt(
        &mut self,
        now: Timestamp,
        sequence: u64,
        number: u32,
        wait: Wait,
        ends: &mut Endings,
    ) {
        let subscription = self.topic.subscription(number);
        let Some(flight) = subscription.flights.get(&sequence) else {
            debug_assert!(false, "only deliveries end");
            return;
        };
        let (attempts, options) = (flight.placed.attempts, &subscription.options);
        if options.max_attempts > 0 && attempts >= options.max_attempts {
            return self.give_up(now, sequence, number, Reason::Exhausted, ends);
        }
        let until = match wait {
            Wait::Nothing => None,
            Wait::Until(until) => Some(until),
            Wait::Retry => {
                let wait = options.retry.map(|retry| retry.wait(attempts));
                wait.filter(|wait| !wait.is_zero())
                    .map(|wait| now.after(wait))
            }
        };
        let tells = options.dead_letter.is_some();
        self.put_back(sequence, number, until);
        if tells {
            let failed = &mut self.topic.subscription_mut(number).failed;
            failed.entry(sequence).or_insert(now);
        }
        if self.topic.logs() {
            let topic = self.topic.number;
            ends.returned.push(Move {
                until,
                failed_at: tells.then_some(now),
                ..Move::of(topic, number, sequence)
            });
        }
    }

    /// A subscription gives a message up, wherever it is there: it becomes a dead letter, or is
    /// dropped if the subscription has no topic for them.
    pub(crate) fn give_up(
        &mut self,
        now: Timestamp,
        sequence: u64,
        number: u32,
        reason: Reason,
        ends: &mut Endings,
    ) {
        let step = Move {
            reason,
            ..Move::of(self.topic.number, number, sequence)
        };
        if self.topic.buries(number) {
            let left = self.leave(now, sequence, number, reason);
            debug_assert!(left.is_some(), "only what is there is given up");
            if let (Some(attempt), true) = (left, self.topic.logs()) {
                ends.left.push(Move { attempt, ..step });
            }
            return;
        }
        self.settle(sequence, number);
        self.topic.counts.dropped += 1;
        if self.topic.logs() {
            ends.dropped.push(step);
        }
    }

    /// A message leaves a subscription where it waits or is delivered; returns its attempts, or
    /// `None` if it was not there.
    pub(crate) fn leave(
        &mut self,
        now: Timestamp,
        sequence: u64,
        number: u32,
        reason: Reason,
    ) -> Option<u32> {
        let usual = self.topic.messages.usual_place(sequence)?;
        let group = self.topic.group_of(sequence);
        let subscription = self.topic.subscriptions.get_mut(&number)?;
        let was = self
            .traffic
            .withdraw(self.index, subscription, sequence, usual, group)?;
        let (lane, placed) = was.place();
        let leaving = Leaving {
            lane,
            placed,
            reason,
            failed_at: subscription.failed.remove(&sequence).unwrap_or(now),
            at: now,
            stamp: self.traffic.stamp(),
            is_parked: false,
        };
        self.add_leaving(number, leaving);
        self.strip_if_left(sequence);
        Some(placed.attempts)
    }

    /// Notes a message that is in a subscription only in that it leaves.
    pub(crate) fn add_leaving(&mut self, number: u32, leaving: Leaving) {
        let leaver = Leaver {
            topic: self.index,
            subscription: number,
            sequence: leaving.placed.sequence,
        };
        self.traffic.leaving.insert(leaving.stamp, leaver);
        let subscription = self.topic.subscription_mut(number);
        let earlier = subscription.leaving.insert(leaver.sequence, leaving);
        debug_assert!(earlier.is_none(), "a message leaves once");
        self.topic.restock(leaver.sequence);
    }

    /// Takes a message that leaves out of its subscription; false if it does not leave.
    pub(crate) fn end_leaving(&mut self, sequence: u64, number: u32) -> bool {
        let subscription = self.topic.subscription_mut(number);
        let Some(leaving) = subscription.leaving.remove(&sequence) else {
            return false;
        };
        self.traffic.leaving.remove(&leaving.stamp);
        true
    }

    /// A dead letter of a message is stored.
    pub(crate) fn count_dead(&mut self, number: u32) {
        self.topic.counts.dead += 1;
        self.topic.subscription_mut(number).counts.dead += 1;
    }

    /// A message's time is over: it leaves all subscriptions, those that want it as a dead
    /// letter a little later.
    pub(crate) fn expire(&mut self, now: Timestamp, sequence: u64, ends: &mut Endings) {
        let wants = |(_, s): &(&u32, &crate::subscription::Subscription)| {
            s.options.dead_letter_expired && s.options.dead_letter.is_some()
        };
        let subscriptions = self.topic.subscriptions.iter().filter(wants);
        let numbers: Vec<u32> = subscriptions.map(|(number, _)| *number).collect();
        let mut has_left = false;
        for number in numbers {
            let Some(attempt) = self.leave(now, sequence, number, Reason::Expired) else {
                continue;
            };
            has_left = true;
            if self.topic.logs() {
                ends.left.push(Move {
                    attempt,
                    reason: Reason::Expired,
                    ..Move::of(self.topic.number, number, sequence)
                });
            }
        }
        // What only leaves by now has had its time.
        if self.discard(sequence) > 0 || has_left {
            self.topic.counts.expired += 1;
            if self.topic.logs() {
                let step = Move::of(self.topic.number, BACKLOG, sequence);
                ends.expired.push(step);
            }
        }
    }

    /// A subscription is done with a message: perhaps all others have given it up.
    pub(crate) fn strip_if_left(&mut self, sequence: u64) {
        let mut subscriptions = self.topic.subscriptions.values();
        let any_leaves = subscriptions.any(|s| !s.leaving.is_empty());
        if any_leaves && self.topic.only_leaves(sequence) {
            self.strip(sequence);
        }
    }

    /// What only leaves has no time any more, and no key.
    pub(crate) fn strip(&mut self, sequence: u64) {
        let Some(stored) = self.topic.messages.get(sequence) else {
            return;
        };
        self.lose_key(sequence);
        if stored.expires_at != Timestamp::MAX {
            let topic = self.index;
            let due = Due::Expiry { topic, sequence };
            self.traffic.timers.remove(stored.expires_at, due);
            self.topic
                .messages
                .change(sequence, |stored| stored.expires_at = Timestamp::MAX);
        }
    }

    /// A newer message may have the key of one that only leaves.
    pub(crate) fn lose_key(&mut self, sequence: u64) {
        let stored = self.topic.messages.get(sequence);
        if let Some(stored) = stored.filter(|stored| stored.key != NO_KEY) {
            self.topic.keys.remove(stored.key);
            self.topic
                .messages
                .change(sequence, |stored| stored.key = NO_KEY);
        }
    }
}
