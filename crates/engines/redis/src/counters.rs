//! What the wires count.

use std::sync::atomic::{AtomicU64, Ordering};

/// Makes the counters of a wire, to be read (`$public`) and to be counted with (`Counting`).
macro_rules! wire_counters {
    ($public:ident { $($(#[$doc:meta])* $name:ident),* $(,)? }) => {
        /// What the wire has done.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        #[non_exhaustive]
        pub struct $public {
            $($(#[$doc])* pub $name: u64,)*
            /// Calls that wait for their answer now.
            pub pending_now: u64,
            /// Calls that workers of this process run now.
            pub running_now: u64,
        }

        #[derive(Debug, Default)]
        pub(super) struct Counting { $(pub(super) $name: $crate::counters::Count,)* }

        impl Counting {
            pub(super) fn read(&self, pending_now: u64, running_now: u64) -> $public {
                $public { $($name: self.$name.get(),)* pending_now, running_now }
            }
        }
    };
}

pub(crate) use wire_counters;

#[derive(Debug, Default)]
pub(crate) struct Count(AtomicU64);

impl Count {
    pub(crate) fn add(&self, n: u64) {
        self.0.fetch_add(n, Ordering::Relaxed);
    }

    pub(crate) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}
