//! Messages go in.

use super::{
    Ledger,
    facts::{KEPT, Owed, Place, Promise, Sent, Standing, Stored, Sub, Topic, Why},
};
use crate::op::Publish;
use std::time::Duration;
use trunkline_model::{Dedupe, Timestamp, Unsubscribed};

/// A message to be published.
#[derive(Clone, Debug)]
pub(crate) struct Draft {
    pub(crate) bytes: u64,
    pub(crate) priority: u8,
    pub(crate) key: Option<u8>,
    pub(crate) group: Option<u8>,
    pub(crate) ttl: Option<u64>,
    pub(crate) delay: Option<u64>,
    pub(crate) publish_id: Option<u8>,
}

/// Keys and publish ids are few, so that they meet.
const NAMES: u8 = 8;

impl Draft {
    /// The messages of a publish; `priorities` of the topic.
    pub(crate) fn all(publish: &Publish, priorities: u16) -> Vec<Draft> {
        let draft = |index: u64| Draft {
            bytes: publish.bytes,
            priority: match publish.priority {
                Some(first) => ((u64::from(first) + index) % u64::from(priorities)) as u8,
                None => (priorities / 2) as u8,
            },
            key: publish.key.map(|key| key.wrapping_add(index as u8) % NAMES),
            group: publish.group,
            ttl: publish.ttl,
            delay: publish.delay,
            publish_id: publish.id.map(|id| id.wrapping_add(index as u8)),
        };
        (0..publish.count).map(draft).collect()
    }
}

impl Ledger {
    /// A batch was taken by the engine: not refused, and not confirmed yet.
    pub(crate) fn published(&mut self, token: u64, topic: u8, drafts: &[Draft]) {
        let first = self.messages.len();
        for draft in drafts {
            self.publish_one(token, topic, draft);
        }
        let messages = (first..self.messages.len()).collect();
        self.promises
            .insert(token, Promise::Publish { messages, acked: 0 });
    }

    /// A batch was refused: its numbers are used up.
    pub(crate) fn refused(&mut self, token: u64, topic: u8, drafts: &[Draft]) {
        for draft in drafts {
            let mut sent = self.sent(token, topic, draft);
            sent.stored = Stored::No;
            self.messages.push(sent);
        }
    }

    pub(super) fn sent(&self, token: u64, name: u8, draft: &Draft) -> Sent {
        let topic = self.topics.get(&name);
        let ttl = topic.and_then(|topic| topic.options.ttl);
        let own = draft.ttl.map(Duration::from_millis);
        Sent {
            topic: name,
            life: topic.map_or(0, |topic| topic.life),
            bytes: draft.bytes,
            key: draft.key,
            group: draft.group,
            priority: draft.priority,
            publish_id: draft.publish_id,
            expires_at: own.or(ttl.map(|ttl| ttl.0)).map(|ttl| self.now.after(ttl)),
            deliver_at: draft
                .delay
                .map(|ms| self.now.after(Duration::from_millis(ms))),
            at: self.now,
            moment: self.moment,
            token,
            id: None,
            stored: Stored::Taken,
            is_confirmed: false,
            is_memory: topic.is_some_and(Topic::is_memory),
        }
    }

    pub(super) fn publish_one(&mut self, token: u64, name: u8, draft: &Draft) {
        let number = self.messages.len();
        let mut sent = self.sent(token, name, draft);
        let first = self.first_of(name, &sent);
        if let Some((first, true)) = first {
            sent.stored = Stored::Repeats(first);
            self.messages.push(sent);
            return;
        }
        if first.is_some() {
            sent.stored = Stored::Unknown;
        }
        let is_certain = sent.stored == Stored::Taken;
        let deliver_at = sent.deliver_at.filter(|at| *at > self.now);
        let (now, moment) = (self.now, self.moment);
        self.messages.push(sent);
        let Some(topic) = self.topics.get_mut(&name) else {
            return;
        };
        if !topic.has_subscriptions() {
            if topic.options.unsubscribed != Unsubscribed::Keep {
                self.messages[number].stored = Stored::Dropped;
                return;
            }
            topic.subs.entry(KEPT).or_insert_with(Sub::default);
        }
        let key = draft.key.filter(|_| topic.options.dedupe == Dedupe::Latest);
        for (place, sub) in &mut topic.subs {
            let mut position = Some((draft.priority, number as u64));
            for (before, standing) in &mut sub.standings {
                let older = &self.messages[*before];
                if key.is_none() || older.key != key || standing.is_gone() {
                    continue;
                }
                if let Some(letter) = self.letters.get_mut(&(*before, *place)) {
                    letter.acquit();
                }
                // It may have been settled on its way.
                let is_settled = sub.is_auto && !self.is_calm && older.moment != moment;
                if is_certain && standing.owed == Owed::Certainly && !is_settled {
                    // It may be on its way to a consumer, unseen.
                    let is_known = self.is_calm || older.moment == moment;
                    position = match taken_over(standing, older.is_over(now), position) {
                        kept if is_known || matches!(standing.place, Place::Held { .. }) => kept,
                        _ => None,
                    };
                    standing.leave(moment, Why::Replaced(number));
                } else {
                    position = None;
                    // Either it was replaced, or the newer one is not new.
                    standing.doubt();
                }
            }
            let mut standing = Standing::waiting(moment, position);
            if let Some(until) = deliver_at {
                (standing.place, standing.delay) = (Place::Delayed { until }, Some(until));
            }
            if !is_certain {
                standing.doubt();
            }
            sub.standings.insert(number, standing);
        }
        if key.is_some() {
            self.forget_replaced(name);
        }
        self.make_room(name, is_certain);
    }

