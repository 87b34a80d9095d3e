use super::Book;
use crate::{Kind, slot::slot_of};
use bytes::Bytes;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use trunkline_model::Timestamp;

/// Most names of one command: Redis takes no more than 2²⁰ words.
const NAMES_MAX: usize = 1 << 19;

/// A command to the server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Change {
    pub(crate) kind: Kind,
    pub(crate) subscribe: bool,
    pub(crate) names: VecDeque<Bytes>,
}

/// What became of a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Confirmed<L> {
    /// Messages may come; who is to know it, and since when they heard nothing, if they did
    /// before.
    Active(Arc<[L]>, Option<Timestamp>),
    /// The server gave it up by itself, as when a slot of a cluster moves; who is to know it.
    Withdrawn(Arc<[L]>),
    /// It was to be expected, and nobody has to know.
    Quiet,
}

/// Names that the server refused, each with whom that concerns.
pub(crate) type Refused<L> = (Kind, Vec<(Bytes, Arc<[L]>)>);

impl<L: Clone> Book<L> {
    /// There is a connection, on which nothing was said yet: everything that is wanted, in as
    /// few commands as the kinds allow.
    pub(crate) fn connect(&mut self) -> Vec<Change> {
        self.connected = true;
        let mut changes = Vec::new();
        for kind in Kind::ALL {
            let entries = self.entries[kind as usize].iter_mut();
            let wanted = entries.filter(|(_, entry)| entry.is_wanted());
            let names = wanted.map(|(name, entry)| {
                entry.ask(true);
                name.clone()
            });
            let names = names.collect();
            self.say(kind, true, names, &mut changes);
        }
        changes
    }

    /// What the server has to be told now, about at most so many names: for each kind, names to
    /// ask for before those to give up.
    pub(crate) fn changes(&mut self, names_max: usize) -> Vec<Change> {
        let mut changes = self.ask_suspects();
        let mut sorted: [[Vec<Bytes>; 2]; 3] = Default::default();
        for _ in 0..names_max {
            let Some((kind, name)) = self.changed.pop_front() else {
                break;
            };
            let entries = &mut self.entries[kind as usize];
            let Some(entry) = entries.get_mut(&name) else {
                continue;
            };
            entry.noted = false;
            if entry.differs() {
                let wanted = entry.is_wanted();
                entry.ask(wanted);
                sorted[kind as usize][usize::from(!wanted)].push(name);
            } else if entry.is_idle() {
                entries.remove(&name);
            }
        }
        for kind in Kind::ALL {
            for subscribe in [true, false] {
                let names = &mut sorted[kind as usize][usize::from(!subscribe)];
                self.say(kind, subscribe, std::mem::take(names), &mut changes);
            }
        }
        changes
    }

    /// Whether [`Book::changes`] has anything to say.
    pub(crate) fn has_changes(&self) -> bool {
        !self.changed.is_empty() || !self.suspects.is_empty()
    }

    /// The server has confirmed a name. `None` if it did so unasked: it does not do what it is
    /// told.
    pub(crate) fn confirm(
        &mut self,
        now: Timestamp,
        kind: Kind,
        subscribe: bool,
        name: &Bytes,
    ) -> Option<Confirmed<L>> {
        if !self.expects(kind, subscribe, name) {
            return self.withdraw(now, kind, subscribe, name);
        }
        let entries = &mut self.entries[kind as usize];
        let entry = entries.get_mut(name)?;
        if entry.confirm(subscribe) {
            let since = entry.take_unheard();
            return Some(Confirmed::Active(entry.listeners(), since));
        }
        if entry.is_idle() {
            entries.remove(name);
        }
        Some(Confirmed::Quiet)
    }

    /// Whether what the server is to answer next is about shard channels of this slot.
    pub(crate) fn awaits_slot(&self, slot: u16) -> bool {
        let next = self.unconfirmed.front();
        let next = next.filter(|next| next.kind == Kind::Shard);
        next.and_then(|next| next.names.front())
            .is_some_and(|name| slot_of(name) == slot)
    }

