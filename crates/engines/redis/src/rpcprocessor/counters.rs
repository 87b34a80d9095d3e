use std::sync::atomic::{AtomicU64, Ordering};

macro_rules! counters {
    ($($(#[$doc:meta])* $name:ident),* $(,)?) => {
        /// What the wire has done.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        #[non_exhaustive]
        pub struct RpcProcessorCounters {
            $($(#[$doc])* pub $name: u64,)*
            /// Calls that wait for their answer now.
            pub pending_now: u64,
            /// Calls that workers of this process run now.
            pub running_now: u64,
        }

        #[derive(Debug, Default)]
        pub(super) struct Counting { $(pub(super) $name: Count,)* }

        impl Counting {
            pub(super) fn read(&self, pending_now: u64, running_now: u64) -> RpcProcessorCounters {
                RpcProcessorCounters { $($name: self.$name.get(),)* pending_now, running_now }
            }
        }
    };
}

counters! {
    /// Calls that were queued.
    sent,
    /// Calls that Redis did not take.
    refused,
    /// Answers to calls that waited for them.
    answered,
    /// Answers to calls that nobody waited for any more.
    late_answers,
    /// Calls whose records were removed, because of their number or age.
    forgotten,
    /// Requests that were handed to workers here.
    dispatched,
    /// Ids in queues whose request was not there.
    missing,
    /// Requests that could not be read.
    malformed,
    /// Requests for methods that the worker doesn't offer.
    unknown_methods,
    /// Requests put back that an earlier worker of the same name was processing.
    put_back,
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
