//! What a look at a subscription shows.

use super::{
    Ledger,
    facts::{KEPT, Owed, Place, Standing, Stored},
};
use crate::rule::{Checked, hold};
use std::collections::{BTreeMap, BTreeSet};
use trunkline_model::{MessageState, PeekedMessage};

/// What an audit after a restart found of messages that nobody was sure of.
#[derive(Debug, Default)]
pub(crate) struct Found {
    /// There.
    pub(crate) present: BTreeSet<usize>,
    /// Not there, though nobody settled them.
    pub(crate) absent: BTreeSet<usize>,
    /// All that subscriptions have, and which were looked at.
    pub(crate) shown: BTreeSet<(u8, u8, usize)>,
    pub(crate) looked: BTreeSet<(u8, u8)>,
}

impl Ledger {
    /// Compares what a subscription shows with what it owes. `sub` is `None` for a topic without
    /// subscriptions, which shows what it keeps, by sequence.
    pub(crate) fn looked(
        &mut self,
        name: u8,
        sub: Option<u8>,
        shown: &[PeekedMessage],
        is_complete: bool,
    ) -> Checked {
        let place = sub.unwrap_or(KEPT);
        let mut numbers = BTreeSet::new();
        let mut before: Option<((u8, u64), usize)> = None;
        for peeked in shown {
            let number = self.recognise(name, &peeked.message)?;
            self.identify(number, peeked.id)?;
            let what = format!("m{number} in t{name}/s{place}");
            hold!(numbers.insert(number), Held, "{what} is there twice");
            let standing = self.standing(name, place, number).copied();
            let Some(standing) = standing else {
                hold!(false, Settled, "{what} was settled, or never stood there");
                continue;
            };
            hold!(
                !standing.is_gone(),
                Settled,
                "{what} was settled: {:?}",
                standing.owed
            );
            hold!(
                !self.messages[number].is_over(self.now),
                Expired,
                "{what} was over before {}",
                self.now
            );
            if sub.is_some() && is_complete {
                self.check_state(&what, &standing, peeked)?;
            }
            let position = match (sub, peeked.state) {
                (None, _) => Some((0, number as u64)),
                (Some(_), Some(MessageState::Waiting)) => standing.position,
                _ => None,
            };
            if let Some(position) = position {
                hold!(
                    before.is_none_or(|(earlier, _)| earlier < position),
                    Order,
                    "{what} stands behind m{}",
                    before.map_or(0, |(_, other)| other)
                );
                before = Some((position, number));
            }
        }
        if is_complete {
            self.check_complete(name, place, &numbers)?;
        }
        Ok(())
    }

    fn check_complete(&self, name: u8, place: u8, shown: &BTreeSet<usize>) -> Checked {
        let Some(sub) = self
            .topics
            .get(&name)
            .and_then(|topic| topic.subs.get(&place))
        else {
            return Ok(());
        };
        for (number, standing) in &sub.standings {
            hold!(
                shown.contains(number) || !self.must_show(*number, standing),
                Lost,
                "m{number} in t{name}/s{place} is lost: {standing:?}"
            );
        }
        Ok(())
    }

    fn must_show(&self, number: usize, standing: &Standing) -> bool {
        standing.owed == Owed::Certainly && !self.messages[number].is_over(self.now)
    }

    /// Where a message is, and how often it was delivered, while nothing is on its way.
    fn check_state(&self, what: &str, standing: &Standing, peeked: &PeekedMessage) -> Checked {
        let Some(state) = peeked.state else {
            return Ok(());
        };
        let is_right = match standing.place {
            Place::Waiting { .. } => state == MessageState::Waiting,
            Place::Delayed { .. } => state == MessageState::Delayed,
            // Over, and not noticed yet: it may be anywhere.
            Place::Held { .. } | Place::Unsure => true,
        };
        hold!(
            is_right || standing.owed != Owed::Certainly,
            Answers,
            "{what} is shown as {}: {standing:?}",
            state.name()
        );
        let attempts = peeked.attempts;
        hold!(
            attempts >= standing.floor && (!standing.is_exact || attempts == standing.attempt),
            Attempts,
            "{what} is shown with {attempts} attempts: {standing:?}"
        );
        Ok(())
    }