    /// The server has refused the command that it was to answer next: its names, with
    /// whom that concerns. Unless it is because of all of them, several names are asked for again in halves,
    /// until it is known which of them it is.
    /// `None` if it had nothing to answer.
    pub(crate) fn refuse(&mut self, now: Timestamp, all: bool) -> Option<Refused<L>> {
        let change = self.unconfirmed.pop_front()?;
        let alone = all || change.names.len() == 1;
        let entries = &mut self.entries[change.kind as usize];
        let (mut concerned, mut suspects) = (Vec::new(), Vec::new());
        for name in change.names {
            let Some(entry) = entries.get_mut(&name) else {
                continue;
            };
            entry.unconfirmed = entry.unconfirmed.saturating_sub(1);
            if change.subscribe && entry.unconfirmed == 0 {
                entry.withdraw(now, alone);
                if alone {
                    concerned.push((name.clone(), entry.listeners()));
                } else {
                    suspects.push(name.clone());
                }
            }
            if entry.is_idle() {
                entries.remove(&name);
            }
        }
        if !suspects.is_empty() {
            let half = suspects.split_off(suspects.len() / 2);
            self.suspects.push_back((change.kind, suspects));
            self.suspects.push_back((change.kind, half));
        }
        Some((change.kind, concerned))
    }

    /// The connection is gone. What was asked for is asked for again on the next one.
    pub(crate) fn disconnect(&mut self, now: Timestamp) {
        self.connected = false;
        self.changed.clear();
        self.suspects.clear();
        self.unconfirmed.clear();
        self.activations.clear();
        for entries in &mut self.entries {
            entries.retain(|_, entry| {
                entry.forget(now);
                entry.is_wanted()
            });
        }
    }

    /// Asks for names that were refused together, in fewer at once.
    fn ask_suspects(&mut self) -> Vec<Change> {
        let mut changes = Vec::new();
        for (kind, mut names) in std::mem::take(&mut self.suspects) {
            let entries = &mut self.entries[kind as usize];
            names.retain(|name| {
                let entry = entries.get_mut(name);
                let entry = entry.filter(|entry| entry.is_wanted() && entry.differs());
                entry.map(|entry| entry.ask(true)).is_some()
            });
            self.say(kind, true, names, &mut changes);
        }
        changes
    }

    /// Whether the oldest unanswered command is the one that this confirms; takes the name off
    /// it.
    fn expects(&mut self, kind: Kind, subscribe: bool, name: &Bytes) -> bool {
        let Some(next) = self.unconfirmed.front_mut() else {
            return false;
        };
        if next.kind != kind || next.subscribe != subscribe || next.names.front() != Some(name) {
            return false;
        }
        next.names.pop_front();
        if next.names.is_empty() {
            self.unconfirmed.pop_front();
        }
        true
    }

    fn withdraw(
        &mut self,
        now: Timestamp,
        kind: Kind,
        subscribe: bool,
        name: &Bytes,
    ) -> Option<Confirmed<L>> {
        if subscribe {
            return None;
        }
        let Some(entry) = self.entries[kind as usize].get_mut(name) else {
            return Some(Confirmed::Quiet);
        };
        entry.withdraw(now, false);
        let listeners = entry.listeners();
        self.note_change(kind, name.clone());
        Some(Confirmed::Withdrawn(listeners))
    }

    /// Makes commands of names: a cluster takes only shard channels of one slot in each.
    fn say(&mut self, kind: Kind, subscribe: bool, names: Vec<Bytes>, to: &mut Vec<Change>) {
        let mut by_slot = BTreeMap::new();
        for name in names {
            let slot = if kind == Kind::Shard {
                slot_of(&name)
            } else {
                0
            };
            by_slot.entry(slot).or_insert_with(Vec::new).push(name);
        }
        for names in by_slot.values() {
            for names in names.chunks(NAMES_MAX) {
                let change = Change {
                    kind,
                    subscribe,
                    names: names.iter().cloned().collect(),
                };
                self.unconfirmed.push_back(change.clone());
                to.push(change);
            }
        }
    }
}
