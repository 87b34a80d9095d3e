//! Batches that acknowledge and publish: all of it or nothing.

use super::{
    Draft, Ledger, Verdict,
    audit::Found,
    facts::{Owed, Promise, Stored},
    settle::IsHeld,
};
use crate::rule::{Checked, hold};

/// A batch that may not be durable.
#[derive(Clone, Debug)]
pub(super) struct Pair {
    token: u64,
    /// What it certainly settled, by topic and subscription.
    acked: Vec<(u8, u8, usize)>,
}

impl Ledger {
    /// Whether one of the deliveries may be taken away by now.
    pub(crate) fn may_conflict(&self, slot: u8, tags: &[u64]) -> bool {
        self.any_held(slot, tags, |is_held| is_held != IsHeld::Yes)
    }

    fn any_held(&self, slot: u8, tags: &[u64], is_it: impl Fn(IsHeld) -> bool) -> bool {
        let held = self.consumers.get(&slot).map_or(&[][..], |c| &c.held);
        let mut named = held.iter().filter(|held| tags.contains(&held.tag));
        named.any(|held| is_it(self.is_held(held)))
    }

    /// A strict batch was taken that acknowledges, and then publishes.
    pub(crate) fn batched(
        &mut self,
        token: u64,
        (slot, tags): (u8, &[u64]),
        topic: u8,
        drafts: &[Draft],
    ) -> Checked {
        let is_late = self.any_held(slot, tags, |is_held| is_held == IsHeld::No);
        hold!(
            !is_late,
            Answers,
            "a strict batch was taken, and c{slot} doesn't hold all that it acknowledges"
        );
        let held = self.consumers.get(&slot).map_or(&[][..], |c| &c.held);
        let named = held.iter().filter(|held| tags.contains(&held.tag));
        let acked = named.filter(|held| {
            let standing = self.standing(held.topic, held.sub, held.message);
            let is_owed = standing.is_some_and(|standing| standing.owed == Owed::Certainly);
            let is_timeless = self.messages[held.message].expires_at.is_none();
            is_owed && is_timeless && self.is_held(held) == IsHeld::Yes
        });
        let acked = acked.map(|held| (held.topic, held.sub, held.message));
        let pair = Pair {
            token,
            acked: acked.collect(),
        };
        self.pairs.push(pair);
        self.judged(None, slot, tags, Verdict::Settle);
        self.published(token, topic, drafts);
        if let Some(Promise::Publish { acked, .. }) = self.promises.get_mut(&token) {
            *acked = tags.len() as u64;
        }
        Ok(())
    }

    /// After a start: where what was published is lost, what was acknowledged with it is back; where it
    /// is there, that isn't.
    pub(super) fn compare_pairs(&mut self, found: &Found) -> Checked {
        for pair in std::mem::take(&mut self.pairs) {
            let is_of = |message: &&usize| self.messages[**message].token == pair.token;
            let present = found.present.iter().find(is_of);
            let absent = found.absent.iter().find(is_of);
            for (topic, sub, message) in &pair.acked {
                let is_back = found.shown.contains(&(*topic, *sub, *message));
                hold!(
                    !(present.is_some() && is_back),
                    Atomic,
                    "m{message} is back in t{topic}/s{sub}, and {present:?} of the same batch is there"
                );
                let is_stored = self.messages[*message].stored == Stored::Yes;
                let was_seen = found.looked.contains(&(*topic, *sub)) && is_stored;
                hold!(
                    is_back || absent.is_none() || !was_seen,
                    Atomic,
                    "m{message} is not back in t{topic}/s{sub}, and {absent:?} of the same batch is lost"
                );
            }
        }
        Ok(())
    }
}
