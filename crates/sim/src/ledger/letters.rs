//! What subscriptions give up: a message is where it was, or its dead letter is in the topic for
//! them, never both and never neither.

use super::{
    Ledger,
    facts::{Held, KEPT, Owed, Place, Standing, Stored, Why, number_in, payload},
};
use crate::rule::{Checked, Rule, Violation, hold};
use std::collections::{BTreeMap, BTreeSet};
use trunkline_model::{Durability, MessageId, PeekedMessage, Priority, StoredMessage, dead_letter};

/// What is known of the dead letters of a message in a subscription.
#[derive(Clone, Debug)]
pub(crate) struct Letter {
    /// Either the subscription has the message, or there is its dead letter: certainly.
    is_owed: bool,
    /// As many there may be: one for each subscription of that name.
    most: usize,
    /// Those that were seen.
    pub(super) seen: BTreeSet<MessageId>,
    /// As many as were seen ever.
    count: usize,
    /// The attempts that somebody rejected.
    rejected: BTreeSet<u32>,
}

impl Default for Letter {
    fn default() -> Self {
        Self {
            is_owed: false,
            most: 1,
            seen: BTreeSet::new(),
            count: 0,
            rejected: BTreeSet::new(),
        }
    }
}

impl Letter {
    /// Nobody owes it any more.
    pub(super) fn acquit(&mut self) {
        self.is_owed = false;
    }
}

/// The letters of messages by their numbers and subscriptions.
pub(crate) type Letters = BTreeMap<(usize, u8), Letter>;

/// When a subscription gives messages up, and where they go then.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Limits {
    /// Attempts; 0 for no bound.
    pub(super) max_attempts: u32,
    /// The topic for dead letters, if it is there.
    pub(super) grave: Option<u8>,
    /// Whether what is over goes there.
    pub(super) expired: bool,
}

impl Ledger {
    pub(crate) fn has_grave(&self, grave: u8) -> bool {
        self.graves.contains_key(&grave)
    }

    /// All topics for dead letters.
    pub(crate) fn graves(&self) -> Vec<u8> {
        self.graves.keys().copied().collect()
    }

    pub(super) fn make_grave(&mut self, grave: u8) {
        self.graves.entry(grave).or_default();
    }

    pub(super) fn limits(&self, topic: u8, sub: u8) -> Limits {
        let Some(found) = self.topics.get(&topic) else {
            return Limits::default();
        };
        let options = &found.options;
        let name = options.dead_letter.as_ref();
        let grave = name.and_then(|name| name.strip_prefix('d')?.parse().ok());
        let grave = grave.filter(|grave| self.has_grave(*grave));
        Limits {
            max_attempts: if sub == KEPT { 0 } else { options.max_attempts },
            grave,
            expired: options.dead_letter_expired && grave.is_some(),
        }
    }

    fn letter(&mut self, message: usize, sub: u8) -> &mut Letter {
        self.letters.entry((message, sub)).or_default()
    }

    /// A subscription may have given a message up.
    pub(super) fn may_leave(&mut self, topic: u8, sub: u8, message: usize) {
        let has_grave = self.limits(topic, sub).grave.is_some();
        let Some(standing) = self.standing_mut(topic, sub, message) else {
            return;
        };
        if standing.is_gone() {
            return;
        }
        let was_certain = standing.owed == Owed::Certainly;
        standing.doubt();
        if has_grave {
            self.letter(message, sub).is_owed |= was_certain;
        }
    }

    /// The same for all of a subscription that counts attempts, but for what others hold.
    pub(super) fn any_may_leave(&mut self, topic: u8, sub: u8) {
        if self.limits(topic, sub).max_attempts == 0 {
            return;
        }
        let found = self.topics.get(&topic).and_then(|t| t.subs.get(&sub));
        let standings = found.iter().flat_map(|sub| &sub.standings);
        let is_held = |standing: &Standing| matches!(standing.place, Place::Held { .. });
        let unheld = standings.filter(|(_, standing)| !is_held(standing));
        let messages: Vec<usize> = unheld.map(|(message, _)| *message).collect();
        for message in messages {
            self.may_leave(topic, sub, message);
        }
    }

