//! Who wants what, what the server was told, and what it has confirmed. Pure.
//!
//! [`Book`] is here with what subscriptions do; what goes over the wire is in `wire`, and what
//! takes its place where there are several servers in `spread`.

mod entry;
mod spread;
#[cfg(test)]
mod tests;
mod wire;

pub(crate) use wire::{Change, Confirmed};

use crate::Kind;
use bytes::Bytes;
use entry::Entry;
use hashbrown::{HashMap, HashSet};
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

/// Names a subscription; never reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct SubscriptionId(u64);

/// The bookkeeping of a multiplexer. `L` is how a subscription is reached.
///
/// A name is asked for as long as anybody wants it. What the server is told is the difference
/// between that and what it was told before, taken when there is time for it: adding and
/// removing without pause costs nothing on the wire, in whatever order.
#[derive(Debug)]
pub(crate) struct Book<L> {
    entries: [HashMap<Bytes, Entry<L>>; 3],
    subscriptions: BTreeMap<SubscriptionId, Subscription<L>>,
    last: u64,
    /// Names about which the server may have to be told; nothing while there is no connection.
    changed: VecDeque<(Kind, Bytes)>,
    /// Names that were refused together: which of them it is because of is found by asking for fewer.
    suspects: VecDeque<(Kind, Vec<Bytes>)>,
    /// Commands whose confirmations are not all there, as they were sent.
    unconfirmed: VecDeque<Change>,
    /// Listeners of names that were active already when they came.
    activations: Vec<(L, Kind, Bytes)>,
    connected: bool,
}

#[derive(Debug)]
struct Subscription<L> {
    listener: L,
    /// What it wants, each with its place among the listeners of that name.
    names: HashMap<(Kind, Bytes), u64>,
}

impl<L: Clone> Book<L> {
    pub(crate) fn new() -> Self {
        Self {
            entries: std::array::from_fn(|_| HashMap::new()),
            subscriptions: BTreeMap::new(),
            last: 0,
            changed: VecDeque::new(),
            suspects: VecDeque::new(),
            unconfirmed: VecDeque::new(),
            activations: Vec::new(),
            connected: false,
        }
    }

    /// A subscription that wants nothing yet.
    pub(crate) fn open(&mut self, listener: L) -> SubscriptionId {
        let id = SubscriptionId(self.next_number());
        let names = HashMap::new();
        self.subscriptions
            .insert(id, Subscription { listener, names });
        id
    }

    /// Whether it is open.
    pub(crate) fn is_open(&self, id: SubscriptionId) -> bool {
        self.subscriptions.contains_key(&id)
    }

    /// Wants a name; false if it did already, or is closed.
    pub(crate) fn add(&mut self, id: SubscriptionId, kind: Kind, name: Bytes) -> bool {
        let place = self.next_number();
        let Some(subscription) = self.subscriptions.get_mut(&id) else {
            return false;
        };
        let key = (kind, name.clone());
        if subscription.names.contains_key(&key) {
            return false;
        }
        subscription.names.insert(key, place);
        let listener = subscription.listener.clone();
        let entry = self.entries[kind as usize].entry(name.clone()).or_default();
        if entry.is_active() {
            self.activations
                .push((listener.clone(), kind, name.clone()));
        }
        entry.join(place, listener);
        self.note_change(kind, name);
        true
    }

    /// Wants a name no longer; false if it did not.
    pub(crate) fn remove(&mut self, id: SubscriptionId, kind: Kind, name: &Bytes) -> bool {
        let Some(subscription) = self.subscriptions.get_mut(&id) else {
            return false;
        };
        let Some(place) = subscription.names.remove(&(kind, name.clone())) else {
            return false;
        };
        self.leave(kind, name, place);
        true
    }

    /// Wants nothing any more.
    pub(crate) fn clear(&mut self, id: SubscriptionId) {
        let Some(subscription) = self.subscriptions.get_mut(&id) else {
            return;
        };
        for ((kind, name), place) in std::mem::take(&mut subscription.names) {
            self.leave(kind, &name, place);
        }
    }

    /// Ends a subscription; none if it had ended.
    pub(crate) fn close(&mut self, id: SubscriptionId) -> Option<L> {
        self.clear(id);
        self.subscriptions.remove(&id).map(|s| s.listener)
    }

    /// The names of one kind that a subscription wants.
    pub(crate) fn names(&self, id: SubscriptionId, kind: Kind) -> HashSet<Bytes> {
        let subscription = self.subscriptions.get(&id);
        let names = subscription.into_iter().flat_map(|s| s.names.keys());
        let of_kind = names.filter(|(is, _)| *is == kind);
        of_kind.map(|(_, name)| name.clone()).collect()
    }

    /// How many subscriptions are open.
    pub(crate) fn subscriptions(&self) -> usize {
        self.subscriptions.len()
    }

    /// How many different names are wanted.
    pub(crate) fn wanted(&self) -> usize {
        let of_kind = |kind: &HashMap<Bytes, Entry<L>>| {
            kind.values().filter(|entry| entry.is_wanted()).count()
        };
        self.entries.iter().map(of_kind).sum()
    }

    /// How many names the server has confirmed.
    pub(crate) fn active(&self) -> usize {
        let of_kind = |kind: &HashMap<Bytes, Entry<L>>| {
            kind.values().filter(|entry| entry.is_active()).count()
        };
        self.entries.iter().map(of_kind).sum()
    }

    /// Whom a message concerns, in the order in which they asked for the name; none if the
    /// name is not active.
    pub(crate) fn listeners(&mut self, kind: Kind, name: &[u8]) -> Option<Arc<[L]>> {
        let entry = self.entries[kind as usize].get_mut(name)?;
        entry.is_active().then(|| entry.listeners())
    }

    /// Listeners that came to names which were active already.
    pub(crate) fn take_activations(&mut self) -> Vec<(L, Kind, Bytes)> {
        std::mem::take(&mut self.activations)
    }

    /// Everybody, in the order of registration.
    pub(crate) fn everybody(&self) -> Vec<L> {
        let listeners = self.subscriptions.values();
        listeners.map(|s| s.listener.clone()).collect()
    }

    fn leave(&mut self, kind: Kind, name: &Bytes, place: u64) {
        let entries = &mut self.entries[kind as usize];
        if let Some(entry) = entries.get_mut(name) {
            entry.leave(place);
            if entry.is_idle() {
                entries.remove(name);
            } else {
                self.note_change(kind, name.clone());
            }
        }
    }

    /// Has the server told about a name, if that turns out to be necessary.
    fn note_change(&mut self, kind: Kind, name: Bytes) {
        if !self.connected {
            return;
        }
        if let Some(entry) = self.entries[kind as usize].get_mut(&name)
            && entry.differs()
            && !std::mem::replace(&mut entry.noted, true)
        {
            self.changed.push_back((kind, name));
        }
    }

    fn next_number(&mut self) -> u64 {
        self.last += 1;
        self.last
    }
}