    /// Learns from a look at a subscription that nothing disturbed since the restart.
    pub(crate) fn adopt(
        &mut self,
        name: u8,
        sub: Option<u8>,
        peeked: &[PeekedMessage],
        found: &mut Found,
    ) -> Checked {
        let place = sub.unwrap_or(KEPT);
        let (moment, now) = (self.moment, self.now);
        let mut shown = BTreeMap::new();
        for peeked in peeked {
            shown.insert(self.recognise(name, &peeked.message)?, peeked);
        }
        self.check_replaced(name, place, &shown.keys().copied().collect())?;
        found.looked.insert((name, place));
        found
            .shown
            .extend(shown.keys().map(|number| (name, place, *number)));
        let attempts: Vec<(usize, u32)> = shown.iter().map(|(n, p)| (*n, p.attempts)).collect();
        let topic = self.topics.get_mut(&name);
        let Some(sub) = topic.and_then(|topic| topic.subs.get_mut(&place)) else {
            return Ok(());
        };
        for (number, standing) in &mut sub.standings {
            let sent = &mut self.messages[*number];
            if let Some(peeked) = shown.get(number) {
                standing.owed = Owed::Certainly;
                standing.or_newer = None;
                standing.place = match peeked.state {
                    Some(MessageState::Delayed) => {
                        hold!(
                            standing.delay.is_some(),
                            Early,
                            "m{number} in t{name}/s{place} is delayed, and nobody asked for that"
                        );
                        Place::Unsure
                    }
                    Some(MessageState::InFlight) => {
                        hold!(
                            false,
                            Held,
                            "m{number} in t{name}/s{place} is in flight, and there is no consumer"
                        );
                        Place::Unsure
                    }
                    // Of what is kept without a subscription nobody says whether it is delayed.
                    None if standing.delay.is_some_and(|until| until >= now) => Place::Unsure,
                    Some(MessageState::Waiting) | None => Place::Waiting { since: moment },
                };
                if peeked.state.is_some() {
                    (standing.attempt, standing.attempt_at) = (peeked.attempts, moment);
                    (standing.floor, standing.is_exact) = (peeked.attempts, true);
                }
                if sent.stored == Stored::Unknown {
                    found.present.insert(*number);
                    sent.stored = Stored::Yes;
                }
                continue;
            }
            let is_untouched = !standing.is_touched && standing.or_newer.is_none();
            if sent.stored == Stored::Unknown && is_untouched && sent.expires_at.is_none() {
                found.absent.insert(*number);
            }
        }
        let messages = &self.messages;
        sub.standings.retain(|number, standing| {
            shown.contains_key(number)
                || messages[*number].is_over(now)
                || standing.owed == Owed::Certainly
        });
        for (number, attempts) in attempts {
            self.is_back(name, place, number, attempts);
        }
        Ok(())
    }

    /// Where a newer version is lost, the older one is back.
    fn check_replaced(&self, name: u8, place: u8, shown: &BTreeSet<usize>) -> Checked {
        let Some(sub) = self
            .topics
            .get(&name)
            .and_then(|topic| topic.subs.get(&place))
        else {
            return Ok(());
        };
        for (number, standing) in &sub.standings {
            let (Owed::Perhaps, Some(mut newer)) = (standing.owed, standing.or_newer) else {
                continue;
            };
            let sent = &self.messages[*number];
            let was_stored = sent.stored == Stored::Yes;
            if shown.contains(number) || sent.is_over(self.now) || !was_stored {
                continue;
            }
            // Versions of versions: one of them is there, unless somebody may have settled it.
            let is_there = loop {
                let Some(next) = sub.standings.get(&newer) else {
                    break true;
                };
                let is_untouched = !next.is_touched && self.messages[newer].expires_at.is_none();
                if shown.contains(&newer) || !is_untouched {
                    break true;
                }
                match next.or_newer {
                    Some(next) => newer = next,
                    None => break false,
                }
            };
            hold!(
                is_there,
                Latest,
                "m{number} in t{name}/s{place} is gone, and m{newer}, which replaced it, is not there"
            );
        }
        Ok(())
    }

    /// At the end: everything that is owed was handed over.
    pub(crate) fn check_drained(&self) -> Checked {
        for (name, topic) in &self.topics {
            for (place, sub) in topic.subs.iter().filter(|(place, _)| **place != KEPT) {
                for (number, standing) in &sub.standings {
                    hold!(
                        standing.owed != Owed::Certainly
                            || self.messages[*number].is_over(self.now),
                        Lost,
                        "m{number} in t{name}/s{place} is not delivered: {standing:?}"
                    );
                }
            }
        }
        Ok(())
    }
}