    /// A delivery ended without an acknowledgement: perhaps its message was given up.
    pub(super) fn attempt_ends(&mut self, slot: u8, held: &Held, is_certain: bool) {
        let max = self.limits(held.topic, held.sub).max_attempts;
        let standing = self.standing(held.topic, held.sub, held.message);
        let Some(standing) = standing.filter(|_| max > 0) else {
            return;
        };
        let is_elsewhere = matches!(standing.place, Place::Held { slot: other } if other != slot);
        if !is_elsewhere && (!is_certain || standing.attempt >= max) {
            self.may_leave(held.topic, held.sub, held.message);
        }
    }

    /// Somebody gives a message up.
    pub(super) fn rejected(&mut self, held: &Held) {
        let has_grave = self.limits(held.topic, held.sub).grave.is_some();
        let standing = self.standing(held.topic, held.sub, held.message).copied();
        if let (Some(standing), true) = (standing, has_grave) {
            let letter = self.letter(held.message, held.sub);
            letter.rejected.insert(held.attempt);
            letter.is_owed |= standing.owed == Owed::Certainly;
        }
    }

    /// Nobody owes the dead letter of a message any more, since it may have been settled or
    /// certainly is where it was.
    pub(super) fn acquit(&mut self, message: usize, sub: u8) {
        if let Some(letter) = self.letters.get_mut(&(message, sub)) {
            letter.acquit();
        }
    }

    /// The same for everything in a topic, or a subscription of it.
    pub(super) fn acquit_all(&mut self, topic: u8, which: Option<u8>) {
        for ((message, sub), letter) in &mut self.letters {
            if self.messages[*message].topic == topic && which.is_none_or(|which| which == *sub) {
                letter.acquit();
            }
        }
    }

    /// A subscription begins with messages that may have left one of its name before.
    pub(super) fn begin_again(&mut self, topic: u8, sub: u8) {
        let found = self.topics.get(&topic).and_then(|t| t.subs.get(&sub));
        for message in found.iter().flat_map(|sub| sub.standings.keys()) {
            if let Some(letter) = self.letters.get_mut(&(*message, sub)) {
                letter.most += 1;
            }
        }
    }

    /// What is over by now may have left.
    pub(super) fn expire(&mut self) {
        let mut over = Vec::new();
        for (name, topic) in &self.topics {
            for (place, sub) in &topic.subs {
                if !self.limits(*name, *place).expired {
                    continue;
                }
                let standings = sub.standings.iter();
                let is_over = |message: usize| self.messages[message].is_over(self.now);
                let all = standings.filter(|(m, s)| s.owed == Owed::Certainly && is_over(**m));
                over.extend(all.map(|(message, _)| (*name, *place, *message)));
            }
        }
        for (topic, sub, message) in over {
            self.may_leave(topic, sub, message);
        }
    }

    /// The engine is gone: attempts that nobody saw may be used up, and what isn't durable may
    /// be back or lost.
    pub(super) fn letters_crashed(&mut self, autos: &BTreeSet<(u8, u8)>) {
        for (topic, subs) in self.places() {
            for sub in subs {
                self.any_may_leave(topic, sub);
            }
        }
        let keys: Vec<(usize, u8)> = self.letters.keys().copied().collect();
        for (message, sub) in keys {
            let sent = &self.messages[message];
            let topic = sent.topic;
            let standing = self.standing(topic, sub, message);
            let has_left = standing.is_none_or(Standing::is_gone);
            let is_timeless = sent.expires_at.is_none() || self.limits(topic, sub).expired;
            let is_stored = sent.stored == Stored::Yes && !sent.is_memory;
            let is_auto = autos.contains(&(topic, sub));
            if !is_stored || !(has_left || is_timeless) || is_auto {
                self.acquit(message, sub);
            }
        }
    }

    /// A look at a subscription after a start showed a message.
    pub(super) fn is_back(&mut self, topic: u8, sub: u8, message: usize, attempts: u32) {
        self.acquit(message, sub);
        let max = self.limits(topic, sub).max_attempts;
        if max > 0 && attempts >= max {
            // Its attempts are used up: it leaves as soon as somebody asks for it.
            self.may_leave(topic, sub, message);
        }
    }

