use std::sync::atomic::{AtomicU64, Ordering};

macro_rules! counters {
    ($($(#[$doc:meta])* $name:ident),* $(,)?) => {
        /// What a multiplexer has done since it was made.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        #[non_exhaustive]
        pub struct Counters { $($(#[$doc])* pub $name: u64,)* }

        #[derive(Debug, Default)]
        pub(super) struct Counting { $(pub(super) $name: Count,)* }

        impl Counting {
            pub(super) fn read(&self) -> Counters {
                Counters { $($name: self.$name.get(),)* }
            }
        }
    };
}

counters! {
    /// Connections that were made.
    connections,
    /// Attempts to make one that failed.
    connect_failures,
    /// Connections that were lost.
    losses,
    /// Commands that were sent, among them those that only ask whether the server is there.
    commands,
    /// Bytes that were read.
    bytes,
    /// Messages that were received and concerned somebody, once for each name that was asked for.
    messages,
    /// Messages handed to subscriptions.
    deliveries,
    /// Events that a full queue lost.
    dropped,
    /// Subscriptions that were ended because their queue was full.
    overflows,
    /// Names that Redis refused.
    refused,
    /// Callbacks that panicked.
    panics,
    /// Different names that are wanted now.
    wanted_now,
    /// Names that are active now.
    active_now,
    /// Subscriptions that are open now.
    subscriptions_now,
}

#[derive(Debug, Default)]
pub(super) struct Count(AtomicU64);

impl Count {
    pub(super) fn add(&self, n: u64) {
        self.0.fetch_add(n, Ordering::Relaxed);
    }

    fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}
