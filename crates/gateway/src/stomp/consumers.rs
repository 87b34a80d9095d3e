use compact_str::CompactString;
use hashbrown::HashMap;
use trunkline_model::{ConsumerHandle, ConsumerId, SubscriptionName, TopicName};
use trunkline_stomp::{SubscriptionNumber, Token};

/// What all consumers of a connection may be handed at a time before it is written, in bytes.
const WINDOWS_BYTES_MAX: u64 = 16 << 20;
/// Each gets this part of what the others have left.
const WINDOW_PART: u64 = 16;
/// A window is at least this, so that the last of many is not slow.
const WINDOW_BYTES_MIN: u64 = 4 << 10;

/// The consumers of one connection, by subscription.
#[derive(Default)]
pub(super) struct Consumers {
    by_number: HashMap<SubscriptionNumber, Consumer>,
    /// Their windows together, in bytes.
    windows: u64,
}

/// What a consumer consumes from.
pub(super) type Origin = (TopicName, SubscriptionName);

/// A subscription that the engine serves.
pub(super) struct Consumer {
    pub(super) handle: Box<dyn ConsumerHandle>,
    /// The SUBSCRIBE that waits for its beginning.
    pub(super) starting: Option<Token>,
    /// UNSUBSCRIBE came before its beginning: it goes then.
    pub(super) leaving: bool,
    /// Most unsettled deliveries, once it has started.
    pub(super) credit: u32,
    /// Deliveries are acknowledged as they are written.
    pub(super) auto: bool,
    /// In bytes.
    pub(super) window: u64,
    /// As the client wrote it.
    pub(super) destination: CompactString,
    /// What it consumes from.
    pub(super) source: Origin,
}

impl Consumer {
    pub(super) fn id(&self) -> ConsumerId {
        self.handle.id()
    }
}

impl Consumers {
    pub(super) fn get(&self, number: SubscriptionNumber) -> Option<&Consumer> {
        self.by_number.get(&number)
    }

    pub(super) fn get_mut(&mut self, number: SubscriptionNumber) -> Option<&mut Consumer> {
        self.by_number.get_mut(&number)
    }

    /// The window of one more: the more there are, the smaller, so that a client that takes
    /// nothing keeps little, however many subscriptions it has.
    pub(super) fn window(&self, max: u64) -> u64 {
        let left = WINDOWS_BYTES_MAX.saturating_sub(self.windows);
        (left / WINDOW_PART).max(WINDOW_BYTES_MIN).min(max)
    }

    pub(super) fn insert(&mut self, number: SubscriptionNumber, consumer: Consumer) {
        self.windows += consumer.window;
        self.by_number.insert(number, consumer);
    }

    /// Forgets a consumer; dropping what is returned cancels it.
    pub(super) fn remove(&mut self, number: SubscriptionNumber) -> Option<Consumer> {
        let consumer = self.by_number.remove(&number)?;
        self.windows -= consumer.window;
        Some(consumer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_windows_stay_within_a_bound() {
        let mut consumers = Consumers::default();
        assert_eq!(consumers.window(1 << 20), 1 << 20);
        assert_eq!(consumers.window(100), 100);
        for _ in 0..10_000 {
            consumers.windows += consumers.window(1 << 20);
        }
        assert!(consumers.windows < WINDOWS_BYTES_MAX + 10_000 * WINDOW_BYTES_MIN);
    }
}
