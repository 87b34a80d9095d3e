use std::sync::atomic::{AtomicU64, Ordering};

macro_rules! counters {
    ($($(#[$doc:meta])* $name:ident),* $(,)?) => {
        /// What the wire has done.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        #[non_exhaustive]
        pub struct ConsumerGroupsCounters {
            $($(#[$doc])* pub $name: u64,)*
            /// Calls that wait for their answer now.
            pub pending_now: u64,
            /// Calls that workers of this process run now.
            pub running_now: u64,
        }

        #[derive(Debug, Default)]
        pub(super) struct Counting { $(pub(super) $name: Count,)* }

        impl Counting {
            pub(super) fn read(&self, pending_now: u64, running_now: u64) -> ConsumerGroupsCounters {
                ConsumerGroupsCounters { $($name: self.$name.get(),)* pending_now, running_now }
            }
        }
    };
}

counters! {
    /// Calls that were written to a stream.
    sent,
    /// Calls that Redis did not take.
    refused,
    /// Replies to calls that waited for them.
    answered,
    /// Replies to calls that nobody waits for, or that were answered before.
    late_replies,
    /// Messages on the reply channel that were no replies.
    bad_replies,
    /// Requests that were handed to workers here.
    dispatched,
    /// Requests that came after their deadline and were dropped.
    expired,
    /// Entries that were no requests.
    malformed,
    /// Requests for methods that the worker doesn't offer.
    unknown_methods,
    /// Requests that an earlier process of the same name left, and that were not run again.
    abandoned,
    /// Requests taken over from workers that are gone.
    claimed,
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