    /// Consumers no longer hold what was replaced, and perhaps what may have been.
    fn forget_replaced(&mut self, name: u8) {
        let Some(topic) = self.topics.get(&name) else {
            return;
        };
        for consumer in self.consumers.values_mut() {
            for held in consumer.held.iter_mut().filter(|held| held.topic == name) {
                let sub = topic.subs.get(&held.sub);
                let standing = sub.and_then(|sub| sub.standings.get(&held.message));
                held.is_forgotten |= standing.is_none_or(Standing::is_gone);
                held.is_doubtful |= standing.is_some_and(|s| s.place == Place::Unsure);
            }
        }
    }

    /// The message that this one's publish id stands for, or its key where the first one counts,
    /// and whether that is certain.
    fn first_of(&self, name: u8, sent: &Sent) -> Option<(usize, bool)> {
        let options = &self.topics.get(&name)?.options;
        let id = sent.publish_id.is_some();
        let by_id = id.then(|| {
            let same = |other: &Sent| other.publish_id == sent.publish_id;
            self.first_like(sent, options.publish_id_window.0, same)
        });
        let key = sent.key.is_some() && options.dedupe == Dedupe::First;
        let by_key = key.then(|| {
            let same = |other: &Sent| other.key == sent.key;
            self.first_like(sent, options.dedupe_window.0, same)
        });
        match (by_id.flatten(), by_key.flatten()) {
            (Some((first, true)), _) => Some((first, true)),
            (None, by_key) => by_key,
            (Some((first, false)), _) => Some((first, false)),
        }
    }

    fn first_like(
        &self,
        sent: &Sent,
        window: Duration,
        is_like: impl Fn(&Sent) -> bool,
    ) -> Option<(usize, bool)> {
        for (number, other) in self.messages.iter().enumerate().rev() {
            let is_there = (other.topic, other.life) == (sent.topic, sent.life);
            if !is_there || !is_like(other) || other.at.after(window) < self.now {
                continue;
            }
            match other.stored {
                Stored::Taken | Stored::Yes => return Some((number, true)),
                Stored::Unknown | Stored::Dropped => return Some((number, false)),
                // By its key, perhaps: then its publish id stands for that one, as long as anybody remembers.
                Stored::Repeats(first) if !is_like(&self.messages[first]) => {
                    return Some((first, false));
                }
                // What it repeats comes further up.
                Stored::No | Stored::Repeats(_) => {}
            }
        }
        None
    }
}

/// Where the newer version of a message stands, if that is certain.
fn taken_over(older: &Standing, is_over: bool, usual: Option<(u8, u64)>) -> Option<(u8, u64)> {
    if is_over {
        return usual;
    }
    let (stands, fresh) = (older.position?, usual?);
    match older.place {
        Place::Waiting { .. } | Place::Delayed { .. } if stands.0 <= fresh.0 => Some(stands),
        Place::Waiting { .. } | Place::Delayed { .. } | Place::Held { .. } => usual,
        Place::Unsure => None,
    }
}

/// The later of two times, if there is one.
pub(crate) fn latest(a: Option<Timestamp>, b: Timestamp) -> Option<Timestamp> {
    Some(a.map_or(b, |a| a.max(b)))
}
