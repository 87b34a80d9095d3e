//! Deliveries are acknowledged, returned, given up, extended; consumers come and go.

use super::{
    Ledger,
    facts::{Consumer, Held, Owed, Place, Promise, Why},
    publish::latest,
};
use crate::rule::{Checked, hold};
use std::time::Duration;
use trunkline_model::{Durability, Retry, Timestamp};

/// What is to become of deliveries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// They are done with.
    Settle,
    /// They are given up.
    Reject,
    /// They go back, perhaps after a delay.
    Return(Option<Duration>),
    /// Their time-out starts anew.
    Extend(Duration),
}

/// Whether a delivery is held at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum IsHeld {
    Yes,
    Perhaps,
    No,
}

impl Ledger {
    /// A consumer is attached.
    pub(crate) fn attached(&mut self, slot: u8, sources: &[(u8, u8)], credit: u32, is_auto: bool) {
        for (topic, sub) in sources {
            let topic = self.topics.get_mut(topic);
            if let Some(sub) = topic.and_then(|topic| topic.subs.get_mut(sub)) {
                sub.is_auto |= is_auto;
            }
        }
        let consumer = Consumer {
            sources: sources.to_vec(),
            credit,
            is_auto,
            ..Consumer::default()
        };
        self.consumers.insert(slot, consumer);
    }

    /// A consumer may hold so many.
    pub(crate) fn credited(&mut self, slot: u8, credit: u32) {
        if let Some(consumer) = self.consumers.get_mut(&slot) {
            consumer.credit = consumer.credit.max(credit);
        }
    }

    /// A consumer is gone: what it held goes back. `returned` is what the engine says of it.
    pub(crate) fn detached(&mut self, slot: u8, returned: Option<u64>) -> Checked {
        let Some(consumer) = self.consumers.remove(&slot) else {
            return Ok(());
        };
        let mut least = 0;
        for held in &consumer.held {
            // What is over counts until somebody notices, and so does what never left.
            let is_over = self.messages[held.message].is_over(self.now);
            least += u64::from(!held.is_forgotten && !held.is_doubtful && !is_over);
            let moment = self.moment;
            if held.is_forgotten {
                continue;
            }
            let is_certain = !held.is_doubtful;
            if let Some(standing) = self.standing_mut(held.topic, held.sub, held.message) {
                let is_elsewhere =
                    matches!(standing.place, Place::Held { slot: holder } if holder != slot);
                if !is_elsewhere && !standing.is_gone() {
                    standing.place = match held.is_doubtful {
                        true => Place::Unsure,
                        false => Place::Waiting { since: moment },
                    };
                }
            }
            self.attempt_ends(slot, held, is_certain);
        }
        // What was on its way was counted as an attempt, and nobody saw it.
        if !self.is_calm || returned.is_none() {
            self.is_blurred = true;
            for (topic, sub) in &consumer.sources {
                let topic = self.topics.get_mut(topic);
                let Some(sub) = topic.and_then(|topic| topic.subs.get_mut(sub)) else {
                    continue;
                };
                for standing in sub.standings.values_mut() {
                    standing.is_exact = false;
                    if consumer.is_auto && standing.owed == Owed::Certainly {
                        (standing.owed, standing.place) = (Owed::Perhaps, Place::Unsure);
                    }
                }
            }
            for (topic, sub) in &consumer.sources {
                match consumer.is_auto {
                    true => self.acquit_all(*topic, Some(*sub)),
                    false => self.any_may_leave(*topic, *sub),
                }
            }
        }
        if let (Some(returned), true) = (returned, self.is_calm) {
            hold!(
                returned >= least,
                Answers,
                "c{slot} held at least {least} deliveries and {returned} went back"
            );
        }
        Ok(())
    }

