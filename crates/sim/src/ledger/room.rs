//! A full topic that drops its oldest: what goes is known beforehand, if everything else is.

use super::{
    Ledger,
    facts::{KEPT, Owed, Place, Standing, Why},
};
use std::collections::BTreeMap;
use trunkline_model::Overflow;

/// What is stored of a message.
#[derive(Clone, Copy, Debug)]
struct Stock {
    is_held: bool,
    is_certain: bool,
}

impl Ledger {
    /// Whether a topic drops its oldest rather than refuse.
    pub(super) fn drops_oldest(&self, name: u8) -> bool {
        let topic = self.topics.get(&name);
        topic.is_some_and(|topic| topic.options.overflow == Overflow::DropOldest)
    }

    /// A message was stored, perhaps: what is too much in its topic goes, the least urgent first, then
    /// the oldest, never what a consumer holds.
    pub(super) fn make_room(&mut self, name: u8, is_certain: bool) {
        let max = self.topics.get(&name).and_then(|t| t.options.max_messages);
        let Some(max) = max.filter(|_| self.drops_oldest(name)) else {
            return;
        };
        let stored = self.stock(name);
        let (here, unseen) = (stored.len() as u64, self.unseen_letters(name));
        let too_many = (here + unseen).saturating_sub(max);
        if too_many == 0 {
            return;
        }
        let mut idle: Vec<usize> = stored
            .iter()
            .filter(|(_, stock)| !stock.is_held)
            .map(|(message, _)| *message)
            .collect();
        let is_known = is_certain
            && self.is_calm
            && unseen == 0
            && stored.values().all(|stock| stock.is_certain);
        if is_known {
            idle.sort_by_key(|message| {
                (
                    std::cmp::Reverse(self.messages[*message].priority),
                    *message,
                )
            });
            idle.truncate(too_many as usize);
        }
        let moment = self.moment;
        let Some(topic) = self.topics.get_mut(&name) else {
            return;
        };
        for (place, sub) in &mut topic.subs {
            for message in &idle {
                let standing = sub.standings.get_mut(message);
                let Some(standing) = standing.filter(|standing| !standing.is_gone()) else {
                    continue;
                };
                match is_known {
                    true => {
                        standing.leave(moment, Why::Dropped);
                        standing.is_touched = true;
                    }
                    false => standing.doubt(),
                }
                if let Some(letter) = self.letters.get_mut(&(*message, *place)) {
                    letter.acquit();
                }
            }
        }
    }

    /// The messages that a topic has, or may have.
    fn stock(&self, name: u8) -> BTreeMap<usize, Stock> {
        let mut stored: BTreeMap<usize, Stock> = BTreeMap::new();
        let Some(topic) = self.topics.get(&name) else {
            return stored;
        };
        let is_alone = !topic.has_subscriptions();
        let subs = topic.subs.iter();
        let subs = subs.filter(|(place, _)| is_alone || **place != KEPT);
        let standings = subs.flat_map(|(_, sub)| &sub.standings);
        for (message, standing) in standings.filter(|(_, standing)| !standing.is_gone()) {
            let sent = &self.messages[*message];
            let is_placed = !matches!(standing.place, Place::Unsure);
            let is_certain =
                standing.owed == Owed::Certainly && is_placed && !sent.is_over(self.now);
            let is_held = matches!(standing.place, Place::Held { .. });
            let stock = stored.entry(*message).or_insert(Stock {
                is_held,
                is_certain,
            });
            stock.is_held |= is_held;
            stock.is_certain &= is_certain;
        }
        stored
    }

    /// Whether a standing may be what a topic can't drop.
    pub(super) fn may_be_in_flight(&self, standing: &Standing) -> bool {
        let is_unseen = matches!(standing.place, Place::Held { .. } | Place::Unsure);
        !standing.is_gone() && (is_unseen || !self.is_calm)
    }
}
