use std::sync::atomic::{AtomicU64, Ordering};

/// A number that only grows, counted by many at once.
#[derive(Debug, Default)]
pub struct Count(AtomicU64);

impl Count {
    /// Counts so many more.
    pub fn add(&self, n: u64) {
        self.0.fetch_add(n, Ordering::Relaxed);
    }

    /// The number now.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Makes two structs of the same names: one to be read, of plain numbers, and one to count with,
/// of [`Count`]s, whose `read` makes the first. Numbers that are not counted but looked up when they are
/// read can be among them: whoever reads puts them in.
#[macro_export]
macro_rules! counters {
    (
        $(#[$about:meta])*
        $public:vis struct $read:ident, counted by $counting:ident {
            $($(#[$doc:meta])* $name:ident,)*
        }
    ) => {
        $(#[$about])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        #[non_exhaustive]
        $public struct $read { $($(#[$doc])* pub $name: u64,)* }

        impl $read {
            /// Each number with its name, in order.
            pub fn named(&self) -> impl Iterator<Item = (&'static str, u64)> + use<> {
                [$((stringify!($name), self.$name),)*].into_iter()
            }
        }

        #[derive(Debug, Default)]
        pub(super) struct $counting { $(pub(super) $name: $crate::Count,)* }

        impl $counting {
            pub(super) fn read(&self) -> $read {
                $read { $($name: self.$name.get(),)* }
            }
        }
    };
}