    /// A command about deliveries was taken.
    pub(crate) fn judged(&mut self, token: Option<u64>, slot: u8, tags: &[u64], verdict: Verdict) {
        let Some(mut consumer) = self.consumers.remove(&slot) else {
            return;
        };
        let (mut least, mut most) = (0, 0);
        for tag in tags {
            let index = consumer.held.iter().position(|held| held.tag == *tag);
            let Some(index) = index else { continue };
            let held = &mut consumer.held[index];
            let is_held = self.is_held(held);
            least += u64::from(is_held == IsHeld::Yes);
            most += u64::from(is_held != IsHeld::No);
            self.judge(slot, held, is_held, verdict);
            match verdict {
                Verdict::Extend(_) => {}
                // Too late, but nobody took it away yet.
                _ if is_held != IsHeld::Yes && !held.is_forgotten => held.is_doubtful = true,
                _ => {
                    consumer.held.remove(index);
                    consumer.settled.push(*tag);
                }
            }
        }
        let durability = consumer.sources.iter().filter_map(|(topic, _)| {
            let topic = self.topics.get(topic)?;
            Some(topic.options.durability)
        });
        let durability = durability.min().filter(|class| *class > Durability::Memory);
        self.consumers.insert(slot, consumer);
        if let Some(token) = token {
            let promise = Promise::Settle {
                moment: self.moment,
                durability,
                held: (least, most),
            };
            self.promises.insert(token, promise);
        }
    }

    pub(super) fn is_held(&self, held: &Held) -> IsHeld {
        if held.is_forgotten || self.messages[held.message].is_over(self.now) {
            return IsHeld::No;
        }
        match held.deadline {
            Some((_, latest)) if latest < self.now => IsHeld::No,
            Some((earliest, _)) if earliest < self.now => IsHeld::Perhaps,
            _ if held.is_doubtful => IsHeld::Perhaps,
            _ => IsHeld::Yes,
        }
    }

    fn judge(&mut self, slot: u8, held: &mut Held, is_held: IsHeld, verdict: Verdict) {
        let (now, moment, forgets) = (self.now, self.moment, self.forgets_acks);
        let retry = self.retry(held.topic);
        match verdict {
            Verdict::Reject if is_held != IsHeld::No => self.rejected(held),
            // Too late for some, but not for the engine, if it didn't notice.
            Verdict::Settle | Verdict::Reject if !held.is_forgotten => {
                self.acquit(held.message, held.sub);
            }
            _ => {}
        }
        let has_timeout = held.deadline.is_some();
        let Some(standing) = self.standing_mut(held.topic, held.sub, held.message) else {
            return;
        };
        match (is_held, verdict) {
            (IsHeld::No, _) => {}
            (_, Verdict::Extend(by)) => {
                if has_timeout {
                    let until = now.after(by);
                    held.deadline = match (is_held, held.deadline) {
                        (IsHeld::Perhaps, Some((from, to))) => {
                            Some((from.min(until), to.max(until)))
                        }
                        _ => Some((until, until)),
                    };
                }
            }
            (IsHeld::Yes, Verdict::Settle | Verdict::Reject) => {
                if forgets {
                    standing.place = Place::Unsure;
                } else {
                    standing.leave(moment, Why::Settled);
                }
            }
            (IsHeld::Yes, Verdict::Return(delay)) => {
                let wait = delay.or(retry.map(|retry| wait(retry, standing.attempt)));
                match wait.filter(|wait| !wait.is_zero()) {
                    None => standing.place = Place::Waiting { since: moment },
                    Some(wait) => {
                        let until = now.after(wait);
                        standing.place = Place::Delayed { until };
                        standing.delay = latest(standing.delay, until);
                    }
                }
            }
            (IsHeld::Perhaps, Verdict::Settle | Verdict::Reject) => {
                standing.owed = Owed::Perhaps;
                standing.place = unless_elsewhere(standing.place, slot);
            }
            (IsHeld::Perhaps, Verdict::Return(delay)) => {
                if let Some(delay) = delay.or(retry.map(|retry| retry.max.0)) {
                    standing.delay = latest(standing.delay, now.after(delay));
                }
                standing.place = unless_elsewhere(standing.place, slot);
            }
        }
        if matches!(verdict, Verdict::Return(_)) && is_held != IsHeld::No {
            self.attempt_ends(slot, held, is_held == IsHeld::Yes);
        }
    }