    /// Dead letters of a topic that nobody saw yet: their messages may still be stored there.
    pub(super) fn unseen_letters(&self, topic: u8) -> u64 {
        let unseen = self
            .letters
            .iter()
            .filter(|((message, _), letter)| {
                self.messages[*message].topic == topic && letter.count < letter.most
            })
            .map(|((message, _), _)| message);
        unseen.collect::<BTreeSet<_>>().len() as u64
    }

    /// Compares a topic for dead letters with what may be there and what was seen there.
    pub(crate) fn grave_looked(&mut self, grave: u8, shown: &[PeekedMessage]) -> Checked {
        let mut ids = BTreeSet::new();
        for peeked in shown {
            hold!(
                ids.insert(peeked.id),
                Identity,
                "{} is there twice",
                peeked.id
            );
            let number = self.graves.entry(grave).or_default();
            let known = *number.get_or_insert(peeked.id.topic);
            hold!(
                known == peeked.id.topic,
                Identity,
                "d{grave} was topic {known}"
            );
            self.letter_shown(grave, peeked)?;
        }
        self.settle_returns(|id| ids.contains(id));
        let number = self.graves.get(&grave).copied().flatten();
        for ((message, sub), letter) in &self.letters {
            for id in letter.seen.iter().filter(|id| Some(id.topic) == number) {
                hold!(
                    ids.contains(id),
                    Lost,
                    "the dead letter {id} of m{message} from s{sub} is not in d{grave} any more"
                );
            }
        }
        Ok(())
    }

    fn letter_shown(&mut self, grave: u8, peeked: &PeekedMessage) -> Checked {
        let letter = &peeked.message;
        let header = |name: &'static str| letter.headers.get(name).unwrap_or_default();
        let number = number_in(&letter.payload).filter(|number| *number < self.messages.len());
        // Without a name it is what a topic without subscriptions kept.
        let sub = match letter.headers.get(dead_letter::SUBSCRIPTION) {
            Some(name) => name.strip_prefix('s').and_then(|sub| sub.parse().ok()),
            None => Some(KEPT),
        };
        let (Some(number), Some(sub)) = (number, sub) else {
            let text = format!("d{grave} has {}: {:?}", peeked.id, letter.headers);
            return Err(Violation::new(Rule::Invented, text));
        };
        let what = format!("the dead letter {} of m{number} from s{sub}", peeked.id);
        self.check_content(number, letter, &what)?;
        let id = header(dead_letter::ID).parse::<MessageId>();
        let Ok(id) = id else {
            let text = format!("{what} says no identity");
            return Err(Violation::new(Rule::Letters, text));
        };
        self.identify(number, id)?;
        self.check_reason(number, sub, letter, &what)?;
        let moment = self.messages[number].moment;
        let entry = self.letter(number, sub);
        entry.is_owed = false;
        if !entry.seen.insert(peeked.id) {
            return Ok(());
        }
        entry.count += 1;
        hold!(
            entry.count <= entry.most,
            Letters,
            "{what} is one of {:?}",
            entry.seen
        );
        let is_only = entry.most == 1;
        let has_gone = self.redriven.gone.contains_key(&peeked.id);
        hold!(!has_gone, Letters, "{what} is back");
        // It is durable, and with it what the log has before it.
        self.is_durable(moment, Durability::Commit);
        if self.messages[number].stored == Stored::Unknown {
            self.messages[number].stored = Stored::Yes;
        }
        let topic = self.messages[number].topic;
        let is_here = self.topics.get(&topic).map(|topic| topic.life);
        if is_here != Some(self.messages[number].life) {
            return Ok(());
        }
        if let Some(standing) = self.standing_mut(topic, sub, number) {
            let is_waiting = matches!(standing.place, Place::Waiting { .. });
            hold!(
                standing.owed != Owed::Certainly || !is_waiting || !is_only,
                Letters,
                "{what} is there, and the message still waits: {standing:?}"
            );
            if is_only {
                standing.owed = Owed::No {
                    since: 0,
                    why: Why::Settled,
                };
            } else if !standing.is_gone() {
                standing.doubt();
            }
        }
        Ok(())
    }

