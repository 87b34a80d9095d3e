use super::Hub;
use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, MutexGuard},
};
use trunkline_model::{ChannelName, ListenHandle, ListenerEvent, ListenerGate, Pattern};

/// What a listener is registered for.
#[derive(Debug, Default)]
struct Held {
    channels: BTreeSet<ChannelName>,
    patterns: BTreeSet<Pattern>,
}

#[derive(Debug)]
pub(super) struct Handle {
    hub: Arc<Hub>,
    listener: Arc<ListenerGate>,
    held: Mutex<Held>,
}

impl Handle {
    pub(super) fn new(hub: Arc<Hub>, listener: Arc<ListenerGate>) -> Self {
        Self {
            hub,
            listener,
            held: Mutex::default(),
        }
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.held
            .lock()
            .expect("no code panics while it holds the names")
    }
}

impl ListenHandle for Handle {
    fn add(&self, channels: &[ChannelName], patterns: &[Pattern]) {
        let mut held = self.held();
        let channels: Vec<ChannelName> = channels
            .iter()
            .filter(|name| held.channels.insert((*name).clone()))
            .cloned()
            .collect();
        let patterns: Vec<Pattern> = patterns
            .iter()
            .filter(|pattern| held.patterns.insert((*pattern).clone()))
            .cloned()
            .collect();
        if channels.is_empty() && patterns.is_empty() {
            return;
        }
        self.hub.write(|index| {
            index.add(&self.listener, &channels, &patterns);
            // Inside the lock: a publisher that finds the listener comes after this event.
            self.listener
                .leave(ListenerEvent::Active { channels, patterns });
        });
        drop(held);
        self.listener.flush();
    }

    fn remove(&self, channels: &[ChannelName], patterns: &[Pattern]) {
        let mut held = self.held();
        let channels: Vec<ChannelName> = channels
            .iter()
            .filter_map(|name| held.channels.take(name))
            .collect();
        let patterns: Vec<Pattern> = patterns
            .iter()
            .filter_map(|pattern| held.patterns.take(pattern))
            .collect();
        if !channels.is_empty() || !patterns.is_empty() {
            self.hub
                .write(|index| index.remove(&self.listener, &channels, &patterns));
        }
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.listener.close();
        let held = std::mem::take(&mut *self.held());
        let channels: Vec<_> = held.channels.into_iter().collect();
        let patterns: Vec<_> = held.patterns.into_iter().collect();
        self.hub
            .write(|index| index.remove(&self.listener, &channels, &patterns));
    }
}
