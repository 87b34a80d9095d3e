use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};
use trunkline_model::{ChannelName, ListenerGate, Pattern};

/// Never changed once shared: a change makes a new list, so that a publisher walks its own
/// without holding a lock.
pub(super) type Listeners = Arc<[Arc<ListenerGate>]>;
pub(super) type Patterns = Arc<[(Pattern, Listeners)]>;

/// From names and patterns to listeners. The map of names is the standard one, whose hash
/// withstands names chosen by an attacker.
#[derive(Debug, Default)]
pub(super) struct Index {
    names: HashMap<ChannelName, Listeners>,
    patterns: BTreeMap<Pattern, Listeners>,
    /// What publishers see of `patterns`.
    shared_patterns: Patterns,
}

impl Index {
    /// The listeners of a name, and all patterns.
    pub(super) fn find(&self, channel: &ChannelName) -> (Listeners, Patterns) {
        let named = self.names.get(channel).cloned().unwrap_or_default();
        (named, self.shared_patterns.clone())
    }

    pub(super) fn add(
        &mut self,
        listener: &Arc<ListenerGate>,
        channels: &[ChannelName],
        patterns: &[Pattern],
    ) {
        for channel in channels {
            let list = self.names.entry(channel.clone()).or_default();
            *list = with(list, listener);
        }
        for pattern in patterns {
            let list = self.patterns.entry(pattern.clone()).or_default();
            *list = with(list, listener);
        }
        self.share(patterns);
    }

    pub(super) fn remove(
        &mut self,
        listener: &Arc<ListenerGate>,
        channels: &[ChannelName],
        patterns: &[Pattern],
    ) {
        for channel in channels {
            if let Some(list) = self.names.get_mut(channel) {
                *list = without(list, listener);
                if list.is_empty() {
                    self.names.remove(channel);
                }
            }
        }
        for pattern in patterns {
            if let Some(list) = self.patterns.get_mut(pattern) {
                *list = without(list, listener);
                if list.is_empty() {
                    self.patterns.remove(pattern);
                }
            }
        }
        self.share(patterns);
    }

    fn share(&mut self, changed: &[Pattern]) {
        if !changed.is_empty() {
            let pairs = self.patterns.iter();
            self.shared_patterns = pairs.map(|(p, list)| (p.clone(), list.clone())).collect();
        }
    }
}

fn with(list: &Listeners, listener: &Arc<ListenerGate>) -> Listeners {
    list.iter().chain([listener]).cloned().collect()
}

fn without(list: &Listeners, listener: &Arc<ListenerGate>) -> Listeners {
    let others = list.iter().filter(|other| !Arc::ptr_eq(other, listener));
    others.cloned().collect()
}