    /// A dead letter has the content of its message.
    fn check_content(&self, number: usize, letter: &StoredMessage, what: &str) -> Checked {
        let sent = &self.messages[number];
        let key = sent.key.map(|key| key.to_string());
        let group = sent.group.map(|group| group.to_string());
        let topic = format!("t{}", sent.topic);
        let told = letter.headers.get(dead_letter::PRIORITY);
        let priority = (sent.priority > 0).then(|| sent.priority.to_string());
        let is_same = payload(number, sent.bytes) == letter.payload
            && key.as_deref() == letter.key.as_deref()
            && group.as_deref() == letter.group.as_deref()
            && letter.publish_id.is_none()
            && letter.expires_at.is_none()
            && letter.deliver_at.is_none()
            && letter.priority == Priority(0)
            && told == priority.as_deref()
            && letter.headers.get(dead_letter::TOPIC) == Some(topic.as_str());
        hold!(
            is_same,
            Letters,
            "{what} is not its message: {sent:?}, {:?}",
            letter.headers
        );
        let was_stored = match sent.stored {
            Stored::No => sent.is_memory,
            Stored::Repeats(_) => false,
            _ => true,
        };
        hold!(was_stored, Invented, "{what} is there: {sent:?}");
        Ok(())
    }

    /// A dead letter says why it is there, and that is a reason.
    fn check_reason(&self, number: usize, sub: u8, letter: &StoredMessage, what: &str) -> Checked {
        let header = |name: &'static str| letter.headers.get(name).unwrap_or_default();
        let reason = header(dead_letter::REASON);
        let attempts: u32 = header(dead_letter::ATTEMPTS).parse().unwrap_or(u32::MAX);
        let sent = &self.messages[number];
        let topic = self.topics.get(&sent.topic);
        let is_known = topic.is_none_or(|topic| topic.life == sent.life);
        let limits = self.limits(sent.topic, sub);
        let known = self.letters.get(&(number, sub));
        let is_right = match reason {
            "rejected" => known.is_some_and(|known| known.rejected.contains(&attempts)),
            "max-attempts" => limits.max_attempts > 0 && attempts == limits.max_attempts,
            "expired" => limits.expired && sent.is_over(self.now),
            _ => false,
        };
        let is_gone = topic.is_none() || !is_known;
        hold!(
            is_right || is_gone,
            Letters,
            "{what} says {reason:?} after {attempts} attempts: {limits:?}, {known:?}"
        );
        let (first, last) = (header(dead_letter::FIRST_AT), header(dead_letter::LAST_AT));
        hold!(
            !first.is_empty() && first <= last,
            Letters,
            "{what} failed first at {first:?} and last at {last:?}"
        );
        Ok(())
    }

    /// How many were seen.
    pub(crate) fn letters_seen(&self) -> u64 {
        let seen = self.letters.values().map(|letter| letter.count as u64);
        seen.sum()
    }

    /// Whether dead letters are certainly on their way.
    pub(crate) fn awaits_letters(&self) -> bool {
        self.missing_letter().is_some()
    }

    /// Nothing is on its way any more: what left its subscription has arrived.
    pub(crate) fn check_letters(&self) -> Checked {
        if let Some((message, sub)) = self.missing_letter() {
            let topic = self.messages[message].topic;
            hold!(
                false,
                Lost,
                "m{message} left t{topic}/s{sub}, and there is no dead letter of it"
            );
        }
        Ok(())
    }

    fn missing_letter(&self) -> Option<(usize, u8)> {
        let missing = |((message, sub), letter): &(&(usize, u8), &Letter)| {
            let topic = self.messages[*message].topic;
            let standing = self.standing(topic, *sub, *message);
            letter.is_owed && standing.is_none_or(Standing::is_gone)
        };
        self.letters.iter().find(missing).map(|(key, _)| *key)
    }
}
