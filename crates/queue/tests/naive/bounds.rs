//! Bounds of a topic and its subscriptions, by going through everything.

use super::{Consumer, Entry, Message, Model, State, Subscription};

/// Bounds, of a topic or a subscription.
#[derive(Clone, Copy, Debug, Default)]
pub struct Bound {
    pub messages: Option<u64>,
    pub bytes: Option<u64>,
    /// Drops the oldest instead of refusing.
    pub drops: bool,
}

impl Bound {
    fn is_below(&self, messages: u64, bytes: u64) -> bool {
        self.messages.is_some_and(|max| messages > max) || self.bytes.is_some_and(|max| bytes > max)
    }
}

impl Subscription {
    /// Messages that wait or are delayed, and their bytes.
    fn waits(&self) -> (u64, u64) {
        let idle = |e: &&Entry| e.is_idle();
        let waiting: Vec<&Entry> = self.entries.iter().filter(idle).collect();
        let bytes = waiting.iter().map(|e| e.bytes).sum();
        (waiting.len() as u64, bytes)
    }
}

impl Entry {
    /// Whether it may be dropped: it waits or is delayed.
    fn is_idle(&self) -> bool {
        matches!(self.state, State::Waiting | State::Delayed(_))
    }
}

impl Model {
    /// Whether messages are refused: they are counted as stored, unless they repeat or replace
    /// one, and beside them must fit what can't be dropped.
    pub fn refuses(&self, messages: &[Message]) -> bool {
        let leaves = |e: &&Entry| matches!(e.state, State::Left(..));
        let keys = self.entries().filter(|e| !leaves(e));
        let keys: Vec<u8> = keys.filter_map(|e| e.key).collect();
        let (mut count, mut bytes) = (0, 0);
        for message in messages {
            if self.repeated(message).is_some() {
                continue;
            }
            let replaces = message.key.is_some_and(|key| keys.contains(&key));
            count += u64::from(!replaces);
            bytes += message.bytes;
        }
        let stored = self.stored();
        let stays = |sequence: &&u64| !self.bound.drops || self.is_held(**sequence);
        let stays: Vec<u64> = stored.iter().filter(stays).copied().collect();
        let size = |sequence: &u64| {
            self.entries()
                .find(|e| e.sequence == *sequence)
                .unwrap()
                .bytes
        };
        let weight: u64 = stays.iter().map(size).sum();
        let mut over = self
            .bound
            .is_below(stays.len() as u64 + count, weight + bytes);
        for subscription in &self.subscriptions {
            let (here, weight) = match subscription.bound.drops {
                true => (0, 0),
                false => subscription.waits(),
            };
            over |= subscription.bound.is_below(here + count, weight + bytes);
        }
        over
    }

    /// Bounds a subscription, or the topic as 0; whether it is there. Consumers that could take
    /// nothing look again.
    pub fn set_bound(&mut self, number: usize, bound: Bound) -> bool {
        let altered = match number {
            0 => &mut self.bound,
            _ => match self.subscriptions.iter_mut().find(|s| s.number == number) {
                Some(subscription) => &mut subscription.bound,
                None => return false,
            },
        };
        *altered = bound;
        let takes = |c: &&Consumer| {
            let mut sources = c.sources.iter();
            number == 0 || sources.any(|s| s.subscription == number)
        };
        let consumers: Vec<usize> = self.consumers.iter().filter(takes).map(|c| c.id).collect();
        consumers
            .into_iter()
            .for_each(|consumer| self.gain(consumer));
        true
    }

    fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.subscriptions.iter().flat_map(|s| &s.entries)
    }

    fn is_held(&self, sequence: u64) -> bool {
        let held = |e: &Entry| e.sequence == sequence && !e.is_idle();
        self.entries().any(held)
    }

    /// The least urgent goes first, and of those the oldest; never one in flight.
    pub fn drop_oldest(&mut self) {
        while self.bound.drops {
            let stored = self.stored();
            let size = |s: &u64| self.entries().find(|e| e.sequence == *s).unwrap().bytes;
            let weight = stored.iter().map(size).sum();
            if !self.bound.is_below(stored.len() as u64, weight) {
                break;
            }
            let idle = self.entries().filter(|e| !self.is_held(e.sequence));
            let order = |e: &&Entry| (255 - e.priority, e.sequence);
            let Some(victim) = idle.min_by_key(order).map(|e| e.sequence) else {
                break;
            };
            self.remove_everywhere(|entry| entry.sequence == victim);
        }
        for subscription in &mut self.subscriptions {
            while subscription.bound.drops {
                let (count, weight) = subscription.waits();
                if !subscription.bound.is_below(count, weight) {
                    break;
                }
                let waiting = subscription.entries.iter().enumerate();
                let idle = waiting.filter(|(_, e)| e.is_idle());
                let victim = idle.min_by_key(|(_, e)| (255 - e.lane, e.sequence));
                let Some((index, _)) = victim else { break };
                subscription.entries.remove(index);
            }
        }
    }
}