    fn retry(&self, topic: u8) -> Option<Retry> {
        self.topics.get(&topic)?.options.retry
    }

    /// Time has passed, and the engine has noticed.
    pub(crate) fn ticked(&mut self) {
        let (now, moment) = (self.now, self.moment);
        let mut consumers = std::mem::take(&mut self.consumers);
        for (slot, consumer) in &mut consumers {
            for held in consumer.held.iter_mut().filter(|held| !held.is_forgotten) {
                if self.messages[held.message].is_over(now) {
                    held.is_forgotten = true;
                    continue;
                }
                let Some((earliest, last)) = held.deadline else {
                    continue;
                };
                let retry = self.retry(held.topic);
                let Some(standing) = self.standing_mut(held.topic, held.sub, held.message) else {
                    continue;
                };
                if last < now {
                    held.is_forgotten = true;
                    let is_here = unless_elsewhere(standing.place, *slot) == Place::Unsure;
                    // It may have been returned with a delay before it timed out.
                    let waits = standing.delay.is_some_and(|until| until >= now);
                    match retry {
                        None if is_here && !waits => {
                            standing.place = Place::Waiting { since: moment }
                        }
                        // How long it waits depends on when exactly that was noticed.
                        _ if is_here => standing.place = Place::Unsure,
                        _ => {}
                    }
                } else if earliest < now {
                    held.is_doubtful = true;
                    standing.place = unless_elsewhere(standing.place, *slot);
                }
                if let (true, Some(retry)) = (earliest < now, retry) {
                    standing.delay = latest(standing.delay, now.after(retry.max.0));
                }
                if earliest < now {
                    self.attempt_ends(*slot, held, false);
                }
            }
        }
        self.consumers = consumers;
        let (was_calm, calm_at) = (self.is_calm, self.calm.1);
        let mut in_doubt = Vec::new();
        for (name, topic) in &mut self.topics {
            // What was on its way may have timed out before anybody saw it.
            let timeout = topic.options.ack_timeout.0;
            let times_out = !timeout.is_zero() && !was_calm && calm_at.after(timeout) < now;
            let waits = topic.options.retry.map(|retry| now.after(retry.max.0));
            if times_out {
                in_doubt.extend(topic.subs.keys().map(|sub| (*name, *sub)));
            }
            for standing in topic
                .subs
                .values_mut()
                .flat_map(|s| s.standings.values_mut())
            {
                standing.is_exact &= !times_out;
                let is_unseen =
                    !matches!(standing.place, Place::Held { .. } | Place::Delayed { .. });
                if times_out && is_unseen {
                    standing.place = Place::Unsure;
                    standing.delay = standing.delay.max(waits);
                }
                if matches!(standing.place, Place::Delayed { until } if until < now) {
                    standing.place = Place::Waiting { since: moment };
                }
            }
        }
        for (topic, sub) in in_doubt {
            self.any_may_leave(topic, sub);
        }
    }
}

/// How long a message waits after its delivery `attempt` failed: doubling, up to a bound.
fn wait(retry: Retry, attempt: u32) -> Duration {
    let doublings = attempt.saturating_sub(1).min(20);
    (retry.min.0 * (1 << doublings)).min(retry.max.0)
}

/// Unsure, unless another consumer certainly has it.
fn unless_elsewhere(place: Place, slot: u8) -> Place {
    match place {
        Place::Held { slot: holder } if holder != slot => place,
        _ => Place::Unsure,
    }
}

/// The bounds of a time-out that began at a time between two.
pub(crate) fn deadline(
    timeout: Duration,
    earliest: Timestamp,
    latest: Timestamp,
) -> Option<(Timestamp, Timestamp)> {
    (!timeout.is_zero()).then(|| (earliest.after(timeout), latest.after(timeout)))
}
