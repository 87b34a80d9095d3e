//! Channels of one process: names and patterns, and who listens to them.

mod handle;
mod index;

use index::Index;
use std::sync::{Arc, RwLock};
use trunkline_model::{
    ChannelMessage, ListenHandle, ListenPolicy, ListenerEvent, ListenerGate, ListenerSink,
    glob_match,
};

/// Who listens to what. Publishing looks the listeners up under a read lock and calls them
/// without any lock, so that a sink may publish, listen or leave from inside.
#[derive(Debug, Default)]
pub(crate) struct Hub {
    index: RwLock<Index>,
}

impl Hub {
    /// Hands a message to everyone who listens to its channel now, in the calling thread:
    /// to a listener once for the name and once for every pattern that matches. Returns how
    /// often.
    pub(crate) fn publish(&self, message: ChannelMessage) -> u64 {
        let (named, patterns) = self.read(|index| index.find(&message.channel));
        if named.is_empty() && patterns.is_empty() {
            return 0;
        }
        let message = Arc::new(message);
        let mut reached = 0;
        let mut send = |listener: &ListenerGate, pattern| {
            listener.send(ListenerEvent::Message {
                message: message.clone(),
                pattern,
            });
            reached += 1;
        };
        for listener in named.iter() {
            send(listener, None);
        }
        for (pattern, listeners) in patterns.iter() {
            if glob_match(pattern.as_bytes(), message.channel.as_bytes()) {
                for listener in listeners.iter() {
                    send(listener, Some(pattern.clone()));
                }
            }
        }
        reached
    }

    /// A listener that hears nothing yet. `policy` bounds what waits for its sink while
    /// another thread is inside it.
    pub(crate) fn listen(
        self: &Arc<Self>,
        sink: Arc<dyn ListenerSink>,
        policy: ListenPolicy,
    ) -> Box<dyn ListenHandle> {
        Box::new(handle::Handle::new(
            self.clone(),
            ListenerGate::new(sink, policy),
        ))
    }

    fn read<T>(&self, look: impl FnOnce(&Index) -> T) -> T {
        look(
            &self
                .index
                .read()
                .expect("no code panics while it holds the index"),
        )
    }

    fn write<T>(&self, change: impl FnOnce(&mut Index) -> T) -> T {
        change(
            &mut self
                .index
                .write()
                .expect("no code panics while it holds the index"),
        )
    }
}

#[cfg(test)]
mod tests;
